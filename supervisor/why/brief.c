/* brief.c — see brief.h. */
#include "supervisor/why/brief.h"

#include "supervisor/why/gather.h"
#include "supervisor/why/query.h"
#include "supervisor/why/words.h"

#include <errno.h>
#include <string.h>

enum { MS_PER_S = 1000 };

/* ---- who ---- */

static void brief_holder(FILE *out, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    if (cause->count == 0) {
        fputs("a process that cannot be seen from here", out);
        return;
    }
    if (holders.count == 0) {
        fprintf(out, "a process of user id %u that cannot be seen from here", facts->sockets[cause->socket].uid);
        return;
    }
    const struct process_fact *first = &facts->processes[holders.all[0]];
    if (holders_are_orphans(&holders)) {
        fprintf(out, "orphans of a dead %s (pids ", holders.kind == HOLDERS_PERDURE_ORPHANS ? "perdure" : first->name);
        words_pids(out, facts, &holders, 0, holders.roots_count);
        fputs(")", out);
        return;
    }
    fprintf(out, "%s (", first->name);
    words_process(out, first);
    fputs(")", out);
    if (holders.roots_count > 1) {
        fprintf(out, " and %zu more", holders.roots_count - 1);
    }
}

/* "which holds [::]:8000 and with it this address", if that is another one. */
static void brief_reach(FILE *out, const struct facts *facts, const struct cause *cause)
{
    char text[WORDS_BYTES];
    const struct end *local = &facts->sockets[cause->socket].local;
    if (memcmp(&local->host, &facts->targets[0].end.host, sizeof local->host) != 0) {
        fprintf(out, ", by its socket on %s", words_end(local, text));
    }
}

static void brief_wait(FILE *out, const struct cause *cause)
{
    char text[WORDS_BYTES];
    if (cause->counts_down) {
        fprintf(out, "; wait %s", words_duration((cause->last_ms + MS_PER_S - 1) / MS_PER_S, text));
    } else {
        fputs("; wait some minutes", out);
    }
    fputs(", or choose another port", out);
}

/* ---- what ---- */

static void brief_connections(FILE *out, const struct facts *facts, const struct cause *cause)
{
    if (facts->sockets[cause->socket].inode != 0) {
        fputs("in use by ", out);
        brief_holder(out, facts, cause);
        fprintf(out, ", for %zu connection%s; stop it, or choose another port", cause->count,
                words_plural(cause->count));
    } else {
        fprintf(out, "in use by %zu closed connection%s that the kernel still keeps (TIME_WAIT or before)",
                cause->count, words_plural(cause->count));
        brief_wait(out, cause);
    }
}

static void brief_unknown(FILE *out, const struct facts *facts, int number)
{
    fprintf(out, "%s", strerror(number));
    if (number == EADDRINUSE && !facts->unseen.root) {
        fputs(", and who has it cannot be seen without being root", out);
    } else if (number == EADDRINUSE) {
        fputs(", and nobody is in sight who has it", out);
    } else if (number == ENOSPC || number == EDQUOT) {
        fputs("; make room there", out);
    }
    fprintf(out, "; choose another %s", facts->is_unix ? "path" : "port");
}

static void brief_directory(FILE *out, int number)
{
    if (number == ENOENT || number == ENOTDIR) {
        fputs("its directory does not exist; make it, or choose another path", out);
    } else if (number == EROFS) {
        fputs("its file system is read-only; choose another path", out);
    } else {
        fprintf(out, "no file may be made there: %s; give the directory to the user who starts, or choose another",
                strerror(number));
    }
}

static void brief_cause(FILE *out, const struct facts *facts, const struct cause *cause)
{
    switch (cause->kind) {
    case CAUSE_NOT_LOCAL:
        if (cause_target(facts, cause)->local) {
            fputs("an address of this machine that is not usable yet (tentative), or that another has, too "
                  "(dadfailed); see \"ip -6 address\", start later, or listen on [::] for all of them",
                  out);
            return;
        }
        fprintf(out, "not an address of this machine; see \"ip address\", or listen on %s:%u for all of them",
                facts->targets[0].family == AF_INET6 ? "[::]" : "0.0.0.0", facts->port);
        return;
    case CAUSE_NO_FAMILY:
        fputs("this machine has no IPv6; leave this listen section out", out);
        return;
    case CAUSE_PRIVILEGED:
        fprintf(out,
                "a privileged port, which needs root or CAP_NET_BIND_SERVICE; start as root, or choose a port from %d "
                "up",
                facts->machine.first_unprivileged);
        return;
    case CAUSE_LISTENER:
    case CAUSE_FILE_LISTENER:
        fputs("in use by ", out);
        brief_holder(out, facts, cause);
        if (!facts->is_unix) {
            brief_reach(out, facts, cause);
        }
        fprintf(out, "; stop it, or choose another %s", facts->is_unix ? "path" : "port");
        return;
    case CAUSE_BOUND:
    case CAUSE_FILE_BOUND:
        fputs("in use by ", out);
        brief_holder(out, facts, cause);
        fprintf(out, ", which is bound there although it does not listen; stop it, or choose another %s",
                facts->is_unix ? "path" : "port");
        return;
    case CAUSE_OUTGOING:
    case CAUSE_CLOSE_WAIT:
    case CAUSE_CONNECTIONS:
    case CAUSE_LEAVING:
        brief_connections(out, facts, cause);
        return;
    case CAUSE_FILE_OTHER:
        fputs(facts->file.is_directory ? "it is a directory and no socket; choose another path"
                                       : "it is a file and no socket; remove it, or choose another path",
              out);
        return;
    case CAUSE_DIRECTORY:
        brief_directory(out, cause->number);
        return;
    case CAUSE_FILE_STALE:
        fputs("it was left by a process that is gone, and who starts now may not replace it; remove it, or choose "
              "another path",
              out);
        return;
    case CAUSE_UNKNOWN:
    case CAUSE_CONNECT_FROM:
    case CAUSE_RESERVED:
    case CAUSE_EPHEMERAL:
    case CAUSE_OTHER_NAMESPACE:
    case CAUSE_UNSEEN:
        brief_unknown(out, facts, cause->number);
        return;
    }
}

/* The first cause that bind(2)'s NUMBER can be of. */
static const struct cause *find_cause(const struct causes *causes, int number)
{
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->all[i];
        int says = cause->number != 0 ? cause->number : EADDRINUSE;
        if (cause->blocks == BLOCKS_ALWAYS && says == number) {
            return cause;
        }
    }
    return NULL;
}

void why_not_bind(const char *address, int number, char *text, size_t bytes)
{
    struct facts facts;
    struct causes causes;
    char wrong[ADDRESS_WHY_BYTES];
    if (!query_parse(address, &facts, wrong)) {
        snprintf(text, bytes, "no address: %s", wrong);
        return;
    }
    gather_for_failure(&facts, number, &causes);
    FILE *out = fmemopen(text, bytes, "w");
    const struct cause *cause = find_cause(&causes, number);
    if (out == NULL) {
        snprintf(text, bytes, "%s", strerror(number));
    } else if (cause != NULL) {
        brief_cause(out, &facts, cause);
    } else {
        brief_unknown(out, &facts, number);
    }
    if (out != NULL) {
        fprintf(out, "; more: perdure why %s", address);
        fclose(out);
    }
    facts_free(&facts);
}
