/* address.c — see address.h. */
#include "supervisor/inherit/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

enum { HOST_BYTES = INET6_ADDRSTRLEN + IF_NAMESIZE + 1 };

static bool refuse(char why[ADDRESS_WHY_BYTES], const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool refuse(char why[ADDRESS_WHY_BYTES], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, ADDRESS_WHY_BYTES, format, arguments);
    va_end(arguments);
    return false;
}

/* The port's number, 0 if TEXT is none: decimal, no sign, no leading zero, 1 to 65535. */
static uint16_t port_number(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 5 || text[0] == '0' || strspn(text, "0123456789") != length) {
        return 0;
    }
    long number = strtol(text, NULL, 10);
    return number <= UINT16_MAX ? (uint16_t)number : 0;
}

static bool parse_unix(const char *text, struct address *address, char why[ADDRESS_WHY_BYTES])
{
    struct sockaddr_un *name = (struct sockaddr_un *)&address->storage;
    const char *path = text + strlen("unix:");
    if (path[0] != '/') {
        return refuse(why, "\"%.200s\": the path of a unix socket must be absolute; write \"unix:/path\"", text);
    }
    if (strlen(path) >= sizeof name->sun_path) {
        return refuse(why,
                      "\"%.200s\": the path of a unix socket may have %zu bytes, this one has %zu; write a shorter one",
                      text, sizeof name->sun_path - 1, strlen(path));
    }
    if (path[strlen(path) - 1] == '/') {
        return refuse(why, "\"%.200s\" is the path of a directory; write \"unix:/path/of/socket\"", text);
    }
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, strlen(path) + 1);
    address->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1);
    snprintf(address->text, sizeof address->text, "unix:%s", path);
    return true;
}

static bool parse_ipv4(const char *text, const char *host, uint16_t port, struct address *address,
                       char why[ADDRESS_WHY_BYTES])
{
    struct sockaddr_in *name = (struct sockaddr_in *)&address->storage;
    if (inet_pton(AF_INET, host, &name->sin_addr) != 1) {
        return refuse(
            why,
            "\"%.200s\": \"%.100s\" is not an IPv4 address (names are not looked up); write \"127.0.0.1:%u\", "
            "or \"0.0.0.0:%u\" for all addresses",
            text, host, port, port);
    }
    name->sin_family = AF_INET;
    name->sin_port = htons(port);
    address->length = sizeof *name;
    char canonical[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &name->sin_addr, canonical, sizeof canonical);
    snprintf(address->text, sizeof address->text, "%s:%u", canonical, port);
    return true;
}

/* HOST is what stood between the brackets: an address, with %interface if it is link-local. */
static bool parse_ipv6(const char *text, char *host, uint16_t port, struct address *address,
                       char why[ADDRESS_WHY_BYTES])
{
    struct sockaddr_in6 *name = (struct sockaddr_in6 *)&address->storage;
    char *zone = strchr(host, '%');
    if (zone != NULL) {
        *zone++ = '\0';
        name->sin6_scope_id = if_nametoindex(zone);
    }
    if (inet_pton(AF_INET6, host, &name->sin6_addr) != 1) {
        return refuse(
            why, "\"%.200s\": \"%.100s\" is not an IPv6 address; write \"[::1]:%u\", or \"[::]:%u\" for all addresses",
            text, host, port, port);
    }
    if (zone != NULL && name->sin6_scope_id == 0) {
        return refuse(why, "\"%.200s\": there is no interface \"%.60s\"; see ip link", text, zone);
    }
    if (IN6_IS_ADDR_LINKLOCAL(&name->sin6_addr) && zone == NULL) {
        return refuse(why, "\"%.200s\" is link-local; name its interface: \"[%.60s%%eth0]:%u\"", text, host, port);
    }
    if (IN6_IS_ADDR_V4MAPPED(&name->sin6_addr)) {
        const uint8_t *b = &name->sin6_addr.s6_addr[12];
        return refuse(why, "\"%.200s\" is an IPv4 address in IPv6 form; write \"%u.%u.%u.%u:%u\"", text, b[0], b[1],
                      b[2], b[3], port);
    }
    name->sin6_family = AF_INET6;
    name->sin6_port = htons(port);
    address->length = sizeof *name;
    char canonical[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &name->sin6_addr, canonical, sizeof canonical);
    snprintf(address->text, sizeof address->text, "[%s%s%.*s]:%u", canonical, zone != NULL ? "%" : "", IF_NAMESIZE,
             zone != NULL ? zone : "", port);
    return true;
}

/* An address without its port, or a port without its address, or a wildcard of another program's. */
static bool refuse_incomplete(const char *text, const char *colon, char why[ADDRESS_WHY_BYTES])
{
    const char *port = colon != NULL ? colon + 1 : text;
    bool all = colon == NULL || colon == text || (colon == text + 1 && *text == '*');
    if (text[0] == '\0') {
        return refuse(why, "the address is empty; write \"0.0.0.0:8000\", \"[::]:8000\" or \"unix:/path\"");
    }
    if (all && port_number(port) != 0) {
        return refuse(why,
                      "\"%.200s\" does not say which addresses; write \"0.0.0.0:%s\" for all of IPv4, and "
                      "another listen \"[::]:%s\" for all of IPv6",
                      text, port, port);
    }
    if (text[0] == '/') {
        return refuse(why, "\"%.200s\" is a path; write \"unix:%.200s\"", text, text);
    }
    return refuse(why, "\"%.200s\" has no port; write \"%.200s:8000\"", text, text);
}

/* An IPv6 address without brackets; its last colon may be meant to begin the port. */
static bool refuse_colons(const char *text, const char *colon, char why[ADDRESS_WHY_BYTES])
{
    char host[HOST_BYTES];
    struct in6_addr bare;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text < HOST_BYTES ? colon - text : 0), text);
    if (port_number(colon + 1) != 0 && inet_pton(AF_INET6, host, &bare) == 1) {
        return refuse(why, "\"%.200s\": an IPv6 address needs brackets; write \"[%.100s]:%s\"", text, host, colon + 1);
    }
    if (inet_pton(AF_INET6, text, &bare) == 1) {
        return refuse(why, "\"%.200s\": an IPv6 address needs brackets and a port; write \"[%.100s]:8000\"", text,
                      text);
    }
    return refuse(why, "\"%.200s\" has too many colons; write \"1.2.3.4:8000\" or \"[::1]:8000\"", text);
}

bool address_parse(const char *text, struct address *address, char why[ADDRESS_WHY_BYTES])
{
    memset(address, 0, sizeof *address);
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(text, address, why);
    }
    const char *bracket = text[0] == '[' ? strchr(text, ']') : NULL;
    const char *colon = strrchr(bracket != NULL ? bracket : text, ':');
    if (colon == NULL || colon == text || strncmp(text, "*:", 2) == 0) {
        return refuse_incomplete(text, colon, why);
    }
    uint16_t port = port_number(colon + 1);
    if (bracket == NULL && memchr(text, ':', (size_t)(colon - text)) != NULL) {
        return refuse_colons(text, colon, why);
    }
    if (port == 0) {
        return refuse(why, "\"%.200s\": \"%.100s\" is not a port; write a number from 1 to 65535", text, colon + 1);
    }
    char host[HOST_BYTES];
    const char *from = bracket != NULL ? text + 1 : text;
    const char *to = bracket != NULL ? bracket : colon;
    if ((size_t)(to - from) >= sizeof host || (bracket != NULL && colon != bracket + 1)) {
        return refuse(why, "\"%.200s\" is not an address; write \"1.2.3.4:8000\" or \"[::1]:8000\"", text);
    }
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    return bracket != NULL ? parse_ipv6(text, host, port, address, why) : parse_ipv4(text, host, port, address, why);
}

bool address_from(const struct sockaddr_storage *name, struct address *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)name;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
    char host[INET6_ADDRSTRLEN];
    char zone[IF_NAMESIZE] = "";
    char text[ADDRESS_TEXT_BYTES] = "";
    char why[ADDRESS_WHY_BYTES];
    if (name->ss_family == AF_INET) {
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, sizeof text, "%s:%u", host, ntohs(four->sin_port));
    } else if (name->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        bool zoned = six->sin6_scope_id != 0 && if_indextoname(six->sin6_scope_id, zone) != NULL;
        snprintf(text, sizeof text, "[%s%s%s]:%u", host, zoned ? "%" : "", zone, ntohs(six->sin6_port));
    } else if (name->ss_family == AF_UNIX) {
        const struct sockaddr_un *file = (const struct sockaddr_un *)name;
        snprintf(text, sizeof text, "unix:%.*s", (int)sizeof file->sun_path, file->sun_path);
    }
    return address_parse(text, address, why);
}

static bool is_wildcard(const struct address *address)
{
    if (address->storage.ss_family == AF_INET) {
        return ((const struct sockaddr_in *)&address->storage)->sin_addr.s_addr == htonl(INADDR_ANY);
    }
    return IN6_IS_ADDR_UNSPECIFIED(&((const struct sockaddr_in6 *)&address->storage)->sin6_addr);
}

static in_port_t port_of(const struct address *address)
{
    return address->storage.ss_family == AF_INET ? ((const struct sockaddr_in *)&address->storage)->sin_port
                                                 : ((const struct sockaddr_in6 *)&address->storage)->sin6_port;
}

bool address_collides(const struct address *one, const struct address *other)
{
    if (one->storage.ss_family != other->storage.ss_family) {
        return false;
    }
    if (one->storage.ss_family == AF_UNIX) {
        return strcmp(one->text, other->text) == 0;
    }
    if (port_of(one) != port_of(other)) {
        return false;
    }
    return is_wildcard(one) || is_wildcard(other) || strcmp(one->text, other->text) == 0;
}
