/* head.c — fuzzes the head parser: the same verdict however the bytes are cut, and nothing ambiguous in what it takes.
 *
 * Input: two bytes for the limits, then the bytes of a head and of what follows it. */
#include "tests/fuzz/target.h"
#include "worker/request.h"

#include <stdbool.h>

/* One call of the parser, or the last one of several. */
struct outcome {
    enum request_verdict verdict;
    struct request request;
    struct refusal refusal;
    char *bytes; /* that it parsed: the request points into them */
};

static const size_t texts[] = {
    offsetof(struct request, line),          offsetof(struct request, target),
    offsetof(struct request, path),          offsetof(struct request, query),
    offsetof(struct request, host),          offsetof(struct request, authority),
    offsetof(struct request, if_match[0]),   offsetof(struct request, if_match[1]),
    offsetof(struct request, if_match[2]),   offsetof(struct request, if_match[3]),
    offsetof(struct request, if_none_match), offsetof(struct request, if_modified_since),
    offsetof(struct request, if_range),      offsetof(struct request, if_unmodified_since),
    offsetof(struct request, range),         offsetof(struct request, accept_encoding),
    offsetof(struct request, referer),       offsetof(struct request, user_agent),
};

static struct text text_of(const struct request *request, size_t i)
{
    struct text text;
    memcpy(&text, (const char *)request + texts[i], sizeof text);
    return text;
}

/* STEP bytes more at each call, FIRST at the first, until there is a verdict or all COUNT are given. */
static struct outcome parse(const char *bytes, size_t count, size_t first, size_t step,
                            const struct request_limits *limits)
{
    struct outcome outcome = {.verdict = REQUEST_PARTIAL};
    size_t scanned = 0, given = first < count ? first : count;
    for (;; given = step < count - given ? given + step : count) {
        free(outcome.bytes);
        outcome.bytes = exact_copy(bytes, given);
        outcome.verdict = request_parse(outcome.bytes, given, limits, &scanned, &outcome.request, &outcome.refusal);
        if (outcome.verdict != REQUEST_PARTIAL || given == count) {
            return outcome;
        }
    }
}

static void check_same_request(const struct outcome *a, const struct outcome *b)
{
    const struct request *one = &a->request, *other = &b->request;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct text left = text_of(one, i), right = text_of(other, i);
        check((left.at == NULL) == (right.at == NULL) && left.bytes == right.bytes);
        check(left.at == NULL || left.at - a->bytes == right.at - b->bytes);
    }
    check(one->method == other->method && one->minor_version == other->minor_version && one->body == other->body &&
          one->content_length == other->content_length && one->expects_continue == other->expects_continue &&
          one->keep_alive == other->keep_alive && one->head_bytes == other->head_bytes);
}

/* Of two faults, one before the limit and one behind it, either may be found first. */
static void check_same(const struct outcome *whole, const struct outcome *pieces, bool within_limit)
{
    check(whole->verdict == pieces->verdict);
    if (whole->verdict == REQUEST_WHOLE) {
        check_same_request(whole, pieces);
    } else if (whole->verdict == REQUEST_REFUSED && within_limit) {
        check(whole->refusal.status == pieces->refusal.status);
    }
}

/* What a receiver with other habits could read otherwise is in no head that was taken. */
static void check_framing(const char *head, size_t count)
{
    check(count >= 4 && memcmp(head + count - 4, "\r\n\r\n", 4) == 0);
    check(memchr(head, '\0', count) == NULL);
    for (size_t i = 0; i < count; i++) {
        check(head[i] != '\n' || (i > 0 && head[i - 1] == '\r'));
        check(head[i] != '\r' || head[i + 1] == '\n');
    }
    check(memmem(head + 2, count - 2, "\r\n ", 3) == NULL && memmem(head + 2, count - 2, "\r\n\t", 3) == NULL);
}

static bool is_inside(struct text text, const char *bytes, size_t count)
{
    return text.at == NULL || (text.at >= bytes && text.bytes <= (size_t)(bytes + count - text.at));
}

static bool has_blank(struct text text)
{
    for (size_t i = 0; i < text.bytes; i++) {
        if ((unsigned char)text.at[i] <= ' ' || text.at[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static void check_request(const struct outcome *whole, const struct request_limits *limits)
{
    const struct request *request = &whole->request;
    check(request->head_bytes <= limits->head_bytes && request->target.bytes <= limits->target_bytes);
    check_framing(whole->bytes, request->head_bytes);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        check(is_inside(text_of(request, i), whole->bytes, request->head_bytes));
    }
    check(!has_blank(request->target) && !has_blank(request->host) && !has_blank(request->authority));
    check(request->minor_version <= 1 && request->method <= METHOD_UNKNOWN);
    bool has_path = request->path.at != NULL;
    check(!has_path || request->path.at[0] == '/' ||
          (request->method == METHOD_OPTIONS && text_is(request->path, TEXT("*"))));
    check(has_path || request->method == METHOD_OTHER);
    check(request->minor_version == 0 || request->host.at != NULL || !has_path);
    check((request->body == BODY_LENGTH) == (request->content_length > 0));
    check(request->minor_version > 0 || (request->body != BODY_CHUNKED && !request->expects_continue));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static const size_t head_limits[] = {16384, 64, 256, 1024}, target_limits[] = {8192, 1, 16, 100};
    struct input input = {bytes, count};
    const struct request_limits limits = {.head_bytes = head_limits[input_number(&input, 1) % 4],
                                          .target_bytes = target_limits[input_number(&input, 1) % 4]};
    /* With an empty line behind it all, there is nothing left to wait for. */
    size_t given = input.left, all = given + 4;
    char *head = malloc(all);
    check(head != NULL);
    memcpy(head, input.at, given);
    memcpy(head + given, "\r\n\r\n", 4);

    struct outcome whole = parse(head, all, all, 0, &limits), before = parse(head, given, given, 0, &limits);
    bool within_limit = all <= limits.head_bytes;
    check(whole.verdict != REQUEST_PARTIAL);
    if (before.verdict != REQUEST_PARTIAL) {
        check_same(&whole, &before, within_limit);
    }
    if (whole.verdict == REQUEST_WHOLE) {
        check_request(&whole, &limits);
    } else {
        check(whole.refusal.status >= 400 && whole.refusal.status <= 505 && whole.refusal.why != NULL);
    }
    const size_t cuts[][2] = {{1, all}, {given / 2, all}, {given, 1}, {1, all <= 512 ? 1 : 61}, {0, all / 7 + 1}};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        struct outcome pieces = parse(head, all, cuts[i][0], cuts[i][1], &limits);
        check_same(&whole, &pieces, within_limit);
        free(pieces.bytes);
    }
    free(whole.bytes);
    free(before.bytes);
    free(head);
    return 0;
}
