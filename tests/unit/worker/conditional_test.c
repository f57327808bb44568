/* conditional_test.c — preconditions are judged in the order of RFC 9110 section 13.2.2. */
#include "worker/conditional.h"

#include "tests/unit/worker/cmocka_all.h"

#define BEFORE  "Sun, 06 Nov 1994 08:49:36 GMT"
#define EXACTLY "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER   "Sun, 06 Nov 1994 08:49:38 GMT"

enum { MODIFIED = 784111777, NOW = 1753000000 };

static const struct validators validators = {TEXT("\"a-1\""), TEXT(EXACTLY), MODIFIED};

static enum precondition judge(struct request request)
{
    return conditional_judge(&request, &validators, NOW);
}

static void without_preconditions_all_is_well(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){0}), PRECONDITION_HOLDS);
}

static void if_match_wants_this_very_state(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"a-1\"")}}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"x\" , \"a-1\"")}}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_match = {TEXT(" * ")}}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"x\"")}}), PRECONDITION_FAILED);
    assert_int_equal(judge((struct request){.if_match = {TEXT("")}}), PRECONDITION_FAILED);
}

static void if_match_takes_no_weak_tag(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_match = {TEXT("W/\"a-1\"")}}), PRECONDITION_FAILED);
}

static void if_none_match_spares_a_client_that_has_it(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"a-1\"")}}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("W/\"a-1\"")}}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"b\",,\"a-1\"")}}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("*")}}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"b\"")}}), PRECONDITION_HOLDS);
}

static void a_comma_inside_a_tag_is_part_of_it(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"x,\", \"y")}}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"x,y\", \"a-1\"")}}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"x\"a-1\"")}}), PRECONDITION_HOLDS);
}

static void a_malformed_list_matches_only_what_stands_before_the_fault(void **state)
{
    (void)state;
    static const char *const lists[] = {"a-1", "\"a-1", "W/", "W/\"", "\"", "W", "\"b\" x \"a-1\""};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        struct request request = {.if_none_match = {{lists[i], strlen(lists[i])}}};
        assert_int_equal(judge(request), PRECONDITION_HOLDS);
    }
}

static void if_modified_since_compares_dates(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_modified_since = TEXT(BEFORE)}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_modified_since = TEXT(EXACTLY)}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_modified_since = TEXT(AFTER)}), PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_modified_since = TEXT("Sunday, 06-Nov-94 08:49:37 GMT")}),
                     PRECONDITION_NOT_MODIFIED);
}

static void if_unmodified_since_compares_dates(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_unmodified_since = TEXT(BEFORE)}), PRECONDITION_FAILED);
    assert_int_equal(judge((struct request){.if_unmodified_since = TEXT(EXACTLY)}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_unmodified_since = TEXT(AFTER)}), PRECONDITION_HOLDS);
}

static void an_unreadable_date_is_as_if_absent(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_modified_since = TEXT("yesterday")}), PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_unmodified_since = TEXT("yesterday")}), PRECONDITION_HOLDS);
}

static void tags_go_before_dates(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_none_match = {TEXT("\"b\"")}, .if_modified_since = TEXT(AFTER)}),
                     PRECONDITION_HOLDS);
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"a-1\"")}, .if_unmodified_since = TEXT(BEFORE)}),
                     PRECONDITION_HOLDS);
}

static void a_failed_match_goes_before_not_modified(void **state)
{
    (void)state;
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"b\"")}, .if_none_match = {TEXT("\"a-1\"")}}),
                     PRECONDITION_FAILED);
    assert_int_equal(judge((struct request){.if_match = {TEXT("\"a-1\"")}, .if_none_match = {TEXT("\"a-1\"")}}),
                     PRECONDITION_NOT_MODIFIED);
    assert_int_equal(judge((struct request){.if_unmodified_since = TEXT(BEFORE), .if_modified_since = TEXT(EXACTLY)}),
                     PRECONDITION_FAILED);
}

static bool range_applies(struct text if_range, time_t now)
{
    struct request request = {.if_range = if_range};
    return conditional_range_applies(&request, &validators, now);
}

static void if_range_wants_this_very_state(void **state)
{
    (void)state;
    assert_true(range_applies((struct text){0}, NOW));
    assert_true(range_applies(TEXT("\"a-1\""), NOW));
    assert_false(range_applies(TEXT("W/\"a-1\""), NOW));
    assert_false(range_applies(TEXT("\"b\""), NOW));
    assert_false(range_applies(TEXT(""), NOW));
    assert_true(range_applies(TEXT(EXACTLY), NOW));
    assert_false(range_applies(TEXT(BEFORE), NOW));
    assert_false(range_applies(TEXT(AFTER), NOW));
    assert_false(range_applies(TEXT("yesterday"), NOW));
}

static void a_date_of_this_very_second_is_no_strong_validator(void **state)
{
    (void)state;
    assert_false(range_applies(TEXT(EXACTLY), MODIFIED));
    assert_true(range_applies(TEXT(EXACTLY), MODIFIED + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_preconditions_all_is_well),
        cmocka_unit_test(if_match_wants_this_very_state),
        cmocka_unit_test(if_match_takes_no_weak_tag),
        cmocka_unit_test(if_none_match_spares_a_client_that_has_it),
        cmocka_unit_test(a_comma_inside_a_tag_is_part_of_it),
        cmocka_unit_test(a_malformed_list_matches_only_what_stands_before_the_fault),
        cmocka_unit_test(if_modified_since_compares_dates),
        cmocka_unit_test(if_unmodified_since_compares_dates),
        cmocka_unit_test(an_unreadable_date_is_as_if_absent),
        cmocka_unit_test(tags_go_before_dates),
        cmocka_unit_test(a_failed_match_goes_before_not_modified),
        cmocka_unit_test(if_range_wants_this_very_state),
        cmocka_unit_test(a_date_of_this_very_second_is_no_strong_validator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
