/* settings_diff.h — what a reload changes, in words for the operator. */
#ifndef PERDURE_SETTINGS_DIFF_H
#define PERDURE_SETTINGS_DIFF_H

#include "supervisor/inherit/settings.h"

#include <stddef.h>

/* One line, ended by \n, for each change from OLD to NEW into text, which is always terminated; lines that do not fit
 * are left out whole:
 *
 *     idle_timeout 65s -> 30s
 *     + listen [::]:8080
 *     - listen 0.0.0.0:80
 *     listen 0.0.0.0:8000: backlog 4096 -> 128
 *     + site "example.net"
 *     site example.org: root /a -> /b
 *     default site example.org -> example.net
 *
 * The last line says how many are missing, if there is room for that. Returns how many changes there are, also those
 * left out; 0: the settings mean the same. */
size_t settings_diff(const struct settings *old, const struct settings *new, char *text, size_t size);

#endif
