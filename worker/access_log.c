/* access_log.c — see access_log.h. */
#include "worker/access_log.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* header->log_state: the log area's first free byte in the low bits, above them the mark of the response whose lines
 * came last. Both change with one store, so a successor that completes a response again sees that its lines are there.
 */
enum { FILL_BITS = 20 };
#define FILL_MASK ((UINT64_C(1) << FILL_BITS) - 1)
_Static_assert(CELL_LOG_BYTES < (1 << FILL_BITS), "the log area's fill mark has room");

static uint64_t area_fill(const struct worker *w)
{
    return w->cell.header->log_state & FILL_MASK;
}

static void publish_state(struct worker *w, uint64_t fill, uint64_t mark)
{
    atomic_signal_fence(memory_order_seq_cst);
    *(volatile uint64_t *)&w->cell.header->log_state = fill | (mark << FILL_BITS);
    atomic_signal_fence(memory_order_seq_cst);
}

/* Different for each response: which descriptor, which connection on it, which byte of its stream. */
static uint64_t response_mark(const struct connection *c)
{
    uint64_t mark = ((uint64_t)c->fd << 32 | c->slot->serial) * UINT64_C(0x9e3779b97f4a7c15);
    mark = (mark ^ c->work.log_from) * UINT64_C(0xff51afd7ed558ccd);
    return mark >> FILL_BITS;
}

/* ---- composing ---- */

size_t access_log_escape(char *line, size_t at, size_t size, struct text text)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < text.bytes && at + 4 < size; i++) {
        unsigned char byte = (unsigned char)text.at[i];
        if (byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\') {
            line[at++] = (char)byte;
            continue;
        }
        line[at++] = '\\';
        line[at++] = 'x';
        line[at++] = digit[byte >> 4];
        line[at++] = digit[byte & 15];
    }
    return at;
}

static size_t put_string(char *line, size_t at, size_t size, const char *string)
{
    size_t length = strlen(string);
    if (at + length > size) {
        return at;
    }
    memcpy(line + at, string, length);
    return at + length;
}

/* What the client of a descriptor is called; written once for each connection that has the number. */
struct client_name {
    uint32_t serial; /* of the slot, when it was written */
    char text[INET6_ADDRSTRLEN];
};

static void write_name(const struct connection *c, char name[INET6_ADDRSTRLEN])
{
    if (!client_address_text(&c->slot->client, name)) {
        snprintf(name, INET6_ADDRSTRLEN, "%s", (c->at.flags & SLOT_UNIX) != 0 ? "unix:" : "-");
    }
}

/* Not in the cell: a successor can write it again. */
const char *access_log_client(struct worker *w, const struct connection *c)
{
    static struct client_name one;
    if (w->client_names == NULL) {
        w->client_names = calloc(w->cell.slots_count, sizeof *w->client_names);
    }
    if (w->client_names == NULL) { /* no memory: it is written each time */
        write_name(c, one.text);
        return one.text;
    }
    struct client_name *name = &w->client_names[c->fd];
    if (name->text[0] == '\0' || name->serial != c->slot->serial) {
        write_name(c, name->text);
        name->serial = c->slot->serial;
    }
    return name->text;
}

/* "[22/Nov/2026:19:20:00 +0000]", made once a second. */
static const char *stamp(void)
{
    static time_t made_for = -1;
    static char text[48];
    time_t now = clock_wall_seconds();
    if (now != made_for) {
        struct tm local;
        localtime_r(&now, &local);
        strftime(text, sizeof text, "[%d/%b/%Y:%H:%M:%S %z]", &local);
        made_for = now;
    }
    return text;
}

static size_t put_quoted(char *line, size_t at, size_t size, const struct text *text)
{
    line[at++] = '"';
    at = text != NULL && text->at != NULL ? access_log_escape(line, at, size - 2, *text)
                                          : put_string(line, at, size - 2, "-");
    line[at++] = '"';
    return at;
}

static uint64_t response_bytes(const struct response *response)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < response->parts_count; i++) {
        bytes += response->parts[i].memory_bytes + response->parts[i].file_bytes;
    }
    return bytes;
}

void access_log_compose(struct worker *w, struct connection *c, const struct request *request,
                        const struct response *response, uint64_t from)
{
    c->work.log_from = from;
    c->work.log_head_bytes = response_bytes(response) - response->body_bytes;
    if (w->settings->access_log == NULL) {
        return;
    }
    char *line = c->desk->log + c->work.log_bytes;
    size_t size = DESK_LOG_LINE - 512; /* the rest is for what follows the request line and referer */
    size_t at = (size_t)snprintf(line, size, "%s - - %s ", access_log_client(w, c), stamp());
    at = put_quoted(line, at, size, request != NULL ? &request->line : NULL);
    at += (size_t)snprintf(line + at, 16, " %d ", response->status);
    c->work.log_split = c->work.log_bytes + (uint32_t)at;
    at += (size_t)snprintf(line + at, 24, "%llu ", (unsigned long long)response->body_bytes);
    at = put_quoted(line, at, size + 220, request != NULL ? &request->referer : NULL);
    line[at++] = ' ';
    at = put_quoted(line, at, DESK_LOG_LINE - 8, request != NULL ? &request->user_agent : NULL);
    line[at++] = '\n';
    c->work.log_bytes += (uint32_t)at;
}

/* ---- moving to the log area ---- */

/* Since when the log cannot be written: what of it was told. */
static struct {
    int error;     /* 0: it can be */
    bool drops;    /* there is no room for lines any more */
    uint64_t lost; /* lines */
    uint64_t quiet_until_ms;
} trouble;

static uint64_t count_lines(const char *bytes, size_t count)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < count; i++) {
        lines += bytes[i] == '\n';
    }
    return lines;
}

static void drop(const char *bytes, size_t count)
{
    if (!trouble.drops) {
        log_warn("access log: no room is left for the lines that wait: lines are being dropped");
    }
    trouble.drops = true;
    trouble.lost += count_lines(bytes, count);
}

static void append(struct worker *w, const char *bytes, size_t count, uint64_t mark)
{
    uint64_t fill = area_fill(w);
    if (fill + count > CELL_LOG_BYTES) {
        access_log_flush(w);
        fill = area_fill(w);
    }
    if (fill + count > CELL_LOG_BYTES) {
        drop(bytes, count);
        return;
    }
    memcpy(w->cell.log + fill, bytes, count);
    publish_state(w, fill + count, mark);
}

/* C's lines were put down last, or were the last that our predecessor put down before it died: whatever others may have
 * put down since. */
static bool is_logged(const struct worker *w, const struct connection *c)
{
    uint64_t mark = response_mark(c);
    return mark == w->cell.header->log_state >> FILL_BITS || mark == w->log_mark;
}

void access_log_commit(struct worker *w, struct connection *c)
{
    if (c->work.log_bytes == 0 || is_logged(w, c)) {
        return;
    }
    append(w, c->desk->log, c->work.log_bytes, response_mark(c));
}

/* The last line's number of body bytes, as far as they were sent. */
static uint64_t body_bytes_sent(const struct connection *c)
{
    uint64_t first_of_body = c->work.log_from + c->work.log_head_bytes;
    return c->at.sent > first_of_body ? c->at.sent - first_of_body : 0;
}

void access_log_cut(struct worker *w, struct connection *c)
{
    if (c->work.log_bytes == 0 || c->at.sent <= c->work.log_from || is_logged(w, c)) {
        return;
    }
    char lines[DESK_LOG_BYTES + 24];
    size_t at = c->work.log_split;
    memcpy(lines, c->desk->log, at);
    at += (size_t)snprintf(lines + at, 24, "%llu", (unsigned long long)body_bytes_sent(c));
    size_t rest = c->work.log_split;
    while (rest < c->work.log_bytes && isdigit((unsigned char)c->desk->log[rest])) {
        rest++;
    }
    memcpy(lines + at, c->desk->log + rest, c->work.log_bytes - rest);
    append(w, lines, at + c->work.log_bytes - rest, response_mark(c));
}

/* ---- to the file ---- */

enum { WARN_AGAIN_MS = 60 * 1000 };

static void note_trouble(const struct worker *w, int error)
{
    if (trouble.error == 0 && w->now.ms >= trouble.quiet_until_ms) {
        log_warn("access log: cannot be written: %s; lines wait", strerror(error));
        trouble.quiet_until_ms = clock_after(w->now, WARN_AGAIN_MS).ms;
    }
    trouble.error = error;
}

static void note_success(void)
{
    if (trouble.lost > 0) {
        log_warn("access log: written again; %llu lines were lost", (unsigned long long)trouble.lost);
    }
    trouble.error = 0;
    trouble.drops = false;
    trouble.lost = 0;
}

/* One write(2). False if nothing could be written. */
static bool write_some(struct worker *w, uint64_t fill)
{
    struct cell_header *header = w->cell.header;
    ssize_t written = write(w->birth.access_log_fd, w->cell.log + header->log_from, fill - header->log_from);
    if (written < 0 && errno == EINTR) {
        return true;
    }
    if (written <= 0) {
        note_trouble(w, written < 0 ? errno : ENOSPC);
        return false;
    }
    *(volatile uint64_t *)&header->log_from = header->log_from + (uint64_t)written;
    return true;
}

void access_log_flush(struct worker *w)
{
    struct cell_header *header = w->cell.header;
    uint64_t fill = area_fill(w);
    if (header->log_from >= fill) {
        return;
    }
    while (header->log_from < fill) {
        if (!write_some(w, fill)) {
            return;
        }
    }
    /* The fill mark goes first: "from beyond fill" reads as empty, never as lines to be written again. */
    publish_state(w, 0, header->log_state >> FILL_BITS);
    *(volatile uint64_t *)&header->log_from = 0;
    note_success();
}

bool access_log_waits(const struct worker *w)
{
    return w->cell.header->log_from < area_fill(w);
}

void access_log_finish(struct worker *w)
{
    access_log_flush(w);
    if (access_log_waits(w)) {
        uint64_t from = w->cell.header->log_from;
        trouble.lost += count_lines(w->cell.log + from, area_fill(w) - from);
        log_error("access log: cannot be written: %s; %llu lines are lost with this worker", strerror(trouble.error),
                  (unsigned long long)trouble.lost);
    }
}

void access_log_adopt(struct worker *w)
{
    struct cell_header *header = w->cell.header;
    w->log_mark = header->log_state >> FILL_BITS;
    if (area_fill(w) > CELL_LOG_BYTES || header->log_from >= area_fill(w)) {
        publish_state(w, 0, header->log_state >> FILL_BITS);
        header->log_from = 0;
    }
}
