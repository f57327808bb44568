/* client_parts.h — what client.c, client_send.c and client_read.c know of each other. */
#ifndef JUDGE_CLIENT_PARTS_H
#define JUDGE_CLIENT_PARTS_H

#include "tests/judge/client.h"

#include <stddef.h>

enum {
    MS = 1000000, /* in ns */
    SLOW_READ_MS = 20,
};

/* ---- client.c ---- */

void client_enter(struct client *client, enum client_state next);

/* Let epoll report EVENTS from now on. */
void client_await(struct client *client, uint32_t events);
uint32_t client_reading_events(const struct client *client);

/* Give up the connection; make another in DELAY_MS, or never if all is ending. */
void client_leave(struct client *client, uint64_t delay_ms);

/* Count it, and leave. */
void client_trouble(struct client *client, enum trouble kind, const char *details);

/* The server has closed the connection: is that trouble? */
void client_stream_ended(struct client *client);

/* In words, how far the oldest response owed had come. */
void client_describe_place(const struct client *client, char *words, size_t words_bytes);
struct request *client_oldest(struct client *client);

/* ---- client_send.c ---- */

/* Ask, with nothing owed so far. False if there is nothing more to ask, and the client is done. */
bool client_ask(struct client *client);

/* Send the next piece, or the rest of one. */
void client_send_more(struct client *client);

/* ---- client_read.c ---- */

/* Take what has come. */
void client_read(struct client *client);

#endif
