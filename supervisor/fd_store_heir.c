/* fd_store_heir.c — becomes the supervisor with what the service manager's store has, after the death of all who knew.
 */
#include "supervisor/fd_store.h"

#include "supervisor/bequest.h"
#include "supervisor/estate.h"
#include "supervisor/given.h"
#include "supervisor/identity.h"
#include "supervisor/image.h"
#include "supervisor/image_trial.h"
#include "supervisor/inherit/clock.h"
#include "supervisor/ledger.h"
#include "supervisor/notify.h"
#include "supervisor/reap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAME_BYTES = 32, PATIENCE_MS = 1000 };

/* What the manager gave us of its store. */
struct heritage {
    size_t count;
    struct {
        uint32_t serial;
        int fd;
    } all[FD_STORE_MAX];
};

static void take_note(int fd, const char *name, void *context)
{
    struct heritage *heritage = context;
    uint32_t serial = fd_store_serial(name);
    if (serial != 0 && heritage->count < FD_STORE_MAX) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        heritage->all[heritage->count].serial = serial;
        heritage->all[heritage->count++].fd = fd;
    }
}

/* Close the one AT, here and in the store. */
static void give_up(struct heritage *heritage, size_t at)
{
    char name[NAME_BYTES];
    fd_store_name(heritage->all[at].serial, name, sizeof name);
    (void)notify_unstore(name, PATIENCE_MS);
    close(heritage->all[at].fd);
    heritage->all[at] = heritage->all[--heritage->count];
}

static struct ledger *find_ledger(const struct heritage *heritage)
{
    struct ledger *ledger = NULL;
    for (size_t i = 0; ledger == NULL && i < heritage->count; i++) {
        ledger = heritage->all[i].serial == FD_STORE_LEDGER ? ledger_adopt(heritage->all[i].fd) : NULL;
    }
    return ledger;
}

static struct fd_store_list *present_list(struct ledger *ledger)
{
    return &ledger->fd_store.lists[ledger->fd_store.present != 0];
}

/* Who died between storing one and noting its serial left it to nobody. */
static void give_up_unknown(struct heritage *heritage, const struct fd_store_list *list)
{
    for (size_t i = heritage->count; i-- > 0;) {
        if (!fd_store_has(list, heritage->all[i].serial)) {
            give_up(heritage, i);
        }
    }
}

/* ---- from serials to numbers ---- */

/* The descriptor here of the file that PLACE speaks of; -1: it did not come, or another came in its stead. */
static int descriptor_of(const struct heritage *heritage, const struct fd_store_place *place)
{
    for (size_t i = 0; i < heritage->count; i++) {
        struct stat is;
        if (heritage->all[i].serial == place->serial && fstat(heritage->all[i].fd, &is) == 0 &&
            is.st_dev == place->device && is.st_ino == place->inode) {
            return heritage->all[i].fd;
        }
    }
    return -1;
}

/* Every number of LIST with a descriptor of its own, for one file may have several. Places whose file did not come are
 * to be stored anew. *LEDGER_FD becomes the ledger's number. */
static bool collect(const struct heritage *heritage, struct fd_store_list *list, struct estate *estate, int *ledger_fd)
{
    for (size_t i = 0; i < list->count; i++) {
        struct fd_store_place *place = &list->all[i];
        int fd = place->fd >= 0 && place->serial != 0 ? descriptor_of(heritage, place) : -1;
        if (fd < 0) {
            place->serial = place->fd >= 0 ? 0 : place->serial;
            continue;
        }
        fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (fd < 0 || place->fd <= STDERR_FILENO || estate_has(estate, place->fd) ||
            !estate_add(estate, place->fd, fd)) {
            return false;
        }
        *ledger_fd = place->serial == FD_STORE_LEDGER ? place->fd : *ledger_fd;
    }
    return true;
}

struct dropping {
    const struct estate *estate;
    size_t count;
};

static void drop_missing(int32_t *fd, void *context)
{
    struct dropping *dropping = context;
    if (!estate_has(dropping->estate, *fd)) {
        *fd = -1;
        dropping->count++;
    }
}

static int fd_of(const struct estate *estate, int32_t number)
{
    for (size_t i = 0; i < estate->count; i++) {
        if (estate->all[i].number == number) {
            return estate->all[i].fd;
        }
    }
    return -1;
}

/* What is lacking for a supervisor to go on; NULL: nothing. */
static const char *lacking(const struct ledger *ledger, const struct estate *estate)
{
    if (ledger->fd_store.contract != CONTRACT_VERSION) {
        return "its workers are of another version";
    }
    if (!estate_has(estate, ledger->present.snapshot_fd) || !estate_has(estate, ledger->present.program_fd)) {
        return "the configuration or the worker program is missing";
    }
    return identity_adopt(ledger->run_dir, fd_of(estate, ledger->lock_fd)) ? NULL : "the lock is missing";
}

/* Returns only if it cannot be, with the reason. */
static const char *inherit(const struct heritage *heritage, struct ledger *ledger, struct estate *estate)
{
    struct dropping dropping = {.estate = estate};
    int ledger_fd = -1;
    if (!collect(heritage, present_list(ledger), estate, &ledger_fd) || ledger_fd < 0) {
        return "its numbers do not add up";
    }
    const char *reason = lacking(ledger, estate);
    if (reason != NULL) {
        return reason;
    }
    ledger_each_fd(ledger, drop_missing, &dropping);
    fprintf(stderr,
            "perdure: the supervisor and its keeper died at once: %zu descriptors come from the service manager's "
            "store, %zu are missing\n",
            estate->count, dropping.count);
    ledger->foreground = 1;
    if (estate_settle(estate)) {
        image_trial_note(ledger, REAP_UNKNOWN);
        image_exec_next(ledger, ledger_fd);
    }
    return strerror(errno);
}

static void nothing_to_tell(void *context)
{
    (void)context;
}

static bool is_supervised(const struct ledger *ledger)
{
    pid_t pid;
    return identity_look(ledger->run_dir, &pid) == IDENTITY_RUNNING && pid != 0;
}

/* Returns only if nobody can take over, with the reason; NULL: somebody has. */
static const char *take_over(struct heritage *heritage, struct ledger *ledger)
{
    struct estate estate = {0};
    if (is_supervised(ledger)) {
        return NULL;
    }
    ledger->died_us = clock_now_us(); /* before, nobody was there to see it */
    give_up_unknown(heritage, present_list(ledger));
    (void)bequest_take(ledger->run_dir, true, nothing_to_tell, NULL);
    const char *reason = inherit(heritage, ledger, &estate);
    for (size_t i = 0; i < estate.count; i++) {
        close(estate.all[i].fd);
    }
    free(estate.all);
    return reason;
}

void fd_store_resume(void)
{
    struct heritage heritage = {0};
    given_each(take_note, &heritage);
    if (heritage.count == 0) {
        return;
    }
    struct ledger *ledger = find_ledger(&heritage);
    const char *reason = ledger != NULL ? take_over(&heritage, ledger) : "there is no ledger of this version";
    if (reason != NULL) {
        fprintf(stderr,
                "perdure: warning: what a supervisor left in the service manager's store is of no use: %s; it is "
                "thrown away\n",
                reason);
    }
    while (reason != NULL && heritage.count > 0) {
        give_up(&heritage, heritage.count - 1);
    }
    if (ledger != NULL) {
        munmap(ledger, sizeof *ledger);
    }
}
