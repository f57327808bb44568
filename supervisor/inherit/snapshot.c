/* snapshot.c — see snapshot.h. */
#include "supervisor/inherit/snapshot.h"

#include "supervisor/inherit/clock.h"
#include "supervisor/inherit/config_scan.h"
#include "supervisor/inherit/settings_check.h"
#include "supervisor/inherit/settings_error.h"
#include "supervisor/inherit/settings_load.h"
#include "supervisor/inherit/snapshot_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000, WRITER_PATIENCE_MS = 500, WRITER_LOOK_MS = 10, WHY_BYTES = 256 };

/* What the child says through the pipe: one of these, then the message. */
static const char approved = '+', refused = '-';

/* ---- the child: reads files, follows includes, checks ---- */

static bool put_why(char why[WHY_BYTES], const char *text)
{
    snprintf(why, WHY_BYTES, "%s", text);
    return false;
}

/* Read all of FD, at most one byte more than the limit. malloc'ed; NULL with WHY. */
static char *read_contents(int fd, size_t *length, char why[WHY_BYTES])
{
    char *text = malloc(SNAPSHOT_FILE_BYTES + 1);
    ssize_t more = text != NULL ? 1 : -1;
    *length = 0;
    while (more > 0 && *length <= SNAPSHOT_FILE_BYTES) {
        more = pread(fd, text + *length, SNAPSHOT_FILE_BYTES + 1 - *length, (off_t)*length);
        *length += more > 0 ? (size_t)more : 0;
    }
    if (more < 0) {
        put_why(why, strerror(errno));
        free(text);
        return NULL;
    }
    return text;
}

/* True if some process has FD's file open for writing: a read lease is refused then, and is given back at once if it is
 * not (fcntl(2)). False also where there are no leases, or for another user's file without CAP_LEASE. */
static bool is_open_for_writing(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0) {
        return errno == EAGAIN;
    }
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

static bool is_unchanged(const struct stat *before, int fd)
{
    struct stat now;
    return fstat(fd, &now) == 0 && now.st_size == before->st_size && now.st_mtim.tv_sec == before->st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

/* As read_contents, of a file that nobody is writing. Half of a configuration may well be a good one, of half the
 * sites: so who writes is waited for a moment, and then refused. */
static char *read_settled(int fd, size_t *length, char why[WHY_BYTES])
{
    struct instant end = clock_after(clock_now(), WRITER_PATIENCE_MS);
    do {
        struct stat before;
        bool settled = fstat(fd, &before) == 0 && !is_open_for_writing(fd);
        char *text = settled ? read_contents(fd, length, why) : NULL;
        if (settled && (text == NULL || (is_unchanged(&before, fd) && !is_open_for_writing(fd)))) {
            return text;
        }
        free(text);
        poll(NULL, 0, WRITER_LOOK_MS);
    } while (clock_now().ms < end.ms);
    put_why(why, "a process has it open for writing, so it may be half of what it will be; try again when it is saved "
                 "and closed");
    return NULL;
}

/* Read all of FD, at most the limit, and add it to files. */
static bool add_contents(struct snapshot_files *files, int fd, const char *name, const char *directory,
                         char why[WHY_BYTES])
{
    size_t total = 0, length;
    for (size_t i = 0; i < files->count; i++) {
        total += files->file[i].length;
    }
    char *text = read_settled(fd, &length, why);
    bool good = text != NULL;
    if (good && length > SNAPSHOT_FILE_BYTES) {
        good = put_why(why, "it has more than 1 MiB; split it with include, or is it another file's name?");
    } else if (good && total + length > SNAPSHOT_BYTES) {
        good = put_why(why, "the files have more than 8 MiB together; shorten them");
    } else if (good && files->count == SNAPSHOT_FILES_MAX) {
        good = put_why(why, "there are more than 100 includes; put some files into one");
    }
    good = good && snapshot_files_add(files, name, directory, text, length) != NULL;
    free(text);
    return good;
}

/* Add the file at PATH. O_NONBLOCK: a FIFO must not hold us up before fstat tells what it is. */
static bool add_file(struct snapshot_files *files, const char *path, const char *name, const char *directory,
                     char why[WHY_BYTES])
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        snprintf(why, WHY_BYTES, "%s; %s", strerror(errno),
                 errno == ENOENT ? "make this file, or name another" : "make it readable, or name another file");
        return false;
    }
    bool good = S_ISREG(status.st_mode)
                    ? add_contents(files, fd, name, directory, why)
                    : put_why(why, S_ISDIR(status.st_mode) ? "it is a directory; name a file in it"
                                                           : "it is not a regular file; name one that is");
    close(fd);
    return good;
}

static bool fetch_from_disk(struct snapshot_files *files, size_t number, const struct snapshot_file *includer,
                            const char *path, const char *name, char why[WHY_BYTES])
{
    (void)number; /* it is the next one */
    char *whole = join_path(includer->directory, path);
    char *directory = whole != NULL ? path_directory(whole) : NULL;
    bool good = directory != NULL && add_file(files, whole, name, directory, why);
    free(whole);
    free(directory);
    return good;
}

/* The directory that relative paths in the file PATH start from, absolute; NULL: no memory. */
static char *base_directory(const char *path)
{
    char *directory = path_directory(path);
    char *cwd = directory != NULL && directory[0] != '/' ? getcwd(NULL, 0) : strdup("/");
    char *base = directory != NULL && cwd != NULL ? join_path(cwd, directory[0] != '\0' ? directory : ".") : NULL;
    free(directory);
    free(cwd);
    return base;
}

char *snapshot_default_run_dir(void)
{
    char *run_dir = NULL;
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0) {
        return strdup("/run/perdure");
    }
    if (runtime != NULL && runtime[0] == '/') {
        return asprintf(&run_dir, "%s/perdure", runtime) < 0 ? NULL : run_dir;
    }
    return asprintf(&run_dir, "/tmp/perdure-%u", (unsigned)geteuid()) < 0 ? NULL : run_dir;
}

/* Put the main file, or TEXT in its stead, at the head of files. */
static bool add_main(struct snapshot_files *files, const char *path, const char *text, char *error)
{
    char why[WHY_BYTES] = "out of memory; free some";
    char *base = base_directory(path);
    files->as_root = geteuid() == 0;
    files->run_dir = snapshot_default_run_dir();
    bool good = base != NULL && files->run_dir != NULL;
    if (good && text != NULL) {
        size_t length = strlen(text);
        good = (length <= SNAPSHOT_FILE_BYTES || put_why(why, "it has more than 1 MiB; shorten it")) &&
               snapshot_files_add(files, path, base, text, length) != NULL;
    } else if (good) {
        good = add_file(files, path, path, base, why);
    }
    free(base);
    return good || settings_error(error, path, 0, "the configuration cannot be read: %s", why);
}

/* All of a snapshot's making but the sealing. Frees nothing: the process ends. */
static bool take(int fd, const char *path, const char *text, char error[SETTINGS_ERROR_BYTES])
{
    static struct snapshot_files files;
    static struct config_scan scan;
    error[0] = '\0';
    if (!add_main(&files, path, text, error) || !config_scan(&scan, &files, fetch_from_disk, error)) {
        return false;
    }
    struct settings_checked checked = {.scan = &scan, .files = &files};
    checked.settings = settings_load(&scan, &files, error);
    if (checked.settings == NULL || !settings_check_machine(&checked, error)) {
        return false;
    }
    return snapshot_files_write(&files, fd) ||
           settings_error(error, path, 0, "the snapshot cannot be written: %s; free some memory", strerror(errno));
}

/* The child: never returns, runs no exit handlers, says nothing but through the pipe. */
static void run_child(int pipe_fd, int fd, const char *path, const char *text)
{
    char answer[1 + SETTINGS_ERROR_BYTES];
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number <= SIGRTMAX; number++) {
        signal(number, SIG_DFL); /* the caller's handlers mean nothing here; SIGTERM must end us */
    }
    signal(SIGIO, SIG_IGN); /* somebody wants to write what we have a lease on: it is given back at once anyway */
    sigprocmask(SIG_SETMASK, &none, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (quiet >= 0) {
        dup2(quiet, STDOUT_FILENO);
        dup2(quiet, STDERR_FILENO);
    }
    answer[0] = take(fd, path, text, answer + 1) ? approved : refused;
    size_t length = answer[0] == approved ? 1 : 1 + strlen(answer + 1);
    /* Less than PIPE_BUF, so it goes out whole and never waits. */
    _exit(TEMP_FAILURE_RETRY(write(pipe_fd, answer, length)) == (ssize_t)length ? 0 : 1);
}

/* ---- the caller's side ---- */

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

int snapshot_begin(struct snapshot_taking *taking, const char *path, const char *text)
{
    int ends[2] = {-1, -1};
    *taking = (struct snapshot_taking){.pid = -1, .pipe_fd = -1, .fd = -1};
    taking->fd = memfd_create("perdure-snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (taking->fd >= 0 && fchmod(taking->fd, S_IRUSR | S_IWUSR) == 0 && pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        taking->pipe_fd = ends[0];
        taking->pid = fork();
    }
    if (taking->pid == 0) {
        run_child(ends[1], taking->fd, path, text);
    }
    int cause = errno;
    close_fd(&ends[1]);
    if (taking->pid < 0) {
        close_fd(&taking->pipe_fd);
        close_fd(&taking->fd);
        errno = cause;
        return -1;
    }
    return 0;
}

/* Reap the child, killing it first unless it has closed its end of the pipe. Returns true if it was killed here. */
static bool reap(struct snapshot_taking *taking)
{
    struct pollfd done = {.fd = taking->pipe_fd, .events = POLLIN};
    bool late = TEMP_FAILURE_RETRY(poll(&done, 1, 0)) != 1 || (done.revents & POLLHUP) == 0;
    if (late) {
        kill(taking->pid, SIGKILL);
    }
    while (waitpid(taking->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    taking->pid = -1;
    return late;
}

static int refuse_taking(struct snapshot_taking *taking, char error[SETTINGS_ERROR_BYTES], const char *text)
{
    if (text != NULL) {
        snprintf(error, SETTINGS_ERROR_BYTES, "configuration: %s", text);
    }
    close_fd(&taking->fd);
    return -1;
}

int snapshot_finish(struct snapshot_taking *taking, char error[SETTINGS_ERROR_BYTES])
{
    char answer[1 + SETTINGS_ERROR_BYTES] = "";
    bool late = reap(taking);
    ssize_t length = TEMP_FAILURE_RETRY(read(taking->pipe_fd, answer, sizeof answer - 1));
    close_fd(&taking->pipe_fd);
    if (length > 0 && answer[0] == refused) {
        snprintf(error, SETTINGS_ERROR_BYTES, "%.*s", SETTINGS_ERROR_BYTES - 1, answer + 1);
        return refuse_taking(taking, error, NULL);
    }
    if (length <= 0 || answer[0] != approved) {
        return refuse_taking(
            taking, error,
            late ? "reading it took too long; is a file on a file system that does not answer?"
                 : "the process that reads it died; this is a fault of perdure, please report the file");
    }
    if (fcntl(taking->fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
        return refuse_taking(taking, error, "the snapshot cannot be sealed; try again");
    }
    int fd = taking->fd;
    taking->fd = -1;
    error[0] = '\0';
    return fd;
}

int snapshot_take(const char *path, const char *text, char error[SETTINGS_ERROR_BYTES])
{
    struct snapshot_taking taking;
    if (snapshot_begin(&taking, path, text) != 0) {
        snprintf(error, SETTINGS_ERROR_BYTES, "%.300s: no process can be made to read it: %s; free some memory", path,
                 strerror(errno));
        return -1;
    }
    /* The pipe becomes readable with the answer and hangs up with the child's end: wait for the end. */
    struct pollfd answer = {.fd = taking.pipe_fd, .events = 0};
    struct instant deadline = clock_after(clock_now(), PATIENCE_MS);
    uint64_t left = PATIENCE_MS;
    while (left > 0 && poll(&answer, 1, (int)left) <= 0) {
        left = clock_since(clock_now(), deadline);
    }
    return snapshot_finish(&taking, error);
}
