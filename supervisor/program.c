/* program.c — see program.h. */
#include "supervisor/program.h"

#include "supervisor/inherit/cell.h"
#include "supervisor/inherit/contract.h"
#include "supervisor/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHECK_PATIENCE_MS = 3000, CONTRACT_LINE_BYTES = 256 };

bool program_own_path(char path[PATH_MAX])
{
    static const char deleted[] = " (deleted)";
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (length < 0) {
        return false;
    }
    path[length] = '\0';
    size_t tail = sizeof deleted - 1;
    if ((size_t)length > tail && strcmp(path + (size_t)length - tail, deleted) == 0) {
        path[(size_t)length - tail] = '\0';
    }
    return true;
}

static bool is_program(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && (facts.st_mode & 0111) != 0;
}

/* Open DIRECTORY/NEXT; -1 if there is no program. */
static int open_beside(const char *directory, int directory_bytes, const char *next, char path[PATH_MAX])
{
    int length = snprintf(path, PATH_MAX, "%.*s/%s", directory_bytes, directory, next);
    int fd = length < PATH_MAX ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd >= 0 && !is_program(fd)) {
        close(fd);
        fd = -1;
        errno = EACCES;
    }
    return fd;
}

int program_open_worker(const char *own_path, char path[PATH_MAX], char error[PROGRAM_ERROR_BYTES])
{
    const char *slash = strrchr(own_path, '/');
    int directory_bytes = slash != NULL ? (int)(slash - own_path) : 0;
    int fd = open_beside(own_path, directory_bytes, "perdure-worker", path);
    if (fd < 0) {
        int first = errno;
        fd = open_beside(own_path, directory_bytes, "../libexec/perdure-worker", path);
        errno = fd < 0 && first != ENOENT ? first : errno;
    }
    if (fd < 0) {
        snprintf(
            error, PROGRAM_ERROR_BYTES,
            "the worker program: %s; perdure-worker is looked for in %.*s and %.*s/../libexec, executable: install it",
            strerror(errno), directory_bytes, own_path, directory_bytes, own_path);
    }
    return fd;
}

void program_contract(char *line, size_t bytes)
{
    snprintf(line, bytes, "perdure %s contract %d cell %d ledger %d", PERDURE_VERSION, CONTRACT_VERSION, CELL_LAYOUT,
             LEDGER_VERSION);
}

/* ---- the check; all of it in the child ---- */

static int verdict_fd;

static void refuse(const char *path, const char *why)
{
    char text[PROGRAM_ERROR_BYTES];
    int length = snprintf(text, sizeof text, "%.600s: %s", path, why);
    size_t bytes = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    ssize_t ignored = TEMP_FAILURE_RETRY(write(verdict_fd, text, bytes));
    (void)ignored;
    _exit(1);
}

/* What PATH --contract prints, into LINE. */
static void ask_contract(const char *path, char line[CONTRACT_LINE_BYTES])
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        refuse(path, strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        refuse(path, strerror(errno));
    }
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        execl(path, path, "--contract", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    size_t filled = 0;
    struct pollfd answer = {.fd = ends[0], .events = POLLIN};
    while (filled < CONTRACT_LINE_BYTES - 1 && TEMP_FAILURE_RETRY(poll(&answer, 1, CHECK_PATIENCE_MS)) == 1) {
        ssize_t got = TEMP_FAILURE_RETRY(read(ends[0], line + filled, CONTRACT_LINE_BYTES - 1 - filled));
        if (got <= 0) {
            break;
        }
        filled += (size_t)got;
    }
    line[filled] = '\0';
    close(ends[0]);
    int status = 0;
    kill(pid, SIGKILL); /* it has said all it will; if it is gone already, it waits to be reaped */
    if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) != pid || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
        refuse(path, "it cannot be run; install a program for this machine, executable");
    }
}

/* The number behind WORD in LINE; -1: there is none. */
static long number_behind(const char *line, const char *word)
{
    const char *at = strstr(line, word);
    return at != NULL ? strtol(at + strlen(word), NULL, 10) : -1;
}

/* Returns the layout of its cells: a supervisor looks after cells of any, and workers of another than ours are put in
 * beside the old ones. */
static long check_one(const char *path, bool is_supervisor)
{
    char line[CONTRACT_LINE_BYTES];
    if (access(path, X_OK) != 0) {
        refuse(path, strerror(errno));
    }
    ask_contract(path, line);
    long contract = number_behind(line, " contract ");
    long layout = number_behind(line, " cell ");
    if (contract < 0 || layout <= 0) {
        refuse(path, "it does not answer --contract; it is broken or not perdure's");
    }
    if (contract != CONTRACT_VERSION || (is_supervisor && number_behind(line, " ledger ") != LEDGER_VERSION)) {
        refuse(path, "it cannot take over from the running version; stop and start instead");
    }
    return layout;
}

static _Noreturn void check_both(const char *own_path, const char *worker_path)
{
    char text[32];
    long layout = check_one(worker_path, false);
    check_one(own_path, true);
    int length = snprintf(text, sizeof text, "%ld", layout);
    _exit(TEMP_FAILURE_RETRY(write(verdict_fd, text, (size_t)length)) == length ? 0 : 1);
}

int program_check_begin(struct program_check *check, const char *own_path, const char *worker_path)
{
    int ends[2];
    *check = (struct program_check){.pid = -1, .pipe_fd = -1};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    check->pid = fork();
    if (check->pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        verdict_fd = ends[1];
        check_both(own_path, worker_path);
    }
    int saved = errno;
    close(ends[1]);
    check->pipe_fd = ends[0];
    if (check->pid < 0) {
        close(ends[0]);
        check->pipe_fd = -1;
        errno = saved;
        return -1;
    }
    return 0;
}

bool program_check_finish(struct program_check *check, char error[PROGRAM_ERROR_BYTES])
{
    int status = 0;
    struct pollfd done = {.fd = check->pipe_fd, .events = 0};
    if (TEMP_FAILURE_RETRY(poll(&done, 1, 0)) != 1) {
        kill(check->pid, SIGKILL);
    }
    while (waitpid(check->pid, &status, 0) < 0 && errno == EINTR) {
    }
    fcntl(check->pipe_fd, F_SETFL, O_NONBLOCK);
    ssize_t length = TEMP_FAILURE_RETRY(read(check->pipe_fd, error, PROGRAM_ERROR_BYTES - 1));
    error[length > 0 ? length : 0] = '\0';
    close(check->pipe_fd);
    bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    *check = (struct program_check){.pid = -1, .pipe_fd = -1, .layout = good ? (uint32_t)strtoul(error, NULL, 10) : 0};
    if (!good && length <= 0) {
        snprintf(error, PROGRAM_ERROR_BYTES, "the check of the programs on disk took too long");
    }
    return good;
}
