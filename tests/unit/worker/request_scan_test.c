/* request_scan_test.c — sixteen bytes at a time are judged as one at a time would be, with SSE2 and without it. */
#include "worker/request_scan.h"

#include "tests/unit/worker/cmocka_all.h"
#include "worker/request_check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* The same functions as a processor without SSE2 has them. */
#undef __SSE2__
#define name_end   portable_name_end
#define value_end  portable_value_end
#define target_end portable_target_end
#define name_is    portable_name_is
#undef PERDURE_WORKER_REQUEST_SCAN_H
#include "worker/request_scan.c" // NOLINT(bugprone-suspicious-include)
#undef name_end
#undef value_end
#undef target_end
#undef name_is

static const struct scan {
    const char *(*end)(const char *at, const char *end);
    const char *(*portable_end)(const char *at, const char *end);
    unsigned class;
    char usual; /* a byte of that class */
} scans[] = {
    {name_end, portable_name_end, CHAR_TOKEN, 'a'},
    {value_end, portable_value_end, CHAR_VALUE, ' '},
    {target_end, portable_target_end, CHAR_TARGET, '/'},
};
enum { SCANS = sizeof scans / sizeof scans[0], BYTES_MOST = 70 };

static size_t count_one_by_one(const char *bytes, size_t count, unsigned class)
{
    size_t i = 0;
    while (i < count && char_is(bytes[i], class)) {
        i++;
    }
    return i;
}

/* BYTES in memory of its own, so that a sanitizer sees a look beyond them. */
static void assert_scanned(const struct scan *scan, const char *bytes, size_t count)
{
    char *exact = malloc(count + 1);
    char *at = exact + 1; /* as in a request, nothing is aligned */
    memcpy(at, bytes, count);
    const size_t expected = count_one_by_one(bytes, count, scan->class);
    assert_int_equal(scan->end(at, at + count) - at, expected);
    assert_int_equal(scan->portable_end(at, at + count) - at, expected);
    free(exact);
}

static void test_any_byte_at_any_place_of_a_run_is_judged_by_its_class(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCANS; i++) {
        for (int byte = 0; byte < 256; byte++) {
            for (size_t place = 0; place < 40; place++) {
                char bytes[41];
                memset(bytes, scans[i].usual, sizeof bytes);
                bytes[place] = (char)byte;
                assert_scanned(&scans[i], bytes, sizeof bytes);
            }
        }
    }
}

static void test_runs_of_any_length_end_where_they_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCANS; i++) {
        for (size_t count = 0; count <= BYTES_MOST; count++) {
            for (size_t stop = 0; stop <= count; stop++) {
                char bytes[BYTES_MOST + 1];
                memset(bytes, scans[i].usual, sizeof bytes);
                bytes[stop] = '\r';
                assert_scanned(&scans[i], bytes, count);
            }
        }
    }
}

/* Mostly of the class, so that runs are long. */
static void test_random_bytes_are_judged_by_their_class(void **state)
{
    (void)state;
    srandom(7);
    for (int round = 0; round < 200000; round++) {
        const struct scan *scan = &scans[round % SCANS];
        char bytes[BYTES_MOST] = "";
        size_t count = (size_t)random() % (sizeof bytes + 1);
        for (size_t i = 0; i < count; i++) {
            do {
                bytes[i] = (char)random();
            } while (!char_is(bytes[i], scan->class) && random() % 64 != 0);
        }
        assert_scanned(scan, bytes, count);
    }
}

static const char *const names[] = {"host",
                                    "range",
                                    "expect",
                                    "referer",
                                    "if-match",
                                    "if-range",
                                    "connection",
                                    "if-none-match",
                                    "content-length",
                                    "accept-encoding",
                                    "if-modified-since",
                                    "if-unmodified-since",
                                    "a-name-of-32-bytes-and-not-fewer"};

static void test_a_name_is_itself_in_any_case(void **state)
{
    (void)state;
    srandom(9);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (int round = 0; round < 100; round++) {
            const size_t count = strlen(names[i]);
            char *exact = malloc(count);
            for (size_t j = 0; j < count; j++) {
                exact[j] = random() % 2 != 0 ? (char)toupper(names[i][j]) : names[i][j];
            }
            assert_true(name_is((struct text){exact, count}, names[i]));
            assert_true(portable_name_is((struct text){exact, count}, names[i]));
            free(exact);
        }
    }
}

static void test_a_name_with_any_other_byte_of_a_token_is_another(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        for (size_t place = 0; place < strlen(names[i]); place++) {
            for (int byte = 0; byte < 256; byte++) {
                char name[64];
                strcpy(name, names[i]);
                name[place] = (char)byte;
                bool same = tolower(byte) == names[i][place];
                if (char_is(name[place], CHAR_TOKEN)) {
                    assert_int_equal(name_is((struct text){name, strlen(names[i])}, names[i]), same);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_byte_at_any_place_of_a_run_is_judged_by_its_class),
        cmocka_unit_test(test_runs_of_any_length_end_where_they_end),
        cmocka_unit_test(test_random_bytes_are_judged_by_their_class),
        cmocka_unit_test(test_a_name_is_itself_in_any_case),
        cmocka_unit_test(test_a_name_with_any_other_byte_of_a_token_is_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
