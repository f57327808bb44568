/* fixture.c — see fixture.h. */
#include "tests/unit/worker/fixture.h"

#include "worker/connection.h"
#include "worker/succession.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static void write_file(const char *root, const char *name, const char *bytes, size_t count)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    fclose(file);
}

static void write_site(const char *root)
{
    enum { BIG = 3 * 1024 * 1024 };
    char *big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i % 251);
    }
    write_file(root, "hello.txt", "hello, world\n", 13);
    write_file(root, "big.bin", big, BIG);
    free(big);
}

static void settle_settings(struct fixture *f)
{
    f->names[0] = strdup("*");
    f->site = (struct site_setting){.names = f->names, .names_count = 1, .root = f->root, .file = "test", .line = 1};
    f->settings = (struct settings){
        .workers = 1,
        .mime_types = (char *)(uintptr_t) "/nonexistent",
        .idle_timeout_ms = 60000,
        .head_timeout_ms = 60000,
        .body_timeout_ms = 60000,
        .write_timeout_ms = 60000,
        .client_close_timeout_ms = 250,
        .linger_timeout_ms = 1000,
        .hang_timeout_ms = 10000,
        .file_cache_valid_ms = 1000,
        .file_cache_memory = 1 << 20,
        .connections = 10000,
        .head_limit = 16384,
        .target_limit = 8192,
        .body_limit = 1024 * 1024,
        .sites = &f->site,
        .sites_count = 1,
    };
}

/* No exec has closed the test's own descriptors, nor the predecessor's. */
static void forget_private_descriptors(struct fixture *f)
{
    for (uint32_t fd = 0; fd < f->w.cell.slots_count; fd++) {
        int flags = fcntl((int)fd, F_GETFD);
        if (flags >= 0 && (flags & FD_CLOEXEC) != 0) {
            f->w.inherited[fd / 8] &= (uint8_t) ~(1U << (fd & 7));
        }
    }
}

/* The private half of a worker, on F's cell. */
static void open_private(struct fixture *f, enum birth_cause cause)
{
    char error[SETTINGS_ERROR_BYTES];
    f->w.settings = &f->settings;
    f->w.birth.cause = cause;
    f->w.giving_fd = -1;
    f->w.was_in_hand = -1;
    f->w.soonest_ms = UINT64_MAX;
    f->w.descriptors = f->w.cell.slots_count;
    f->w.now = clock_now();
    desks_open(&f->w.desks, &f->w.cell);
    f->w.unverified = calloc(f->w.cell.slots_count / 8 + 1, 1);
    f->w.inherited = calloc(f->w.cell.slots_count / 8 + 1, 1);
    succession_look(&f->w);
    forget_private_descriptors(f);
    f->w.client_names = NULL;
    f->w.responder = responder_open(&f->settings, error);
    assert_non_null(f->w.responder);
}

static void close_private(struct fixture *f)
{
    desks_close(&f->w.desks);
    free(f->w.unverified);
    free(f->w.inherited);
    free(f->w.client_names);
}

/* A fresh worker on F's site. */
static void open_worker(struct fixture *f, uint32_t slots)
{
    int channel[2];
    assert_int_equal(channel_pair(channel), 0);
    f->control = channel[0];
    assert_int_equal(cell_lay_out(&f->w.cell, cell_create(slots)), 0);
    f->w.birth = (struct birth){.control_fd = channel[1],
                                .keeper_fd = -1,
                                .snapshot_fd = -1,
                                .access_log_fd = -1,
                                .cell_fd = f->w.cell.fd,
                                .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                                .door_fd = -1,
                                .ledger_fd = -1,
                                .handed_fd = -1,
                                .tally_fd = -1};
    open_private(f, BIRTH_FRESH);
    desks_settle(&f->w.desks);
    f->w.alone = true;
}

static void close_worker(struct fixture *f)
{
    for (uint32_t fd = 0; fd < f->w.cell.slots_count; fd++) {
        if (fixture_facts(f, (int)fd).stage != STAGE_FREE) {
            close((int)fd);
        }
    }
    responder_close(f->w.responder);
    for (size_t i = 0; i < f->former_count; i++) {
        responder_close(f->former[i]);
    }
    f->former_count = 0;
    close_private(f);
    close(f->control);
    close(f->w.birth.control_fd);
    close(f->w.birth.epoll_fd);
    close(f->w.cell.fd);
    cell_unmap(&f->w.cell);
}

void fixture_open(struct fixture *f, uint32_t slots)
{
    const char *temporary = getenv("TMPDIR");
    memset(f, 0, sizeof *f);
    snprintf(f->root, sizeof f->root, "%s/perdure-test-XXXXXX", temporary != NULL ? temporary : "/tmp");
    assert_non_null(mkdtemp(f->root));
    write_site(f->root);
    settle_settings(f);
    open_worker(f, slots);
}

void fixture_reset(struct fixture *f)
{
    uint32_t slots = f->w.cell.slots_count;
    close_worker(f);
    memset(&f->w, 0, sizeof f->w);
    open_worker(f, slots);
}

void fixture_remove_site(const struct fixture *f)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", f->root);
    assert_int_equal(system(command), 0);
}

void fixture_close(struct fixture *f)
{
    close_worker(f);
    free(f->names[0]);
    fixture_remove_site(f);
}

void fixture_succeed(struct fixture *f, enum birth_cause cause)
{
    /* The old responder's files stay open, as they do in a descriptor table that a keeper keeps. */
    assert_true(f->former_count < FIXTURE_LIVES);
    f->former[f->former_count++] = f->w.responder;
    close_private(f);
    f->w.alone = false;
    open_private(f, cause);
}

int fixture_connect(int *server)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
    *server = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*server >= 0);
    close(listener);
    return client;
}

void fixture_begin(struct fixture *f, int server)
{
    connection_begin(&f->w, server, false, 0, 0);
}

void fixture_turn(struct fixture *f)
{
    struct epoll_event events[16];
    int count = epoll_wait(f->w.birth.epoll_fd, events, 16, 1);
    f->w.now = clock_now();
    for (int i = 0; i < count; i++) {
        connection_step(&f->w, events[i].data.fd);
    }
}

size_t fixture_serve(struct fixture *f, int client, char *bytes, size_t count)
{
    size_t have = 0;
    struct instant patience = clock_after(clock_now(), 5000);
    while (have < count && clock_now().ms < patience.ms) {
        fixture_turn(f);
        ssize_t got = recv(client, bytes + have, count - have, MSG_DONTWAIT);
        if (got == 0) {
            break;
        }
        have += got > 0 ? (size_t)got : 0;
    }
    return have;
}

struct slot_record fixture_facts(const struct fixture *f, int fd)
{
    const struct slot *slot = &f->w.cell.slots[fd];
    return slot->record[slot->current & 1];
}
