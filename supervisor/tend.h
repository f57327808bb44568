/* tend.h — looks after the workers: hears them and their keepers, and carries out what succession.c decides. */
#ifndef PERDURE_TEND_H
#define PERDURE_TEND_H

#include "supervisor/succession.h"
#include "supervisor/supervisor.h"

/* Read everything that the worker and its keepers have said. */
void tend_hear(struct supervisor *s, struct worker *w);

/* Reap every child that has ended, and do what follows. Returns false when there is no child left. */
bool tend_reap(struct supervisor *s);

/* See to what has waited long enough. Returns the nearest deadline of any worker, UINT64_MAX: none. */
uint64_t tend_clock(struct supervisor *s);

/* Something happened to W that neither it nor the kernel told. */
void tend_event(struct supervisor *s, struct worker *w, enum succession_event event);

/* Fork a fresh worker in an empty slot. False if that is not possible now; the slot then tries again by itself. */
bool tend_start(struct supervisor *s, struct worker *w);

/* Tell a serving worker to make way for a successor of the present edition. */
void tend_retire(struct supervisor *s, struct worker *w, enum birth_cause cause);

/* Tell a serving worker to stop gracefully. */
void tend_stop(struct supervisor *s, struct worker *w);

/* W is surplus: tell it to hand its connections to HEIR and to exit then. False if that is not possible now. */
bool tend_give(struct worker *w, struct worker *heir);

/* Tell a serving or giving worker to use the log files of the ledger from now on. */
void tend_reopen(const struct supervisor *s, const struct worker *w);

/* SIGKILL to every process of W that is ours; its death follows. */
void tend_kill(struct supervisor *s, struct worker *w);

/* Map W's cell, if it has one. */
void tend_map_cell(struct supervisor *s, struct worker *w);

#endif
