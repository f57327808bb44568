/* request.c — see request.h. */
#include "tests/judge/request.h"

#include "tests/judge/chance.h"

#include <inttypes.h>
#include <stdio.h>

/* A range of the file in one of the three forms of RFC 9110 section 14.1.2; returns the length of the field. */
static size_t range_compose(struct request *request, char *text)
{
    uint64_t size = request->file->bytes;
    request->status = 206;
    request->from = chance_below(size);
    request->bytes = size - request->from;
    if (chance_one_in(3)) {
        return (size_t)sprintf(text, "Range: bytes=-%" PRIu64 "\r\n", request->bytes);
    }
    if (chance_one_in(2)) {
        return (size_t)sprintf(text, "Range: bytes=%" PRIu64 "-\r\n", request->from);
    }
    request->bytes = 1 + chance_below(request->bytes);
    return (size_t)sprintf(text, "Range: bytes=%" PRIu64 "-%" PRIu64 "\r\n", request->from,
                           request->from + request->bytes - 1);
}

/* Make a plain request something else, one time in six. Returns the length of the field that says so. */
static size_t vary(struct request *request, char *text)
{
    switch (chance_below(18)) {
    case 0:
        request->is_head = true;
        return 0;
    case 1:
        return request->file->bytes > 0 ? range_compose(request, text) : 0;
    case 2:
        if (request->file->etag[0] == '\0') {
            return 0;
        }
        request->status = 304;
        return (size_t)sprintf(text, "If-None-Match: %s\r\n", request->file->etag);
    default:
        return 0;
    }
}

size_t request_compose(struct request *request, struct file *file, enum request_manner manner, const char *host,
                       char *text)
{
    char field[ETAG_BYTES + 64] = "";
    *request = (struct request){.file = file, .bytes = file->bytes, .status = 200};
    if (manner == REQUEST_VARIED) {
        field[vary(request, field)] = '\0';
    }
    return (size_t)snprintf(text, REQUEST_BYTES_MAX, "%s %s HTTP/1.1\r\nHost: %.200s\r\n%s%s\r\n",
                            request->is_head ? "HEAD" : "GET", file->target, host,
                            manner == REQUEST_LAST ? "Connection: close\r\n" : "", field);
}

void request_describe(const struct request *request, char *words, size_t words_bytes)
{
    char range[64] = "";
    if (request->status == 206) {
        snprintf(range, sizeof range, ", bytes %" PRIu64 "-%" PRIu64, request->from,
                 request->from + request->bytes - 1);
    }
    snprintf(words, words_bytes, "%s %s%s%s", request->is_head ? "HEAD" : "GET", request->file->target, range,
             request->status == 304 ? ", if changed" : "");
}
