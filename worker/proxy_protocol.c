/* proxy_protocol.c — see proxy_protocol.h, and "The PROXY protocol" in HAProxy's documentation. What could be read in
 * two ways is refused. */
#include "worker/proxy_protocol.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

enum {
    LINE_MOST = 107, /* version 1, with its CRLF */
    FIXED_BYTES = 16,
    FOUR_BYTES = 12, /* of version 2: two addresses and two ports */
    SIX_BYTES = 36,
    UNIX_BYTES = 216,
};

/* True if the COUNT bytes at BYTES begin with the LENGTH bytes of WORDS, or are the beginning of them. */
static bool may_begin_with(const void *bytes, size_t count, const void *words, size_t length)
{
    return memcmp(bytes, words, count < length ? count : length) == 0;
}

/* ---- version 1: one line ---- */

/* Copy the word at AT, which ends before a space or at END, cut if it is too long to be any. Returns where the next one
 * begins, NULL: there is none. */
static const char *take_word(const char *at, const char *end, char word[INET6_ADDRSTRLEN])
{
    size_t length = 0;
    while (at < end && *at != ' ') {
        if (length < INET6_ADDRSTRLEN - 1) {
            word[length++] = *at;
        }
        at++;
    }
    word[length] = 0;
    return at < end ? at + 1 : NULL;
}

static bool is_port(const char *word)
{
    size_t length = strlen(word);
    unsigned number = 0;
    if (length == 0 || length > 5 || strspn(word, "0123456789") != length || (word[0] == '0' && length > 1)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        number = number * 10 + (unsigned)(word[i] - '0');
    }
    return number <= 65535;
}

/* "SOURCE DESTINATION PORT PORT" from AT to END. */
static bool read_endpoints(const char *at, const char *end, int family, struct client_address *client)
{
    char word[4][INET6_ADDRSTRLEN];
    uint8_t source[16];
    uint8_t destination[16];
    for (size_t i = 0; i < 4; i++) {
        if (at == NULL) {
            return false;
        }
        at = take_word(at, end, word[i]);
    }
    if (at != NULL || inet_pton(family, word[0], source) != 1 || inet_pton(family, word[1], destination) != 1 ||
        !is_port(word[2]) || !is_port(word[3])) {
        return false;
    }
    *client = family == AF_INET ? client_address_v4(source) : client_address_v6(source);
    return true;
}

/* A line without its CRLF. */
static bool read_line(const char *at, const char *end, struct client_address *client)
{
    static const char four[] = "PROXY TCP4 ";
    static const char six[] = "PROXY TCP6 ";
    static const char unknown[] = "PROXY UNKNOWN";
    size_t length = (size_t)(end - at);
    size_t skipped = sizeof four - 1;
    if (memchr(at, 0, length) != NULL) {
        return false;
    }
    if (length > skipped && memcmp(at, four, skipped) == 0) {
        return read_endpoints(at + skipped, end, AF_INET, client);
    }
    if (length > skipped && memcmp(at, six, skipped) == 0) {
        return read_endpoints(at + skipped, end, AF_INET6, client);
    }
    skipped = sizeof unknown - 1;
    return length >= skipped && memcmp(at, unknown, skipped) == 0 && (length == skipped || at[skipped] == ' ');
}

static enum proxy_verdict parse_line(const char *bytes, size_t count, struct proxy_header *header)
{
    static const char begin[] = "PROXY ";
    size_t most = count < LINE_MOST ? count : LINE_MOST;
    if (!may_begin_with(bytes, count, begin, sizeof begin - 1)) {
        return PROXY_REFUSED;
    }
    const char *end = memchr(bytes, '\r', most);
    const char *feed = memchr(bytes, '\n', most);
    if (feed == NULL && (end == NULL || end + 1 == bytes + most)) {
        return count < LINE_MOST ? PROXY_PARTIAL : PROXY_REFUSED;
    }
    if (end == NULL || feed != end + 1 || !read_line(bytes, end, &header->client)) {
        return PROXY_REFUSED;
    }
    header->bytes = (size_t)(feed + 1 - bytes);
    return PROXY_WHOLE;
}

/* ---- version 2: binary ---- */

static const uint8_t signature[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_UNSPECIFIED = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21, FAMILY_UNIX = 0x31 };

/* What stands at the beginning of the LENGTH bytes at AT. Other families are datagrams', or reserved. */
static bool read_addresses(uint8_t family, const uint8_t *at, size_t length, struct client_address *client)
{
    switch (family) {
    case FAMILY_TCP4:
        *client = length >= FOUR_BYTES ? client_address_v4(at) : *client;
        return length >= FOUR_BYTES;
    case FAMILY_TCP6:
        *client = length >= SIX_BYTES ? client_address_v6(at) : *client;
        return length >= SIX_BYTES;
    case FAMILY_UNIX:
        return length >= UNIX_BYTES;
    case FAMILY_UNSPECIFIED:
        return true;
    default:
        return false;
    }
}

static enum proxy_verdict parse_binary(const uint8_t *at, size_t count, struct proxy_header *header)
{
    if (!may_begin_with(at, count, signature, sizeof signature) ||
        (count > sizeof signature && at[12] != COMMAND_LOCAL && at[12] != COMMAND_PROXY)) {
        return PROXY_REFUSED;
    }
    if (count < FIXED_BYTES) {
        return PROXY_PARTIAL;
    }
    size_t length = (size_t)at[14] << 8 | at[15];
    if (FIXED_BYTES + length > PROXY_HEADER_MOST) {
        return PROXY_REFUSED;
    }
    if (count < FIXED_BYTES + length) {
        return PROXY_PARTIAL;
    }
    if (at[12] == COMMAND_PROXY && !read_addresses(at[13], at + FIXED_BYTES, length, &header->client)) {
        return PROXY_REFUSED;
    }
    header->bytes = FIXED_BYTES + length;
    return PROXY_WHOLE;
}

enum proxy_verdict proxy_header_parse(const char *bytes, size_t count, struct proxy_header *header)
{
    *header = (struct proxy_header){0};
    if (count == 0) {
        return PROXY_PARTIAL;
    }
    return bytes[0] == 'P' ? parse_line(bytes, count, header) : parse_binary((const uint8_t *)bytes, count, header);
}
