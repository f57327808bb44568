/* query.c — see query.h. */
#include "supervisor/why/query.h"

#include <stdio.h>
#include <string.h>
#include <sys/un.h>

static void end_from(const struct sockaddr_storage *name, struct end *end)
{
    if (name->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)name;
        end->host.s6_addr16[5] = 0xffff;
        end->host.s6_addr32[3] = four->sin_addr.s_addr;
        end->port = ntohs(four->sin_port);
    } else {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)name;
        end->host = six->sin6_addr;
        end->port = ntohs(six->sin6_port);
        end->interface = six->sin6_scope_id;
    }
}

socklen_t query_sockaddr(const struct target *target, struct sockaddr_storage *name)
{
    memset(name, 0, sizeof *name);
    if (target->family == AF_INET) {
        struct sockaddr_in *four = (struct sockaddr_in *)name;
        *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(target->end.port)};
        four->sin_addr.s_addr = target->end.host.s6_addr32[3];
        return sizeof *four;
    }
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)name;
    *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(target->end.port)};
    six->sin6_addr = target->end.host;
    six->sin6_scope_id = target->end.interface;
    return sizeof *six;
}

static bool add_target(const char *text, struct facts *facts, char why[ADDRESS_WHY_BYTES])
{
    struct address address;
    if (!address_parse(text, &address, why)) {
        return false;
    }
    struct target *target = &facts->targets[facts->targets_count++];
    target->family = address.storage.ss_family;
    target->trial = (struct trial_fact){FACTS_NOT_TRIED, FACTS_NOT_TRIED, FACTS_NOT_TRIED};
    snprintf(target->text, sizeof target->text, "%s", address.text);
    if (target->family == AF_UNIX) {
        facts->is_unix = true;
        snprintf(facts->path, sizeof facts->path, "%s", ((const struct sockaddr_un *)&address.storage)->sun_path);
        return true;
    }
    end_from(&address.storage, &target->end);
    facts->port = target->end.port;
    return true;
}

/* The digits of "8000", ":8000", "*:8000"; NULL: it is not a port alone. */
static const char *port_alone(const char *text)
{
    const char *digits = text + (text[0] == '*' && text[1] == ':' ? 2 : text[0] == ':' ? 1 : 0);
    return digits[0] != '\0' && strspn(digits, "0123456789") == strlen(digits) && strlen(digits) < 64 ? digits : NULL;
}

/* "http", "+80": neither an address nor a number. */
static bool is_name(const char *text)
{
    return text[0] != '\0' && strpbrk(text, ":.[") == NULL;
}

bool query_parse(const char *text, struct facts *facts, char why[ADDRESS_WHY_BYTES])
{
    char full[ADDRESS_TEXT_BYTES];
    const char *port = port_alone(text);
    *facts = (struct facts){.asked = text};
    if (text[0] == '/') {
        snprintf(full, sizeof full, "unix:%s", text);
        return add_target(full, facts, why);
    }
    if (port == NULL && is_name(text)) {
        snprintf(why, ADDRESS_WHY_BYTES, "\"%s\" is no port (names are not looked up); write a number from 1 to 65535",
                 text);
        return false;
    }
    if (port == NULL) {
        return add_target(text, facts, why);
    }
    snprintf(full, sizeof full, "0.0.0.0:%s", port);
    if (!add_target(full, facts, why)) {
        snprintf(why, ADDRESS_WHY_BYTES, "\"%s\" is not a port; write a number from 1 to 65535", port);
        return false;
    }
    snprintf(full, sizeof full, "[::]:%s", port);
    return add_target(full, facts, why);
}
