/* request_line_test.c — what the head parser promises of request lines and targets. */
#include "tests/unit/worker/request_cases.h"

/* ---- Request line ---- */

static void test_methods_are_told_apart(void **state)
{
    (void)state;
    static const char *const others[] = {"POST", "PUT", "DELETE", "PATCH", "TRACE"};
    static const char *const unknown[] = {"get", "Get", "GETT", "GE", "PROPFIND", "M-SEARCH", "!#$%&'*+-.^_`|~0"};
    assert_int_equal(accept_target("GET", "/").method, METHOD_GET);
    assert_int_equal(accept_target("HEAD", "/").method, METHOD_HEAD);
    assert_int_equal(accept_target("OPTIONS", "/").method, METHOD_OPTIONS);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(accept_target(others[i], "/").method, METHOD_OTHER);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(accept_target(unknown[i], "/").method, METHOD_UNKNOWN);
    assert_int_equal(accept_target("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF", "/").method, METHOD_UNKNOWN);
    refuse_target("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", "/", 501);
}

static void test_a_malformed_method_is_refused(void **state)
{
    (void)state;
    static const char *const methods[] = {"", " GET", "G:ET", "GET\t", "(GET)", "G\xc3\x89T", "\"GET\"", "GE\rT", "\n"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        refuse_target(methods[i], "/", 400);
}

/* The client may be waiting for us, and would wait for a timeout. */
static void test_garbage_is_refused_at_its_first_bytes(void **state)
{
    (void)state;
    static const char *const garbage[] = {"\x16\x03\x01\x02", "\n",   "{\"a\":1}", "SSH-2.0-x\r\n",
                                          "EHLO x\r\n",       "\x80", " GET /",    "QUIT\r\n",
                                          "\r\n\r\n",         "\rG"};
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++)
        refuse(garbage[i], 400);
    refuse_bytes("\0\0\0\0", 4, 400);
    struct refusal refusal;
    size_t taken;
    assert_int_equal(parse_stepwise("\x16\x03\x01\x02", 4, 1, 1, &limits, &refusal, &taken), REQUEST_REFUSED);
    assert_int_equal(taken, 1);
    char endless[4096];
    memset(endless, 'A', sizeof endless);
    assert_int_equal(parse_stepwise(endless, sizeof endless, 1, 1, &limits, &refusal, &taken), REQUEST_REFUSED);
    assert_int_equal(taken, 33);
    assert_int_equal(refusal.status, 501);
}

static void test_one_empty_line_before_the_request_is_skipped(void **state)
{
    (void)state;
    struct request r = accept("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_text(r.line, "GET / HTTP/1.1");
    refuse("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refuse("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refuse("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400);
}

static void test_a_malformed_request_line_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        "GET\t/ HTTP/1.1",
        "GET /\tHTTP/1.1",
        "GET / a HTTP/1.1",
        "GET /",
        "GET / ",
        "GET",
        "GET ",
        "GET HTTP/1.1",
        "GET / HTTP/1.1\r",
        "GET / HTTP/1",
        "GET / HTTP/1.",
        "GET / HTTP/.1",
        "GET / HTTP/1.10",
        "GET / HTTP/11.1",
        "GET / http/1.1",
        "GET / HTTP 1.1",
        "GET / HTTP/1,1",
        "GET / HTTP/a.1",
        "GET / HTTP/1.b",
        "GET / HTTP/+1.1",
        "GET / HTTPS/1.1",
        "GET / ICY/1.1",
        "GET / XHTTP/1.1",
        "GET / HTTP/1.1#",
        "GET / HTTP/ 1.1",
        "GET / HTTP/2",
        "GET / HTTP/1.1 HTTP/1.1",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char head[256];
        snprintf(head, sizeof head, "%s\r\nHost: a\r\n\r\n", lines[i]);
        refuse(head, 400);
    }
}

static void test_versions_are_judged(void **state)
{
    (void)state;
    assert_int_equal(accept("GET / HTTP/1.2\r\nHost: a\r\n\r\n").minor_version, 1);
    assert_int_equal(accept("GET / HTTP/1.9\r\nHost: a\r\n\r\n").minor_version, 1);
    refuse("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505);
    refuse("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505);
    refuse("GET / HTTP/3.1\r\nHost: a\r\n\r\n", 505);
    refuse("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

static void test_the_line_of_a_refused_request_is_told_if_it_was_understood(void **state)
{
    (void)state;
    struct request request;
    struct refusal refusal;
    const char *understood = "GET /x HTTP/1.0\r\nA b: c\r\n\r\n", *not = "GET /x\r\n\r\n";
    assert_int_equal(parse_once(understood, strlen(understood), &request, &refusal), REQUEST_REFUSED);
    assert_text(request.line, "GET /x HTTP/1.0");
    assert_int_equal(request.minor_version, 0);
    assert_int_equal(parse_once(not, strlen(not ), &request, &refusal), REQUEST_REFUSED);
    assert_text(request.line, NULL);
}

/* ---- Target ---- */

static void test_a_target_may_hold_what_browsers_send(void **state)
{
    (void)state;
    const char *odd = "/a|b^c\"d{e}f`g\\h[i]<j>;k=l,m~n!$&'()*+@:%zz";
    assert_text(accept_target("GET", odd).path, odd);
}

static void test_a_target_with_any_other_byte_is_refused(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char head[] = "GET /ab?c HTTP/1.1\r\nHost: a\r\n\r\n";
        head[6] = (char)byte;
        if (byte > ' ' && byte < 0x7f && byte != '#')
            accept_bytes(head, sizeof head - 1);
        else
            refuse_bytes(head, sizeof head - 1, 400);
    }
}

static void test_an_empty_query_is_not_an_absent_one(void **state)
{
    (void)state;
    struct request r = accept_target("GET", "/a?");
    assert_text(r.path, "/a");
    assert_text(r.query, "");
    assert_text(accept_target("GET", "/a").query, NULL);
}

static void test_an_absolute_target_overrides_host(void **state)
{
    (void)state;
    struct request r = accept_target("GET", "http://Other:8080/p?q");
    assert_text(r.host, "Other");
    assert_text(r.authority, "Other:8080");
    assert_text(r.path, "/p");
    assert_text(r.query, "q");
    r = accept_target("GET", "HTTPS://[::1]?q/http://x");
    assert_text(r.host, "[::1]");
    assert_text(r.path, "/");
    assert_text(r.query, "q/http://x");
    r = accept_target("GET", "http://other");
    assert_text(r.host, "other");
    assert_text(r.path, "/");
    assert_text(r.query, NULL);
    r = accept("GET http://other/ HTTP/1.0\r\n\r\n");
    assert_text(r.host, "other");
    r = accept("GET http://other/ HTTP/1.1\r\nHost:\r\n\r\n");
    assert_text(r.host, "other");
}

static void test_an_absolute_target_does_not_excuse_a_bad_host(void **state)
{
    (void)state;
    refuse("GET http://other/ HTTP/1.1\r\n\r\n", 400);
    refuse("GET http://other/ HTTP/1.1\r\nHost: a b\r\n\r\n", 400);
    refuse("GET http://other/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400);
}

static void test_a_target_in_no_form_is_refused(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "a",           "http:/a/",   "http://",  "http:///p",       "http://?q",    "http://u@a/",
        "http://a:x/", "http://:80", "ftp://a/", "http://a:65536/", "http://[::1/", "?q",
        "*",           "**",         "a:80",     "http://a\\b",     "//[",          "file:///etc/hosts",
        "http://u:p@a"};
    for (size_t i = 0; i < sizeof targets / sizeof targets[0]; i++)
        if (strcmp(targets[i], "//[") == 0)
            assert_text(accept_target("GET", targets[i]).path, "//[");
        else
            refuse_target("GET", targets[i], 400);
}

static void test_the_asterisk_is_for_options_only(void **state)
{
    (void)state;
    struct request r = accept_target("OPTIONS", "*");
    assert_text(r.path, "*");
    assert_text(r.host, "field");
    assert_text(accept("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n").host, "");
    refuse_target("GET", "*", 400);
    refuse_target("PROPFIND", "*", 400);
    refuse_target("OPTIONS", "*?", 400);
}

static void test_an_authority_is_for_connect_only(void **state)
{
    (void)state;
    struct request r = accept_target("CONNECT", "other:443");
    assert_int_equal(r.method, METHOD_OTHER);
    assert_text(r.path, NULL);
    assert_text(r.host, "field");
    refuse_target("CONNECT", "other", 400);
    refuse_target("CONNECT", "other:", 400);
    refuse_target("CONNECT", "/", 400);
    refuse_target("GET", "other:443", 400);
    refuse_target("POST", "other:443", 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_methods_are_told_apart),
        cmocka_unit_test(test_a_malformed_method_is_refused),
        cmocka_unit_test(test_garbage_is_refused_at_its_first_bytes),
        cmocka_unit_test(test_one_empty_line_before_the_request_is_skipped),
        cmocka_unit_test(test_a_malformed_request_line_is_refused),
        cmocka_unit_test(test_versions_are_judged),
        cmocka_unit_test(test_the_line_of_a_refused_request_is_told_if_it_was_understood),
        cmocka_unit_test(test_a_target_may_hold_what_browsers_send),
        cmocka_unit_test(test_a_target_with_any_other_byte_is_refused),
        cmocka_unit_test(test_an_empty_query_is_not_an_absent_one),
        cmocka_unit_test(test_an_absolute_target_overrides_host),
        cmocka_unit_test(test_an_absolute_target_does_not_excuse_a_bad_host),
        cmocka_unit_test(test_a_target_in_no_form_is_refused),
        cmocka_unit_test(test_the_asterisk_is_for_options_only),
        cmocka_unit_test(test_an_authority_is_for_connect_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
