/* answer.h — the head of a response: read, and held against the request it answers. Bodies are not looked at here. */
#ifndef JUDGE_ANSWER_H
#define JUDGE_ANSWER_H

#include "tests/judge/request.h"
#include "tests/judge/verdict.h"

struct answer {
    int status;
    bool has_length, has_range, says_close;
    uint64_t length;
    uint64_t range_first, range_last, range_total;
    const char *etag; /* borrowed from the head */
    size_t etag_bytes;
};

/* Read HEAD, whose last bytes are its empty line. NULL, or in words what is wrong with it. */
const char *answer_read(struct answer *answer, const char *head, size_t head_bytes);

/* Is it what is due for REQUEST? TROUBLE_NONE, or the kind, with the details in WORDS. */
enum trouble answer_judge(const struct answer *answer, const struct request *request, char *words, size_t words_bytes);

/* How many bytes of body are due for REQUEST. */
uint64_t answer_body_bytes(const struct request *request);

#endif
