/* network.c — see network.h. */
#include "supervisor/inherit/network.h"

#include <arpa/inet.h>
#include <string.h>

enum { TEXT_BYTES = INET6_ADDRSTRLEN, ADDRESS_BITS = 128, FOUR_BITS = 32 };

/* A prefix of at most MOST bits. */
static bool read_bits(const char *text, unsigned most, unsigned *bits)
{
    size_t length = strlen(text);
    if (length == 0 || length > 3 || strspn(text, "0123456789") != length || (text[0] == '0' && length > 1)) {
        return false;
    }
    *bits = 0;
    for (size_t i = 0; i < length; i++) {
        *bits = *bits * 10 + (unsigned)(text[i] - '0');
    }
    return *bits <= most;
}

/* *MOST: how long a prefix of it may be. */
static bool read_address(const char *text, struct client_address *address, unsigned *most)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1) {
        *address = client_address_v4(bytes);
        *most = FOUR_BITS;
        return true;
    }
    if (inet_pton(AF_INET6, text, bytes) == 1) {
        *address = client_address_v6(bytes);
        *most = ADDRESS_BITS;
        return true;
    }
    return false;
}

static bool bit_of(const struct client_address *address, unsigned number)
{
    return (address->bytes[number / 8] & (0x80U >> (number % 8))) != 0;
}

static bool has_only_prefix(const struct network *network)
{
    bool clean = true;
    for (unsigned i = network->bits; clean && i < ADDRESS_BITS; i++) {
        clean = !bit_of(&network->base, i);
    }
    return clean;
}

bool network_parse(const char *text, struct network *network)
{
    char host[TEXT_BYTES];
    unsigned most = 0;
    size_t length = strcspn(text, "/");
    if (length >= sizeof host) {
        return false;
    }
    memcpy(host, text, length);
    host[length] = 0;
    if (!read_address(host, &network->base, &most)) {
        return false;
    }
    unsigned bits = most;
    if (text[length] == '/' && !read_bits(text + length + 1, most, &bits)) {
        return false;
    }
    network->bits = ADDRESS_BITS - most + bits;
    return has_only_prefix(network);
}

bool network_has(const struct network *network, const struct client_address *address)
{
    bool same = true;
    for (unsigned i = 0; same && i < network->bits; i++) {
        same = bit_of(&network->base, i) == bit_of(address, i);
    }
    return same;
}
