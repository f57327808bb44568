/* mime_test.c — a file's extension says its media type. */
#include "worker/mime.h"

#include "supervisor/inherit/log.h"
#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/temp_dir.h"

static struct temp_dir dir;

static int set_up(void **state)
{
    (void)state;
    dir = temp_dir_make();
    log_threshold(LOG_LEVEL_ERROR);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

static struct mime *mime_with(const char *table)
{
    char path[128];
    temp_dir_write(&dir, "mime.types", table);
    snprintf(path, sizeof path, "%s/mime.types", dir.path);
    return mime_open(path);
}

static void assert_type(struct mime *mime, const char *name, const char *expected)
{
    char out[MIME_TYPE_BYTES_MAX];
    struct text type = mime_type(mime, (struct text){name, strlen(name)}, out);
    assert_int_equal(type.bytes, strlen(expected));
    assert_memory_equal(type.at, expected, type.bytes);
}

static void the_web_is_known_without_a_table(void **state)
{
    (void)state;
    struct mime *mime = mime_open(NULL);
    assert_type(mime, "index.html", "text/html; charset=utf-8");
    assert_type(mime, "a/b/app.js", "text/javascript; charset=utf-8");
    assert_type(mime, "data.json", "application/json; charset=utf-8");
    assert_type(mime, "picture.svg", "image/svg+xml; charset=utf-8");
    assert_type(mime, "feed.xml", "application/xml; charset=utf-8");
    assert_type(mime, "picture.PNG", "image/png");
    assert_type(mime, "module.wasm", "application/wasm");
    mime_close(mime);
}

static void an_unknown_name_is_a_stream_of_octets(void **state)
{
    (void)state;
    struct mime *mime = mime_open(NULL);
    assert_type(mime, "README", "application/octet-stream");
    assert_type(mime, "a.unknown", "application/octet-stream");
    assert_type(mime, "a.", "application/octet-stream");
    assert_type(mime, "", "application/octet-stream");
    assert_type(mime, "v1.html/README", "application/octet-stream");
    mime_close(mime);
}

static void the_table_goes_before_what_is_built_in(void **state)
{
    (void)state;
    struct mime *mime = mime_with("# a comment\ntext/x-mine\t\tmine MY # html\n\napplication/javascript js\n"
                                  "application/x-none\nimage/x-last one two three");
    assert_type(mime, "a.mine", "text/x-mine; charset=utf-8");
    assert_type(mime, "a.my", "text/x-mine; charset=utf-8");
    assert_type(mime, "a.js", "application/javascript; charset=utf-8");
    assert_type(mime, "a.html", "text/html; charset=utf-8");
    assert_type(mime, "a.three", "image/x-last");
    mime_close(mime);
}

static void a_later_line_goes_before_an_earlier_one(void **state)
{
    (void)state;
    struct mime *mime = mime_with("a/first x\nb/second x\r\n");
    assert_type(mime, "f.x", "b/second");
    mime_close(mime);
}

static void a_type_that_could_break_a_header_is_not_taken(void **state)
{
    (void)state;
    struct mime *mime = mime_with("no-slash x\ntext/\x01 y\ntext/\x80 z\ntext/plain;charset=latin1 w\n");
    assert_type(mime, "f.x", "application/octet-stream");
    assert_type(mime, "f.y", "application/octet-stream");
    assert_type(mime, "f.z", "application/octet-stream");
    assert_type(mime, "f.w", "text/plain;charset=latin1");
    mime_close(mime);
}

static void a_missing_table_leaves_what_is_built_in(void **state)
{
    (void)state;
    char path[128];
    snprintf(path, sizeof path, "%s/none", dir.path);
    struct mime *mime = mime_open(path);
    assert_type(mime, "a.css", "text/css; charset=utf-8");
    mime_close(mime);
    mime = mime_open(dir.path);
    assert_type(mime, "a.css", "text/css; charset=utf-8");
    mime_close(mime);
    mime = mime_with("");
    assert_type(mime, "a.css", "text/css; charset=utf-8");
    mime_close(mime);
}

static void a_table_with_too_many_extensions_is_cut_not_endless(void **state)
{
    (void)state;
    char *table = malloc(200000), *at = table;
    for (int i = 0; i < 10000; i++) {
        at += sprintf(at, "x/y e%d\n", i);
    }
    struct mime *mime = mime_with(table);
    assert_type(mime, "f.e0", "x/y");
    assert_type(mime, "f.e9999", "application/octet-stream");
    mime_close(mime);
    free(table);
}

static void debians_own_table_is_understood(void **state)
{
    (void)state;
    if (access("/etc/mime.types", R_OK)) {
        skip();
    }
    struct mime *mime = mime_open("/etc/mime.types");
    assert_type(mime, "a.html", "text/html; charset=utf-8");
    assert_type(mime, "a.pdf", "application/pdf");
    assert_type(mime, "a.woff2", "font/woff2");
    assert_type(mime, "a.epub", "application/epub+zip");
    mime_close(mime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_web_is_known_without_a_table),
        cmocka_unit_test(an_unknown_name_is_a_stream_of_octets),
        cmocka_unit_test(the_table_goes_before_what_is_built_in),
        cmocka_unit_test(a_later_line_goes_before_an_earlier_one),
        cmocka_unit_test(a_type_that_could_break_a_header_is_not_taken),
        cmocka_unit_test(a_missing_table_leaves_what_is_built_in),
        cmocka_unit_test(a_table_with_too_many_extensions_is_cut_not_endless),
        cmocka_unit_test(debians_own_table_is_understood),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
