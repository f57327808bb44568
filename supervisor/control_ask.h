/* control_ask.h — asks the supervisor, and if it dies before it has answered, the one that takes over. */
#ifndef PERDURE_CONTROL_ASK_H
#define PERDURE_CONTROL_ASK_H

#include "supervisor/control.h"

/* As control_call, but for CONTROL_ENDED: while somebody holds the lock of RUN_DIR, or takes it within two seconds, the
 * supervisor has not gone for good, and is asked again. To be asked for the same thing twice does it no harm. What
 * comes of a reload or restart that it had noted is not lost with it: that connection is kept (control_keep). */
enum control_outcome control_ask(const char *run_dir, enum control_verb verb, unsigned flags, uint64_t patience_ms,
                                 struct control_answer *answer);

/* Ask for a stop until nobody holds the lock. CONTROL_ENDED: so it is, and the process that held it last has ended. */
enum control_outcome control_ask_stop(const char *run_dir, unsigned flags, uint64_t patience_ms,
                                      struct control_answer *answer);

#endif
