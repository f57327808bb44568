/* why.h — `perdure why`: why an address cannot be listened on, and whether it can. */
#ifndef PERDURE_WHY_WHY_H
#define PERDURE_WHY_WHY_H

#include "supervisor/command_line.h"

/* Exits with 0 if bind(2) would succeed (with SO_REUSEADDR), 1 if not, 2 if what was asked is no address. */
int why(const struct command *command);

#endif
