/* mime.h — a file's media type, from its name's extension (RFC 9110 section 8.3). */
#ifndef PERDURE_WORKER_MIME_H
#define PERDURE_WORKER_MIME_H

#include "worker/text.h"

struct mime;

/* Read the table at PATH (the format of /etc/mime.types), once and for all. It is not understood before the first
 * question, so that a successor stands sooner. Without it, or with PATH NULL, the built-in types for the web serve; a
 * table that is there but unreadable is warned about. NULL: no memory. */
struct mime *mime_open(const char *path);
void mime_close(struct mime *mime);

/* The type for NAME (a path will do), with "; charset=utf-8" where the type is text. The table goes before the built-in
 * types, a later line of it before an earlier one; extensions are compared without case. Unknown:
 * application/octet-stream. The answer is written to OUT. */
enum { MIME_TYPE_BYTES_MAX = 160 };
struct text mime_type(struct mime *mime, struct text name, char out[MIME_TYPE_BYTES_MAX]);

#endif
