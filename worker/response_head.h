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

/* "Server" and "Date" with their values, and behind them "Keep-Alive", written once a second. All zero is a good start.
 */
struct head_stamp {
    time_t second;
    unsigned keep_alive_s; /* what Keep-Alive announces; 0: there is none */
    size_t bytes;          /* without Keep-Alive */
    size_t kept_bytes;     /* with it */
    char text[17 + 6 + HTTP_DATE_BYTES + 2 + sizeof "Keep-Alive: timeout=4294967295\r\n"];
};

/* How many seconds of an idle_timeout a client may be told to reuse its connection for. What it sends then is still on
 * its way for a while, and our clock began to run when the response left, not when it arrived: so a second less. 0: it
 * is too short to be announced. */
unsigned keep_alive_seconds(uint64_t idle_timeout_ms);

/* The status line, Server and Date, and Keep-Alive if the connection is kept, at response->out + out_used. Sets
 * response->status. */
struct head response_head_begin(struct response *response, struct head_stamp *stamp, int status);

/* Connection, as the client's version and response->must_close want it, and the empty line. REQUEST may be NULL. */
void response_head_end(struct head *head, const struct request *request, const struct response *response);

/* What HEAD holds becomes the response's only part, and out_used moves behind it. Nothing may have been left out. */
void response_head_take(const struct head *head, struct response *response);

#endif
