/* client_address.c — see client_address.h. */
#include "supervisor/inherit/client_address.h"

#include <arpa/inet.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

struct client_address client_address_v4(const uint8_t bytes[4])
{
    struct client_address address;
    memcpy(address.bytes, v4_prefix, sizeof v4_prefix);
    memcpy(address.bytes + sizeof v4_prefix, bytes, 4);
    return address;
}

struct client_address client_address_v6(const uint8_t bytes[16])
{
    struct client_address address;
    memcpy(address.bytes, bytes, sizeof address.bytes);
    return address;
}

struct client_address client_address_of(const struct sockaddr_storage *name)
{
    if (name->ss_family == AF_INET) {
        return client_address_v4((const uint8_t *)&((const struct sockaddr_in *)name)->sin_addr);
    }
    if (name->ss_family == AF_INET6) {
        return client_address_v6(((const struct sockaddr_in6 *)name)->sin6_addr.s6_addr);
    }
    return (struct client_address){0};
}

struct client_address client_address_ask(int fd)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof peer;
    return getpeername(fd, (struct sockaddr *)&peer, &length) == 0 ? client_address_of(&peer)
                                                                   : (struct client_address){0};
}

bool client_address_is_none(const struct client_address *address)
{
    static const struct client_address none;
    return memcmp(address, &none, sizeof none) == 0;
}

static bool is_v4(const struct client_address *address)
{
    return memcmp(address->bytes, v4_prefix, sizeof v4_prefix) == 0;
}

bool client_address_text(const struct client_address *address, char text[INET6_ADDRSTRLEN])
{
    if (client_address_is_none(address)) {
        return false;
    }
    return is_v4(address) ? inet_ntop(AF_INET, address->bytes + sizeof v4_prefix, text, INET6_ADDRSTRLEN) != NULL
                          : inet_ntop(AF_INET6, address->bytes, text, INET6_ADDRSTRLEN) != NULL;
}

/* The two kinds do not meet: of a /64 the lowest bit is always 1, and the low half of an IPv4 one's prefix is not 0. */
uint64_t client_address_group(const struct client_address *address)
{
    uint64_t group = 0;
    size_t from = is_v4(address) ? 8 : 0;
    memcpy(&group, address->bytes + from, sizeof group);
    return group != 0 ? group : 1;
}
