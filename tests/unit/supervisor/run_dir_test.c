/* run_dir_test.c — a configuration that does not load still says where its supervisor is. */
#include "supervisor/run_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void the_last_line_that_sets_it_counts(void **state)
{
    static const struct {
        const char *text, *path;
    } rows[] = {
        {"run_dir = \"/run/a\"\n", "/run/a"},
        {"workers = \"oops\n  run_dir='/run/b' # here\nlisten {{{", "/run/b"},
        {"run_dir = \"/run/a\"\nrun_dir = /run/c", "/run/c"},
        {"# run_dir = \"/run/a\"\n", NULL},
        {"run_dir = \"relative\"\n", NULL},
        {"run_dir \"/run/a\"\nmy_run_dir = \"/x\"\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char path[PATH_MAX] = "";
        int found = run_dir_scan(rows[i].text, path);
        assert_int_equal(found, rows[i].path != NULL ? 0 : -1);
        if (rows[i].path != NULL) {
            assert_string_equal(path, rows[i].path);
        }
    }
    (void)state;
}

static void a_broken_file_gives_its_run_dir_and_a_warning(void **state)
{
    char file[] = "/tmp/perdure-run-dir-XXXXXX";
    struct run_dir found;
    int fd = mkstemp(file);
    dprintf(fd, "run_dir = \"/run/elsewhere\"\nbogus = 1\n");
    close(fd);
    run_dir_find(file, &found);
    unlink(file);
    assert_string_equal(found.path, "/run/elsewhere");
    assert_non_null(strstr(found.warning, ":2: "));
    assert_int_equal(found.stop_timeout_ms, 0);
    (void)state;
}

static void no_file_at_all_gives_the_default(void **state)
{
    struct run_dir found;
    run_dir_find("/no/such/perdure.conf", &found);
    assert_true(found.path[0] == '/');
    assert_non_null(strstr(found.warning, "the default run_dir"));
    (void)state;
}

static void a_good_file_gives_what_it_says_and_no_warning(void **state)
{
    char file[] = "/tmp/perdure-run-dir-XXXXXX";
    struct run_dir found;
    int fd = mkstemp(file);
    dprintf(fd, "%srun_dir = \"/run/x\"\nstop_timeout = 7s\nsite \"*\" { root = \"/\" }\n",
            geteuid() == 0 ? "user = \"root\"\n" : "");
    close(fd);
    run_dir_find(file, &found);
    unlink(file);
    if (strstr(found.warning, "root") == NULL) { /* "root" may be refused as the workers' user */
        assert_string_equal(found.warning, "");
        assert_int_equal(found.stop_timeout_ms, 7000);
    }
    assert_string_equal(found.path, "/run/x");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_line_that_sets_it_counts),
        cmocka_unit_test(a_broken_file_gives_its_run_dir_and_a_warning),
        cmocka_unit_test(no_file_at_all_gives_the_default),
        cmocka_unit_test(a_good_file_gives_what_it_says_and_no_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
