/* mime.h — a file's media type, from its name's extension (RFC 9110 section 8.3). */
#ifndef PERDURE_WORKER_MIME_H
#define PERDURE_WORKER_MIME_H

#include "worker/text.h"

struct mime;

/* Open the table at PATH (the format of /etc/mime.types). It is read, once and for all, when the first question is
 * asked, so that a successor stands sooner: the reading takes a third of the pages that it touches until then. Without
 * it, or with PATH NULL, the built-in types for the web serve, and while there is no memory for it; a table that is
 * there but cannot be opened is warned about. NULL: no memory. */
struct mime *mime_open(const char *path);
void mime_close(struct mime *mime);

/* The type for NAME (a path will do), with "; charset=utf-8" where the type is text. The table goes before the built-in
 * types, a later line of it before an earlier one; extensions are compared without case. Unknown:
 * application/octet-stream. The answer is written to OUT. */
enum { MIME_TYPE_BYTES_MAX = 160 };
struct text mime_type(struct mime *mime, struct text name, char out[MIME_TYPE_BYTES_MAX]);

#endif
