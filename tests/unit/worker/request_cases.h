/* request_cases.h — how the tests of the head parser put a head to it: in a block of exactly its size, so that ASAN
 * sees a byte read too far, and in every way of cutting it up that matters. */
#ifndef PERDURE_TESTS_REQUEST_CASES_H
#define PERDURE_TESTS_REQUEST_CASES_H

#include "tests/unit/worker/cmocka_all.h"
#include "worker/request.h"

#include <stdio.h>
#include <stdlib.h>

static const struct request_limits limits = {.head_bytes = 16384, .target_bytes = 8192};

/* A copy of BYTES with nothing behind it; the caller frees it. */
static inline char *exact_copy(const char *bytes, size_t count)
{
    char *copy = malloc(count > 0 ? count : 1);
    assert_non_null(copy);
    return memcpy(copy, bytes, count);
}

static inline void assert_text(struct text text, const char *expected)
{
    if (expected == NULL) {
        assert_null(text.at);
        return;
    }
    assert_non_null(text.at);
    assert_int_equal(text.bytes, strlen(expected));
    assert_memory_equal(text.at, expected, text.bytes);
}

/* Parse what the caller holds in one piece. */
static inline enum request_verdict parse_once(const char *bytes, size_t count, struct request *request,
                                              struct refusal *refusal)
{
    size_t scanned = 0;
    return request_parse(bytes, count, &limits, &scanned, request, refusal);
}

/* Give COUNT bytes STEP at a time, from FIRST on; the last verdict. *taken is how many were given by then. */
static inline enum request_verdict parse_stepwise(const char *bytes, size_t count, size_t first, size_t step,
                                                  const struct request_limits *within, struct refusal *refusal,
                                                  size_t *taken)
{
    size_t scanned = 0;
    for (size_t given = first;; given = given + step < count ? given + step : count) {
        struct request request;
        char *copy = exact_copy(bytes, given);
        enum request_verdict verdict = request_parse(copy, given, within, &scanned, &request, refusal);
        free(copy);
        if (verdict != REQUEST_PARTIAL || given == count) {
            *taken = given;
            return verdict;
        }
    }
}

/* HEAD is whole, is partial at every proper prefix, and stays whole whatever follows and however it was cut. The
 * request found points into HEAD. */
static inline struct request accept_bytes(const char *head, size_t count)
{
    struct request request;
    struct refusal refusal = {0, "none"};
    size_t taken;
    for (size_t given = 0; given < count; given++) {
        char *copy = exact_copy(head, given);
        if (parse_once(copy, given, &request, &refusal) != REQUEST_PARTIAL)
            fail_msg("not partial after %zu bytes of: %s (%s)", given, head, refusal.why);
        free(copy);
        if (given > 0 && (parse_stepwise(head, count, given, count, &limits, &refusal, &taken) != REQUEST_WHOLE))
            fail_msg("not whole when cut after %zu bytes: %s (%s)", given, head, refusal.why);
    }
    assert_int_equal(parse_stepwise(head, count, 0, 1, &limits, &refusal, &taken), REQUEST_WHOLE);
    assert_int_equal(taken, count);

    char *more = exact_copy(head, count + 1);
    more[count] = '\x01';
    assert_int_equal(parse_once(more, count + 1, &request, &refusal), REQUEST_WHOLE);
    assert_int_equal(request.head_bytes, count);
    free(more);

    char *copy = exact_copy(head, count);
    if (parse_once(copy, count, &request, &refusal) != REQUEST_WHOLE)
        fail_msg("refused (%d %s): %s", refusal.status, refusal.why, head);
    assert_int_equal(request.head_bytes, count);
    free(copy);
    assert_int_equal(parse_once(head, count, &request, &refusal), REQUEST_WHOLE);
    return request;
}

static inline struct request accept(const char *head)
{
    return accept_bytes(head, strlen(head));
}

/* HEAD is refused with STATUS, by its end at the latest, and further bytes or other cuts do not change that. */
static inline void refuse_bytes(const char *head, size_t count, int status)
{
    struct request request;
    struct refusal refusal = {0, NULL};
    size_t taken, earliest = 0;
    enum request_verdict verdict = REQUEST_PARTIAL;
    for (size_t given = 0; given <= count; given++) {
        char *copy = exact_copy(head, given);
        verdict = parse_once(copy, given, &request, &refusal);
        free(copy);
        assert_int_not_equal(verdict, REQUEST_WHOLE);
        if (verdict == REQUEST_REFUSED && earliest == 0)
            earliest = given;
        if (earliest > 0 && (verdict != REQUEST_REFUSED || refusal.status != status))
            fail_msg("verdict %d, status %d and not %d after %zu bytes (%s): %s", (int)verdict, refusal.status, status,
                     given, refusal.why, head);
        if (given > 0 && parse_stepwise(head, count, given, count, &limits, &refusal, &taken) != REQUEST_REFUSED)
            fail_msg("not refused when cut after %zu bytes: %s", given, head);
        if (given > 0)
            assert_int_equal(refusal.status, status);
    }
    if (verdict != REQUEST_REFUSED)
        fail_msg("not refused: %s", head);
    assert_int_equal(parse_stepwise(head, count, 0, 1, &limits, &refusal, &taken), REQUEST_REFUSED);
    assert_int_equal(refusal.status, status);
    assert_non_null(refusal.why);
}

static inline void refuse(const char *head, int status)
{
    refuse_bytes(head, strlen(head), status);
}

/* The same for one line among good ones; LINE without its CRLF. */
static inline void refuse_field(const char *line, int status)
{
    char head[1024];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\nAccept: */*\r\n\r\n", line);
    refuse(head, status);
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\n%s\r\nHost: a\r\n\r\n", line);
    refuse(head, status);
}

/* The caller must be done with it before the next call. */
static inline struct request accept_field(const char *line)
{
    static char head[1024];
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", line);
    return accept(head);
}

static inline struct request accept_target(const char *method, const char *target)
{
    static char head[1024];
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: field:81\r\n\r\n", method, target);
    return accept(head);
}

static inline void refuse_target(const char *method, const char *target, int status)
{
    char head[1024];
    snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: field:81\r\n\r\n", method, target);
    refuse(head, status);
}

#endif
