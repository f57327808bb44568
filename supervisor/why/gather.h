/* gather.h — collects the facts about an address, from the kernel and from /proc. */
#ifndef PERDURE_WHY_GATHER_H
#define PERDURE_WHY_GATHER_H

#include "supervisor/why/causes.h"

/* Everything, for the verb. FACTS comes from query_parse(); MAY_TRY: bind(2) may be tried. */
void gather_all(struct facts *facts, bool may_try, struct causes *causes);

/* What matters where bind(2) of the one target of FACTS has just failed with NUMBER. Nothing is tried. */
void gather_for_failure(struct facts *facts, int number, struct causes *causes);

#endif
