/* die.h — the judge itself cannot go on: a wrong option, no files, no more ports. Exit 2, so nobody takes it for the
 * server's fault. */
#ifndef JUDGE_DIE_H
#define JUDGE_DIE_H

#include <stdio.h>
#include <stdlib.h>

#define die(...) (fputs("judge: ", stderr), fprintf(stderr, __VA_ARGS__), fputc('\n', stderr), exit(2))

#endif
