/* restart.c — see restart.h. */
#include "supervisor/restart.h"

#include "supervisor/fd_store.h"
#include "supervisor/image.h"
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
    (void)fd_store_turn(s); /* the new image is to find itself in step */
    ledger->restarting = 1;
    image_exec(ledger, s->ledger_fd, ledger->own_path);
    ledger->restarting = 0;
    snprintf(reason, sizeof reason, "%s: %s", ledger->own_path, strerror(errno));
    roll_back(s, reason);
    preview_resume(s);
}
