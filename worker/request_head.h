/* request_head.h — what the parts of the head parser share while one head is parsed; nobody else includes it. */
#ifndef PERDURE_WORKER_REQUEST_HEAD_H
#define PERDURE_WORKER_REQUEST_HEAD_H

#include "worker/request.h"
#include "worker/request_check.h"

enum target_form {
    TARGET_ORIGIN,    /* /path?query */
    TARGET_ABSOLUTE,  /* http://authority/path?query */
    TARGET_ASTERISK,  /* *, for OPTIONS only */
    TARGET_AUTHORITY, /* host:port, for CONNECT only */
};

/* One call of request_parse. */
struct head {
    const char *at;  /* the next byte; bytes given <= at <= end */
    const char *end; /* behind the last byte given */
    const struct request_limits *limits;
    struct request *request;
    struct refusal *refusal;
    struct text method;
    enum target_form form;
    struct text host;           /* the Host field */
    struct text content_length; /* that field */
    struct codings codings;
    struct connection_wish wish;
};

/* Each step answers REQUEST_WHOLE when its own part of the head is whole, and then AT is behind that part. */

/* The request line, an empty line before it, and what the target says. */
enum request_verdict request_line_parse(struct head *head);

/* All fields and the empty line behind them. */
enum request_verdict request_fields_parse(struct head *head);

static inline enum request_verdict head_refuse(struct head *head, int status, const char *why)
{
    *head->refusal = (struct refusal){status, why};
    return REQUEST_REFUSED;
}

/* Take the CRLF at head->at, where a CR stands. */
static inline enum request_verdict head_crlf_take(struct head *head)
{
    if (head->end - head->at < 2)
        return REQUEST_PARTIAL;
    if (head->at[1] != '\n')
        return head_refuse(head, 400, "bare CR");
    head->at += 2;
    return REQUEST_WHOLE;
}

#endif
