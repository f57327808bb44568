/* response_head.h — putting a response's head together (RFC 9112 section 4, RFC 9110 sections 6.6 and 7.6.1). */
#ifndef PERDURE_WORKER_RESPONSE_HEAD_H
#define PERDURE_WORKER_RESPONSE_HEAD_H

#include "worker/http_date.h"
#include "worker/request.h"
#include "worker/response.h"
#include "worker/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A bounded piece of memory that is being written. Once something did not fit, full stays true and nothing more is
 * added; whoever wrote looks at it once, at the end. at + used <= at + bytes. */
struct head {
    char *at;
    size_t bytes;
    size_t used;
    bool full;
};

struct head head_in(char *memory, size_t bytes);
void head_add(struct head *head, struct text text);
void head_add_number(struct head *head, uint64_t number);

/* "Server" and "Date" with their values, written once a second. All zero is a good start. */
struct head_stamp {
    time_t second;
    size_t bytes;
    char text[17 + 6 + HTTP_DATE_BYTES + 2];
};

/* The status line, Server and Date, at response->out + out_used. Sets response->status. */
struct head response_head_begin(struct response *response, struct head_stamp *stamp, int status);

/* Connection, as the client's version and response->must_close want it, and the empty line. REQUEST may be NULL. */
void response_head_end(struct head *head, const struct request *request, const struct response *response);

/* What HEAD holds becomes the response's only part, and out_used moves behind it. Nothing may have been left out. */
void response_head_take(const struct head *head, struct response *response);

#endif
