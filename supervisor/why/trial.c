/* trial.c — see trial.h. */
#include "supervisor/why/trial.h"

#include "supervisor/why/query.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Returns 0 or an errno. */
static int try_once(const struct target *target, int reuse, int v6only)
{
    struct sockaddr_storage name;
    socklen_t length = query_sockaddr(target, &name);
    int fd = socket(target->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return errno;
    }
    bool good =
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse) == 0 &&
        (target->family != AF_INET6 || setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only) == 0) &&
        bind(fd, (const struct sockaddr *)&name, length) == 0 && listen(fd, 0) == 0;
    int number = good ? 0 : errno;
    close(fd);
    return number;
}

void trial_run(struct facts *facts)
{
    facts->tried = true;
    for (size_t i = 0; i < facts->targets_count; i++) {
        struct target *target = &facts->targets[i];
        target->trial.with = try_once(target, 1, 1);
        target->trial.without = try_once(target, 0, 1);
        if (target->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&target->end.host)) {
            target->trial.dual = try_once(target, 1, 0);
        }
    }
}
