/* request_fields.c — the header fields: which are known, what is kept of each (RFC 9112 section 5).
 * What two fields say together is not judged here. */
#include "worker/request_head.h"
#include "worker/request_scan.h"

/* ---- Fields (RFC 9112 section 5) ---- */

enum field {
    FIELD_OTHER, /* of no interest here */
    FIELD_ACCEPT_ENCODING,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_EXPECT,
    FIELD_HOST,
    FIELD_IF_MATCH,
    FIELD_IF_MODIFIED_SINCE,
    FIELD_IF_NONE_MATCH,
    FIELD_IF_RANGE,
    FIELD_IF_UNMODIFIED_SINCE,
    FIELD_RANGE,
    FIELD_REFERER,
    FIELD_TRANSFER_ENCODING,
    FIELD_USER_AGENT,
};

static const char *const field_name[] = {
    [FIELD_OTHER] = "",
    [FIELD_ACCEPT_ENCODING] = "accept-encoding",
    [FIELD_CONNECTION] = "connection",
    [FIELD_CONTENT_LENGTH] = "content-length",
    [FIELD_EXPECT] = "expect",
    [FIELD_HOST] = "host",
    [FIELD_IF_MATCH] = "if-match",
    [FIELD_IF_MODIFIED_SINCE] = "if-modified-since",
    [FIELD_IF_NONE_MATCH] = "if-none-match",
    [FIELD_IF_RANGE] = "if-range",
    [FIELD_IF_UNMODIFIED_SINCE] = "if-unmodified-since",
    [FIELD_RANGE] = "range",
    [FIELD_REFERER] = "referer",
    [FIELD_TRANSFER_ENCODING] = "transfer-encoding",
    [FIELD_USER_AGENT] = "user-agent",
};

/* The fields whose names have so many bytes; no length has more than two. */
static const uint8_t fields_of_length[][2] = {
    [4] = {FIELD_HOST},
    [5] = {FIELD_RANGE},
    [6] = {FIELD_EXPECT},
    [7] = {FIELD_REFERER},
    [8] = {FIELD_IF_MATCH, FIELD_IF_RANGE},
    [10] = {FIELD_CONNECTION, FIELD_USER_AGENT},
    [13] = {FIELD_IF_NONE_MATCH},
    [14] = {FIELD_CONTENT_LENGTH},
    [15] = {FIELD_ACCEPT_ENCODING},
    [17] = {FIELD_IF_MODIFIED_SINCE, FIELD_TRANSFER_ENCODING},
    [19] = {FIELD_IF_UNMODIFIED_SINCE},
};

static enum field field_find(struct text name)
{
    if (name.bytes >= sizeof fields_of_length / sizeof fields_of_length[0])
        return FIELD_OTHER;
    for (size_t i = 0; i < 2; i++) {
        enum field field = fields_of_length[name.bytes][i];
        if (field != FIELD_OTHER && name_is(name, field_name[field]))
            return field;
    }
    return FIELD_OTHER;
}

static enum request_verdict field_keep_first(struct text *kept, struct text value)
{
    if (kept->at == NULL)
        *kept = value;
    return REQUEST_WHOLE;
}

static enum request_verdict field_keep_only(struct head *head, struct text *kept, struct text value, const char *why)
{
    if (kept->at != NULL)
        return head_refuse(head, 400, why);
    *kept = value;
    return REQUEST_WHOLE;
}

/* A list that may be split over a few fields (RFC 9110 section 5.3). */
static enum request_verdict field_keep_some(struct head *head, struct text kept[LIST_FIELDS_MAX], struct text value,
                                            const char *why)
{
    for (size_t i = 0; i < LIST_FIELDS_MAX; i++) {
        if (kept[i].at == NULL) {
            kept[i] = value;
            return REQUEST_WHOLE;
        }
    }
    return head_refuse(head, 400, why);
}

/* What is to become of each field. If-Match and If-None-Match are lists that may be split over several fields, and half
 * a condition must not be taken for the whole; of Accept-Encoding any half is a fair answer. Long for its table. */
static enum request_verdict field_take(struct head *head, enum field field, struct text value)
{
    struct request *request = head->request;
    switch (field) {
    case FIELD_OTHER:
        return REQUEST_WHOLE;
    case FIELD_ACCEPT_ENCODING:
        return field_keep_first(&request->accept_encoding, value);
    case FIELD_CONNECTION:
        connection_read(value, &head->wish);
        return REQUEST_WHOLE;
    case FIELD_CONTENT_LENGTH:
        return field_keep_only(head, &head->content_length, value, "two Content-Length fields");
    case FIELD_EXPECT:
        request->expects_continue |= request->minor_version > 0 && expect_is_continue(value);
        return REQUEST_WHOLE;
    case FIELD_HOST:
        return field_keep_only(head, &head->host, value, "two Host fields");
    case FIELD_IF_MATCH:
        return field_keep_some(head, request->if_match, value, "too many If-Match fields");
    case FIELD_IF_MODIFIED_SINCE:
        return field_keep_only(head, &request->if_modified_since, value, "two If-Modified-Since fields");
    case FIELD_IF_NONE_MATCH:
        return field_keep_some(head, request->if_none_match, value, "too many If-None-Match fields");
    case FIELD_IF_RANGE:
        return field_keep_only(head, &request->if_range, value, "two If-Range fields");
    case FIELD_IF_UNMODIFIED_SINCE:
        return field_keep_only(head, &request->if_unmodified_since, value, "two If-Unmodified-Since fields");
    case FIELD_RANGE:
        return field_keep_only(head, &request->range, value, "two Range fields");
    case FIELD_REFERER:
        return field_keep_first(&request->referer, value);
    case FIELD_TRANSFER_ENCODING:
        codings_read(value, &head->codings);
        return REQUEST_WHOLE;
    case FIELD_USER_AGENT:
        return field_keep_first(&request->user_agent, value);
    }
    return REQUEST_WHOLE;
}

static enum request_verdict name_refuse(struct head *head, struct text name, char next)
{
    bool space = next == ' ' || next == '\t';
    if (name.bytes == 0)
        return head_refuse(head, 400, space ? "obs-fold" : next == ':' ? "empty field name" : "malformed field name");
    return head_refuse(head, 400, space ? "white space before the colon" : "malformed field name");
}

static enum request_verdict name_parse(struct head *head, struct text *name)
{
    const char *start = head->at, *at = name_end(start, head->end);
    if (at == head->end)
        return REQUEST_PARTIAL;
    *name = (struct text){start, (size_t)(at - start)};
    if (*at != ':' || at == start)
        return name_refuse(head, *name, *at);
    head->at = at + 1;
    return REQUEST_WHOLE;
}

/* The value goes without the white space around it; its CRLF is taken too. */
static enum request_verdict value_parse(struct head *head, struct text *value)
{
    const char *start = head->at;
    while (start < head->end && (*start == ' ' || *start == '\t'))
        start++;
    const char *stop = value_end(start, head->end);
    if (stop == head->end)
        return REQUEST_PARTIAL;
    if (*stop != '\r')
        return head_refuse(head, 400, *stop == '\n' ? "bare LF" : "control character in a field");
    if (head->end - stop < 2)
        return REQUEST_PARTIAL;
    if (stop[1] != '\n')
        return head_refuse(head, 400, "bare CR");
    head->at = stop + 2;
    while (stop > start && (stop[-1] == ' ' || stop[-1] == '\t'))
        stop--;
    *value = (struct text){start, (size_t)(stop - start)};
    return REQUEST_WHOLE;
}

/* All fields and the empty line behind them. */
enum request_verdict request_fields_parse(struct head *head)
{
    while (head->at < head->end) {
        enum request_verdict verdict;
        struct text name, value;
        if (*head->at == '\r')
            return head_crlf_take(head);
        if ((verdict = name_parse(head, &name)) != REQUEST_WHOLE ||
            (verdict = value_parse(head, &value)) != REQUEST_WHOLE ||
            (verdict = field_take(head, field_find(name), value)) != REQUEST_WHOLE)
            return verdict;
    }
    return REQUEST_PARTIAL;
}
