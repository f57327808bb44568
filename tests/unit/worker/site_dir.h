/* site_dir.h — a responder that serves a temporary directory, and requests put to it by hand. */
#ifndef PERDURE_TESTS_SITE_DIR_H
#define PERDURE_TESTS_SITE_DIR_H

#include "supervisor/inherit/log.h"
#include "tests/unit/worker/temp_dir.h"
#include "worker/responder.h"
#include "worker/response.h"

struct site_dir {
    struct temp_dir dir;
    char *names[1], *index[1];
    struct header_setting headers[2];
    struct site_setting site;
    struct settings settings;
    struct responder *responder;
};

/* Change setting->… between site_dir_make and site_dir_open. */
static inline void site_dir_make(struct site_dir *site)
{
    *site = (struct site_dir){.dir = temp_dir_make(), .names = {"*"}, .index = {"index.html"}};
    site->site = (struct site_setting){
        .names = site->names, .names_count = 1, .root = site->dir.path, .index = site->index, .index_count = 1};
    site->settings = (struct settings){
        .sites = &site->site, .sites_count = 1, .file_cache_valid_ms = 0, .file_cache_memory = 1 << 20};
    log_threshold(LOG_LEVEL_ERROR);
}

static inline void site_dir_open(struct site_dir *site)
{
    char error[SETTINGS_ERROR_BYTES];
    site->responder = responder_open(&site->settings, error);
    if (!site->responder) {
        abort();
    }
    site->responder->settle_ms = 0; /* the tests' files are all brand new */
}

static inline void site_dir_close(struct site_dir *site)
{
    responder_close(site->responder);
    temp_dir_remove(&site->dir);
}

/* A GET of TARGET, HTTP/1.1, keep-alive. */
static inline struct request request_for(const char *target)
{
    const char *question = strchr(target, '?');
    struct request request = {.method = METHOD_GET, .minor_version = 1, .keep_alive = true};
    request.target = (struct text){target, strlen(target)};
    request.path = (struct text){target, question ? (size_t)(question - target) : strlen(target)};
    if (question) {
        request.query = (struct text){question + 1, strlen(question + 1)};
    }
    return request;
}

/* What a client would have received. */
struct reply {
    struct response response;
    char out[16384];
    char *wire; /* head and body; owned */
    size_t wire_bytes;
    char *body; /* within wire */
    size_t body_bytes;
};

static inline void reply_append(struct reply *reply, const char *bytes, size_t count)
{
    reply->wire = realloc(reply->wire, reply->wire_bytes + count + 1);
    memcpy(reply->wire + reply->wire_bytes, bytes, count);
    reply->wire_bytes += count;
    reply->wire[reply->wire_bytes] = '\0';
}

/* Put the parts together, from memory where the response has it; the descriptor must hold the same bytes. */
static inline void reply_assemble(struct reply *reply)
{
    const struct response *response = &reply->response;
    for (unsigned i = 0; i < response->parts_count; i++) {
        const struct part *part = &response->parts[i];
        reply_append(reply, response->out + part->memory_at, part->memory_bytes);
        if (part->file_bytes == 0) {
            continue;
        }
        char *bytes = malloc(part->file_bytes);
        if (pread(response->file_fd, bytes, part->file_bytes, (off_t)part->file_at) != (ssize_t)part->file_bytes) {
            abort();
        }
        if (response->file_memory && memcmp(response->file_memory + part->file_at, bytes, part->file_bytes) != 0) {
            abort();
        }
        reply_append(reply, bytes, part->file_bytes);
        free(bytes);
    }
    char *end = strstr(reply->wire, "\r\n\r\n");
    reply->body = end + 4;
    reply->body_bytes = reply->wire_bytes - (size_t)(reply->body - reply->wire);
}

static inline struct reply reply_to(struct site_dir *site, const struct request *request)
{
    struct reply reply = {.wire = NULL};
    memset(&reply.response, 0xA5, sizeof reply.response); /* nothing may be taken for granted */
    reply.response.out = reply.out;
    reply.response.out_bytes = 100 + RESPONSE_OUT_MIN;
    reply.response.out_used = 100;
    reply.response.must_close = false;
    respond(site->responder, request, &reply.response);
    reply_assemble(&reply);
    return reply;
}

static inline void reply_free(struct site_dir *site, struct reply *reply)
{
    if (reply->response.file_fd >= 0) {
        file_cache_release(site->responder, reply->response.file_fd);
    }
    free(reply->wire);
}

/* Is LINE (without its CRLF) in the head? */
static inline bool reply_has(const struct reply *reply, const char *line)
{
    char wanted[8300];
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    const char *found = strstr(reply->wire, wanted);
    return found && found < reply->body;
}

/* The value of the field NAME, which must be there, into VALUE. */
static inline void reply_field(const struct reply *reply, const char *name, char value[256])
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *found = strstr(reply->wire, wanted);
    if (!found || found >= reply->body) {
        abort();
    }
    found += strlen(wanted);
    snprintf(value, 256, "%.*s", (int)strcspn(found, "\r"), found);
}

static inline bool reply_names(const struct reply *reply, const char *name)
{
    char wanted[64];
    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *found = strstr(reply->wire, wanted);
    return found && found < reply->body;
}

#endif
