/* path_test.c — a target's path becomes a name below the root, or nothing at all. */
#include "worker/path.h"

#include "tests/unit/worker/cmocka_all.h"

#include <stdlib.h>

static struct path path;

static enum path_verdict decode(const char *encoded)
{
    return path_decode((struct text){encoded, strlen(encoded)}, false, &path);
}

static void assert_name(const char *encoded, const char *name, bool is_directory)
{
    assert_int_equal(decode(encoded), PATH_GOOD);
    assert_string_equal(path.name, name);
    assert_int_equal(path.bytes, strlen(name));
    assert_int_equal(path.is_directory, is_directory);
}

static void plain_paths_lose_only_their_slash(void **state)
{
    (void)state;
    assert_name("/", "", true);
    assert_name("/a", "a", false);
    assert_name("/a/b.html", "a/b.html", false);
    assert_name("/a/b/", "a/b", true);
}

static void percent_encoding_is_decoded_once(void **state)
{
    (void)state;
    assert_name("/%61%2Db%20c", "a-b c", false);
    assert_name("/%C3%A9", "\xC3\xA9", false);
    assert_name("/%2561", "%61", false);
    assert_name("/%0a", "\n", false);
}

static void bad_percent_encoding_is_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"/%", "/%4", "/%4g", "/%g4", "/a%zz/b", "/%%41", "/a%2", "/%-1", "/% 1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(decode(bad[i]), PATH_MALFORMED);
    }
}

static void a_percent_at_the_very_end_reads_nothing_behind_it(void **state)
{
    (void)state;
    char *tight = malloc(4); /* under ASAN a read behind it is an error */
    memcpy(tight, "/a%4", 4);
    assert_int_equal(path_decode((struct text){tight, 4}, false, &path), PATH_MALFORMED);
    free(tight);
}

static void nul_is_malformed(void **state)
{
    (void)state;
    assert_int_equal(decode("/a%00"), PATH_MALFORMED);
    assert_int_equal(decode("/%00"), PATH_MALFORMED);
    assert_int_equal(path_decode((struct text){"/a\0b", 4}, false, &path), PATH_MALFORMED);
}

static void an_encoded_slash_names_nothing(void **state)
{
    (void)state;
    assert_int_equal(decode("/a%2Fb"), PATH_ABSENT);
    assert_int_equal(decode("/..%2f..%2fetc/passwd"), PATH_ABSENT);
}

static void dots_are_resolved(void **state)
{
    (void)state;
    assert_name("/a/./b", "a/b", false);
    assert_name("/a/b/../c", "a/c", false);
    assert_name("/a/b/..", "a", true);
    assert_name("/a/.", "a", true);
    assert_name("/a/b/../..", "", true);
    assert_name("/a/%2e%2E/b", "b", false);
    assert_name("/a/..//b", "b", false);
}

static void dots_above_the_root_are_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {"/..",      "/../a",         "/a/../../b",      "/%2e%2e/etc/passwd",
                                      "/./../a/", "/a/b/../../..", "/.%2e/%2e./../x", "//.."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(decode(bad[i]), PATH_MALFORMED);
    }
}

static void repeated_slashes_count_as_one(void **state)
{
    (void)state;
    assert_name("//", "", true);
    assert_name("//evil.example/a", "evil.example/a", false);
    assert_name("/a///b//", "a/b", true);
}

static void dot_files_are_hidden_unless_asked_for(void **state)
{
    (void)state;
    assert_int_equal(decode("/.git/config"), PATH_ABSENT);
    assert_int_equal(decode("/a/.htaccess"), PATH_ABSENT);
    assert_int_equal(decode("/a/%2ehtaccess"), PATH_ABSENT);
    assert_int_equal(decode("/..."), PATH_ABSENT);
    assert_int_equal(decode("/..a/b"), PATH_ABSENT);
    assert_int_equal(path_decode(TEXT("/a/.htaccess"), true, &path), PATH_GOOD);
    assert_string_equal(path.name, "a/.htaccess");
    assert_int_equal(path_decode(TEXT("/a/../.."), true, &path), PATH_MALFORMED);
}

static void well_known_is_never_hidden(void **state)
{
    (void)state;
    assert_name("/.well-known/security.txt", ".well-known/security.txt", false);
    assert_int_equal(decode("/.well-known/.secret"), PATH_ABSENT);
    assert_int_equal(decode("/.well-knownx"), PATH_ABSENT);
}

static void what_the_kernel_would_refuse_is_too_long(void **state)
{
    (void)state;
    static char encoded[3 * PATH_BYTES_MAX + 8];
    memset(encoded, 'a', sizeof encoded);
    encoded[0] = '/';
    struct text text = {encoded, PATH_BYTES_MAX};
    assert_int_equal(path_decode(text, false, &path), PATH_GOOD);
    assert_int_equal(path.bytes, PATH_BYTES_MAX - 1);
    text.bytes++;
    assert_int_equal(path_decode(text, false, &path), PATH_TOO_LONG);
    encoded[PATH_BYTES_MAX] = '/';
    text.bytes = PATH_BYTES_MAX + 2;
    assert_int_equal(path_decode(text, false, &path), PATH_TOO_LONG);
    for (size_t i = 0; i + 1 < sizeof encoded; i += 2) {
        memcpy(encoded + i, "/a", 2);
    }
    text.bytes = sizeof encoded;
    assert_int_equal(path_decode(text, false, &path), PATH_TOO_LONG);
}

static void only_a_path_is_a_path(void **state)
{
    (void)state;
    assert_int_equal(decode(""), PATH_MALFORMED);
    assert_int_equal(decode("*"), PATH_MALFORMED);
    assert_int_equal(decode("a/b"), PATH_MALFORMED);
}

static void encoding_gives_back_what_decoding_took(void **state)
{
    (void)state;
    char every[255], out[1024], encoded[1024];
    size_t count = 0;
    for (int c = 1; c < 256; c++) {
        if (c != '/') {
            every[count++] = (char)c;
        }
    }
    size_t bytes = path_encode((struct text){every, count}, out, sizeof out);
    assert_true(bytes > count);
    encoded[0] = '/';
    memcpy(encoded + 1, out, bytes);
    assert_int_equal(path_decode((struct text){encoded, bytes + 1}, true, &path), PATH_GOOD);
    assert_int_equal(path.bytes, count);
    assert_memory_equal(path.name, every, count);
    for (size_t i = 0; i < bytes; i++) {
        assert_true(out[i] > ' ' && out[i] < 0x7f && !strchr("\"'<>&?#:\\", out[i]));
    }
    assert_int_equal(path_encode((struct text){every, count}, out, bytes - 1), 0);
}

static void joining_stays_inside_its_buffer(void **state)
{
    (void)state;
    static char directory[PATH_BYTES_MAX], out[PATH_BYTES_MAX];
    memset(directory, 'd', sizeof directory);
    assert_true(path_join(TEXT(""), "index.html", out));
    assert_string_equal(out, "index.html");
    assert_true(path_join(TEXT("a/b"), "c", out));
    assert_string_equal(out, "a/b/c");
    assert_true(path_join((struct text){directory, PATH_BYTES_MAX - 3}, "c", out));
    assert_false(path_join((struct text){directory, PATH_BYTES_MAX - 2}, "c", out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_paths_lose_only_their_slash),
        cmocka_unit_test(percent_encoding_is_decoded_once),
        cmocka_unit_test(bad_percent_encoding_is_malformed),
        cmocka_unit_test(a_percent_at_the_very_end_reads_nothing_behind_it),
        cmocka_unit_test(nul_is_malformed),
        cmocka_unit_test(an_encoded_slash_names_nothing),
        cmocka_unit_test(dots_are_resolved),
        cmocka_unit_test(dots_above_the_root_are_malformed),
        cmocka_unit_test(repeated_slashes_count_as_one),
        cmocka_unit_test(dot_files_are_hidden_unless_asked_for),
        cmocka_unit_test(well_known_is_never_hidden),
        cmocka_unit_test(what_the_kernel_would_refuse_is_too_long),
        cmocka_unit_test(only_a_path_is_a_path),
        cmocka_unit_test(encoding_gives_back_what_decoding_took),
        cmocka_unit_test(joining_stays_inside_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
