/* request_check.h — whether one part of a request's head is well formed, and what it says. */
#ifndef PERDURE_WORKER_REQUEST_CHECK_H
#define PERDURE_WORKER_REQUEST_CHECK_H

#include "worker/request.h"
#include "worker/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Classes of bytes; one byte may be in several. */
enum {
    CHAR_TOKEN = 1,  /* tchar, RFC 9110 section 5.6.2 */
    CHAR_TARGET = 2, /* what a request target is made of: visible ASCII but '#' */
    CHAR_HOST = 4,   /* reg-name of RFC 3986 section 3.2.2 without '%' */
    CHAR_VALUE = 8,  /* what a field's value is made of: HTAB, SP, visible ASCII, obs-text */
};
extern const uint8_t char_classes[256];

static inline bool char_is(char byte, unsigned class)
{
    return (char_classes[(unsigned char)byte] & class) != 0;
}

static inline bool char_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* The method a token names; methods are case-sensitive (RFC 9110 section 9.1). */
enum method method_find(struct text token);

/* Whether AUTHORITY is uri-host [":" port], neither userinfo nor an empty host (RFC 9110 sections 4.2.1, 4.2.4). *HOST
 * becomes the part before the port; an IPv6 literal keeps its brackets. */
bool authority_split(struct text authority, struct text *host);

/* Content-Length: digits and nothing else, and no more than 64 bits' worth (RFC 9110 section 8.6). */
bool content_length_read(struct text value, uint64_t *length);

/* Take the next element off a comma-separated list, without the white space around it; it may be empty. False: none is
 * left. *REST begins as the field's value. */
bool list_take(struct text *rest, struct text *element);

/* What all Connection fields of a head ask for (RFC 9112 section 9.3). */
struct connection_wish {
    bool close, keep_alive;
};
void connection_read(struct text value, struct connection_wish *wish);

/* Whether an Expect field asks for a 100 (RFC 9110 section 10.1.1). */
bool expect_is_continue(struct text value);

/* What all Transfer-Encoding fields of a head name (RFC 9112 section 6.1). */
struct codings {
    unsigned fields;   /* how many such fields */
    unsigned chunked;  /* how often "chunked" */
    unsigned others;   /* how many others */
    bool malformed;    /* an element that is no token, with or without parameters; "chunked" with parameters */
    bool chunked_last; /* the last coding is chunked */
};
void codings_read(struct text value, struct codings *codings);

#endif
