/* http_date_test.c — dates go out in one form and come in in three. */
#include "worker/http_date.h"

#include "tests/unit/worker/cmocka_all.h"

enum { NOVEMBER_1994 = 784111777, NOW = 1753000000 /* July 2025 */ };

static void assert_reads(const char *text, time_t expected)
{
    time_t seconds = -1;
    if (!http_date_read((struct text){text, strlen(text)}, NOW, &seconds)) {
        fail_msg("not read: %s", text);
    }
    assert_int_equal(seconds, expected);
}

static void assert_refused(const char *text)
{
    time_t seconds;
    if (http_date_read((struct text){text, strlen(text)}, NOW, &seconds)) {
        fail_msg("read: %s", text);
    }
}

static void assert_writes(time_t seconds, const char *expected)
{
    char out[HTTP_DATE_BYTES + 1] = {0};
    http_date_write(seconds, out);
    assert_string_equal(out, expected);
}

static void dates_are_written_as_imf_fixdate(void **state)
{
    (void)state;
    assert_writes(NOVEMBER_1994, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_writes(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_writes(-1, "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_writes(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_writes(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_writes(INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_writes(INT64_MIN, "Sat, 01 Jan 0000 00:00:00 GMT");
}

static void the_calendar_agrees_with_the_c_library(void **state)
{
    (void)state;
    for (time_t seconds = -70000000000; seconds < 250000000000; seconds += 86399 * 37) {
        struct tm tm;
        gmtime_r(&seconds, &tm);
        struct civil civil = civil_from(seconds);
        assert_int_equal(civil.year, tm.tm_year + 1900);
        assert_int_equal(civil.month, tm.tm_mon + 1);
        assert_int_equal(civil.day, tm.tm_mday);
        assert_int_equal(civil.hour, tm.tm_hour);
        assert_int_equal(civil.minute, tm.tm_min);
        assert_int_equal(civil.second, tm.tm_sec);
        assert_int_equal(civil.weekday, tm.tm_wday);
        assert_int_equal(civil_seconds(&civil), seconds);
    }
}

static void all_three_forms_are_read(void **state)
{
    (void)state;
    assert_reads("Sun, 06 Nov 1994 08:49:37 GMT", NOVEMBER_1994);
    assert_reads("Sunday, 06-Nov-94 08:49:37 GMT", NOVEMBER_1994);
    assert_reads("Sun Nov  6 08:49:37 1994", NOVEMBER_1994);
    assert_reads("Wed Nov 16 08:49:37 1994", NOVEMBER_1994 + 10 * 86400);
}

static void two_digit_years_lie_within_fifty_years_ahead(void **state)
{
    (void)state;
    assert_reads("Sunday, 06-Nov-75 00:00:00 GMT", 3340224000);
    assert_reads("Sunday, 06-Nov-76 00:00:00 GMT", 216086400);
    assert_reads("Monday, 01-Jan-24 00:00:00 GMT", 1704067200);
}

static void a_leap_second_is_read(void **state)
{
    (void)state;
    assert_reads("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800);
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "0",
                                      "784111777",
                                      "Sun, 06 Nov 1994 08:49:37",
                                      "Sun, 06 Nov 1994 08:49:37 GMT ",
                                      "Sun, 06 Nov 1994 08:49:37 UTC",
                                      "Sun, 6 Nov 1994 08:49:37 GMT",
                                      "sun, 06 nov 1994 08:49:37 gmt",
                                      "Sun, 31 Feb 1994 08:49:37 GMT",
                                      "Sun, 29 Feb 1900 08:49:37 GMT",
                                      "Sun, 00 Nov 1994 08:49:37 GMT",
                                      "Sun, 06 Nov 1994 24:00:00 GMT",
                                      "Sun, 06 Nov 1994 08:60:00 GMT",
                                      "Sun, 06 Nov 1994 08:49:61 GMT",
                                      "Sun, 06 Nov 19x4 08:49:37 GMT",
                                      "Sun, 06-Nov-94 08:49:37 GMT",
                                      "Sun Nov 006 08:49:37 1994",
                                      "Sun Nov  6 08:49:37 1994 GMT"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_refused(bad[i]);
    }
    assert_reads("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
}

static void a_cut_date_reads_nothing_behind_its_end(void **state)
{
    (void)state;
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t form = 0; form < 3; form++) {
        for (size_t bytes = 0; bytes < strlen(forms[form]); bytes++) {
            time_t seconds;
            assert_false(http_date_read((struct text){forms[form], bytes}, NOW, &seconds));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_written_as_imf_fixdate),
        cmocka_unit_test(the_calendar_agrees_with_the_c_library),
        cmocka_unit_test(all_three_forms_are_read),
        cmocka_unit_test(two_digit_years_lie_within_fifty_years_ahead),
        cmocka_unit_test(a_leap_second_is_read),
        cmocka_unit_test(what_is_no_date_is_refused),
        cmocka_unit_test(a_cut_date_reads_nothing_behind_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
