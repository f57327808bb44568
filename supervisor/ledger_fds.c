/* ledger_fds.c — see ledger_fds.h. */
#include "supervisor/ledger_fds.h"

#include "supervisor/inherit/log.h"
#include "supervisor/inherit/tally.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FDS_MAX = 1 << 16 }; /* a supervisor of 1024 workers has some 10,000 */

/* Whose a descriptor is. Who may have it in common have one owner: the channels of a worker while one takes the place
 * of another, the editions, the logs. */
enum owner {
    OWNER_NOBODY,
    OWNER_OURS,
    OWNER_LISTENERS,
    OWNER_EDITIONS,
    OWNER_LOGS,
    OWNER_LOCK,
    OWNER_KEEPER,
    OWNER_STARTER,
    OWNER_CONTROL,
    OWNER_TALLY,
    OWNER_CLIENTS, /* this and the next ones: one each */
    OWNER_GIFTS = OWNER_CLIENTS + CONTROL_CLIENTS_MAX,
    OWNER_WORKERS = OWNER_GIFTS + LEDGER_GIFTS_MAX, /* their channels */
    OWNER_CELLS = OWNER_WORKERS + WORKERS_MAX,
    OWNER_SEVERAL = OWNER_CELLS + WORKERS_MAX,
};

enum kind {
    KIND_CHANNEL,  /* a connected SOCK_SEQPACKET socket */
    KIND_DOOR,     /* a listening one */
    KIND_LISTENER, /* a listening SOCK_STREAM one */
    KIND_CELL,
    KIND_TALLY,
    KIND_SNAPSHOT,
    KIND_PROGRAM,
    KIND_PIPE, /* the end that is written to */
    KIND_LOG,  /* anything that can be written to, but a channel */
    KIND_FILE, /* open, and a regular file: the lock, which identity_adopt looks at */
};

static int socket_option(int fd, int option)
{
    int value = -1;
    socklen_t length = sizeof value;
    return getsockopt(fd, SOL_SOCKET, option, &value, &length) == 0 ? value : -1;
}

static bool is_socket(int fd, int type, int listens)
{
    return socket_option(fd, SO_TYPE) == type && socket_option(fd, SO_ACCEPTCONN) == listens;
}

static bool is_memfd(int fd, const char *name)
{
    char path[64];
    char link[128];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(path, link, sizeof link - 1);
    link[length > 0 ? length : 0] = '\0';
    return strncmp(link, "/memfd:", 7) == 0 && strncmp(link + 7, name, strlen(name)) == 0;
}

static bool is_regular(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode);
}

static bool is_pipe(int fd)
{
    struct stat facts;
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_ACCMODE) == O_WRONLY && fstat(fd, &facts) == 0 && S_ISFIFO(facts.st_mode);
}

static bool is_written_to(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_RDONLY &&
           socket_option(fd, SO_TYPE) != SOCK_SEQPACKET && socket_option(fd, SO_ACCEPTCONN) != 1 &&
           !is_memfd(fd, "perdure");
}

static bool is_of(int fd, enum kind kind)
{
    switch (kind) {
    case KIND_CHANNEL:
        return is_socket(fd, SOCK_SEQPACKET, 0);
    case KIND_DOOR:
        return is_socket(fd, SOCK_SEQPACKET, 1);
    case KIND_LISTENER:
        return is_socket(fd, SOCK_STREAM, 1);
    case KIND_CELL:
        return is_memfd(fd, "perdure-cell");
    case KIND_TALLY:
        return is_memfd(fd, TALLY_MEMFD);
    case KIND_SNAPSHOT:
        return is_memfd(fd, "perdure-snapshot");
    case KIND_PROGRAM:
        return (fcntl(fd, F_GETFL) & O_PATH) != 0 && is_regular(fd);
    case KIND_PIPE:
        return is_pipe(fd);
    case KIND_LOG:
        return is_written_to(fd);
    case KIND_FILE:
        return is_regular(fd);
    }
    return false;
}

/* ---- each descriptor, with what it is said to be ---- */

struct place {
    int32_t *fd;
    enum owner owner;
    enum kind kind;
    const char *name;
    uint32_t number; /* of the worker, client or gift */
};
typedef void visitor(const struct place *place, void *context);

// NOLINTNEXTLINE(readability-non-const-parameter): a place holds it
static void visit(visitor *see, void *context, int32_t *fd, enum owner owner, enum kind kind, const char *name,
                  uint32_t number)
{
    const struct place place = {.fd = fd, .owner = owner, .kind = kind, .name = name, .number = number};
    if (*fd >= 0) {
        see(&place, context);
    }
}

static void visit_worker(struct worker *w, visitor *see, void *context)
{
    enum owner owner = (enum owner)(OWNER_WORKERS + w->slot);
    visit(see, context, &w->control_fd, owner, KIND_CHANNEL, "the channel of worker", w->slot);
    visit(see, context, &w->keeper_fd, owner, KIND_CHANNEL, "the channel of keeper", w->slot);
    visit(see, context, &w->next_control_fd, owner, KIND_CHANNEL, "the channel of the next worker", w->slot);
    visit(see, context, &w->next_keeper_fd, owner, KIND_CHANNEL, "the channel of the next keeper", w->slot);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        visit(see, context, &w->leaving[i].fd, owner, KIND_CHANNEL, "the channel of one that leaves worker", w->slot);
    }
    visit(see, context, &w->cell_fd, (enum owner)(OWNER_CELLS + w->slot), KIND_CELL, "the cell of worker", w->slot);
}

static void visit_edition(struct ledger_edition *edition, visitor *see, void *context)
{
    visit(see, context, &edition->snapshot_fd, OWNER_EDITIONS, KIND_SNAPSHOT, "the snapshot of generation",
          edition->generation);
    visit(see, context, &edition->program_fd, OWNER_EDITIONS, KIND_PROGRAM, "the program of generation",
          edition->generation);
}

static void visit_listeners(struct listeners *listeners, visitor *see, void *context)
{
    for (uint32_t i = 0; i < listeners->count; i++) {
        visit(see, context, &listeners->all[i].fd, OWNER_LISTENERS, KIND_LISTENER, "listening socket", i);
    }
}

static void visit_all(struct ledger *ledger, visitor *see, void *context)
{
    visit_listeners(&ledger->listeners, see, context);
    visit_listeners(&ledger->next_listeners, see, context);
    visit_edition(&ledger->present, see, context);
    visit_edition(&ledger->good, see, context);
    visit(see, context, &ledger->former_program_fd, OWNER_EDITIONS, KIND_PROGRAM, "the program before image",
          ledger->images);
    visit(see, context, &ledger->stderr_fd, OWNER_LOGS, KIND_LOG, "standard error, image", ledger->images);
    visit(see, context, &ledger->error_log_fd, OWNER_LOGS, KIND_LOG, "the error log, image", ledger->images);
    visit(see, context, &ledger->access_log_fd, OWNER_LOGS, KIND_LOG, "the access log, image", ledger->images);
    visit(see, context, &ledger->tally_fd, OWNER_TALLY, KIND_TALLY, "the tally, image", ledger->images);
    visit(see, context, &ledger->lock_fd, OWNER_LOCK, KIND_FILE, "the lock, image", ledger->images);
    visit(see, context, &ledger->keeper_fd, OWNER_KEEPER, KIND_CHANNEL, "the keeper's channel, image", ledger->images);
    visit(see, context, &ledger->ready_fd, OWNER_STARTER, KIND_PIPE, "the starter's, image", ledger->images);
    visit(see, context, &ledger->control.listener_fd, OWNER_CONTROL, KIND_DOOR, "the control socket, image",
          ledger->images);
    for (uint32_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        visit(see, context, &ledger->control.clients[i].fd, (enum owner)(OWNER_CLIENTS + i), KIND_CHANNEL,
              "the connection of client", i);
    }
    for (uint32_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        visit(see, context, &ledger->gifts[i].fd, (enum owner)(OWNER_GIFTS + i), KIND_CHANNEL, "gift", i);
    }
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        visit_worker(&ledger->workers.all[i], see, context);
    }
}

/* ---- the check ---- */

struct check {
    uint16_t owners[FDS_MAX];
    unsigned dropped;
};

static void drop(const struct place *place, struct check *check, const char *why)
{
    log_warn("ledger: descriptor %d is not %s %u: %s: dropped", *place->fd, place->name, place->number, why);
    *place->fd = -1;
    check->dropped++;
}

/* Of listeners, takeover.c drops what is none. */
static void look(const struct place *place, void *context)
{
    struct check *check = context;
    if (*place->fd >= FDS_MAX || !is_of(*place->fd, place->kind)) {
        if (place->owner != OWNER_LISTENERS) {
            drop(place, check, "it is something else");
        }
        return;
    }
    uint16_t *owner = &check->owners[*place->fd];
    *owner = (uint16_t)(*owner == OWNER_NOBODY || *owner == place->owner ? place->owner : OWNER_SEVERAL);
}

static void look_once_more(const struct place *place, void *context)
{
    struct check *check = context;
    if (*place->fd < FDS_MAX && check->owners[*place->fd] == OWNER_SEVERAL && place->owner != OWNER_LISTENERS) {
        drop(place, check, "it has several places");
    }
}

unsigned ledger_check_fds(struct ledger *ledger, const int *ours, size_t ours_count)
{
    _Static_assert((int)OWNER_SEVERAL <= UINT16_MAX, "an owner fits into its place");
    struct check *check = calloc(1, sizeof *check);
    if (check == NULL) {
        log_warn("ledger: no memory to look at its descriptors: they are believed");
        return 0;
    }
    for (size_t i = 0; i < ours_count; i++) {
        if (ours[i] >= 0 && ours[i] < FDS_MAX) {
            check->owners[ours[i]] = OWNER_OURS;
        }
    }
    visit_all(ledger, look, check);
    visit_all(ledger, look_once_more, check);
    unsigned dropped = check->dropped;
    free(check);
    return dropped;
}
