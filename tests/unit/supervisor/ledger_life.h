/* ledger_life.h — a ledger as it is in life, and what may be relied on when one is mended that somebody scribbled over;
 * for its unit test and its fuzz target. */
#ifndef PERDURE_TESTS_LEDGER_LIFE_H
#define PERDURE_TESTS_LEDGER_LIFE_H

#include "supervisor/inherit/clock.h"
#include "supervisor/ledger_mend.h"
#include "supervisor/ports.h"
#include "supervisor/roll.h"
#include "supervisor/status.h"
#include "supervisor/supervisor.h"

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

enum { SLOTS = 3 };

/* ---- a ledger as it is in life ---- */

static inline int channel(int *other)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    *other = ends[1];
    return ends[0];
}

static int others[2 * SLOTS + 1];

static inline void fill_worker(struct worker *w, uint64_t now)
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

static inline int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(listen(fd, 16), 0);
    return fd;
}

static inline struct ledger *make_ledger(int *fd)
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

static inline void close_it(int32_t *fd, void *context)
{
    (void)context;
    close(*fd);
}

static inline void unmake_ledger(struct ledger *ledger, int fd)
{
    ledger->good = (struct ledger_edition){.snapshot_fd = -1, .program_fd = -1};
    ledger_each_fd(ledger, close_it, NULL);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        close(others[i]);
    }
    munmap(ledger, sizeof *ledger);
    close(fd);
}

static inline unsigned mend_ledger(struct ledger *ledger)
{
    return ledger_mend(ledger, clock_now(), clock_now_us());
}

/* ---- what may then be relied on ---- */

static inline void check_pid(int32_t pid)
{
    assert_true(pid == 0 || (pid > 1 && pid != getpid()));
}

static inline void check_worker(const struct worker *w, uint32_t slot)
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

static inline void check_fd(int32_t *fd, void *context)
{
    (void)context;
    assert_true(*fd > STDERR_FILENO);
}

static inline void check_bounds(struct ledger *ledger)
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
static inline void read_all(struct ledger *ledger)
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

#endif
