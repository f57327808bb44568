/* json.h — writes JSON (RFC 8259), one member after another; the commas are its business.
 *
 * Our own 60 lines and not a library: we only ever write, and a root process is better off with less in it. */
#ifndef PERDURE_JSON_H
#define PERDURE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool comma; /* something stands before, in the present object or array */
};

/* NAME is NULL for an element of an array and for the outermost value; it is written as it is. */
void json_open(struct json *json, const char *name, char bracket);
void json_close(struct json *json, char bracket);
void json_number(struct json *json, const char *name, int64_t value);
void json_bool(struct json *json, const char *name, bool value);
void json_null(struct json *json, const char *name);

/* At most BYTES bytes, up to the first NUL. What is not UTF-8 becomes U+FFFD, so the document is always valid. */
void json_string(struct json *json, const char *name, const char *text, size_t bytes);

#endif
