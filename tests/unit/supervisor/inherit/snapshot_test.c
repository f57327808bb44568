/* snapshot_test.c — the taking of snapshots: a process of its own, sealed results, nothing left behind. */
#include "supervisor/inherit/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char site[] = "site \"*\" { root = \"/\" }\n";

/* Each test has a directory of its own and runs in it. */
static int enter_directory(void **state)
{
    char *directory = strdup("/tmp/perdure-snapshot-XXXXXX");
    *state = directory;
    return mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static int leave_directory(void **state)
{
    int result = chdir("/") == 0 ? nftw(*state, remove_entry, 16, FTW_DEPTH | FTW_PHYS) : -1;
    free(*state);
    return result;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int take_good(const char *path, const char *text)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = snapshot_take(path, text, error);
    if (fd < 0) {
        fail_msg("%s", error);
    }
    return fd;
}

static void take_bad(const char *path, const char *message)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = snapshot_take(path, NULL, error);
    if (fd >= 0) {
        fail_msg("%s was taken; expected: %s", path, message);
    }
    if (strstr(error, message) == NULL) {
        fail_msg("%s\n   does not say: %s", error, message);
    }
}

static unsigned workers_of(int fd)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    struct settings *settings = settings_parse(fd, error);
    if (settings == NULL) {
        fail_msg("%s", error);
    }
    unsigned workers = settings->workers;
    settings_free(settings);
    return workers;
}

static void a_snapshot_is_sealed_and_named(void **state)
{
    (void)state;
    int fd = take_good("text", site);
    int seals = fcntl(fd, F_GET_SEALS);
    assert_int_equal(seals, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    char link[64], name[64] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, name, sizeof name - 1) > 0);
    assert_non_null(strstr(name, "perdure-snapshot"));
    close(fd);
}

/* In a process that lives on, libconfuse 3.3 refuses every include after ten failures inside one. */
static void thirty_failures_inside_an_include_exhaust_nothing(void **state)
{
    (void)state;
    write_file("main.conf", "include(\"part.conf\")\nsite \"*\" { root = \"/\" }\n");
    write_file("part.conf", "workers = 2\nidle_timeout = 65\n");
    for (int i = 0; i < 30; i++) {
        take_bad("main.conf", "part.conf:2: idle_timeout = 65 has no unit");
    }
    write_file("part.conf", "workers = 2\nidle_timeout = 65s\n");
    int fd = take_good("main.conf", NULL);
    assert_int_equal(workers_of(fd), 2);
    close(fd);
}

static void a_snapshot_outlives_its_files(void **state)
{
    (void)state;
    write_file("main.conf", "include(\"part.conf\")\nsite \"*\" { root = \"/\" }\n");
    write_file("part.conf", "workers = 2\n");
    int fd = take_good("main.conf", NULL);
    write_file("main.conf", "half an edi");
    assert_int_equal(unlink("part.conf"), 0);
    assert_int_equal(workers_of(fd), 2);
    assert_int_equal(workers_of(fd), 2); /* and its offset does not matter */
    close(fd);
}

/* Half of it may be a good configuration. */
static void a_file_that_is_open_for_writing_is_refused(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES];
    write_file("main.conf", "include(\"part.conf\")\nsite \"*\" { root = \"/\" }\n");
    write_file("part.conf", "workers = 2\n");
    int writer = open("part.conf", O_WRONLY | O_APPEND);
    assert_true(writer >= 0);
    assert_int_equal(snapshot_take("main.conf", NULL, error), -1);
    assert_non_null(strstr(error, "main.conf:1: "));
    assert_non_null(strstr(error, "part.conf"));
    assert_non_null(strstr(error, "open for writing"));
    close(writer);
    close(take_good("main.conf", NULL));
}

static void text_may_stand_for_the_file(void **state)
{
    char error[SETTINGS_ERROR_BYTES];
    assert_int_equal(snapshot_take("command line", "workers = 0\n", error), -1);
    assert_non_null(strstr(error, "command line:1: workers = 0 is out of bounds"));
    int fd = take_good("command line", "site \"*\" { root = \".\" }\n");
    struct settings *settings = settings_parse(fd, error);
    assert_non_null(settings);
    assert_string_equal(settings->sites[0].root, *state);
    assert_string_equal(settings->sites[0].file, "command line");
    settings_free(settings);
    close(fd);
}

static void relative_paths_start_from_the_file_that_says_them(void **state)
{
    char error[SETTINGS_ERROR_BYTES], expected[256];
    assert_int_equal(mkdir("sub", 0755), 0);
    assert_int_equal(mkdir("sub/www", 0755), 0);
    write_file("main.conf", "include(\"sub/site.conf\")\n");
    write_file("sub/site.conf", "site \"*\" { root = \"www\" }\n");
    int fd = take_good("./main.conf", NULL);
    assert_int_equal(chdir("/"), 0); /* as a worker would be */
    struct settings *settings = settings_parse(fd, error);
    assert_non_null(settings);
    snprintf(expected, sizeof expected, "%s/sub/www", (char *)*state);
    assert_string_equal(settings->sites[0].root, expected);
    assert_string_equal(settings->sites[0].file, "./sub/site.conf");
    settings_free(settings);
    close(fd);
}

static void what_cannot_be_read_is_refused_at_once(void **state)
{
    (void)state;
    take_bad("nowhere.conf", "nowhere.conf: the configuration cannot be read: No such file or directory; ");
    take_bad(".", "it is a directory; ");
    take_bad("/dev/zero", "it is not a regular file; ");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    take_bad("fifo", "it is not a regular file; ");
    write_file("main.conf", "workers = 2\ninclude(\"fifo\")\n");
    take_bad("main.conf", "main.conf:2: include(\"fifo\"): it is not a regular file; ");
    assert_int_equal(symlink("loop", "loop"), 0);
    take_bad("loop", "Too many levels of symbolic links; ");
    if (geteuid() != 0) {
        write_file("secret.conf", site);
        assert_int_equal(chmod("secret.conf", 0), 0);
        take_bad("secret.conf", "Permission denied; ");
    }
}

static void a_file_may_have_a_mebibyte(void **state)
{
    (void)state;
    enum { MOST = 1 << 20 };
    char *text = malloc(MOST + 2);
    memset(text, '\n', MOST + 1);
    memcpy(text, site, sizeof site - 1);
    text[MOST] = '\0';
    write_file("main.conf", text);
    close(take_good("main.conf", NULL));
    text[MOST] = '\n';
    text[MOST + 1] = '\0';
    write_file("main.conf", text);
    take_bad("main.conf", "more than 1 MiB");
    write_file("outer.conf", "include(\"main.conf\")\n");
    take_bad("outer.conf", "outer.conf:1: include(\"main.conf\"): it has more than 1 MiB; ");
    free(text);
}

static void all_files_may_have_eight_mebibytes(void **state)
{
    (void)state;
    char *text = malloc((1 << 20) + 1);
    memset(text, '\n', 1 << 20);
    text[1 << 20] = '\0';
    write_file("part.conf", text);
    free(text);
    write_file("main.conf", "include(\"part.conf\") include(\"part.conf\") include(\"part.conf\")\n"
                            "include(\"part.conf\") include(\"part.conf\") include(\"part.conf\")\n"
                            "include(\"part.conf\") include(\"part.conf\")\nsite \"*\" { root = \"/\" }\n");
    take_bad("main.conf", "main.conf:3: include(\"part.conf\"): the files have more than 8 MiB together; ");
}

static void ninety_nine_includes_are_read_and_one_more_is_not(void **state)
{
    (void)state;
    char text[8192] = "";
    write_file("part.conf", "# nothing\n");
    for (int i = 0; i < 99; i++) {
        strcat(text, "include(\"part.conf\")\n");
    }
    strcat(text, site);
    write_file("main.conf", text);
    int fd = take_good("main.conf", NULL);
    assert_int_equal(workers_of(fd), 0);
    close(fd);
    strcat(text, "include(\"part.conf\")\n");
    write_file("main.conf", text);
    take_bad("main.conf", "main.conf:101: include(\"part.conf\"): there are more than 100 includes; ");
}

/* main.conf includes 1.conf, which includes 2.conf, and so on. */
static void write_chain(int files)
{
    write_file("main.conf", "include(\"1.conf\")\nsite \"*\" { root = \"/\" }\n");
    for (int i = 1; i <= files; i++) {
        char path[32], text[64];
        snprintf(path, sizeof path, "%d.conf", i);
        snprintf(text, sizeof text, "include(\"%d.conf\")\n", i + 1);
        write_file(path, i < files ? text : "workers = 7\n");
    }
}

static void includes_may_be_eight_deep(void **state)
{
    (void)state;
    write_chain(7);
    int fd = take_good("main.conf", NULL);
    assert_int_equal(workers_of(fd), 7);
    close(fd);
    write_chain(8);
    take_bad("main.conf", "7.conf:1: include(\"8.conf\") is more than 8 deep; ");
}

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory) != NULL) {
        count++;
    }
    closedir(directory);
    return count;
}

static void nothing_is_left_behind(void **state)
{
    (void)state;
    size_t before = open_descriptors();
    write_file("good.conf", site);
    write_file("bad.conf", "include(\"good.conf\")\nworkers = 0\n");
    for (int i = 0; i < 5; i++) {
        close(take_good("good.conf", NULL));
        take_bad("bad.conf", "bad.conf:2: ");
    }
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void the_child_says_nothing_but_through_the_pipe(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES];
    struct stat status;
    write_file("bad.conf", "unknown = {\"\n");
    int out = open("output", O_RDWR | O_CREAT, 0600), saved_out = dup(1), saved_err = dup(2);
    fflush(NULL);
    dup2(out, 1);
    dup2(out, 2);
    int fd = snapshot_take("bad.conf", NULL, error);
    fflush(NULL);
    dup2(saved_out, 1);
    dup2(saved_err, 2);
    assert_int_equal(fstat(out, &status), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(status.st_size, 0);
    close(out);
    close(saved_out);
    close(saved_err);
}

static volatile int *exits; /* shared with children */
static pid_t test_pid;

static void count_exit(void)
{
    if (getpid() != test_pid && exits != NULL) {
        ++*exits;
    }
}

static void the_child_runs_no_exit_handlers(void **state)
{
    (void)state;
    write_file("good.conf", site);
    *exits = 0;
    close(take_good("good.conf", NULL));
    take_bad("nowhere.conf", "No such file");
    assert_int_equal(*exits, 0);
}

static void the_result_is_told_by_the_end_of_the_pipe(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES];
    struct snapshot_taking taking;
    write_file("good.conf", site);
    assert_int_equal(snapshot_begin(&taking, "good.conf", NULL), 0);
    assert_true(taking.pid > 0);
    assert_int_equal(fcntl(taking.pipe_fd, F_GETFD), FD_CLOEXEC);
    struct pollfd end = {.fd = taking.pipe_fd, .events = 0};
    assert_int_equal(poll(&end, 1, 10000), 1);
    assert_true(end.revents & POLLHUP);
    int fd = snapshot_finish(&taking, error);
    assert_true(fd >= 0);
    close(fd);
}

/* A supervisor's SIGCHLD or a debugger must not be needed to get rid of a child that does not answer. */
static void a_child_that_does_not_end_is_killed(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES] = "";
    write_file("good.conf", site);
    int fd = 0;
    for (int i = 0; i < 100 && fd >= 0; i++) { /* until one is stopped before it is done */
        struct snapshot_taking taking;
        assert_int_equal(snapshot_begin(&taking, "good.conf", NULL), 0);
        kill(taking.pid, SIGSTOP);
        fd = snapshot_finish(&taking, error);
        if (fd > 0) {
            close(fd);
        }
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    }
    assert_int_equal(fd, -1);
    assert_non_null(strstr(error, "took too long"));
}

static void a_child_that_dies_is_a_refusal(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES] = "";
    write_file("good.conf", site);
    int fd = 0;
    for (int i = 0; i < 100 && fd >= 0; i++) { /* until one dies before it is done */
        struct snapshot_taking taking;
        assert_int_equal(snapshot_begin(&taking, "good.conf", NULL), 0);
        kill(taking.pid, SIGKILL);
        struct pollfd end = {.fd = taking.pipe_fd, .events = 0};
        assert_int_equal(poll(&end, 1, 10000), 1);
        fd = snapshot_finish(&taking, error);
        if (fd > 0) {
            close(fd);
        }
    }
    assert_int_equal(fd, -1);
    assert_non_null(strstr(error, "died"));
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    test_pid = getpid();
    exits = mmap(NULL, sizeof *exits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (exits == MAP_FAILED || atexit(count_exit) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(a_snapshot_is_sealed_and_named),
        IN_DIRECTORY(thirty_failures_inside_an_include_exhaust_nothing),
        IN_DIRECTORY(a_snapshot_outlives_its_files),
        IN_DIRECTORY(a_file_that_is_open_for_writing_is_refused),
        IN_DIRECTORY(text_may_stand_for_the_file),
        IN_DIRECTORY(relative_paths_start_from_the_file_that_says_them),
        IN_DIRECTORY(what_cannot_be_read_is_refused_at_once),
        IN_DIRECTORY(a_file_may_have_a_mebibyte),
        IN_DIRECTORY(all_files_may_have_eight_mebibytes),
        IN_DIRECTORY(ninety_nine_includes_are_read_and_one_more_is_not),
        IN_DIRECTORY(includes_may_be_eight_deep),
        IN_DIRECTORY(nothing_is_left_behind),
        IN_DIRECTORY(the_child_says_nothing_but_through_the_pipe),
        IN_DIRECTORY(the_child_runs_no_exit_handlers),
        IN_DIRECTORY(the_result_is_told_by_the_end_of_the_pipe),
        IN_DIRECTORY(a_child_that_does_not_end_is_killed),
        IN_DIRECTORY(a_child_that_dies_is_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
