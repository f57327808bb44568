/* replay.c — gives files to a fuzz target, one after another, without any fuzzer: corpora, and crashes once found.
 *
 *     build/asan/tests/fuzz/worker/head FILE-OR-DIRECTORY...
 *
 * Says how many there were. A target that crashes ends it; the last line then names the file. */
#include "tests/fuzz/target.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 1 << 20, PATIENCE_S = 60 };

/* Only some targets have the one, and only the sanitizers' builds the other. */
#pragma weak LLVMFuzzerInitialize
void __sanitizer_set_report_fd(void *fd);
#pragma weak __sanitizer_set_report_fd
void __sanitizer_set_death_callback(void (*callback)(void));
#pragma weak __sanitizer_set_death_callback

static char present[4096]; /* the path of the file being given */
static int words_fd;       /* standard error as it was */

static void name_file(void)
{
    ssize_t ignored = write(words_fd, present, strlen(present));
    ignored = write(words_fd, ": crashed, or took too long\n", 28);
    (void)ignored;
}

static void on_signal(int number)
{
    name_file();
    raise(number); /* what is left of it is fatal */
}

/* Targets warn of what their inputs have done, on standard error; what is said of a crash goes to where that was. */
static void silence_warnings(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    words_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (getenv("REPLAY_WARNINGS") == NULL) {
        dup2(nowhere, STDERR_FILENO);
    }
    close(nowhere);
    if (__sanitizer_set_report_fd) {
        __sanitizer_set_report_fd((void *)(intptr_t)words_fd);
    }
}

static void listen_for_crashes(void)
{
    static const int deadly[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESETHAND};
    /* The sanitizers have handlers of their own but for the first two. */
    size_t count = __sanitizer_set_death_callback ? 2 : sizeof deadly / sizeof deadly[0];
    for (size_t i = 0; i < count; i++) {
        sigaction(deadly[i], &action, NULL);
    }
    if (__sanitizer_set_death_callback) {
        __sanitizer_set_death_callback(name_file);
    }
}

static int give_file(const char *path)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        dprintf(words_fd, "replay: %s cannot be read\n", path);
        exit(2);
    }
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    snprintf(present, sizeof present, "%s", path);
    char *copy = exact_copy(bytes, count);
    alarm(PATIENCE_S);
    LLVMFuzzerTestOneInput((const uint8_t *)copy, count);
    alarm(0);
    free(copy);
    return 1;
}

static int give_directory(const char *path)
{
    struct dirent **entries;
    int found = scandir(path, &entries, NULL, alphasort), given = 0;
    for (int i = 0; i < found; i++) {
        char inside[4096];
        snprintf(inside, sizeof inside, "%s/%s", path, entries[i]->d_name);
        given += entries[i]->d_name[0] != '.' ? give_file(inside) : 0;
        free(entries[i]);
    }
    if (found >= 0) {
        free(entries);
    }
    return given;
}

int main(int argc, char **argv)
{
    int given = 0;
    silence_warnings();
    listen_for_crashes();
    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        struct stat facts;
        bool is_directory = stat(argv[i], &facts) == 0 && S_ISDIR(facts.st_mode);
        given += is_directory ? give_directory(argv[i]) : give_file(argv[i]);
    }
    const char *slash = strrchr(argv[0], '/');
    printf("replay: %-12s %3d inputs, no crash\n", slash != NULL ? slash + 1 : argv[0], given);
    return 0;
}
