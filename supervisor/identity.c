/* identity.c — see identity.h. */
#include "supervisor/identity.h"

#include "supervisor/inherit/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
    /* A status query holds the lock shared for an instant; a supervisor that starts then must not take that for a
       rival. */
    TAKE_PATIENCE_MS = 1000,
    TAKE_STEP_MS = 10,
    WAIT_STEP_MS = 100,
};

static const char lock_name[] = "perdure.lock";
static const char pid_name[] = "perdure.pid";

/* Cause and remedy for a run directory that cannot be used. */
static int fault(char error[IDENTITY_ERROR_BYTES], const char *doing, const char *path, int number)
{
    const char *remedy;
    switch (number) {
    case ENOENT:
        remedy = "make its parent directory, or set run_dir to another place";
        break;
    case EROFS:
        remedy = "mount it writable, or set run_dir to a writable place such as /run/perdure";
        break;
    case ENOSPC:
    case EDQUOT:
        remedy = "make room there, or set run_dir to another place";
        break;
    case EACCES:
    case EPERM:
        remedy = "start as root or as the directory's owner, or set run_dir to a directory of your own";
        break;
    case ENOTDIR:
    case EEXIST:
        remedy = "it must be a directory; remove the file, or set run_dir to another place";
        break;
    default:
        remedy = "set run_dir to another place";
    }
    snprintf(error, IDENTITY_ERROR_BYTES, "cannot %s %.200s: %s; %s", doing, path, strerror(number), remedy);
    return -1;
}

static void path_in(char path[PATH_MAX], const char *run_dir, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", run_dir, name);
}

/* ---- the run directory ---- */

/* Whoever can write there could put a file in the place of ours. */
static int directory_is_safe(const char *run_dir, char error[IDENTITY_ERROR_BYTES])
{
    struct stat is;
    if (stat(run_dir, &is) != 0) {
        return fault(error, "use the run directory", run_dir, errno);
    }
    if (!S_ISDIR(is.st_mode)) {
        return fault(error, "use the run directory", run_dir, ENOTDIR);
    }
    if (is.st_uid != 0 && is.st_uid != geteuid()) {
        snprintf(error, IDENTITY_ERROR_BYTES,
                 "run directory %.200s belongs to uid %u; set run_dir to a directory of root or of the user who starts",
                 run_dir, (unsigned)is.st_uid);
        return -1;
    }
    if ((is.st_mode & S_IWOTH) != 0) {
        snprintf(error, IDENTITY_ERROR_BYTES,
                 "run directory %.200s can be written by everybody; set run_dir to a directory of its own, such as "
                 "%.200s/perdure",
                 run_dir, run_dir);
        return -1;
    }
    return 0;
}

/* Missing is made. The umask is set aside: a strict one would hide the directory from the workers' AF_UNIX clients. */
static int directory_make(const char *run_dir, char error[IDENTITY_ERROR_BYTES])
{
    mode_t before = umask(022);
    int made = mkdir(run_dir, 0755);
    int number = errno;
    umask(before);
    if (made != 0 && number != EEXIST) {
        return fault(error, "make the run directory", run_dir, number);
    }
    return directory_is_safe(run_dir, error);
}

/* ---- who holds the lock ---- */

static pid_t read_pid(const char *run_dir)
{
    char path[PATH_MAX];
    path_in(path, run_dir, pid_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return 0;
    }
    char text[32] = "";
    ssize_t got = TEMP_FAILURE_RETRY(read(fd, text, sizeof text - 1));
    close(fd);
    char *end;
    long pid = got > 0 ? strtol(text, &end, 10) : 0;
    return got > 0 && end != text && (*end == '\n' || *end == '\0') && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* True if descriptor NAME of process PID holds a flock(2) for writing: /proc/PID/fdinfo lists a descriptor's locks. Who
 * only looks has the file open too, so an open file proves nothing. */
static bool descriptor_locks(pid_t pid, const char *name)
{
    char path[96];
    char line[256];
    snprintf(path, sizeof path, "/proc/%d/fdinfo/%.20s", (int)pid, name);
    FILE *file = fopen(path, "re");
    bool locks = false;
    while (file != NULL && !locks && fgets(line, sizeof line, file) != NULL) {
        locks = strncmp(line, "lock:", 5) == 0 && strstr(line, " FLOCK ") != NULL && strstr(line, " WRITE ") != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return locks;
}

/* True if process PID holds the lock on the file IS. A pid alone proves nothing: it may have been given to another
 * program. */
static bool process_holds(pid_t pid, const struct stat *is)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *fds = opendir(path);
    if (fds == NULL) {
        return false;
    }
    bool holds = false;
    const struct dirent *entry;
    while (!holds && (entry = readdir(fds)) != NULL) {
        struct stat other;
        holds = entry->d_name[0] != '.' && fstatat(dirfd(fds), entry->d_name, &other, 0) == 0 &&
                other.st_dev == is->st_dev && other.st_ino == is->st_ino && descriptor_locks(pid, entry->d_name);
    }
    closedir(fds);
    return holds;
}

/* The pid file's pid if that process holds the lock file, else 0. */
static pid_t find_holder(const char *run_dir, int lock_fd)
{
    struct stat is;
    pid_t pid = read_pid(run_dir);
    return pid > 0 && fstat(lock_fd, &is) == 0 && process_holds(pid, &is) ? pid : 0;
}

/* ---- for the supervisor ---- */

static bool is_the_lock_file(const char *path, int fd)
{
    struct stat named;
    struct stat open_one;
    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 && named.st_dev == open_one.st_dev &&
           named.st_ino == open_one.st_ino;
}

/* One try: 1 locked, 0 somebody else has it (or the file was replaced under us), -1 with errno. */
static int try_lock(const char *path, int *lock_fd)
{
    *lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*lock_fd < 0) {
        return -1;
    }
    if (TEMP_FAILURE_RETRY(flock(*lock_fd, LOCK_EX | LOCK_NB)) == 0) {
        return is_the_lock_file(path, *lock_fd) ? 1 : 0;
    }
    return errno == EWOULDBLOCK ? 0 : -1;
}

static void rest_ms(long ms)
{
    struct timespec span = {.tv_nsec = ms * 1000000};
    nanosleep(&span, NULL);
}

enum identity_claim identity_take(const char *run_dir, int *lock_fd, pid_t *holder, char error[IDENTITY_ERROR_BYTES])
{
    *lock_fd = -1;
    *holder = 0;
    if (directory_make(run_dir, error) != 0) {
        return IDENTITY_FAULT;
    }
    char path[PATH_MAX];
    path_in(path, run_dir, lock_name);
    struct instant patience = clock_after(clock_now(), TAKE_PATIENCE_MS);
    for (;;) {
        int locked = try_lock(path, lock_fd);
        if (locked > 0) {
            return IDENTITY_OURS;
        }
        int number = errno;
        *holder = locked == 0 ? find_holder(run_dir, *lock_fd) : 0;
        if (*lock_fd >= 0) {
            close(*lock_fd);
            *lock_fd = -1;
        }
        if (locked < 0) {
            fault(error, "lock", path, number);
            return IDENTITY_FAULT;
        }
        if (*holder != 0 || clock_since(clock_now(), patience) == 0) {
            return IDENTITY_TAKEN;
        }
        rest_ms(
            TAKE_STEP_MS); /* flock(2) has no event to wait for but the lock itself, and that we must not queue for */
    }
}

bool identity_adopt(const char *run_dir, int lock_fd)
{
    char path[PATH_MAX];
    path_in(path, run_dir, lock_name);
    return is_the_lock_file(path, lock_fd) && TEMP_FAILURE_RETRY(flock(lock_fd, LOCK_EX | LOCK_NB)) == 0 &&
           fcntl(lock_fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* Write the number to a new file PATH, and be sure it is on it: a full file system may say so only at close. */
static int write_new(const char *path, pid_t pid)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        return -1;
    }
    bool good = fchmod(fd, 0644) == 0 && dprintf(fd, "%d\n", (int)pid) > 0;
    int number = errno;
    if (close(fd) != 0 || !good) {
        errno = good ? errno : number;
        return -1;
    }
    return 0;
}

int identity_write_pid(const char *run_dir, pid_t pid, char error[IDENTITY_ERROR_BYTES])
{
    char path[PATH_MAX];
    char fresh[PATH_MAX + 8];
    path_in(path, run_dir, pid_name);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (write_new(fresh, pid) != 0 || rename(fresh, path) != 0) {
        int number = errno;
        unlink(fresh);
        return fault(error, "write", path, number);
    }
    return 0;
}

void identity_remove_pid(const char *run_dir)
{
    char path[PATH_MAX];
    path_in(path, run_dir, pid_name);
    unlink(path);
}

/* ---- for the verbs ---- */

static int open_lock(const char *run_dir)
{
    char path[PATH_MAX];
    path_in(path, run_dir, lock_name);
    return open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

enum identity_state identity_look(const char *run_dir, pid_t *holder)
{
    pid_t nobody = 0;
    holder = holder != NULL ? holder : &nobody;
    *holder = 0;
    int fd = open_lock(run_dir);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
        return IDENTITY_UNKNOWN;
    }
    /* Shared, so that two who look at the same time do not see each other. */
    bool held = fd >= 0 && TEMP_FAILURE_RETRY(flock(fd, LOCK_SH | LOCK_NB)) != 0;
    *holder = held ? find_holder(run_dir, fd) : read_pid(run_dir);
    if (fd >= 0) {
        close(fd);
    }
    if (held) {
        return IDENTITY_RUNNING;
    }
    return *holder != 0 ? IDENTITY_DEAD : IDENTITY_STOPPED;
}

int identity_signal(const char *run_dir, int signal_number)
{
    int lock_fd = open_lock(run_dir);
    if (lock_fd < 0) {
        errno = errno == ENOENT ? ESRCH : errno;
        return -1;
    }
    /* The pidfd first, then the proof: what is proven of the process cannot become another's by reuse of the pid. */
    struct stat is;
    pid_t pid = read_pid(run_dir);
    int process_fd = pid > 0 ? pidfd_open(pid, 0) : -1;
    int sent = -1;
    int number = ESRCH;
    if (process_fd >= 0 && fstat(lock_fd, &is) == 0 && process_holds(pid, &is)) {
        sent = pidfd_send_signal(process_fd, signal_number, NULL, 0);
        number = errno;
    }
    close(lock_fd);
    if (process_fd >= 0) {
        close(process_fd);
    }
    errno = number;
    return sent;
}

static void wake(int signal_number)
{
    (void)signal_number;
}

/* flock(2) knows no time limit, so a timer interrupts it again and again: once could come too early to be felt. */
static void timer_set(long step_ms)
{
    struct sigaction action = {.sa_handler = step_ms > 0 ? wake : SIG_DFL};
    struct itimerval step = {.it_interval = {.tv_usec = step_ms * 1000}, .it_value = {.tv_usec = step_ms * 1000}};
    if (step_ms > 0) {
        sigaction(SIGALRM, &action, NULL);
        setitimer(ITIMER_REAL, &step, NULL);
    } else {
        setitimer(ITIMER_REAL, &step, NULL);
        sigaction(SIGALRM, &action, NULL);
    }
}

bool identity_wait_gone(const char *run_dir, uint64_t patience_ms)
{
    int fd = open_lock(run_dir);
    if (fd < 0) {
        return errno == ENOENT;
    }
    struct instant end = clock_after(clock_now(), patience_ms > 0 ? patience_ms : UINT64_MAX);
    timer_set(WAIT_STEP_MS);
    int got;
    do {
        got = flock(fd, LOCK_SH);
    } while (got != 0 && errno == EINTR && clock_since(clock_now(), end) > 0);
    timer_set(0);
    close(fd);
    return got == 0;
}

bool identity_wait_exit(int process_fd, uint64_t patience_ms)
{
    struct pollfd exited = {.fd = process_fd, .events = POLLIN};
    return process_fd < 0 || poll(&exited, 1, patience_ms < INT_MAX ? (int)patience_ms : INT_MAX) == 1;
}
