/* command_line_test.c — every verb takes its own options and no other, and a slip is answered with the word meant. */
#include "supervisor/command_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct command command;
static char error[COMMAND_ERROR_BYTES];

/* Read a command line of words separated by one space. */
static int read_line(const char *line)
{
    static char words[512];
    static char *argv[32];
    int argc = 0;
    snprintf(words, sizeof words, "perdure %s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " ")) {
        argv[argc++] = word;
    }
    argv[argc] = NULL;
    error[0] = '\0';
    return command_read(argc, argv, &command, error);
}

static void each_verb_is_known(void **state)
{
    static const struct {
        const char *line;
        enum command_verb verb;
    } rows[] = {
        {"run", VERB_RUN},         {"start", VERB_START},       {"stop", VERB_STOP},
        {"reload", VERB_RELOAD},   {"diff", VERB_DIFF},         {"restart", VERB_RESTART},
        {"reopen", VERB_REOPEN},   {"status", VERB_STATUS},     {"check", VERB_CHECK},
        {"serve", VERB_SERVE},     {"-h", VERB_HELP},           {"--help", VERB_HELP},
        {"-V", VERB_VERSION},      {"--version", VERB_VERSION}, {"--contract", VERB_CONTRACT},
        {"run --help", VERB_HELP}, {"why 80", VERB_WHY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(read_line(rows[i].line), 0);
        assert_int_equal(command.verb, rows[i].verb);
    }
    (void)state;
}

static void the_file_may_be_named_before_and_after_the_verb(void **state)
{
    assert_int_equal(read_line("run"), 0);
    assert_string_equal(command.config, "/etc/perdure/perdure.conf");
    assert_int_equal(read_line("run -c /a"), 0);
    assert_string_equal(command.config, "/a");
    assert_int_equal(read_line("--config=/b stop --now"), 0);
    assert_string_equal(command.config, "/b");
    assert_true(command.now);
    (void)state;
}

static void serve_takes_a_directory_and_many_addresses(void **state)
{
    assert_int_equal(read_line("serve"), 0);
    assert_string_equal(command.directory, ".");
    assert_int_equal(command.addresses_count, 0);
    assert_int_equal(read_line("serve /srv -l 127.0.0.1:80 --listen [::1]:80"), 0);
    assert_string_equal(command.directory, "/srv");
    assert_int_equal(command.addresses_count, 2);
    assert_string_equal(command.addresses[1], "[::1]:80");
    (void)state;
}

static void why_takes_one_address(void **state)
{
    assert_int_equal(read_line("why [::1]:80 --json"), 0);
    assert_string_equal(command.addresses[0], "[::1]:80");
    assert_true(command.json);
    assert_false(command.no_try);
    assert_int_equal(read_line("why --no-try 80"), 0);
    assert_string_equal(command.addresses[0], "80");
    assert_true(command.no_try);
    (void)state;
}

static void what_a_verb_does_not_take_is_refused(void **state)
{
    static const struct {
        const char *line, *says;
    } rows[] = {
        {"start --now", "start does not take --now"},
        {"stop --json", "stop does not take --json"},
        {"run -l 1:2", "run does not take -l"},
        {"serve -c /a", "serve does not take -c"},
        {"serve a b", "serve: \"b\" is one word too many"},
        {"reload x", "reload: \"x\" is one word too many"},
        {"run -c", "-c needs a value"},
        {"run --bogus", "there is no option --bogus"},
        {"start --no-try", "start does not take --no-try"},
        {"why", "why: of which port? write, for one: perdure why 8000"},
        {"why 80 81", "why: \"81\" is one word too many"},
        {"why 80 -c /a", "why does not take -c"},
        {"", "no verb given"},
        {"relaod", "there is no verb \"relaod\"; did you mean reload?"},
        {"xyzzy", "there is no verb \"xyzzy\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(read_line(rows[i].line), -1);
        assert_non_null(strstr(error, rows[i].says));
    }
    (void)state;
}

static void the_nearest_verb_is_guessed(void **state)
{
    assert_string_equal(command_guess("strat"), "start");
    assert_string_equal(command_guess("sotp"), "stop");
    assert_string_equal(command_guess("statsu"), "status");
    assert_string_equal(command_guess("rn"), "run");
    assert_null(command_guess("frobnicate"));
    assert_null(command_guess("a-word-that-is-longer-than-any-row-of-the-table-of-distances"));
    (void)state;
}

static void help_shows_every_verb_and_signal(void **state)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    command_help(out);
    fclose(out);
    static const char *const words[] = {"run",    "start", "stop",  "reload", "diff", "restart", "reopen",
                                        "status", "check", "serve", "why",    "HUP",  "TERM",    "QUIT",
                                        "INT",    "USR1",  "USR2",  "TTIN",   "TTOU"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        assert_non_null(strstr(text, words[i]));
    }
    free(text);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_verb_is_known),
        cmocka_unit_test(the_file_may_be_named_before_and_after_the_verb),
        cmocka_unit_test(serve_takes_a_directory_and_many_addresses),
        cmocka_unit_test(why_takes_one_address),
        cmocka_unit_test(what_a_verb_does_not_take_is_refused),
        cmocka_unit_test(the_nearest_verb_is_guessed),
        cmocka_unit_test(help_shows_every_verb_and_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
