/* estate.h — what an heir gets from a dead supervisor: descriptors, and the numbers that the ledger has for them.
 *
 * They come with other numbers than they had; the ledger is true again when each has its own. */
#ifndef PERDURE_ESTATE_H
#define PERDURE_ESTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct estate {
    size_t count, room;
    struct {
        int32_t number;
        int fd; /* here */
    } * all;
};

/* FD is to have NUMBER; no two have the same. False: no memory. Free estate->all at the end. */
bool estate_add(struct estate *estate, int32_t number, int fd);

/* True if something is to have NUMBER. */
bool estate_has(const struct estate *estate, int32_t number);

/* Give each descriptor its number, close-on-exec. Whatever else had such a number is closed. False: it cannot be done,
 * and descriptors may be others than before. */
bool estate_settle(struct estate *estate);

#endif
