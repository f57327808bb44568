/* pacer.c — asks for one target at a steady rate, on connections that it keeps, and tells how long answers took.
 *
 *     pacer --host 127.0.0.1 --port 8000 --target /1k.bin [--connections 64] [--rate 20000] [--seconds 2]
 *
 * A request has a time at which it is due, and its answer's time counts from there, whether a connection was free then
 * or not: a server that pauses is charged with all who had to wait, not only with those that it happened to keep
 * waiting. So h2load --rps does not count (and asks but half as fast). Without --rate: as fast as the server answers.
 * Prints one line of JSON. Exit 2: a connection failed, or an answer was none of status 200. */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S    1000000000ull
#define UNPACED_MAX 2000000.0 /* answers per second that there is room for, without --rate */
#define EVENTS      256

struct client {
    int fd;
    uint64_t due_ns;   /* when what it asks for was due */
    size_t head_bytes; /* of its answer's head that are in head[], until left is known */
    size_t left;       /* of its answer that are still to come; only once the head is whole */
    bool is_in_body;
    char head[2048];
    struct client *next_idle;
};

static struct orders {
    struct sockaddr_in address;
    const char *target;
    unsigned connections;
    double rate, seconds;
} orders = {.target = "/", .connections = 64, .seconds = 2};

static char request[1024];
static size_t request_size;
/* Who has no answer to come, longest idle first: so that all take part, however slow the pace. */
static struct {
    struct client *first, **end;
} idle = {NULL, &idle.first};
static struct {
    uint32_t *us;
    size_t count, max;
} answers;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* ---- a client ---- */

static void ask(struct client *client, uint64_t due_ns)
{
    client->due_ns = due_ns;
    client->head_bytes = 0;
    client->is_in_body = false;
    if (send(client->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size)
        err(2, "send");
}

static void rest(struct client *client)
{
    client->next_idle = NULL;
    *idle.end = client;
    idle.end = &client->next_idle;
}

static struct client *take_idle(void)
{
    struct client *client = idle.first;
    idle.first = client->next_idle;
    if (!idle.first)
        idle.end = &idle.first;
    return client;
}

static void answered(struct client *client)
{
    if (answers.count < answers.max)
        answers.us[answers.count++] = (uint32_t)((now_ns() - client->due_ns) / 1000);
    rest(client);
}

/* What head[] has: once it is the whole head, how much of the body is still to come. */
static void look_at_head(struct client *client)
{
    client->head[client->head_bytes] = 0;
    char *end = strstr(client->head, "\r\n\r\n");
    if (!end) {
        if (client->head_bytes == sizeof client->head - 1)
            errx(2, "a head of more than %zu bytes", client->head_bytes);
        return;
    }
    char *length = strcasestr(client->head, "\r\nContent-Length:");
    if (strncmp(client->head, "HTTP/1.1 200", 12) != 0 || !length || length > end)
        errx(2, "no answer of status 200 with its length: %.40s", client->head);
    size_t body = strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
    size_t here = client->head_bytes - (size_t)(end + 4 - client->head);
    if (here > body)
        errx(2, "%zu bytes too many", here - body);
    client->left = body - here;
    client->is_in_body = true;
}

static void read_answer(struct client *client)
{
    static char body[1 << 18];
    char *place = client->is_in_body ? body : client->head + client->head_bytes;
    size_t room = client->is_in_body ? sizeof body : sizeof client->head - 1 - client->head_bytes;
    ssize_t size = recv(client->fd, place, room, 0);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0)
        errx(2, "the server closed a connection that was to be kept");
    if (client->is_in_body) {
        client->left -= (size_t)size;
    } else {
        client->head_bytes += (size_t)size;
        look_at_head(client);
    }
    if (client->is_in_body && client->left == 0)
        answered(client);
}

static void connect_all(int epoll)
{
    struct client *clients = calloc(orders.connections, sizeof *clients);
    if (!clients)
        err(2, "%u clients", orders.connections);
    for (unsigned i = 0; i < orders.connections; i++) {
        struct client *client = &clients[i];
        client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&orders.address, sizeof orders.address) != 0)
            err(2, "connect");
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
            err(2, "epoll_ctl");
        rest(client);
    }
}

/* ---- the pace ---- */

/* When request NUMBER is due; without a rate, as soon as somebody can ask. */
static uint64_t due_ns(uint64_t began_ns, uint64_t number, uint64_t now)
{
    return orders.rate > 0 ? began_ns + (uint64_t)((double)number * (double)NS_PER_S / orders.rate) : now;
}

/* Waits for answers, but not beyond the time at which the next request is due and a client has the time to ask. */
static void wait_and_read(int epoll, uint64_t until_ns)
{
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), wait_ns = until_ns > now ? until_ns - now : 0;
    struct timespec patience = {.tv_sec = (time_t)(wait_ns / NS_PER_S), .tv_nsec = (long)(wait_ns % NS_PER_S)};
    int count = epoll_pwait2(epoll, events, EVENTS, &patience, NULL);
    if (count < 0 && errno != EINTR)
        err(2, "epoll_pwait2");
    for (int i = 0; i < count; i++)
        read_answer(events[i].data.ptr);
}

static uint64_t run(int epoll)
{
    uint64_t began_ns = now_ns(), end_ns = began_ns + (uint64_t)(orders.seconds * (double)NS_PER_S), next = 0;
    for (uint64_t now = began_ns; now < end_ns; now = now_ns()) {
        uint64_t due = due_ns(began_ns, next, now);
        while (idle.first && due <= now) {
            ask(take_idle(), due);
            due = due_ns(began_ns, ++next, now);
        }
        wait_and_read(epoll, idle.first && due < end_ns ? due : end_ns);
    }
    return now_ns() - began_ns;
}

/* ---- the figures ---- */

static int by_size(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static uint32_t percentile(unsigned percent)
{
    return answers.us[(answers.count - 1) * percent / 100];
}

static void tell(uint64_t took_ns)
{
    if (answers.count == 0)
        errx(2, "no answer at all");
    qsort(answers.us, answers.count, sizeof *answers.us, by_size);
    printf("{\"requests\": %zu, \"seconds\": %.6f, \"p50_us\": %u, \"p99_us\": %u}\n", answers.count,
           (double)took_ns / (double)NS_PER_S, percentile(50), percentile(99));
}

/* ---- start ---- */

static void usage(void)
{
    fputs("usage: pacer --host ADDRESS --port PORT [--target /] [--connections 64] [--rate R] [--seconds 2]\n", stderr);
    exit(2);
}

static void read_orders(int count, char **words)
{
    static const struct option options[] = {{"host", required_argument, NULL, 'h'},
                                            {"port", required_argument, NULL, 'p'},
                                            {"target", required_argument, NULL, 't'},
                                            {"connections", required_argument, NULL, 'c'},
                                            {"rate", required_argument, NULL, 'r'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {NULL, 0, NULL, 0}};
    orders.address.sin_family = AF_INET;
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (option == 'h' && inet_pton(AF_INET, optarg, &orders.address.sin_addr) == 1)
            continue;
        if (option == 'p')
            orders.address.sin_port = htons((uint16_t)strtoul(optarg, NULL, 10));
        else if (option == 't')
            orders.target = optarg;
        else if (option == 'c')
            orders.connections = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'r')
            orders.rate = strtod(optarg, NULL);
        else if (option == 's')
            orders.seconds = strtod(optarg, NULL);
        else
            usage();
    }
    if (orders.address.sin_port == 0 || orders.connections == 0 || orders.seconds <= 0 || optind != count)
        usage();
}

int main(int count, char **words)
{
    read_orders(count, words);
    answers.max = (size_t)((orders.rate > 0 ? orders.rate : UNPACED_MAX) * orders.seconds) + 1;
    if (!(answers.us = malloc(answers.max * sizeof *answers.us)))
        err(2, "room for %zu answers", answers.max);
    request_size =
        (size_t)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", orders.target);
    if (request_size >= sizeof request)
        errx(2, "the target is too long");
    prctl(PR_SET_TIMERSLACK, 1); /* the default, 50 us, would be late by more than an answer takes */
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0)
        err(2, "epoll_create1");
    connect_all(epoll);
    tell(run(epoll));
    return 0;
}
