/* tell.h — what was found out, as a page for people, as JSON for programs. */
#ifndef PERDURE_WHY_TELL_H
#define PERDURE_WHY_TELL_H

#include "supervisor/why/causes.h"

#include <stdio.h>

void tell_page(FILE *out, const struct facts *facts, const struct causes *causes);
void tell_json(FILE *out, const struct facts *facts, const struct causes *causes);

/* A function that writes about a cause (explain.h) into a string of its own, to be freed; NULL: no memory. */
typedef void tell_function(FILE *out, const struct facts *facts, const struct cause *cause);
char *tell_string(tell_function *function, const struct facts *facts, const struct cause *cause);

/* What to do, at most two of them, the first being for what blocks: half sentences, to be freed. Returns how many. */
enum { TELL_REMEDIES_MAX = 2 };
size_t tell_remedies(const struct facts *facts, const struct causes *causes, char *remedies[TELL_REMEDIES_MAX]);

#endif
