/* desks.c — see desks.h. */
#include "worker/desks.h"

#include "supervisor/inherit/check.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_DESKS = 32, PUNCHES_PER_TRIM = 256 };

void desks_open(struct desks *desks, const struct cell *cell)
{
    *desks = (struct desks){.cell = cell};
    desks->free = calloc(cell->slots_count, sizeof *desks->free);
    desks->claimed = calloc(cell->slots_count / 8 + 1, 1);
    check(desks->free != NULL && desks->claimed != NULL);
}

void desks_close(struct desks *desks)
{
    free(desks->free);
    free(desks->claimed);
    *desks = (struct desks){0};
}

int32_t desks_borrow(struct desks *desks)
{
    if (desks->free_count == 0) {
        check(desks->fresh < desks->cell->slots_count);
        return (int32_t)desks->fresh++;
    }
    desks->free_count--;
    if (desks->punched > desks->free_count) {
        desks->punched = desks->free_count;
    }
    return desks->free[desks->free_count];
}

void desks_give_back(struct desks *desks, int32_t number)
{
    check(number >= 0 && (uint32_t)number < desks->fresh && desks->free_count < desks->fresh);
    desks->free[desks->free_count++] = number;
}

bool desks_claim(struct desks *desks, int32_t number)
{
    if (number < 0 || (uint32_t)number >= desks->cell->slots_count) {
        return false;
    }
    uint8_t bit = (uint8_t)(1U << (number & 7));
    if ((desks->claimed[number / 8] & bit) != 0) {
        return false;
    }
    desks->claimed[number / 8] |= bit;
    if ((uint32_t)number >= desks->fresh) {
        desks->fresh = (uint32_t)number + 1;
    }
    return true;
}

void desks_settle(struct desks *desks)
{
    for (uint32_t number = 0; number < desks->fresh; number++) {
        if ((desks->claimed[number / 8] & (1U << (number & 7))) == 0) {
            desks->free[desks->free_count++] = (int32_t)number;
        }
    }
    free(desks->claimed);
    desks->claimed = NULL;
}

void desks_trim(struct desks *desks)
{
    size_t stride = cell_desk_stride();
    off_t first = (off_t)(desks->cell->desks - (char *)desks->cell->header);
    for (int i = 0; i < PUNCHES_PER_TRIM && desks->punched + WARM_DESKS < desks->free_count; i++) {
        off_t at = first + (off_t)stride * desks->free[desks->punched];
        if (fallocate(desks->cell->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)stride) != 0) {
            return;
        }
        desks->punched++;
    }
}
