/* tend.h — looks after the workers: carries out what succession.c decides. */
#ifndef PERDURE_TEND_H
#define PERDURE_TEND_H

#include "supervisor/succession.h"
#include "supervisor/supervisor.h"

/* Do to W what was decided. */
void tend_act(struct supervisor *s, struct worker *w, struct succession_step step);

/* What a decision about W rests on, but for a death. */
struct succession_facts tend_facts(const struct supervisor *s, const struct worker *w);

/* Worker and keeper are gone: count and log their connections, forget the cell. */
void tend_mourn(struct supervisor *s, struct worker *w);

/* Empty W's slot if it is ending and nobody of it is left. */
void tend_end_if_alone(struct supervisor *s, struct worker *w);

/* See to what has waited long enough. Returns the nearest deadline of any worker, UINT64_MAX: none. */
uint64_t tend_clock(struct supervisor *s);

/* Something happened to W that neither it nor the kernel told. */
void tend_event(struct supervisor *s, struct worker *w, enum succession_event event);

/* Fork a fresh worker in an empty slot. False if that is not possible now; the slot then tries again by itself. */
bool tend_start(struct supervisor *s, struct worker *w);

/* Tell a serving or giving worker to make way for a successor of the present edition. */
void tend_retire(struct supervisor *s, struct worker *w, enum birth_cause cause);

/* Tell W, which stops already, that it is to: once more. */
void tend_tell_stop(const struct supervisor *s, const struct worker *w);

/* Tell a worker to stop gracefully: with the service, or, if that goes on, until stop_timeout after its time to give.
 */
void tend_stop(const struct supervisor *s, struct worker *w);

/* A giving worker that no present program can adopt has stop_timeout for that, and is told to stop then; others, as
 * long as it takes. Call it as often as you like. */
void tend_limit_giving(const struct supervisor *s, struct worker *w);

/* W is surplus: tell it to hand its connections over through the socket GIVING_FD, and to exit then. */
void tend_give(struct worker *w, const struct worker *heir, int giving_fd);

/* Tell HEIR to take the connections that come out of the socket TAKING_FD. */
void tend_take(const struct worker *heir, int taking_fd);

/* Tell a serving or giving worker to use the log files of the ledger from now on. */
void tend_reopen(const struct supervisor *s, const struct worker *w);

/* SIGKILL to every process of W that is ours; its death follows. */
void tend_kill(struct supervisor *s, struct worker *w);

/* Map W's cell, if it has one. */
void tend_map_cell(struct supervisor *s, struct worker *w);

#endif
