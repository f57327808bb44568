/* tally.h — how much of all workers one client's address takes: connections, and requests in the last second.
 *
 * A memfd that all workers share. Each has a row of its own and is the only one that writes there, so nothing is
 * locked, and whoever dies leaves no count that cannot be put right: a successor clears the row and counts its slots.
 * To ask for the whole is to add up the rows.
 *
 * A row is a count-min sketch: two tables under two keyed hashes, of which the lower count holds. So it has one size
 * however many addresses there are; a count is never too low, and too high only if others share both of its places,
 * which nobody can bring about without the key. The key is not in the rows, but who has taken over a worker can read
 * it, and count what it likes: then honest clients are turned away, and no more than that. */
#ifndef PERDURE_INHERIT_TALLY_H
#define PERDURE_INHERIT_TALLY_H

#include "supervisor/inherit/client_address.h"
#include "supervisor/inherit/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum { TALLY_ROWS = 1024, TALLY_PLACES = 4096, TALLY_HASHES = 2 };
#define TALLY_MEMFD "perdure-tally"

/* Requests of one second, and of the one before. */
struct tally_pace {
    uint32_t second;
    uint32_t now;
    uint32_t before;
};

struct tally_row {
    uint32_t connections[TALLY_HASHES][TALLY_PLACES];
    struct tally_pace pace[TALLY_HASHES][TALLY_PLACES];
};

struct tally_head {
    uint64_t key[TALLY_HASHES];
    uint32_t rows; /* no row from here on was ever used */
};

struct tally {
    struct tally_head *head; /* NULL: there is none */
    struct tally_row *rows;
    uint32_t own;
};

/* ---- for the supervisor ---- */

/* Make an empty one. Returns its descriptor, which is close-on-exec, or -1 with errno. */
int tally_create(void);

/* Nobody writes row NUMBER any more. */
void tally_forget(int fd, uint32_t number);

/* ---- for a worker ---- */

/* Map the one on FD, and begin row OWN, empty. False: it cannot be done; then nothing is counted. */
bool tally_open(struct tally *tally, int fd, uint32_t own);
void tally_close(struct tally *tally);

/* One connection more, or one less. */
void tally_add_connection(struct tally *tally, const struct client_address *client);
void tally_drop_connection(struct tally *tally, const struct client_address *client);
uint64_t tally_connections(const struct tally *tally, const struct client_address *client);

/* Count a request, unless there were LIMIT within the last second already. False: there were. */
bool tally_request(struct tally *tally, const struct client_address *client, uint32_t limit, struct instant now);

#endif
