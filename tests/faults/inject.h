/* inject.h — calls that fail on order, in the build `make faults` alone: the orders are in a file that a test shares
 * with every process of a perdure, and changes while they run.
 *
 * PERDURE_FAULTS names the file, which holds a struct fault_plan. Without it, or with no rule in it, nothing fails.
 * tests/e2e/faults.py knows this layout; both have its number. */
#ifndef PERDURE_TESTS_FAULTS_INJECT_H
#define PERDURE_TESTS_FAULTS_INJECT_H

#include <stdint.h>

enum { FAULT_LAYOUT = 0x7066, FAULT_RULES = 8, FAULT_CALLS_MAX = 64 };

enum fault_role {
    FAULT_NOBODY,
    FAULT_SUPERVISOR, /* also what it forks, up to an exec */
    FAULT_SUPERVISORS_KEEPER,
    FAULT_WORKER,
    FAULT_KEEPER, /* a worker's; also the successor that it forks, up to the exec */
    FAULT_ROLES,
};

enum fault_call {
    FAULT_NO_CALL,
#define CALL(name, interruptible) FAULT_##name,
#include "tests/faults/calls.def"
#undef CALL
    FAULT_CALLS,
    FAULT_INTERRUPTIBLE = 0xffff, /* in a rule: all that a signal may interrupt */
};

/* The calls with the numbers first, first + step, … fail, and no more than `times` of them; a step of 0 is 1, and times
 * of 0 have no end. */
struct fault_rule {
    uint32_t call; /* the last that is written: from there on the rule holds */
    uint32_t role;
    uint32_t error; /* errno; 0: a write of half the bytes */
    uint32_t first; /* from 1 */
    uint32_t step;
    uint32_t times;
    uint32_t seen;
    uint32_t failed;
    uint64_t where; /* the last call that failed: how far behind the program's beginning */
};

struct fault_plan {
    uint32_t layout;
    uint32_t counting;    /* every call is counted, below */
    int64_t clock_jump_s; /* how far the clock that people read has been moved */
    struct fault_rule rules[FAULT_RULES];
    uint32_t counts[FAULT_ROLES][FAULT_CALLS_MAX];
};

#endif
