/* clock.h — the two clocks: one that only goes forward, for deadlines, and one that people read. */
#ifndef PERDURE_INHERIT_CLOCK_H
#define PERDURE_INHERIT_CLOCK_H

#include <stdint.h>
#include <time.h>

/* A point on CLOCK_MONOTONIC. A struct, so that seconds or a duration cannot pass for it. The clock is common to all
 * processes of a machine, so an instant written into a cell means the same to the successor. */
struct instant {
    uint64_t ms;
};

/* Now, see clock_gettime(2). Never fails. */
struct instant clock_now(void);

/* Microseconds of the same clock, for measuring short spans. */
uint64_t clock_now_us(void);

/* The instant DURATION_MS after WHEN; saturates instead of wrapping. */
struct instant clock_after(struct instant when, uint64_t duration_ms);

/* Milliseconds from EARLIER to LATER; 0 if LATER is not later. */
uint64_t clock_since(struct instant earlier, struct instant later);

/* Seconds since the epoch, CLOCK_REALTIME_COARSE: good to a tick, costs no system call. */
time_t clock_wall_seconds(void);

#endif
