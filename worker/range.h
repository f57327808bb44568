/* range.h — which bytes of a file a Range field asks for (RFC 9110 section 14). */
#ifndef PERDURE_WORKER_RANGE_H
#define PERDURE_WORKER_RANGE_H

#include "worker/text.h"

#include <stdint.h>

/* 0 <= at, 0 < bytes, at + bytes <= the file's size. */
struct range {
    uint64_t at, bytes;
};

/* More are not sane: a client that wants so many pieces wants the whole. */
enum { RANGES_MAX = 16 };

enum range_verdict {
    RANGE_IGNORED, /* answer as if there were no Range */
    RANGE_GOOD,
    RANGE_UNSATISFIABLE, /* 416 */
};

/* Read FIELD for a file of FILE_BYTES. For RANGE_GOOD, ranges[0 … *count-1] are those that can be satisfied, in the
 * order asked for. Ignored are: another unit than bytes, anything malformed, more than RANGES_MAX, two that overlap
 * (RFC 9110 section 14.2 allows it, and no honest client does it), and a suffix of an empty file, which no
 * Content-Range can describe. */
enum range_verdict range_read(struct text field, uint64_t file_bytes, struct range ranges[RANGES_MAX], unsigned *count);

#endif
