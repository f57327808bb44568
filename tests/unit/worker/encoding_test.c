/* encoding_test.c — a client gets the coding it likes best among those that are there. */
#include "worker/encoding.h"

#include "tests/unit/worker/cmocka_all.h"

enum { BR = 1 << VARIANT_BR, ZSTD = 1 << VARIANT_ZSTD, GZIP = 1 << VARIANT_GZIP, ALL = BR | ZSTD | GZIP };

static enum file_variant choose(const char *accept, unsigned available)
{
    return encoding_choose((struct text){accept, accept ? strlen(accept) : 0}, available);
}

static void without_wishes_or_siblings_it_is_the_file_itself(void **state)
{
    (void)state;
    assert_int_equal(choose(NULL, ALL), VARIANT_IDENTITY);
    assert_int_equal(choose("", ALL), VARIANT_IDENTITY);
    assert_int_equal(choose("gzip, br", 0), VARIANT_IDENTITY);
    assert_int_equal(choose("deflate, compress", ALL), VARIANT_IDENTITY);
}

static void among_equals_the_smallest_wins(void **state)
{
    (void)state;
    assert_int_equal(choose("gzip, deflate, br, zstd", ALL), VARIANT_BR);
    assert_int_equal(choose("gzip, deflate, br, zstd", ZSTD | GZIP), VARIANT_ZSTD);
    assert_int_equal(choose("gzip, deflate, br, zstd", GZIP), VARIANT_GZIP);
    assert_int_equal(choose("gzip", ALL), VARIANT_GZIP);
}

static void weights_go_before_our_order(void **state)
{
    (void)state;
    assert_int_equal(choose("br;q=0.5, gzip", ALL), VARIANT_GZIP);
    assert_int_equal(choose("br;q=0.501, gzip ; q=0.5", ALL), VARIANT_BR);
    assert_int_equal(choose("br;q=0.001,gzip;Q=0.01,zstd;q=1.000", ALL), VARIANT_ZSTD);
    assert_int_equal(choose("br;q=0.5, identity", ALL), VARIANT_IDENTITY);
    assert_int_equal(choose("br, identity", ALL), VARIANT_BR);
}

static void a_weight_of_zero_is_a_refusal(void **state)
{
    (void)state;
    assert_int_equal(choose("br;q=0", ALL), VARIANT_IDENTITY);
    assert_int_equal(choose("br;q=0.000, gzip;q=0.1", ALL), VARIANT_GZIP);
    assert_int_equal(choose("*;q=0", ALL), VARIANT_IDENTITY);
    assert_int_equal(choose("identity;q=0, gzip", ALL), VARIANT_GZIP);
    assert_int_equal(choose("identity;q=0", ALL), VARIANT_IDENTITY);
}

static void a_star_stands_for_what_is_not_named(void **state)
{
    (void)state;
    assert_int_equal(choose("*", ALL), VARIANT_BR);
    assert_int_equal(choose("br;q=0, *;q=0.5", ALL), VARIANT_ZSTD);
    assert_int_equal(choose("*;q=0, gzip", ALL), VARIANT_GZIP);
}

static void names_have_no_case_and_x_gzip_is_gzip(void **state)
{
    (void)state;
    assert_int_equal(choose("GZip", ALL), VARIANT_GZIP);
    assert_int_equal(choose("x-gzip", ALL), VARIANT_GZIP);
    assert_int_equal(choose("brx, xbr, b", ALL), VARIANT_IDENTITY);
}

static void a_malformed_weight_speaks_against_its_coding(void **state)
{
    (void)state;
    static const char *const bad[] = {"gzip;q=",   "gzip;q=2",   "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=x",
                                      "gzip;q=-1", "gzip;q=0,5", "gzip;q=.5",    "gzip;q=1x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(choose(bad[i], ALL), VARIANT_IDENTITY);
    }
    assert_int_equal(choose(",,;,gzip;x=1;q=0.5,;;", ALL), VARIANT_GZIP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_wishes_or_siblings_it_is_the_file_itself),
        cmocka_unit_test(among_equals_the_smallest_wins),
        cmocka_unit_test(weights_go_before_our_order),
        cmocka_unit_test(a_weight_of_zero_is_a_refusal),
        cmocka_unit_test(a_star_stands_for_what_is_not_named),
        cmocka_unit_test(names_have_no_case_and_x_gzip_is_gzip),
        cmocka_unit_test(a_malformed_weight_speaks_against_its_coding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
