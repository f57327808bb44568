/* restart.c — see restart.h. */
#include "supervisor/restart.h"

#include "supervisor/fd_store.h"
#include "supervisor/image.h"
#include "supervisor/image_trial.h"
#include "supervisor/inherit/log.h"
#include "supervisor/preview.h"
#include "supervisor/roll.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void restart_exec(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    char reason[PATH_MAX + 64];
    preview_drop(s);
    image_trial_begin(ledger);
    (void)fd_store_turn(s); /* the new image is to find itself in step */
    ledger->restarting = 1;
    image_exec(ledger, s->ledger_fd, ledger->own_path);
    ledger->restarting = 0;
    snprintf(reason, sizeof reason, "%s: %s", ledger->own_path, strerror(errno));
    image_trial_end(ledger);
    roll_back(s, reason);
    preview_resume(s);
}

void restart_exec_former(struct supervisor *s)
{
    struct ledger *ledger = s->ledger;
    if (!image_trial_is_on(ledger)) {
        return;
    }
    preview_drop(s);
    (void)fd_store_turn(s);
    ledger->put_back = 1;
    image_exec_next(ledger, s->ledger_fd);
    log_error("cannot put the supervisor program from before the restart back: %s", strerror(errno));
    preview_resume(s);
}
