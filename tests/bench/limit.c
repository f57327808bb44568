/* limit.c — what the kernel allows: preforked epoll workers that answer every read with the same canned bytes.
 *
 *     limit --host 127.0.0.1 --port 8000 --bytes 1024 --workers 2 [--announce | --close]
 *
 * No parsing and no files: two system calls per request, and a wait for as many as are ready. What a server needs above
 * that is its own doing. With --announce the response says Connection: close, and the client is waited for; with
 * --close it says so, too, and the worker closes at once. Ended by any signal; the workers go with their parent. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST_BYTES 16384 /* more than any request of the loads; a pipeline of them would get one answer */
#define EVENTS        256
#define BACKLOG       4096

static struct {
    char *bytes;
    size_t size;
    bool is_last; /* of its connection: close behind it */
} answer;

/* By descriptor: how much of the answer is still to be sent. 0: the client has the turn. */
static size_t *left;
static size_t descriptors_max;

struct orders {
    struct sockaddr_in address;
    size_t body_bytes;
    int workers;
    bool announce, close;
};

/* ---- the answer ---- */

/* A head like those that servers give, so that as many bytes are sent. */
static void make_answer(const struct orders *orders)
{
    char head[512];
    int size = snprintf(
        head, sizeof head,
        "HTTP/1.1 200 OK\r\nServer: limit\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
        "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n"
        "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\nETag: \"0-0\"\r\nAccept-Ranges: bytes\r\n%s\r\n",
        orders->body_bytes, orders->announce || orders->close ? "Connection: close\r\n" : "Keep-Alive: timeout=64\r\n");
    answer.size = (size_t)size + orders->body_bytes;
    answer.is_last = orders->close;
    if (!(answer.bytes = calloc(1, answer.size)))
        err(2, "an answer of %zu bytes", answer.size);
    memcpy(answer.bytes, head, (size_t)size);
}

/* ---- a worker ---- */

static void watch(int epoll, int act, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, act, fd, &event) != 0)
        err(2, "epoll_ctl");
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if ((size_t)fd >= descriptors_max)
            errx(2, "descriptor %d, of %zu", fd, descriptors_max);
        left[fd] = 0;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

/* Sends what is left of the answer to FD, and waits for room or for the next request, whichever it then needs. */
static void send_rest(int epoll, int fd, bool was_waiting)
{
    ssize_t sent = send(fd, answer.bytes + answer.size - left[fd], left[fd], MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        close(fd);
        return;
    }
    left[fd] -= sent > 0 ? (size_t)sent : 0;
    if (left[fd] == 0 && answer.is_last)
        close(fd);
    else if (left[fd] > 0 && !was_waiting)
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT);
    else if (left[fd] == 0 && was_waiting)
        watch(epoll, EPOLL_CTL_MOD, fd, EPOLLIN);
}

static void step(int epoll, int fd)
{
    static char request[REQUEST_BYTES];
    if (left[fd] > 0) {
        send_rest(epoll, fd, true);
        return;
    }
    ssize_t size = recv(fd, request, sizeof request, 0);
    if (size > 0) {
        left[fd] = answer.size;
        send_rest(epoll, fd, false);
    } else if (size == 0 || errno != EAGAIN) {
        close(fd);
    }
}

static _Noreturn void work(int listener)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        err(2, "epoll_create1");
    watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLEXCLUSIVE);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        if (count < 0 && errno != EINTR)
            err(2, "epoll_wait");
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                step(epoll, events[i].data.fd);
        }
    }
}

/* ---- start ---- */

static void make_room(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    descriptors_max = limit.rlim_max;
    if (!(left = calloc(descriptors_max, sizeof *left)))
        err(2, "room for %zu descriptors", descriptors_max);
}

static int listen_on(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        err(2, "socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (const struct sockaddr *)address, sizeof *address) != 0 || listen(fd, BACKLOG) != 0)
        err(2, "listen on port %d", ntohs(address->sin_port));
    return fd;
}

static void fork_workers(int count, int listener)
{
    pid_t parent = getpid();
    while (count-- > 0) {
        pid_t pid = fork();
        if (pid < 0)
            err(2, "fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent) /* it died before that call */
                _exit(0);
            work(listener);
        }
    }
}

static void usage(void)
{
    fputs("usage: limit --host ADDRESS --port PORT [--bytes 1024] [--workers 1] [--announce | --close]\n", stderr);
    exit(2);
}

static struct orders read_orders(int count, char **words)
{
    static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"bytes", required_argument, NULL, 'b'},
                                            {"workers", required_argument, NULL, 'w'},
                                            {"announce", no_argument, NULL, 'a'},
                                            {"close", no_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    struct orders orders = {.address.sin_family = AF_INET, .body_bytes = 1024, .workers = 1};
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (option == 'h' && inet_pton(AF_INET, optarg, &orders.address.sin_addr) == 1)
            continue;
        if (option == 'p')
            orders.address.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
        else if (option == 'b')
            orders.body_bytes = strtoul(optarg, NULL, 10);
        else if (option == 'w')
            orders.workers = (int)strtoul(optarg, NULL, 10);
        else if (option == 'a')
            orders.announce = true;
        else if (option == 'c')
            orders.close = true;
        else
            usage();
    }
    if (orders.address.sin_port == 0 || orders.workers < 1 || optind != count)
        usage();
    return orders;
}

int main(int count, char **words)
{
    struct orders orders = read_orders(count, words);
    make_answer(&orders);
    make_room();
    fork_workers(orders.workers, listen_on(&orders.address));
    wait(NULL); /* a worker ends only for what it said on standard error; then so do all */
    return 2;
}
