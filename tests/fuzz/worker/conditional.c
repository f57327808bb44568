/* conditional.c — fuzzes preconditions: 304 and 412 only for what was asked, and what RFC 9110 section 13 has as
 * certain.
 *
 * Input: a byte for the file's age in seconds, then the fields in the order of `enum field`, one a line. */
#include "worker/conditional.h"
#include "tests/fuzz/target.h"
#include "worker/http_date.h"

enum { NOW = 1795000000, LINES = 8 };

enum field {
    FIELD_ETAG, /* of the file; without quotes */
    FIELD_IF_MATCH,
    FIELD_IF_MATCH_TOO,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_NONE_MATCH_TOO,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_UNMODIFIED_SINCE,
    FIELD_IF_RANGE,
};

/* The next line, in a block of its own; an empty one is an absent field. The caller frees it. */
static struct text line_take(struct input *input)
{
    const uint8_t *end = input->left > 0 ? memchr(input->at, '\n', input->left) : NULL;
    size_t bytes = end != NULL ? (size_t)(end - input->at) : input->left;
    const uint8_t *from = input_take(input, &bytes);
    (void)input_number(input, end != NULL);
    return bytes > 0 ? (struct text){exact_copy(from, bytes), bytes} : (struct text){NULL, 0};
}

static void check_certain(struct request *request, const struct validators *validators)
{
    enum precondition verdict = conditional_judge(request, validators, NOW);
    bool has_not_modified = request->if_none_match[0].at != NULL || request->if_modified_since.at != NULL;
    bool has_failed = request->if_match[0].at != NULL || request->if_unmodified_since.at != NULL;
    check(verdict != PRECONDITION_NOT_MODIFIED || has_not_modified);
    check(verdict != PRECONDITION_FAILED || has_failed);

    /* If-None-Match has the last word over If-Modified-Since, If-Match over If-Unmodified-Since. */
    struct request less = *request;
    less.if_modified_since = less.if_none_match[0].at != NULL ? (struct text){NULL, 0} : less.if_modified_since;
    less.if_unmodified_since = less.if_match[0].at != NULL ? (struct text){NULL, 0} : less.if_unmodified_since;
    check(conditional_judge(&less, validators, NOW) == verdict);

    /* With our own words: nothing has changed. */
    struct request ours = *request;
    ours.if_none_match[0] = validators->etag;
    check(conditional_judge(&ours, validators, NOW) ==
          (verdict == PRECONDITION_FAILED ? PRECONDITION_FAILED : PRECONDITION_NOT_MODIFIED));
    ours = (struct request){.if_match[0] = validators->etag, .if_modified_since = validators->modified_text};
    check(conditional_judge(&ours, validators, NOW) == PRECONDITION_NOT_MODIFIED);
}

static void check_range(struct request *request, const struct validators *validators)
{
    bool applies = conditional_range_applies(request, validators, NOW);
    check(request->if_range.at != NULL || applies);
    struct request ours = {.if_range = validators->etag};
    check(conditional_range_applies(&ours, validators, NOW));
    ours.if_range = validators->modified_text;
    check(conditional_range_applies(&ours, validators, NOW) == (validators->modified < NOW));
    /* A weak tag never allows it. */
    check(!applies || request->if_range.at == NULL || request->if_range.at[0] != 'W' ||
          request->if_range.at[1] == 'e' /* Wed */);
}

/* The tag as the server makes it: quoted, and without quotes inside. */
static struct text make_etag(struct text plain, char etag[64])
{
    size_t bytes = 1;
    etag[0] = '"';
    for (size_t i = 0; i < plain.bytes && bytes < 62; i++) {
        if (plain.at[i] != '"') {
            etag[bytes++] = plain.at[i];
        }
    }
    etag[bytes++] = '"';
    return (struct text){etag, bytes};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    char etag[64], modified[HTTP_DATE_BYTES];
    struct text line[LINES];
    struct input input = {bytes, count};
    time_t age = (time_t)input_number(&input, 1);
    for (size_t i = 0; i < LINES; i++) {
        line[i] = line_take(&input);
    }
    http_date_write(NOW - age, modified);
    const struct validators validators = {
        .etag = make_etag(line[FIELD_ETAG], etag), .modified_text = {modified, HTTP_DATE_BYTES}, .modified = NOW - age};
    struct request request = {.if_match = {line[FIELD_IF_MATCH], line[FIELD_IF_MATCH_TOO]},
                              .if_none_match = {line[FIELD_IF_NONE_MATCH], line[FIELD_IF_NONE_MATCH_TOO]},
                              .if_modified_since = line[FIELD_IF_MODIFIED_SINCE],
                              .if_unmodified_since = line[FIELD_IF_UNMODIFIED_SINCE],
                              .if_range = line[FIELD_IF_RANGE]};
    check_certain(&request, &validators);
    check_range(&request, &validators);
    for (size_t i = 0; i < LINES; i++) {
        free((void *)(uintptr_t)line[i].at);
    }
    return 0;
}
