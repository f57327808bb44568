/* relog.c — see relog.h. */
#include "supervisor/relog.h"

#include "supervisor/inherit/log.h"
#include "supervisor/tend.h"

#include <string.h>
#include <unistd.h>

void relog_use(struct supervisor *s, const struct logs *logs)
{
    struct ledger *ledger = s->ledger;
    close_fd(&ledger->error_log_fd);
    close_fd(&ledger->access_log_fd);
    ledger->error_log_fd = logs->error_fd;
    ledger->access_log_fd = logs->access_fd;
    ledger->error_log_is_syslog = logs->to_syslog;
    /* Before the service answers, what goes wrong is for the eyes of whoever starts it. */
    if (logs->to_syslog && s->phase == PHASE_STARTING) {
        return;
    }
    dup2(logs->error_fd, STDERR_FILENO);
    if (logs->to_syslog) {
        log_to_syslog();
    }
}

int relog(struct supervisor *s, char error[LOGS_ERROR_BYTES])
{
    struct logs logs;
    if (!logs_open(s->settings, s->ledger->foreground != 0, s->ledger->stderr_fd, &logs, error)) {
        log_error("log files are not reopened: %s", error);
        return -1;
    }
    relog_use(s, &logs);
    for (uint32_t i = 0; i < s->ledger->workers.count; i++) {
        tend_reopen(s, &s->ledger->workers.all[i]);
    }
    log_info("log files reopened");
    return 0;
}

static bool same(const char *one, const char *other)
{
    return one == NULL || other == NULL ? one == other : strcmp(one, other) == 0;
}

void relog_change(struct supervisor *s, const struct settings *present, const struct settings *next)
{
    struct logs logs;
    char error[LOGS_ERROR_BYTES];
    if (present == NULL || (same(present->error_log, next->error_log) && same(present->access_log, next->access_log))) {
        return;
    }
    if (!logs_open(next, s->ledger->foreground != 0, s->ledger->stderr_fd, &logs, error)) {
        log_error("the log files stay as they were: %s", error);
        return;
    }
    relog_use(s, &logs);
}
