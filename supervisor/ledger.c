/* ledger.c — see ledger.h. */
#include "supervisor/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OWNER_ONLY = 0600 };

static const char memfd_name[] = "perdure-ledger";

static struct ledger *map(int fd)
{
    void *base = mmap(NULL, sizeof(struct ledger), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return base == MAP_FAILED ? NULL : base;
}

static void fill(struct ledger *ledger)
{
    ledger->magic = LEDGER_MAGIC;
    ledger->version = LEDGER_VERSION;
    ledger->bytes = sizeof *ledger;
    ledger->present = ledger->good = (struct ledger_edition){.snapshot_fd = -1, .program_fd = -1};
    ledger->lock_fd = ledger->stderr_fd = ledger->error_log_fd = ledger->access_log_fd = -1;
    ledger->tally_fd = -1;
    ledger->keeper_fd = ledger->ready_fd = ledger->former_program_fd = -1;
    control_keep_nothing(&ledger->control);
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        ledger->gifts[i].fd = -1;
    }
    workers_clear(&ledger->workers);
}

struct ledger *ledger_create(int *fd)
{
    *fd = memfd_create(memfd_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct ledger *ledger = NULL;
    if (*fd >= 0 && fchmod(*fd, OWNER_ONLY) == 0 && ftruncate(*fd, (off_t)sizeof *ledger) == 0 &&
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0) {
        ledger = map(*fd);
    }
    if (ledger == NULL) {
        int saved = errno;
        if (*fd >= 0) {
            close(*fd);
            *fd = -1;
        }
        errno = saved;
        return NULL;
    }
    fill(ledger);
    return ledger;
}

static bool ledger_adds_up(const struct ledger *ledger)
{
    return ledger->magic == LEDGER_MAGIC && ledger->version == LEDGER_VERSION && ledger->bytes == sizeof *ledger;
}

struct ledger *ledger_adopt(int fd)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0) {
        return NULL;
    }
    struct ledger *ledger = facts.st_size == (off_t)sizeof *ledger ? map(fd) : NULL;
    if (ledger != NULL && ledger_adds_up(ledger)) {
        return ledger;
    }
    if (ledger != NULL) {
        munmap(ledger, sizeof *ledger);
    }
    errno = EPROTO;
    return NULL;
}

/* ---- in the hands of others ---- */

static int open_again(int fd, int flags)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, flags | O_CLOEXEC);
}

int ledger_reader(int fd)
{
    return open_again(fd, O_RDONLY);
}

bool ledger_is_memfd(int fd, const char *name)
{
    struct stat facts;
    char path[64];
    char expected[64];
    char link[128];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int length = snprintf(expected, sizeof expected, "/memfd:%s (deleted)", name);
    return fstat(fd, &facts) == 0 && facts.st_uid == geteuid() && fcntl(fd, F_GET_SEALS) >= 0 &&
           readlink(path, link, sizeof link) == length && memcmp(link, expected, (size_t)length) == 0;
}

int ledger_writer(int reader_fd)
{
    struct stat facts;
    if (!ledger_is_memfd(reader_fd, memfd_name) || fstat(reader_fd, &facts) != 0 ||
        (facts.st_mode & ALLPERMS) != OWNER_ONLY) {
        errno = EPROTO;
        return -1;
    }
    return open_again(reader_fd, O_RDWR);
}

bool ledger_can_adopt(const struct ledger *ledger, const struct worker *worker)
{
    return worker->layout == ledger->present.layout;
}

typedef void visitor(int32_t *fd, void *context);

static void visit_one(int32_t *fd, visitor *visit, void *context)
{
    if (*fd >= 0) {
        visit(fd, context);
    }
}

static void visit_worker(struct worker *worker, visitor *visit, void *context)
{
    visit_one(&worker->control_fd, visit, context);
    visit_one(&worker->keeper_fd, visit, context);
    visit_one(&worker->next_control_fd, visit, context);
    visit_one(&worker->next_keeper_fd, visit, context);
    visit_one(&worker->cell_fd, visit, context);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        visit_one(&worker->leaving[i].fd, visit, context);
    }
}

void ledger_each_fd(struct ledger *ledger, void (*visit)(int32_t *fd, void *context), void *context)
{
    visit_one(&ledger->present.snapshot_fd, visit, context);
    visit_one(&ledger->present.program_fd, visit, context);
    visit_one(&ledger->good.snapshot_fd, visit, context);
    visit_one(&ledger->good.program_fd, visit, context);
    visit_one(&ledger->former_program_fd, visit, context);
    visit_one(&ledger->keeper_fd, visit, context);
    visit_one(&ledger->ready_fd, visit, context);
    visit_one(&ledger->lock_fd, visit, context);
    visit_one(&ledger->stderr_fd, visit, context);
    visit_one(&ledger->error_log_fd, visit, context);
    visit_one(&ledger->access_log_fd, visit, context);
    visit_one(&ledger->tally_fd, visit, context);
    visit_one(&ledger->control.listener_fd, visit, context);
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
        visit_one(&ledger->control.clients[i].fd, visit, context);
    }
    for (size_t i = 0; i < ledger->listeners.count && i < CONTRACT_LISTENERS_MAX; i++) {
        visit_one(&ledger->listeners.all[i].fd, visit, context);
    }
    for (size_t i = 0; i < ledger->next_listeners.count && i < CONTRACT_LISTENERS_MAX; i++) {
        visit_one(&ledger->next_listeners.all[i].fd, visit, context);
    }
    for (size_t i = 0; i < LEDGER_GIFTS_MAX; i++) {
        visit_one(&ledger->gifts[i].fd, visit, context);
    }
    for (size_t i = 0; i < ledger->workers.count && i < WORKERS_MAX; i++) {
        visit_worker(&ledger->workers.all[i], visit, context);
    }
}
