/* text.h — a piece of somebody else's bytes: where it begins and how long it is. Not NUL-terminated; the owner of the
 * bytes must outlive it. */
#ifndef PERDURE_WORKER_TEXT_H
#define PERDURE_WORKER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct text {
    const char *at; /* NULL: absent, which is not the same as empty */
    size_t bytes;
};

/* For memory of which what is written is read, and nothing else. The build sets to zero what has no value; a page of
 * that for each request is a third of what is done for it. */
#ifdef __has_attribute
#if __has_attribute(uninitialized)
#define SCRATCH __attribute__((uninitialized))
#endif
#endif
#ifndef SCRATCH
#define SCRATCH
#endif

#define TEXT(literal) ((struct text){(literal), sizeof(literal) - 1})

static inline bool text_is(struct text text, struct text other)
{
    return text.bytes == other.bytes && (text.bytes == 0 || memcmp(text.at, other.at, text.bytes) == 0);
}

/* The same, ASCII letters of either case being equal. */
static inline bool text_is_nocase(struct text text, struct text other)
{
    return text.bytes == other.bytes && (text.bytes == 0 || strncasecmp(text.at, other.at, text.bytes) == 0);
}

#endif
