/* file_find.h — what a site has under a path: from the cache while that is fresh, else from the file system. */
#ifndef PERDURE_WORKER_FILE_FIND_H
#define PERDURE_WORKER_FILE_FIND_H

#include "worker/responder.h"

/* Files up to this size are held in memory, beside their descriptor. */
enum { FILE_MEMORY_BYTES_MAX = 64 << 10 };

/* The time that the cache's entries are measured in: CLOCK_MONOTONIC_COARSE, which costs no system call and is a tick
 * behind clock_now() at the most. */
uint64_t file_find_now_ms(void);

/* Find KEY as of NOW_MS. For FILE_REGULAR *entry is its entry, which holds until the next file_find; for the others it
 * is NULL. Not for VARIANT_LISTING. Its siblings are looked for if ACCEPT, an Accept-Encoding field, would have one.
 * For a compressed variant, which file_find on the identity must have shown to be there, anything but FILE_REGULAR
 * means that it is gone again. */
enum file_kind file_find(struct responder *responder, const struct file_key *key, struct text accept, uint64_t now_ms,
                         struct file_entry **entry);

/* Is ENTRY to be believed without asking the file system? */
bool file_entry_is_fresh(const struct responder *responder, const struct file_entry *entry, uint64_t now_ms);

#endif
