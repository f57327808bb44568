/* proxies.c — see proxies.h. */
#include "worker/proxies.h"

#include "supervisor/inherit/address.h"
#include "supervisor/inherit/check.h"

#include <stdlib.h>
#include <sys/socket.h>

/* True if the socket FD listens, or was accepted, where a marked section says. */
static bool is_at_marked(const struct worker *w, int fd)
{
    struct sockaddr_storage name = {.ss_family = AF_UNSPEC};
    socklen_t length = sizeof name;
    struct address here;
    char why[ADDRESS_WHY_BYTES];
    if (getsockname(fd, (struct sockaddr *)&name, &length) != 0 || !address_from(&name, &here)) {
        return false;
    }
    for (size_t i = 0; i < w->settings->listeners_count; i++) {
        const struct listen_setting *listener = &w->settings->listeners[i];
        struct address said;
        if (listener->proxy_protocol && address_parse(listener->address, &said, why) &&
            address_collides(&said, &here)) {
            return true;
        }
    }
    return false;
}

void proxies_open(struct worker *w)
{
    for (size_t i = 0; i < w->settings->listeners_count; i++) {
        w->any_proxies |= w->settings->listeners[i].proxy_protocol;
    }
    if (!w->any_proxies) {
        return;
    }
    for (size_t i = 0; i < w->birth.listeners_count; i++) {
        w->marked[i] = is_at_marked(w, w->birth.listener_fds[i]);
    }
    w->trusted = calloc(w->settings->proxy_trusted_count + 1, sizeof *w->trusted);
    check(w->trusted != NULL);
    for (size_t i = 0; i < w->settings->proxy_trusted_count; i++) {
        check(network_parse(w->settings->proxy_trusted[i], &w->trusted[i]));
    }
}

bool proxies_is_marked(const struct worker *w, int listener)
{
    for (size_t i = 0; w->any_proxies && i < w->birth.listeners_count; i++) {
        if (w->birth.listener_fds[i] == listener) {
            return w->marked[i];
        }
    }
    return false;
}

bool proxies_is_of_marked(const struct worker *w, int connection)
{
    return w->any_proxies && is_at_marked(w, connection);
}

bool proxies_trusts(const struct worker *w, bool is_unix, const struct client_address *client)
{
    bool trusted = is_unix;
    for (size_t i = 0; !trusted && i < w->settings->proxy_trusted_count; i++) {
        trusted = network_has(&w->trusted[i], client);
    }
    return trusted;
}
