/* request_scan.h — where a run of bytes of one class ends, sixteen bytes at a time; and whether a field's name is that
 * one.
 *
 * Most of a head's bytes are looked at here, and only here. */
#ifndef PERDURE_WORKER_REQUEST_SCAN_H
#define PERDURE_WORKER_REQUEST_SCAN_H

#include "worker/text.h"

#include <stdbool.h>

/* The first byte at or after AT that is not of the class; END if there is none. */
const char *name_end(const char *at, const char *end);   /* CHAR_TOKEN */
const char *value_end(const char *at, const char *end);  /* CHAR_VALUE */
const char *target_end(const char *at, const char *end); /* CHAR_TARGET */

/* Whether NAME is LOWER in whatever case. LOWER has as many bytes as NAME, four or more of them, and is made of
 * lower-case letters and '-'; NAME is made of CHAR_TOKEN. */
bool name_is(struct text name, const char *lower);

#endif
