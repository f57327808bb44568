/* corpus.h — the files that a server is to serve, mapped into memory: what every byte of it must be. */
#ifndef JUDGE_CORPUS_H
#define JUDGE_CORPUS_H

#include <stddef.h>
#include <stdint.h>

enum { ETAG_BYTES = 96 };

struct file {
    const char *target; /* the request target: its path below the root, percent-encoded */
    const char *data;   /* NULL if it is empty */
    uint64_t bytes;
    char etag[ETAG_BYTES]; /* as the server said last; "" before it did */
};

/* 0 < small_count <= count; files[0 … small_count-1] are those for quick requests, largest is the largest of all. */
struct corpus {
    struct file *files;
    size_t count, small_count;
    struct file *largest;
};

/* Map all regular files below ROOT but hidden ones; exits with a message if there is none. Those of at most SMALL_BYTES
 * are the small ones (or all, if none is so small). */
void corpus_load(struct corpus *corpus, const char *root, uint64_t small_bytes);

#endif
