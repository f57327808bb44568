/* words.h — small pieces of text that several explanations are made of. */
#ifndef PERDURE_WHY_WORDS_H
#define PERDURE_WHY_WORDS_H

#include "supervisor/why/holders.h"

#include <stdio.h>

enum { WORDS_BYTES = 96 };

/* "41 s", "5 min", "2 h", "3 days". Returns TEXT. */
const char *words_duration(int64_t seconds, char text[WORDS_BYTES]);

/* "10.0.0.7:443", "[::1]:8000"; without its port if that is 0. */
const char *words_end(const struct end *end, char text[WORDS_BYTES]);

/* "s" unless COUNT is one. */
const char *words_plural(size_t count);

/* What perror(3) would say to NUMBER, and its name: "Address already in use" (EADDRINUSE). */
void words_errno(FILE *out, int number);

/* "813, 814 and 2 more": the pids of holders from FROM up to TO. */
void words_pids(FILE *out, const struct facts *facts, const struct holders *holders, size_t from, size_t to);

/* "pid 812, user root, for 2 h, nginx.service". */
void words_process(FILE *out, const struct process_fact *process);

#endif
