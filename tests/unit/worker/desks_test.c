/* desks_test.c — no desk is lent twice, and what nobody needs goes back to the machine. */
#include "worker/desks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOTS = 600 };

struct desk_room {
    struct cell cell;
    struct desks desks;
};

static int open_room(void **state)
{
    struct desk_room *room = calloc(1, sizeof *room);
    assert_int_equal(cell_lay_out(&room->cell, cell_create(SLOTS)), 0);
    desks_open(&room->desks, &room->cell);
    *state = room;
    return 0;
}

static int close_room(void **state)
{
    struct desk_room *room = *state;
    int fd = room->cell.fd;
    desks_close(&room->desks);
    cell_unmap(&room->cell);
    close(fd);
    free(room);
    return 0;
}

static void a_desk_is_lent_to_one_at_a_time(void **state)
{
    struct desk_room *room = *state;
    bool lent[SLOTS] = {false};
    int32_t held[SLOTS];
    size_t count = 0;
    desks_settle(&room->desks);
    srandom(3);
    for (int i = 0; i < 20000; i++) {
        if (count < SLOTS && random() % 2 != 0) {
            held[count] = desks_borrow(&room->desks);
            assert_false(lent[held[count]]);
            lent[held[count++]] = true;
        } else if (count > 0) {
            size_t which = (size_t)random() % count;
            lent[held[which]] = false;
            desks_give_back(&room->desks, held[which]);
            held[which] = held[--count];
        }
    }
}

static void a_successor_lends_only_what_no_slot_claims(void **state)
{
    struct desk_room *room = *state;
    assert_true(desks_claim(&room->desks, 3));
    assert_true(desks_claim(&room->desks, 7));
    assert_false(desks_claim(&room->desks, 7));
    assert_false(desks_claim(&room->desks, -1));
    assert_false(desks_claim(&room->desks, SLOTS));
    desks_settle(&room->desks);
    for (int i = 0; i < SLOTS - 2; i++) {
        int32_t desk = desks_borrow(&room->desks);
        assert_true(desk != 3 && desk != 7);
    }
}

static uint64_t bytes_in_memory(const struct cell *cell)
{
    struct stat facts;
    assert_int_equal(fstat(cell->fd, &facts), 0);
    return (uint64_t)facts.st_blocks * 512;
}

static void a_bursts_memory_is_given_back(void **state)
{
    struct desk_room *room = *state;
    int32_t held[500];
    desks_settle(&room->desks);
    uint64_t before = bytes_in_memory(&room->cell);
    for (int i = 0; i < 500; i++) {
        held[i] = desks_borrow(&room->desks);
        memset(cell_desk(&room->cell, held[i])->in, 'x', DESK_IN_BYTES);
    }
    uint64_t burst = bytes_in_memory(&room->cell);
    assert_true(burst > before + 500 * DESK_IN_BYTES);
    for (int i = 0; i < 500; i++) {
        desks_give_back(&room->desks, held[i]);
    }
    for (int i = 0; i < 10; i++) {
        desks_trim(&room->desks);
    }
    uint64_t after = bytes_in_memory(&room->cell);
    assert_true(after < before + 40 * (DESK_IN_BYTES + 8192));
    for (int i = 0; i < 500; i++) {
        held[i] = desks_borrow(&room->desks);
        cell_desk(&room->cell, held[i])->in[0] = 'y';
    }
}

static void write_on(const struct desk_room *room, int32_t first, int32_t end)
{
    for (int32_t number = first; number < end; number++) {
        memset(cell_desk(&room->cell, number)->in, 'x', DESK_IN_BYTES);
    }
}

/* A successor once left the memory of desks alone that lay above all that it was told of. */
static void a_predecessors_memory_is_given_back_but_for_what_is_claimed(void **state)
{
    struct desk_room *room = *state;
    uint64_t before = bytes_in_memory(&room->cell);
    write_on(room, 0, SLOTS);
    assert_true(desks_claim(&room->desks, 7));
    desks_settle(&room->desks);
    assert_int_equal(desks_borrow(&room->desks), 6);
    for (int32_t i = 0; i < 100; i++) { /* 5 to 0, then 8 to 101, which are a predecessor's */
        desks_borrow(&room->desks);
    }
    while (desks_have_more(&room->desks)) {
        desks_trim(&room->desks);
    }
    for (int32_t number = 0; number < 102; number++) {
        assert_int_equal(cell_desk(&room->cell, number)->in[DESK_IN_BYTES - 1], 'x');
    }
    assert_true(bytes_in_memory(&room->cell) < before + 102 * (DESK_IN_BYTES + 8192));
}

static void a_desk_in_use_between_two_trims_keeps_its_memory(void **state)
{
    struct desk_room *room = *state;
    int32_t held[100];
    desks_settle(&room->desks);
    write_on(room, 0, 100);
    uint64_t burst = bytes_in_memory(&room->cell);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 100; i++) {
            held[i] = desks_borrow(&room->desks);
        }
        for (int i = 0; i < 100; i++) {
            desks_give_back(&room->desks, held[i]);
        }
        desks_trim(&room->desks);
        assert_int_equal(bytes_in_memory(&room->cell), burst);
    }
    desks_trim(&room->desks);
    assert_true(bytes_in_memory(&room->cell) < burst / 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_room, close_room)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_desk_is_lent_to_one_at_a_time),
        TEST(a_successor_lends_only_what_no_slot_claims),
        TEST(a_bursts_memory_is_given_back),
        TEST(a_predecessors_memory_is_given_back_but_for_what_is_claimed),
        TEST(a_desk_in_use_between_two_trims_keeps_its_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
