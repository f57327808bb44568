/* handover_test.c — the heir's side of a handover: from which channels it takes. */
#include "worker/handover.h"

#include "tests/unit/worker/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* The giver's end of a channel from which the heir takes from now on. */
static int take_from_another(struct fixture *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    handover_take(&f->w, ends[1]);
    assert_true(handover_is_channel(&f->w, ends[1]));
    return ends[0];
}

static void who_has_given_all_makes_room_before_its_end_is_looked_at(void **state)
{
    struct fixture *f = *state;
    int givers[CELL_TAKING_MAX];
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        givers[i] = take_from_another(f);
    }
    close(givers[3]);
    givers[3] = take_from_another(f);
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        close(givers[i]);
    }
    close(take_from_another(f));
}

static int open_fixture(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    fixture_open(f, 128);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < CELL_TAKING_MAX; i++) {
        if (f->w.cell.header->taking[i] >= 0) {
            close(f->w.cell.header->taking[i]);
        }
    }
    fixture_close(f);
    free(f);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_has_given_all_makes_room_before_its_end_is_looked_at, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
