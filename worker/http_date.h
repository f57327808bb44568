/* http_date.h — dates as HTTP writes and reads them (RFC 9110 section 5.6.7). */
#ifndef PERDURE_WORKER_HTTP_DATE_H
#define PERDURE_WORKER_HTTP_DATE_H

#include "worker/text.h"

#include <stdbool.h>
#include <time.h>

enum { HTTP_DATE_BYTES = 29 };

/* A calendar date and time of day, UTC. */
struct civil {
    int year, month, day;     /* month and day count from 1 */
    int hour, minute, second; /* second may be 60 */
    int weekday;              /* Sunday is 0; not looked at by civil_seconds */
};

struct civil civil_from(time_t seconds);
time_t civil_seconds(const struct civil *civil);

/* "Sun, 06 Nov 1994 08:49:37 GMT", no NUL. A time outside the years 0 to 9999 is written as the nearest inside. */
void http_date_write(time_t seconds, char out[HTTP_DATE_BYTES]);

/* Read any of the three forms: IMF-fixdate, RFC 850 with its two-digit year (more than 50 years ahead of NOW means the
 * last century), asctime. False if TEXT is none of them. The name of the day is not compared with the date. */
bool http_date_read(struct text text, time_t now, time_t *seconds);

#endif
