/* reload_test.c — a reload's result as one line, for systemd. */
#include "supervisor/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* TEXT in BYTES bytes is WORDS, and nothing behind them is touched. */
static void expect_line(const char *text, size_t bytes, const char *words)
{
    char line[256];
    memset(line, '#', sizeof line);
    reload_one_line(text, line, bytes);
    assert_string_equal(line, words);
    assert_true(strlen(line) < bytes);
    assert_int_equal(line[bytes], '#');
}

static void lines_become_one(void **state)
{
    expect_line("", 100, "");
    expect_line("identical, nothing to do\n", 100, "identical, nothing to do");
    expect_line("reloaded: generation 2\nidle_timeout 65s -> 30s\n+ listen [::]:8080\n", 100,
                "reloaded: generation 2; idle_timeout 65s -> 30s; + listen [::]:8080");
    (void)state;
}

static void what_does_not_fit_is_left_out_whole(void **state)
{
    expect_line("one\ntwo\nthree\n", 16, "one; two; …");
    for (size_t bytes = 8; bytes < 40; bytes++) {
        char line[64];
        reload_one_line("one\ntwo\nthree\nfour\n", line, bytes);
        assert_true(strlen(line) < bytes);
    }
    (void)state;
}

/* systemd drops a STATUS= that is no UTF-8. */
static void no_character_is_cut(void **state)
{
    for (size_t bytes = 8; bytes < 40; bytes++) {
        char line[64];
        reload_one_line("ääääääääääääääääääääääääääää\nsecond\n", line, bytes);
        size_t length = strcspn(line, ";");
        assert_true(strlen(line) < bytes);
        assert_int_equal(length % 2, 0);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_become_one),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(no_character_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
