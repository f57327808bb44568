/* listing.h — the page that shows what is in a directory. */
#ifndef PERDURE_WORKER_LISTING_H
#define PERDURE_WORKER_LISTING_H

#include "worker/file_open.h"
#include "worker/text.h"

#include <stdbool.h>
#include <stdint.h>

/* Beyond this many entries the page says that there are more: reading a directory holds up the worker's other clients,
 * by some 2 ms per thousand. */
enum { LISTING_ENTRIES_MAX = 50000 };

/* Write the page for the directory PATH (decoded, normal; "" is the root) below ROOT into a memfd without
 * close-on-exec: FILE_REGULAR, and *fd is the caller's. Any other kind says why there is none. Shown are directories
 * and regular files, reached directly or through links that stay inside the root; names that begin with a dot only with
 * DOT_FILES. */
enum file_kind listing_make(int root, struct text path, bool dot_files, int *fd, uint64_t *bytes);

#endif
