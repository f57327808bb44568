/* client.c — see client.h. Its states, what goes wrong with it, connecting, events. */
#include "tests/judge/client_parts.h"

#include "tests/judge/chance.h"
#include "tests/judge/die.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    CONNECTING_MOST = 256, /* at once, so that no accept queue is full because of us */
    AGAIN_MS = 20,         /* from a trouble to the next connection */
};

struct client_world world;

/* ---- states ---- */

/* The only place that assigns client->state. */
void client_enter(struct client *client, enum client_state next)
{
    world.connecting += (next == CLIENT_CONNECTING) - (client->state == CLIENT_CONNECTING);
    world.living -= next == CLIENT_DONE && client->state != CLIENT_DONE;
    client->state = next;
    client->moved_ns = verdict_now_ns();
}

void client_await(struct client *client, uint32_t events)
{
    if (client->epoll_events == events) {
        return;
    }
    struct epoll_event event = {.events = events, .data.ptr = client};
    epoll_ctl(world.epoll_fd, EPOLL_CTL_MOD, client->fd, &event);
    client->epoll_events = events;
}

/* What to await besides the wish to write: slow clients read by the clock. */
uint32_t client_reading_events(const struct client *client)
{
    return client->role == ROLE_SLOW && client->state == CLIENT_EXCHANGING ? 0 : EPOLLIN;
}

static void drop_connection(struct client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
        client->fd = -1;
    }
    free(client->text);
    free(client->head);
    client->text = client->head = NULL;
    client->owed_count = 0;
    client->in_body = client->last = client->pausing = false;
    client->head_bytes = 0;
}

void client_leave(struct client *client, uint64_t delay_ms)
{
    drop_connection(client);
    wheel_cancel(client);
    client_enter(client, world.ending ? CLIENT_DONE : CLIENT_APART);
    if (!world.ending) {
        wheel_set(client, verdict_now_ns() + delay_ms * MS);
    }
}

/* ---- trouble ---- */

struct request *client_oldest(struct client *client)
{
    return &client->owed[client->first];
}

void client_trouble(struct client *client, enum trouble kind, const char *details)
{
    char request[512] = "";
    if (client->owed_count > 0) {
        request_describe(client_oldest(client), request, sizeof request);
    }
    verdict_trouble(kind, client->role, request, details);
    client_leave(client, AGAIN_MS);
}

static bool has_begun_to_ask(const struct client *client)
{
    return client->owed_count > 0 && (client->text == NULL || client->text_at > 0);
}

static bool is_mid_response(const struct client *client)
{
    return client->in_body || client->head_bytes > 0;
}

void client_describe_place(const struct client *client, char *words, size_t words_bytes)
{
    if (client->in_body) {
        snprintf(words, words_bytes, "at byte %" PRIu64 " of the body", client->body_at);
    } else {
        snprintf(words, words_bytes, "at byte %u of the head; %u requests unanswered", client->head_bytes,
                 client->owed_count);
    }
}

void client_stream_ended(struct client *client)
{
    char words[96];
    client_describe_place(client, words, sizeof words);
    if (client->state == CLIENT_LEAVING) {
        client_leave(client, 0);
    } else if (is_mid_response(client)) {
        client_trouble(client, TROUBLE_EARLY_EOF, words);
    } else if (has_begun_to_ask(client)) {
        client_trouble(client, TROUBLE_UNANSWERED, words);
    } else {
        client_trouble(client, TROUBLE_CLOSED_IDLE, "");
    }
}

/* ---- connecting ---- */

/* One address has some 28,000 ports to connect from, and each rests a minute in TIME_WAIT: on the loopback there are
 * more addresses. */
static void spread_source(int fd)
{
    const struct sockaddr_in *server = (const struct sockaddr_in *)&world.server;
    static uint32_t turn;
    int on = 1;
    if (world.server.ss_family != AF_INET || ntohl(server->sin_addr.s_addr) >> 24 != 127) {
        return;
    }
    turn++;
    struct sockaddr_in source = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f640001 + turn % 200)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)&source, sizeof source) != 0) {
        die("bind to a source address of the loopback: %s", strerror(errno));
    }
}

static void connection_failed(struct client *client, int number)
{
    switch (number) {
    case EAGAIN: /* an AF_UNIX accept queue is full */
        client_leave(client, AGAIN_MS);
        break;
    case ECONNREFUSED:
    case ENOENT:
        client_trouble(client, TROUBLE_REFUSED, "");
        break;
    case ETIMEDOUT:
        client_trouble(client, TROUBLE_CONNECT_TIMEOUT, "");
        break;
    case ECONNRESET:
        client_trouble(client, TROUBLE_RESET, "while connecting");
        break;
    default:
        die("connect: %s", strerror(number));
    }
}

static void connected(struct client *client)
{
    verdict_connection(client->role);
    client->epoll_events = EPOLLOUT;
    if (client->role == ROLE_IDLE && client->answered_once) {
        client_enter(client, CLIENT_RESTING);
        client_await(client, EPOLLIN);
        wheel_set(client, client->moved_ns + (200 + chance_below(1800)) * MS);
        return;
    }
    client_ask(client);
}

static void client_connect(struct client *client)
{
    int on = 1, room = 65536;
    if (world.connecting >= CONNECTING_MOST) {
        wheel_set(client, verdict_now_ns() + MS);
        return;
    }
    client->fd = socket(world.server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        die("socket: %s", strerror(errno));
    }
    if (world.server.ss_family != AF_UNIX) {
        setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        spread_source(client->fd);
    }
    if (client->role == ROLE_SLOW) {
        setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    client_enter(client, CLIENT_CONNECTING);
    if (connect(client->fd, (const struct sockaddr *)&world.server, world.server_bytes) != 0 && errno != EINPROGRESS) {
        connection_failed(client, errno);
        return;
    }
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = client};
    epoll_ctl(world.epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
}

static void connecting_event(struct client *client)
{
    int number = 0;
    socklen_t length = sizeof number;
    getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &number, &length);
    if (number != 0) {
        connection_failed(client, number);
    } else {
        connected(client);
    }
}

/* ---- events ---- */

void client_begin(struct client *client, enum role role, uint64_t at_ns)
{
    *client = (struct client){.fd = -1, .role = role, .state = CLIENT_APART};
    world.living++;
    wheel_set(client, at_ns);
}

void client_event(struct client *client, uint32_t events)
{
    if (client->fd < 0) {
        return; /* given up earlier in this batch of events */
    }
    if (client->state == CLIENT_CONNECTING) {
        connecting_event(client);
        return;
    }
    if ((events & EPOLLOUT) != 0 && client->text != NULL && !client->pausing) {
        client_send_more(client);
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        client_read(client);
    }
}

static void exchanging_wake(struct client *client)
{
    if (client->pausing) {
        client_send_more(client);
    } else if (client->role == ROLE_SLOW) {
        wheel_set(client, verdict_now_ns() + SLOW_READ_MS * MS);
        client_read(client);
    }
}

void client_wake(struct client *client)
{
    switch (client->state) {
    case CLIENT_APART:
        client_connect(client);
        break;
    case CLIENT_RESTING:
        client_ask(client);
        break;
    case CLIENT_EXCHANGING:
        exchanging_wake(client);
        break;
    case CLIENT_CONNECTING:
    case CLIENT_LEAVING:
    case CLIENT_DONE:
        break;
    }
}

void client_check_patience(struct client *client, uint64_t now_ns)
{
    char words[96];
    bool waits =
        client->state == CLIENT_CONNECTING || client->state == CLIENT_EXCHANGING || client->state == CLIENT_LEAVING;
    if (!waits || now_ns < client->moved_ns + world.patience_ns) {
        return;
    }
    if (client->state == CLIENT_CONNECTING) {
        client_trouble(client, TROUBLE_CONNECT_TIMEOUT, "");
    } else if (client->state == CLIENT_LEAVING) {
        client_trouble(client, TROUBLE_TIMEOUT, "the server does not close behind its last response");
    } else {
        client_describe_place(client, words, sizeof words);
        client_trouble(client, TROUBLE_TIMEOUT, words);
    }
}

void client_end(struct client *client)
{
    bool finishes = client->state == CLIENT_EXCHANGING && client->role != ROLE_DOWNLOAD && client->role != ROLE_SLOW;
    if (client->state != CLIENT_DONE && !finishes) {
        client_leave(client, 0);
    }
}
