/* request_scan.c — see request_scan.h.
 *
 * A comparison of sixteen bytes gives sixteen answers, 0xff for each yes. What it singles out is then looked up in the
 * table of classes, which alone decides. */
#include "worker/request_scan.h"

#include "worker/request_check.h"

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { SIXTEEN = 16 };

typedef uint8_t bytes16 __attribute__((vector_size(SIXTEEN)));

static bytes16 load16(const char *at)
{
    bytes16 bytes;
    memcpy(&bytes, at, sizeof bytes);
    return bytes;
}

/* How many come before the first yes: SIXTEEN if there is none. */
static unsigned count_before(bytes16 answers)
{
#ifdef __SSE2__
    return (unsigned)__builtin_ctz((unsigned)_mm_movemask_epi8((__m128i)answers) | 1U << SIXTEEN);
#else
    uint64_t half[2];
    memcpy(half, &answers, sizeof answers);
    return half[0] != 0   ? (unsigned)__builtin_ctzll(le64toh(half[0])) / 8
           : half[1] != 0 ? (unsigned)__builtin_ctzll(le64toh(half[1])) / 8 + sizeof half[0]
                          : SIXTEEN;
#endif
}

/* All but letters and '-', of which most names are made. */
static bytes16 name_others(bytes16 bytes)
{
    return (bytes16)((((bytes | 0x20) - 'a') > 'z' - 'a') & (bytes != '-'));
}

/* Controls: a tab is one, and nobody sends it. */
static bytes16 value_others(bytes16 bytes)
{
    return (bytes16)((bytes < ' ') | (bytes == 0x7f));
}

/* All but visible ASCII, and '#'. */
static bytes16 target_others(bytes16 bytes)
{
    return (bytes16)(((bytes - '!') > '~' - '!') | (bytes == '#'));
}

static inline const char *run_end(const char *at, const char *end, bytes16 (*others)(bytes16), unsigned class)
{
    for (;;) {
        for (unsigned count = SIXTEEN; count == SIXTEEN && end - at >= SIXTEEN; at += count)
            count = count_before(others(load16(at)));
        if (at == end || !char_is(*at, class))
            return at;
        at++;
    }
}

const char *name_end(const char *at, const char *end)
{
    return run_end(at, end, name_others, CHAR_TOKEN);
}

const char *value_end(const char *at, const char *end)
{
    return run_end(at, end, value_others, CHAR_VALUE);
}

const char *target_end(const char *at, const char *end)
{
    return run_end(at, end, target_others, CHAR_TARGET);
}

/* ---- names ---- */

/* Setting the bit of lower case makes no other CHAR_TOKEN a letter or a '-'. */
static bool are_eight(const char *at, const char *lower)
{
    uint64_t one, other;
    memcpy(&one, at, sizeof one);
    memcpy(&other, lower, sizeof other);
    return (one | UINT64_C(0x2020202020202020)) == other;
}

static bool are_four(const char *at, const char *lower)
{
    uint32_t one, other;
    memcpy(&one, at, sizeof one);
    memcpy(&other, lower, sizeof other);
    return (one | UINT32_C(0x20202020)) == other;
}

/* The last ones are compared together with some of those before them. */
bool name_is(struct text name, const char *lower)
{
    if (name.bytes < sizeof(uint64_t)) {
        const size_t last = name.bytes - sizeof(uint32_t);
        return are_four(name.at, lower) && are_four(name.at + last, lower + last);
    }
    const size_t last = name.bytes - sizeof(uint64_t);
    for (size_t i = 0; i < last; i += sizeof(uint64_t))
        if (!are_eight(name.at + i, lower + i))
            return false;
    return are_eight(name.at + last, lower + last);
}
