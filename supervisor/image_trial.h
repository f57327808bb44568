/* image_trial.h — a restart's new supervisor program is on trial: whether it lives, and what the next image is of.
 *
 * The program before it stays open in the ledger (former_program_fd) for as long as the new edition is on trial. When
 * images of the new one die again and again, put_back is set: from then on every next image is of the one before, also
 * where a service manager starts the new one from the disk. */
#ifndef PERDURE_IMAGE_TRIAL_H
#define PERDURE_IMAGE_TRIAL_H

#include "supervisor/ledger.h"

enum { IMAGE_DEATHS_MAX = 5 }; /* so many images of a new program may die on trial; the last one is one too many */

/* In the old image: the program on disk is about to take its place. */
void image_trial_begin(struct ledger *ledger);

/* The new program has lived for long enough, or was never begun: the one before is not needed. One that was put back
 * stays. */
void image_trial_end(struct ledger *ledger);

/* In who sees it, before there is a next image: an image has died. STATUS: as of waitpid(2), or REAP_UNKNOWN. */
void image_trial_note(struct ledger *ledger, int status);

/* True if the new program may yet be given up. */
bool image_trial_is_on(const struct ledger *ledger);

#endif
