/* route.h — which site answers for a host (RFC 9110 section 7.4). */
#ifndef PERDURE_WORKER_ROUTE_H
#define PERDURE_WORKER_ROUTE_H

#include "supervisor/inherit/settings.h"
#include "worker/text.h"

#include <stddef.h>

struct route;

/* An index of the sites' names, which are borrowed from SETTINGS (at least one site). */
struct route *route_make(const struct settings *settings);
void route_free(struct route *route);

/* The index in settings->sites of the site for HOST (without its port): the one that has that name, in any case and
 * with or without the root's dot behind it; else the site "*"; else the first. An absent host goes to the default too.
 */
size_t route_find(const struct route *route, struct text host);

#endif
