/* request.h — one request's head as the parser found it (RFC 9112 section 3, RFC 9110 section 5).
 *
 * Every text points into the buffer that was parsed. */
#ifndef PERDURE_WORKER_REQUEST_H
#define PERDURE_WORKER_REQUEST_H

#include "worker/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum method {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_OPTIONS,
    METHOD_OTHER, /* known to RFC 9110 or RFC 5789 but not served here: POST, PUT, DELETE, PATCH, CONNECT, TRACE: 405 */
    METHOD_UNKNOWN, /* 501 */
};

enum body_kind {
    BODY_NONE,
    BODY_LENGTH, /* Content-Length */
    BODY_CHUNKED,
};

enum { LIST_FIELDS_MAX = 4 };

struct request {
    enum method method;
    unsigned minor_version; /* of HTTP/1: 0 or 1 */
    struct text line;       /* the whole request line without its CRLF, for the access log */
    struct text target;     /* as sent */
    struct text path;       /* the target's path, still percent-encoded, begins with '/'; "*" for OPTIONS * */
    struct text query;      /* without the '?'; absent if there was none */
    struct text host; /* authority without port: from an absolute-form target, else from Host; may be absent in 1.0 */
    struct text authority;                                                 /* the same with its port */
    struct text if_match[LIST_FIELDS_MAX], if_none_match[LIST_FIELDS_MAX]; /* lists, which may go over several fields */
    struct text if_modified_since, if_unmodified_since, if_range, range;
    struct text accept_encoding, referer, user_agent;
    enum body_kind body;
    uint64_t content_length; /* for BODY_LENGTH */
    bool expects_continue;   /* Expect: 100-continue, HTTP/1.1 only */
    bool keep_alive;         /* what the client's version and Connection header ask for */
    size_t head_bytes;       /* from the first byte given to the end of the empty line */
};

struct request_limits {
    size_t head_bytes;   /* more: 431 */
    size_t target_bytes; /* more: 414 */
};

enum request_verdict {
    REQUEST_WHOLE,
    REQUEST_PARTIAL, /* nothing wrong so far; more bytes are needed */
    REQUEST_REFUSED,
};

struct refusal {
    int status;      /* 400, 414, 431, 501 (transfer coding), 505 */
    const char *why; /* a few static words for the log: "obs-fold", "two Content-Length fields" */
};

/* Parse the head that begins at BYTES. At most one empty line (CRLF) before the request line is skipped and counted in
 * head_bytes (RFC 9112 section 2.2). *SCANNED is how many bytes an earlier call for the same head has already searched
 * for its end (0 at first); it is updated, so that a head that arrives in small pieces costs linear time. After
 * REQUEST_REFUSED, *request holds at least the line and minor_version if they were understood (else line is absent),
 * and *refusal says why; the connection cannot be used further. */
enum request_verdict request_parse(const char *bytes, size_t count, const struct request_limits *limits,
                                   size_t *scanned, struct request *request, struct refusal *refusal);

/* ---- request_body.c: where the body ends (RFC 9112 sections 6 and 7). ---- */

/* The decoder's whole state between two pieces; plain data, so it can lie in a cell. A zeroed one with LEFT set to the
 * Content-Length is the start of BODY_LENGTH; an all-zero one that of BODY_CHUNKED. The decoder trusts no field. */
struct body_state {
    uint64_t left;  /* bytes of data still to come: of the body, or of this chunk */
    uint64_t total; /* bytes of data seen so far */
    uint32_t line;  /* bytes of the present chunk-size line or of the trailer section seen so far */
    uint8_t kind;   /* enum body_kind */
    uint8_t phase;  /* the chunked decoder's own */
};

enum body_verdict {
    BODY_WHOLE,     /* *used bytes belonged to it; the next request begins behind them */
    BODY_PARTIAL,   /* all bytes were used */
    BODY_MALFORMED, /* 400, close */
    BODY_TOO_LARGE, /* 413, close */
};

/* Go on with COUNT more bytes. A body of more than LIMIT bytes of data is too large; for BODY_LENGTH that is known at
 * once. The data is discarded. */
enum body_verdict body_read(struct body_state *state, const char *bytes, size_t count, uint64_t limit, size_t *used);

#endif
