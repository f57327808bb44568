/* settings_value.h — what one value of a configuration means: from text, to text, and why not.
 *
 * No file, no libconfuse, no machine: the same text always gives the same answer. */
#ifndef PERDURE_INHERIT_SETTINGS_VALUE_H
#define PERDURE_INHERIT_SETTINGS_VALUE_H

#include "supervisor/inherit/settings_keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VALUE_TEXT_BYTES = 32, VALUE_WHY_BYTES = 512 };

/* True if TEXT is a good value of KEY, or a good element of it if KEY is a list. Numbers, durations (ms), sizes (bytes)
 * and bools are put into *number ("auto" is 0). Else false and "what is wrong; what would be right" in why. */
bool value_parse(const struct settings_key *key, const char *text, uint64_t *number, char why[VALUE_WHY_BYTES]);

/* NUMBER as a person would write it for KEY's kind: 65000 as "65s", 90000 as "90s", 16384 as "16k", 0 workers as
 * "auto". */
void value_print(const struct settings_key *key, uint64_t number, char text[VALUE_TEXT_BYTES]);

/* True if TEXT can be the name of a site: "*", or a host name as it stands in Host, without its port. */
bool value_is_site_name(const char *text, char why[VALUE_WHY_BYTES]);

#endif
