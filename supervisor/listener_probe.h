/* listener_probe.h — whether the listeners that settings ask for could be had, found out without having them. */
#ifndef PERDURE_LISTENER_PROBE_H
#define PERDURE_LISTENER_PROBE_H

#include "supervisor/listeners.h"

/* Look at each address that SETTINGS have and PRESENT has not. Returns 0, or -1 with what listeners_prepare would say
 * in error.
 *
 * Nothing listens for even a moment, no file is made or removed, nobody who listens is connected to, and the sockets
 * of PRESENT are left alone. So an address that one of these keeps from being bound (0.0.0.0:80, when 127.0.0.1:80 is
 * asked for) counts as free, for a reload frees it; who else may hold it is not seen then. */
int listeners_probe(const struct listeners *present, const struct settings *settings,
                    char error[LISTENERS_ERROR_BYTES]);

#endif
