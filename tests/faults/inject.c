/* inject.c — see inject.h. The linker puts these __wrap_ functions in the place of the C library's (ld(1), --wrap).
 *
 * The supervisor is linked dynamically: so that allocations that the libraries make fail, too, it has a malloc(3) of
 * its own instead (FAULT_DYNAMIC). */
#include "tests/faults/inject.h"

#include <confuse.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

_Static_assert((int)FAULT_CALLS <= (int)FAULT_CALLS_MAX, "a counter for each call");

static struct fault_plan *plan;
static bool in_libconfuse;
static bool keeps; /* this process is a keeper: so it calls itself, and the sandbox lets no worker ask for its name */

static const bool interruptible[FAULT_CALLS] = {
#define CALL(name, may_be) [FAULT_##name] = may_be,
#include "tests/faults/calls.def"
#undef CALL
};

extern const char __executable_start[]; // NOLINT(bugprone-reserved-identifier): the linker's

int __real_open(const char *path, int flags, ...);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

__attribute__((constructor)) static void share_plan(void)
{
    const char *path = getenv("PERDURE_FAULTS");
    int fd = path != NULL ? __real_open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) {
        return;
    }
    struct fault_plan *shared = __real_mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    plan = shared != MAP_FAILED && shared->layout == FAULT_LAYOUT ? shared : NULL;
}

int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
int __wrap_prctl(int option, ...)
{
    unsigned long arguments[4];
    va_list list;
    va_start(list, option);
    for (size_t i = 0; i < sizeof arguments / sizeof arguments[0]; i++) {
        arguments[i] = va_arg(list, unsigned long);
    }
    va_end(list);
    if (option == PR_SET_NAME) {
        keeps = strcmp((const char *)arguments[0], "perdure-keeper") == 0;
    }
    return __real_prctl(option, arguments[0], arguments[1], arguments[2], arguments[3]);
}

static enum fault_role role(void)
{
#ifdef FAULT_DYNAMIC
    return keeps ? FAULT_SUPERVISORS_KEEPER : FAULT_SUPERVISOR;
#else
    return keeps ? FAULT_KEEPER : FAULT_WORKER;
#endif
}

static bool is_meant(const struct fault_rule *rule, enum fault_call call)
{
    uint32_t meant = __atomic_load_n(&rule->call, __ATOMIC_ACQUIRE);
    return meant == call || (meant == FAULT_INTERRUPTIBLE && interruptible[call]);
}

static bool is_due(struct fault_rule *rule)
{
    uint32_t number = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_RELAXED);
    uint32_t step = rule->step != 0 ? rule->step : 1;
    if (number < rule->first || (number - rule->first) % step != 0) {
        return false;
    }
    return rule->times == 0 || (number - rule->first) / step < rule->times;
}

/* The rule by which CALL, made at WHERE, is to fail now, NULL if by none; with errno. */
static const struct fault_rule *failing(enum fault_call call, const void *where)
{
    if (plan == NULL || in_libconfuse) {
        return NULL;
    }
    if (plan->counting != 0) {
        __atomic_add_fetch(&plan->counts[role()][call], 1, __ATOMIC_RELAXED);
    }
    for (size_t i = 0; i < FAULT_RULES; i++) {
        struct fault_rule *rule = &plan->rules[i];
        if (is_meant(rule, call) && rule->role == role() && is_due(rule)) {
            rule->where = (uint64_t)((const char *)where - __executable_start);
            __atomic_add_fetch(&rule->failed, 1, __ATOMIC_RELAXED);
            errno = (int)rule->error;
            return rule;
        }
    }
    return NULL;
}

#define FAILS(name) (failing(FAULT_##name, __builtin_return_address(0)) != NULL)

/* A call that either fails, with FAILURE as its result, or is made. */
#define WRAP(type, name, failure, parameters, arguments)                                                               \
    type __real_##name parameters;                                                                                     \
    type __wrap_##name parameters;                                                                                     \
    type __wrap_##name parameters                                                                                      \
    {                                                                                                                  \
        return FAILS(name) ? (failure) : __real_##name arguments;                                                      \
    }

/* ---- memory ---- */

#ifdef FAULT_DYNAMIC
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);

void *malloc(size_t bytes)
{
    return FAILS(malloc) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return FAILS(calloc) ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return FAILS(realloc) ? NULL : __libc_realloc(old, bytes);
}
#else
WRAP(void *, malloc, NULL, (size_t bytes), (bytes))
WRAP(void *, calloc, NULL, (size_t count, size_t bytes), (count, bytes))
WRAP(void *, realloc, NULL, (void *old, size_t bytes), (old, bytes))
#endif

WRAP(void *, mmap, MAP_FAILED, (void *at, size_t bytes, int protection, int flags, int fd, off_t offset),
     (at, bytes, protection, flags, fd, offset))
WRAP(int, memfd_create, -1, (const char *name, unsigned flags), (name, flags))

/* ---- files and descriptors ---- */

WRAP(FILE *, fopen, NULL, (const char *path, const char *mode), (path, mode))
WRAP(int, ftruncate, -1, (int fd, off_t bytes), (fd, bytes))
WRAP(int, fallocate, -1, (int fd, int mode, off_t at, off_t bytes), (fd, mode, at, bytes))
WRAP(DIR *, opendir, NULL, (const char *path), (path))
WRAP(DIR *, fdopendir, NULL, (int fd), (fd))
WRAP(int, dup2, -1, (int from, int to), (from, to))
WRAP(int, dup3, -1, (int from, int to, int flags), (from, to, flags))
WRAP(int, pipe2, -1, (int *ends, int flags), (ends, flags))
WRAP(ssize_t, read, -1, (int fd, void *bytes, size_t count), (fd, bytes, count))
WRAP(ssize_t, pread, -1, (int fd, void *bytes, size_t count, off_t at), (fd, bytes, count, at))
WRAP(ssize_t, pwrite, -1, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
WRAP(int, fstat, -1, (int fd, struct stat *facts), (fd, facts))
WRAP(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
WRAP(int, rename, -1, (const char *from, const char *to), (from, to))
WRAP(int, flock, -1, (int fd, int operation), (fd, operation))
WRAP(int, setrlimit, -1, (int resource, const struct rlimit *limit), (resource, limit))

int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return FAILS(open) ? -1 : __real_open(path, flags, mode);
}

/* Of its operations only those that make a descriptor fail. */
int __real_fcntl(int fd, int operation, ...);
int __wrap_fcntl(int fd, int operation, long argument);
int __wrap_fcntl(int fd, int operation, long argument)
{
    bool makes_one = operation == F_DUPFD || operation == F_DUPFD_CLOEXEC;
    return makes_one && FAILS(fcntl) ? -1 : __real_fcntl(fd, operation, argument);
}

/* A rule without an error lets half the bytes through. */
ssize_t __real_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    const struct fault_rule *rule = failing(FAULT_write, __builtin_return_address(0));
    if (rule != NULL && rule->error == 0 && count > 1) {
        return __real_write(fd, bytes, count / 2);
    }
    return rule != NULL && rule->error != 0 ? -1 : __real_write(fd, bytes, count);
}

/* ---- sockets ---- */

WRAP(int, socket, -1, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(int, socketpair, -1, (int domain, int type, int protocol, int *ends), (domain, type, protocol, ends))
WRAP(int, accept4, -1, (int fd, struct sockaddr *peer, socklen_t *length, int flags), (fd, peer, length, flags))
WRAP(int, bind, -1, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, listen, -1, (int fd, int backlog), (fd, backlog))
WRAP(int, connect, -1, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, setsockopt, -1, (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length))
WRAP(ssize_t, recv, -1, (int fd, void *bytes, size_t count, int flags), (fd, bytes, count, flags))
WRAP(ssize_t, sendmsg, -1, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
WRAP(ssize_t, sendfile, -1, (int to, int from, off_t *at, size_t count), (to, from, at, count))

static bool has_descriptors(const struct cmsghdr *header)
{
    return header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS;
}

/* What a full table does to descriptors on their way. */
static void lose_descriptors(struct msghdr *message, const struct cmsghdr *header)
{
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
        close(fd);
    }
    message->msg_flags |= MSG_CTRUNC;
    message->msg_controllen = 0;
}

ssize_t __real_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t got = FAILS(recvmsg) ? -1 : __real_recvmsg(fd, message, flags);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(message) : NULL;
    while (header != NULL && !has_descriptors(header)) {
        header = CMSG_NXTHDR(message, header);
    }
    if (header != NULL && FAILS(descriptors)) {
        lose_descriptors(message, header);
    }
    return got;
}

/* ---- events and processes ---- */

WRAP(int, epoll_create1, -1, (int flags), (flags))
WRAP(int, epoll_wait, -1, (int fd, struct epoll_event *events, int most, int patience_ms),
     (fd, events, most, patience_ms))
WRAP(int, poll, -1, (struct pollfd * all, nfds_t count, int patience_ms), (all, count, patience_ms))
WRAP(int, signalfd, -1, (int fd, const sigset_t *set, int flags), (fd, set, flags))
WRAP(int, pidfd_open, -1, (pid_t pid, unsigned flags), (pid, flags))
WRAP(pid_t, fork, -1, (void), ())
WRAP(int, execv, -1, (const char *path, char *const *arguments), (path, arguments))
WRAP(pid_t, waitpid, -1, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(int, clone, -1, (int (*run)(void *), void *stack, int flags, void *argument, void *parent, void *tls, void *child),
     (run, stack, flags, argument, parent, tls, child))

/* The kernel allocates for one that is added, and for no other. */
int __real_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    return operation == EPOLL_CTL_ADD && FAILS(epoll_ctl) ? -1 : __real_epoll_ctl(set, operation, fd, event);
}

static enum fault_call call_of(long number)
{
    switch (number) {
    case SYS_openat2:
        return FAULT_openat2;
    case SYS_clone:
        return FAULT_clone;
    case SYS_execveat:
        return FAULT_execveat;
    case SYS_pidfd_open:
        return FAULT_pidfd_open;
    default:
        return FAULT_NO_CALL;
    }
}

long __real_syscall(long number, ...);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    enum fault_call call = call_of(number);
    if (call != FAULT_NO_CALL && failing(call, __builtin_return_address(0)) != NULL) {
        return -1;
    }
    return __real_syscall(number, a, b, c, d, e, f);
}

/* A pid of -1, of a fork that failed, means every process of the machine: nobody else is to pay for such a fault. */
int __real_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number);
int __wrap_kill(pid_t pid, int number)
{
    if (pid <= 0) {
        abort();
    }
    return __real_kill(pid, number);
}

/* ---- libconfuse ---- */

/* It does not look whether it was given memory (3.3): who is told that there is none dies in it, and is succeeded. That
 * is known, and would hide everything else. */
cfg_t *__real_cfg_init(cfg_opt_t *options, cfg_flag_t flags);
cfg_t *__wrap_cfg_init(cfg_opt_t *options, cfg_flag_t flags);
cfg_t *__wrap_cfg_init(cfg_opt_t *options, cfg_flag_t flags)
{
    in_libconfuse = true;
    cfg_t *made = __real_cfg_init(options, flags);
    in_libconfuse = false;
    return made;
}

int __real_cfg_parse_buf(cfg_t *cfg, const char *text);
int __wrap_cfg_parse_buf(cfg_t *cfg, const char *text);
int __wrap_cfg_parse_buf(cfg_t *cfg, const char *text)
{
    in_libconfuse = true;
    int result = __real_cfg_parse_buf(cfg, text);
    in_libconfuse = false;
    return result;
}

/* ---- the clock that people read ---- */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    if (plan != NULL && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        now->tv_sec += plan->clock_jump_s;
    }
    return result;
}

time_t __real_time(time_t *now);
time_t __wrap_time(time_t *now);
time_t __wrap_time(time_t *now)
{
    time_t seconds = __real_time(NULL) + (plan != NULL ? plan->clock_jump_s : 0);
    if (now != NULL) {
        *now = seconds;
    }
    return seconds;
}
