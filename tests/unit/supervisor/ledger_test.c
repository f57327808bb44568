/* ledger_test.c — what one image of the supervisor wrote, the next one finds; and nothing else is taken for a ledger.
 */
#include "supervisor/ledger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
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
        cmocka_unit_test(what_does_not_add_up_is_no_ledger),
        cmocka_unit_test(another_file_is_no_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
