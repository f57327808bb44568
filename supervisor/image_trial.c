/* image_trial.c — see image_trial.h. */
#include "supervisor/image_trial.h"

#include "supervisor/inherit/log.h"
#include "supervisor/reap.h"
#include "supervisor/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

void image_trial_begin(struct ledger *ledger)
{
    int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    close_fd(&ledger->former_program_fd);
    ledger->image_deaths = 0;
    ledger->put_back = 0;
    ledger->former_program_fd = fd;
}

void image_trial_end(struct ledger *ledger)
{
    ledger->image_deaths = 0;
    if (ledger->put_back == 0) {
        close_fd(&ledger->former_program_fd);
    }
}

bool image_trial_is_on(const struct ledger *ledger)
{
    return ledger->former_program_fd >= 0 && ledger->put_back == 0;
}

/* Somebody killed it: no fault of the program's. How one ended that nobody is the parent of cannot be known. */
static bool was_killed(int status)
{
    return status != REAP_UNKNOWN && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

void image_trial_note(struct ledger *ledger, int status)
{
    if (!image_trial_is_on(ledger)) {
        return;
    }
    ledger->image_deaths += !was_killed(status);
    if (ledger->restarting != 0 || ledger->image_deaths >= IMAGE_DEATHS_MAX) {
        log_error("the new supervisor program is given up: the one before it is put back");
        ledger->put_back = 1;
    }
}
