/* check.c — see check.h. */
#include "supervisor/inherit/check.h"

#include "supervisor/inherit/log.h"

#include <stdlib.h>

noreturn void check_failed(const char *file, int line, const char *condition)
{
    log_error("can't happen: %s:%d: %s", file, line, condition);
    abort();
}
