/* verbs.h — the verbs that ask a running supervisor, or only the configuration. Each returns the exit code. */
#ifndef PERDURE_VERBS_H
#define PERDURE_VERBS_H

#include "supervisor/command_line.h"

int verb_stop(const struct command *command);
int verb_reload(const struct command *command);
int verb_diff(const struct command *command);
int verb_restart(const struct command *command);
int verb_reopen(const struct command *command);
int verb_status(const struct command *command);
int verb_check(const struct command *command);

#endif
