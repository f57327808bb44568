/* response_error.h — answers that are a short page of their own: errors and redirects. */
#ifndef PERDURE_WORKER_RESPONSE_ERROR_H
#define PERDURE_WORKER_RESPONSE_ERROR_H

#include "worker/request.h"
#include "worker/response.h"
#include "worker/text.h"

/* Like respond_error() in response.h, with EXTRA header lines, which must leave room for the page (2 KiB). */
void response_page(struct responder *responder, const struct request *request, int status, struct text extra,
                   struct response *response);

/* An answer without content: 204 to OPTIONS. */
void response_bare(struct responder *responder, const struct request *request, int status, struct text extra,
                   struct response *response);

#endif
