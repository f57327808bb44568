/* target.h — what every fuzz target gives to the program that drives it, and the few things that most of them need.
 *
 * A target is one file, worker/NAME.c or supervisor/NAME.c. Linked with replay.c, or by -fsanitize=fuzzer of clang or
 * afl-clang-fast, it is a program. What must be true whatever the input is, it says with check(). */
#ifndef PERDURE_TESTS_FUZZ_TARGET_H
#define PERDURE_TESTS_FUZZ_TARGET_H

#include "supervisor/inherit/check.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Called once for each input; what it makes it takes away again. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* Called once, before the first input. Not every target has one. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* A copy of BYTES with nothing behind it, so that a byte read too far is noticed; the caller frees it. */
static inline char *exact_copy(const void *bytes, size_t count)
{
    char *copy = malloc(count > 0 ? count : 1);
    check(copy != NULL);
    return count > 0 ? memcpy(copy, bytes, count) : copy;
}

/* What is left of an input that begins with a few numbers. */
struct input {
    const uint8_t *at;
    size_t left;
};

/* The next BYTES bytes as a number, the lowest first; those that are not there are 0. */
static inline uint64_t input_number(struct input *input, size_t bytes)
{
    uint64_t number = 0;
    for (size_t i = 0; i < bytes && input->left > 0; i++) {
        number |= (uint64_t)*input->at << 8 * i;
        input->at++;
        input->left--;
    }
    return number;
}

/* The next COUNT bytes, or as many as there are: *COUNT. */
static inline const uint8_t *input_take(struct input *input, size_t *count)
{
    const uint8_t *taken = input->at;
    *count = *count < input->left ? *count : input->left;
    input->at += *count;
    input->left -= *count;
    return taken;
}

#endif
