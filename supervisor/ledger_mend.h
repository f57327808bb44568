/* ledger_mend.h — puts right what cannot be in a ledger, so that whoever goes on from it follows no index out of its
 * arrays, ends every text, and knows every value of every enum. Plain data: no system call, so it can be tested.
 *
 * Only the three words that say that it is a ledger of this version refuse it as a whole (ledger_adopt). For the rest,
 * field by field, this is what is done with a value that cannot be, each time with a line in the log:
 *
 *     counts              counted anew from what is in the arrays
 *     texts               cut off at their end; paths that are none are found again (takeover.c)
 *     enums               the value that does the least: a worker that could be serving is serving, one that cannot is
 *                         succeeded; nothing rolls; the service runs
 *     worker states       one that contradicts its pids and descriptors is as an enum of no value
 *     pids                none; who really serves is then looked for (census.h). 0, -1, 1 and our own are nobody's
 *     descriptors         none, and not closed, for they may be another's. What is one, but not what it is said to be,
 *                         or is said to be two things, ledger_fds.h drops; what can be had again is: an edition from
 *                         the good one or from disk, the lock, the logs and the control socket from their files, a
 *                         channel by a succession
 *     instants            no later than now if they have been; otherwise no further off than any patience is long
 *     generations         no higher than the highest that a worker or an edition has
 *     counters            believed: nothing follows from them
 *
 * What is possible and wrong all the same (five workers wanted instead of two) nobody can see. */
#ifndef PERDURE_LEDGER_MEND_H
#define PERDURE_LEDGER_MEND_H

#include "supervisor/inherit/clock.h"
#include "supervisor/ledger.h"

/* Returns how many values were put right. NOW on clock_now()'s clock, NOW_US on clock_now_us()'s. */
unsigned ledger_mend(struct ledger *ledger, struct instant now, uint64_t now_us);

#endif
