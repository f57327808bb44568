/* response_content.c — see response_content.h. */
#include "worker/response_content.h"

#include "supervisor/inherit/check.h"
#include "supervisor/inherit/clock.h"
#include "worker/conditional.h"
#include "worker/range.h"
#include "worker/response_error.h"

#include <unistd.h>

/* A multipart answer is the ranges and a closing part. */
_Static_assert(RANGES_MAX + 1 <= RESPONSE_PARTS_MAX, "a part for every range and one to close");

/* Let part I carry BYTES of the file from AT on. */
static void part_file(struct response *response, unsigned i, uint64_t at, uint64_t bytes)
{
    response->parts[i].file_at = at;
    response->parts[i].file_bytes = bytes;
    response->body_bytes += bytes;
}

/* The answer will be sent from ENTRY's file. */
static void borrow(struct response *response, struct file_entry *entry)
{
    open_file_borrow(entry->file);
    response->file_fd = entry->file->fd;
    response->file_memory = entry->file->memory;
}

/* BYTES that were put behind the head are the body. */
static void take_body(struct response *response, uint64_t bytes)
{
    response->parts[0].memory_bytes += (uint32_t)bytes;
    response->out_used += bytes;
    response->body_bytes += bytes;
}

/* BYTES of ENTRY's file from AT on follow the head, which is the response's only part. */
static void carry(struct response *response, struct file_entry *entry, uint64_t at, uint64_t bytes)
{
    if (!entry->copy) {
        borrow(response, entry);
        part_file(response, 0, at, bytes);
        return;
    }
    check(bytes <= response->out_bytes - response->out_used);
    memcpy(response->out + response->out_used, entry->copy + at, bytes);
    take_body(response, bytes);
}

/* A few bytes of a large file are read: to let them be sent from it costs more. False: they are not so few, or somebody
 * has made the file shorter, which whoever sends from it will find. */
static bool read_in(struct response *response, const struct file_entry *entry, uint64_t at, uint64_t bytes)
{
    if (entry->copy || entry->file->memory || bytes > FILE_COPY_BYTES_MAX) {
        return false;
    }
    check(bytes <= response->out_bytes - response->out_used);
    if (pread(entry->file->fd, response->out + response->out_used, bytes, (off_t)at) != (ssize_t)bytes) {
        return false;
    }
    take_body(response, bytes);
    return true;
}

static void no_body(struct response *response)
{
    response->file_fd = -1;
    response->file_memory = NULL;
    response->body_bytes = 0;
}

/* This is the way of nearly every request. */
void response_whole(struct responder *responder, const struct request *request, struct file_entry *entry,
                    struct response *response)
{
    no_body(response);
    struct head head = response_head_begin(response, &responder->stamp, 200);
    head_add(&head, (struct text){entry->head.text, entry->head.whole_bytes});
    response_head_end(&head, request, response);
    response_head_take(&head, response);
    if (request->method == METHOD_GET && entry->facts.bytes > 0) {
        carry(response, entry, 0, entry->facts.bytes);
    }
}

static void respond_not_modified(struct responder *responder, const struct request *request,
                                 const struct file_entry *entry, struct response *response)
{
    no_body(response);
    struct head head = response_head_begin(response, &responder->stamp, 304);
    head_add(&head, (struct text){entry->head.text, entry->head.cached_bytes});
    response_head_end(&head, request, response);
    response_head_take(&head, response);
}

static void respond_unsatisfiable(struct responder *responder, const struct request *request,
                                  const struct file_entry *entry, struct response *response)
{
    char memory[64];
    struct head extra = head_in(memory, sizeof memory);
    head_add(&extra, TEXT("Content-Range: bytes */"));
    head_add_number(&extra, entry->facts.bytes);
    head_add(&extra, TEXT("\r\n"));
    response_page(responder, request, 416, (struct text){extra.at, extra.used}, response);
}

static void add_content_range(struct head *head, struct range range, uint64_t file_bytes)
{
    head_add(head, TEXT("Content-Range: bytes "));
    head_add_number(head, range.at);
    head_add(head, TEXT("-"));
    head_add_number(head, range.at + range.bytes - 1);
    head_add(head, TEXT("/"));
    head_add_number(head, file_bytes);
    head_add(head, TEXT("\r\n"));
}

static void add_content_length(struct head *head, uint64_t bytes)
{
    head_add(head, TEXT("Content-Length: "));
    head_add_number(head, bytes);
    head_add(head, TEXT("\r\n"));
}

static void respond_range(struct responder *responder, const struct request *request, struct file_entry *entry,
                          struct range range, struct response *response)
{
    no_body(response);
    struct head head = response_head_begin(response, &responder->stamp, 206);
    head_add(&head, (struct text){entry->head.text, entry->head.typed_bytes});
    add_content_range(&head, range, entry->facts.bytes);
    add_content_length(&head, range.bytes);
    response_head_end(&head, request, response);
    response_head_take(&head, response);
    if (!read_in(response, entry, range.at, range.bytes)) {
        carry(response, entry, range.at, range.bytes);
    }
}

/* ---- several ranges: multipart/byteranges (RFC 9110 section 14.6) ---- */

enum { BOUNDARY_BYTES = 24, SEPARATORS_BYTES_MAX = 6144 };

/* The text before each range and behind the last. ends[i] is where the one before range i ends, ends[count] where the
 * closing one does. */
struct separators {
    char memory[SEPARATORS_BYTES_MAX];
    struct head head;
    size_t ends[RANGES_MAX + 1];
};

/* Not to be guessed by whoever wrote the file (splitmix64 over a secret start). */
static void boundary_draw(struct responder *responder, char boundary[BOUNDARY_BYTES])
{
    uint64_t z = responder->boundaries += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    memcpy(boundary, "perdure-", 8);
    for (size_t i = 8; i < BOUNDARY_BYTES; i++, z >>= 4) {
        boundary[i] = "0123456789abcdef"[z & 15];
    }
}

static void separators_make(struct separators *separators, struct text boundary, const struct file_entry *entry,
                            const struct range *ranges, unsigned count)
{
    struct head *head = &separators->head;
    *head = head_in(separators->memory, sizeof separators->memory);
    for (unsigned i = 0; i < count; i++) {
        head_add(head, i == 0 ? TEXT("--") : TEXT("\r\n--"));
        head_add(head, boundary);
        head_add(head, TEXT("\r\nContent-Type: "));
        head_add(head, entry->head.content_type);
        head_add(head, TEXT("\r\n"));
        add_content_range(head, ranges[i], entry->facts.bytes);
        head_add(head, TEXT("\r\n"));
        separators->ends[i] = head->used;
    }
    head_add(head, TEXT("\r\n--"));
    head_add(head, boundary);
    head_add(head, TEXT("--\r\n"));
    separators->ends[count] = head->used;
}

static uint64_t ranges_bytes(const struct range *ranges, unsigned count)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < count; i++) {
        bytes += ranges[i].bytes; /* they do not overlap, so the sum is at most the file's size */
    }
    return bytes;
}

/* The parts' memory lies in one piece in response->out: the head, then the separators from SEPARATORS_AT on. */
static void parts_lay_out(struct response *response, size_t separators_at, const struct separators *separators,
                          const struct range *ranges, unsigned count)
{
    size_t from = response->out_used;
    for (unsigned i = 0; i <= count; i++) {
        size_t end = separators_at + separators->ends[i];
        response->parts[i] = (struct part){.memory_at = (uint32_t)from, .memory_bytes = (uint32_t)(end - from)};
        if (i < count) {
            part_file(response, i, ranges[i].at, ranges[i].bytes);
        }
        from = end;
    }
    response->parts_count = count + 1;
    response->body_bytes += separators->head.used;
    response->out_used = from;
}

/* The head, the separators, and between them the ranges of a file whose bytes we have: all one part. */
static bool parts_copy(struct response *response, struct head *head, const struct separators *separators,
                       const struct file_entry *entry, const struct range *ranges, unsigned count)
{
    size_t head_bytes = head->used, from = 0;
    for (unsigned i = 0; i <= count; i++) {
        head_add(head, (struct text){separators->memory + from, separators->ends[i] - from});
        from = separators->ends[i];
        if (i < count) {
            head_add(head, (struct text){entry->copy + ranges[i].at, ranges[i].bytes});
        }
    }
    if (head->full) {
        return false;
    }
    no_body(response);
    response_head_take(head, response);
    response->body_bytes = head->used - head_bytes;
    return true;
}

/* The separators behind the head, and between them the ranges of a file that is lent. */
static bool parts_lend(struct response *response, struct head *head, const struct separators *separators,
                       struct file_entry *entry, const struct range *ranges, unsigned count)
{
    size_t separators_at = response->out_used + head->used;
    head_add(head, (struct text){separators->head.at, separators->head.used});
    if (head->full) {
        return false;
    }
    no_body(response);
    parts_lay_out(response, separators_at, separators, ranges, count);
    borrow(response, entry);
    return true;
}

/* False, and nothing done, if it does not fit into response->out. */
static bool respond_ranges(struct responder *responder, const struct request *request, struct file_entry *entry,
                           const struct range *ranges, unsigned count, struct response *response)
{
    char boundary[BOUNDARY_BYTES];
    boundary_draw(responder, boundary);
    struct text boundary_text = {boundary, sizeof boundary};
    struct separators separators;
    separators_make(&separators, boundary_text, entry, ranges, count);
    if (separators.head.full) {
        return false;
    }
    struct head head = response_head_begin(response, &responder->stamp, 206);
    head_add(&head, (struct text){entry->head.text, entry->head.described_bytes});
    head_add(&head, TEXT("Content-Type: multipart/byteranges; boundary="));
    head_add(&head, boundary_text);
    head_add(&head, TEXT("\r\n"));
    add_content_length(&head, ranges_bytes(ranges, count) + separators.head.used);
    response_head_end(&head, request, response);
    return entry->copy ? parts_copy(response, &head, &separators, entry, ranges, count)
                       : parts_lend(response, &head, &separators, entry, ranges, count);
}

/* ---- which of them ---- */

/* Range means something for GET only (RFC 9110 section 14.2). */
static void respond_content_held(struct responder *responder, const struct request *request, struct file_entry *entry,
                                 const struct validators *validators, time_t now, struct response *response)
{
    struct range ranges[RANGES_MAX];
    unsigned count = 0;
    enum range_verdict verdict = RANGE_IGNORED;
    if (request->range.at && request->method == METHOD_GET && conditional_range_applies(request, validators, now)) {
        verdict = range_read(request->range, entry->facts.bytes, ranges, &count);
    }
    switch (verdict) {
    case RANGE_UNSATISFIABLE:
        respond_unsatisfiable(responder, request, entry, response);
        return;
    case RANGE_GOOD:
        if (count == 1) {
            respond_range(responder, request, entry, ranges[0], response);
            return;
        }
        if (respond_ranges(responder, request, entry, ranges, count, response)) {
            return;
        }
        break;
    case RANGE_IGNORED:
        break;
    }
    response_whole(responder, request, entry, response);
}

void response_content(struct responder *responder, const struct request *request, struct file_entry *entry,
                      struct response *response)
{
    struct validators validators = {entry->head.etag, entry->head.modified_text, entry->head.modified};
    time_t now = clock_wall_seconds();
    switch (conditional_judge(request, &validators, now)) {
    case PRECONDITION_HOLDS:
        respond_content_held(responder, request, entry, &validators, now, response);
        break;
    case PRECONDITION_NOT_MODIFIED:
        respond_not_modified(responder, request, entry, response);
        break;
    case PRECONDITION_FAILED:
        response_page(responder, request, 412, TEXT(""), response);
        break;
    }
}
