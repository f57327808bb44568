/* settings_error.h — the one form of every complaint about a configuration: FILE:LINE: what is wrong; what is right. */
#ifndef PERDURE_INHERIT_SETTINGS_ERROR_H
#define PERDURE_INHERIT_SETTINGS_ERROR_H

#include "supervisor/inherit/settings.h"

#include <stdbool.h>

/* Write "FILE:LINE: … (first error)" into error, unless it holds a complaint already: the first one stands. LINE 0
 * leaves the line out. "First error" tells that the rest was not looked at. Returns false, for `return
 * settings_error(…)`. */
bool settings_error(char error[SETTINGS_ERROR_BYTES], const char *file, unsigned line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
