/* clock.c — see clock.h. */
#include "supervisor/inherit/clock.h"

struct instant clock_now(void)
{
    return (struct instant){.ms = clock_now_us() / 1000};
}

uint64_t clock_now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct instant clock_after(struct instant when, uint64_t duration_ms)
{
    struct instant after = {.ms = when.ms + duration_ms};
    if (after.ms < when.ms) {
        after.ms = UINT64_MAX;
    }
    return after;
}

uint64_t clock_since(struct instant earlier, struct instant later)
{
    return later.ms > earlier.ms ? later.ms - earlier.ms : 0;
}

time_t clock_wall_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec;
}
