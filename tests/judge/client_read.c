/* client_read.c — a client is answered: every byte that comes is held against what is due. */
#include "tests/judge/client_parts.h"

#include "tests/judge/answer.h"
#include "tests/judge/chance.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    HEAD_BYTES_MAX = 16384,
    BUFFER_BYTES = 256 * 1024,
};

/* All that was owed has come. False if the connection is gone. */
static bool nothing_owed(struct client *client, bool bytes_follow)
{
    if (bytes_follow) {
        client_trouble(client, TROUBLE_EXCESS, "behind the last response that was owed");
        return false;
    }
    if (client->role == ROLE_CLOSE && !chance_one_in(8)) {
        client_leave(client, 0); /* as most do: the length said that it was all, so close first */
        return false;
    }
    if (client->role == ROLE_CLOSE || client->last) {
        client_enter(client, CLIENT_LEAVING);
        client_await(client, EPOLLIN);
        return true;
    }
    if (client->role != ROLE_IDLE || world.ending) {
        return client_ask(client);
    }
    client_enter(client, CLIENT_RESTING);
    wheel_set(client, client->moved_ns + (200 + chance_below(1800)) * MS);
    return true;
}

/* The oldest response owed is whole. False if the connection is gone. */
static bool response_over(struct client *client, bool bytes_follow)
{
    verdict_response(client->role, client->head_whole_bytes + client->body_at);
    client->in_body = false;
    client->first = (uint8_t)((client->first + 1) % PIPELINE_MOST);
    client->owed_count--;
    client->owed_ns = verdict_now_ns();
    if (client->last && client->owed_count > 0) {
        client_leave(client, 0); /* the rest may be asked anew, RFC 9112 section 9.6 */
        return false;
    }
    return client->owed_count > 0 || nothing_owed(client, bytes_follow);
}

/* The head is whole. False if the connection is gone. */
static bool head_over(struct client *client, const char *head, size_t head_bytes)
{
    struct answer answer;
    char words[160];
    struct request *request = client_oldest(client);
    const char *malformed = answer_read(&answer, head, head_bytes);
    enum trouble kind = TROUBLE_BAD_HEAD;
    if (malformed == NULL) {
        kind = answer_judge(&answer, request, words, sizeof words);
    }
    if (kind != TROUBLE_NONE) {
        client_trouble(client, kind, malformed != NULL ? malformed : words);
        return false;
    }
    if (answer.says_close && client->role != ROLE_CLOSE) {
        verdict_announced_close();
        client->last = true;
    }
    if (answer.etag_bytes > 0 && answer.etag_bytes < ETAG_BYTES && answer.status == 200) {
        memcpy(request->file->etag, answer.etag, answer.etag_bytes);
        request->file->etag[answer.etag_bytes] = '\0';
    }
    world.loaded += !client->answered_once;
    client->answered_once = true;
    client->head_whole_bytes = (uint32_t)head_bytes;
    client->in_body = true;
    client->body_at = 0;
    return true;
}

/* Keep the part of a head that has come. Returns how many of the COUNT bytes belong to it, 0 if the connection is gone:
 * the head is malformed then. */
static size_t head_keep(struct client *client, const char *bytes, size_t count)
{
    if (client->head == NULL) {
        client->head = malloc(HEAD_BYTES_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (client->head_bytes == HEAD_BYTES_MAX) {
            client_trouble(client, TROUBLE_BAD_HEAD, "it has no end");
            return 0;
        }
        client->head[client->head_bytes++] = bytes[i];
        if (client->head_bytes >= 4 && memcmp(client->head + client->head_bytes - 4, "\r\n\r\n", 4) == 0) {
            uint32_t whole = client->head_bytes;
            char *head = client->head;
            client->head = NULL;
            client->head_bytes = 0;
            bool alive = head_over(client, head, whole);
            free(head);
            return alive ? i + 1 : 0;
        }
    }
    return count;
}

/* Bytes of a head. Returns how many were taken; 0 if the connection is gone. */
static size_t head_take(struct client *client, const char *bytes, size_t count)
{
    struct request *request = client_oldest(client);
    if (client->head_bytes == 0) {
        if (request->sent_ns == 0) {
            client_trouble(client, TROUBLE_EXCESS, "an answer before the request was sent whole");
            return 0;
        }
        uint64_t since_ns = request->sent_ns > client->owed_ns ? request->sent_ns : client->owed_ns;
        verdict_first_byte(client->moved_ns > since_ns ? client->moved_ns - since_ns : 0);
        const char *end = memmem(bytes, count, "\r\n\r\n", 4);
        if (end != NULL) { /* nearly always it comes in one piece, and need not be copied */
            size_t head_bytes = (size_t)(end - bytes) + 4;
            return head_over(client, bytes, head_bytes) ? head_bytes : 0;
        }
    }
    return head_keep(client, bytes, count);
}

static void wrong_byte(struct client *client, const char *bytes, const char *due)
{
    char words[96];
    size_t i = 0;
    while (bytes[i] == due[i]) {
        i++;
    }
    snprintf(words, sizeof words, "byte %" PRIu64 " of the body is 0x%02x instead of 0x%02x", client->body_at + i,
             (unsigned char)bytes[i], (unsigned char)due[i]);
    client_trouble(client, TROUBLE_WRONG_BYTE, words);
}

/* Bytes of a body. Returns how many were taken; *alive becomes false if the connection is gone. */
static size_t body_take(struct client *client, const char *bytes, size_t count, bool *alive)
{
    const struct request *request = client_oldest(client);
    uint64_t left = answer_body_bytes(request) - client->body_at;
    size_t taken = count < left ? count : (size_t)left;
    if (taken > 0) {
        const char *due = request->file->data + request->from + client->body_at;
        if (memcmp(bytes, due, taken) != 0) {
            wrong_byte(client, bytes, due);
            *alive = false;
            return taken;
        }
    }
    client->body_at += taken;
    if (taken == left) {
        *alive = response_over(client, count > taken);
    }
    return taken;
}

static void take(struct client *client, const char *bytes, size_t count)
{
    bool alive = true;
    uint64_t now_ns = verdict_now_ns();
    if (client->owed_count > 0 && client->role != ROLE_SLOW) {
        uint64_t since_ns = client->moved_ns > client->owed_ns ? client->moved_ns : client->owed_ns;
        verdict_pause(now_ns > since_ns ? now_ns - since_ns : 0);
    }
    client->moved_ns = now_ns;
    while (alive && count > 0) {
        if (client->owed_count == 0) {
            client_trouble(client, TROUBLE_EXCESS, "nothing was owed");
            return;
        }
        size_t taken = client->in_body ? 0 : head_take(client, bytes, count);
        if (!client->in_body && taken == 0) {
            return;
        }
        if (client->in_body) { /* also when the body is empty: then it ends here */
            taken += body_take(client, bytes + taken, count - taken, &alive);
        }
        bytes += taken;
        count -= taken;
    }
}

static size_t reading_limit(struct client *client)
{
    if (client->role != ROLE_SLOW || client->state != CLIENT_EXCHANGING) {
        return BUFFER_BYTES;
    }
    size_t bytes = world.slow_bytes_second * SLOW_READ_MS / 1000;
    return bytes < 1 ? 1 : bytes > BUFFER_BYTES ? BUFFER_BYTES : bytes;
}

void client_read(struct client *client)
{
    static char buffer[BUFFER_BYTES];
    ssize_t got = recv(client->fd, buffer, reading_limit(client), 0);
    if (got > 0) {
        take(client, buffer, (size_t)got);
    } else if (got == 0) {
        client_stream_ended(client);
    } else if (errno == ECONNRESET || errno == EPIPE) {
        char words[96];
        client_describe_place(client, words, sizeof words);
        client_trouble(client, TROUBLE_RESET, words);
    } else if (errno != EAGAIN && errno != EINTR) {
        client_trouble(client, TROUBLE_RESET, strerror(errno));
    }
}
