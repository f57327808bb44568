/* chance.h — random numbers that come again with the same seed. */
#ifndef JUDGE_CHANCE_H
#define JUDGE_CHANCE_H

#include <stdbool.h>
#include <stdint.h>

extern uint64_t chance_state; /* not 0 */

/* 0 <= result < LIMIT; 0 if LIMIT is 0. xorshift64*: quick, and good enough for a storm. */
static inline uint64_t chance_below(uint64_t limit)
{
    chance_state ^= chance_state >> 12;
    chance_state ^= chance_state << 25;
    chance_state ^= chance_state >> 27;
    uint64_t number = chance_state * UINT64_C(0x2545F4914F6CDD1D) >> 11;
    return limit == 0 ? 0 : number % limit;
}

static inline bool chance_one_in(uint64_t count)
{
    return chance_below(count) == 0;
}

#endif
