/* verdict.c — see verdict.h. */
#include "tests/judge/verdict.h"

#include "tests/judge/die.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

enum {
    DESCRIBED_MAX = 20,
    DESCRIPTION_BYTES = 600,
    STEPS = 32,                 /* of the histogram per doubling: within 3 % */
    BUCKETS = STEPS * (40 - 4), /* up to 2^40 us */
};

const char *const role_name[ROLES] = {
#define ROLE(name, option, words) [ROLE_##name] = option,
#include "tests/judge/roles.def"
};
static const char *const trouble_key[TROUBLES] = {
#define TROUBLE(name, key, words) [TROUBLE_##name] = key,
#include "tests/judge/troubles.def"
};
static const char *const trouble_words[TROUBLES] = {
#define TROUBLE(name, key, words) [TROUBLE_##name] = words,
#include "tests/judge/troubles.def"
};

static struct {
    uint64_t began_ns;
    uint64_t connections[ROLES], responses[ROLES], bytes[ROLES];
    uint64_t troubles[TROUBLES], troubles_count;
    uint64_t announced_closes;
    uint64_t waits[BUCKETS], waits_count, wait_max_ns, pause_max_ns;
    char described[DESCRIBED_MAX][DESCRIPTION_BYTES];
} seen;

uint64_t verdict_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void verdict_begin(uint64_t now_ns)
{
    seen.began_ns = now_ns;
}

static double seconds_since_start(void)
{
    return (double)(verdict_now_ns() - seen.began_ns) / 1e9;
}

void verdict_trouble(enum trouble kind, enum role role, const char *request, const char *details)
{
    seen.troubles[kind]++;
    if (seen.troubles_count++ >= DESCRIBED_MAX) {
        return;
    }
    char *line = seen.described[seen.troubles_count - 1];
    snprintf(line, DESCRIPTION_BYTES, "%.3fs %s%s%.300s: %s: %s%s%.150s", seconds_since_start(), role_name[role],
             request[0] != '\0' ? ": " : "", request, trouble_key[kind], trouble_words[kind],
             details[0] != '\0' ? ": " : "", details);
    printf("trouble: %s\n", line);
    fflush(stdout);
}

void verdict_connection(enum role role)
{
    seen.connections[role]++;
}

void verdict_response(enum role role, uint64_t bytes)
{
    seen.responses[role]++;
    seen.bytes[role] += bytes;
}

void verdict_announced_close(void)
{
    seen.announced_closes++;
}

/* ---- waits: a histogram with STEPS buckets per doubling, by microseconds ---- */

static size_t bucket_of(uint64_t us)
{
    if (us < STEPS) {
        return us;
    }
    unsigned doublings = 63 - (unsigned)__builtin_clzll(us) - 5; /* us >> doublings is in STEPS … 2 * STEPS - 1 */
    size_t bucket = doublings * STEPS + (us >> doublings);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

/* The largest wait that falls into BUCKET. */
static uint64_t bucket_us(size_t bucket)
{
    if (bucket < 2 * STEPS) {
        return bucket;
    }
    unsigned doublings = (unsigned)(bucket / STEPS - 1);
    return ((bucket % STEPS + STEPS + 1) << doublings) - 1;
}

void verdict_first_byte(uint64_t wait_ns)
{
    seen.waits[bucket_of(wait_ns / 1000)]++;
    seen.waits_count++;
    seen.wait_max_ns = wait_ns > seen.wait_max_ns ? wait_ns : seen.wait_max_ns;
}

void verdict_pause(uint64_t pause_ns)
{
    seen.pause_max_ns = pause_ns > seen.pause_max_ns ? pause_ns : seen.pause_max_ns;
}

/* The wait in milliseconds that all but 1 / OF of the requests stayed below. */
static double wait_ms_of_all_but(uint64_t of)
{
    uint64_t left = seen.waits_count / of;
    for (size_t bucket = BUCKETS; bucket-- > 0;) {
        if (seen.waits[bucket] > left) {
            uint64_t max_us = seen.wait_max_ns / 1000; /* a bucket may reach beyond it */
            return (double)(bucket_us(bucket) < max_us ? bucket_us(bucket) : max_us) / 1e3;
        }
        left -= seen.waits[bucket];
    }
    return 0;
}

/* ---- the end ---- */

static uint64_t sum(const uint64_t counts[ROLES])
{
    uint64_t total = 0;
    for (size_t i = 0; i < ROLES; i++) {
        total += counts[i];
    }
    return total;
}

uint64_t verdict_responses(void)
{
    return sum(seen.responses);
}

bool verdict_is_clean(void)
{
    return seen.troubles_count == 0;
}

void verdict_print(uint64_t seed)
{
    double seconds = seconds_since_start();
    for (size_t i = 0; i < ROLES; i++) {
        if (seen.connections[i] > 0) {
            printf("%10s: %10" PRIu64 " responses %10.1f MB %8" PRIu64 " connections\n", role_name[i],
                   seen.responses[i], (double)seen.bytes[i] / 1e6, seen.connections[i]);
        }
    }
    printf("%.1f s, %" PRIu64 " responses compared byte by byte, %.0f a second, %.1f MB; seed %" PRIu64 "\n", seconds,
           sum(seen.responses), (double)sum(seen.responses) / seconds, (double)sum(seen.bytes) / 1e6, seed);
    printf("wait for the first byte: median %.2f ms, p99.9 %.2f ms, longest %.2f ms; longest pause %.2f ms\n",
           wait_ms_of_all_but(2), wait_ms_of_all_but(1000), (double)seen.wait_max_ns / 1e6,
           (double)seen.pause_max_ns / 1e6);
    if (seen.announced_closes > 0) {
        printf("connections to be kept alive that the server said it would close: %" PRIu64 "\n",
               seen.announced_closes);
    }
    printf("trouble: %" PRIu64, seen.troubles_count);
    for (size_t i = 1; i < TROUBLES; i++) {
        if (seen.troubles[i] > 0) {
            printf(" %s=%" PRIu64, trouble_key[i], seen.troubles[i]);
        }
    }
    putchar('\n');
    fflush(stdout);
}

static void json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\') {
            fprintf(out, "\\%c", byte);
        } else if (byte < 0x20 || byte > 0x7e) {
            fprintf(out, "\\u%04x", byte);
        } else {
            fputc(byte, out);
        }
    }
    fputc('"', out);
}

static void json_counts(FILE *out)
{
    fputs("  \"roles\": {", out);
    for (size_t i = 0; i < ROLES; i++) {
        fprintf(out,
                "%s\n    \"%s\": {\"responses\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"connections\": %" PRIu64 "}",
                i > 0 ? "," : "", role_name[i], seen.responses[i], seen.bytes[i], seen.connections[i]);
    }
    fputs("\n  },\n  \"trouble\": {", out);
    for (size_t i = 1; i < TROUBLES; i++) {
        fprintf(out, "%s\"%s\": %" PRIu64, i > 1 ? ", " : "", trouble_key[i], seen.troubles[i]);
    }
    fputs("},\n  \"described\": [", out);
    for (size_t i = 0; i < DESCRIBED_MAX && i < seen.troubles_count; i++) {
        fputs(i > 0 ? ",\n    " : "\n    ", out);
        json_string(out, seen.described[i]);
    }
    fputs("]\n}\n", out);
}

void verdict_write_json(const char *file, uint64_t seed)
{
    FILE *out = fopen(file, "w");
    if (out == NULL) {
        die("%s: %s", file, strerror(errno));
    }
    fprintf(out, "{\n  \"seconds\": %.3f, \"seed\": %" PRIu64 ",\n", seconds_since_start(), seed);
    fprintf(out, "  \"responses\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"connections\": %" PRIu64 ",\n",
            sum(seen.responses), sum(seen.bytes), sum(seen.connections));
    fprintf(out, "  \"announced_closes\": %" PRIu64 ", \"trouble_total\": %" PRIu64 ",\n", seen.announced_closes,
            seen.troubles_count);
    fprintf(out,
            "  \"first_byte_ms\": {\"median\": %.3f, \"p999\": %.3f, \"max\": %.3f}, \"longest_pause_ms\": %.3f,\n",
            wait_ms_of_all_but(2), wait_ms_of_all_but(1000), (double)seen.wait_max_ns / 1e6,
            (double)seen.pause_max_ns / 1e6);
    json_counts(out);
    if (fclose(out) != 0) {
        die("%s: %s", file, strerror(errno));
    }
}
