/* reload_test.c — a reload's result as one line, for systemd. */
#include "supervisor/reload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

/* The image before died when it had noted the result, and had not told everybody: once more, there would be nothing to
 * do, and that would be told. */
static void a_result_that_was_noted_is_told_and_nothing_is_done_again(void **state)
{
    char error[CONTROL_ERROR_BYTES];
    char run_dir[] = "/tmp/perdure-reload-test-XXXXXX";
    struct supervisor *s = calloc(1, sizeof *s);
    (void)state;
    assert_non_null(s);
    assert_non_null(mkdtemp(run_dir));
    s->ledger = ledger_create(&s->ledger_fd);
    s->control = control_open(run_dir, error);
    assert_non_null(s->control);
    s->ledger->asked = (struct ledger_asked){.verbs = 1U << CONTROL_RELOAD, .count = 1, .by = "me"};
    reload_note(s, 0, "reloaded: generation 2\n");
    assert_int_equal(s->ledger->last_result.exit_code, 0);
    reload_note(s, 1, "something else");
    reload_adopt(s);
    assert_int_equal(s->ledger->asked.verbs, 0);
    assert_int_equal(s->ledger->asked_next.verbs, 0);
    assert_string_equal(s->ledger->last_result.text, "reloaded: generation 2\n");
    control_close(s->control);
    rmdir(run_dir);
    close(s->ledger_fd);
    munmap(s->ledger, sizeof *s->ledger);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_that_was_noted_is_told_and_nothing_is_done_again),
        cmocka_unit_test(lines_become_one),
        cmocka_unit_test(what_does_not_fit_is_left_out_whole),
        cmocka_unit_test(no_character_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
