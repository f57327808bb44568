/* serve_test.c — whatever a directory is called, the configuration that serve writes means that directory. */
#include "supervisor/serve.h"

#include "supervisor/inherit/config_lexer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_is_quoted_is_read_back_the_same(void **state)
{
    static const char *const names[] = {"/srv",
                                        "/a b",
                                        "/a\"b",
                                        "/a\\b",
                                        "/${HOME}",
                                        "/$x \\${y}\"",
                                        "/it's",
                                        "/gr\xc3\xbc\xc3\x9f",
                                        "/# no // comment",
                                        "/\xff"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char quoted[256];
        static struct config_lexer lexer;
        assert_true(serve_quote(names[i], quoted, sizeof quoted));
        config_lexer_begin(&lexer, quoted, strlen(quoted));
        assert_int_equal(config_lexer_next(&lexer), TOKEN_WORD);
        assert_string_equal(lexer.word, names[i]);
        assert_int_equal(config_lexer_next(&lexer), TOKEN_END);
    }
    (void)state;
}

static void what_cannot_be_quoted_is_refused(void **state)
{
    char quoted[16];
    assert_false(serve_quote("/a\nb", quoted, sizeof quoted));
    assert_false(serve_quote("/a\x7f", quoted, sizeof quoted));
    assert_false(serve_quote("/much-too-long-for-this", quoted, sizeof quoted));
    assert_false(serve_quote("\"\"\"\"\"\"\"\"", quoted, sizeof quoted));
    assert_false(serve_quote("", quoted, 2));
    (void)state;
}

static void the_configuration_has_all_that_was_asked_for(void **state)
{
    struct command command = {.addresses = {"127.0.0.1:80", "[::1]:80"}, .addresses_count = 2};
    char *text = serve_config(&command, "/srv", "/tmp/run", "www-data");
    assert_string_equal(text, "run_dir = \"/tmp/run\"\nuser = \"www-data\"\nlisten \"127.0.0.1:80\" { }\n"
                              "listen \"[::1]:80\" { }\nsite \"*\" {\n    root = \"/srv\"\n    listing = true\n}\n");
    free(text);
    command.addresses_count = 0;
    text = serve_config(&command, "/srv", "/tmp/run", NULL);
    assert_non_null(strstr(text, "listen \"127.0.0.1:8000\" { }"));
    assert_null(strstr(text, "user"));
    free(text);
    assert_null(serve_config(&command, "/a\nb", "/tmp/run", NULL));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_quoted_is_read_back_the_same),
        cmocka_unit_test(what_cannot_be_quoted_is_refused),
        cmocka_unit_test(the_configuration_has_all_that_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
