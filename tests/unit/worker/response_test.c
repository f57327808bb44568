/* response_test.c — every request gets the answer that RFC 9110 gives it, from a real directory. */
#include "worker/response.h"

#include "tests/unit/worker/cmocka_all.h"
#include "tests/unit/worker/site_dir.h"

#include <sys/resource.h>

static struct site_dir site;
static struct reply reply;

static int set_up(void **state)
{
    (void)state;
    site_dir_make(&site);
    temp_dir_write(&site.dir, "hello.txt", "Hello, world");
    temp_dir_write(&site.dir, "empty.css", "");
    temp_dir_mkdir(&site.dir, "sub");
    temp_dir_write(&site.dir, "sub/index.html", "<p>index");
    temp_dir_mkdir(&site.dir, "bare");
    temp_dir_date(&site.dir, "hello.txt", 784111777);
    site_dir_open(&site);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    reply_free(&site, &reply);
    reply.wire = NULL;
    reply.response.file_fd = -1;
    site_dir_close(&site);
    return 0;
}

/* Too large to be copied beside the head. */
enum { LARGE_BYTES = FILE_COPY_BYTES_MAX + 1, VERY_LARGE_BYTES = 100000 };

static void write_large(void)
{
    static char bytes[LARGE_BYTES];
    memset(bytes, 'L', sizeof bytes);
    temp_dir_write_bytes(&site.dir, "large.txt", bytes, sizeof bytes);
}

static void ask_request(const struct request *request)
{
    if (reply.wire) {
        reply_free(&site, &reply);
    }
    reply = reply_to(&site, request);
    char length[256];
    bool has_length = reply_names(&reply, "Content-Length");
    if (has_length && request->method != METHOD_HEAD) {
        reply_field(&reply, "Content-Length", length);
        assert_int_equal(strtoul(length, NULL, 10), reply.body_bytes);
    }
    assert_int_equal(reply.response.body_bytes, reply.body_bytes);
    assert_true(has_length || reply.response.status == 304 || reply.response.status == 204);
    assert_true(reply_has(&reply, "Server: perdure"));
    assert_true(reply_names(&reply, "Date"));
}

static void ask(const char *target)
{
    struct request request = request_for(target);
    ask_request(&request);
}

static int status_of(const char *target)
{
    ask(target);
    return reply.response.status;
}

static void assert_body(const char *text)
{
    assert_int_equal(reply.body_bytes, strlen(text));
    assert_memory_equal(reply.body, text, reply.body_bytes);
}

/* ---- files ---- */

static void a_file_is_served_whole_with_all_its_fields(void **state)
{
    (void)state;
    ask("/hello.txt");
    assert_memory_equal(reply.wire, "HTTP/1.1 200 OK\r\n", 17);
    assert_true(reply_has(&reply, "Content-Type: text/plain; charset=utf-8"));
    assert_true(reply_has(&reply, "Content-Length: 12"));
    assert_true(reply_has(&reply, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"));
    assert_true(reply_has(&reply, "Accept-Ranges: bytes"));
    assert_false(reply_names(&reply, "Vary"));
    assert_false(reply_names(&reply, "Connection"));
    char etag[256];
    reply_field(&reply, "ETag", etag);
    assert_true(etag[0] == '"' && etag[strlen(etag) - 1] == '"');
    assert_body("Hello, world");
}

static void a_small_file_needs_nothing_but_the_desk(void **state)
{
    (void)state;
    ask("/hello.txt");
    assert_int_equal(reply.response.file_fd, -1);
    assert_int_equal(reply.response.parts_count, 1);
    assert_int_equal(reply.response.parts[0].file_bytes, 0);
    write_large();
    ask("/large.txt");
    assert_true(reply.response.file_fd >= 0);
    assert_non_null(reply.response.file_memory);
    assert_int_equal(reply.body_bytes, LARGE_BYTES);
}

static void the_largest_copy_fits_beside_the_longest_head(void **state)
{
    (void)state;
    char value[SITE_HEADERS_BYTES_MAX], bytes[FILE_COPY_BYTES_MAX];
    memset(value, 'v', sizeof value);
    value[sizeof value - 6] = '\0'; /* "X: " and CRLF */
    memset(bytes, 'b', sizeof bytes);
    temp_dir_write_bytes(&site.dir, "full", bytes, sizeof bytes);
    responder_close(site.responder);
    site.headers[0] = (struct header_setting){"X", value};
    site.site.headers = site.headers;
    site.site.headers_count = 1;
    site_dir_open(&site);
    ask("/full");
    assert_int_equal(reply.response.file_fd, -1);
    assert_int_equal(reply.body_bytes, sizeof bytes);
    assert_memory_equal(reply.body, bytes, sizeof bytes);
}

static void the_answer_begins_where_it_was_told_to(void **state)
{
    (void)state;
    ask("/hello.txt");
    assert_int_equal(reply.response.parts[0].memory_at, 100);
    assert_int_equal(reply.response.out_used, 100 + reply.response.parts[0].memory_bytes);
    assert_int_equal(reply.response.parts_count, 1);
}

static void an_empty_file_is_a_head_alone(void **state)
{
    (void)state;
    assert_int_equal(status_of("/empty.css"), 200);
    assert_true(reply_has(&reply, "Content-Length: 0"));
    assert_int_equal(reply.response.file_fd, -1);
    assert_body("");
}

static void head_is_get_without_the_body(void **state)
{
    (void)state;
    struct request request = request_for("/hello.txt");
    request.method = METHOD_HEAD;
    request.range = TEXT("bytes=0-1"); /* means nothing for HEAD */
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
    assert_true(reply_has(&reply, "Content-Length: 12"));
    assert_int_equal(reply.response.file_fd, -1);
    assert_body("");
    request = request_for("/none");
    request.method = METHOD_HEAD;
    ask_request(&request);
    assert_int_equal(reply.response.status, 404);
    assert_body("");
}

/* A file too large to be held in memory; for free(3). */
static char *write_very_large(void)
{
    char *bytes = malloc(VERY_LARGE_BYTES);
    for (int i = 0; i < VERY_LARGE_BYTES; i++) {
        bytes[i] = (char)(i * 7 + i / 256);
    }
    temp_dir_write_bytes(&site.dir, "large.bin", bytes, VERY_LARGE_BYTES);
    return bytes;
}

static void a_large_file_is_sent_from_its_descriptor(void **state)
{
    (void)state;
    char *bytes = write_very_large();
    assert_int_equal(status_of("/large.bin"), 200);
    assert_null(reply.response.file_memory);
    assert_int_equal(fcntl(reply.response.file_fd, F_GETFD), 0); /* no close-on-exec */
    assert_int_equal(reply.body_bytes, VERY_LARGE_BYTES);
    assert_memory_equal(reply.body, bytes, VERY_LARGE_BYTES);
    free(bytes);
}

static void a_file_replaced_while_it_is_sent_stays_what_it_was(void **state)
{
    (void)state;
    write_large();
    struct request request = request_for("/large.txt");
    struct reply old = reply_to(&site, &request);
    temp_dir_replace(&site.dir, "large.txt", "Something else");
    ask("/large.txt");
    assert_body("Something else");
    assert_memory_equal(old.response.file_memory, "LLLL", 4);
    char bytes[4];
    assert_int_equal(pread(old.response.file_fd, bytes, 4, LARGE_BYTES - 4), 4);
    assert_memory_equal(bytes, "LLLL", 4);
    reply_free(&site, &old);
}

static void a_file_from_the_future_is_said_to_be_from_now(void **state)
{
    (void)state;
    temp_dir_date(&site.dir, "hello.txt", 4102444800); /* 2100 */
    ask("/hello.txt");
    char modified[256], date[256];
    time_t modified_seconds, date_seconds;
    reply_field(&reply, "Last-Modified", modified);
    reply_field(&reply, "Date", date);
    assert_true(http_date_read((struct text){modified, strlen(modified)}, 0, &modified_seconds));
    assert_true(http_date_read((struct text){date, strlen(date)}, 0, &date_seconds));
    assert_true(modified_seconds <= date_seconds);
}

static void what_is_not_there_is_404(void **state)
{
    (void)state;
    assert_int_equal(status_of("/none"), 404);
    assert_true(reply_has(&reply, "Content-Type: text/html; charset=utf-8"));
    assert_non_null(strstr(reply.body, "404 Not Found"));
    assert_int_equal(status_of("/hello.txt/"), 404);
    assert_int_equal(status_of("/hello.txt/x"), 404);
    assert_int_equal(status_of("/none/"), 404);
    assert_int_equal(status_of("/.hidden"), 404);
}

static void what_is_no_path_is_400(void **state)
{
    (void)state;
    assert_int_equal(status_of("/%00"), 400);
    assert_int_equal(status_of("/%zz"), 400);
    assert_int_equal(status_of("/../etc/passwd"), 400);
    assert_int_equal(status_of("*"), 400);
}

static void what_is_no_regular_file_is_403_and_never_hangs(void **state)
{
    (void)state;
    alarm(10);
    mkfifoat(site.dir.fd, "fifo", 0644);
    assert_int_equal(status_of("/fifo"), 403);
    alarm(0);
}

static void a_link_out_of_the_root_is_404(void **state)
{
    (void)state;
    temp_dir_link(&site.dir, "/etc/passwd", "passwd");
    temp_dir_link(&site.dir, "hello.txt", "in");
    assert_int_equal(status_of("/passwd"), 404);
    assert_int_equal(status_of("/in"), 200);
}

/* ---- methods and connections ---- */

static int status_of_method(enum method method)
{
    struct request request = request_for("/hello.txt");
    request.method = method;
    ask_request(&request);
    return reply.response.status;
}

static void other_methods_are_405_and_unknown_ones_501(void **state)
{
    (void)state;
    assert_int_equal(status_of_method(METHOD_OTHER), 405);
    assert_true(reply_has(&reply, "Allow: GET, HEAD, OPTIONS"));
    assert_int_equal(status_of_method(METHOD_UNKNOWN), 501);
}

static void options_says_what_is_allowed(void **state)
{
    (void)state;
    assert_int_equal(status_of_method(METHOD_OPTIONS), 204);
    assert_true(reply_has(&reply, "Allow: GET, HEAD, OPTIONS"));
    assert_false(reply_names(&reply, "Content-Length"));
    struct request request = request_for("*");
    request.method = METHOD_OPTIONS;
    ask_request(&request);
    assert_int_equal(reply.response.status, 204);
}

static void the_connection_field_follows_version_and_wish(void **state)
{
    (void)state;
    static const char *const targets[] = {"/hello.txt", "/none", "/sub"};
    for (size_t i = 0; i < 3; i++) {
        struct request request = request_for(targets[i]);
        request.keep_alive = false;
        ask_request(&request);
        assert_true(reply.response.must_close);
        assert_true(reply_has(&reply, "Connection: close"));
        request.minor_version = 0;
        request.keep_alive = true;
        ask_request(&request);
        assert_false(reply.response.must_close);
        assert_true(reply_has(&reply, "Connection: keep-alive"));
    }
}

static void how_long_it_is_kept_is_told_of_a_kept_one_only(void **state)
{
    (void)state;
    static const char *const targets[] = {"/hello.txt", "/none", "/sub"};
    site.responder->stamp = (struct head_stamp){.keep_alive_s = 64};
    for (size_t i = 0; i < 3; i++) {
        struct request request = request_for(targets[i]);
        request.keep_alive = true;
        ask_request(&request);
        assert_true(reply_has(&reply, "Keep-Alive: timeout=64"));
        request.keep_alive = false;
        ask_request(&request);
        assert_false(reply_names(&reply, "Keep-Alive"));
    }
}

static void a_second_less_is_announced_and_less_than_one_is_not(void **state)
{
    (void)state;
    assert_int_equal(keep_alive_seconds(65000), 64);
    assert_int_equal(keep_alive_seconds(2999), 1);
    assert_int_equal(keep_alive_seconds(2000), 1);
    assert_int_equal(keep_alive_seconds(1999), 0);
    assert_int_equal(keep_alive_seconds(10), 0);
    assert_int_equal(keep_alive_seconds(24ULL * 3600 * 1000), 86399);
}

static void the_callers_wish_to_close_is_told(void **state)
{
    (void)state;
    struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN, .must_close = true};
    struct request request = request_for("/empty.css");
    respond(site.responder, &request, &response);
    assert_true(response.must_close);
    assert_non_null(memmem(response.out, response.out_used, "\r\nConnection: close\r\n", 21));
}

static void an_error_without_a_request_closes(void **state)
{
    (void)state;
    struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
    respond_error(site.responder, NULL, 431, &response);
    assert_int_equal(response.status, 431);
    assert_true(response.must_close);
    assert_int_equal(response.file_fd, -1);
    assert_memory_equal(response.out, "HTTP/1.1 431 Request Header Fields Too Large\r\n", 46);
    assert_non_null(memmem(response.out, response.out_used, "\r\nConnection: close\r\n", 21));
}

static void every_status_that_can_be_asked_for_has_a_page(void **state)
{
    (void)state;
    static const int codes[] = {400, 403, 404, 405, 408, 413, 414, 416, 417, 431, 500, 501, 503, 505};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
        respond_error(site.responder, NULL, codes[i], &response);
        assert_int_equal(response.status, codes[i]);
        assert_true(response.body_bytes > 100 && response.out_used < RESPONSE_OUT_MIN / 2);
    }
    struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
    respond_error(site.responder, NULL, 799, &response);
    assert_int_equal(response.status, 500);
}

/* ---- preconditions and ranges ---- */

static void a_client_that_has_it_is_told_so(void **state)
{
    (void)state;
    char etag[256];
    ask("/hello.txt");
    reply_field(&reply, "ETag", etag);
    struct request request = request_for("/hello.txt");
    request.if_none_match[0] = (struct text){etag, strlen(etag)};
    ask_request(&request);
    assert_int_equal(reply.response.status, 304);
    assert_body("");
    assert_true(reply_names(&reply, "ETag"));
    assert_false(reply_names(&reply, "Content-Length"));
    assert_false(reply_names(&reply, "Content-Type"));
    assert_int_equal(reply.response.file_fd, -1);
    temp_dir_replace(&site.dir, "hello.txt", "Something else");
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
}

static void a_failed_precondition_is_412(void **state)
{
    (void)state;
    struct request request = request_for("/hello.txt");
    request.if_match[0] = TEXT("\"other\"");
    ask_request(&request);
    assert_int_equal(reply.response.status, 412);
    request = request_for("/none");
    request.if_match[0] = TEXT("\"other\"");
    ask_request(&request);
    assert_int_equal(reply.response.status, 404);
}

static int status_of_range(const char *range)
{
    struct request request = request_for("/hello.txt");
    request.range = (struct text){range, strlen(range)};
    ask_request(&request);
    return reply.response.status;
}

static void one_range_is_a_206_of_its_bytes(void **state)
{
    (void)state;
    assert_int_equal(status_of_range("bytes=7-"), 206);
    assert_true(reply_has(&reply, "Content-Range: bytes 7-11/12"));
    assert_true(reply_has(&reply, "Content-Type: text/plain; charset=utf-8"));
    assert_true(reply_names(&reply, "ETag"));
    assert_body("world");
    assert_int_equal(status_of_range("bytes=0-0, 500-"), 206);
    assert_body("H");
}

static void a_range_behind_the_end_is_416(void **state)
{
    (void)state;
    assert_int_equal(status_of_range("bytes=12-"), 416);
    assert_true(reply_has(&reply, "Content-Range: bytes */12"));
}

static void a_range_of_a_state_that_is_gone_is_the_whole_file(void **state)
{
    (void)state;
    struct request request = request_for("/hello.txt");
    request.range = TEXT("bytes=0-1");
    request.if_range = TEXT("\"gone\"");
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
    assert_body("Hello, world");
    request.if_range = TEXT("Sun, 06 Nov 1994 08:49:37 GMT");
    ask_request(&request);
    assert_int_equal(reply.response.status, 206);
    assert_body("He");
}

/* A part of a multipart answer. */
struct piece {
    unsigned first, last;
    const char *bytes;
};

static void assert_multipart(const struct piece *pieces, size_t count, unsigned file_bytes)
{
    char type[256], expected[2048];
    reply_field(&reply, "Content-Type", type);
    static const char prefix[] = "multipart/byteranges; boundary=";
    assert_memory_equal(type, prefix, strlen(prefix));
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(expected + used, sizeof expected - used,
                                 "--%s\r\nContent-Type: text/plain; charset=utf-8\r\n"
                                 "Content-Range: bytes %u-%u/%u\r\n\r\n%s\r\n",
                                 type + strlen(prefix), pieces[i].first, pieces[i].last, file_bytes, pieces[i].bytes);
    }
    snprintf(expected + used, sizeof expected - used, "--%s--\r\n", type + strlen(prefix));
    assert_body(expected);
}

static void several_ranges_are_one_multipart_answer(void **state)
{
    (void)state;
    assert_int_equal(status_of_range("bytes=7-11,0-4,5-5"), 206);
    assert_int_equal(reply.response.parts_count, 1); /* of a small file, all of it is on the desk */
    assert_int_equal(reply.response.file_fd, -1);
    assert_false(reply_names(&reply, "Content-Range"));
    assert_multipart((struct piece[]){{7, 11, "world"}, {0, 4, "Hello"}, {5, 5, ","}}, 3, 12);
}

static void several_ranges_of_a_large_file_are_several_parts(void **state)
{
    (void)state;
    write_large();
    struct request request = request_for("/large.txt");
    request.range = TEXT("bytes=4000-4002,0-1");
    ask_request(&request);
    assert_int_equal(reply.response.parts_count, 3);
    assert_multipart((struct piece[]){{4000, 4002, "LLL"}, {0, 1, "LL"}}, 2, LARGE_BYTES);
}

static void ask_range(const char *path, const char *range)
{
    struct request request = request_for(path);
    request.range = (struct text){range, strlen(range)};
    ask_request(&request);
}

static void a_small_range_of_a_large_file_is_read_at_once(void **state)
{
    (void)state;
    char *bytes = write_very_large();
    ask_range("/large.bin", "bytes=50000-54095");
    assert_int_equal(reply.response.status, 206);
    assert_int_equal(reply.response.file_fd, -1);
    assert_int_equal(reply.response.parts[0].file_bytes, 0);
    assert_int_equal(reply.body_bytes, FILE_COPY_BYTES_MAX);
    assert_memory_equal(reply.body, bytes + 50000, FILE_COPY_BYTES_MAX);
    ask_range("/large.bin", "bytes=50000-54096");
    assert_true(reply.response.file_fd >= 0);
    assert_memory_equal(reply.body, bytes + 50000, FILE_COPY_BYTES_MAX + 1);
    free(bytes);
}

static void a_small_range_behind_the_end_that_a_file_has_now_is_for_the_sender_to_find(void **state)
{
    (void)state;
    site.settings.file_cache_valid_ms = 3600000;
    char *bytes = write_very_large();
    ask_range("/large.bin", "bytes=0-0");
    assert_int_equal(reply.response.file_fd, -1);
    int fd = openat(site.dir.fd, "large.bin", O_WRONLY | O_CLOEXEC);
    assert_int_equal(ftruncate(fd, 50010), 0);
    close(fd);
    struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
    struct request request = request_for("/large.bin");
    request.range = TEXT("bytes=50000-50099");
    respond(site.responder, &request, &response);
    assert_int_equal(response.status, 206);
    assert_true(response.file_fd >= 0);
    assert_int_equal(response.parts[0].file_bytes, 100);
    file_cache_release(site.responder, response.file_fd);
    free(bytes);
}

static void many_ranges_fit_or_are_ignored(void **state)
{
    (void)state;
    char *bytes = calloc(1, 5000000), range[1024] = "bytes=";
    temp_dir_write_bytes(&site.dir, "large.presentation-of-a-long-type.pptx", bytes, 5000000);
    free(bytes);
    for (int i = 0; i < 16; i++) {
        sprintf(range + strlen(range), "%s%d-%d", i ? "," : "", 200000 * i + 100000, 200000 * i + 199998);
    }
    struct request request = request_for("/large.presentation-of-a-long-type.pptx");
    request.range = (struct text){range, strlen(range)};
    ask_request(&request);
    assert_int_equal(reply.response.status, 206);
    assert_int_equal(reply.response.parts_count, 17);
    assert_true(reply.response.out_used <= reply.response.out_bytes);
}

static void ranges_that_would_not_fit_get_the_whole_file(void **state)
{
    (void)state;
    char value[SITE_HEADERS_BYTES_MAX], type[160], path[128], range[1024] = "bytes=";
    memset(value, 'v', sizeof value);
    value[sizeof value - 6] = '\0'; /* "X: " and CRLF */
    snprintf(type, sizeof type, "long/%0122d\tlong\n", 0);
    temp_dir_write(&site.dir, "file.long", "");
    snprintf(path, sizeof path, "%s/file.long", site.dir.path);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    temp_dir_write(&site.dir, "mime.types", type);
    snprintf(path, sizeof path, "%s/mime.types", site.dir.path);
    responder_close(site.responder);
    site.settings.mime_types = path;
    site.headers[0] = (struct header_setting){"X", value};
    site.site.headers = site.headers;
    site.site.headers_count = 1;
    site_dir_open(&site);
    for (int i = 0; i < 16; i++) {
        sprintf(range + strlen(range), "%s1000000000%02d-1000000000%02d", i ? "," : "", 2 * i, 2 * i);
    }
    struct request request = request_for("/file.long");
    request.range = (struct text){range, strlen(range)};
    enum { ROOM = RESPONSE_OUT_MIN - FILE_COPY_BYTES_MAX }; /* no copy goes there */
    struct response response = {.out = reply.out, .out_bytes = ROOM};
    respond(site.responder, &request, &response);
    assert_int_equal(response.status, 200);
    assert_int_equal(response.parts_count, 1);
    assert_int_equal(response.body_bytes, (uint64_t)1 << 40);
    assert_true(response.out_used <= ROOM);
    file_cache_release(site.responder, response.file_fd);
    reply.response.file_fd = -1;
}

static void overlapping_ranges_get_the_whole_file(void **state)
{
    (void)state;
    assert_int_equal(status_of_range("bytes=0-5,3-8"), 200);
    assert_body("Hello, world");
}

/* ---- compressed siblings ---- */

static void ask_encoded(const char *target, const char *accept)
{
    struct request request = request_for(target);
    request.accept_encoding = (struct text){accept, strlen(accept)};
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
}

static void a_sibling_is_served_to_who_wants_it(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "hello.txt.gz", "gzipped");
    temp_dir_write(&site.dir, "hello.txt.br", "broetli");
    ask_encoded("/hello.txt", "gzip");
    assert_body("gzipped");
    assert_true(reply_has(&reply, "Content-Encoding: gzip"));
    assert_true(reply_has(&reply, "Content-Type: text/plain; charset=utf-8"));
    assert_true(reply_has(&reply, "Vary: Accept-Encoding"));
    char zipped[256], plain[256];
    reply_field(&reply, "ETag", zipped);
    ask_encoded("/hello.txt", "gzip, br");
    assert_body("broetli");
    assert_true(reply_has(&reply, "Content-Encoding: br"));
    ask("/hello.txt");
    assert_body("Hello, world");
    assert_false(reply_names(&reply, "Content-Encoding"));
    assert_true(reply_has(&reply, "Vary: Accept-Encoding"));
    reply_field(&reply, "ETag", plain);
    assert_string_not_equal(zipped, plain);
}

static void an_answer_does_not_vary_until_somebody_would_take_a_sibling(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "hello.txt.gz", "gzipped");
    site.settings.file_cache_valid_ms = 3600000;
    ask("/hello.txt");
    assert_false(reply_names(&reply, "Vary"));
    ask_encoded("/hello.txt", "br");
    assert_body("Hello, world");
    assert_true(reply_has(&reply, "Vary: Accept-Encoding"));
    ask("/hello.txt");
    assert_body("Hello, world");
    assert_true(reply_has(&reply, "Vary: Accept-Encoding"));
}

static void a_304_and_a_range_vary_too(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "hello.txt.gz", "gzipped");
    struct request request = request_for("/hello.txt");
    request.if_none_match[0] = TEXT("*");
    request.accept_encoding = TEXT("gzip");
    ask_request(&request);
    assert_int_equal(reply.response.status, 304);
    assert_true(reply_has(&reply, "Vary: Accept-Encoding"));
    request = request_for("/hello.txt");
    request.range = TEXT("bytes=0-1");
    request.accept_encoding = TEXT("gzip");
    ask_request(&request);
    assert_body("gz");
    assert_true(reply_has(&reply, "Content-Encoding: gzip"));
    assert_true(reply_has(&reply, "Content-Range: bytes 0-1/7"));
}

static void a_sibling_older_than_its_original_is_not_served(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "hello.txt.gz", "stale");
    temp_dir_date(&site.dir, "hello.txt.gz", 784111776);
    ask_encoded("/hello.txt", "gzip");
    assert_body("Hello, world");
    assert_false(reply_names(&reply, "Vary"));
}

static void a_sibling_that_is_no_file_or_leads_out_is_not_served(void **state)
{
    (void)state;
    temp_dir_mkdir(&site.dir, "hello.txt.gz");
    temp_dir_link(&site.dir, "/etc/passwd", "hello.txt.br");
    mkfifoat(site.dir.fd, "hello.txt.zst", 0644);
    ask_encoded("/hello.txt", "gzip, br, zstd");
    assert_body("Hello, world");
    assert_false(reply_names(&reply, "Vary"));
}

static void a_sibling_asked_for_by_name_is_a_file_of_its_own(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, "hello.txt.gz", "gzipped");
    ask("/hello.txt.gz");
    assert_body("gzipped");
    assert_true(reply_has(&reply, "Content-Type: application/gzip"));
    assert_false(reply_names(&reply, "Content-Encoding"));
}

/* ---- directories ---- */

static void a_directory_without_its_slash_is_redirected(void **state)
{
    (void)state;
    assert_int_equal(status_of("/sub"), 301);
    assert_true(reply_has(&reply, "Location: /sub/"));
    assert_int_equal(status_of("/sub?a=b&c"), 301);
    assert_true(reply_has(&reply, "Location: /sub/?a=b&c"));
    temp_dir_mkdir(&site.dir, "a b\"c\xC3\xA9");
    assert_int_equal(status_of("/a%20b%22c%c3%a9?"), 301);
    assert_true(reply_has(&reply, "Location: /a%20b%22c%C3%A9/?"));
}

static void a_redirect_never_names_another_host(void **state)
{
    (void)state;
    temp_dir_mkdir(&site.dir, "evil.test");
    assert_int_equal(status_of("//evil.test"), 301);
    assert_true(reply_has(&reply, "Location: /evil.test/"));
    assert_int_equal(status_of("/.//evil.test"), 301);
    assert_true(reply_has(&reply, "Location: /evil.test/"));
    temp_dir_mkdir(&site.dir, "\\evil.test");
    assert_int_equal(status_of("/%5Cevil.test"), 301);
    assert_true(reply_has(&reply, "Location: /%5Cevil.test/"));
}

static void a_redirect_cannot_be_split(void **state)
{
    (void)state;
    temp_dir_mkdir(&site.dir, "a\r\nX: y");
    assert_int_equal(status_of("/a%0D%0AX:%20y?\r\nZ: z"), 301);
    assert_true(reply_has(&reply, "Location: /a%0D%0AX%3A%20y/?%0D%0AZ:%20z"));
    assert_false(reply_names(&reply, "X"));
    assert_false(reply_names(&reply, "Z"));
}

static void a_redirect_that_would_be_too_long_is_414(void **state)
{
    (void)state;
    char target[8000] = "/sub?";
    memset(target + 5, 'q', sizeof target - 6);
    assert_int_equal(status_of(target), 414);
}

static void a_directory_shows_its_index(void **state)
{
    (void)state;
    assert_int_equal(status_of("/sub/"), 200);
    assert_body("<p>index");
    assert_true(reply_has(&reply, "Content-Type: text/html; charset=utf-8"));
    assert_int_equal(status_of("/sub/."), 200);
    assert_int_equal(status_of("/bare/../sub/"), 200);
}

static void a_directory_without_index_or_listing_is_403(void **state)
{
    (void)state;
    assert_int_equal(status_of("/bare/"), 403);
    assert_int_equal(status_of("/"), 403);
    temp_dir_mkdir(&site.dir, "bare/index.html"); /* a directory of that name is no index */
    assert_int_equal(status_of("/bare/"), 403);
}

static void a_directory_can_be_listed(void **state)
{
    (void)state;
    site.site.listing = true;
    assert_int_equal(status_of("/bare/"), 200);
    assert_true(reply_has(&reply, "Content-Type: text/html; charset=utf-8"));
    assert_true(reply_has(&reply, "Cache-Control: no-cache"));
    assert_false(reply_names(&reply, "ETag"));
    assert_int_equal(fcntl(reply.response.file_fd, F_GETFD), 0);
    assert_non_null(strstr(reply.body, "Index of"));
    int fd = reply.response.file_fd;
    struct request request = request_for("/bare/");
    request.method = METHOD_HEAD;
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
    assert_int_equal(status_of("/sub/"), 200);
    assert_body("<p>index");
    file_cache_shed(site.responder);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void a_listing_is_made_once_while_it_is_fresh(void **state)
{
    (void)state;
    site.site.listing = true;
    site.settings.file_cache_valid_ms = 3600000;
    ask("/bare/");
    int fd = reply.response.file_fd;
    temp_dir_write(&site.dir, "bare/new", "");
    ask("/bare/");
    assert_int_equal(reply.response.file_fd, fd);
    site.settings.file_cache_valid_ms = 0;
    ask("/bare/");
    assert_non_null(strstr(reply.body, "new"));
}

/* ---- when descriptors run out ---- */

static void without_descriptors_the_cache_gives_back_its_own(void **state)
{
    (void)state;
    write_large();
    ask("/large.txt");
    reply_free(&site, &reply); /* so that the cache alone holds it */
    reply.wire = NULL;
    assert_int_equal(linkat(site.dir.fd, "large.txt", site.dir.fd, "sub/other.txt", 0), 0);
    struct rlimit old, tight;
    getrlimit(RLIMIT_NOFILE, &old);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next);
    tight = (struct rlimit){(rlim_t)next, old.rlim_max}; /* every number below is in use */
    setrlimit(RLIMIT_NOFILE, &tight);
    struct request request = request_for("/sub/other.txt");
    struct response response = {.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
    respond(site.responder, &request, &response);
    int first = response.status, fd = response.file_fd;
    request = request_for("/large.txt");
    response = (struct response){.out = reply.out, .out_bytes = RESPONSE_OUT_MIN};
    respond(site.responder, &request, &response);
    setrlimit(RLIMIT_NOFILE, &old);
    assert_int_equal(first, 200);
    file_cache_release(site.responder, fd);
    assert_int_equal(response.status, 503);
    assert_non_null(memmem(response.out, response.out_used, "\r\nRetry-After: 1\r\n", 18));
    reply.response.file_fd = -1;
}

/* ---- sites ---- */

static void a_sites_own_headers_go_with_its_files(void **state)
{
    (void)state;
    responder_close(site.responder);
    site.headers[0] = (struct header_setting){"Cache-Control", "max-age=60"};
    site.headers[1] = (struct header_setting){"X-Frame-Options", "DENY"};
    site.site.headers = site.headers;
    site.site.headers_count = 2;
    site.site.listing = true;
    site_dir_open(&site);
    ask("/hello.txt");
    assert_true(reply_has(&reply, "Cache-Control: max-age=60"));
    assert_true(reply_has(&reply, "X-Frame-Options: DENY"));
    struct request request = request_for("/hello.txt");
    request.if_none_match[0] = TEXT("*");
    ask_request(&request);
    assert_true(reply_has(&reply, "Cache-Control: max-age=60"));
    ask("/bare/");
    assert_true(reply_has(&reply, "X-Frame-Options: DENY"));
    assert_false(reply_has(&reply, "Cache-Control: max-age=60"));
    ask("/none");
    assert_false(reply_names(&reply, "Cache-Control"));
}

static void headers_up_to_the_limit_fit_into_every_answer(void **state)
{
    (void)state;
    char value[SITE_HEADERS_BYTES_MAX];
    memset(value, 'v', sizeof value);
    value[sizeof value - 6] = '\0'; /* "X: " and CRLF */
    responder_close(site.responder);
    site.headers[0] = (struct header_setting){"X", value};
    site.site.headers = site.headers;
    site.site.headers_count = 1;
    site_dir_open(&site);
    assert_int_equal(status_of("/hello.txt"), 200);
    assert_int_equal(status_of_range("bytes=1-2,4-5"), 206);
    assert_int_equal(status_of_range("bytes=0-0,2-2,4-4,6-6,8-8,10-10"), 206);
    char error[SETTINGS_ERROR_BYTES];
    char longer[SITE_HEADERS_BYTES_MAX + 1];
    memset(longer, 'v', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    site.headers[0].value = longer;
    site.site.file = "test.conf";
    site.site.line = 7;
    assert_null(responder_open(&site.settings, error));
    assert_memory_equal(error, "test.conf:7: ", 13);
    site.site.headers_count = 0;
}

static void a_root_that_cannot_be_served_is_said_with_its_place(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES], path[128];
    site.site.file = "test.conf";
    site.site.line = 7;
    snprintf(path, sizeof path, "%s/none", site.dir.path);
    site.site.root = path;
    assert_null(responder_open(&site.settings, error));
    assert_non_null(strstr(error, "test.conf:7: root /tmp/"));
    assert_non_null(strstr(error, "No such file or directory"));
    snprintf(path, sizeof path, "%s/hello.txt", site.dir.path);
    assert_null(responder_open(&site.settings, error));
    assert_non_null(strstr(error, "Not a directory"));
    site.site.root = site.dir.path;
}

static void every_host_sees_its_own_site(void **state)
{
    (void)state;
    char *second_names[] = {"second.test"}, root[128];
    snprintf(root, sizeof root, "%s/sub", site.dir.path);
    struct site_setting sites[] = {site.site, {.names = second_names, .names_count = 1, .root = root}};
    responder_close(site.responder);
    site.settings.sites = sites;
    site.settings.sites_count = 2;
    site_dir_open(&site);
    struct request request = request_for("/index.html");
    request.host = TEXT("Second.test");
    ask_request(&request);
    assert_int_equal(reply.response.status, 200);
    assert_int_equal(status_of("/index.html"), 404);
    reply_free(&site, &reply);
    reply.wire = NULL;
    reply.response.file_fd = -1;
    responder_close(site.responder);
    site.settings.sites = &site.site;
    site.settings.sites_count = 1;
    site_dir_open(&site);
}

static void dot_files_are_served_where_they_are_wanted(void **state)
{
    (void)state;
    temp_dir_write(&site.dir, ".profile", "x");
    assert_int_equal(status_of("/.profile"), 404);
    site.site.dot_files = true;
    assert_int_equal(status_of("/.profile"), 200);
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        EACH(a_file_is_served_whole_with_all_its_fields),
        EACH(a_small_file_needs_nothing_but_the_desk),
        EACH(the_largest_copy_fits_beside_the_longest_head),
        EACH(the_answer_begins_where_it_was_told_to),
        EACH(an_empty_file_is_a_head_alone),
        EACH(head_is_get_without_the_body),
        EACH(a_large_file_is_sent_from_its_descriptor),
        EACH(a_file_replaced_while_it_is_sent_stays_what_it_was),
        EACH(a_file_from_the_future_is_said_to_be_from_now),
        EACH(what_is_not_there_is_404),
        EACH(what_is_no_path_is_400),
        EACH(what_is_no_regular_file_is_403_and_never_hangs),
        EACH(a_link_out_of_the_root_is_404),
        EACH(other_methods_are_405_and_unknown_ones_501),
        EACH(options_says_what_is_allowed),
        EACH(the_connection_field_follows_version_and_wish),
        EACH(how_long_it_is_kept_is_told_of_a_kept_one_only),
        EACH(a_second_less_is_announced_and_less_than_one_is_not),
        EACH(the_callers_wish_to_close_is_told),
        EACH(an_error_without_a_request_closes),
        EACH(every_status_that_can_be_asked_for_has_a_page),
        EACH(a_client_that_has_it_is_told_so),
        EACH(a_failed_precondition_is_412),
        EACH(one_range_is_a_206_of_its_bytes),
        EACH(a_range_behind_the_end_is_416),
        EACH(a_range_of_a_state_that_is_gone_is_the_whole_file),
        EACH(several_ranges_are_one_multipart_answer),
        EACH(several_ranges_of_a_large_file_are_several_parts),
        EACH(a_small_range_of_a_large_file_is_read_at_once),
        EACH(a_small_range_behind_the_end_that_a_file_has_now_is_for_the_sender_to_find),
        EACH(many_ranges_fit_or_are_ignored),
        EACH(ranges_that_would_not_fit_get_the_whole_file),
        EACH(overlapping_ranges_get_the_whole_file),
        EACH(a_sibling_is_served_to_who_wants_it),
        EACH(an_answer_does_not_vary_until_somebody_would_take_a_sibling),
        EACH(a_304_and_a_range_vary_too),
        EACH(a_sibling_older_than_its_original_is_not_served),
        EACH(a_sibling_that_is_no_file_or_leads_out_is_not_served),
        EACH(a_sibling_asked_for_by_name_is_a_file_of_its_own),
        EACH(a_directory_without_its_slash_is_redirected),
        EACH(a_redirect_never_names_another_host),
        EACH(a_redirect_cannot_be_split),
        EACH(a_redirect_that_would_be_too_long_is_414),
        EACH(a_directory_shows_its_index),
        EACH(a_directory_without_index_or_listing_is_403),
        EACH(a_directory_can_be_listed),
        EACH(a_listing_is_made_once_while_it_is_fresh),
        EACH(without_descriptors_the_cache_gives_back_its_own),
        EACH(a_sites_own_headers_go_with_its_files),
        EACH(headers_up_to_the_limit_fit_into_every_answer),
        EACH(a_root_that_cannot_be_served_is_said_with_its_place),
        EACH(every_host_sees_its_own_site),
        EACH(dot_files_are_served_where_they_are_wanted),
    };
    reply.response.file_fd = -1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
