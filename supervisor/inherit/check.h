/* check.h — assertions that are always on.
 *
 * A worker that finds itself in a state its author held impossible must die at once: it is succeeded, its
 * connections live on in the cell, and the log names the place. The supervisor never uses check() on anything that
 * came from outside its own memory. */
#ifndef PERDURE_INHERIT_CHECK_H
#define PERDURE_INHERIT_CHECK_H

#include <stdnoreturn.h>

/* Log "can't happen" with its place, and abort(3). */
noreturn void check_failed(const char *file, int line, const char *condition);

#define check(condition) ((condition) ? (void)0 : check_failed(__FILE__, __LINE__, #condition))

#endif
