/* fd_store.c — see fd_store.h. */
#include "supervisor/fd_store.h"

#include "supervisor/inherit/log.h"
#include "supervisor/notify.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NAME_BYTES = 32, RETRY_MS = 20, SUCCESSION_MS = 100, LAST_PATIENCE_MS = 1000 };

static const char prefix[] = "perdure-";

void fd_store_name(uint32_t serial, char *name, size_t bytes)
{
    snprintf(name, bytes, "%s%u", prefix, serial);
}

uint32_t fd_store_serial(const char *name)
{
    const char *digits = name + sizeof prefix - 1;
    char *end;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0 || digits[0] < '1' || digits[0] > '9') {
        return 0;
    }
    errno = 0;
    unsigned long serial = strtoul(digits, &end, 10);
    return errno == 0 && *end == '\0' && serial <= UINT32_MAX ? (uint32_t)serial : 0;
}

/* ---- the difference ---- */

static bool same_file(const struct fd_store_place *one, const struct fd_store_place *other)
{
    return one->device == other->device && one->inode == other->inode;
}

bool fd_store_is_in_step(const struct fd_store_list *present, const struct fd_store_list *found)
{
    if (present->count != found->count) {
        return false;
    }
    for (size_t i = 0; i < present->count; i++) {
        if (present->all[i].fd != found->all[i].fd || present->all[i].serial == 0 ||
            !same_file(&present->all[i], &found->all[i])) {
            return false;
        }
    }
    return true;
}

uint32_t fd_store_serial_of(const struct fd_store_list *list, size_t end, const struct fd_store_place *place)
{
    for (size_t i = 0; i < end; i++) {
        if (list->all[i].serial != 0 && same_file(&list->all[i], place)) {
            return list->all[i].serial;
        }
    }
    return 0;
}

bool fd_store_has(const struct fd_store_list *list, uint32_t serial)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->all[i].serial == serial) {
            return true;
        }
    }
    return false;
}

void fd_store_carry_over(const struct fd_store_list *present, struct fd_store_list *next)
{
    for (size_t i = 0; i < next->count; i++) {
        next->all[i].serial = fd_store_serial_of(present, present->count, &next->all[i]);
    }
    for (size_t i = 0; i < present->count && next->count < FD_STORE_MAX; i++) {
        if (present->all[i].serial != 0 && !fd_store_has(next, present->all[i].serial)) {
            next->all[next->count] = present->all[i];
            next->all[next->count++].fd = -1;
        }
    }
}

/* ---- what there is ---- */

struct finding {
    struct fd_store_list *list;
    size_t room;
    bool fits;
};

static void find_one(int32_t *fd, void *context) // NOLINT(readability-non-const-parameter): ledger_each_fd's
{
    struct finding *finding = context;
    struct stat is;
    if (fstat(*fd, &is) != 0) {
        return;
    }
    finding->fits = finding->fits && finding->list->count < finding->room;
    if (finding->fits) {
        finding->list->all[finding->list->count++] =
            (struct fd_store_place){.fd = *fd, .device = is.st_dev, .inode = is.st_ino};
    }
}

static int by_number(const void *one, const void *other)
{
    const struct fd_store_place *first = one;
    const struct fd_store_place *second = other;
    return (first->fd > second->fd) - (first->fd < second->fd);
}

/* One descriptor may stand in two places of the ledger. */
static void each_once(struct fd_store_list *list)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        if (count == 0 || list->all[count - 1].fd != list->all[i].fd) {
            list->all[count++] = list->all[i];
        }
    }
    list->count = count;
}

/* All that the ledger names, into LIST; nothing if it is more than ROOM, for a part is of no use to an heir. */
static void find(struct supervisor *s, struct fd_store_list *list, size_t room)
{
    struct fd_store *store = &s->ledger->fd_store;
    struct finding finding = {.list = list, .room = room < FD_STORE_MAX ? room : FD_STORE_MAX, .fits = true};
    list->count = 0;
    find_one(&s->ledger_fd, &finding);
    ledger_each_fd(s->ledger, find_one, &finding);
    for (size_t i = 0; i < s->spares.count; i++) {
        find_one(&s->spares.ends[i][0], &finding);
    }
    if (!finding.fits) {
        list->count = 0;
    }
    if (!finding.fits && !store->too_small) {
        log_warn("the service manager keeps %zu descriptors (FileDescriptorStoreMax=), which are too few: it is given "
                 "none",
                 finding.room);
    }
    store->too_small = !finding.fits;
    qsort(list->all, list->count, sizeof list->all[0], by_number);
    each_once(list);
}

/* ---- bringing the store in step ---- */

/* The ledger gets the first serial, by which an heir finds it. */
static bool send_one(struct fd_store *store, int ledger_fd, struct fd_store_place *place)
{
    char name[NAME_BYTES];
    uint32_t serial = place->fd == ledger_fd ? (uint32_t)FD_STORE_LEDGER : store->serial + 1;
    fd_store_name(serial, name, sizeof name);
    store->serial = serial > store->serial ? serial : store->serial;
    if (!notify_store(place->fd, name)) {
        return false;
    }
    place->serial = serial;
    return true;
}

/* Where anything is to be stored, and we serve: how many there is room for; else 0. */
static size_t room_of(const struct supervisor *s)
{
    return s->phase != PHASE_STARTING ? notify_store_room() : 0;
}

void fd_store_add(struct supervisor *s, int fd)
{
    struct fd_store *store = &s->ledger->fd_store;
    struct fd_store_list *present = &store->lists[store->present != 0];
    struct stat is;
    if (room_of(s) <= present->count || present->count == 0 || present->count >= FD_STORE_MAX || fstat(fd, &is) != 0) {
        return;
    }
    struct fd_store_place place = {.fd = fd, .device = is.st_dev, .inode = is.st_ino};
    for (size_t i = 0; i < present->count; i++) {
        if (present->all[i].fd == fd && present->all[i].serial != 0 && same_file(&present->all[i], &place)) {
            return;
        }
        if (present->all[i].fd == fd) {
            present->all[i].fd = -1; /* it had another file */
        }
    }
    place.serial = fd_store_serial_of(present, present->count, &place);
    if (place.serial != 0 || send_one(store, s->ledger_fd, &place)) {
        present->all[present->count] = place;
        present->count++;
    }
}

static bool send_new(struct fd_store *store, int ledger_fd, struct fd_store_list *next)
{
    for (size_t i = 0; i < next->count; i++) {
        struct fd_store_place *place = &next->all[i];
        place->serial = place->serial != 0 ? place->serial : fd_store_serial_of(next, i, place);
        if (place->serial == 0 && !send_one(store, ledger_fd, place)) {
            return false;
        }
    }
    return true;
}

static bool remove_unwanted(struct fd_store_list *present)
{
    while (present->count > 0 && present->all[present->count - 1].fd < 0) {
        char name[NAME_BYTES];
        fd_store_name(present->all[present->count - 1].serial, name, sizeof name);
        if (!notify_unstore(name, 0)) {
            return false;
        }
        present->count--;
    }
    return true;
}

/* Every new one is stored before the first is removed, so that there is nothing missing at any moment. */
static bool bring_in_step(struct fd_store *store, int ledger_fd, struct fd_store_list *next)
{
    fd_store_carry_over(&store->lists[store->present], next);
    bool sent = send_new(store, ledger_fd, next);
    store->present = 1 - store->present;
    return sent && remove_unwanted(next);
}

/* ---- spare channels ---- */

bool fd_store_take_spare(struct supervisor *s, int ends[2])
{
    if (s->spares.count == 0) {
        return false;
    }
    s->spares.count--;
    ends[0] = s->spares.ends[s->spares.count][0];
    ends[1] = s->spares.ends[s->spares.count][1];
    return true;
}

static void make_spares(struct supervisor *s)
{
    while (s->spares.count < FD_STORE_SPARES && channel_pair(s->spares.ends[s->spares.count]) == 0) {
        s->spares.count++;
    }
}

/* Until when clients may be waiting for a successor; 0: for none. */
static uint64_t succession_ends_ms(const struct supervisor *s)
{
    uint64_t now = clock_now().ms;
    for (size_t i = 0; i < s->ledger->workers.count; i++) {
        const struct worker *w = &s->ledger->workers.all[i];
        bool under_way = w->state == WORKER_SUCCEEDING || w->state == WORKER_ADOPTING;
        if (under_way && now < w->entered_ms + SUCCESSION_MS) {
            return w->entered_ms + SUCCESSION_MS;
        }
    }
    return 0;
}

uint64_t fd_store_turn(struct supervisor *s)
{
    struct fd_store *store = &s->ledger->fd_store;
    size_t room = room_of(s);
    if (room == 0) {
        return UINT64_MAX;
    }
    uint64_t end_ms = succession_ends_ms(s);
    if (end_ms != 0) {
        return end_ms;
    }
    make_spares(s);
    store->contract = CONTRACT_VERSION;
    store->present = store->present != 0;
    store->serial = store->serial != 0 ? store->serial : FD_STORE_LEDGER; /* kept for the ledger */
    struct fd_store_list *next = &store->lists[1 - store->present];
    find(s, next, room);
    if (fd_store_is_in_step(&store->lists[store->present], next) || bring_in_step(store, s->ledger_fd, next)) {
        return UINT64_MAX;
    }
    /* A manager that has much to read reads it soon; one that is gone is looked for whenever there is a turn. */
    return errno == EAGAIN ? clock_now().ms + RETRY_MS : UINT64_MAX;
}

void fd_store_empty(struct ledger *ledger)
{
    const struct fd_store_list *present = &ledger->fd_store.lists[ledger->fd_store.present != 0];
    for (size_t i = 0; notify_store_room() > 0 && i < present->count && i < FD_STORE_MAX; i++) {
        char name[NAME_BYTES];
        fd_store_name(present->all[i].serial, name, sizeof name);
        if (present->all[i].serial != 0 && !notify_unstore(name, LAST_PATIENCE_MS)) {
            return; /* the manager is gone, or does not read: its store ends with the service */
        }
    }
}
