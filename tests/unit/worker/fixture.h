/* fixture.h — a worker in a test's own process: a cell, an epoll set, a site in a temporary directory, and real TCP
 * connections whose other ends the test holds. No keeper and no supervisor: what they would do, the test does. */
#ifndef PERDURE_TESTS_FIXTURE_H
#define PERDURE_TESTS_FIXTURE_H

#include "worker/worker.h"

enum { FIXTURE_LIVES = 32 };

struct fixture {
    struct worker w;
    char root[64];
    int control; /* the supervisor's end of the control channel */
    struct settings settings;
    struct site_setting site;
    char *names[1];
    struct responder *former[FIXTURE_LIVES]; /* of earlier lives; their files stay open as long as the fixture */
    size_t former_count;
};

/* A fresh worker with SLOTS slots, serving "hello.txt" ("hello, world\n") and "big.bin" (3 MiB, byte i = i % 251). */
void fixture_open(struct fixture *f, uint32_t slots);
void fixture_close(struct fixture *f);

/* A fresh worker again, with a cell of its own and no connection, on the same site. */
void fixture_reset(struct fixture *f);

/* Remove the site only: for a child whose worker's state is nobody's business any more. */
void fixture_remove_site(const struct fixture *f);

/* Forget all that is private, as death does, and be born again on the same cell and descriptors for CAUSE. */
void fixture_succeed(struct fixture *f, enum birth_cause cause);

/* A TCP connection, *SERVER accepted without close-on-exec and non-blocking. Returns the client's end. */
int fixture_connect(int *server);

/* Put SERVER under the worker's care. */
void fixture_begin(struct fixture *f, int server);

/* Run the worker's loop until CLIENT has delivered BYTES bytes, or EOF; at most 5 s. Returns how many came. */
size_t fixture_serve(struct fixture *f, int client, char *bytes, size_t count);

/* One turn of the worker's loop, waiting at most 1 ms. */
void fixture_turn(struct fixture *f);

/* The facts that hold for FD. */
struct slot_record fixture_facts(const struct fixture *f, int fd);

#endif
