/* ledger_mend_test.c — whatever is scribbled over a ledger, what is read from it afterwards is within its bounds, and a
 * ledger that adds up is left as it is. */
#include "supervisor/ledger_mend.h"

#include "supervisor/inherit/log.h"
#include "supervisor/ledger_fds.h"
#include "supervisor/ports.h"
#include "supervisor/roll.h"
#include "supervisor/status.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { ROUNDS = 4000, SLOTS = 3 };

/* ---- a ledger as it is in life ---- */

static int channel(int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return ends[0];
}

static int others[2 * SLOTS + 1];

static void fill_worker(struct worker *w, uint64_t now)
{
    w->state = WORKER_SERVING;
    w->generation = 2;
    w->pid = 100000 + (int32_t)w->slot;
    w->keeper_pid = 200000 + (int32_t)w->slot;
    w->control_fd = channel(&others[2 * w->slot]);
    w->keeper_fd = channel(&others[2 * w->slot + 1]);
    w->cell_fd = memfd_create("perdure-cell", MFD_CLOEXEC);
    w->started_ms = w->ready_ms = w->entered_ms = now - 5000;
    w->cell_slots = 1024;
    w->layout = 3;
    w->last_death = (struct worker_death){.when = 1, .pid = 99, .signal = SIGKILL, .request = "GET / HTTP/1.1"};
}

static int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static struct ledger *make(int *fd)
{
    struct ledger *ledger = ledger_create(fd);
    uint64_t now = clock_now().ms;
    assert_non_null(ledger);
    ledger->supervisor_pid = 300000;
    ledger->started_ms = now - 6000;
    ledger->phase = PHASE_RUNNING;
    ledger->keeper_pid = 300001;
    ledger->keeper_fd = channel(&others[2 * SLOTS]);
    ledger->generation = 2;
    ledger->present = (struct ledger_edition){.generation = 2, .layout = 3};
    ledger->present.snapshot_fd = memfd_create("perdure-snapshot", MFD_CLOEXEC);
    ledger->present.program_fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
    ledger->good = ledger->present;
    ledger->lock_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ledger->error_log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ledger->access_log_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ledger->listeners.count = 1;
    ledger->listeners.all[0].fd = listening();
    snprintf(ledger->listeners.all[0].address, LISTENER_ADDRESS_BYTES, "127.0.0.1:80");
    ledger->workers.wanted = SLOTS;
    for (int i = 0; i < SLOTS; i++) {
        fill_worker(workers_take(&ledger->workers), now);
        ledger->workers.all[i].state = WORKER_SERVING;
    }
    snprintf(ledger->run_dir, sizeof ledger->run_dir, "/run/x");
    snprintf(ledger->config_path, sizeof ledger->config_path, "/etc/x.conf");
    snprintf(ledger->own_path, sizeof ledger->own_path, "/usr/sbin/x");
    snprintf(ledger->worker_path, sizeof ledger->worker_path, "/usr/libexec/x");
    memcpy(ledger->command, "perdure\0run", 12);
    ledger->command_bytes = 12;
    ledger->last_result = (struct ledger_result){.when = 1, .verb = CONTROL_RELOAD, .by = "me", .text = "done\n"};
    return ledger;
}

static void close_it(int32_t *fd, void *context)
{
    (void)context;
    close(*fd);
}

static void unmake(struct ledger *ledger, int fd)
{
    ledger->good = (struct ledger_edition){.snapshot_fd = -1, .program_fd = -1};
    ledger_each_fd(ledger, close_it, NULL);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        close(others[i]);
    }
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static unsigned mend(struct ledger *ledger)
{
    return ledger_mend(ledger, clock_now(), clock_now_us());
}

/* ---- what may then be relied on ---- */

static void check_pid(int32_t pid)
{
    assert_true(pid == 0 || (pid > 1 && pid != getpid()));
}

static void check_worker(const struct worker *w, uint32_t slot)
{
    assert_int_equal(w->slot, slot);
    assert_true(w->state < WORKER_STATES);
    assert_true(w->cause < BIRTH_CAUSES && w->retire_cause < BIRTH_CAUSES && w->last_death.cause < BIRTH_CAUSES);
    assert_true(w->heir >= -1 && w->heir < WORKERS_MAX);
    assert_true(w->ready_ms <= clock_now().ms);
    check_pid(w->pid);
    check_pid(w->parked_pid);
    check_pid(w->keeper_pid);
    check_pid(w->next_keeper_pid);
    for (size_t i = 0; i < WORKER_LEAVING_MAX; i++) {
        check_pid(w->leaving[i].pid);
    }
}

static void check_fd(int32_t *fd, void *context)
{
    (void)context;
    assert_true(*fd > STDERR_FILENO);
}

static void check_bounds(struct ledger *ledger)
{
    assert_true(ledger->workers.count <= WORKERS_MAX && ledger->workers.wanted - 1 < WORKERS_MAX);
    assert_true(ledger->listeners.count <= CONTRACT_LISTENERS_MAX);
    assert_true(ledger->next_listeners.count <= CONTRACT_LISTENERS_MAX);
    assert_true(ledger->waiters_count <= CONTROL_CLIENTS_MAX && ledger->command_bytes <= LEDGER_COMMAND_BYTES);
    assert_true(ledger->phase <= PHASE_ENDING && ledger->rolling <= ROLLING_BACK);
    assert_true(strnlen(ledger->run_dir, PATH_MAX) < PATH_MAX && strnlen(ledger->own_path, PATH_MAX) < PATH_MAX);
    assert_true(strnlen(ledger->rolling_text, LEDGER_RESULT_BYTES) < LEDGER_RESULT_BYTES);
    for (uint32_t i = 0; i < WORKERS_MAX; i++) {
        check_worker(&ledger->workers.all[i], i);
    }
    ledger_each_fd(ledger, check_fd, NULL);
}

/* What a supervisor reads of it: under the sanitizers, a byte too far ends the test. */
static void read_all(struct ledger *ledger)
{
    static struct ports ports;
    uint32_t slot;
    enum worker_role role;
    ports_look(&ports, &ledger->listeners, clock_now());
    for (int json = 0; json < 2; json++) {
        char *text = status_render(ledger, &ports, clock_now(), json);
        assert_non_null(text);
        free(text);
    }
    roll_outlook(&ledger->workers, &ledger->present, &slot);
    workers_find(&ledger->workers, 100001, &role);
    workers_active(&ledger->workers);
}

/* ---- the tests ---- */

static void one_that_adds_up_is_left_as_it_is(void **state)
{
    int fd;
    struct ledger *ledger = make(&fd);
    struct ledger *before = malloc(sizeof *before);
    (void)state;
    assert_non_null(before);
    *before = *ledger;
    assert_int_equal(mend(ledger), 0);
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 0);
    assert_memory_equal(ledger, before, sizeof *before);
    free(before);
    unmake(ledger, fd);
}

static void an_empty_one_is_left_as_it_is(void **state)
{
    int fd;
    struct ledger *ledger = ledger_create(&fd);
    (void)state;
    ledger->present.generation = ledger->generation = ledger->workers.wanted = 1;
    assert_int_equal(mend(ledger), 0);
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static uint32_t chance(uint32_t below)
{
    return (uint32_t)random() % below;
}

/* Numbers that faults are made of, and any. */
static uint32_t nasty(void)
{
    static const uint32_t some[] = {0,         1, 2, 3, 7, 64, 1023, 1024, 1025, 65536, INT32_MAX, (uint32_t)INT32_MIN,
                                    UINT32_MAX};
    return chance(3) != 0 ? some[chance(sizeof some / sizeof some[0])] : (uint32_t)random() * 3;
}

static void scribble(struct ledger *ledger)
{
    const size_t head = offsetof(struct ledger, supervisor_pid);
    /* Half of all hit what is in use of the table. */
    size_t at = chance(2) != 0 ? offsetof(struct ledger, workers) + chance((SLOTS + 1) * sizeof(struct worker))
                               : head + chance((uint32_t)(sizeof *ledger - head));
    size_t words = chance(20) == 0 ? chance(4096) : 1 + chance(3);
    for (at = at / 4 * 4; words > 0 && at + 4 <= sizeof *ledger; words--, at += 4) {
        uint32_t value = nasty();
        memcpy((char *)ledger + at, &value, sizeof value);
    }
}

static void whatever_is_scribbled_over_it_stays_within_its_bounds(void **state)
{
    int fd;
    unsigned mended = 0;
    struct ledger *ledger = make(&fd);
    struct ledger *whole = malloc(sizeof *whole);
    (void)state;
    assert_non_null(whole);
    *whole = *ledger;
    srandom(11);
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t i = chance(4) + 1; i > 0; i--) {
            scribble(ledger);
        }
        struct ledger *adopted = ledger_adopt(fd);
        assert_non_null(adopted);
        mended += mend(adopted);
        check_bounds(adopted);
        ledger_check_fds(adopted, &fd, 1);
        mend(adopted);
        assert_int_equal(mend(adopted), 0); /* it adds up now */
        check_bounds(adopted);
        read_all(adopted);
        munmap(adopted, sizeof *adopted);
        *ledger = *whole;
    }
    assert_true(mended > ROUNDS / 4);
    free(whole);
    unmake(ledger, fd);
}

static void a_state_that_contradicts_a_serving_worker_is_serving(void **state)
{
    static const uint32_t wrong[] = {WORKER_EMPTY,  WORKER_STARTING,    WORKER_SUCCEEDING, WORKER_ADOPTING,
                                     WORKER_GIVING, WORKER_BACKING_OFF, WORKER_STOPPING,   WORKER_ENDING,
                                     WORKER_STATES, UINT32_MAX};
    int fd;
    struct ledger *ledger = make(&fd);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ledger->workers.all[1].state = wrong[i];
        assert_int_equal(mend(ledger), 1);
        assert_int_equal(ledger->workers.all[1].state, WORKER_SERVING);
    }
    unmake(ledger, fd);
}

static void counts_are_counted_anew(void **state)
{
    static const uint32_t wrong[] = {0, 1, WORKERS_MAX + 1, UINT32_MAX};
    int fd;
    struct ledger *ledger = make(&fd);
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ledger->workers.count = wrong[i];
        ledger->listeners.count = wrong[i] == 1 ? 2 : wrong[i];
        assert_int_equal(mend(ledger), 2);
        assert_int_equal(ledger->workers.count, SLOTS);
        assert_int_equal(ledger->listeners.count, 1);
    }
    unmake(ledger, fd);
}

static void a_roll_to_nowhere_is_none(void **state)
{
    int fd;
    struct ledger *ledger = make(&fd);
    (void)state;
    ledger->rolling = ROLLING_ON; /* its end would close every listener */
    assert_int_equal(mend(ledger), 1);
    assert_int_equal(ledger->rolling, ROLLING_NOT);
    unmake(ledger, fd);
}

static void a_descriptor_that_is_something_else_is_dropped_and_stays_open(void **state)
{
    int fd;
    struct ledger *ledger = make(&fd);
    struct worker *w = &ledger->workers.all[0];
    int32_t cell_fd = w->cell_fd;
    int32_t control_fd = w->control_fd;
    (void)state;
    w->control_fd = ledger->listeners.all[0].fd;
    w->cell_fd = ledger->present.snapshot_fd;
    ledger->access_log_fd = ledger->keeper_fd;
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 3);
    assert_int_equal(w->control_fd, -1);
    assert_int_equal(w->cell_fd, -1);
    assert_int_equal(ledger->access_log_fd, -1);
    assert_true(fcntl(ledger->listeners.all[0].fd, F_GETFD) >= 0);
    assert_true(fcntl(ledger->present.snapshot_fd, F_GETFD) >= 0);
    w->control_fd = control_fd;
    w->cell_fd = cell_fd;
    unmake(ledger, fd);
}

static void a_descriptor_in_two_places_is_neithers(void **state)
{
    int fd;
    struct ledger *ledger = make(&fd);
    struct worker *all = ledger->workers.all;
    int32_t one = all[0].control_fd;
    int32_t other = all[1].control_fd;
    (void)state;
    all[0].control_fd = other;
    all[2].next_control_fd = all[2].control_fd; /* one worker's may be on its way from here to there */
    assert_int_equal(ledger_check_fds(ledger, &fd, 1), 2);
    assert_int_equal(all[0].control_fd, -1);
    assert_int_equal(all[1].control_fd, -1);
    assert_true(all[2].control_fd >= 0);
    all[2].next_control_fd = -1;
    all[0].control_fd = one;
    all[1].control_fd = other;
    unmake(ledger, fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_adds_up_is_left_as_it_is),
        cmocka_unit_test(an_empty_one_is_left_as_it_is),
        cmocka_unit_test(whatever_is_scribbled_over_it_stays_within_its_bounds),
        cmocka_unit_test(a_state_that_contradicts_a_serving_worker_is_serving),
        cmocka_unit_test(counts_are_counted_anew),
        cmocka_unit_test(a_roll_to_nowhere_is_none),
        cmocka_unit_test(a_descriptor_that_is_something_else_is_dropped_and_stays_open),
        cmocka_unit_test(a_descriptor_in_two_places_is_neithers),
    };
    log_threshold(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
