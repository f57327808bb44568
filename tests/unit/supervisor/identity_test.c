/* identity_test.c — the lock says who supervises; a pid file alone is believed by nobody. */
#include "supervisor/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64];
static char run_dir[96];
static char error[IDENTITY_ERROR_BYTES];

static int make_top(void **state)
{
    snprintf(top, sizeof top, "/tmp/perdure-identity-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(run_dir, sizeof run_dir, "%s/run", top);
    (void)state;
    return 0;
}

static int remove_top(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", top);
    (void)state;
    return system(command);
}

static void write_pid_file(const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/perdure.pid", run_dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A process that holds the lock until it is killed; WITH_PID_FILE: and says so. */
static pid_t start_holder(bool with_pid_file)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed test leaves nothing running */
        int lock_fd;
        pid_t holder;
        char ok = identity_take(run_dir, &lock_fd, &holder, error) == IDENTITY_OURS &&
                  (!with_pid_file || identity_write_pid(run_dir, getpid(), error) == 0);
        if (write(ends[1], &ok, 1) == 1) {
            pause();
        }
        _exit(0);
    }
    close(ends[1]);
    char ok = 0;
    assert_int_equal(read(ends[0], &ok, 1), 1);
    assert_true(ok);
    close(ends[0]);
    return pid;
}

static void end_holder(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void the_run_directory_is_made_and_locked(void **state)
{
    int lock_fd;
    pid_t holder;
    struct stat is;
    assert_int_equal(identity_take(run_dir, &lock_fd, &holder, error), IDENTITY_OURS);
    assert_int_equal(stat(run_dir, &is), 0);
    assert_int_equal(is.st_mode & 07777, 0755);
    assert_int_equal(fcntl(lock_fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(identity_look(run_dir, &holder), IDENTITY_RUNNING);
    close(lock_fd);
    assert_int_equal(identity_look(run_dir, &holder), IDENTITY_STOPPED);
    (void)state;
}

static void a_second_one_is_told_who_is_there(void **state)
{
    pid_t first = start_holder(true);
    int lock_fd;
    pid_t holder;
    assert_int_equal(identity_take(run_dir, &lock_fd, &holder, error), IDENTITY_TAKEN);
    assert_int_equal(holder, first);
    assert_int_equal(lock_fd, -1);
    assert_int_equal(identity_look(run_dir, &holder), IDENTITY_RUNNING);
    assert_int_equal(holder, first);
    end_holder(first);
    assert_int_equal(identity_look(run_dir, &holder), IDENTITY_DEAD);
    assert_int_equal(holder, first);
    assert_int_equal(identity_take(run_dir, &lock_fd, &holder, error), IDENTITY_OURS);
    close(lock_fd);
    (void)state;
}

static void a_pid_file_is_written_whole_and_removed(void **state)
{
    char path[128];
    char text[32] = "";
    struct stat is;
    assert_int_equal(mkdir(run_dir, 0755), 0);
    write_pid_file("99999999 old\n");
    assert_int_equal(identity_write_pid(run_dir, 4711, error), 0);
    snprintf(path, sizeof path, "%s/perdure.pid", run_dir);
    FILE *file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, file));
    fclose(file);
    assert_string_equal(text, "4711\n");
    assert_int_equal(stat(path, &is), 0);
    assert_int_equal(is.st_mode & 07777, 0644);
    identity_remove_pid(run_dir);
    assert_int_equal(access(path, F_OK), -1);
    (void)state;
}

/* A pid in the file that now belongs to somebody else (here: to this test) gets no signal. */
static void a_reused_pid_is_not_signalled(void **state)
{
    char pid[32];
    assert_int_equal(mkdir(run_dir, 0755), 0);
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    write_pid_file(pid);
    assert_int_equal(identity_signal(run_dir, SIGKILL), -1);
    assert_int_equal(errno, ESRCH);
    pid_t holder = start_holder(false);
    assert_int_equal(identity_signal(run_dir, SIGKILL), -1);
    assert_int_equal(errno, ESRCH);
    end_holder(holder);
    (void)state;
}

static void the_holder_is_signalled_and_its_end_is_awaited(void **state)
{
    pid_t holder = start_holder(true);
    assert_false(identity_wait_gone(run_dir, 1));
    assert_int_equal(identity_signal(run_dir, SIGTERM), 0);
    assert_true(identity_wait_gone(run_dir, 0));
    int status;
    waitpid(holder, &status, 0);
    assert_int_equal(WTERMSIG(status), SIGTERM);
    (void)state;
}

static void garbage_in_the_pid_file_is_nobody(void **state)
{
    static const char *const texts[] = {"", "\n", "abc\n", "-5\n", "0\n", "12x\n", "99999999999999999999\n"};
    pid_t holder;
    assert_int_equal(mkdir(run_dir, 0755), 0);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        write_pid_file(texts[i]);
        assert_int_equal(identity_look(run_dir, &holder), IDENTITY_STOPPED);
        assert_int_equal(holder, 0);
    }
    (void)state;
}

static void a_bad_run_directory_has_cause_and_remedy(void **state)
{
    int lock_fd;
    pid_t holder;
    char path[256];
    snprintf(path, sizeof path, "%s/no/such/run", top);
    assert_int_equal(identity_take(path, &lock_fd, &holder, error), IDENTITY_FAULT);
    assert_non_null(strstr(error, "make its parent directory"));
    snprintf(path, sizeof path, "%s/file", top);
    fclose(fopen(path, "w"));
    assert_int_equal(identity_take(path, &lock_fd, &holder, error), IDENTITY_FAULT);
    assert_non_null(strstr(error, "it must be a directory"));
    assert_int_equal(identity_take("/tmp", &lock_fd, &holder, error), IDENTITY_FAULT);
    assert_non_null(strstr(error, "written by everybody"));
    assert_int_equal(identity_write_pid("/proc", 1, error), -1);
    (void)state;
}

static void a_lock_that_came_over_exec_is_known_again(void **state)
{
    int lock_fd;
    pid_t holder;
    assert_int_equal(identity_take(run_dir, &lock_fd, &holder, error), IDENTITY_OURS);
    int copy = dup(lock_fd);
    close(lock_fd);
    assert_true(identity_adopt(run_dir, copy));
    assert_int_equal(fcntl(copy, F_GETFD), FD_CLOEXEC);
    assert_int_equal(identity_look(run_dir, NULL), IDENTITY_RUNNING);
    assert_false(identity_adopt(run_dir, STDIN_FILENO));
    assert_false(identity_adopt(run_dir, 999));
    close(copy);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_run_directory_is_made_and_locked, make_top, remove_top),
        cmocka_unit_test_setup_teardown(a_second_one_is_told_who_is_there, make_top, remove_top),
        cmocka_unit_test_setup_teardown(a_pid_file_is_written_whole_and_removed, make_top, remove_top),
        cmocka_unit_test_setup_teardown(a_reused_pid_is_not_signalled, make_top, remove_top),
        cmocka_unit_test_setup_teardown(the_holder_is_signalled_and_its_end_is_awaited, make_top, remove_top),
        cmocka_unit_test_setup_teardown(garbage_in_the_pid_file_is_nobody, make_top, remove_top),
        cmocka_unit_test_setup_teardown(a_bad_run_directory_has_cause_and_remedy, make_top, remove_top),
        cmocka_unit_test_setup_teardown(a_lock_that_came_over_exec_is_known_again, make_top, remove_top),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
