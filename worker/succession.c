/* succession.c — see succession.h.
 *
 * The cell is not trusted: whoever wrote it is dead, and may have scribbled over it first. A slot that does not add up
 * costs its connection. What the kernel alone can tell (how far each stream got) is asked when a connection first
 * moves, so the gap does not grow by a system call for each idle connection. */
#include "worker/succession.h"

#include "supervisor/inherit/log.h"
#include "worker/access_log.h"
#include "worker/connection.h"
#include "worker/handover.h"
#include "worker/limits.h"
#include "worker/patience.h"
#include "worker/shortage.h"
#include "worker/witness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK = 64,         /* of descriptors; no more than any process may have open, for poll(2) */
    PHANTOMS_TOLD = 16, /* lines in the log */
};

static uint32_t last_slot(const struct worker *w)
{
    uint32_t top = w->cell.header->top;
    return top < w->cell.slots_count ? top : w->cell.slots_count - 1;
}

static bool slot_is_free(const struct worker *w, int fd)
{
    const struct slot *slot = &w->cell.slots[fd];
    return slot->record[slot->current & 1].stage == STAGE_FREE;
}

/* ---- what is open ---- */

static void mark_inherited(struct worker *w, uint32_t first, uint32_t end)
{
    for (uint32_t fd = first; fd < end; fd++) {
        w->inherited[fd / 8] |= (uint8_t)(1U << (fd & 7));
    }
}

/* The lowest number from FIRST on that is not open; END if there is none below it. fcntl(2), F_DUPFD. */
static uint32_t find_hole(uint32_t first, uint32_t end)
{
    int hole = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (int)first);
    if (hole < 0) {
        return end; /* EMFILE: all are open up to our limit */
    }
    close(hole);
    return (uint32_t)hole < end ? (uint32_t)hole : end;
}

/* No descriptor is as high as this. Not the highest slot, for cached files may lie far above it, and a connection that
 * was just accepted above those. The kernel's word for the size of our table, which a fork makes hardly larger than
 * what is open needs, spares us looking as far as the limit of descriptors. */
static uint32_t table_end(const struct worker *w)
{
    static const char name[] = "\nFDSize:";
    char text[1024]; /* it is among the first lines, proc_pid_status(5) */
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0) {
        close(fd);
    }
    text[length > 0 ? length : 0] = '\0';
    const char *line = strstr(text, name);
    const unsigned long size = line != NULL ? strtoul(line + strlen(name), NULL, 10) : 0;
    return size != 0 && size < w->cell.slots_count ? (uint32_t)size : w->cell.slots_count;
}

/* True if none of the BLOCK descriptors from FIRST on is open: one system call, where hardly any is. */
static bool is_empty_block(uint32_t first)
{
    struct pollfd block[BLOCK];
    for (uint32_t i = 0; i < BLOCK; i++) {
        block[i] = (struct pollfd){.fd = (int)(first + i)};
    }
    poll(block, BLOCK, 0);
    for (uint32_t i = 0; i < BLOCK; i++) {
        if ((block[i].revents & POLLNVAL) == 0) {
            return false;
        }
    }
    return true;
}

/* A slot that is in use lies higher than the header says: the cell is sick. */
static void raise_top(struct worker *w, uint32_t fd)
{
    if (fd > last_slot(w)) {
        w->cell.header->top = fd;
    }
}

void succession_look(struct worker *w)
{
    uint32_t end = table_end(w);
    for (uint32_t fd = 0; fd < end;) {
        if (fd > last_slot(w) && fd % BLOCK == 0 && is_empty_block(fd)) {
            fd += BLOCK;
        } else if (slot_is_free(w, (int)fd)) {
            if (fcntl((int)fd, F_GETFD) >= 0) {
                mark_inherited(w, fd, fd + 1);
            }
            fd++;
        } else {
            /* Where slots speak of connections, descriptors lie close: to find the next hole takes two calls instead of
             * one for each, which was half of the gap with 15,000 connections. */
            uint32_t hole = find_hole(fd, end);
            mark_inherited(w, fd, hole);
            raise_top(w, hole);
            fd = hole + 1;
        }
    }
}

/* ---- slots ---- */

static bool is_inherited(const struct worker *w, int fd)
{
    return (w->inherited[fd / 8] & (1U << (fd & 7))) != 0;
}

static bool is_file(int fd)
{
    struct stat facts;
    return fd > STDERR_FILENO && fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

static void claim_file(struct worker *w, struct connection *c)
{
    if (c->desk == NULL || c->work.file_fd < 0) {
        return;
    }
    if (worker_owns(w, c->work.file_fd) || !is_file(c->work.file_fd)) {
        c->work.file_fd = -1;
        if (c->work.file_bytes > 0) {
            c->at.desk = -1;
            c->desk = NULL; /* the response cannot be completed: the stage no longer adds up */
        }
        return;
    }
    if (!file_cache_adopt(w->responder, c->work.file_fd)) {
        die("adopting: no memory for a response's file"); /* the next one has all that this one has */
    }
}

/* The number may have become free, and then that of something that came with our birth. */
static bool may_be_a_connection(const struct worker *w, int fd)
{
    return is_inherited(w, fd) && !worker_owns(w, fd);
}

static void clear_slot(struct worker *w, int fd)
{
    w->cell.slots[fd].record[0] = w->cell.slots[fd].record[1] = (struct slot_record){.desk = -1};
}

/* The predecessor's last step with it was to close it, and the next would have been to say so. */
static bool is_done_with(const struct worker *w, int fd)
{
    const struct slot *slot = &w->cell.slots[fd];
    uint32_t stage = slot->record[slot->current & 1].stage;
    return !may_be_a_connection(w, fd) && (stage == STAGE_CLOSING || stage == STAGE_GIVING);
}

/* A slot that speaks of no connection: the first ones get a line each, and all of them are counted. */
static void drop_slot(struct worker *w, int fd, const char *why, struct succession *succession)
{
    if (succession->phantoms++ < PHANTOMS_TOLD) {
        const struct slot *slot = &w->cell.slots[fd];
        log_warn("connection %d: dropped: %s, and %s", fd, stage_name[slot->record[slot->current & 1].stage % STAGES],
                 why);
    }
    clear_slot(w, fd);
}

static void tell_untold(const struct succession *succession)
{
    if (succession->phantoms > PHANTOMS_TOLD) {
        log_warn("connections dropped: %u more, for the same reasons", succession->phantoms - PHANTOMS_TOLD);
    }
}

/* A slot of the predecessor's that is not free. True if its connection lives on. */
static bool adopt_slot(struct worker *w, int fd, struct succession *succession)
{
    struct connection c;
    if (!may_be_a_connection(w, fd)) {
        drop_slot(w, fd, "there is no such descriptor", succession);
        return false;
    }
    if (!connection_load(w, fd, &c)) {
        return false;
    }
    if (c.desk == NULL || c.at.stage == STAGE_CLOSING) {
        /* It needs none any more, and the one that it speaks of may be another's. */
        c.desk = NULL;
        c.at.desk = -1;
    }
    if (c.desk != NULL && !desks_claim(&w->desks, c.at.desk)) {
        c.desk = NULL;
        connection_end(w, &c, END_SICK);
        return false;
    }
    claim_file(w, &c);
    if (c.at.stage == STAGE_GIVING) {
        /* It may or may not have got there. Leave it alone until it can be given again: the heir can tell. */
        connection_enter(w, &c, STAGE_GIVING);
        c.at.given = 1;
    }
    if (c.desk == NULL && c.at.stage == STAGE_RESPOND) {
        connection_end(w, &c, END_SICK);
        return false;
    }
    patience_curb(w, &c); /* the predecessor's settings allowed more, or its cell is sick */
    limits_recount(w, &c);
    connection_publish(&c);
    w->unverified[fd / 8] |= (uint8_t)(1U << (fd & 7));
    return true;
}

/* A slot that bears the number of the file from which FD's response is sent speaks of no connection; and to close that
 * number for it would cost FD's client the rest. */
static void spare_file(struct worker *w, int fd, struct succession *succession)
{
    const struct slot *slot = &w->cell.slots[fd];
    const struct slot_record *record = &slot->record[slot->current & 1];
    const struct desk *desk = record->stage == STAGE_RESPOND ? cell_desk(&w->cell, record->desk) : NULL;
    int file = desk != NULL ? desk->record[slot->current & 1].file_fd : -1;
    if (file >= 0 && (uint32_t)file <= last_slot(w) && !slot_is_free(w, file) && is_file(file)) {
        drop_slot(w, file, "that is a file", succession);
    }
}

static void adopt_slots(struct worker *w, struct succession *succession)
{
    /* First of all the count: connection_end counts down from it. */
    uint32_t found = 0;
    for (uint32_t fd = 0; fd <= last_slot(w); fd++) {
        spare_file(w, (int)fd, succession);
    }
    for (uint32_t fd = 0; fd <= last_slot(w); fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        if (is_done_with(w, (int)fd)) {
            clear_slot(w, (int)fd);
        }
        found += slot->record[slot->current & 1].stage != STAGE_FREE;
    }
    w->cell.header->connections = found;
    for (uint32_t fd = 0; fd <= last_slot(w); fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        if (slot->record[slot->current & 1].stage != STAGE_FREE) {
            succession->adopted += adopt_slot(w, (int)fd, succession);
        }
    }
    succession->dropped = found - succession->adopted;
    w->cell.header->connections = succession->adopted;
    tell_untold(succession);
}

/* ---- descriptors that no slot speaks of ---- */

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

/* A listener that somebody shut down has SO_ACCEPTCONN 0 as well, but it has no peer. */
static bool is_stream_connection(int fd)
{
    struct sockaddr_storage peer;
    socklen_t length = sizeof peer;
    return socket_option(fd, SO_TYPE) == SOCK_STREAM && socket_option(fd, SO_ACCEPTCONN) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &length) == 0;
}

/* FD is open and no slot speaks of it: just accepted, or just taken from a surplus worker, or of no use any more. */
static void settle_stray(struct worker *w, int fd, struct succession *succession)
{
    struct testimony so_far = {0};
    if (is_stream_connection(fd) && !handover_has(w, fd)) {
        if (w->cell.header->receiving != 0) {
            (void)witness_ask(fd, &so_far); /* it was idle: all that its parcel said */
        }
        connection_begin(w, fd, socket_option(fd, SO_DOMAIN) == AF_UNIX, so_far.received, so_far.sent);
        w->unverified[fd / 8] |= (uint8_t)(1U << (fd & 7));
        succession->adopted++;
        return;
    }
    worker_watch(w, fd, EPOLL_CTL_DEL, 0);
    close(fd);
    w->inherited[fd / 8] &= (uint8_t) ~(1U << (fd & 7));
}

static void sweep_strays(struct worker *w, struct succession *succession)
{
    for (int fd = STDERR_FILENO + 1; fd < (int)w->cell.slots_count; fd++) {
        if (is_inherited(w, fd) && slot_is_free(w, fd) && !worker_owns(w, fd) &&
            !file_cache_is_borrowed(w->responder, fd)) {
            settle_stray(w, fd, succession);
        }
    }
}

/* ---- the suspect ---- */

/* True if what the predecessor had in hand may be why it died. */
static bool had_a_suspect(const struct worker *w)
{
    return w->birth.cause == BIRTH_CRASH || (w->birth.cause == BIRTH_HANG && w->birth.signal != SIGSTOP);
}

/* Where the request begins that was in hand. Of those that were to be answered together it need not be the first. */
static uint16_t suspect_at(const struct worker *w, const struct connection *c)
{
    uint32_t at = w->cell.header->in_hand_at;
    return (uint16_t)(at > c->work.head_at && at < DESK_IN_BYTES ? at : c->work.head_at);
}

static void find_suspect(struct worker *w, struct succession *succession)
{
    struct connection c;
    int fd = w->cell.header->in_hand;
    w->cell.header->in_hand = -1;
    w->was_in_hand = fd;
    if (!had_a_suspect(w) || !connection_load(w, fd, &c) || c.desk == NULL) {
        return;
    }
    succession->suspect = fd;
    uint16_t at = suspect_at(w, &c);
    succession->poison = (c.work.flags & DESK_TRIED) != 0 && at == c.work.tried_at && at == c.work.head_at;
    c.work.flags |= DESK_TRIED;
    c.work.tried_at = at;
    connection_publish(&c);
}

/* ---- both halves ---- */

/* A crowd that has gone costs no successor a look at its slots any more. */
static void lower_top(struct worker *w)
{
    uint32_t top = last_slot(w);
    while (top > 0 && slot_is_free(w, (int)top)) {
        top--;
    }
    w->cell.header->top = top;
}

static void tame_header(struct worker *w)
{
    struct cell_header *header = w->cell.header;
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        int channel = header->taking[i];
        if (channel < 0 || channel == w->birth.control_fd || channel == w->birth.keeper_fd ||
            socket_option(channel, SO_TYPE) != SOCK_SEQPACKET) {
            header->taking[i] = -1;
        }
    }
    access_log_adopt(w);
}

void succession_adopt(struct worker *w, struct succession *succession)
{
    *succession = (struct succession){.suspect = -1};
    tame_header(w);
    adopt_slots(w, succession);
    desks_settle(&w->desks);
    if (w->birth.cause != BIRTH_FRESH) {
        sweep_strays(w, succession);
    }
    w->cell.header->receiving = 0;
    lower_top(w);
    find_suspect(w, succession);
}

/* The epoll set is the predecessor's; for a connection in mid-step it may watch for the wrong thing. */
static void watch_again(struct worker *w, int fd)
{
    struct connection c;
    if (!connection_load(w, fd, &c)) {
        return;
    }
    uint32_t events = (c.at.flags & SLOT_WRITABLE) != 0 ? EPOLLOUT : EPOLLIN;
    if (!worker_watch(w, fd, EPOLL_CTL_MOD, events)) {
        worker_watch(w, fd, EPOLL_CTL_ADD, events);
    }
}

static void fail_poison(struct worker *w, int fd)
{
    const char *signal = sigabbrev_np(w->birth.signal);
    char why[96];
    if (w->birth.cause == BIRTH_HANG) {
        snprintf(why, sizeof why, "was in hand when a worker hung, twice");
    } else {
        snprintf(why, sizeof why, "was in hand when a worker crashed (%s%s), twice", signal != NULL ? "SIG" : "exit",
                 signal != NULL ? signal : "");
    }
    connection_fail(w, fd, 500, why);
}

static void answer_suspect(struct worker *w, const struct succession *succession)
{
    if (succession->poison) {
        fail_poison(w, succession->suspect);
    } else if (succession->suspect >= 0) {
        connection_step(w, succession->suspect);
    }
}

void succession_continue(struct worker *w, const struct succession *succession)
{
    for (uint32_t fd = 0; fd <= last_slot(w); fd++) {
        const struct slot *slot = &w->cell.slots[fd];
        const struct slot_record *record = &slot->record[slot->current & 1];
        if (record->stage != STAGE_FREE) {
            shortage_adopt(w, record);
        }
        if (record->stage == STAGE_FREE || record->stage == STAGE_IDLE) {
            continue;
        }
        watch_again(w, (int)fd);
        if ((int)fd != succession->suspect) {
            connection_step(w, (int)fd);
        }
    }
    answer_suspect(w, succession);
    w->was_in_hand = -1; /* the number may be given to others from here on */
}
