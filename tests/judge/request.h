/* request.h — the requests the judge sends, and what is due for each. */
#ifndef JUDGE_REQUEST_H
#define JUDGE_REQUEST_H

#include "tests/judge/corpus.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { REQUEST_BYTES_MAX = 4096 + 512 };

/* What is due: a response with this status, and of the file the bytes from … from+bytes-1 (from + bytes <= its size).
 */
struct request {
    struct file *file;
    uint64_t from, bytes;
    uint64_t sent_ns;  /* when its last byte was sent; 0: not yet */
    uint32_t text_end; /* where it ends in the text that its client is sending */
    int status;
    bool is_head;
};

/* What a request may look like. */
enum request_manner {
    REQUEST_PLAIN,  /* GET, the whole file */
    REQUEST_VARIED, /* mostly that; also HEAD, a Range, If-None-Match */
    REQUEST_LAST,   /* like PLAIN, with Connection: close */
};

/* Choose a request for FILE and write it at TEXT, which has REQUEST_BYTES_MAX bytes left. Returns its length. */
size_t request_compose(struct request *request, struct file *file, enum request_manner manner, const char *host,
                       char *text);

/* "GET /a.txt, bytes 5-10" in words, into WORDS. */
void request_describe(const struct request *request, char *words, size_t words_bytes);

#endif
