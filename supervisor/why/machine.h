/* machine.h — what this machine's settings say about a port and an address. */
#ifndef PERDURE_WHY_MACHINE_H
#define PERDURE_WHY_MACHINE_H

#include "supervisor/why/facts.h"

/* Fill in facts->machine, and for each target whether it is one of this machine's addresses. */
void machine_look(struct facts *facts);

/* For a unix socket: what there is at its path, and whether a file could be made there. */
void machine_look_at_file(struct facts *facts);

/* True if PORT is in a list as net.ipv4.ip_local_reserved_ports has it: "8000,9000-9010". */
bool machine_lists_port(const char *list, unsigned port);

#endif
