/* response_content.h — answers from a file that was found: all of it, parts of it, or that it is unchanged. */
#ifndef PERDURE_WORKER_RESPONSE_CONTENT_H
#define PERDURE_WORKER_RESPONSE_CONTENT_H

#include "worker/responder.h"

/* Answer a GET or HEAD from ENTRY: 200, 206, 304, 412 or 416 (RFC 9110 sections 13 and 14). The response borrows the
 * entry's file if it has a body. */
void response_content(struct responder *responder, const struct request *request, struct file_entry *entry,
                      struct response *response);

/* The same without preconditions and ranges, for a page that was made: always 200. */
void response_whole(struct responder *responder, const struct request *request, struct file_entry *entry,
                    struct response *response);

#endif
