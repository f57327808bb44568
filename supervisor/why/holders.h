/* holders.h — the processes that have a cause's sockets, sorted into who is in charge and who only has them too. No
 * system calls here. */
#ifndef PERDURE_WHY_HOLDERS_H
#define PERDURE_WHY_HOLDERS_H

#include "supervisor/why/causes.h"

enum { HOLDERS_MAX = 512 };

enum holders_kind {
    HOLDERS_NONE,            /* nobody was found */
    HOLDERS_ORDINARY,        /* a program, perhaps with workers */
    HOLDERS_SYSTEMD,         /* systemd itself: a socket unit */
    HOLDERS_DOCKER_PROXY,    /* Docker's forwarder for a published port */
    HOLDERS_CONTAINER,       /* a program in a container */
    HOLDERS_PERDURE,         /* a perdure that is alive */
    HOLDERS_PERDURE_ORPHANS, /* workers of a perdure whose supervisor is dead */
    HOLDERS_NGINX_ORPHANS,   /* workers of an nginx whose master is dead */
    HOLDERS_OTHER_ORPHANS,   /* workers of something else that is dead */
};

/* The first roots_count are those whose parent is not one of them; behind them the rest. Both are indexes of
 * facts->processes. */
struct holders {
    enum holders_kind kind;
    size_t roots_count;
    size_t count;
    size_t all[HOLDERS_MAX];
};

void holders_find(const struct facts *facts, const struct cause *cause, struct holders *holders);

bool holders_are_orphans(const struct holders *holders);

const char *holders_kind_name(enum holders_kind kind);

#endif
