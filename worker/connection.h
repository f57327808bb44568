/* connection.h — one connection: its facts in the cell, and the steps that it takes.
 *
 * A step loads the facts into a struct connection, works on that copy, and publishes it at each point from which a
 * successor could go on. Between two publications nothing may happen that the kernel's counts (witness.h) and the
 * published facts together do not tell. */
#ifndef PERDURE_WORKER_CONNECTION_H
#define PERDURE_WORKER_CONNECTION_H

#include "worker/worker.h"

#include <sys/socket.h>

struct connection {
    int fd;
    struct slot *slot;
    struct desk *desk; /* NULL: none is borrowed */
    struct slot_record at;
    struct desk_record work;
    const char *file_memory; /* the file's bytes, if this very step got them from the cache */
};

/* Why a connection ended. */
enum end {
    END_CLIENT,  /* it closed, or was reset */
    END_PARTED,  /* the same, behind a response that it knew to be the last */
    END_TIMEOUT, /* a deadline passed */
    END_SLOW,    /* the same, and the client was not silent meanwhile */
    END_US,      /* its last response is out, and we closed first */
    END_SHED,    /* others waited for its place */
    END_SICK,    /* its slot does not add up */
};

/* ---- facts ---- */

/* The facts of descriptor FD. False if no connection is there, or its slot does not add up (it is dropped then). */
bool connection_load(struct worker *w, int fd, struct connection *c);

/* Make the facts of C those that hold, with one store. */
void connection_publish(struct connection *c);

/* Change C's stage and set the deadline that belongs to it. The only place that assigns at.stage. */
void connection_enter(struct worker *w, struct connection *c, enum stage next);

/* Begin, for a descriptor found by a successor with no slot. RECEIVED and SENT are its counts so far; whose it is, the
 * kernel is asked. */
void connection_begin(struct worker *w, int fd, bool is_unix, uint64_t received, uint64_t sent);

/* Begin, for a descriptor just accepted from CLIENT. FLAGS are of enum slot_flag. */
void connection_accepted(struct worker *w, int fd, unsigned flags, const struct client_address *client);

/* Begin, for a descriptor that another worker gave, or the supervisor. */
void connection_taken(struct worker *w, int fd, const struct parcel *parcel);

/* The connection on FD, just accepted, is one too many: tell its client, and wait for it to leave. */
void connection_turn_away(struct worker *w, int fd);

/* Close it for good. */
void connection_end(struct worker *w, struct connection *c, enum end why);

/* ---- life ---- */

/* Something may be possible on FD: the epoll set said so, or a successor found it in the middle of something. */
void connection_step(struct worker *w, int fd);

/* Its deadline has passed. */
void connection_expire(struct worker *w, int fd);

/* Give up on the request in hand, for the reason WHY, with STATUS, as far as nothing of its response was sent yet; then
 * end it. Of the request only its first line is looked at, and that byte by byte: it may have killed who parsed it. */
void connection_fail(struct worker *w, int fd, int status, const char *why);

/* Ask the kernel how far FD got and correct the facts. False: they do not add up. For one adopted from a predecessor.
 */
bool connection_verify(const struct worker *w, struct connection *c);

/* ---- answer.c: from a request to the bytes of its response ---- */

/* Answer FIRST, the whole request at work.head_at, and those behind it that are whole and fit beside it, and begin to
 * send. */
void answer_requests(struct worker *w, struct connection *c, const struct request *first);

/* The same with an error; the connection ends behind it. REQUEST may be NULL. */
void answer_error(struct worker *w, struct connection *c, const struct request *request, int status);

struct request_limits answer_limits(const struct worker *w);

/* ---- send.c: the response to the client ---- */

enum sent {
    SENT_ALL,
    SENT_SOME, /* the socket is full, or it is others' turn */
    SENT_GONE, /* the client is gone, or the file ends before its time */
};

/* Send what work describes, as much as goes. Publishes progress. */
enum sent send_on(struct worker *w, struct connection *c);

#endif
