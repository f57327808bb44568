/* live_worker.h — a live worker in a fuzz target's own process, on unit tests' fixture: made once, reset for each
 * input; and TCP connections to it that leave nothing behind. */
#ifndef PERDURE_TESTS_FUZZ_LIVE_WORKER_H
#define PERDURE_TESTS_FUZZ_LIVE_WORKER_H

#include "tests/fuzz/target.h"
#include "tests/unit/worker/fixture.h"
#include "worker/connection.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SLOTS = 64,
    FIRST_FD = 16, /* below are the driver's, or nobody's: so that numbers in inputs mean the same to all drivers */
    LISTENER_FD = 100,
    SOCKET_BYTES = 4096, /* so that a response soon waits for its client */
    PATIENCE_MS = 3000,
};

static struct fixture f;
static pid_t maker;
static struct sockaddr_in address;

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
    /* The driver's own are nobody's business: as if an exec had closed them. */
    for (int fd = STDERR_FILENO + 1; fd < SLOTS; fd++) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
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

/* For LLVMFuzzerInitialize. */
static inline void open_live_worker(void)
{
    setenv("CMOCKA_TEST_ABORT", "1", 1);
    occupy_low_numbers();
    open_listener();
    fixture_open(&f, SLOTS);
    maker = getpid();
    check(atexit(remove_site) == 0);
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
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
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

#endif
