/* file_head.h — the header fields that a file's answers share, made once per state of the file.
 *
 * They lie in one piece of text in such an order that every answer uses a piece from its front:
 *   304             ETag, Vary, the site's own
 *   206, multipart  … and Last-Modified, Accept-Ranges, Content-Encoding
 *   206, one range  … and Content-Type
 *   200             … and Content-Length */
#ifndef PERDURE_WORKER_FILE_HEAD_H
#define PERDURE_WORKER_FILE_HEAD_H

#include "worker/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct file_head {
    char *text;
    uint32_t cached_bytes;    /* for 304 */
    uint32_t described_bytes; /* for multipart */
    uint32_t typed_bytes;     /* for one range */
    uint32_t whole_bytes;     /* for 200 */
    /* Values within text. A page that was made has neither of the first two. */
    struct text etag;          /* strong, with its quotes */
    struct text modified_text; /* as in Last-Modified */
    struct text content_type;
    time_t modified; /* the same as modified_text */
};

/* What to make it of. */
struct file_description {
    uint64_t bytes, inode;
    struct timespec modified;
    struct text content_type;
    struct text content_encoding; /* empty: none */
    bool varies;                  /* by Accept-Encoding */
    struct text site_headers;     /* whole lines */
};

/* No file's fields take more than this beside the site's own headers. */
enum { FILE_HEAD_BYTES_MAX = 768, SITE_HEADERS_BYTES_MAX = 4096 };

/* The strong ETag is the file's inode, size and time of change to the nanosecond: another file under the same name,
 * or another state of the same, has another one. A file from the future is said to be from NOW (RFC 9110 section
 * 8.8.2.1). */
struct file_head file_head_make(const struct file_description *file, time_t now);

/* For a page that was made just now: no validators, no ranges; not to be used again without asking. */
struct file_head file_head_make_page(uint64_t bytes, struct text site_headers);

void file_head_free(struct file_head *head);

#endif
