/* desks.c — see desks.h. */
#include "worker/desks.h"

#include "supervisor/inherit/check.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WARM_DESKS = 32, PUNCHES_PER_TRIM = 256 };

bool desks_open(struct desks *desks, const struct cell *cell)
{
    *desks = (struct desks){.cell = cell, .stale = cell->slots_count};
    desks->free = malloc(cell->slots_count * sizeof *desks->free); /* not cleared: most of it is never touched */
    desks->claimed = calloc(cell->slots_count / 8 + 1, 1);
    return desks->free != NULL && desks->claimed != NULL;
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
    if (desks->rested > desks->free_count) {
        desks->rested = desks->free_count;
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

/* Where desk NUMBER begins in the cell. */
static off_t desk_offset(const struct desks *desks, uint32_t number)
{
    return (off_t)(desks->cell->desks - (char *)desks->cell->header) + (off_t)cell_desk_stride() * number;
}

/* The first desk from FROM on that has memory under it, slots_count if there is none. */
static uint32_t next_with_memory(const struct desks *desks, uint32_t from)
{
    uint32_t count = desks->cell->slots_count;
    off_t at = from < count ? lseek(desks->cell->fd, desk_offset(desks, from), SEEK_DATA) : -1;
    return at < 0 ? count : (uint32_t)((at - desk_offset(desks, 0)) / (off_t)cell_desk_stride());
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
    /* What a predecessor used, further up, it can no longer give back. That takes time, so it is left to desks_trim. */
    desks->stale = next_with_memory(desks, desks->fresh);
}

static bool punch(const struct desks *desks, uint32_t number)
{
    return fallocate(desks->cell->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, desk_offset(desks, number),
                     (off_t)cell_desk_stride()) == 0;
}

/* One of a predecessor's. Those that were borrowed meanwhile are given back like all others. */
static bool punch_stale(struct desks *desks)
{
    if (desks->stale < desks->fresh) {
        desks->stale = next_with_memory(desks, desks->fresh);
    }
    if (desks->stale >= desks->cell->slots_count || !punch(desks, desks->stale)) {
        return false;
    }
    desks->stale = next_with_memory(desks, desks->stale + 1);
    return true;
}

static bool punch_rested(struct desks *desks)
{
    if (desks->punched + WARM_DESKS >= desks->rested || !punch(desks, (uint32_t)desks->free[desks->punched])) {
        return false;
    }
    desks->punched++;
    return true;
}

void desks_trim(struct desks *desks)
{
    int left = PUNCHES_PER_TRIM;
    while (left > 0 && (punch_rested(desks) || punch_stale(desks))) {
        left--;
    }
    desks->rested = desks->free_count;
}

bool desks_have_more(const struct desks *desks)
{
    return desks->punched + WARM_DESKS < desks->free_count || desks->stale < desks->cell->slots_count;
}
