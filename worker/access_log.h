/* access_log.h — one line per response, in the combined format, neither lost nor doubled by a succession.
 *
 * A line is composed beside its response, on the desk. When the response's last byte is with the kernel it moves to the
 * cell's log area, and at the end of the turn one write(2) takes all that has gathered there to the file. What is
 * guaranteed: every completed response has its line; a kill between that write(2) and the note of it may double the
 * lines of that one batch; a line of more than DESK_LOG_LINE bytes is cut. */
#ifndef PERDURE_WORKER_ACCESS_LOG_H
#define PERDURE_WORKER_ACCESS_LOG_H

#include "worker/connection.h"

#include <netinet/in.h>

enum { DESK_LOG_LINE = 4096 };

/* Compose the line of RESPONSE, whose first byte will be number FROM of the stream, behind those already on the desk.
 * There must be DESK_LOG_LINE bytes of room. REQUEST may be NULL. */
void access_log_compose(struct worker *w, struct connection *c, const struct request *request,
                        const struct response *response, uint64_t from);

/* The responses on the desk are out: move their lines. */
void access_log_commit(struct worker *w, struct connection *c);

/* The client went away in the middle of the last response: move the lines, with the bytes it did get. */
void access_log_cut(struct worker *w, struct connection *c);

/* Append TEXT to LINE at AT as the log writes what clients send: unprintable bytes, quotes and backslashes as \xNN.
 * Ends before byte SIZE; returns where. No NUL follows. */
size_t access_log_escape(char *line, size_t at, size_t size, struct text text);

/* The address of C's client; "-" if the kernel did not tell. Borrowed until C ends. */
const char *access_log_client(struct worker *w, const struct connection *c);

/* Write what has gathered. Called once a turn. What cannot be written waits, as long as there is room; behind that,
 * lines are dropped and counted. The error log is told when it begins, and how many they were when it is over. */
void access_log_flush(struct worker *w);

/* True if lines wait that could not be written. */
bool access_log_waits(const struct worker *w);

/* The same at the end of this worker, whom nobody succeeds: what cannot be written now is lost. */
void access_log_finish(struct worker *w);

/* A successor's first look: bring the log area's marks in order. */
void access_log_adopt(struct worker *w);

#endif
