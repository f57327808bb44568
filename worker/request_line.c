/* request_line.c — the request line and its target (RFC 9112 section 3). */
#include "worker/request_head.h"
#include "worker/request_scan.h"

enum {
    METHOD_MOST = 32, /* bytes of a method; the longest registered has 17 */
};

/* ---- method SP target SP version CRLF, single spaces ---- */

static enum request_verdict method_parse(struct head *head)
{
    const char *start = head->at, *at = start;
    while (at < head->end && char_is(*at, CHAR_TOKEN) && at - start <= METHOD_MOST)
        at++;
    if (at - start > METHOD_MOST)
        return head_refuse(head, 501, "method too long");
    if (at == head->end)
        return REQUEST_PARTIAL;
    if (*start == 0x16)
        return head_refuse(head, 400, "TLS on a plain port");
    if (at == start || *at != ' ')
        return head_refuse(head, 400, "malformed method");
    head->method = (struct text){start, (size_t)(at - start)};
    head->at = at + 1;
    return REQUEST_WHOLE;
}

static enum request_verdict target_parse(struct head *head)
{
    const char *start = head->at, *at = target_end(start, head->end);
    if ((size_t)(at - start) > head->limits->target_bytes)
        return head_refuse(head, 414, "target too long");
    if (at == head->end)
        return REQUEST_PARTIAL;
    if (at == start || *at != ' ')
        return head_refuse(head, 400, at == start ? "no target" : "malformed target");
    head->request->target = (struct text){start, (size_t)(at - start)};
    head->at = at + 1;
    return REQUEST_WHOLE;
}

/* Every byte that is there is compared, so "HTTP/1.1" LF is not waited for. A minor version above 1 is spoken to as 1
 * (RFC 9110 section 2.5); *major is told, not judged. */
static enum request_verdict version_parse(struct head *head, unsigned *major)
{
    static const char form[] = "HTTP/0.0\r\n"; /* 0: any digit */
    const char *at = head->at;
    size_t given = (size_t)(head->end - at), bytes = sizeof form - 1;
    bool usual = given >= bytes && memcmp(at, "HTTP/1.1\r\n", bytes) == 0;
    for (size_t i = 0; !usual && i < bytes && i < given; i++)
        if (form[i] == '0' ? !char_is_digit(at[i]) : at[i] != form[i])
            return head_refuse(head, 400, "malformed version");
    if (given < bytes)
        return REQUEST_PARTIAL;
    *major = (unsigned)(at[5] - '0');
    head->request->minor_version = at[7] == '0' ? 0 : 1;
    head->at = at + bytes;
    return REQUEST_WHOLE;
}

/* ---- The target's four forms (section 3.2) ---- */

static void path_split(struct request *request, struct text rest)
{
    const char *mark = rest.bytes > 0 ? memchr(rest.at, '?', rest.bytes) : NULL;
    request->path = rest;
    if (mark == NULL)
        return;
    request->path.bytes = (size_t)(mark - rest.at);
    request->query = (struct text){mark + 1, rest.bytes - request->path.bytes - 1};
}

static size_t scheme_bytes(struct text target)
{
    static const struct text schemes[] = {TEXT("http://"), TEXT("https://")};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (target.bytes >= schemes[i].bytes && text_is_nocase((struct text){target.at, schemes[i].bytes}, schemes[i]))
            return schemes[i].bytes;
    return 0;
}

static enum request_verdict absolute_split(struct head *head, size_t scheme)
{
    struct request *request = head->request;
    struct text rest = {request->target.at + scheme, request->target.bytes - scheme};
    struct text authority = {rest.at, 0};
    while (authority.bytes < rest.bytes && rest.at[authority.bytes] != '/' && rest.at[authority.bytes] != '?')
        authority.bytes++;
    if (!authority_split(authority, &request->host))
        return head_refuse(head, 400, "malformed authority in the target");
    request->authority = authority;
    head->form = TARGET_ABSOLUTE;
    path_split(request, (struct text){rest.at + authority.bytes, rest.bytes - authority.bytes});
    if (request->path.bytes == 0) /* means "/", and the scheme's last byte is one */
        request->path = (struct text){rest.at - 1, 1};
    return REQUEST_WHOLE;
}

static enum request_verdict target_split(struct head *head)
{
    struct request *request = head->request;
    struct text target = request->target, host;
    if (request->method == METHOD_OTHER && text_is(head->method, TEXT("CONNECT"))) {
        if (!authority_split(target, &host) || target.bytes - host.bytes < 2)
            return head_refuse(head, 400, "CONNECT to no host and port");
        head->form = TARGET_AUTHORITY;
        return REQUEST_WHOLE; /* without a path */
    }
    if (target.at[0] == '/') {
        head->form = TARGET_ORIGIN;
        path_split(request, target);
        return REQUEST_WHOLE;
    }
    if (request->method == METHOD_OPTIONS && text_is(target, TEXT("*"))) {
        head->form = TARGET_ASTERISK;
        request->path = target;
        return REQUEST_WHOLE;
    }
    size_t scheme = scheme_bytes(target);
    return scheme > 0 ? absolute_split(head, scheme) : head_refuse(head, 400, "malformed target");
}

enum request_verdict request_line_parse(struct head *head)
{
    enum request_verdict verdict;
    unsigned major = 0;
    if (head->at < head->end && *head->at == '\r' && (verdict = head_crlf_take(head)) != REQUEST_WHOLE)
        return verdict;
    const char *start = head->at;
    if ((verdict = method_parse(head)) != REQUEST_WHOLE || (verdict = target_parse(head)) != REQUEST_WHOLE ||
        (verdict = version_parse(head, &major)) != REQUEST_WHOLE)
        return verdict;
    head->request->line = (struct text){start, (size_t)(head->at - start) - 2};
    head->request->method = method_find(head->method);
    if (major != 1)
        return head_refuse(head, 505, "not HTTP/1");
    return target_split(head);
}
