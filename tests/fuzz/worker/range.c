/* range.c — fuzzes the Range field: every range that is found lies within the file, and says the same when said again.
 *
 * Input: eight bytes for the file's size, then the field. */
#include "worker/range.h"
#include "tests/fuzz/target.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static void check_ranges(const struct range *ranges, unsigned count, uint64_t file_bytes)
{
    check(count > 0 && count <= RANGES_MAX);
    for (unsigned i = 0; i < count; i++) {
        check(ranges[i].bytes > 0 && ranges[i].at < file_bytes && ranges[i].bytes <= file_bytes - ranges[i].at);
        for (unsigned j = 0; j < i; j++) {
            check(ranges[i].at >= ranges[j].at + ranges[j].bytes || ranges[j].at >= ranges[i].at + ranges[i].bytes);
        }
    }
}

static void check_said_again(const struct range *ranges, unsigned count, uint64_t file_bytes)
{
    char text[64 * RANGES_MAX] = "BYTES=";
    struct range again[RANGES_MAX];
    unsigned found;
    size_t length = strlen(text);
    for (unsigned i = 0; i < count; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%" PRIu64 "-%" PRIu64, i > 0 ? " ,, " : "",
                                   ranges[i].at, ranges[i].at + ranges[i].bytes - 1);
    }
    check(range_read((struct text){text, length}, file_bytes, again, &found) == RANGE_GOOD && found == count);
    check(memcmp(again, ranges, count * sizeof *ranges) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct range ranges[RANGES_MAX];
    struct input input = {bytes, count};
    unsigned found = 0;
    uint64_t file_bytes = input_number(&input, 8) & INT64_MAX; /* no file is larger */
    char *field = exact_copy(input.at, input.left);
    enum range_verdict verdict = range_read((struct text){field, input.left}, file_bytes, ranges, &found);
    if (verdict == RANGE_GOOD) {
        check_ranges(ranges, found, file_bytes);
        check_said_again(ranges, found, file_bytes);
    }
    free(field);
    return 0;
}
