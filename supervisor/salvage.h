/* salvage.h — what workers without a supervisor have brought, put together with the ledger of the dead one, so that it
 * is true again: for the image that takes over from it. See orphans.h. */
#ifndef PERDURE_SALVAGE_H
#define PERDURE_SALVAGE_H

#include "supervisor/inherit/contract.h"
#include "supervisor/orphans.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One worker, behind its door. Descriptors are -1 until it has answered. */
struct orphan_found {
    uint32_t slot;
    enum {
        ORPHAN_SILENT,
        ORPHAN_ANSWERED,
        ORPHAN_FOREIGN, /* what it said makes no sense, or it wants nothing to do with us */
    } heard;
    int fd;    /* to its door; once it has answered: its control channel */
    pid_t pid; /* by the kernel's word */
    struct orphan_words words;
    int ledger_fd, snapshot_fd, program_fd, cell_fd;
    size_t listeners_count;
    int listener_fds[CONTRACT_LISTENERS_MAX];
};

struct salvage {
    size_t count, room;
    struct orphan_found *all;
};

/* False: no memory. */
bool salvage_add(struct salvage *salvage, const struct orphan_found *found);

/* Close everything that is still open here. */
void salvage_free(struct salvage *salvage);

/* Make LEDGER true: each descriptor that it names is one of ours from now on, or -1; each worker is one that answered,
 * or its slot is empty. False with error: there is nothing to go on with. */
bool salvage_settle(struct salvage *salvage, struct ledger *ledger, const struct orphans_heir *heir,
                    char error[ORPHANS_ERROR_BYTES]);

#endif
