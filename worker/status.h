/* status.h — the statuses this server gives, and their words (RFC 9110 section 15). */
#ifndef PERDURE_WORKER_STATUS_H
#define PERDURE_WORKER_STATUS_H

#include "worker/text.h"

struct status {
    int code;
    struct text line;  /* "HTTP/1.1 200 OK" with its CRLF */
    struct text title; /* "200 OK" */
    struct text words; /* for a person, on the error page; empty where there is no page */
};

/* A code that is not in the table is ours to be ashamed of: it is the row of 500. */
const struct status *status_find(int code);

#endif
