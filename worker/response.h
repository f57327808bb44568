/* response.h — an answer, ready to be sent and reproducible from plain numbers.
 *
 * An answer is the bytes of its head (and of a small body) followed by at most one range of a file; a multipart answer
 * is several such pairs. Generated bodies that do not fit beside the head (listings) are put into a memfd and are files
 * then. Nothing of a file is read whole. */
#ifndef PERDURE_WORKER_RESPONSE_H
#define PERDURE_WORKER_RESPONSE_H

#include "supervisor/inherit/settings.h"
#include "worker/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESPONSE_PARTS_MAX = 32 };

/* Files up to this size are sent from memory beside the head: the response needs no descriptor, and so a successor none
 * either. What a desk has room for; a page of it, so that an answer touches few. */
enum { FILE_COPY_BYTES_MAX = 4096 };

/* One pair: memory, then a range of the file. Either may be empty. */
struct part {
    uint32_t memory_at; /* offset into the response's out buffer */
    uint32_t memory_bytes;
    uint64_t file_at;
    uint64_t file_bytes;
};

struct response {
    /* Given by the caller. */
    char *out;        /* where head and memory bytes go */
    size_t out_bytes; /* its size */
    size_t out_used;  /* in: the offset at which to begin; out: the first free byte behind */
    bool must_close;  /* in: say Connection: close; out: may have become true */

    /* Given back. */
    int status;
    int file_fd; /* -1: none. Owned by the file cache; file_cache_release(fd) when the answer is over. Without
                    close-on-exec */
    const char
        *file_memory; /* the file's bytes from offset 0, if the cache has them in memory; valid until the release */
    struct part parts[RESPONSE_PARTS_MAX];
    unsigned parts_count; /* >= 1 */
    uint64_t body_bytes;  /* of all parts together without the head: what the access log shows; 0 for HEAD */
};

struct responder; /* sites, their roots, the file cache, the mime table */

/* Open every site's root (O_PATH) and get ready. SETTINGS is borrowed and must outlive the responder. Returns NULL with
 * "FILE:LINE: cause; remedy" in error. */
struct responder *responder_open(const struct settings *settings, char error[SETTINGS_ERROR_BYTES]);
void responder_close(struct responder *responder);

/* Answer a whole request. Never fails: what goes wrong is a response with the status that says so. The response always
 * fits: out_bytes - out_used must be at least RESPONSE_OUT_MIN. */
enum { RESPONSE_OUT_MIN = 8192 + FILE_COPY_BYTES_MAX };
void respond(struct responder *responder, const struct request *request, struct response *response);

/* Answer with an error page: a refused head, a time-out (408), a poisoned request (500), a sick descriptor table (503).
 * REQUEST may be NULL when nothing was understood. */
void respond_error(struct responder *responder, const struct request *request, int status, struct response *response);

/* ---- the file cache's side of ownership ---- */

/* The answer that borrowed FD is over. */
void file_cache_release(struct responder *responder, int fd);

/* A successor found FD in a slot: count it as borrowed, once per slot. False: no memory. */
bool file_cache_adopt(struct responder *responder, int fd);

/* True if somebody has borrowed FD. */
bool file_cache_is_borrowed(const struct responder *responder, int fd);

/* Close what nobody borrows and nobody asked for lately; called about once a second. */
void file_cache_trim(struct responder *responder, uint64_t now_ms);

/* Close every file that nobody borrows, now: descriptors have run out. Returns how many were closed. */
unsigned file_cache_shed(struct responder *responder);

#endif
