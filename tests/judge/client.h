/* client.h — one client of the judge: a connection, what is being sent on it, and what is owed.
 *
 * All clients live in one thread: the loop (judge.c) tells them of events and of their time. */
#ifndef JUDGE_CLIENT_H
#define JUDGE_CLIENT_H

#include "tests/judge/request.h"
#include "tests/judge/verdict.h"
#include "tests/judge/wheel.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum { PIPELINE_MOST = 16 };

enum client_state {                    /* each value answers "what are we waiting for?" */
                    CLIENT_APART,      /* for the time to connect */
                    CLIENT_CONNECTING, /* for the connection */
                    CLIENT_RESTING,    /* for the time to ask; nothing is owed */
                    CLIENT_EXCHANGING, /* to send the rest of the requests, and for answers */
                    CLIENT_LEAVING,    /* for the server to close a connection whose last response is over */
                    CLIENT_DONE,       /* for nothing any more */
};

/* 0 <= text_at <= piece_end <= text_bytes: sent, to be sent now, all that is to be sent.
 * owed[(first + i) % PIPELINE_MOST], i < owed_count: the requests not answered whole, the oldest first. */
struct client {
    struct wheel_place place;
    int fd;
    uint32_t epoll_events;
    enum role role;
    enum client_state state;
    bool answered_once;

    char *text; /* malloc'ed; NULL when all is sent */
    uint32_t text_bytes, text_at, piece_end;
    bool pausing; /* between two pieces */

    struct request owed[PIPELINE_MOST];
    uint8_t first, owed_count;

    bool in_body; /* of the oldest response owed; else in, or before, its head */
    bool last;    /* the server said that it will close behind this response */
    char *head;   /* malloc'ed: the part of a head that has come; NULL if none has */
    uint32_t head_bytes, head_whole_bytes;
    uint64_t body_at;

    uint64_t moved_ns;     /* when anything last went either way */
    uint64_t owed_ns;      /* since when the oldest request is the oldest */
    uint64_t allowance_ns; /* slow: when the next bytes may be read */
};

/* The same for all clients; set once at the start. */
struct client_world {
    struct corpus corpus;
    const char *host; /* of the Host field */
    struct sockaddr_storage server;
    socklen_t server_bytes;
    int epoll_fd;
    uint64_t patience_ns;       /* no progress for so long is a timeout */
    uint64_t slow_bytes_second; /* for the role slow */
    uint64_t responses_max;     /* 0: any number */
    bool ending;                /* ask nothing more */
    unsigned connecting;        /* clients in CLIENT_CONNECTING */
    unsigned living;            /* clients not in CLIENT_DONE */
    unsigned loaded;            /* clients that were answered at least once, if only in part */
};
extern struct client_world world;

/* Its life begins, with a connection AT_NS. */
void client_begin(struct client *client, enum role role, uint64_t at_ns);

/* epoll reported EVENTS. */
void client_event(struct client *client, uint32_t events);

/* The time it was waiting for has come. */
void client_wake(struct client *client);

/* Called now and then: nothing may take longer than the patience. */
void client_check_patience(struct client *client, uint64_t now_ns);

/* world.ending is set: stop as soon as nothing is owed; large files are not waited for. */
void client_end(struct client *client);

#endif
