/* range.c — see range.h. */
#include "worker/range.h"

#include <stdbool.h>
#include <stddef.h>

static void skip_blanks(struct text *rest)
{
    while (rest->bytes > 0 && (*rest->at == ' ' || *rest->at == '\t')) {
        rest->at++, rest->bytes--;
    }
}

static bool take(struct text *rest, char c)
{
    if (rest->bytes == 0 || *rest->at != c) {
        return false;
    }
    rest->at++, rest->bytes--;
    return true;
}

/* A number that is too large is UINT64_MAX: behind the end of any file. */
static bool take_number(struct text *rest, uint64_t *number)
{
    size_t digits = 0;
    *number = 0;
    for (; rest->bytes > 0 && *rest->at >= '0' && *rest->at <= '9'; rest->at++, rest->bytes--, digits++) {
        uint64_t digit = (uint64_t)(*rest->at - '0');
        bool fits = *number <= (UINT64_MAX - digit) / 10;
        *number = fits ? *number * 10 + digit : UINT64_MAX;
    }
    return digits > 0;
}

/* What became of one range-spec. */
enum spec {
    SPEC_GOOD,
    SPEC_OUTSIDE,
    SPEC_MALFORMED,
};

/* "-500": the last 500 bytes. */
static enum spec suffix_take(struct text *rest, uint64_t file_bytes, struct range *range)
{
    uint64_t suffix;
    if (!take_number(rest, &suffix) || (file_bytes == 0 && suffix > 0)) {
        return SPEC_MALFORMED;
    }
    range->bytes = suffix < file_bytes ? suffix : file_bytes;
    range->at = file_bytes - range->bytes;
    return range->bytes > 0 ? SPEC_GOOD : SPEC_OUTSIDE;
}

/* "500-999", "500-" or "-500". */
static enum spec spec_take(struct text *rest, uint64_t file_bytes, struct range *range)
{
    if (take(rest, '-')) {
        return suffix_take(rest, file_bytes, range);
    }
    uint64_t first, last = UINT64_MAX;
    if (!take_number(rest, &first) || !take(rest, '-')) {
        return SPEC_MALFORMED;
    }
    if (take_number(rest, &last)) {
        if (last < first) {
            return SPEC_MALFORMED;
        }
    } else {
        last = UINT64_MAX;
    }
    if (first >= file_bytes) {
        return SPEC_OUTSIDE;
    }
    *range = (struct range){first, (last < file_bytes ? last + 1 : file_bytes) - first};
    return SPEC_GOOD;
}

static bool overlaps_any(const struct range *ranges, unsigned count, struct range range)
{
    for (unsigned i = 0; i < count; i++) {
        if (range.at < ranges[i].at + ranges[i].bytes && ranges[i].at < range.at + range.bytes) {
            return true;
        }
    }
    return false;
}

/* After a range-spec: the end, or a comma. Empty list elements are passed over (RFC 9110 section 5.6.1.2). */
static bool take_separator(struct text *rest)
{
    skip_blanks(rest);
    if (rest->bytes > 0 && !take(rest, ',')) {
        return false;
    }
    do {
        skip_blanks(rest);
    } while (take(rest, ','));
    return true;
}

static bool take_unit(struct text *rest)
{
    static const struct text unit = TEXT("bytes=");
    if (rest->bytes < unit.bytes || !text_is_nocase((struct text){rest->at, unit.bytes}, unit)) {
        return false;
    }
    rest->at += unit.bytes;
    rest->bytes -= unit.bytes;
    do {
        skip_blanks(rest);
    } while (take(rest, ','));
    return rest->bytes > 0;
}

enum range_verdict range_read(struct text field, uint64_t file_bytes, struct range ranges[RANGES_MAX], unsigned *count)
{
    *count = 0;
    if (!take_unit(&field)) {
        return RANGE_IGNORED;
    }
    for (unsigned asked = 0; field.bytes > 0; asked++) {
        struct range range = {0, 0};
        enum spec spec = spec_take(&field, file_bytes, &range);
        if (asked == RANGES_MAX || spec == SPEC_MALFORMED || !take_separator(&field)) {
            return RANGE_IGNORED;
        }
        if (spec == SPEC_GOOD) {
            if (overlaps_any(ranges, *count, range)) {
                return RANGE_IGNORED;
            }
            ranges[(*count)++] = range;
        }
    }
    return *count > 0 ? RANGE_GOOD : RANGE_UNSATISFIABLE;
}
