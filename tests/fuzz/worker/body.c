/* body.c — fuzzes the body decoder: one end for every way of cutting the bytes, the end that the grammar has, and no
 * state that it does not survive.
 *
 * Input: a byte that says what is tried, four for the limit, then a body and what follows it, or a state and bytes. */
#include "tests/fuzz/target.h"
#include "worker/request.h"
#include "worker/request_check.h"

#include <stdbool.h>

enum { COUNT_MOST = 8000, EXTENSION_MOST = 256, SIZE_DIGITS_MOST = 16 };

/* ---- a slow decoder of one piece, after RFC 9112 section 7.1 and with the limits of ours ---- */

struct rest {
    const char *at, *end;
};

/* True if the next byte is C, and takes it. *SHORT: there is none. */
static bool take(struct rest *rest, char c, bool *is_short)
{
    *is_short = rest->at == rest->end;
    bool is_it = !*is_short && *rest->at == c;
    rest->at += is_it;
    return is_it;
}

static size_t take_class(struct rest *rest, unsigned class)
{
    const char *from = rest->at;
    while (rest->at < rest->end && char_is(*rest->at, class)) {
        rest->at++;
    }
    return (size_t)(rest->at - from);
}

static enum body_verdict unless_short(bool is_short)
{
    return is_short ? BODY_PARTIAL : BODY_MALFORMED;
}

static int digit_value(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    return found == NULL ? -1 : (int)(found - digits) - (found - digits > 15 ? 6 : 0);
}

/* chunk-size [ chunk-ext ] CRLF */
static enum body_verdict take_size(struct rest *rest, uint64_t *size)
{
    unsigned digits = 0;
    bool is_short;
    for (*size = 0; rest->at < rest->end && digit_value(*rest->at) >= 0; rest->at++) {
        if (++digits > SIZE_DIGITS_MOST) {
            return BODY_MALFORMED;
        }
        *size = *size * 16 + (unsigned)digit_value(*rest->at);
    }
    if (digits == 0 || rest->at == rest->end) {
        return unless_short(rest->at == rest->end);
    }
    const char *extension = rest->at;
    while (rest->at < rest->end && (*rest->at == ' ' || *rest->at == '\t')) {
        rest->at++;
    }
    bool has_blanks = rest->at > extension, is_extended = take(rest, ';', &is_short);
    if (has_blanks && !is_extended && !is_short) {
        return BODY_MALFORMED;
    }
    if (is_extended) {
        take_class(rest, CHAR_VALUE);
    }
    if (rest->at - extension > EXTENSION_MOST + 1) {
        return BODY_MALFORMED;
    }
    if (!take(rest, '\r', &is_short) || !take(rest, '\n', &is_short)) {
        return unless_short(is_short);
    }
    return BODY_WHOLE;
}

static enum body_verdict take_trailers(struct rest *rest)
{
    bool is_short = false;
    while (!take(rest, '\r', &is_short)) {
        if (is_short || take_class(rest, CHAR_TOKEN) == 0 || !take(rest, ':', &is_short)) {
            return unless_short(is_short);
        }
        take_class(rest, CHAR_VALUE);
        if (!take(rest, '\r', &is_short) || !take(rest, '\n', &is_short)) {
            return unless_short(is_short);
        }
    }
    return take(rest, '\n', &is_short) ? BODY_WHOLE : unless_short(is_short);
}

static enum body_verdict decode_slowly(struct rest *rest, uint64_t limit)
{
    uint64_t size, total = 0;
    bool is_short;
    for (;;) {
        enum body_verdict verdict = take_size(rest, &size);
        if (verdict != BODY_WHOLE) {
            return verdict;
        }
        if (size == 0) {
            return take_trailers(rest);
        }
        if (size > limit - total) {
            return BODY_TOO_LARGE;
        }
        if (size > (uint64_t)(rest->end - rest->at)) {
            return BODY_PARTIAL;
        }
        total += size;
        rest->at += size;
        if (!take(rest, '\r', &is_short) || !take(rest, '\n', &is_short)) {
            return unless_short(is_short);
        }
    }
}

/* ---- the decoder in question ---- */

/* STEP bytes at a time, FIRST at first. *TOTAL: how many belonged to the body. */
static enum body_verdict decode(struct body_state state, const char *bytes, size_t count, size_t first, size_t step,
                                uint64_t limit, size_t *total)
{
    enum body_verdict verdict;
    size_t piece = first, used;
    *total = 0;
    do {
        piece = piece < count - *total ? piece : count - *total;
        char *copy = exact_copy(bytes + *total, piece);
        verdict = body_read(&state, copy, piece, limit, &used);
        free(copy);
        check(used <= piece && (verdict != BODY_PARTIAL || used == piece));
        *total += used;
        piece = step;
    } while (verdict == BODY_PARTIAL && *total < count);
    return verdict;
}

/* The same verdict at the same byte. */
static enum body_verdict decode_every_way(struct body_state state, const char *bytes, size_t count, uint64_t limit,
                                          size_t *total)
{
    const size_t cuts[][2] = {{0, 1}, {1, count + 1}, {count / 2, count + 1}, {2, 3}, {count / 3, 1}};
    enum body_verdict verdict = decode(state, bytes, count, count, count + 1, limit, total);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        size_t others;
        check(decode(state, bytes, count, cuts[i][0], cuts[i][1], limit, &others) == verdict && others == *total);
    }
    return verdict;
}

static void try_chunked(const char *bytes, size_t count, uint64_t limit)
{
    size_t total;
    struct rest rest = {bytes, bytes + count};
    enum body_verdict verdict =
        decode_every_way((struct body_state){.kind = BODY_CHUNKED}, bytes, count, limit, &total);
    check(decode_slowly(&rest, limit) == verdict);
    check(verdict != BODY_WHOLE || rest.at == bytes + total);
}

static void try_length(struct input *input, uint64_t limit)
{
    size_t total;
    uint64_t length = input_number(input, 8);
    length = length % 2 == 0 ? length : length % 100;
    enum body_verdict verdict = decode_every_way((struct body_state){.kind = BODY_LENGTH, .left = length},
                                                 (const char *)input->at, input->left, limit, &total);
    check(verdict == (length > limit ? BODY_TOO_LARGE : length <= input->left ? BODY_WHOLE : BODY_PARTIAL));
    check(verdict != BODY_WHOLE || total == length);
}

/* Somebody has scribbled over the cell that the state lies in. */
static void try_any_state(struct input *input, uint64_t limit)
{
    size_t total;
    struct body_state state = {.left = input_number(input, 8), .total = input_number(input, 8)};
    state.line = (uint32_t)input_number(input, 4);
    state.kind = (uint8_t)input_number(input, 1);
    state.phase = (uint8_t)input_number(input, 1);
    decode(state, (const char *)input->at, input->left, input->left, 1, limit, &total);
    decode(state, (const char *)input->at, input->left, 1, 1, limit, &total);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct input input = {bytes, count};
    uint8_t what = (uint8_t)input_number(&input, 1);
    uint64_t limit = input_number(&input, 4);
    if (input.left > COUNT_MOST) {
        return 0;
    }
    switch (what % 4) {
    case 0:
        try_length(&input, limit);
        break;
    case 1:
        try_any_state(&input, limit);
        break;
    default:
        try_chunked((const char *)input.at, input.left, limit);
    }
    return 0;
}
