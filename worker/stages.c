/* stages.c — what a connection does next: one small function per stage, from its first byte to its end.
 *
 * A connection's life, in stages (cell.h says what each waits for):
 *
 *     IDLE -> HEAD -> [CONTINUE ->] [BODY ->] RESPOND -> IDLE ...
 *                                             RESPOND -> [PARTING ->] [LINGER ->] closed
 *
 * The loop calls connection_step() when the epoll set reports the descriptor; a successor calls it once for each
 * connection that it finds in any stage but IDLE, because no event may come for what is buffered already. */
#include "worker/connection.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/log.h"
#include "worker/access_log.h"
#include "worker/limits.h"
#include "worker/patience.h"
#include "worker/proxy_protocol.h"
#include "worker/shortage.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    DRAIN_BYTES = 16 * 1024,
    LINGER_KIB_MOST = 32 * 1024, /* thrown away for one connection; what is less than a KiB counts as one */
};

/* What comes after a stage's function. */
enum onward {
    ONWARD_GO,    /* the stage has changed: go on with it */
    ONWARD_WAIT,  /* nothing more can be done now */
    ONWARD_ENDED, /* the connection is gone */
};

enum received {
    RECEIVED_SOME,
    RECEIVED_NONE, /* nothing has come yet */
    RECEIVED_END,  /* EOF or reset: no more will come */
};

/* ---- reading ---- */

static const char *in_work(const struct connection *c)
{
    return c->desk->in + c->work.head_at;
}

/* Read once to where the published facts say that the next byte goes. */
static enum received receive(struct worker *w, struct connection *c)
{
    ssize_t got;
    do {
        got = recv(c->fd, c->desk->in + c->work.fill_at, DESK_IN_BYTES - c->work.fill_at, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && shortage_is(errno)) {
        shortage_note(w, c);
        connection_publish(c);
        return RECEIVED_NONE;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return RECEIVED_NONE;
    }
    if (got <= 0) {
        return RECEIVED_END;
    }
    c->work.fill_at += (uint32_t)got;
    c->at.received += (uint64_t)got;
    return RECEIVED_SOME;
}

/* The request in work does not fit behind those that were answered: carry it over to a desk where it is the first. The
 * old desk stays untouched until the new one is published. */
static void move_to_fresh_desk(struct worker *w, struct connection *c)
{
    int32_t old = c->at.desk;
    uint32_t shift = c->work.head_at;
    int32_t number = desks_borrow(&w->desks);
    struct desk *desk = cell_desk(&w->cell, number);
    check(desk != NULL && c->desk != NULL);
    memcpy(desk->in, c->desk->in + shift, c->work.fill_at - shift);
    c->work.head_at = 0;
    c->work.next_at -= shift;
    c->work.fill_at -= shift;
    c->work.tried_at = (uint16_t)(c->work.tried_at > shift ? c->work.tried_at - shift : 0);
    w->cell.header->in_hand_at = 0;
    c->at.desk = number;
    c->desk = desk;
    connection_publish(c);
    desks_give_back(&w->desks, old);
}

static void make_room(struct worker *w, struct connection *c)
{
    if (c->work.fill_at == DESK_IN_BYTES && c->work.head_at > 0) {
        move_to_fresh_desk(w, c);
    }
}

static void give_back_desk(struct worker *w, struct connection *c)
{
    int32_t old = c->at.desk;
    c->at.desk = -1;
    c->desk = NULL;
    connection_publish(c);
    desks_give_back(&w->desks, old);
}

/* ---- stages ---- */

static enum onward step_idle(struct worker *w, struct connection *c)
{
    c->at.desk = desks_borrow(&w->desks);
    c->desk = cell_desk(&w->cell, c->at.desk);
    c->work = (struct desk_record){.file_fd = -1, .out_from = c->at.sent};
    connection_enter(w, c, STAGE_HEAD);
    /* From here on a byte that the kernel has handed over is a byte in this desk's in[]. */
    connection_publish(c);
    return ONWARD_GO;
}

static enum onward back_to_idle(struct worker *w, struct connection *c)
{
    connection_enter(w, c, STAGE_IDLE);
    give_back_desk(w, c);
    return ONWARD_WAIT;
}

static void begin_body(struct worker *w, struct connection *c, const struct request *request)
{
    c->work.body_kind = (uint8_t)request->body;
    c->work.body_left = request->body == BODY_LENGTH ? request->content_length : 0;
    c->work.body_total = 0;
    c->work.body_line = 0;
    c->work.body_phase = 0;
    connection_enter(w, c, STAGE_BODY);
}

static void begin_continue(struct worker *w, struct connection *c, const struct request *request)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    begin_body(w, c, request);
    memcpy(c->desk->out, interim, sizeof interim - 1);
    c->work.memory_at = 0;
    c->work.memory_bytes = sizeof interim - 1;
    c->work.file_fd = -1;
    c->work.file_bytes = 0;
    c->work.parts = 1;
    c->work.part = 0;
    c->work.out_from = c->at.sent;
    connection_enter(w, c, STAGE_CONTINUE);
}

/* Its address has sent too many in this second. */
static enum onward limit_request(struct worker *w, struct connection *c, const struct request *request)
{
    w->cell.header->counters.limited_requests++;
    if (!w->settings->answer_429) {
        connection_end(w, c, END_US);
        return ONWARD_ENDED;
    }
    answer_error(w, c, request, 429);
    return ONWARD_GO;
}

/* The head at work.head_at is whole. */
static enum onward take_request(struct worker *w, struct connection *c, const struct request *request)
{
    c->work.head_bytes = (uint32_t)request->head_bytes;
    c->work.next_at = c->work.head_at + c->work.head_bytes;
    if (!limits_allow_request(w, c)) {
        return limit_request(w, c, request);
    }
    if (request->body == BODY_NONE) {
        answer_requests(w, c, request);
    } else if (request->body == BODY_LENGTH && request->content_length > w->settings->body_limit) {
        w->cell.header->counters.refused++;
        answer_error(w, c, request, 413);
    } else if (request->expects_continue && c->work.next_at == c->work.fill_at) {
        begin_continue(w, c, request);
        connection_publish(c);
    } else {
        begin_body(w, c, request);
        connection_publish(c);
    }
    return ONWARD_GO;
}

static enum onward refuse(struct worker *w, struct connection *c, const struct request *request, int status,
                          const char *why)
{
    w->cell.header->counters.refused++;
    log_debug("connection %d: reading a request: refused with %d: %s", c->fd, status, why);
    answer_error(w, c, request->line.at != NULL ? request : NULL, status);
    return ONWARD_GO;
}

/* Whose it is, is known now: it counts from here on. */
static enum onward admit_proxied(struct worker *w, struct connection *c, const struct client_address *client)
{
    enum admission admission = limits_admission(w, client);
    if (admission == ADMIT_NOT) {
        connection_end(w, c, END_US);
        return ONWARD_ENDED;
    }
    c->slot->client = *client;
    c->at.flags |= SLOT_PROXIED;
    limits_count(w, c);
    if (admission == ADMIT_TO_REFUSE) {
        answer_error(w, c, NULL, 429);
    }
    return ONWARD_GO;
}

/* The stream that is passed on begins behind the header. Until that is published, a successor finds the header. */
static enum onward take_proxy_header(struct worker *w, struct connection *c)
{
    struct proxy_header header;
    switch (proxy_header_parse(in_work(c), c->work.fill_at - c->work.head_at, &header)) {
    case PROXY_PARTIAL:
        return ONWARD_WAIT;
    case PROXY_REFUSED:
        w->cell.header->counters.refused++;
        log_debug("connection %d: refused: no PROXY header", c->fd);
        connection_end(w, c, END_US);
        return ONWARD_ENDED;
    case PROXY_WHOLE:
        break;
    }
    c->work.head_at += (uint32_t)header.bytes;
    c->work.next_at = c->work.head_at;
    c->at.flags &= (uint8_t)~SLOT_HEADER_DUE;
    enum onward onward = client_address_is_none(&header.client) ? ONWARD_GO : admit_proxied(w, c, &header.client);
    if (onward == ONWARD_GO && c->at.stage == STAGE_HEAD) {
        connection_publish(c);
    }
    return onward;
}

/* Look for a whole head among the bytes at hand. */
static enum onward parse_head(struct worker *w, struct connection *c)
{
    if ((c->at.flags & SLOT_HEADER_DUE) != 0) {
        return take_proxy_header(w, c);
    }
    struct request request SCRATCH; /* request_parse() clears it */
    struct refusal refusal = {0};
    struct request_limits limits = answer_limits(w);
    size_t scanned = 0;
    switch (request_parse(in_work(c), c->work.fill_at - c->work.head_at, &limits, &scanned, &request, &refusal)) {
    case REQUEST_WHOLE:
        return take_request(w, c, &request);
    case REQUEST_REFUSED:
        return refuse(w, c, &request, refusal.status, refusal.why);
    case REQUEST_PARTIAL:
        break;
    }
    return ONWARD_WAIT;
}

static enum onward step_head(struct worker *w, struct connection *c)
{
    if (c->work.fill_at > c->work.head_at) {
        enum onward onward = parse_head(w, c);
        if (onward != ONWARD_WAIT) {
            return onward;
        }
    }
    make_room(w, c);
    switch (receive(w, c)) {
    case RECEIVED_END:
        connection_end(w, c, END_CLIENT);
        return ONWARD_ENDED;
    case RECEIVED_NONE:
        return c->work.fill_at == c->work.head_at ? back_to_idle(w, c) : ONWARD_WAIT;
    case RECEIVED_SOME:
        break;
    }
    enum onward onward = parse_head(w, c);
    if (onward == ONWARD_WAIT) {
        connection_publish(c);
    }
    return onward;
}

/* Send what is going out. ONWARD_GO: all of it is with the kernel now. */
static enum onward send_out(struct worker *w, struct connection *c)
{
    switch (send_on(w, c)) {
    case SENT_ALL:
        return ONWARD_GO;
    case SENT_SOME:
        return ONWARD_WAIT;
    case SENT_GONE:
        break;
    }
    connection_end(w, c, END_CLIENT);
    return ONWARD_ENDED;
}

static enum onward step_continue(struct worker *w, struct connection *c)
{
    enum onward onward = send_out(w, c);
    if (onward != ONWARD_GO) {
        return onward;
    }
    c->work.memory_bytes = 0;
    connection_enter(w, c, STAGE_BODY);
    connection_publish(c);
    return ONWARD_GO;
}

/* The body has been read: the head is still in the buffer, answer it. */
static enum onward answer_after_body(struct worker *w, struct connection *c)
{
    struct request request = {0};
    struct refusal refusal = {0};
    struct request_limits limits = answer_limits(w);
    size_t scanned = 0;
    if (c->work.head_bytes > c->work.next_at - c->work.head_at ||
        request_parse(in_work(c), c->work.head_bytes, &limits, &scanned, &request, &refusal) != REQUEST_WHOLE) {
        /* A reload made the limits smaller while the body came in. */
        return refuse(w, c, &request, refusal.status != 0 ? refusal.status : 400, "refused by the new limits");
    }
    answer_requests(w, c, &request);
    return ONWARD_GO;
}

/* Go through the body bytes at hand, and forget them. */
static enum body_verdict read_body(struct worker *w, struct connection *c)
{
    struct body_state state = {.left = c->work.body_left,
                               .total = c->work.body_total,
                               .line = c->work.body_line,
                               .kind = c->work.body_kind,
                               .phase = c->work.body_phase};
    size_t used = 0;
    enum body_verdict verdict = body_read(&state, c->desk->in + c->work.next_at, c->work.fill_at - c->work.next_at,
                                          w->settings->body_limit, &used);
    check(used <= c->work.fill_at - c->work.next_at);
    c->work.body_left = state.left;
    c->work.body_total = state.total;
    c->work.body_line = state.line;
    c->work.body_phase = state.phase;
    c->work.next_at += (uint32_t)used;
    if (verdict == BODY_PARTIAL) {
        c->work.next_at = c->work.head_at + c->work.head_bytes;
        c->work.fill_at = c->work.next_at;
    }
    return verdict;
}

/* Read what is there of the body, and go on if that was its end. */
static enum onward take_body(struct worker *w, struct connection *c)
{
    struct request none = {0};
    uint32_t came = c->work.fill_at - c->work.next_at; /* a successor's look finds nothing new */
    switch (read_body(w, c)) {
    case BODY_WHOLE:
        return answer_after_body(w, c);
    case BODY_MALFORMED:
        return refuse(w, c, &none, 400, "malformed body");
    case BODY_TOO_LARGE:
        return refuse(w, c, &none, 413, "body over the limit");
    case BODY_PARTIAL:
        break;
    }
    if (came > 0) {
        patience_received(w, c, came);
    }
    connection_publish(c);
    return ONWARD_WAIT;
}

static enum onward step_body(struct worker *w, struct connection *c)
{
    if (c->work.head_at + c->work.head_bytes > c->work.next_at) {
        connection_end(w, c, END_SICK);
        return ONWARD_ENDED;
    }
    enum onward onward = take_body(w, c);
    if (onward != ONWARD_WAIT) {
        return onward;
    }
    make_room(w, c);
    switch (receive(w, c)) {
    case RECEIVED_END:
        connection_end(w, c, END_CLIENT);
        return ONWARD_ENDED;
    case RECEIVED_NONE:
        return ONWARD_WAIT;
    case RECEIVED_SOME:
        break;
    }
    return take_body(w, c);
}

/* No longer wait for room in the socket. */
static void watch_for_requests(struct worker *w, struct connection *c)
{
    if ((c->at.flags & SLOT_WRITABLE) != 0) {
        c->at.flags &= (uint8_t)~SLOT_WRITABLE;
        worker_watch(w, c->fd, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* Half-close, then drain: a close() with unread bytes would send RST, and could cost the client the end of the response
 * (RFC 9112 section 9.6). */
static void half_close(struct worker *w, struct connection *c)
{
    shutdown(c->fd, SHUT_WR);
    connection_enter(w, c, STAGE_LINGER);
    c->at.drained_kib = 0;
}

void connection_turn_away(struct worker *w, int fd)
{
    static const char words[] = "HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\nRetry-After: 1\r\n"
                                "Content-Length: 0\r\n\r\n";
    struct connection c;
    if (connection_load(w, fd, &c)) {
        (void)!send(fd, words, sizeof words - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        half_close(w, &c);
        connection_publish(&c);
    }
}

/* True if the client, which has the last response, shall close first. Who closes first has TIME_WAIT. */
static bool shall_part(const struct worker *w, const struct connection *c)
{
    return (c->work.flags & DESK_PART) != 0 && c->work.next_at == c->work.fill_at &&
           w->settings->client_close_timeout_ms > 0 && (c->at.flags & SLOT_UNIX) == 0;
}

enum ending {
    ENDING_PART,   /* the client closes first */
    ENDING_LINGER, /* we do, and listen until it has seen that */
    ENDING_NOW,    /* we do, for nothing more will come from it */
};

static enum ending ending_of(const struct worker *w, const struct connection *c)
{
    if (shall_part(w, c)) {
        return ENDING_PART;
    }
    bool quiet = (c->work.flags & DESK_LAST) != 0 && c->work.next_at == c->work.fill_at;
    return quiet ? ENDING_NOW : ENDING_LINGER;
}

/* The last response is with the kernel. What the client does now, the epoll set tells. */
static enum onward begin_end(struct worker *w, struct connection *c, enum ending ending)
{
    if (ending == ENDING_NOW) {
        connection_end(w, c, END_US);
        return ONWARD_ENDED;
    }
    watch_for_requests(w, c);
    if (ending == ENDING_PART) {
        connection_enter(w, c, STAGE_PARTING);
        c->at.turns = 0;
    } else {
        half_close(w, c);
    }
    give_back_desk(w, c);
    return ONWARD_WAIT;
}

/* The response is with the kernel, whole. */
static enum onward finish_response(struct worker *w, struct connection *c)
{
    access_log_commit(w, c);
    w->cell.header->counters.requests += c->work.requests;
    int file_fd = c->work.file_fd;
    bool idle_next = c->work.next_at == c->work.fill_at;
    bool last = (c->work.flags & DESK_CLOSE) != 0 || (w->stopping && idle_next);
    enum ending ending = ending_of(w, c);
    enum onward onward = ONWARD_GO;
    c->work = (struct desk_record){.head_at = c->work.next_at,
                                   .next_at = c->work.next_at,
                                   .fill_at = c->work.fill_at,
                                   .flags = c->work.flags & DESK_TRIED, /* it comes after this response */
                                   .tried_at = c->work.tried_at,
                                   .file_fd = -1,
                                   .out_from = c->at.sent};
    c->file_memory = NULL;
    if (last) {
        onward = begin_end(w, c, ending);
    } else {
        watch_for_requests(w, c);
        if (idle_next) {
            onward = back_to_idle(w, c);
        } else {
            connection_enter(w, c, STAGE_HEAD);
            connection_publish(c);
        }
    }
    if (file_fd >= 0) {
        file_cache_release(w->responder, file_fd);
    }
    return onward;
}

static enum onward step_respond(struct worker *w, struct connection *c)
{
    enum onward onward = send_out(w, c);
    return onward == ONWARD_GO ? finish_response(w, c) : onward;
}

/* Throw away what has come, at most DRAIN_BYTES of it. Returns how many bytes; 0: nothing yet; -1: no more will come.
 */
static ssize_t drain(const struct connection *c)
{
    char discarded[DRAIN_BYTES];
    ssize_t got = recv(c->fd, discarded, sizeof discarded, MSG_DONTWAIT);
    if (got > 0) {
        return got;
    }
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static enum onward step_parting(struct worker *w, struct connection *c)
{
    ssize_t got = drain(c);
    if (got < 0) {
        connection_end(w, c, END_PARTED);
        return ONWARD_ENDED;
    }
    if (got == 0) {
        return ONWARD_WAIT;
    }
    /* It goes on asking, as who sends many requests at once does: it must be shown that there is no more. */
    half_close(w, c);
    connection_publish(c);
    return ONWARD_GO;
}

static void count_drained(struct connection *c, ssize_t bytes)
{
    uint32_t kib = c->at.drained_kib + (uint32_t)((bytes + 1023) / 1024);
    c->at.drained_kib = (uint16_t)(kib < UINT16_MAX ? kib : UINT16_MAX);
}

/* Who sends without end is read no more: its own kernel will stop it, and it has the rest of its time for the response.
 * What the epoll set tells nevertheless is that no more will come: a reset, or the end behind what still fitted in the
 * socket. */
static enum onward step_linger(struct worker *w, struct connection *c)
{
    ssize_t got = drain(c);
    if (got < 0) {
        connection_end(w, c, END_US);
        return ONWARD_ENDED;
    }
    count_drained(c, got);
    connection_publish(c);
    if (c->at.drained_kib >= LINGER_KIB_MOST) {
        worker_watch(w, c->fd, EPOLL_CTL_MOD, 0);
    }
    return ONWARD_WAIT;
}

static enum onward step_closing(struct worker *w, struct connection *c)
{
    connection_end(w, c, END_US);
    return ONWARD_ENDED;
}

static enum onward step_stage(struct worker *w, struct connection *c)
{
    switch ((enum stage)c->at.stage) {
    case STAGE_IDLE:
        return step_idle(w, c);
    case STAGE_HEAD:
        return step_head(w, c);
    case STAGE_CONTINUE:
        return step_continue(w, c);
    case STAGE_BODY:
        return step_body(w, c);
    case STAGE_RESPOND:
        return step_respond(w, c);
    case STAGE_PARTING:
        return step_parting(w, c);
    case STAGE_LINGER:
        return step_linger(w, c);
    case STAGE_CLOSING:
        return step_closing(w, c);
    case STAGE_GIVING:
    case STAGE_FREE:
        break;
    }
    return ONWARD_WAIT;
}

/* ---- what calls it ---- */

/* An adopted connection: let the kernel speak before the first step. False: it is gone. */
static bool verify_once(struct worker *w, struct connection *c)
{
    uint8_t bit = (uint8_t)(1U << (c->fd & 7));
    if ((w->unverified[c->fd / 8] & bit) == 0) {
        return true;
    }
    w->unverified[c->fd / 8] &= (uint8_t)~bit;
    if (c->at.stage != STAGE_CLOSING && !connection_verify(w, c)) {
        connection_end(w, c, END_SICK);
        return false;
    }
    return true;
}

void connection_step(struct worker *w, int fd)
{
    struct connection c;
    /* One that a predecessor perhaps gave away may be the heir's: then the kernel's counts go on without us, and to
     * drop it for that would cut off the heir's client. */
    if (!connection_load(w, fd, &c) || c.at.stage == STAGE_GIVING || !verify_once(w, &c)) {
        return;
    }
    w->cell.header->in_hand_at = c.desk != NULL ? c.work.head_at : 0;
    w->cell.header->in_hand = fd;
    enum onward onward;
    do {
        onward = step_stage(w, &c);
    } while (onward == ONWARD_GO);
    w->cell.header->in_hand = -1;
}

/* The client was too slow with a request that it has begun: tell it so (RFC 9110 section 15.5.9), then end. */
static void time_out_request(struct worker *w, struct connection *c)
{
    answer_error(w, c, NULL, 408);
    connection_step(w, c->fd);
}

/* True if the client does not have all of its response yet, and may have more time for it. After a reload there may be
 * none to have: so many times nothing would not come to an end. */
static bool is_still_taking(const struct worker *w, const struct connection *c)
{
    int left = 0;
    uint64_t once_ms = w->settings->client_close_timeout_ms;
    return once_ms > 0 && c->at.turns * once_ms < w->settings->write_timeout_ms && c->at.turns < UINT16_MAX &&
           ioctl(c->fd, SIOCOUTQ, &left) == 0 && left > 0;
}

/* The client has not closed first; or could not yet, for megabytes may be on their way to it. */
static void expire_parting(struct worker *w, struct connection *c)
{
    if (is_still_taking(w, c)) {
        connection_enter(w, c, STAGE_PARTING);
        c->at.turns++;
    } else {
        half_close(w, c);
    }
    connection_publish(c);
}

/* Why its patience has ended. */
static enum end lateness(const struct connection *c)
{
    return (c->at.flags & SLOT_SLOW) != 0 ? END_SLOW : END_TIMEOUT;
}

static void expire_sending(struct worker *w, struct connection *c)
{
    if (patience_look(w, c)) {
        connection_publish(c);
    } else {
        connection_end(w, c, lateness(c));
    }
}

/* A worker that was busy elsewhere, or stopped, has not yet read what came in time. */
static bool has_come_in_time(struct worker *w, const struct connection *c)
{
    int unread = 0;
    if (ioctl(c->fd, SIOCINQ, &unread) != 0 || unread == 0) {
        return false;
    }
    connection_step(w, c->fd);
    const struct slot_record *now = &c->slot->record[c->slot->current & 1];
    return now->stage != c->at.stage || now->deadline_ms > w->now.ms;
}

/* We wait for a request, or for the rest of one. */
static void expire_request(struct worker *w, struct connection *c)
{
    if (has_come_in_time(w, c) || !connection_load(w, c->fd, c)) {
        return;
    }
    if (c->desk == NULL || c->work.fill_at == c->work.head_at || (c->at.flags & SLOT_HEADER_DUE) != 0) {
        connection_end(w, c, END_TIMEOUT);
        return;
    }
    w->cell.header->counters.ended_by_timeout++;
    w->cell.header->counters.too_slow += c->at.stage == STAGE_BODY && lateness(c) == END_SLOW;
    time_out_request(w, c);
}

void connection_expire(struct worker *w, int fd)
{
    struct connection c;
    if (!connection_load(w, fd, &c) || !verify_once(w, &c)) {
        return;
    }
    if (c.at.stage == STAGE_GIVING) {
        /* Nobody has said to whom: this worker is no longer surplus. */
        connection_enter(w, &c, STAGE_IDLE);
        connection_publish(&c);
        return;
    }
    if (c.at.stage == STAGE_PARTING) {
        expire_parting(w, &c);
    } else if (patience_is_sending(&c)) {
        expire_sending(w, &c);
    } else if (c.at.stage == STAGE_IDLE || c.at.stage == STAGE_HEAD || c.at.stage == STAGE_BODY) {
        expire_request(w, &c);
    } else {
        connection_end(w, &c, END_TIMEOUT);
    }
}

/* The first line of the request in work, as it came; absent if there is none. */
static struct text first_line(const struct connection *c)
{
    const char *at = in_work(c);
    const char *end = c->desk->in + c->work.fill_at;
    while (at < end && (*at == '\r' || *at == '\n')) {
        at++;
    }
    struct text line = {.at = at < end ? at : NULL};
    while (at < end && *at != '\r' && *at != '\n') {
        line.bytes++;
        at++;
    }
    return line;
}

static void log_failure(struct worker *w, const struct connection *c, struct text line, int status, const char *why)
{
    char words[512];
    words[access_log_escape(words, 0, sizeof words - 1, line)] = '\0';
    log_error("connection %d from %s: \"%s\" %s: answered with %d", c->fd, access_log_client(w, c), words, why, status);
}

void connection_fail(struct worker *w, int fd, int status, const char *why)
{
    struct connection c;
    if (!connection_load(w, fd, &c) || !verify_once(w, &c)) {
        return;
    }
    bool untouched =
        c.desk != NULL && (c.at.stage == STAGE_HEAD || c.at.stage == STAGE_BODY ||
                           (c.at.stage == STAGE_RESPOND && c.at.sent == c.work.out_from && c.work.part == 0));
    if (!untouched) {
        log_error("connection %d: %s %s: dropped", fd, stage_name[c.at.stage], why);
        connection_end(w, &c, END_SICK);
        return;
    }
    int file_fd = c.work.file_fd;
    struct request raw = {.line = first_line(&c)};
    raw.method = raw.line.bytes >= 5 && memcmp(raw.line.at, "HEAD ", 5) == 0 ? METHOD_HEAD : METHOD_GET;
    log_failure(w, &c, raw.line, status, why);
    answer_error(w, &c, &raw, status);
    if (file_fd >= 0) {
        file_cache_release(w->responder, file_fd);
    }
    connection_step(w, fd);
}
