/* gather.c — see gather.h. */
#include "supervisor/why/gather.h"

#include "supervisor/why/diag.h"
#include "supervisor/why/machine.h"
#include "supervisor/why/proc_net.h"
#include "supervisor/why/processes.h"
#include "supervisor/why/trial.h"

#include <errno.h>

static void gather_sockets(struct facts *facts, unsigned states)
{
    facts->unseen.diag_error = facts->is_unix ? diag_unix(facts) : diag_tcp(facts, states);
    if (facts->unseen.diag_error != 0 && !facts->is_unix) {
        facts->sockets_count = 0;
        proc_net_sockets(facts, "self");
    }
    facts_sort(facts);
}

static bool nothing_explains(const struct causes *causes)
{
    for (size_t i = 0; i < causes->count; i++) {
        if (causes->all[i].kind == CAUSE_UNKNOWN && causes->all[i].number == EADDRINUSE) {
            return true;
        }
    }
    return false;
}

/* Refused, and nobody in sight: before Linux 6.8 a socket that is only bound is listed nowhere. */
static void look_closer(struct facts *facts, struct causes *causes)
{
    causes_find(facts, causes);
    if (nothing_explains(causes)) {
        processes_find_bound(facts);
        causes_find(facts, causes);
    }
}

void gather_all(struct facts *facts, bool may_try, struct causes *causes)
{
    if (facts->is_unix) {
        machine_look_at_file(facts);
    } else {
        machine_look(facts);
    }
    if (may_try && !facts->is_unix) {
        trial_run(facts);
    }
    gather_sockets(facts, DIAG_ALL);
    processes_find(facts, !facts->is_unix);
    look_closer(facts, causes);
}

/* Who listens, or is bound, is the usual cause, and found at once however many connections there are. */
void gather_for_failure(struct facts *facts, int number, struct causes *causes)
{
    if (facts->is_unix) {
        machine_look_at_file(facts);
    } else {
        machine_look(facts);
        facts->tried = true;
        facts->targets[0].trial.with = number;
    }
    gather_sockets(facts, DIAG_HOLDERS);
    causes_find(facts, causes);
    if (!facts->is_unix && nothing_explains(causes)) {
        facts->sockets_count = 0;
        gather_sockets(facts, DIAG_ALL);
    }
    processes_find(facts, false);
    look_closer(facts, causes);
}
