/* verdict.h — counts what happened to the clients, and says it at the end: to people, and as JSON. */
#ifndef JUDGE_VERDICT_H
#define JUDGE_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role {
#define ROLE(name, option, words) ROLE_##name,
#include "tests/judge/roles.def"
    ROLES,
};
extern const char *const role_name[ROLES];

enum trouble {
    TROUBLE_NONE,
#define TROUBLE(name, key, words) TROUBLE_##name,
#include "tests/judge/troubles.def"
    TROUBLES,
};

/* Count one trouble. REQUEST and DETAILS, in words, may be "". The first twenty are printed as they happen. */
void verdict_trouble(enum trouble kind, enum role role, const char *request, const char *details);

void verdict_connection(enum role role);

/* A response, all of it as it should be, BYTES of head and body. */
void verdict_response(enum role role, uint64_t bytes);

/* The server said Connection: close on a connection that was to be kept alive. No trouble, but worth telling. */
void verdict_announced_close(void);

/* The first byte of an answer came so long after the end of its request (and of the answer before it). */
void verdict_first_byte(uint64_t wait_ns);

/* So long nothing came while something was owed: before a response or in its middle. */
void verdict_pause(uint64_t pause_ns);

uint64_t verdict_responses(void);
bool verdict_is_clean(void);

void verdict_begin(uint64_t now_ns);
uint64_t verdict_now_ns(void);

/* The summary to stdout, and to FILE as JSON unless that is NULL. */
void verdict_print(uint64_t seed);
void verdict_write_json(const char *file, uint64_t seed);

#endif
