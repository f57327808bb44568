/* explain.h — each cause in a sentence or two, and what to do about it. */
#ifndef PERDURE_WHY_EXPLAIN_H
#define PERDURE_WHY_EXPLAIN_H

#include "supervisor/why/causes.h"

#include <stdio.h>

/* The lines about CAUSE: the first says it, those behind it, which begin with two blanks, are its details. */
void explain_cause(FILE *out, const struct facts *facts, const struct cause *cause);

/* What to do about CAUSE: half a sentence without a full stop. Nothing is written if there is nothing to do. */
void explain_remedy(FILE *out, const struct facts *facts, const struct cause *cause);

#endif
