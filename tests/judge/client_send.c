/* client_send.c — a client asks: composes requests and sends them, in pieces if that is its role. */
#include "tests/judge/client_parts.h"

#include "tests/judge/chance.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static struct file *any_file(void)
{
    return &world.corpus.files[chance_below(world.corpus.small_count)];
}

static struct file *choose_file(enum role role)
{
    return role == ROLE_DOWNLOAD || role == ROLE_SLOW ? world.corpus.largest : any_file();
}

static enum request_manner manner_of(enum role role)
{
    switch (role) {
    case ROLE_KEEPALIVE:
    case ROLE_IDLE:
    case ROLE_PIPELINE:
    case ROLE_TRICKLE:
        return REQUEST_VARIED;
    case ROLE_CLOSE:
        return REQUEST_LAST;
    case ROLE_DOWNLOAD:
    case ROLE_SLOW:
    case ROLES:
        break;
    }
    return REQUEST_PLAIN;
}

static uint32_t piece_bytes(const struct client *client)
{
    uint32_t left = client->text_bytes - client->text_at;
    if (client->role == ROLE_TRICKLE) {
        return 1;
    }
    if (client->role == ROLE_PIPELINE && chance_one_in(2)) {
        return 1 + (uint32_t)chance_below(left);
    }
    return left;
}

/* The pause before the next piece; trickling takes about a second for a request of a hundred bytes. */
static uint64_t pause_ns(const struct client *client)
{
    return client->role == ROLE_TRICKLE ? 8 * MS : chance_below(30) * MS;
}

static void note_sent(struct client *client)
{
    for (unsigned i = 0; i < client->owed_count; i++) {
        struct request *request = &client->owed[(client->first + i) % PIPELINE_MOST];
        if (request->sent_ns == 0 && client->text_at >= request->text_end) {
            request->sent_ns = client->moved_ns;
        }
    }
}

/* Send the piece, as much as goes. An error is left to be found by reading: there may be an answer before it. */
static void send_piece(struct client *client, const char *text)
{
    ssize_t sent = send(client->fd, text + client->text_at, client->piece_end - client->text_at, MSG_NOSIGNAL);
    if (sent > 0) {
        client->text_at += (uint32_t)sent;
        client->moved_ns = verdict_now_ns();
        note_sent(client);
    }
}

static void after_piece(struct client *client)
{
    if (client->text_at < client->piece_end) {
        client_await(client, EPOLLOUT | client_reading_events(client));
        return;
    }
    client_await(client, client_reading_events(client));
    if (client->text_at < client->text_bytes) {
        client->pausing = true;
        wheel_set(client, client->moved_ns + pause_ns(client));
        return;
    }
    free(client->text);
    client->text = NULL;
}

void client_send_more(struct client *client)
{
    client->pausing = false;
    if (client->text_at == client->piece_end) {
        client->piece_end += piece_bytes(client);
    }
    send_piece(client, client->text);
    after_piece(client);
}

/* Compose requests one behind the other; returns the bytes of TEXT. */
static uint32_t compose(struct client *client, char *text)
{
    uint32_t bytes = 0;
    unsigned count = client->role == ROLE_PIPELINE ? 1 + (unsigned)chance_below(PIPELINE_MOST) : 1;
    client->first = 0;
    client->owed_count = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        bytes += (uint32_t)request_compose(&client->owed[i], choose_file(client->role), manner_of(client->role),
                                           world.host, text + bytes);
        client->owed[i].text_end = bytes;
    }
    return bytes;
}

bool client_ask(struct client *client)
{
    static char text[PIPELINE_MOST * REQUEST_BYTES_MAX];
    if (world.ending) {
        client_leave(client, 0);
        return false;
    }
    wheel_cancel(client);
    client_enter(client, CLIENT_EXCHANGING);
    client->owed_ns = client->moved_ns;
    client->text_bytes = compose(client, text);
    client->text_at = 0;
    client->piece_end = piece_bytes(client);
    send_piece(client, text);
    if (client->text_at < client->text_bytes) {
        client->text = malloc(client->text_bytes);
        memcpy(client->text, text, client->text_bytes);
    }
    after_piece(client);
    if (client->role == ROLE_SLOW) {
        wheel_set(client, client->moved_ns + SLOW_READ_MS * MS);
    }
    return true;
}
