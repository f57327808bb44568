/* handover.h — a surplus worker gives its connections to another, so that fewer workers cut nobody off.
 *
 * A connection is given when it is idle: then it has no state but its two counts. It travels as one packet with its
 * descriptor. The giver publishes STAGE_GIVING first; a successor of the giver that finds that stage gives once more,
 * and the heir knows a connection that it has already by the socket's cookie (SO_COOKIE). */
#ifndef PERDURE_WORKER_HANDOVER_H
#define PERDURE_WORKER_HANDOVER_H

#include "worker/worker.h"

/* Become surplus: accept no more, give to CHANNEL (owned from here on). */
void handover_give(struct worker *w, int channel);

/* Give what is idle. Called once a turn while surplus; true when nothing is left. */
bool handover_give_idle(struct worker *w);

/* Begin to take from CHANNEL (owned from here on). */
void handover_take(struct worker *w, int channel);

/* True if FD is a channel from which connections come. */
bool handover_is_channel(const struct worker *w, int fd);

/* True if the connection on FD, of which no slot speaks, is one of ours under another number: it was sent twice. */
bool handover_has(const struct worker *w, int fd);

/* There may be room again for what waits in the channels: call it once a turn. */
void handover_resume(struct worker *w);

/* Something has come on CHANNEL. */
void handover_receive(struct worker *w, int channel);

#endif
