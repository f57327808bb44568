/* settings_diff_test.c — a reload's changes in words. */
#include "supervisor/settings_diff.h"

#include "supervisor/inherit/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SITE "site \"*\" { root = \"/\" }\n"

static struct settings *load(const char *text)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = snapshot_take("test.conf", text, error);
    struct settings *settings = fd >= 0 ? settings_parse(fd, error) : NULL;
    if (settings == NULL) {
        fail_msg("%s", error);
    }
    close(fd);
    return settings;
}

/* From text OLD to text NEW there are COUNT changes, in these words. */
static void expect_changes(const char *old_text, const char *new_text, size_t count, const char *words)
{
    char text[4096] = "left over";
    struct settings *old = load(old_text), *new = load(new_text);
    size_t changes = settings_diff(old, new, text, sizeof text);
    assert_string_equal(text, words);
    assert_int_equal(changes, count);
    settings_free(old);
    settings_free(new);
}

static void the_same_settings_are_no_change(void **state)
{
    (void)state;
    expect_changes(SITE, SITE, 0, "");
    expect_changes(SITE, "idle_timeout = 65000ms workers = auto # the same in other words\nhead_limit = 16384\n" SITE,
                   0, "");
    expect_changes("listen \"[0::1]:80\" { }\n" SITE, "listen \"[::1]:80\" { backlog = 4096 }\n" SITE, 0, "");
}

static void a_sockets_permissions_show_as_they_are_written(void **state)
{
    (void)state;
    expect_changes("listen \"unix:/tmp/x\" { }\n" SITE,
                   "listen \"unix:/tmp/x\" { mode = 660 owner = \"nobody\" group = \"daemon\" }\n" SITE, 3,
                   "listen unix:/tmp/x: mode 0666 -> 0660\nlisten unix:/tmp/x: owner none -> nobody\n"
                   "listen unix:/tmp/x: group none -> daemon\n");
}

static void plain_values_show_before_and_after(void **state)
{
    (void)state;
    expect_changes(SITE, "idle_timeout = 30s\n" SITE, 1, "idle_timeout 65s -> 30s\n");
    expect_changes("workers = 2\n" SITE, SITE, 1, "workers 2 -> auto\n");
    expect_changes(SITE, "access_log = \"/tmp/a.log\"\nbody_limit = 3g\nlinger_timeout = 0ms\nconnections = 100\n" SITE,
                   4,
                   "connections 16384 -> 100\naccess_log off -> /tmp/a.log\nlinger_timeout 5s -> 0s\n"
                   "body_limit 1m -> 3g\n");
}

static void listeners_come_and_go(void **state)
{
    (void)state;
    expect_changes("listen \"0.0.0.0:80\" { }\nlisten \"127.0.0.1:81\" { }\n" SITE,
                   "listen \"127.0.0.1:81\" { backlog = 128 }\nlisten \"[::]:8080\" { }\n" SITE, 3,
                   "listen 127.0.0.1:81: backlog 4096 -> 128\n+ listen [::]:8080\n- listen 0.0.0.0:80\n");
}

static void sites_come_and_go(void **state)
{
    (void)state;
    expect_changes("site \"example.org\" { root = \"/\" }\nsite \"old.example\" { root = \"/\" }\n",
                   "site \"new.example\" { root = \"/\" }\nsite \"example.org\" { root = \"/tmp\" }\n", 4,
                   "+ site \"new.example\"\nsite example.org: root / -> /tmp\n- site \"old.example\"\n"
                   "default site example.org -> new.example\n");
}

/* The first site takes what no other takes: two that change places once were "no change". */
static void the_order_of_sites_matters_where_it_does(void **state)
{
    (void)state;
#define A "site \"a.example\" { root = \"/\" }\n"
#define B "site \"b.example\" { root = \"/\" }\n"
    expect_changes(A B, B A, 1, "default site a.example -> b.example\n");
    expect_changes(A B SITE, SITE B A, 0, "");
    expect_changes(A B, A B SITE, 2, "+ site \"*\"\ndefault site a.example -> *\n");
}

static void lists_show_all_that_they_hold(void **state)
{
    (void)state;
    expect_changes(SITE,
                   "site \"*\" { root = \"/\" index = { \"a.html\", \"b.html\" } aliases = { \"c.example\" }\n"
                   "listing = true headers = { \"X-A: b\", \"X-C: d\" } }",
                   4,
                   "site *: aliases none -> c.example\nsite *: index index.html -> a.html, b.html\n"
                   "site *: listing false -> true\nsite *: headers none -> X-A: b, X-C: d\n");
    expect_changes("site \"*\" { root = \"/\" index = { } }", SITE, 1, "site *: index none -> index.html\n");
}

static void a_list_that_differs_only_at_its_end_differs(void **state)
{
    (void)state;
    char head[3000] = "", old[4096], new[4096], text[4096];
    memset(head, 'x', 2000);
    snprintf(old, sizeof old, "site \"*\" { root = \"/\" headers = { \"X: %sa\" } }", head);
    snprintf(new, sizeof new, "site \"*\" { root = \"/\" headers = { \"X: %sb\" } }", head);
    struct settings *before = load(old), *after = load(new);
    assert_int_equal(settings_diff(before, after, text, sizeof text), 1);
    assert_true(strlen(text) < 1024); /* cut, and says so */
    assert_non_null(strstr(text, "…"));
    settings_free(before);
    settings_free(after);
}

static void what_does_not_fit_is_left_out_but_counted(void **state)
{
    (void)state;
    char text[96] = "";
    struct settings *old = load(SITE), *new = load("workers = 2\nidle_timeout = 30s\nhead_timeout = 1s\n" SITE);
    for (size_t size = 0; size < sizeof text; size++) {
        memset(text, '#', sizeof text);
        assert_int_equal(settings_diff(old, new, text, size), 3);
        assert_int_equal(text[size], '#');
        size_t length = size > 0 ? strlen(text) : 0;
        assert_true(size == 0 || length < size);
        assert_true(length == 0 || text[length - 1] == '\n');
    }
    settings_diff(old, new, text, 70);
    assert_string_equal(text, "workers auto -> 2\nand 2 changes more\n");
    settings_free(old);
    settings_free(new);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_settings_are_no_change),
        cmocka_unit_test(a_sockets_permissions_show_as_they_are_written),
        cmocka_unit_test(plain_values_show_before_and_after),
        cmocka_unit_test(listeners_come_and_go),
        cmocka_unit_test(sites_come_and_go),
        cmocka_unit_test(the_order_of_sites_matters_where_it_does),
        cmocka_unit_test(lists_show_all_that_they_hold),
        cmocka_unit_test(a_list_that_differs_only_at_its_end_differs),
        cmocka_unit_test(what_does_not_fit_is_left_out_but_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
