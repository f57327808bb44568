/* request_check.c — whether one part of a request's head is well formed, and what it says.
 * Nothing here knows where in the head a part stood, or what else the head says. */
#include "worker/request_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>

/* The bytes of each class, by their letters below; a byte that is not listed (a control, DEL) is in none. */
#define T CHAR_TOKEN
#define G CHAR_TARGET
#define H CHAR_HOST
#define V CHAR_VALUE
const uint8_t char_classes[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | G | H | V,
    ['"'] = G | V,
    ['#'] = T | V,
    ['$'] = T | G | H | V,
    ['%'] = T | G | V,
    ['&' ... '\''] = T | G | H | V,
    ['(' ... ')'] = G | H | V,
    ['*' ... '+'] = T | G | H | V,
    [','] = G | H | V,
    ['-' ... '.'] = T | G | H | V,
    ['/'] = G | V,
    ['0' ... '9'] = T | G | H | V,
    [':'] = G | V,
    [';'] = G | H | V,
    ['<'] = G | V,
    ['='] = G | H | V,
    ['>' ... '@'] = G | V,
    ['A' ... 'Z'] = T | G | H | V,
    ['[' ... ']'] = G | V,
    ['^'] = T | G | V,
    ['_'] = T | G | H | V,
    ['`'] = T | G | V,
    ['a' ... 'z'] = T | G | H | V,
    ['{'] = G | V,
    ['|'] = T | G | V,
    ['}'] = G | V,
    ['~'] = T | G | H | V,
    [0x80 ... 0xff] = V,
};
#undef T
#undef G
#undef H
#undef V

enum method method_find(struct text token)
{
    static const struct text not_served[] = {TEXT("POST"),  TEXT("PUT"),     TEXT("DELETE"),
                                             TEXT("PATCH"), TEXT("CONNECT"), TEXT("TRACE")};
    if (text_is(token, TEXT("GET")))
        return METHOD_GET;
    if (text_is(token, TEXT("HEAD")))
        return METHOD_HEAD;
    if (text_is(token, TEXT("OPTIONS")))
        return METHOD_OPTIONS;
    for (size_t i = 0; i < sizeof not_served / sizeof not_served[0]; i++)
        if (text_is(token, not_served[i]))
            return METHOD_OTHER;
    return METHOD_UNKNOWN;
}

/* ---- Authority ---- */

static bool char_is_hex(char byte)
{
    return char_is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static bool port_is_valid(struct text digits)
{
    unsigned port = 0; /* 0 <= port <= 65535 */
    for (size_t i = 0; i < digits.bytes; i++) {
        if (!char_is_digit(digits.at[i]))
            return false;
        port = port * 10 + (unsigned)(digits.at[i] - '0');
        if (port > 65535)
            return false;
    }
    return true; /* an empty one too: RFC 3986 section 3.2.3 */
}

/* The bytes of the reg-name AUTHORITY begins with; 0 if that is malformed. */
static size_t name_bytes(struct text authority)
{
    size_t i = 0;
    while (i < authority.bytes && authority.at[i] != ':') {
        if (char_is(authority.at[i], CHAR_HOST))
            i++;
        else if (authority.at[i] == '%' && authority.bytes - i >= 3 && char_is_hex(authority.at[i + 1]) &&
                 char_is_hex(authority.at[i + 2]))
            i += 3;
        else
            return 0;
    }
    return i;
}

/* The bytes of the IPv6 literal AUTHORITY begins with, brackets included; 0 if that is malformed. IPvFuture and zones
 * are refused: no such address leads here. */
static size_t literal_bytes(struct text authority)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr binary;
    const char *close = memchr(authority.at, ']', authority.bytes);
    if (close == NULL)
        return 0;
    size_t bytes = (size_t)(close - authority.at) - 1;
    if (bytes >= sizeof address || memchr(authority.at, '\0', bytes) != NULL)
        return 0;
    memcpy(address, authority.at + 1, bytes);
    address[bytes] = '\0';
    return inet_pton(AF_INET6, address, &binary) == 1 ? bytes + 2 : 0;
}

bool authority_split(struct text authority, struct text *host)
{
    if (authority.bytes == 0)
        return false;
    size_t bytes = authority.at[0] == '[' ? literal_bytes(authority) : name_bytes(authority);
    if (bytes == 0)
        return false;
    *host = (struct text){authority.at, bytes};
    if (bytes == authority.bytes)
        return true;
    if (authority.at[bytes] != ':')
        return false;
    return port_is_valid((struct text){authority.at + bytes + 1, authority.bytes - bytes - 1});
}

/* ---- Values ---- */

bool content_length_read(struct text value, uint64_t *length)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < value.bytes; i++) {
        if (!char_is_digit(value.at[i]))
            return false;
        if (__builtin_mul_overflow(sum, 10U, &sum) || __builtin_add_overflow(sum, (uint64_t)(value.at[i] - '0'), &sum))
            return false;
    }
    *length = sum;
    return value.bytes > 0;
}

static bool char_is_space(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool list_take(struct text *rest, struct text *element)
{
    if (rest->at == NULL)
        return false;
    const char *comma = rest->bytes > 0 ? memchr(rest->at, ',', rest->bytes) : NULL;
    struct text taken = {rest->at, comma != NULL ? (size_t)(comma - rest->at) : rest->bytes};
    *rest = comma != NULL ? (struct text){comma + 1, rest->bytes - taken.bytes - 1} : (struct text){NULL, 0};
    while (taken.bytes > 0 && char_is_space(taken.at[0]))
        taken = (struct text){taken.at + 1, taken.bytes - 1};
    while (taken.bytes > 0 && char_is_space(taken.at[taken.bytes - 1]))
        taken.bytes--;
    *element = taken;
    return true;
}

void connection_read(struct text value, struct connection_wish *wish)
{
    struct text option;
    while (list_take(&value, &option)) {
        if (text_is_nocase(option, TEXT("close")))
            wish->close = true;
        else if (text_is_nocase(option, TEXT("keep-alive")))
            wish->keep_alive = true;
    }
}

bool expect_is_continue(struct text value)
{
    struct text expectation;
    while (list_take(&value, &expectation))
        if (text_is_nocase(expectation, TEXT("100-continue")))
            return true;
    return false;
}

/* The parameters of a coding are not looked into: with any, it is none that is served. */
static void coding_read(struct text coding, struct codings *codings)
{
    size_t name = 0, next;
    while (name < coding.bytes && char_is(coding.at[name], CHAR_TOKEN))
        name++;
    for (next = name; next < coding.bytes && char_is_space(coding.at[next]);)
        next++;
    bool bare = name == coding.bytes, parameters = next < coding.bytes && coding.at[next] == ';';
    bool chunked = text_is_nocase((struct text){coding.at, name}, TEXT("chunked"));
    codings->chunked_last = chunked;
    if (name == 0 || (!bare && !parameters) || (chunked && parameters))
        codings->malformed = true;
    else if (chunked)
        codings->chunked++;
    else
        codings->others++;
}

void codings_read(struct text value, struct codings *codings)
{
    struct text coding;
    codings->fields++;
    while (list_take(&value, &coding))
        coding_read(coding, codings);
}
