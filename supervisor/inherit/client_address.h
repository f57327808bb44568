/* client_address.h — whose connection it is: 16 bytes that stand for an IPv4 or IPv6 address, wherever they came from.
 */
#ifndef PERDURE_INHERIT_CLIENT_ADDRESS_H
#define PERDURE_INHERIT_CLIENT_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* As in IPv6, network byte order; IPv4 as ::ffff:1.2.3.4. All zero: there is none, or it is not known. */
struct client_address {
    uint8_t bytes[16];
};

struct client_address client_address_of(const struct sockaddr_storage *name);

/* The same from the bytes of an address, 4 or 16 of them. */
struct client_address client_address_v4(const uint8_t bytes[4]);
struct client_address client_address_v6(const uint8_t bytes[16]);

/* Of the other end of FD. */
struct client_address client_address_ask(int fd);

bool client_address_is_none(const struct client_address *address);

/* As people write it. False: there is none. */
bool client_address_text(const struct client_address *address, char text[INET6_ADDRSTRLEN]);

/* One number for all addresses that one client may have: an IPv4 address, or a /64 of IPv6. Never 0. */
uint64_t client_address_group(const struct client_address *address);

#endif
