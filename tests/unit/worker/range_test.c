/* range_test.c — a Range field asks for bytes that are there, or for nothing. */
#include "worker/range.h"

#include "tests/unit/worker/cmocka_all.h"

#include <stdio.h>

static struct range ranges[RANGES_MAX];
static unsigned count;

static enum range_verdict read_for(const char *field, uint64_t file_bytes)
{
    return range_read((struct text){field, strlen(field)}, file_bytes, ranges, &count);
}

static void assert_one(const char *field, uint64_t file_bytes, uint64_t at, uint64_t bytes)
{
    assert_int_equal(read_for(field, file_bytes), RANGE_GOOD);
    assert_int_equal(count, 1);
    assert_int_equal(ranges[0].at, at);
    assert_int_equal(ranges[0].bytes, bytes);
}

static void the_three_forms_are_understood(void **state)
{
    (void)state;
    assert_one("bytes=0-499", 10000, 0, 500);
    assert_one("bytes=500-999", 10000, 500, 500);
    assert_one("bytes=-500", 10000, 9500, 500);
    assert_one("bytes=9500-", 10000, 9500, 500);
    assert_one("bytes=0-0", 10000, 0, 1);
    assert_one("bytes=9999-9999", 10000, 9999, 1);
}

static void the_end_is_where_the_file_ends(void **state)
{
    (void)state;
    assert_one("bytes=9990-20000", 10000, 9990, 10);
    assert_one("bytes=-20000", 10000, 0, 10000);
    assert_one("bytes=0-99999999999999999999999999", 10000, 0, 10000);
    assert_one("bytes=-18446744073709551615", 10000, 0, 10000);
    assert_one("bytes=1-18446744073709551615", UINT64_MAX, 1, UINT64_MAX - 1);
}

static void what_lies_behind_the_end_cannot_be_satisfied(void **state)
{
    (void)state;
    assert_int_equal(read_for("bytes=10000-", 10000), RANGE_UNSATISFIABLE);
    assert_int_equal(read_for("bytes=10000-10001", 10000), RANGE_UNSATISFIABLE);
    assert_int_equal(read_for("bytes=-0", 10000), RANGE_UNSATISFIABLE);
    assert_int_equal(read_for("bytes=99999999999999999999999-", 10000), RANGE_UNSATISFIABLE);
    assert_int_equal(read_for("bytes=20000-, 30000-", 10000), RANGE_UNSATISFIABLE);
}

static void of_several_those_that_can_be_satisfied_are_given(void **state)
{
    (void)state;
    assert_int_equal(read_for("bytes=100-199, 20000-, 0-9", 10000), RANGE_GOOD);
    assert_int_equal(count, 2);
    assert_int_equal(ranges[0].at, 100);
    assert_int_equal(ranges[1].at, 0);
    assert_int_equal(ranges[1].bytes, 10);
}

static void an_empty_file_has_no_ranges(void **state)
{
    (void)state;
    assert_int_equal(read_for("bytes=0-", 0), RANGE_UNSATISFIABLE);
    assert_int_equal(read_for("bytes=-5", 0), RANGE_IGNORED);
}

static void malformed_fields_are_ignored(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "bytes",         "bytes=",     "bytes=,",     "bytes=-",     "bytes=a-b",   "bytes=5-4",
        "bytes=1",   "bytes=1-2-3",   "bytes=1 -2", "bytes=--1",   "bytes=+1-2",  "bytes=1-2;",  "bytes:1-2",
        "lines=1-2", "bytes=1-2 3-4", "=1-2",       "bytes=0x1-2", "bytes = 1-2", "bytes=1-2,x", "byte=1-2"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (read_for(bad[i], 10000) != RANGE_IGNORED) {
            fail_msg("not ignored: %s", bad[i]);
        }
    }
}

static void blanks_and_empty_elements_are_passed_over(void **state)
{
    (void)state;
    assert_one("BYTES=0-1", 10, 0, 2);
    assert_one("bytes= 0-1 ,, ", 10, 0, 2);
    assert_one("bytes=,,0-1", 10, 0, 2);
    assert_int_equal(read_for("bytes=0-1\t,\t4-5", 10), RANGE_GOOD);
    assert_int_equal(count, 2);
}

static void overlapping_ranges_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(read_for("bytes=0-,0-", 10000), RANGE_IGNORED);
    assert_int_equal(read_for("bytes=0-10,10-20", 10000), RANGE_IGNORED);
    assert_int_equal(read_for("bytes=10-20,0-10", 10000), RANGE_IGNORED);
    assert_int_equal(read_for("bytes=0-100,40-50", 10000), RANGE_IGNORED);
    assert_int_equal(read_for("bytes=9990-,-1", 10000), RANGE_IGNORED);
    assert_int_equal(read_for("bytes=0-9,10-20", 10000), RANGE_GOOD);
}

static void too_many_ranges_are_ignored(void **state)
{
    (void)state;
    char field[4096] = "bytes=";
    for (int i = 0; i < RANGES_MAX; i++) {
        sprintf(field + strlen(field), "%s%d-%d", i ? "," : "", 10 * i, 10 * i + 1);
    }
    assert_int_equal(read_for(field, 10000), RANGE_GOOD);
    assert_int_equal(count, RANGES_MAX);
    strcat(field, ",9000-9001");
    assert_int_equal(read_for(field, 10000), RANGE_IGNORED);
    strcpy(field, "bytes=0-0");
    for (int i = 0; i < 200; i++) {
        strcat(field, ",20000-");
    }
    assert_int_equal(read_for(field, 10000), RANGE_IGNORED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms_are_understood),
        cmocka_unit_test(the_end_is_where_the_file_ends),
        cmocka_unit_test(what_lies_behind_the_end_cannot_be_satisfied),
        cmocka_unit_test(of_several_those_that_can_be_satisfied_are_given),
        cmocka_unit_test(an_empty_file_has_no_ranges),
        cmocka_unit_test(malformed_fields_are_ignored),
        cmocka_unit_test(blanks_and_empty_elements_are_passed_over),
        cmocka_unit_test(overlapping_ranges_are_ignored),
        cmocka_unit_test(too_many_ranges_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
