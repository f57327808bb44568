/* test_escape.h — what a worker would try that was taken over, for the tests of the sandbox. Only in the build `make
 * targets`. */
#ifndef PERDURE_WORKER_TEST_ESCAPE_H
#define PERDURE_WORKER_TEST_ESCAPE_H

#include "supervisor/inherit/cell.h"

/* WAY: "openat2/etc/passwd", "kill/1234" and so on: the part in front of '/' is an attempt, the rest what it is about.
 * If it succeeds, the log says "escaped by WAY"; if it is refused with an error, "refused"; or this does not return. */
void test_escape(const char *way, const struct cell *cell);

#endif
