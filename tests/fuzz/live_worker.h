/* live_worker.h — a live worker in a fuzz target's own process, on unit tests' fixture: made once, reset for each
 * input; and TCP connections to it that leave nothing behind. */
#ifndef PERDURE_TESTS_FUZZ_LIVE_WORKER_H
#define PERDURE_TESTS_FUZZ_LIVE_WORKER_H

#include "tests/fuzz/target.h"
#include "tests/unit/worker/fixture.h"
#include "worker/connection.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    SLOTS = 64,
    FIRST_FD = 16, /* below are the driver's, or nobody's: so that numbers in inputs mean the same to all drivers */
    LISTENER_FD = 100,
    DRIVERS_MOST = 256,
    SOCKET_BYTES = 4096, /* so that a response soon waits for its client */
    PATIENCE_MS = 3000,
};

static struct fixture f;
static pid_t maker;
static struct sockaddr_in address;
static bool is_drivers[DRIVERS_MOST];

static inline void remove_site(void)
{
    if (getpid() == maker) {
        fixture_remove_site(&f);
    }
}

static inline void occupy_low_numbers(void)
{
    for (int fd = 0; fd < FIRST_FD; fd++) {
        if (fcntl(fd, F_GETFD) < 0) {
            check(open("/dev/null", O_RDWR | O_CLOEXEC) == fd);
        }
    }
    for (int fd = STDERR_FILENO + 1; fd < DRIVERS_MOST; fd++) {
        is_drivers[fd] = fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
    }
}

static inline void open_listener(void)
{
    int bytes = SOCKET_BYTES, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof address;
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    check(bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, 1) == 0);
    check(getsockname(fd, (struct sockaddr *)&address, &length) == 0 && dup2(fd, LISTENER_FD) == LISTENER_FD);
    close(fd);
}

/* Call it at each input. Not in LLVMFuzzerInitialize: libFuzzer opens descriptors of its own after that. True at the
 * first. */
static inline bool open_live_worker(void)
{
    if (maker != 0) {
        return false;
    }
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    occupy_low_numbers();
    open_listener();
    fixture_open(&f, SLOTS);
    maker = getpid();
    check(atexit(remove_site) == 0);
    return true;
}

/* ---- deaths: in front of a system call by which others, or the kernel, see how far the worker is; or behind it ----
 */

static jmp_buf death;
static bool is_working;     /* the worker has the processor, not we */
static unsigned calls_left; /* until it dies; 0: it does not */

static inline void may_die(void)
{
    if (is_working && calls_left > 0 && --calls_left == 0) {
        longjmp(death, 1);
    }
}

/* Between two moments at which it may die. */
static inline long call(long number, long a, long b, long c, long d, long e)
{
    may_die();
    long result = syscall(number, a, b, c, d, e, 0L);
    int saved = errno;
    may_die();
    errno = saved;
    return result;
}

/* These take the place of libc's. */
ssize_t recv(int fd, void *bytes, size_t count, int flags)
{
    return call(SYS_recvfrom, fd, (long)bytes, (long)count, flags, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    return call(SYS_sendmsg, fd, (long)message, flags, 0, 0);
}

ssize_t sendfile(int fd, int file, off_t *at, size_t count)
{
    return call(SYS_sendfile, fd, file, (long)at, (long)count, 0);
}

int shutdown(int fd, int how)
{
    return (int)call(SYS_shutdown, fd, how, 0, 0, 0);
}

static inline bool is_socket(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 && S_ISSOCK(facts.st_mode);
}

/* Of the driver's descriptors a worker after an exec would know nothing. And nobody else sees that a file was closed:
 * to die there would only lose memory, which a process that dies does not. */
int close(int fd)
{
    if (fd >= 0 && fd < DRIVERS_MOST && is_drivers[fd]) {
        errno = EBADF;
        return -1;
    }
    return is_socket(fd) ? (int)call(SYS_close, fd, 0, 0, 0, 0) : (int)syscall(SYS_close, fd);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    return (int)call(SYS_epoll_ctl, epoll, operation, fd, (long)event, 0);
}

/* No port is left in TIME_WAIT by its end. */
static inline void reset_at_close(int fd)
{
    const struct linger none = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static inline int join(int *accepted)
{
    int bytes = SOCKET_BYTES, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    /* libFuzzer's alarm may come meanwhile; connect(2) goes on where it was. */
    check(TEMP_FAILURE_RETRY(connect(fd, (struct sockaddr *)&address, sizeof address)) == 0);
    *accepted = accept4(LISTENER_FD, NULL, NULL, SOCK_NONBLOCK);
    check(*accepted >= 0);
    reset_at_close(fd);
    return fd;
}

/* One turn of the worker's loop. True if there was something to do. */
static inline bool turn(void)
{
    struct epoll_event events[16];
    int count = epoll_wait(f.w.birth.epoll_fd, events, 16, 0);
    f.w.now = clock_now();
    for (int i = 0; i < count; i++) {
        connection_step(&f.w, events[i].data.fd);
    }
    return count > 0;
}

/* A fresh one, with a cell of its own. Whatever is open was forgotten by the dead. */
static inline void reset_live_worker(void)
{
    for (int fd = FIRST_FD; fd < SLOTS; fd++) {
        close(fd);
    }
    fixture_reset(&f);
}

#endif
