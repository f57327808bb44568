/* wheel.h — wakes clients at their time: a ring of one-millisecond slots. Cheap with 15,000 of them. */
#ifndef JUDGE_WHEEL_H
#define JUDGE_WHEEL_H

#include <stdint.h>

struct client;

/* The place of a client in the ring. slot is NULL when it is in none. */
struct wheel_place {
    struct client *next, *before;
    struct client **slot;
    uint64_t due_ms;
};

void wheel_begin(uint64_t now_ns);

/* Wake CLIENT at AT_NS or within a millisecond after; instead of any other time it was to be woken at. */
void wheel_set(struct client *client, uint64_t at_ns);
void wheel_cancel(struct client *client);

/* Call WAKE for all clients whose time has come. */
void wheel_turn(uint64_t now_ns, void (*wake)(struct client *client));

#endif
