/* request_parse.c — the head of an HTTP/1 request, from its first byte to its empty line (RFC 9112 sections 2, 3, 5).
 * It copies nothing, allocates nothing, never looks beyond the bytes given; what could be read in two ways is refused.
 *
 * A head that came in one piece is parsed in one pass. Of one that comes in pieces each further piece is only searched
 * for the end, and the whole is parsed when that is there. */
#include "worker/request_head.h"

enum {
    LINE_START = 64, /* so few bytes are parsed at every call, that garbage is refused at its first bytes */
};

/* ---- What the fields say together ---- */

/* RFC 9112 section 3.2; an empty Host is for targets without an authority, and one in origin-form has one. */
static enum request_verdict host_judge(struct head *head)
{
    struct request *request = head->request;
    struct text host = {NULL, 0};
    if (head->host.at == NULL)
        return request->minor_version > 0 ? head_refuse(head, 400, "no Host field") : REQUEST_WHOLE;
    if (head->host.bytes > 0 && !authority_split(head->host, &host))
        return head_refuse(head, 400, "malformed Host field");
    if (head->host.bytes == 0 && head->form == TARGET_ORIGIN)
        return head_refuse(head, 400, "empty Host field");
    if (head->form != TARGET_ABSOLUTE) {
        request->authority = head->host;
        request->host = head->host.bytes > 0 ? host : head->host;
    }
    return REQUEST_WHOLE;
}

/* RFC 9112 sections 6.1 to 6.3. */
static enum request_verdict body_judge(struct head *head)
{
    struct request *request = head->request;
    const struct codings *codings = &head->codings;
    if (codings->fields == 0 && head->content_length.at == NULL)
        return REQUEST_WHOLE;
    if (codings->fields == 0) {
        if (!content_length_read(head->content_length, &request->content_length))
            return head_refuse(head, 400, "malformed Content-Length");
        request->body = request->content_length > 0 ? BODY_LENGTH : BODY_NONE;
        return REQUEST_WHOLE;
    }
    if (head->content_length.at != NULL)
        return head_refuse(head, 400, "both Content-Length and Transfer-Encoding");
    if (request->minor_version == 0)
        return head_refuse(head, 400, "Transfer-Encoding in HTTP/1.0");
    if (codings->malformed || codings->chunked > 1)
        return head_refuse(head, 400, "malformed Transfer-Encoding");
    if (!codings->chunked_last) /* no end can be found: RFC 9112 section 6.3 */
        return head_refuse(head, 400, "Transfer-Encoding does not end in chunked");
    if (codings->others > 0)
        return head_refuse(head, 501, "unknown transfer coding");
    request->body = BODY_CHUNKED;
    return REQUEST_WHOLE;
}

static enum request_verdict head_parse(struct head *head)
{
    enum request_verdict verdict;
    if ((verdict = request_line_parse(head)) != REQUEST_WHOLE ||
        (verdict = request_fields_parse(head)) != REQUEST_WHOLE || (verdict = host_judge(head)) != REQUEST_WHOLE ||
        (verdict = body_judge(head)) != REQUEST_WHOLE)
        return verdict;
    struct connection_wish wish = head->wish;
    head->request->keep_alive = !wish.close && (head->request->minor_version > 0 || wish.keep_alive);
    return REQUEST_WHOLE;
}

/* ---- A head in pieces ---- */

/* Whether the bytes from FROM on hold the head's end, or an LF without CR, which is the end of it too. */
static bool head_may_end(const char *bytes, size_t from, size_t count)
{
    const char *end = bytes + count, *at = bytes + from;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        if (at == bytes || at[-1] != '\r' || (at - bytes >= 2 && at[-2] == '\n'))
            return true;
        at++;
    }
    return false;
}

/* Whether parsing anew could say more than REQUEST_PARTIAL again. Each case but the end comes up a bounded number of
 * times in a head, which keeps the whole linear. */
static bool head_is_worth_parsing(const char *bytes, size_t count, const struct request_limits *limits, size_t scanned)
{
    if (scanned < LINE_START || count >= limits->head_bytes)
        return true;
    if (count > limits->target_bytes && scanned - LINE_START <= limits->target_bytes)
        return true; /* the target may just have passed its limit */
    return scanned < count && head_may_end(bytes, scanned, count);
}

enum request_verdict request_parse(const char *bytes, size_t count, const struct request_limits *limits,
                                   size_t *scanned, struct request *request, struct refusal *refusal)
{
    struct head head = {.at = bytes, .end = bytes + count, .limits = limits, .request = request, .refusal = refusal};
    size_t before = *scanned;
    *scanned = count;
    *request = (struct request){0};
    if (!head_is_worth_parsing(bytes, count, limits, before))
        return REQUEST_PARTIAL;
    enum request_verdict verdict = head_parse(&head);
    request->head_bytes = (size_t)(head.at - bytes);
    /* As many bytes as the limit and no end among them is too many already: the caller's buffer may be full. */
    if ((verdict == REQUEST_PARTIAL && count >= limits->head_bytes) ||
        (verdict == REQUEST_WHOLE && request->head_bytes > limits->head_bytes))
        return head_refuse(&head, 431, "head too large");
    return verdict;
}
