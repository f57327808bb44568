/* send.c — a response's bytes to the client: memory by sendmsg(2), file by sendfile(2). See connection.h.
 *
 * Where to go on is always a difference of two counts, sent - out_from, so it is the same after a succession. */
#include "worker/connection.h"

#include "supervisor/inherit/log.h"
#include "worker/shortage.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* The most a connection sends in one turn, so that a fast reader of a big file does not keep the others waiting. */
enum { TURN_BYTES = 1024 * 1024 };

static uint64_t position(const struct connection *c)
{
    return c->at.sent - c->work.out_from;
}

static uint64_t whole(const struct connection *c)
{
    return c->work.memory_bytes + c->work.file_bytes;
}

/* What is left of the memory stretch, and of the file if this step has its bytes in memory. Returns how many pieces. */
static int gather(const struct connection *c, struct iovec pieces[2])
{
    uint64_t at = position(c);
    int count = 0;
    if (at < c->work.memory_bytes) {
        pieces[count++] =
            (struct iovec){.iov_base = c->desk->out + c->work.memory_at + at, .iov_len = c->work.memory_bytes - at};
        at = c->work.memory_bytes;
    }
    uint64_t in_file = at - c->work.memory_bytes;
    if (c->file_memory != NULL && in_file < c->work.file_bytes) {
        pieces[count++] = (struct iovec){.iov_base = (void *)(uintptr_t)(c->file_memory + c->work.file_at + in_file),
                                         .iov_len = c->work.file_bytes - in_file};
    }
    return count;
}

/* One system call, for *ASKED bytes. Returns bytes sent, or -1 with errno; 0 only if the file ends too early. */
static ssize_t send_piece(const struct connection *c, uint64_t *asked)
{
    struct iovec pieces[2];
    int count = gather(c, pieces);
    if (count > 0) {
        *asked = pieces[0].iov_len + (count > 1 ? pieces[1].iov_len : 0);
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
        bool file_follows = c->file_memory == NULL && c->work.file_bytes > 0;
        return sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | (file_follows ? MSG_MORE : 0));
    }
    uint64_t in_file = position(c) - c->work.memory_bytes;
    uint64_t left = c->work.file_bytes - in_file;
    off_t at = (off_t)(c->work.file_at + in_file);
    *asked = left < TURN_BYTES ? left : TURN_BYTES;
    return sendfile(c->fd, c->work.file_fd, &at, *asked);
}

/* The next part of a multipart answer becomes what is going out. False if there is none. */
static bool next_part(struct connection *c)
{
    if (c->work.part + 1 >= c->work.parts) {
        return false;
    }
    c->work.part++;
    struct desk_part part = c->desk->part[c->work.part];
    if (part.memory_bytes > DESK_OUT_BYTES || part.memory_at > DESK_OUT_BYTES - part.memory_bytes ||
        part.file_at > INT64_MAX || part.file_bytes > INT64_MAX - part.file_at) {
        return false;
    }
    c->work.out_from = c->at.sent;
    c->work.memory_at = part.memory_at;
    c->work.memory_bytes = part.memory_bytes;
    c->work.file_at = part.file_at;
    c->work.file_bytes = part.file_bytes;
    return true;
}

/* Wait for room in the socket instead of for a request. */
static void watch_for_room(struct worker *w, struct connection *c)
{
    if ((c->at.flags & SLOT_WRITABLE) == 0) {
        c->at.flags |= SLOT_WRITABLE | SLOT_BEHIND;
        worker_watch(w, c->fd, EPOLL_CTL_MOD, EPOLLOUT);
    }
}

static void note_progress(struct worker *w, struct connection *c, uint64_t bytes)
{
    c->at.sent += bytes;
    if (c->work.head_at >= c->work.tried_at) {
        c->work.flags &= ~(uint32_t)DESK_TRIED; /* it got somewhere: no longer a suspect */
    }
    w->cell.header->counters.bytes_sent += bytes;
}

static enum sent send_failed(struct worker *w, struct connection *c, ssize_t result)
{
    if (result == 0) {
        log_warn("connection %d: sending a response: the file became shorter meanwhile", c->fd);
        return SENT_GONE;
    }
    if (shortage_is(errno)) {
        c->at.flags |= SLOT_WRITABLE;
        shortage_note(w, c);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        watch_for_room(w, c);
    } else {
        return SENT_GONE;
    }
    connection_publish(c);
    return SENT_SOME;
}

enum sent send_on(struct worker *w, struct connection *c)
{
    uint64_t this_turn = 0;
    bool is_full = false;
    for (;;) {
        if (position(c) == whole(c)) {
            if (!next_part(c)) {
                return SENT_ALL;
            }
            continue;
        }
        if (is_full || this_turn >= TURN_BYTES) {
            watch_for_room(w, c);
            connection_publish(c);
            return SENT_SOME;
        }
        uint64_t asked;
        ssize_t sent = send_piece(c, &asked);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent <= 0) {
            return send_failed(w, c, sent);
        }
        note_progress(w, c, (uint64_t)sent);
        this_turn += (uint64_t)sent;
        is_full = (uint64_t)sent < asked; /* which to try once more would only say again */
    }
}
