/* patience_test.c — an account of patience: nobody above the rate runs out of it, everybody below does, in bounded
 * time. */
#include "worker/patience.h"

#include "tests/unit/worker/fixture.h"

#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static const struct patience minute = {.whole_ms = 60000, .rate = 500};

/* Milliseconds until one that moves BYTES every EVERY_MS has run out; 0: not within an hour. */
static uint64_t runs_out_after(const struct patience *patience, uint64_t bytes, uint64_t every_ms)
{
    uint64_t until = 1000 + patience->whole_ms;
    for (uint64_t now = 1000 + every_ms; now < 3601000; now += every_ms) {
        if (until <= now) {
            return until - 1000;
        }
        until = patience_earn(patience, until, bytes, (struct instant){.ms = now});
    }
    return 0;
}

static void silence_costs_the_whole(void **state)
{
    (void)state;
    assert_int_equal(runs_out_after(&minute, 0, 1000), 60000);
}

static void who_is_above_the_rate_never_runs_out(void **state)
{
    (void)state;
    assert_int_equal(runs_out_after(&minute, 500, 1000), 0);
    assert_int_equal(runs_out_after(&minute, 50, 100), 0);
    assert_int_equal(runs_out_after(&minute, 59 * 500, 59000), 0); /* in bursts, with stalls between them */
}

static void who_is_below_runs_out_in_bounded_time(void **state)
{
    (void)state;
    uint64_t at_100 = runs_out_after(&minute, 100, 1000), at_1 = runs_out_after(&minute, 1, 1000);
    assert_in_range(at_100, 74000, 76000);
    assert_in_range(at_1, 60000, 60500);
    assert_in_range(runs_out_after(&minute, 59 * 100, 59000), 60000,
                    76000); /* a little just before the end is no trick */
}

static void what_is_fast_is_not_saved_up(void **state)
{
    (void)state;
    uint64_t until = patience_earn(&minute, 61000, UINT64_MAX, (struct instant){.ms = 1000});
    assert_int_equal(until, 61000);
    assert_int_equal(patience_earn(&minute, 2000, UINT64_MAX / 1000 + 1, (struct instant){.ms = 1000}), 61000);
}

static void without_a_rate_every_byte_buys_the_whole(void **state)
{
    (void)state;
    const struct patience any = {.whole_ms = 60000};
    assert_int_equal(patience_earn(&any, 2000, 1, (struct instant){.ms = 1000}), 61000);
    assert_int_equal(patience_earn(&any, 2000, 0, (struct instant){.ms = 1000}), 2000);
}

/* A cell that somebody scribbled over says what it likes. */
static void no_number_makes_an_account_last_longer_than_the_whole(void **state)
{
    (void)state;
    srandom(7);
    for (int i = 0; i < 100000; i++) {
        uint64_t until = (uint64_t)random() << (random() % 34), bytes = (uint64_t)random() << (random() % 34);
        struct patience odd = {.whole_ms = (uint64_t)random() % 86400001, .rate = (uint32_t)random() % 1048577};
        uint64_t now = (uint64_t)random();
        uint64_t then = patience_earn(&odd, until, bytes, (struct instant){.ms = now});
        assert_true(then <= now + odd.whole_ms);
        assert_true(then >= until || then == now + odd.whole_ms);
    }
}

/* A response under way to a client that has not read anything of it; C is the server's side. */
static int begin_download(struct fixture *f, struct connection *c)
{
    static const char request[] = "GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n";
    int server, client = fixture_connect(&server);
    fixture_begin(f, server);
    assert_int_equal(send(client, request, strlen(request), 0), strlen(request));
    while (fixture_facts(f, server).stage != STAGE_RESPOND) {
        fixture_turn(f);
    }
    assert_true(connection_load(&f->w, server, c));
    return client;
}

/* As if nothing had moved since its patience began, and that were all spent. */
static void spend_all(struct fixture *f, struct connection *c)
{
    c->at.taken = c->at.sent;
    c->at.until_ms = f->w.now.ms;
}

static void who_has_taken_nothing_has_no_patience_left(void **state)
{
    (void)state;
    struct fixture f;
    struct connection c;
    fixture_open(&f, 64);
    int client = begin_download(&f, &c);
    spend_all(&f, &c);
    assert_false(patience_look(&f.w, &c));
    close(client);
    fixture_close(&f);
}

/* A worker that was stopped, and comes to look before it comes to send. */
static void who_has_all_that_we_gave_waits_for_us(void **state)
{
    (void)state;
    struct fixture f;
    struct connection c;
    char bytes[65536];
    int left = 1;
    fixture_open(&f, 64);
    int client = begin_download(&f, &c);
    while (left > 0) {
        (void)!recv(client, bytes, sizeof bytes, MSG_DONTWAIT);
        assert_int_equal(ioctl(c.fd, SIOCOUTQ, &left), 0);
    }
    spend_all(&f, &c);
    assert_true(patience_look(&f.w, &c));
    assert_int_equal(c.at.until_ms, f.w.now.ms + f.settings.write_timeout_ms);
    close(client);
    fixture_close(&f);
}

/* Each of a pipeline's responses had the whole of the time. */
static void who_is_behind_has_no_new_account_for_its_next_response(void **state)
{
    (void)state;
    struct fixture f;
    struct connection c;
    fixture_open(&f, 64);
    int client = begin_download(&f, &c);
    uint64_t until = c.at.until_ms;
    f.w.now = clock_after(f.w.now, 10000);
    connection_enter(&f.w, &c, STAGE_HEAD);
    connection_enter(&f.w, &c, STAGE_RESPOND);
    assert_int_equal(c.at.until_ms, until);
    connection_enter(&f.w, &c, STAGE_IDLE);
    connection_enter(&f.w, &c, STAGE_RESPOND);
    assert_int_equal(c.at.until_ms, f.w.now.ms + f.settings.write_timeout_ms);
    close(client);
    fixture_close(&f);
}

/* Ask for hello.txt with a body that is still to come; C is the server's side, and out of patience. */
static int begin_late_body(struct fixture *f, struct connection *c)
{
    static const char request[] = "GET /hello.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n";
    int server, client = fixture_connect(&server);
    fixture_begin(f, server);
    assert_int_equal(send(client, request, strlen(request), 0), strlen(request));
    while (fixture_facts(f, server).stage != STAGE_BODY) {
        fixture_turn(f);
    }
    assert_true(connection_load(&f->w, server, c));
    c->at.deadline_ms = f->w.now.ms;
    connection_publish(c);
    return client;
}

/* A worker that was stopped may come to its deadlines before it comes to all that has arrived. */
static void what_came_in_time_is_not_late_for_not_being_read(void **state)
{
    (void)state;
    struct fixture f;
    struct connection c;
    char answer[13] = "";
    fixture_open(&f, 64);
    int client = begin_late_body(&f, &c);
    assert_int_equal(send(client, "xyz", 3, 0), 3);
    connection_expire(&f.w, c.fd);
    assert_int_equal(recv(client, answer, 12, 0), 12);
    assert_string_equal(answer, "HTTP/1.1 200");
    close(client);
    fixture_close(&f);
}

static void what_has_not_come_is_late(void **state)
{
    (void)state;
    struct fixture f;
    struct connection c;
    char answer[13] = "";
    fixture_open(&f, 64);
    int client = begin_late_body(&f, &c);
    connection_expire(&f.w, c.fd);
    assert_int_equal(recv(client, answer, 12, 0), 12);
    assert_string_equal(answer, "HTTP/1.1 408");
    close(client);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_costs_the_whole),
        cmocka_unit_test(who_is_above_the_rate_never_runs_out),
        cmocka_unit_test(who_is_below_runs_out_in_bounded_time),
        cmocka_unit_test(what_is_fast_is_not_saved_up),
        cmocka_unit_test(without_a_rate_every_byte_buys_the_whole),
        cmocka_unit_test(no_number_makes_an_account_last_longer_than_the_whole),
        cmocka_unit_test(who_has_taken_nothing_has_no_patience_left),
        cmocka_unit_test(who_has_all_that_we_gave_waits_for_us),
        cmocka_unit_test(who_is_behind_has_no_new_account_for_its_next_response),
        cmocka_unit_test(what_came_in_time_is_not_late_for_not_being_read),
        cmocka_unit_test(what_has_not_come_is_late),
    };
    return cmocka_run_group_tests_name("patience", tests, NULL, NULL);
}
