/* address.h — the text of a listening address, as a sockaddr.
 *
 * Names are never looked up: a configuration must mean the same without a network. */
#ifndef PERDURE_INHERIT_ADDRESS_H
#define PERDURE_INHERIT_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum { ADDRESS_TEXT_BYTES = 128, ADDRESS_WHY_BYTES = 512 };

struct address {
    struct sockaddr_storage storage;
    socklen_t length;
    char text[ADDRESS_TEXT_BYTES]; /* canonical: two texts of one address become the same */
};

/* Parse "1.2.3.4:80", "[::]:80" or "unix:/path". Returns true, or false and "what is wrong; what would be right" in
 * why. */
bool address_parse(const char *text, struct address *address, char why[ADDRESS_WHY_BYTES]);

/* The address of a socket, as getsockname(2) gives it. False if no text of a configuration means it: another family, no
 * name, an abstract one. */
bool address_from(const struct sockaddr_storage *name, struct address *address);

/* True if a socket that listens on ONE keeps another from listening on OTHER: the same address, or the same port and
 * one of them is the family's wildcard. IPv6 sockets are taken to be IPV6_V6ONLY. */
bool address_collides(const struct address *one, const struct address *other);

#endif
