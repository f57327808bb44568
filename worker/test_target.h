/* test_target.h — targets that kill or stop the worker that is asked for them. Only in the build `make targets`, for
 * the tests of crashes, hangs and the OOM killer; any other build has nothing of it. */
#ifndef PERDURE_WORKER_TEST_TARGET_H
#define PERDURE_WORKER_TEST_TARGET_H

#include "supervisor/inherit/cell.h"
#include "worker/request.h"

#ifdef PERDURE_TEST_TARGETS

/* "/.test/crash" aborts, "/.test/segv" faults, "/.test/hang" loops for ever, "/.test/eat" takes memory without end,
 * "/.test/exit" exits 0, "/.test/try/WAY" tries
 * to break out of the sandbox (test_escape.h). Any other request: nothing. */
void test_target(const struct request *request, const struct cell *cell);

#else

static inline void test_target(const struct request *request, const struct cell *cell)
{
    (void)request;
    (void)cell;
}

#endif
#endif
