/* settings_error.c — see settings_error.h. */
#include "supervisor/inherit/settings_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What is kept of a file's name and of the text, so that the end of the line is never cut off. */
enum { FILE_KEPT = 300, TEXT_KEPT = 640 };

bool settings_error(char error[SETTINGS_ERROR_BYTES], const char *file, unsigned line, const char *format, ...)
{
    char text[TEXT_KEPT], number[16] = "";
    size_t length = strlen(file);
    if (error[0] != '\0') {
        return false;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (line != 0) {
        snprintf(number, sizeof number, ":%u", line);
    }
    file += length > FILE_KEPT ? length - FILE_KEPT : 0;
    snprintf(error, SETTINGS_ERROR_BYTES, "%.*s%s: %s (first error)", FILE_KEPT, file, number, text);
    return false;
}
