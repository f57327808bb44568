/* request_body_test.c — the body decoder finds the same end however the bytes are cut, and survives any state. */
#include "tests/unit/worker/cmocka_all.h"
#include "worker/request.h"

#include <stdio.h>
#include <stdlib.h>

static const uint64_t limit = 1000;

static struct body_state chunked(void)
{
    return (struct body_state){.kind = BODY_CHUNKED};
}

static struct body_state length(uint64_t bytes)
{
    return (struct body_state){.kind = BODY_LENGTH, .left = bytes};
}

/* One call, with a block of exactly COUNT bytes. */
static enum body_verdict read_exact(struct body_state *state, const char *bytes, size_t count, size_t *used)
{
    char *copy = malloc(count > 0 ? count : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, count);
    enum body_verdict verdict = body_read(state, copy, count, limit, used);
    assert_true(*used <= count);
    if (verdict == BODY_PARTIAL)
        assert_int_equal(*used, count);
    free(copy);
    return verdict;
}

/* The first FIRST bytes, then STEP at a time; *total is how many were used. */
static enum body_verdict read_stepwise(struct body_state state, const char *bytes, size_t count, size_t first,
                                       size_t step, size_t *total)
{
    size_t given = first < count ? first : count, used;
    enum body_verdict verdict = read_exact(&state, bytes, given, &used);
    *total = used;
    while (verdict == BODY_PARTIAL && *total < count) {
        given = step < count - *total ? step : count - *total;
        verdict = read_exact(&state, bytes + *total, given, &used);
        *total += used;
    }
    return verdict;
}

/* The verdict on BYTES is EXPECTED and USED of them belonged to the body, however they are cut. */
static void assert_read(struct body_state start, const char *bytes, size_t count, enum body_verdict expected,
                        size_t used)
{
    size_t total;
    for (size_t first = 0; first <= count; first++) {
        enum body_verdict verdict = read_stepwise(start, bytes, count, first, count > 0 ? count : 1, &total);
        if (verdict != expected || total != used)
            fail_msg("cut after %zu: verdict %d and not %d, %zu used and not %zu: %s", first, (int)verdict,
                     (int)expected, total, used, bytes);
    }
    assert_int_equal(read_stepwise(start, bytes, count, 0, 1, &total), expected);
    assert_int_equal(total, used);
    assert_int_equal(read_stepwise(start, bytes, count, 0, 3, &total), expected);
    assert_int_equal(total, used);
}

/* BYTES are one whole chunked body; each proper prefix is partial, and what follows is not touched. */
static void accept(const char *bytes)
{
    size_t count = strlen(bytes);
    char more[16384];
    for (size_t given = 0; given < count; given++) {
        struct body_state state = chunked();
        size_t used;
        assert_int_equal(read_exact(&state, bytes, given, &used), BODY_PARTIAL);
    }
    assert_read(chunked(), bytes, count, BODY_WHOLE, count);
    int length = snprintf(more, sizeof more, "%s0\r\n\r\nGET / HTTP/1.1\r\n\r\n", bytes);
    assert_read(chunked(), more, (size_t)length, BODY_WHOLE, count);
}

/* BYTES become malformed at byte AT, and are partial before. */
static void refuse(const char *bytes, size_t count, size_t at)
{
    assert_true(at < count);
    assert_read(chunked(), bytes, count, BODY_MALFORMED, at);
}

static void refuse_last(const char *bytes)
{
    refuse(bytes, strlen(bytes), strlen(bytes) - 1);
}

/* ---- Content-Length ---- */

static void test_a_body_of_known_length_ends_there(void **state)
{
    (void)state;
    assert_read(length(5), "hello", 5, BODY_WHOLE, 5);
    assert_read(length(5), "helloGET /", 10, BODY_WHOLE, 5);
    assert_read(length(5), "hell", 4, BODY_PARTIAL, 4);
    assert_read(length(5), "", 0, BODY_PARTIAL, 0);
    assert_read(length(0), "GET /", 5, BODY_WHOLE, 0);
    assert_read(length(0), "", 0, BODY_WHOLE, 0);
}

static void test_no_body_uses_nothing(void **state)
{
    (void)state;
    assert_read((struct body_state){.kind = BODY_NONE}, "GET /", 5, BODY_WHOLE, 0);
}

static void test_a_length_over_the_limit_is_too_large_at_once(void **state)
{
    (void)state;
    assert_read(length(limit), "x", 1, BODY_PARTIAL, 1);
    assert_read(length(limit + 1), "x", 1, BODY_TOO_LARGE, 0);
    assert_read(length(limit + 1), "", 0, BODY_TOO_LARGE, 0);
    assert_read(length(UINT64_MAX), "x", 1, BODY_TOO_LARGE, 0);
}

static void test_bytes_of_data_are_counted(void **state)
{
    (void)state;
    struct body_state length_state = length(10), chunked_state = chunked();
    size_t used;
    assert_int_equal(read_exact(&length_state, "hello", 5, &used), BODY_PARTIAL);
    assert_true(length_state.total == 5 && length_state.left == 5);
    assert_int_equal(read_exact(&chunked_state, "3;x=y\r\nabc\r\nA\r\nabcdef", 21, &used), BODY_PARTIAL);
    assert_true(chunked_state.total == 9 && chunked_state.left == 4);
}

/* ---- Chunked ---- */

static void test_chunks_are_decoded(void **state)
{
    (void)state;
    accept("0\r\n\r\n");
    accept("5\r\nhello\r\n0\r\n\r\n");
    accept("a\r\n0123456789\r\nB\r\n0123456789a\r\n1\r\n\r\r\n00\r\n\r\n");
    accept("2\r\n\r\n\r\n1\r\n\n\r\n0\r\n\r\n");
    accept("0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n");
    accept("1f\r\n0123456789012345678901234567890\r\n0\r\n\r\n");
}

static void test_extensions_are_skipped(void **state)
{
    (void)state;
    accept("5;a\r\nhello\r\n0;b=c\r\n\r\n");
    accept("5;a=\"b;c\\\"\";d \r\nhello\r\n0\r\n\r\n");
    accept("5 \t;\ta=\xe9\r\nhello\r\n0\r\n\r\n");
}

static void test_a_malformed_size_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"g",   "-",  "+",     " ",    "\t",   "\r",   "\n",      ";",      "0x",
                                      "5\n", "5g", "5,",    "5\rx", "5 \r", "5 5",  "5\r\r",   "5\x01",  "5 \n",
                                      "_",   "5.", "5\x80", "0\n",  "0\r0", "5;\n", "5;a\x01", "5;\x7f", "5;a\rb"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse_last(bad[i]);
    refuse("\0", 1, 0);
    refuse("5;\0", 3, 2);
}

static void test_a_size_of_more_than_16_digits_is_refused(void **state)
{
    (void)state;
    refuse_last("00000000000000000");
    refuse_last("10000000000000000");
    refuse_last("FFFFFFFFFFFFFFFFF");
    refuse_last("5\r\nhello\r\n00000000000000000");
}

static void test_endless_extensions_are_refused(void **state)
{
    (void)state;
    char line[600];
    memset(line, ' ', sizeof line);
    line[0] = '5';
    refuse(line, 300, 258); /* the first of the spaces is not counted */
    memset(line, 'x', sizeof line);
    memcpy(line, "5;", 2);
    refuse(line, 300, 258);
    memcpy(line + 258, "\r\nhello\r\n0\r\n\r\n", 15);
    accept(line);
}

/* Each line has its own allowance. */
static void test_extensions_of_many_chunks_do_not_add_up(void **state)
{
    (void)state;
    char body[4096];
    size_t at = 0;
    for (int i = 0; i < 10; i++) {
        at += (size_t)snprintf(body + at, sizeof body - at, "1;%0200d\r\nx\r\n", 0);
    }
    snprintf(body + at, sizeof body - at, "0\r\n\r\n");
    accept(body);
}

static void test_data_must_be_followed_by_crlf(void **state)
{
    (void)state;
    refuse_last("5\r\nhello0");
    refuse_last("5\r\nhello\n");
    refuse_last("5\r\nhello\rx");
    refuse_last("5\r\nhello\r\r");
    refuse_last("5\r\nhello\r\n\r");
    refuse_last("5\r\nhello\r\n;");
}

static void test_data_over_the_limit_is_too_large_when_its_size_is_known(void **state)
{
    (void)state;
    assert_read(chunked(), "3e8\r\nx", 6, BODY_PARTIAL, 6);
    assert_read(chunked(), "3e9\r\nx", 6, BODY_TOO_LARGE, 4);
    assert_read(chunked(), "ffffffffffffffff\r\nx", 19, BODY_TOO_LARGE, 17);
    assert_read(chunked(), "1\r\nx\r\n3e7\r\ny", 12, BODY_PARTIAL, 12);
    assert_read(chunked(), "1\r\nx\r\n3e8\r\ny", 12, BODY_TOO_LARGE, 10);
    assert_read(chunked(), "1\r\nx\r\nffffffffffffffff\r\ny", 25, BODY_TOO_LARGE, 23);
}

/* ---- Trailers ---- */

static void test_trailers_are_skipped(void **state)
{
    (void)state;
    accept("0\r\nA: b\r\n\r\n");
    accept("1\r\nx\r\n0;e\r\nA:\r\nContent-Length: 5\r\nTransfer-Encoding:\t\xe9 \r\n\r\n");
}

static void test_malformed_trailers_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"0\r\n\n",      "0\r\n\rx", "0\r\n ",         "0\r\n\t",         "0\r\n:",
                                      "0\r\nA ",      "0\r\nA\r", "0\r\nA\n",       "0\r\nA: b\n",     "0\r\nA: b\rc",
                                      "0\r\nA: \x01", "0\r\nA(",  "0\r\nA: b\r\n ", "0\r\nA: b\r\n\n", "0\r\nA: \x7f"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuse_last(bad[i]);
}

static void test_trailers_have_their_own_allowance(void **state)
{
    (void)state;
    char body[9000];
    for (int value = 8185; value <= 8190; value += 5) {
        size_t count = (size_t)snprintf(body, sizeof body, "0;%0200d\r\nA:%0*d\r\n\r\n", 0, value, 0), used;
        struct body_state one = chunked();
        assert_int_equal(read_exact(&one, body, count, &used), value == 8185 ? BODY_WHOLE : BODY_MALFORMED);
        assert_int_equal(used, value == 8185 ? count : 204 + 8192);
    }
}

static void test_endless_trailers_are_refused(void **state)
{
    (void)state;
    char *body = malloc(20000);
    assert_non_null(body);
    size_t count = (size_t)sprintf(body, "0\r\n");
    while (count < 18000)
        count += (size_t)sprintf(body + count, "Name: a value of some length\r\n");
    struct body_state one = chunked();
    size_t used, total;
    assert_int_equal(read_exact(&one, body, count, &used), BODY_MALFORMED);
    assert_in_range(used, 8192, 9000);
    assert_int_equal(read_stepwise(chunked(), body, count, 0, 1, &total), BODY_MALFORMED);
    assert_int_equal(total, used);
    one = chunked();
    memcpy(body + 3 + 30 * 200, "\r\n", 2);
    assert_int_equal(read_exact(&one, body, count, &used), BODY_WHOLE);
    assert_int_equal(used, 3 + 30 * 200 + 2);
    free(body);
}

/* ---- States nobody should have written ---- */

static void test_a_body_that_is_over_stays_over(void **state)
{
    (void)state;
    struct body_state body = chunked();
    size_t used;
    assert_int_equal(read_exact(&body, "0\r\n\r\n", 5, &used), BODY_WHOLE);
    assert_int_equal(read_exact(&body, "5\r\n", 3, &used), BODY_WHOLE);
    assert_int_equal(used, 0);
    body = length(1);
    assert_int_equal(read_exact(&body, "xy", 2, &used), BODY_WHOLE);
    assert_int_equal(read_exact(&body, "y", 1, &used), BODY_WHOLE);
    assert_int_equal(used, 0);
}

static void test_an_unknown_kind_or_phase_is_malformed(void **state)
{
    (void)state;
    size_t used;
    for (int spoiled = 0; spoiled < 256; spoiled++) {
        struct body_state kind = {.kind = (uint8_t)spoiled}, phase = {.kind = BODY_CHUNKED, .phase = (uint8_t)spoiled};
        if (spoiled > BODY_CHUNKED)
            assert_int_equal(read_exact(&kind, "x", 1, &used), BODY_MALFORMED);
        if (spoiled >= 16)
            assert_int_equal(read_exact(&phase, "x", 1, &used), BODY_MALFORMED);
    }
}

static void test_a_total_beyond_the_limit_is_too_large(void **state)
{
    (void)state;
    assert_read((struct body_state){.kind = BODY_LENGTH, .left = 5, .total = limit + 1}, "hello", 5, BODY_TOO_LARGE, 0);
    assert_read((struct body_state){.kind = BODY_CHUNKED, .total = UINT64_MAX}, "5\r\nhello", 8, BODY_TOO_LARGE, 2);
}

static uint64_t any_number(void)
{
    static const uint64_t edges[] = {0,   1,    15,   16,   17,         255,        256,
                                     257, 1000, 8191, 8192, UINT32_MAX, UINT64_MAX, UINT64_MAX - 1};
    uint64_t chosen = edges[(size_t)rand() % (sizeof edges / sizeof edges[0])];
    return rand() % 4 == 0 ? (uint64_t)rand() << 33 ^ (uint64_t)rand() : chosen;
}

/* A successor reads the state from its cell, which anything may have written to. */
static void test_any_state_ends_in_a_verdict_within_its_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "0123456789abcdefABCDEF\r\n\r\n;:x \t\x01\x80\x7f";
    for (int round = 0; round < 300000; round++) {
        struct body_state body = {.left = any_number(),
                                  .total = any_number(),
                                  .line = (uint32_t)any_number(),
                                  .kind = (uint8_t)(rand() % 5),
                                  .phase = (uint8_t)(rand() % 16)};
        char input[40];
        size_t count = (size_t)rand() % sizeof input, used;
        for (size_t i = 0; i < count; i++)
            input[i] = bytes[(size_t)rand() % (sizeof bytes - 1)];
        for (int call = 0; call < 3; call++) {
            enum body_verdict verdict = read_exact(&body, input, count, &used);
            assert_in_range(verdict, BODY_WHOLE, BODY_TOO_LARGE);
        }
    }
}

/* However a good body is spoiled, the cuts make no difference. */
static void test_a_spoiled_body_gets_the_same_verdict_however_it_is_cut(void **state)
{
    (void)state;
    static const char good[] =
        "5;a=b\r\nhello\r\n3e\r\n0123456789012345678901234567890123456789012345678901234567890\r\r\n"
        "2 ;x\r\n\r\n\r\n0\r\nA: b\r\nC: d\r\n\r\nGET / HTTP/1.1\r\n\r\n";
    static const char spoilers[] = "\0\t\n\r ;:=059afgx\x7f\x80";
    char body[sizeof good];
    assert_read(chunked(), good, sizeof good - 1, BODY_WHOLE, sizeof good - 1 - strlen("GET / HTTP/1.1\r\n\r\n"));
    for (int round = 0; round < 3000; round++) {
        memcpy(body, good, sizeof good);
        for (int spoiled = rand() % 3; spoiled >= 0; spoiled--)
            body[(size_t)rand() % (sizeof good - 1)] = spoilers[(size_t)rand() % (sizeof spoilers - 1)];
        struct body_state one = chunked();
        size_t used;
        enum body_verdict verdict = read_exact(&one, body, sizeof good - 1, &used);
        assert_read(chunked(), body, sizeof good - 1, verdict, used);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_of_known_length_ends_there),
        cmocka_unit_test(test_no_body_uses_nothing),
        cmocka_unit_test(test_a_length_over_the_limit_is_too_large_at_once),
        cmocka_unit_test(test_bytes_of_data_are_counted),
        cmocka_unit_test(test_chunks_are_decoded),
        cmocka_unit_test(test_extensions_are_skipped),
        cmocka_unit_test(test_a_malformed_size_is_refused),
        cmocka_unit_test(test_a_size_of_more_than_16_digits_is_refused),
        cmocka_unit_test(test_endless_extensions_are_refused),
        cmocka_unit_test(test_extensions_of_many_chunks_do_not_add_up),
        cmocka_unit_test(test_data_must_be_followed_by_crlf),
        cmocka_unit_test(test_data_over_the_limit_is_too_large_when_its_size_is_known),
        cmocka_unit_test(test_trailers_are_skipped),
        cmocka_unit_test(test_malformed_trailers_are_refused),
        cmocka_unit_test(test_trailers_have_their_own_allowance),
        cmocka_unit_test(test_endless_trailers_are_refused),
        cmocka_unit_test(test_a_body_that_is_over_stays_over),
        cmocka_unit_test(test_an_unknown_kind_or_phase_is_malformed),
        cmocka_unit_test(test_a_total_beyond_the_limit_is_too_large),
        cmocka_unit_test(test_any_state_ends_in_a_verdict_within_its_bytes),
        cmocka_unit_test(test_a_spoiled_body_gets_the_same_verdict_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
