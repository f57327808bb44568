/* request_fields_test.c — what the head parser promises of field lines, and of Host, Connection, Expect and repeated
 * fields. */
#include "tests/unit/worker/request_cases.h"

/* ---- Lines of fields ---- */

static void test_white_space_around_a_value_is_taken_off(void **state)
{
    (void)state;
    assert_text(accept_field("Range: \t bytes=0- 1 \t ").range, "bytes=0- 1");
    assert_text(accept_field("Range:bytes=0-1").range, "bytes=0-1");
    assert_text(accept_field("Range:").range, "");
    assert_text(accept_field("Range: \t").range, "");
}

static void test_a_malformed_field_line_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "Range : x", "Range\t: x", " Range: x",    "\tRange: x", ": x",      ":",        " ",          "Range",
        "Ra nge: x", "Ra(ge: x",   "R\xc3\xa4: x", "X: a\rb",    "X: a\r",   "\rX: a",   "X: a\nY: b", "X: a\n",
        "X\r: a",    "X: a\r\n b", "X: a\r\n\tb",  "X: \x7f",    "X: a\x01", "X\x01: a", "X: a\r\r",   "\n"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        refuse_field(lines[i], 400);
}

static void test_a_name_may_hold_no_byte_but_those_of_a_token(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char head[] = "GET / HTTP/1.0\r\nX_X: a\r\n\r\n";
        *strchr(head, '_') = (char)byte;
        bool alphanumeric =
            (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
        if (alphanumeric || (byte != 0 && strchr("!#$%&'*+-.^_`|~", byte) != NULL))
            accept_bytes(head, sizeof head - 1);
        else if (byte != ':')
            refuse_bytes(head, sizeof head - 1, 400);
    }
}

static void test_a_value_may_hold_any_byte_but_controls(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++)
        for (size_t place = 0; place < 26; place++) {
            char head[] = "GET / HTTP/1.0\r\nReferer: 0123456789012345678901234567\r\nRange: b\r\n\r\n";
            char *value = strstr(head, "0123");
            value[1 + place] = (char)byte;
            struct request request;
            struct refusal refusal = {0, NULL};
            char *copy = exact_copy(head, sizeof head - 1);
            enum request_verdict verdict = parse_once(copy, sizeof head - 1, &request, &refusal);
            bool good = byte == '\t' || (byte >= ' ' && byte != 0x7f);
            assert_int_equal(verdict, good ? REQUEST_WHOLE : REQUEST_REFUSED);
            if (good)
                assert_int_equal(request.referer.bytes, 28);
            else
                assert_int_equal(refusal.status, 400);
            free(copy);
        }
}

static void test_bare_lf_is_no_line_end(void **state)
{
    (void)state;
    refuse("GET / HTTP/1.1\nHost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\n\n", 400);
    refuse("GET / HTTP/1.1\nHost: a\n\n", 400);
    refuse("GET / HTTP/1.0\n\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nX-A-Long-Enough-Field: that the pieces are no longer parsed as they come\n\n",
           400);
}

/* ---- Host ---- */

static void test_a_good_host_is_split_from_its_port(void **state)
{
    (void)state;
    static const char *const good[][3] = {
        {"a", "a", "a"},
        {"a.b-c_d~e:80", "a.b-c_d~e", "a.b-c_d~e:80"},
        {"a:", "a", "a:"},
        {"A%41!$&'()*+,;=:0", "A%41!$&'()*+,;=", "A%41!$&'()*+,;=:0"},
        {"127.0.0.1:65535", "127.0.0.1", "127.0.0.1:65535"},
        {"[::1]", "[::1]", "[::1]"},
        {"[2001:db8::ffff:1.2.3.4]:8000", "[2001:db8::ffff:1.2.3.4]", "[2001:db8::ffff:1.2.3.4]:8000"},
        {"[0000:1111:2222:3333:4444:5555:255.255.255.255]:", "[0000:1111:2222:3333:4444:5555:255.255.255.255]",
         "[0000:1111:2222:3333:4444:5555:255.255.255.255]:"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i][0]);
        struct request r = accept(head);
        assert_text(r.host, good[i][1]);
        assert_text(r.authority, good[i][2]);
    }
}

static void test_a_malformed_host_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "a b",
                                      "a, b",
                                      "a/b",
                                      "a?b",
                                      "u@a",
                                      ":80",
                                      "a:b",
                                      "a:80:80",
                                      "a:+8",
                                      "a:65536",
                                      "a::80",
                                      "a%4",
                                      "a%",
                                      "a%4g",
                                      "a\"b",
                                      "a#b",
                                      "a[b]",
                                      "[]",
                                      "[::1",
                                      "::1",
                                      "[::1]a",
                                      "[::1]80",
                                      "[g]",
                                      "[1.2.3.4]",
                                      "[::1%25eth0]",
                                      "[v1.a]",
                                      "a\xc3\xa9",
                                      "http://a",
                                      "a\\b",
                                      "[::1]:x",
                                      "]",
                                      "[",
                                      "[::]]",
                                      "a:99999999999999999999",
                                      "[0000:1111:2222:3333:4444:5555:255.255.255.2555]",
                                      "[00000:1111:2222:3333:4444:5555:6666:7777:8888:9999]"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        for (int minor = 0; minor < 2; minor++) {
            char head[256];
            snprintf(head, sizeof head, "GET / HTTP/1.%d\r\nHost: %s\r\n\r\n", minor, bad[i]);
            refuse(head, 400);
        }
}

static void test_a_request_of_1_1_has_exactly_one_host(void **state)
{
    (void)state;
    refuse("GET / HTTP/1.1\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nX: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
    refuse("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n", 400);
    refuse("OPTIONS * HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", 400);
    refuse("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400);
}

/* ---- Connection, Expect, repetition ---- */

static bool keeps_alive(int minor, const char *lines)
{
    char head[256];
    snprintf(head, sizeof head, "GET / HTTP/1.%d\r\nHost: a\r\n%s\r\n", minor, lines);
    return accept(head).keep_alive;
}

static void test_keep_alive_is_as_version_and_connection_say(void **state)
{
    (void)state;
    assert_true(keeps_alive(1, ""));
    assert_true(keeps_alive(2, ""));
    assert_true(keeps_alive(1, "Connection: keep-alive\r\n"));
    assert_true(keeps_alive(1, "Connection: closed, Upgrade, , x y\r\n"));
    assert_true(keeps_alive(1, "Connection:\r\n"));
    assert_true(keeps_alive(1, "Proxy-Connection: close\r\n"));
    assert_false(keeps_alive(1, "Connection: close\r\n"));
    assert_false(keeps_alive(1, "connection:Upgrade ,\tCLOSE\t,x\r\n"));
    assert_false(keeps_alive(1, "Connection: close\r\nConnection: keep-alive\r\n"));
    assert_false(keeps_alive(1, "Connection: keep-alive\r\nX: y\r\nConnection: close\r\n"));
    assert_false(keeps_alive(0, ""));
    assert_false(keeps_alive(0, "Connection: keep-alives\r\n"));
    assert_true(keeps_alive(0, "Connection: Keep-Alive\r\n"));
    assert_true(keeps_alive(0, "Connection: x\r\nConnection: y,keep-alive\r\n"));
    assert_false(keeps_alive(0, "Connection: keep-alive, close\r\n"));
}

static void test_a_continue_is_expected_in_1_1_only(void **state)
{
    (void)state;
    assert_true(accept_field("Expect: 100-continue\r\nContent-Length: 5").expects_continue);
    assert_true(accept_field("expect: x, 100-Continue").expects_continue);
    assert_false(accept_field("Expect: 100-continues").expects_continue);
    assert_false(accept_field("X-Expect: 100-continue").expects_continue);
    assert_false(accept("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expects_continue);
}

static void test_a_repeated_condition_or_range_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"If-Modified-Since", "If-Range", "If-Unmodified-Since", "Range"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s: \"1\"\r\n%s: \"1\"", names[i], names[i]);
        refuse_field(line, 400);
        snprintf(line, sizeof line, "%s:\r\n%s: 2", names[i], names[i]);
        refuse_field(line, 400);
    }
}

/* RFC 9110 section 5.3: lists may be split over several fields. */
static void test_a_list_of_tags_may_be_split_over_fields(void **state)
{
    (void)state;
    struct request r = accept_field("If-Match: \"1\"\r\nIf-None-Match: \"2\"\r\nIf-Match: \"3\"\r\nIf-None-Match: *");
    assert_text(r.if_match[0], "\"1\"");
    assert_text(r.if_match[1], "\"3\"");
    assert_text(r.if_none_match[0], "\"2\"");
    assert_text(r.if_none_match[1], "*");
    assert_text(r.if_match[2], NULL);
    refuse_field("If-Match: 1\r\nIf-Match: 2\r\nIf-Match: 3\r\nIf-Match: 4\r\nIf-Match: 5", 400);
}

static void test_of_other_repeated_fields_the_first_counts(void **state)
{
    (void)state;
    struct request r = accept_field("Accept-Encoding: gzip\r\nReferer: a\r\nUser-Agent: b\r\n"
                                    "Accept-Encoding: br\r\nReferer: c\r\nUser-Agent: d");
    assert_text(r.accept_encoding, "gzip");
    assert_text(r.referer, "a");
    assert_text(r.user_agent, "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_white_space_around_a_value_is_taken_off),
        cmocka_unit_test(test_a_malformed_field_line_is_refused),
        cmocka_unit_test(test_a_name_may_hold_no_byte_but_those_of_a_token),
        cmocka_unit_test(test_a_value_may_hold_any_byte_but_controls),
        cmocka_unit_test(test_bare_lf_is_no_line_end),
        cmocka_unit_test(test_a_good_host_is_split_from_its_port),
        cmocka_unit_test(test_a_malformed_host_is_refused),
        cmocka_unit_test(test_a_request_of_1_1_has_exactly_one_host),
        cmocka_unit_test(test_keep_alive_is_as_version_and_connection_say),
        cmocka_unit_test(test_a_continue_is_expected_in_1_1_only),
        cmocka_unit_test(test_a_repeated_condition_or_range_is_refused),
        cmocka_unit_test(test_a_list_of_tags_may_be_split_over_fields),
        cmocka_unit_test(test_of_other_repeated_fields_the_first_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
