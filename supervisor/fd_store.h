/* fd_store.h — the service manager's descriptor store: a copy of all that the ledger names, and of the ledger itself.
 *
 * systemd keeps the descriptors that a service sends it (FileDescriptorStoreMax=, sd_notify(3)), and gives them to the
 * process that it starts after a death: so even supervisor and keeper killed at once lose nothing, and workers, whose
 * channels stay open in the store, do not notice. Each file is stored once, as perdure-SERIAL; serials are never used
 * again, so to remove one is exact. Which numbers a file has here, and which serial there, is in the ledger. Without
 * FDSTORE in the environment nothing is done. */
#ifndef PERDURE_FD_STORE_H
#define PERDURE_FD_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;
struct supervisor;

enum { FD_STORE_MAX = 4096, FD_STORE_SPARES = 4, FD_STORE_LEDGER = 1 /* its serial */ };

/* A number of ours, and its file, which a serial stands for in the store. */
struct fd_store_place {
    int32_t fd;      /* -1: nothing here has the file any more; it is to be removed */
    uint32_t serial; /* 0: not sent yet */
    uint64_t device, inode;
};

/* Each fd once. */
struct fd_store_list {
    uint32_t count;
    uint32_t spare;
    struct fd_store_place all[FD_STORE_MAX];
};

/* Part of the ledger. What is sent is noted after it was sent, in the other list, which then becomes the present one.
 */
struct fd_store {
    uint32_t present; /* index of the list that is true */
    uint32_t serial;  /* the highest that was used */
    uint32_t too_small;
    uint32_t contract; /* CONTRACT_VERSION of who stored it */
    struct fd_store_list lists[2];
};

/* Channels whose first ends are in the store already, for processes that are yet to be born: the manager is not to be
 * woken by what a succession needs while clients wait for it. */
struct fd_store_spares {
    uint32_t count;
    int32_t ends[FD_STORE_SPARES][2];
};

/* ---- in the supervisor: fd_store.c ---- */

/* A spare channel into ENDS, whose first is ours. False: there is none, make one and add it. */
bool fd_store_take_spare(struct supervisor *s, int ends[2]);

/* Keep the store in step with the ledger, but when a succession is over; call at the end of every turn. Returns when it
 * wants to look again. */
uint64_t fd_store_turn(struct supervisor *s);

/* Store FD, which the ledger names or is about to name, at once, unless it is stored: for what must not be missing when
 * we die before the turn is over. Of a channel, the process that has the other end would see it closed. */
void fd_store_add(struct supervisor *s, int fd);

/* The service ends: leave nothing in the store. */
void fd_store_empty(struct ledger *ledger);

/* ---- the difference of what is stored and what is to be: no system calls ---- */

/* The files of NEXT that PRESENT has get their serials; those that only PRESENT has are put at NEXT's end. */
void fd_store_carry_over(const struct fd_store_list *present, struct fd_store_list *next);

/* True if PRESENT is in the store as it is, and the same as what was found: FOUND, which has no serials. */
bool fd_store_is_in_step(const struct fd_store_list *present, const struct fd_store_list *found);

/* The serial of one that is already in LIST, before its END, with the file of PLACE; 0: none is. */
uint32_t fd_store_serial_of(const struct fd_store_list *list, size_t end, const struct fd_store_place *place);

/* True if SERIAL is in LIST. */
bool fd_store_has(const struct fd_store_list *list, uint32_t serial);

/* "perdure-7" is 7; 0: the name is none of ours. And the other way. */
uint32_t fd_store_serial(const char *name);
void fd_store_name(uint32_t serial, char *name, size_t bytes);

/* ---- in the process that the manager starts next: fd_store_heir.c ---- */

/* First of all, before given_take: if the manager gives us what a supervisor had stored, and nobody has taken over
 * from that one, become its next image (image.h), in the foreground: then this does not return. A keeper that
 * waits for an heir is asked first, for what it has is newer. If what is stored is of no use, that is said on standard
 * error, and the store is emptied. */
void fd_store_resume(void);

#endif
