/* conditional.h — preconditions of a request against a file's validators (RFC 9110 section 13). */
#ifndef PERDURE_WORKER_CONDITIONAL_H
#define PERDURE_WORKER_CONDITIONAL_H

#include "worker/request.h"
#include "worker/text.h"

#include <stdbool.h>
#include <time.h>

struct validators {
    struct text etag;          /* strong, with its quotes */
    struct text modified_text; /* as in Last-Modified */
    time_t modified;           /* the same */
};

enum precondition {
    PRECONDITION_HOLDS,
    PRECONDITION_NOT_MODIFIED, /* 304 */
    PRECONDITION_FAILED,       /* 412 */
};

/* Judge all but If-Range for GET or HEAD, in the order of RFC 9110 section 13.2.2: If-Match, or without it
 * If-Unmodified-Since; then If-None-Match, or without it If-Modified-Since. A date that cannot be read is as if absent.
 */
enum precondition conditional_judge(const struct request *request, const struct validators *validators, time_t now);

/* Does If-Range allow the Range to be used? Yes if it is absent, or names exactly the present state: by a strong ETag,
 * or by a Last-Modified that is at least a second old and so cannot stand for two states (RFC 9110 sections 13.1.5 and
 * 8.8.2.2). */
bool conditional_range_applies(const struct request *request, const struct validators *validators, time_t now);

#endif
