/* answer.c — see answer.h. RFC 9112 sections 4 and 6; strict, because it judges. */
#include "tests/judge/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A decimal number at *at; false if there is none. */
static bool number_take(const char **at, const char *end, uint64_t *number)
{
    const char *start = *at;
    *number = 0;
    for (; *at < end && **at >= '0' && **at <= '9' && *at - start < 18; (*at)++) {
        *number = *number * 10 + (uint64_t)(**at - '0');
    }
    return *at > start;
}

static bool byte_take(const char **at, const char *end, char byte)
{
    if (*at >= end || **at != byte) {
        return false;
    }
    (*at)++;
    return true;
}

/* "bytes 0-99/1234" */
static bool range_read(struct answer *answer, const char *at, const char *end)
{
    if (answer->has_range || end - at < 6 || memcmp(at, "bytes ", 6) != 0) {
        return false;
    }
    at += 6;
    answer->has_range = true;
    return number_take(&at, end, &answer->range_first) && byte_take(&at, end, '-') &&
           number_take(&at, end, &answer->range_last) && byte_take(&at, end, '/') &&
           number_take(&at, end, &answer->range_total) && at == end;
}

static bool name_is(const char *name, size_t bytes, const char *wanted)
{
    return strlen(wanted) == bytes && strncasecmp(name, wanted, bytes) == 0;
}

/* One field, its value from AT to END. NULL, or what is wrong with it. */
static const char *field_read(struct answer *answer, const char *name, size_t bytes, const char *at, const char *end)
{
    if (name_is(name, bytes, "Content-Length")) {
        if (answer->has_length || !number_take(&at, end, &answer->length) || at != end) {
            return "its Content-Length is malformed, or given twice";
        }
        answer->has_length = true;
    } else if (name_is(name, bytes, "Connection")) {
        answer->says_close |= end - at == 5 && strncasecmp(at, "close", 5) == 0;
    } else if (name_is(name, bytes, "ETag")) {
        answer->etag = at;
        answer->etag_bytes = (size_t)(end - at);
    } else if (name_is(name, bytes, "Content-Range")) {
        return range_read(answer, at, end) ? NULL : "its Content-Range is malformed, or given twice";
    } else if (name_is(name, bytes, "Transfer-Encoding") || name_is(name, bytes, "Content-Encoding")) {
        return "it has an encoding nobody asked for";
    }
    return NULL;
}

/* "HTTP/1.1 200 OK" */
static bool status_read(struct answer *answer, const char *at, const char *end)
{
    uint64_t status;
    if (end - at < 13 || memcmp(at, "HTTP/1.1 ", 9) != 0) {
        return false;
    }
    at += 9;
    if (!number_take(&at, end, &status) || status < 100 || status > 599 || !byte_take(&at, end, ' ')) {
        return false;
    }
    answer->status = (int)status;
    return true;
}

const char *answer_read(struct answer *answer, const char *head, size_t head_bytes)
{
    const char *end = head + head_bytes - 2; /* without the empty line */
    const char *stop = memmem(head, head_bytes, "\r\n", 2);
    *answer = (struct answer){0};
    if (!status_read(answer, head, stop)) {
        return "its status line is malformed";
    }
    for (const char *line = stop + 2; line < end; line = stop + 2) {
        stop = memmem(line, (size_t)(head + head_bytes - line), "\r\n", 2);
        const char *colon = memchr(line, ':', (size_t)(stop - line));
        if (colon == NULL || colon == line || memchr(line, '\n', (size_t)(stop - line)) != NULL) {
            return "one of its fields is malformed";
        }
        const char *value = colon + 1;
        while (value < stop && *value == ' ') {
            value++;
        }
        const char *wrong = field_read(answer, line, (size_t)(colon - line), value, stop);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

uint64_t answer_body_bytes(const struct request *request)
{
    return request->is_head || request->status == 304 ? 0 : request->bytes;
}

static bool range_is_due(const struct answer *answer, const struct request *request)
{
    return answer->has_range && answer->range_first == request->from &&
           answer->range_last == request->from + request->bytes - 1 && answer->range_total == request->file->bytes;
}

enum trouble answer_judge(const struct answer *answer, const struct request *request, char *words, size_t words_bytes)
{
    if (answer->status != request->status) {
        snprintf(words, words_bytes, "%d instead of %d", answer->status, request->status);
        return TROUBLE_WRONG_STATUS;
    }
    if (request->status == 304) {
        return TROUBLE_NONE;
    }
    if (request->status == 206 && !range_is_due(answer, request)) {
        snprintf(words, words_bytes, "its Content-Range is missing, or another than asked for");
        return TROUBLE_BAD_HEAD;
    }
    if (answer->has_length && answer->length == request->bytes) {
        return TROUBLE_NONE;
    }
    if (!answer->has_length) {
        snprintf(words, words_bytes, "it has no Content-Length");
        return TROUBLE_BAD_HEAD;
    }
    snprintf(words, words_bytes, "its Content-Length is %" PRIu64 " instead of %" PRIu64, answer->length,
             request->bytes);
    return answer->length < request->bytes ? TROUBLE_TRUNCATED : TROUBLE_BAD_HEAD;
}
