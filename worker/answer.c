/* answer.c — from whole requests to the bytes that answer them, laid out on the desk. See connection.h.
 *
 * Pipelined requests whose answers are small are answered together, so they leave in one system call. */
#include "worker/connection.h"

#include "supervisor/inherit/check.h"
#include "worker/access_log.h"
#include "worker/limits.h"
#include "worker/test_target.h"

#include <string.h>

struct request_limits answer_limits(const struct worker *w)
{
    return (struct request_limits){.head_bytes = w->settings->head_limit, .target_bytes = w->settings->target_limit};
}

/* Its parts are left as they are, a kilobyte: who adds one fills it. */
static void begin_response(const struct worker *w, const struct connection *c, struct response *response)
{
    response->out = c->desk->out;
    response->out_bytes = DESK_OUT_BYTES;
    response->out_used = c->work.memory_bytes;
    response->must_close = w->stopping;
    response->status = 0;
    response->file_fd = -1;
    response->file_memory = NULL;
    response->parts_count = 0;
    response->body_bytes = 0;
}

/* The response's first part joins what is going out already; further parts wait on the desk. */
static void lay_out(struct connection *c, const struct response *response)
{
    const struct part *first = &response->parts[0];
    check(response->parts_count >= 1 && response->parts_count <= DESK_PARTS_MAX);
    check(first->memory_at == c->work.memory_bytes && first->memory_bytes <= DESK_OUT_BYTES - first->memory_at);
    c->work.memory_bytes += first->memory_bytes;
    c->work.file_fd = response->file_fd;
    c->work.file_at = first->file_at;
    c->work.file_bytes = first->file_bytes;
    c->work.part = 0;
    c->work.parts = (uint16_t)response->parts_count;
    for (unsigned i = 1; i < response->parts_count; i++) {
        const struct part *part = &response->parts[i];
        c->desk->part[i] = (struct desk_part){.file_at = part->file_at,
                                              .file_bytes = part->file_bytes,
                                              .memory_at = part->memory_at,
                                              .memory_bytes = part->memory_bytes};
    }
    c->file_memory = response->file_memory;
    c->work.requests++;
    if (response->must_close) {
        c->work.flags |= DESK_CLOSE;
    }
}

/* Every response says its length; who speaks HTTP/1.1 goes by it and by Connection: close, and will close by itself.
 * One of HTTP/1.0 waits for the end of the stream as likely as not. */
static void note_end(struct connection *c, const struct request *request)
{
    if (!request->keep_alive && request->body == BODY_NONE) {
        c->work.flags |= DESK_LAST;
    }
    if ((c->work.flags & DESK_CLOSE) != 0 && request->minor_version >= 1) {
        c->work.flags |= DESK_PART;
    }
}

/* Put a small file's bytes behind its head, so that the next response can follow them. */
static void settle_in_memory(struct worker *w, struct connection *c)
{
    memcpy(c->desk->out + c->work.memory_bytes, c->file_memory + c->work.file_at, c->work.file_bytes);
    c->work.memory_bytes += (uint32_t)c->work.file_bytes;
    file_cache_release(w->responder, c->work.file_fd);
    c->work.file_fd = -1;
    c->work.file_bytes = 0;
    c->file_memory = NULL;
}

/* True if the request in work, or the one behind it, is a suspect. Such a one is answered alone: if it kills again, it
 * must be told from those before it, and those have their answers by then. */
static bool is_beside_suspect(const struct connection *c)
{
    return (c->work.flags & DESK_TRIED) != 0 &&
           (c->work.tried_at == c->work.head_at || c->work.tried_at == c->work.next_at);
}

/* True if another response can be put behind this one. */
static bool can_join(const struct connection *c)
{
    bool file_fits =
        c->work.file_fd < 0 ||
        (c->file_memory != NULL && c->work.memory_bytes + c->work.file_bytes + RESPONSE_OUT_MIN <= DESK_OUT_BYTES);
    return file_fits && c->work.memory_bytes + RESPONSE_OUT_MIN <= DESK_OUT_BYTES && c->work.parts == 1 &&
           (c->work.flags & DESK_CLOSE) == 0 && !is_beside_suspect(c) &&
           c->work.log_bytes + DESK_LOG_LINE <= DESK_LOG_BYTES;
}

/* If a further request lies whole in the buffer and has no body, take it. */
static bool take_next(struct worker *w, struct connection *c, struct request *request)
{
    if (c->work.next_at == c->work.fill_at || !can_join(c)) {
        return false;
    }
    struct request_limits limits = answer_limits(w);
    struct refusal refusal;
    size_t scanned = 0;
    if (request_parse(c->desk->in + c->work.next_at, c->work.fill_at - c->work.next_at, &limits, &scanned, request,
                      &refusal) != REQUEST_WHOLE ||
        request->body != BODY_NONE || !limits_allow_request(w, c)) {
        return false;
    }
    c->work.head_at = c->work.next_at;
    c->work.head_bytes = (uint32_t)request->head_bytes;
    c->work.next_at += (uint32_t)request->head_bytes;
    return true;
}

static void begin_sending(struct worker *w, struct connection *c)
{
    connection_enter(w, c, STAGE_RESPOND);
    connection_publish(c);
}

/* The desk has no response on it yet. */
static void clear_out(struct connection *c)
{
    c->work.memory_at = 0;
    c->work.memory_bytes = 0;
    c->work.file_fd = -1;
    c->work.file_bytes = 0;
    c->work.requests = 0;
    c->work.log_bytes = 0;
    c->work.log_split = 0;
    c->work.out_from = c->at.sent;
}

void answer_requests(struct worker *w, struct connection *c, const struct request *first)
{
    struct response response SCRATCH;
    struct request next SCRATCH;
    const struct request *request = first;
    clear_out(c);
    for (;;) {
        begin_response(w, c, &response);
        uint64_t from = c->work.out_from + c->work.memory_bytes;
        w->cell.header->in_hand_at = c->work.head_at;
        test_target(request, &w->cell);
        respond(w->responder, request, &response);
        lay_out(c, &response);
        note_end(c, request);
        access_log_compose(w, c, request, &response, from);
        if (!take_next(w, c, &next)) {
            break;
        }
        if (c->work.file_fd >= 0) {
            settle_in_memory(w, c);
        }
        request = &next;
    }
    begin_sending(w, c);
}

void answer_error(struct worker *w, struct connection *c, const struct request *request, int status)
{
    clear_out(c);
    struct response response;
    begin_response(w, c, &response);
    response.must_close = true;
    respond_error(w->responder, request, status, &response);
    response.must_close = true;
    lay_out(c, &response);
    access_log_compose(w, c, request, &response, c->work.out_from);
    c->work.next_at = c->work.fill_at; /* what follows cannot be understood */
    begin_sending(w, c);
}
