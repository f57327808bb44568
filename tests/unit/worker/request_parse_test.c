/* request_parse_test.c — what the head parser promises of whole heads, of limits, and of what two fields say together.
 */
#include "tests/unit/worker/request_cases.h"

/* ---- The whole ---- */

static void test_a_browsers_request_is_understood(void **state)
{
    (void)state;
    struct request r = accept("GET /a/b%20c.html?x=1&y=? HTTP/1.1\r\n"
                              "Host: www.example.org:8000\r\n"
                              "Connection: keep-alive\r\n"
                              "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
                              "accept-encoding: gzip, deflate, br, zstd\r\n"
                              "REFERER: http://www.example.org/\r\n"
                              "If-Match: \"1\"\r\nIf-None-Match: W/\"2\", \"3\"\r\n"
                              "If-Modified-Since: Sat, 29 Oct 1994 19:43:31 GMT\r\n"
                              "If-Unmodified-Since: Sat, 29 Oct 1994 19:43:32 GMT\r\n"
                              "If-Range: \"4\"\r\nRange: bytes=0-4\r\n"
                              "Cookie: a=b; caf\xc3\xa9=1\r\n\r\n");
    assert_int_equal(r.method, METHOD_GET);
    assert_int_equal(r.minor_version, 1);
    assert_text(r.line, "GET /a/b%20c.html?x=1&y=? HTTP/1.1");
    assert_text(r.target, "/a/b%20c.html?x=1&y=?");
    assert_text(r.path, "/a/b%20c.html");
    assert_text(r.query, "x=1&y=?");
    assert_text(r.host, "www.example.org");
    assert_text(r.authority, "www.example.org:8000");
    assert_text(r.user_agent, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)");
    assert_text(r.accept_encoding, "gzip, deflate, br, zstd");
    assert_text(r.referer, "http://www.example.org/");
    assert_text(r.if_match[0], "\"1\"");
    assert_text(r.if_none_match[0], "W/\"2\", \"3\"");
    assert_text(r.if_modified_since, "Sat, 29 Oct 1994 19:43:31 GMT");
    assert_text(r.if_unmodified_since, "Sat, 29 Oct 1994 19:43:32 GMT");
    assert_text(r.if_range, "\"4\"");
    assert_text(r.range, "bytes=0-4");
    assert_int_equal(r.body, BODY_NONE);
    assert_false(r.expects_continue);
    assert_true(r.keep_alive);
}

static void test_what_was_not_sent_is_absent(void **state)
{
    (void)state;
    struct request r = accept("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(r.minor_version, 0);
    assert_text(r.path, "/");
    assert_text(r.query, NULL);
    assert_text(r.host, NULL);
    assert_text(r.authority, NULL);
    assert_text(r.range, NULL);
    assert_text(r.user_agent, NULL);
    assert_false(r.keep_alive);
}

static void test_names_that_resemble_known_ones_are_others(void **state)
{
    (void)state;
    struct request r = accept("GET / HTTP/1.1\r\nHost: a\r\nHosts: b\r\nHos: c\r\nHosu: d\r\nContent_Length: 5\r\n"
                              "If-Matcg: 1\r\nTransfer\x7e"
                              "Encoding: chunked\r\nX-If-Unmodified-Since-X: 1\r\nX: 1\r\n\r\n");
    assert_text(r.host, "a");
    assert_text(r.if_match[0], NULL);
    assert_int_equal(r.body, BODY_NONE);
}

static void test_requests_in_one_buffer_are_found_one_behind_the_other(void **state)
{
    (void)state;
    const char *two = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: b\r\n\r\n";
    struct request request;
    struct refusal refusal;
    char *copy = exact_copy(two, strlen(two));
    assert_int_equal(parse_once(copy, strlen(two), &request, &refusal), REQUEST_WHOLE);
    assert_text(request.path, "/1");
    size_t first = request.head_bytes;
    assert_int_equal(parse_once(copy + first, strlen(two) - first, &request, &refusal), REQUEST_WHOLE);
    assert_text(request.path, "/2");
    assert_text(request.host, "b");
    assert_int_equal(first + request.head_bytes, strlen(two));
    free(copy);
}

/* ---- Limits ---- */

/* A head whose target has TARGET bytes and which has HEAD bytes in all; the caller frees it. */
static char *sized_head(size_t target, size_t head)
{
    char *bytes = malloc(head + 1);
    assert_non_null(bytes);
    int line = snprintf(bytes, head + 1, "GET /%0*d HTTP/1.1\r\nHost: a\r\nX: ", (int)target - 1, 0);
    assert_true((size_t)line + 4 <= head);
    memset(bytes + line, 'x', head - (size_t)line - 4);
    memcpy(bytes + head - 4, "\r\n\r\n", 5);
    return bytes;
}

static void assert_sized(size_t target, size_t head, size_t step, enum request_verdict expected, int status,
                         size_t when)
{
    struct refusal refusal = {0, NULL};
    size_t taken;
    char *bytes = sized_head(target, head);
    assert_int_equal(parse_stepwise(bytes, head, 1, step, &limits, &refusal, &taken), expected);
    assert_int_equal(refusal.status, status);
    if (when > 0)
        assert_int_equal(taken, when);
    free(bytes);
}

static void test_a_head_of_just_the_limit_is_read(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 16384; step = step * 3 + 1)
        assert_sized(10, 16384, step, REQUEST_WHOLE, 0, 16384);
    assert_sized(8192, 16384, 1, REQUEST_WHOLE, 0, 16384);
}

/* At the limit and not one byte later: a caller's buffer may hold no more. */
static void test_a_head_over_the_limit_is_431_once_that_is_sure(void **state)
{
    (void)state;
    assert_sized(10, 16385, 1, REQUEST_REFUSED, 431, 16384);
    assert_sized(10, 16385, 16384, REQUEST_REFUSED, 431, 16385);
    assert_sized(10, 30000, 1, REQUEST_REFUSED, 431, 16384);
    assert_sized(10, 30000, 40000, REQUEST_REFUSED, 431, 30000);
}

static void test_a_target_over_the_limit_is_414_once_that_is_sure(void **state)
{
    (void)state;
    assert_sized(8192, 8300, 1, REQUEST_WHOLE, 0, 8300);
    assert_sized(8193, 8300, 1, REQUEST_REFUSED, 414, strlen("GET ") + 8193);
    assert_sized(8193, 16384, 20000, REQUEST_REFUSED, 414, 0);
    assert_sized(16000, 20000, 5000, REQUEST_REFUSED, 414, 10001);
    assert_sized(20000, 30000, 40000, REQUEST_REFUSED, 414, 0);
}

/* Whoever looked at all of it each time would cost 134 MB of reading for 16 kB: a byte that was looked at is spoiled
 * meanwhile, and nobody notices. */
static void test_a_head_in_small_pieces_is_not_parsed_anew_at_each(void **state)
{
    (void)state;
    char *bytes = sized_head(10, 8000);
    struct request request;
    struct refusal refusal;
    size_t scanned = 0;
    for (size_t given = 1; given < 8000; given++) {
        if (given == 128)
            bytes[40] = '\x01';
        assert_int_equal(request_parse(bytes, given, &limits, &scanned, &request, &refusal), REQUEST_PARTIAL);
        assert_int_equal(scanned, given);
    }
    bytes[40] = 'x';
    assert_int_equal(request_parse(bytes, 8000, &limits, &scanned, &request, &refusal), REQUEST_WHOLE);
    free(bytes);
}

/* ---- The body's length ---- */

static void test_content_length_is_a_number_and_nothing_else(void **state)
{
    (void)state;
    struct request r = accept_field("Content-Length: 18446744073709551615");
    assert_int_equal(r.body, BODY_LENGTH);
    assert_true(r.content_length == UINT64_MAX);
    assert_true(accept_field("content-length:007").content_length == 7);
    r = accept_field("Content-Length: 0");
    assert_int_equal(r.body, BODY_NONE);
    assert_true(r.content_length == 0);
    static const char *const bad[] = {"",    "+5",   "-5",    "5,5", "5, 5",
                                      "5 5", "0x5",  "5a",    "a",   "18446744073709551616",
                                      "5;",  "5.0",  "\"5\"", ",5",  "184467440737095516150",
                                      "1e3", "\xb2", "5,",    "5_0", "99999999999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "Content-Length: %s", bad[i]);
        refuse_field(line, 400);
    }
}

static void test_two_lengths_are_refused_even_if_they_agree(void **state)
{
    (void)state;
    refuse_field("Content-Length: 5\r\nContent-Length: 5", 400);
    refuse_field("Content-Length: 0\r\nContent-Length: 0", 400);
    refuse_field("Content-Length: 5\r\ncontent-length: 6", 400);
    refuse_field("Content-Length:\r\nContent-Length: 6", 400);
}

static void test_content_length_with_transfer_encoding_is_refused(void **state)
{
    (void)state;
    refuse_field("Content-Length: 5\r\nTransfer-Encoding: chunked", 400);
    refuse_field("Transfer-Encoding: chunked\r\nContent-Length: 0", 400);
    refuse_field("Transfer-Encoding: gzip\r\nContent-Length: 0", 400);
    refuse_field("Transfer-Encoding:\r\nContent-Length: 5", 400);
}

static void test_chunked_alone_is_served(void **state)
{
    (void)state;
    assert_int_equal(accept_field("Transfer-Encoding: chunked").body, BODY_CHUNKED);
    assert_int_equal(accept_field("TRANSFER-ENCODING:CHUNKED ").body, BODY_CHUNKED);
}

static void test_another_transfer_coding_before_chunked_is_501(void **state)
{
    (void)state;
    refuse_field("Transfer-Encoding: gzip, chunked", 501);
    refuse_field("Transfer-Encoding: gzip;q=1,chunked", 501);
    refuse_field("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked", 501);
}

/* RFC 9112 section 6.3: the end of such a body cannot be known. */
static void test_a_body_that_does_not_end_in_chunked_is_400(void **state)
{
    (void)state;
    static const char *const endless[] = {"gzip", "chunked, gzip", "identity", "xchunked", "chunke", "gzip ; a=b"};
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "Transfer-Encoding: %s", endless[i]);
        refuse_field(line, 400);
    }
}

static void test_a_malformed_transfer_encoding_is_400(void **state)
{
    (void)state;
    static const char *const bad[] = {"",          "chunked, chunked", "chunked,",     ",chunked",
                                      ",",         "chunked;a=b",      "\"chunked\"",  "chunked chunked",
                                      "chunked ;", "chunked\t;",       "gzip chunked", "chun\xe9ked",
                                      "=",         "gzip,,chunked"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "Transfer-Encoding: %s", bad[i]);
        refuse_field(line, 400);
    }
    refuse_field("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", 400);
    refuse_field("Transfer-Encoding: chunked\r\nTransfer-Encoding:", 400);
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    refuse("POST / HTTP/1.0\r\nTransfer-Encoding: gzip\r\n\r\n", 400);
}

/* ---- Anything at all ---- */

/* However a head is spoiled, what is said of it does not depend on how it was cut, if only it ends. */
static void test_a_spoiled_head_gets_the_same_answer_however_it_is_cut(void **state)
{
    (void)state;
    static const char good[] = "POST http://a:1/b?c HTTP/1.1\r\nHost: [::1]:80\r\nTransfer-Encoding: chunked\r\n"
                               "Connection: close, x\r\nRange: bytes=1-2\r\nExpect: 100-continue\r\n\r\n\r\n\r\n";
    static const char spoilers[] = "\0\t\n\r \"#%,:;=[]/@\x7f\x80 09aA";
    char head[sizeof good];
    for (int round = 0; round < 20000; round++) {
        memcpy(head, good, sizeof good);
        for (int spoiled = rand() % 4; spoiled >= 0; spoiled--)
            head[(size_t)rand() % (sizeof good - 5)] = spoilers[(size_t)rand() % (sizeof spoilers - 1)];
        struct request request;
        struct refusal whole = {0, NULL}, cut = {0, NULL};
        size_t taken, first = 1 + (size_t)rand() % (sizeof good - 1), step = 1 + (size_t)rand() % 100;
        char *copy = exact_copy(head, sizeof good - 1);
        enum request_verdict expected = parse_once(copy, sizeof good - 1, &request, &whole);
        enum request_verdict verdict = parse_stepwise(head, sizeof good - 1, first, step, &limits, &cut, &taken);
        free(copy);
        assert_int_equal(verdict, expected);
        if (expected == REQUEST_REFUSED)
            assert_int_equal(cut.status, whole.status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_browsers_request_is_understood),
        cmocka_unit_test(test_what_was_not_sent_is_absent),
        cmocka_unit_test(test_names_that_resemble_known_ones_are_others),
        cmocka_unit_test(test_requests_in_one_buffer_are_found_one_behind_the_other),
        cmocka_unit_test(test_a_head_of_just_the_limit_is_read),
        cmocka_unit_test(test_a_head_over_the_limit_is_431_once_that_is_sure),
        cmocka_unit_test(test_a_target_over_the_limit_is_414_once_that_is_sure),
        cmocka_unit_test(test_a_head_in_small_pieces_is_not_parsed_anew_at_each),
        cmocka_unit_test(test_content_length_is_a_number_and_nothing_else),
        cmocka_unit_test(test_two_lengths_are_refused_even_if_they_agree),
        cmocka_unit_test(test_content_length_with_transfer_encoding_is_refused),
        cmocka_unit_test(test_chunked_alone_is_served),
        cmocka_unit_test(test_another_transfer_coding_before_chunked_is_501),
        cmocka_unit_test(test_a_body_that_does_not_end_in_chunked_is_400),
        cmocka_unit_test(test_a_malformed_transfer_encoding_is_400),
        cmocka_unit_test(test_a_spoiled_head_gets_the_same_answer_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
