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
    assert_int_equal(cell_map(&again, cell.fd, 0), 0);
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

static void another_layout_or_size_is_refused(void **state)
{
    (void)state;
    struct cell cell = make_cell();
    struct cell other;
    cell.header->layout = CELL_LAYOUT + 1;
    assert_int_equal(cell_map(&other, cell.fd, 0), -1);
    assert_int_equal(errno, EPROTO);
    cell.header->layout = CELL_LAYOUT;
    cell.header->slots = SLOTS * 2;
    assert_int_equal(cell_map(&other, cell.fd, 0), -1);
    assert_int_equal(errno, EPROTO);
    assert_int_equal(cell_map(&other, cell.fd, SLOTS), 0); /* who knows the count asks nobody */
    cell_unmap(&other);
    destroy_cell(&cell);
}

static void the_face_is_read_whatever_the_layout(void **state)
{
    (void)state;
    struct cell face;
    struct cell cell;
    char line[64];
    int fd = cell_create(SLOTS);
    assert_int_equal(cell_look(&face, fd), 0);
    assert_int_equal(cell_layout(&face), 0);
    assert_int_equal(cell_map(&cell, fd, 0), -1); /* nobody has laid it out yet */
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
        cmocka_unit_test(another_layout_or_size_is_refused),
        cmocka_unit_test(the_face_is_read_whatever_the_layout),
        cmocka_unit_test(what_could_shrink_under_its_reader_is_not_looked_at),
        cmocka_unit_test(the_request_in_hand_is_told),
        cmocka_unit_test(a_scribbled_cell_does_no_harm_to_its_reader),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
