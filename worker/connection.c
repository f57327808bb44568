/* connection.c — the facts of a connection, published with one store; its beginning and its end. See connection.h. */
#include "worker/connection.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/log.h"
#include "worker/access_log.h"
#include "worker/limits.h"
#include "worker/patience.h"
#include "worker/proxies.h"
#include "worker/shortage.h"
#include "worker/witness.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- facts ---- */

static bool desk_adds_up(const struct desk_record *work)
{
    return work->head_at <= work->next_at && work->next_at <= work->fill_at && work->fill_at <= DESK_IN_BYTES &&
           work->memory_bytes <= DESK_OUT_BYTES && work->memory_at <= DESK_OUT_BYTES - work->memory_bytes &&
           work->parts <= DESK_PARTS_MAX && (work->part < work->parts || work->parts == 0) &&
           work->log_bytes <= DESK_LOG_BYTES && work->log_split <= work->log_bytes &&
           work->head_bytes <= DESK_IN_BYTES && work->file_at <= INT64_MAX &&
           work->file_bytes <= INT64_MAX - work->file_at;
}

/* The last response is out; what still comes is read by nobody. */
static bool is_over(const struct connection *c)
{
    return c->at.stage == STAGE_PARTING || c->at.stage == STAGE_LINGER;
}

static bool stage_adds_up(const struct connection *c)
{
    if (c->at.stage == STAGE_FREE || c->at.stage >= STAGES) {
        return false;
    }
    bool has_none = c->at.stage == STAGE_IDLE || c->at.stage == STAGE_GIVING || is_over(c);
    if (has_none && c->at.desk >= 0) {
        return false;
    }
    bool needs_desk = c->at.stage == STAGE_HEAD || c->at.stage == STAGE_CONTINUE || c->at.stage == STAGE_BODY ||
                      c->at.stage == STAGE_RESPOND;
    if (c->at.stage == STAGE_CONTINUE || c->at.stage == STAGE_RESPOND) {
        if (c->desk == NULL || c->at.sent < c->work.out_from) {
            return false;
        }
    }
    return !needs_desk || c->desk != NULL;
}

/* Copy the facts that hold for FD, whatever they are. */
static void read_facts(const struct worker *w, int fd, struct connection *c)
{
    c->fd = fd;
    c->slot = &w->cell.slots[fd];
    uint32_t current = c->slot->current & 1;
    c->at = c->slot->record[current];
    c->desk = cell_desk(&w->cell, c->at.desk);
    c->file_memory = NULL;
    if (c->desk != NULL) {
        c->work = c->desk->record[current];
    }
}

bool connection_load(struct worker *w, int fd, struct connection *c)
{
    if (fd < 0 || (uint32_t)fd >= w->cell.slots_count) {
        return false;
    }
    read_facts(w, fd, c);
    if (c->at.stage == STAGE_FREE) {
        return false;
    }
    if (!stage_adds_up(c) || (c->desk != NULL && !desk_adds_up(&c->work))) {
        c->desk = NULL; /* nothing that it says about a desk or a file can be believed */
        connection_end(w, c, END_SICK);
        return false;
    }
    return true;
}

void connection_publish(struct connection *c)
{
    uint32_t next = (c->slot->current & 1) ^ 1;
    c->slot->record[next] = c->at;
    if (c->desk != NULL) {
        c->desk->record[next] = c->work;
    }
    /* A successor reads this after our death, on whatever processor: program order is all that is needed. */
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint32_t *)&c->slot->current = next;
    atomic_signal_fence(memory_order_seq_cst);
}

void connection_enter(struct worker *w, struct connection *c, enum stage next)
{
    c->at.stage = (uint8_t)next;
    patience_begin(w, c);
}

/* ---- beginning and end ---- */

static void begin(struct worker *w, int fd, const struct slot_record *at, const struct client_address *client)
{
    check((uint32_t)fd < w->cell.slots_count);
    struct connection c = {.fd = fd, .slot = &w->cell.slots[fd], .at = *at};
    c.slot->client = *client;
    limits_count(w, &c);
    connection_enter(w, &c, STAGE_IDLE);
    c.slot->serial++;
    if ((uint32_t)fd > w->cell.header->top) {
        w->cell.header->top = (uint32_t)fd;
    }
    connection_publish(&c);
    w->cell.header->connections++;
    if (worker_watch(w, fd, EPOLL_CTL_ADD, EPOLLIN) || errno == EEXIST) {
        return;
    }
    if (!shortage_is(errno)) {
        connection_end(w, &c, END_SICK);
        return;
    }
    shortage_note(w, &c);
    connection_publish(&c);
}

void connection_accepted(struct worker *w, int fd, unsigned flags, const struct client_address *client)
{
    begin(w, fd, &(struct slot_record){.desk = -1, .flags = (uint8_t)flags}, client);
}

/* Who is killed between accept4(2) and begin() leaves one that has received nothing: its PROXY header is still due. */
void connection_begin(struct worker *w, int fd, bool is_unix, uint64_t received, uint64_t sent)
{
    const struct client_address client = client_address_ask(fd);
    struct slot_record at = {.received = received, .sent = sent, .desk = -1, .flags = is_unix ? SLOT_UNIX : 0};
    at.flags |= received == 0 && proxies_is_of_marked(w, fd) ? SLOT_HEADER_DUE : 0;
    begin(w, fd, &at, &client);
}

void connection_taken(struct worker *w, int fd, const struct parcel *parcel)
{
    const struct client_address client = parcel->proxied != 0 ? parcel->client : client_address_ask(fd);
    unsigned flags = (parcel->is_unix != 0 ? SLOT_UNIX : 0U) | (parcel->header_due != 0 ? SLOT_HEADER_DUE : 0U) |
                     (parcel->proxied != 0 ? SLOT_PROXIED : 0U);
    const struct slot_record at = {
        .received = parcel->received, .sent = parcel->sent, .desk = -1, .flags = (uint8_t)flags};
    begin(w, fd, &at, &client);
}

static void count_end(struct cell_counters *counters, enum end why)
{
    switch (why) {
    case END_CLIENT:
        counters->ended_by_client++;
        break;
    case END_PARTED:
        counters->parted++;
        break;
    case END_TIMEOUT:
        counters->ended_by_timeout++;
        break;
    case END_SLOW:
        counters->ended_by_timeout++;
        counters->too_slow++;
        break;
    case END_US:
        counters->ended_by_us++;
        break;
    case END_SHED:
        counters->shed++;
        break;
    case END_SICK:
        counters->dropped++;
        break;
    }
}

static bool is_listening(int fd)
{
    int listens = 0;
    socklen_t length = sizeof listens;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) == 0 && listens != 0;
}

/* While a predecessor's keeper holds FD, close() would neither tell the client nor leave the epoll set. A sick slot may
 * bear the number that a listener had with our predecessor: to shut that down would be everybody's end. */
static void close_everywhere(struct worker *w, int fd, enum end why)
{
    if (!w->alone && !is_listening(fd)) {
        shutdown(fd, SHUT_RDWR);
    }
    if (why == END_SICK || !w->alone) {
        worker_watch(w, fd, EPOLL_CTL_DEL, 0);
    }
    close(fd);
}

void connection_end(struct worker *w, struct connection *c, enum end why)
{
    count_end(&w->cell.header->counters, why);
    if (c->at.stage == STAGE_RESPOND && c->desk != NULL) {
        access_log_cut(w, c);
    }
    limits_uncount(w, c);
    int32_t desk = c->desk != NULL ? c->at.desk : -1;
    int file_fd = c->desk != NULL ? c->work.file_fd : -1;
    connection_enter(w, c, STAGE_CLOSING);
    connection_publish(c);
    /* A sick slot may bear the number of a descriptor that is not a connection at all. */
    if (!worker_owns(w, c->fd)) {
        close_everywhere(w, c->fd, why);
    }
    if (file_fd >= 0) {
        file_cache_release(w->responder, file_fd);
    }
    c->at = (struct slot_record){.desk = -1, .stage = STAGE_FREE};
    c->desk = NULL;
    connection_publish(c);
    if (desk >= 0) {
        desks_give_back(&w->desks, desk);
    }
    if (w->cell.header->connections > 0) {
        w->cell.header->connections--;
    }
    if (w->rest_until_ms > w->now.ms) {
        w->rest_until_ms = w->now.ms; /* there is room again: accept goes on in the next turn */
    }
}

/* ---- after a succession ---- */

/* The desk's buffer holds the bytes that came after the last publication: the kernel knows how many. */
static bool received_adds_up(struct connection *c, uint64_t received)
{
    if (received < c->at.received) {
        return false;
    }
    uint64_t more = received - c->at.received;
    bool reads_into_desk = c->at.stage == STAGE_HEAD || c->at.stage == STAGE_BODY;
    if (more == 0) {
        return true;
    }
    if (!reads_into_desk || more > DESK_IN_BYTES - c->work.fill_at) {
        return false;
    }
    c->work.fill_at += (uint32_t)more;
    c->at.received = received;
    return true;
}

static bool sent_adds_up(struct connection *c, uint64_t sent)
{
    if (sent < c->at.sent) {
        return false;
    }
    uint64_t more = sent - c->at.sent;
    bool sends = c->at.stage == STAGE_RESPOND || c->at.stage == STAGE_CONTINUE;
    uint64_t whole = sends ? c->work.memory_bytes + c->work.file_bytes : 0;
    if (sends ? sent - c->work.out_from > whole : more > 0) {
        return false;
    }
    c->at.sent = sent;
    return true;
}

bool connection_verify(const struct worker *w, struct connection *c)
{
    if (is_over(c)) {
        return true; /* no count of it matters any more; and when both ends have closed, the kernel has none */
    }
    if ((c->at.flags & SLOT_UNIX) != 0) {
        /* No count to ask: what was published holds, unless the connection was in mid-step. */
        return (c->fd != w->was_in_hand || c->at.stage == STAGE_IDLE) && !is_listening(c->fd);
    }
    struct testimony testimony;
    if (!witness_ask(c->fd, &testimony)) {
        return false;
    }
    if (!received_adds_up(c, testimony.received) || !sent_adds_up(c, testimony.sent)) {
        log_warn(
            "connection %d: dropped: %s, and the kernel counts %llu bytes in and %llu out where the cell has %llu and "
            "%llu",
            c->fd, stage_name[c->at.stage], (unsigned long long)testimony.received, (unsigned long long)testimony.sent,
            (unsigned long long)c->at.received, (unsigned long long)c->at.sent);
        return false;
    }
    connection_publish(c);
    return true;
}
