/* route_test.c — every host finds its site. */
#include "worker/route.h"

#include "tests/unit/worker/cmocka_all.h"

static char *example[] = {"example.org", "www.example.org"}, *other[] = {"other.test"}, *star[] = {"*", "star.test"};

static size_t find(struct site_setting *sites, size_t count, const char *host)
{
    struct settings settings = {.sites = sites, .sites_count = count};
    struct route *route = route_make(&settings);
    size_t site = route_find(route, (struct text){host, host ? strlen(host) : 0});
    route_free(route);
    return site;
}

static size_t find_in_three(const char *host)
{
    struct site_setting sites[] = {
        {.names = example, .names_count = 2}, {.names = other, .names_count = 1}, {.names = star, .names_count = 2}};
    return find(sites, 3, host);
}

static void a_name_and_its_aliases_lead_to_the_site(void **state)
{
    (void)state;
    assert_int_equal(find_in_three("example.org"), 0);
    assert_int_equal(find_in_three("www.example.org"), 0);
    assert_int_equal(find_in_three("other.test"), 1);
    assert_int_equal(find_in_three("star.test"), 2);
}

static void case_and_the_roots_dot_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(find_in_three("EXAMPLE.Org"), 0);
    assert_int_equal(find_in_three("Other.Test."), 1);
}

static void what_no_site_takes_goes_to_the_star(void **state)
{
    (void)state;
    assert_int_equal(find_in_three("nobody.test"), 2);
    assert_int_equal(find_in_three("xexample.org"), 2);
    assert_int_equal(find_in_three("example.or"), 2);
    assert_int_equal(find_in_three("."), 2);
    assert_int_equal(find_in_three(""), 2);
    assert_int_equal(find_in_three(NULL), 2);
}

static void without_a_star_the_first_site_is_the_default(void **state)
{
    (void)state;
    struct site_setting sites[] = {{.names = other, .names_count = 1}, {.names = example, .names_count = 2}};
    assert_int_equal(find(sites, 2, "nobody.test"), 0);
    assert_int_equal(find(sites, 2, NULL), 0);
    assert_int_equal(find(sites, 2, "example.org"), 1);
}

static void a_star_in_the_host_is_no_name(void **state)
{
    (void)state;
    struct site_setting sites[] = {{.names = other, .names_count = 1}, {.names = star, .names_count = 1}};
    assert_int_equal(find(sites, 2, "*"), 1);
    assert_int_equal(find(sites, 1, "*"), 0);
}

static void of_two_sites_with_one_name_the_first_has_it(void **state)
{
    (void)state;
    struct site_setting sites[] = {{.names = star, .names_count = 1},
                                   {.names = other, .names_count = 1},
                                   {.names = example, .names_count = 2},
                                   {.names = other, .names_count = 1}};
    assert_int_equal(find(sites, 4, "other.test"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_and_its_aliases_lead_to_the_site),
        cmocka_unit_test(case_and_the_roots_dot_do_not_matter),
        cmocka_unit_test(what_no_site_takes_goes_to_the_star),
        cmocka_unit_test(without_a_star_the_first_site_is_the_default),
        cmocka_unit_test(a_star_in_the_host_is_no_name),
        cmocka_unit_test(of_two_sites_with_one_name_the_first_has_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
