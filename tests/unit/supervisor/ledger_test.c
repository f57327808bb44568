/* ledger_test.c — what one image of the supervisor wrote, the next one finds; and nothing else is taken for a ledger.
 */
#include "supervisor/ledger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void what_was_written_is_found(void **state)
{
    int fd;
    struct ledger *one = ledger_create(&fd);
    (void)state;
    assert_non_null(one);
    one->generation = 7;
    workers_take(&one->workers)->state = WORKER_SERVING;
    struct ledger *other = ledger_adopt(fd);
    assert_non_null(other);
    assert_int_equal(other->generation, 7);
    assert_int_equal(other->workers.count, 1);
    assert_int_equal(other->workers.all[0].state, WORKER_SERVING);
    munmap(one, sizeof *one);
    munmap(other, sizeof *other);
    close(fd);
}

static void who_may_only_read_it_cannot_write_it_and_its_owner_can_again(void **state)
{
    int fd;
    (void)state;
    struct ledger *ledger = ledger_create(&fd);
    int reader = ledger_reader(fd);
    assert_true(reader >= 0);
    assert_int_equal(write(reader, "x", 1), -1);
    assert_ptr_equal(mmap(NULL, 1, PROT_WRITE, MAP_SHARED, reader, 0), MAP_FAILED);
    int writer = ledger_writer(reader);
    struct ledger *again = ledger_adopt(writer);
    assert_non_null(again);
    again->generation = 9;
    assert_int_equal(ledger->generation, 9);
    munmap(ledger, sizeof *ledger);
    munmap(again, sizeof *again);
    close(fd);
    close(reader);
    close(writer);
}

static void refuse_writer(int fd)
{
    assert_true(fd >= 0);
    assert_int_equal(ledger_writer(fd), -1);
    assert_int_equal(errno, EPROTO);
    close(fd);
}

/* Whoever gives us a descriptor may have been taken over: it is to be one that only we can have made. */
static void nothing_else_is_opened_for_a_ledger(void **state)
{
    char path[] = "/tmp/perdure-ledger-XXXXXX";
    (void)state;
    int fd = memfd_create("perdure-cell", MFD_ALLOW_SEALING);
    assert_int_equal(fchmod(fd, 0600), 0);
    refuse_writer(fd);                                                /* a worker writes what it likes there */
    refuse_writer(memfd_create("perdure-ledger", MFD_ALLOW_SEALING)); /* everybody can open it */
    fd = mkstemp(path);
    unlink(path);
    refuse_writer(fd);
    if (geteuid() == 0) {
        fd = memfd_create("perdure-ledger", MFD_ALLOW_SEALING);
        assert_int_equal(fchmod(fd, 0600), 0);
        assert_int_equal(fchown(fd, 65534, 65534), 0);
        refuse_writer(fd);
    }
}

static void its_size_is_for_life(void **state)
{
    int fd;
    (void)state;
    struct ledger *ledger = ledger_create(&fd);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(ftruncate(fd, (off_t)sizeof *ledger + 1), -1);
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static void count_one(int32_t *fd, void *context)
{
    (void)fd;
    ++*(size_t *)context;
}

static void an_empty_ledger_names_no_descriptor(void **state)
{
    int fd;
    size_t count = 0;
    struct ledger *ledger = ledger_create(&fd);
    (void)state;
    ledger_each_fd(ledger, count_one, &count);
    assert_int_equal(count, 0);
    ledger->lock_fd = 3;
    ledger->listeners.count = 1;
    ledger->listeners.all[0].fd = 4;
    struct worker *w = workers_take(&ledger->workers);
    w->control_fd = 5;
    w->leaving[2].fd = 6;
    ledger_each_fd(ledger, count_one, &count);
    assert_int_equal(count, 4);
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static void spoil_version(struct ledger *ledger)
{
    ledger->version++;
}
static void spoil_magic(struct ledger *ledger)
{
    ledger->magic = 0;
}
static void spoil_bytes(struct ledger *ledger)
{
    ledger->bytes--;
}

static void what_does_not_add_up_is_no_ledger(void **state)
{
    static void (*const spoil[])(struct ledger *) = {spoil_version, spoil_magic, spoil_bytes};
    (void)state;
    for (size_t i = 0; i < sizeof spoil / sizeof spoil[0]; i++) {
        int fd;
        struct ledger *ledger = ledger_create(&fd);
        spoil[i](ledger);
        assert_null(ledger_adopt(fd));
        assert_int_equal(errno, EPROTO);
        munmap(ledger, sizeof *ledger);
        close(fd);
    }
}

static void another_file_is_no_ledger(void **state)
{
    int ends[2];
    FILE *file = tmpfile();
    (void)state;
    assert_null(ledger_adopt(fileno(file)));
    assert_int_equal(pipe(ends), 0);
    assert_null(ledger_adopt(ends[0]));
    assert_null(ledger_adopt(-1));
    fclose(file);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_found),
        cmocka_unit_test(an_empty_ledger_names_no_descriptor),
        cmocka_unit_test(who_may_only_read_it_cannot_write_it_and_its_owner_can_again),
        cmocka_unit_test(nothing_else_is_opened_for_a_ledger),
        cmocka_unit_test(its_size_is_for_life),
        cmocka_unit_test(what_does_not_add_up_is_no_ledger),
        cmocka_unit_test(another_file_is_no_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
