/* path.h — from the path of a request target to the name of a file below the site's root. */
#ifndef PERDURE_WORKER_PATH_H
#define PERDURE_WORKER_PATH_H

#include "worker/text.h"

#include <stdbool.h>
#include <stddef.h>

/* What the kernel takes as a path, its NUL included (PATH_MAX). */
enum { PATH_BYTES_MAX = 4096 };

enum path_verdict {
    PATH_GOOD,
    PATH_MALFORMED, /* bad percent-encoding, %00, no leading '/', or ".." above the root: 400 */
    PATH_ABSENT,    /* can name no file that is served: a hidden name, or an encoded slash: 404 */
    PATH_TOO_LONG,  /* the kernel would refuse it: 414 */
};

struct path {
    size_t bytes;              /* of name, without its NUL; < PATH_BYTES_MAX */
    bool is_directory;         /* it ended in a slash, or in "." or ".." */
    char name[PATH_BYTES_MAX]; /* decoded, relative, normal: no empty, "." or ".." segment; "" is the root itself */
};

/* Decode and normalise ENCODED (RFC 3986 sections 2.1, 5.2.4 and 6.2.2). It is decoded exactly once, and first, so that
 * "%2e%2e" is "..". Repeated slashes count as one. A segment that begins with a dot hides the whole path unless
 * DOT_FILES; ".well-known" (RFC 8615) is never hidden. "%2F" names no file: no file's name holds a slash, and taking it
 * for a separator would make two different targets the same. */
enum path_verdict path_decode(struct text encoded, bool dot_files, struct path *path);

/* Percent-encode all but unreserved characters and '/', into at most OUT_BYTES bytes. Returns the bytes written, or 0
 * if they do not fit (or NAME is empty). */
size_t path_encode(struct text name, char *out, size_t out_bytes);

/* DIRECTORY/NAME into out. False if that is too long. An empty directory is the root. */
bool path_join(struct text directory, const char *name, char out[PATH_BYTES_MAX]);

#endif
