/* cell_test.c — a cell is mapped only as what it is, and the supervisor reads nothing beyond its bounds. */
#include "supervisor/inherit/cell.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { SLOTS = 300 };

static struct cell make_cell(void)
{
    struct cell cell;
    assert_int_equal(cell_lay_out(&cell, cell_create(SLOTS)), 0);
    return cell;
}

static void destroy_cell(struct cell *cell)
{
    int fd = cell->fd;
    cell_unmap(cell);
    close(fd);
}

static void a_cell_is_found_again_by_its_descriptor(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    struct cell again;
    bool was_sick;
    assert_int_equal(cell_adopt(&again, cell.fd, &was_sick), 0);
    assert_int_equal(again.slots_count, SLOTS);
    cell.slots[SLOTS - 1].serial = 7;
    assert_int_equal(again.slots[SLOTS - 1].serial, 7);
    struct desk *last = cell_desk(&cell, SLOTS - 1);
    last->log[DESK_LOG_BYTES - 1] = 'x';
    assert_int_equal(cell_desk(&again, SLOTS - 1)->log[DESK_LOG_BYTES - 1], 'x');
    assert_null(cell_desk(&cell, SLOTS));
    assert_null(cell_desk(&cell, -1));
    cell_unmap(&again);
    destroy_cell(&cell);
}

static void nobody_can_resize_a_cell_under_its_reader(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    assert_int_equal(ftruncate(cell.fd, 0), -1);
    assert_int_equal(errno, EPERM);
    destroy_cell(&cell);
}

/* A header that a dying worker scribbled over kept every successor from its cell, for good. */
static void a_header_that_is_scribbled_over_is_put_right_by_the_cells_size(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    struct cell again;
    bool was_sick;
    uint32_t *const words[] = {&cell.header->magic, &cell.header->layout, &cell.header->slots, &cell.header->slot_bytes,
                               &cell.header->desk_bytes};
    const uint32_t scribbles[] = {0, 1, 2 * SLOTS, UINT32_MAX};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        for (size_t j = 0; j < sizeof scribbles / sizeof scribbles[0]; j++) {
            uint32_t right = *words[i];
            *words[i] = scribbles[j];
            assert_int_equal(cell_adopt(&again, cell.fd, &was_sick), 0);
            assert_true(was_sick);
            assert_int_equal(again.slots_count, SLOTS);
            assert_int_equal(*words[i], right);
            cell_unmap(&again);
        }
    }
    assert_int_equal(cell_adopt(&again, cell.fd, &was_sick), 0);
    assert_false(was_sick);
    cell_unmap(&again);
    destroy_cell(&cell);
}

static int make_sized(uint32_t slots, uint64_t bytes)
{
    int fd = cell_create(slots);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    return fd;
}

static void a_size_that_no_cell_of_ours_has_is_refused(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    struct cell other;
    bool was_sick;
    const uint64_t sizes[] = {CELL_HEADER_BYTES, cell.bytes - 4096, cell.bytes + 4096, cell.bytes + SLOTS * 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int fd = make_sized(SLOTS, sizes[i]);
        assert_int_equal(cell_adopt(&other, fd, &was_sick), -1);
        assert_int_equal(errno, EPROTO);
        close(fd);
    }
    destroy_cell(&cell);
}

/* Twice as large desks, half as many of them: by chance that can be as large as one of ours. */
static void a_size_of_ours_by_chance_is_refused_if_the_header_explains_it_otherwise(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    struct cell other;
    bool was_sick;
    cell.header->slots = 1;
    cell.header->slot_bytes = 4096;
    cell.header->desk_bytes = (uint32_t)(cell.bytes - CELL_HEADER_BYTES - 4096 - CELL_LOG_BYTES);
    assert_int_equal(cell_adopt(&other, cell.fd, &was_sick), -1);
    assert_int_equal(errno, EPROTO);
    destroy_cell(&cell);
}

static void the_face_is_read_whatever_the_layout(void **state)
{
    (void)state;
    struct cell face;
    struct cell cell;
    char line[64];
    bool was_sick;
    int fd = cell_create(SLOTS);
    assert_int_equal(cell_look(&face, fd), 0);
    assert_int_equal(cell_layout(&face), 0);
    assert_int_equal(cell_adopt(&cell, fd, &was_sick), -1); /* nobody has laid it out yet */
    assert_int_equal(cell_lay_out(&cell, fd), 0);
    assert_int_equal(cell_layout(&face), CELL_LAYOUT);
    cell.header->layout = CELL_LAYOUT + 1;
    cell.header->connections = 5;
    cell.header->in_hand = 3;
    assert_int_equal(cell_layout(&face), CELL_LAYOUT + 1);
    assert_int_equal(cell_connections(&face), 5);
    assert_false(cell_in_hand(&face, SLOTS, line, sizeof line, &fd)); /* of another layout */
    cell_unmap(&face);
    destroy_cell(&cell);
}

static void what_could_shrink_under_its_reader_is_not_looked_at(void **state)
{
    (void)state;
    struct cell face;
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(fd, CELL_HEADER_BYTES), 0);
    assert_int_equal(cell_look(&face, fd), -1);
    assert_int_equal(errno, EPROTO);
    close(fd);
}

static void the_request_in_hand_is_told(void **state)
{
    (void)state;
    char line[64];
    int fd = -1;
    struct cell cell = make_cell();
    assert_false(cell_in_hand(&cell, SLOTS, line, sizeof line, &fd));
    struct desk *desk = cell_desk(&cell, 5);
    strcpy(desk->in + 3, "GET /\x01 HTTP/1.1\r\nHost: x\r\n");
    cell.header->in_hand_at = 3;
    cell.slots[17].current = 1;
    cell.slots[17].record[1].desk = 5;
    cell.header->in_hand = 17;
    assert_true(cell_in_hand(&cell, SLOTS, line, sizeof line, &fd));
    assert_string_equal(line, "GET /\\x01 HTTP/1.1");
    assert_int_equal(fd, 17);
    strcpy(desk->in + 3, "\r\nGET / HTTP/1.1\r\n"); /* a parser may skip an empty line (RFC 9112 section 2.2) */
    assert_true(cell_in_hand(&cell, SLOTS, line, sizeof line, &fd));
    assert_string_equal(line, "GET / HTTP/1.1");
    destroy_cell(&cell);
}

/* DESIGN: the supervisor never follows a pointer or an index from a cell unchecked. */
static void a_scribbled_cell_does_no_harm_to_its_reader(void **state)
{
    (void)state;
    char line[64];
    int fd;
    struct cell cell = make_cell();
    srandom(2);
    for (int round = 0; round < 2000; round++) {
        uint32_t *words = (uint32_t *)(void *)cell.header;
        for (size_t i = 0; i < (CELL_HEADER_BYTES + SLOTS * sizeof(struct slot)) / 4; i++) {
            words[i] = (uint32_t)random() ^ (uint32_t)random() << 16;
        }
        cell.header->in_hand = random() % 2 != 0 ? (int32_t)(random() % SLOTS) : cell.header->in_hand;
        (void)cell_in_hand(&cell, SLOTS, line, sizeof line, &fd);
        (void)cell_connections(&cell);
        (void)cell_beat_ms(&cell);
        (void)cell_counters(&cell);
    }
    destroy_cell(&cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_is_found_again_by_its_descriptor),
        cmocka_unit_test(nobody_can_resize_a_cell_under_its_reader),
        cmocka_unit_test(a_header_that_is_scribbled_over_is_put_right_by_the_cells_size),
        cmocka_unit_test(a_size_that_no_cell_of_ours_has_is_refused),
        cmocka_unit_test(a_size_of_ours_by_chance_is_refused_if_the_header_explains_it_otherwise),
        cmocka_unit_test(the_face_is_read_whatever_the_layout),
        cmocka_unit_test(what_could_shrink_under_its_reader_is_not_looked_at),
        cmocka_unit_test(the_request_in_hand_is_told),
        cmocka_unit_test(a_scribbled_cell_does_no_harm_to_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
