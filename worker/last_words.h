/* last_words.h — a worker that dies of its own fault says so in the cell first: a supervisor that took over from a dead
 * one is not our parent, and wait(2) will not tell it. */
#ifndef PERDURE_WORKER_LAST_WORDS_H
#define PERDURE_WORKER_LAST_WORDS_H

#include "supervisor/inherit/cell.h"

/* From now on, until this process ends; HEADER is borrowed for as long. The signals act as they would without us. */
void last_words_begin(struct cell_header *header);

/* It ends on order. */
void last_words_well(void);

#endif
