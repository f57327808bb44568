/* control_ask.c — see control_ask.h. */
#include "supervisor/control_ask.h"

#include "supervisor/identity.h"
#include "supervisor/inherit/clock.h"

#include <stdlib.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

enum {
    REST_MS = 20,
    RETAKE_MS = 2000,  /* so long nobody need hold the lock */
    FUTILE_MAX = 100,  /* so often a supervisor may hang up at once: it is of another version, and will not answer */
    FUTILE_MS = 100,   /* what "at once" means */
    GOING_MS = 500,    /* one that stops has closed its control socket a moment before it ends */
    AT_LEAST_MS = 100, /* of patience, for a last try */
};

/* There is no event for "somebody has taken the lock". */
static void rest(void)
{
    const struct timespec span = {.tv_nsec = REST_MS * 1000000L};
    nanosleep(&span, NULL);
}

static bool is_held(const char *run_dir)
{
    struct instant end = clock_after(clock_now(), RETAKE_MS);
    bool held = identity_look(run_dir, NULL) == IDENTITY_RUNNING;
    while (!held && clock_since(clock_now(), end) > 0) {
        rest();
        held = identity_look(run_dir, NULL) == IDENTITY_RUNNING;
    }
    return held;
}

/* The supervisor went in the middle of it. Whoever comes next may need a moment for its control socket. */
static bool went(enum control_outcome outcome, bool went_before)
{
    return outcome == CONTROL_ENDED || (outcome == CONTROL_NOBODY && went_before);
}

enum control_outcome control_ask(const char *run_dir, enum control_verb verb, unsigned flags, uint64_t patience_ms,
                                 struct control_answer *answer)
{
    int futile = 0;
    bool again = false;
    for (;;) {
        struct instant asked = clock_now();
        enum control_outcome outcome = control_call(run_dir, verb, flags, patience_ms, answer);
        futile = clock_since(asked, clock_now()) < FUTILE_MS ? futile + 1 : 0;
        if (!went(outcome, again) || futile > FUTILE_MAX || !is_held(run_dir)) {
            return outcome;
        }
        again = true;
        free(answer->text);
        rest();
    }
}

/* ---- stop ---- */

/* A pidfd of who supervises RUN_DIR now; -1: nobody, or nobody knows. */
static int open_holder(const char *run_dir)
{
    pid_t pid = 0;
    bool runs = identity_look(run_dir, &pid) == IDENTITY_RUNNING;
    return runs && pid > 0 ? pidfd_open(pid, 0) : -1;
}

static uint64_t left_ms(struct instant end)
{
    uint64_t left = clock_since(clock_now(), end);
    return left > AT_LEAST_MS ? left : AT_LEAST_MS;
}

enum control_outcome control_ask_stop(const char *run_dir, unsigned flags, uint64_t patience_ms,
                                      struct control_answer *answer)
{
    struct instant end = clock_after(clock_now(), patience_ms);
    bool again = false;
    for (;;) {
        int process_fd = open_holder(run_dir);
        enum control_outcome outcome = control_call(run_dir, CONTROL_STOP, flags, left_ms(end), answer);
        bool ended = went(outcome, again) || outcome == CONTROL_NOBODY;
        bool gone = ended && identity_wait_gone(run_dir, GOING_MS) && identity_wait_exit(process_fd, left_ms(end));
        bool over = clock_since(clock_now(), end) == 0;
        if (process_fd >= 0) {
            close(process_fd);
        }
        if (gone) {
            return CONTROL_ENDED;
        }
        if (!went(outcome, again) || over) {
            return outcome == CONTROL_ENDED ? CONTROL_FAILED : outcome;
        }
        again = true;
        free(answer->text);
    }
}
