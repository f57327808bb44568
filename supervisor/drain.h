/* drain.h — who waits to be accepted on a listening socket that is about to be closed is accepted, and given to a
 * worker.
 *
 * The kernel has let them in, and would reset them with the socket. No byte of theirs is read here. */
#ifndef PERDURE_DRAIN_H
#define PERDURE_DRAIN_H

#include "supervisor/supervisor.h"

/* Before what is in LISTENERS and not in OTHERS is closed: nobody is let in there any more, and who waits is served as
 * any other. It takes no longer than a second; whoever cannot be given away by then is closed, and counted in the log.
 */
void drain(struct supervisor *s, const struct listeners *listeners, const struct listeners *others);

#endif
