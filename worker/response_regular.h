/* response_regular.h — the answer for a path that may name a regular file: from it, or from its compressed sibling. */
#ifndef PERDURE_WORKER_RESPONSE_REGULAR_H
#define PERDURE_WORKER_RESPONSE_REGULAR_H

#include "worker/responder.h"

/* Find PATH (decoded, normal) below SITE's root and answer from it if it is a regular file. Any other kind than
 * FILE_REGULAR: nothing is done yet. */
enum file_kind response_regular(struct responder *responder, const struct request *request, size_t site,
                                struct text path, struct response *response);

#endif
