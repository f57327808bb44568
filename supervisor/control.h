/* control.h — the control socket RUN_DIR/control.sock: how the verbs ask the supervisor.
 *
 * SOCK_SEQPACKET, mode 0600; a client is root or of the supervisor's own user (SO_PEERCRED), or, with mode 0660, of the
 * group that is configured (SO_PEERGROUPS); one request each. Answers
 * may come at any time later, in any order. A client that misbehaves, or goes, costs its own connection and nothing
 * else; where they crowd, one that is silent makes room. No decision is made here: requests are handed to the caller,
 * who answers them. */
#ifndef PERDURE_CONTROL_H
#define PERDURE_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { CONTROL_CLIENTS_MAX = 64, CONTROL_ERROR_BYTES = 512 };

enum control_verb {
    CONTROL_STOP,
    CONTROL_RELOAD,
    CONTROL_RESTART,
    CONTROL_REOPEN,
    CONTROL_STATUS,
    CONTROL_DIFF,
};
enum { CONTROL_VERBS = CONTROL_DIFF + 1 };
extern const char *const control_verb_name[CONTROL_VERBS]; /* "stop", … */

enum control_flag {
    CONTROL_NOW = 1,  /* stop: do not wait for clients */
    CONTROL_JSON = 2, /* status */
};

/* What `perdure diff` is answered with, and exits with: as diff(1). */
enum diff_result {
    DIFF_SAME = 0,    /* identical, nothing to do */
    DIFF_CHANGES = 1, /* a reload would be accepted, and change this */
    DIFF_REFUSED = 2, /* it would be refused, or that cannot be told */
};

/* ---- the server, in the supervisor ---- */

struct control; /* made by control_open or control_adopt, freed by control_close */

struct control_request {
    uint64_t client; /* whom to answer; never reused */
    enum control_verb verb;
    unsigned flags;
    int32_t pid; /* who asks (SO_PEERCRED); 0: in another PID namespace */
    uint32_t uid;
};

/* Bind the socket; a file left by a dead supervisor is removed, so the caller must hold the lock of RUN_DIR.
 * Returns NULL with cause and remedy in error. */
struct control *control_open(const char *run_dir, char error[CONTROL_ERROR_BYTES]);

/* From now on members of GROUP may ask, too; NULL: nobody else. What cannot be done is logged, and then they may not.
 */
void control_permit(struct control *control, const char *group);

/* One descriptor to wait on for reading (an epoll set of its own: listener, clients, time limits). */
int control_fd(const struct control *control);

/* Call when control_fd is readable, some times or until it returns false: does what is to be done and gives the next
 * request. False does not mean that nothing is left: control_fd says so. */
bool control_next(struct control *control, struct control_request *request);

/* Answer, once per request: EXIT_CODE and TEXT (any length, copied) are what the verb exits with and prints. A client
 * that has gone meanwhile is no error. */
void control_reply(struct control *control, uint64_t client, int exit_code, const char *text);

/* True while CLIENT has asked, waits for its answer and is still there. */
bool control_owes(struct control *control, uint64_t client);

/* Close every client and the socket, and remove its file. Clients that have no answer yet see EOF: to a `stop` that
 * means done. */
void control_close(struct control *control);

/* Remove the socket's file already: nobody new is to come. */
void control_hide(const struct control *control);

/* What must survive an exec in place or the supervisor's death: plain data for the ledger. Clients that are owed an
 * answer keep waiting; those whose request was not read yet are heard by the next image. Descriptors stay
 * close-on-exec; the caller decides what crosses. */
struct control_kept {
    int32_t listener_fd;
    uint32_t spare;
    struct control_kept_client {
        int32_t fd; /* -1: this place is free */
        uint32_t verb;
        uint32_t flags;
        uint32_t asking; /* 1: its request was not read yet, so it has no verb */
        uint64_t client;
    } clients[CONTROL_CLIENTS_MAX];
};
void control_keep_nothing(struct control_kept *kept);

/* From now on KEPT, which is borrowed, says at every instant what the next image is to know. */
void control_keep(struct control *control, struct control_kept *kept);

/* Go on with what another supervisor image kept; takes ownership of the descriptors. What does not add up is closed.
 * NULL with errno: ENOTSOCK if the listener is not one (the caller then opens a new one). */
struct control *control_adopt(const char *run_dir, const struct control_kept *kept);

/* CLIENT was adopted waiting, and nobody knows what for: control_next hands its request out once more. */
void control_hear_again(struct control *control, uint64_t client);

/* ---- the client, in the verbs ---- */

enum control_outcome {
    CONTROL_ANSWERED, /* exit_code and text are the supervisor's */
    CONTROL_ENDED,    /* the supervisor took the request and went without an answer; to a stop that means done */
    CONTROL_NOBODY,   /* no supervisor listens there */
    CONTROL_DENIED,   /* not root, not the supervisor's user, not of the group */
    CONTROL_FAILED,   /* no answer in time, or nonsense; text says what */
};
struct control_answer {
    int exit_code;
    char *text; /* malloc'ed, never NULL; the caller frees it */
};

/* Ask the supervisor of RUN_DIR and wait for its answer, at most PATIENCE_MS (0: as long as it takes). */
enum control_outcome control_call(const char *run_dir, enum control_verb verb, unsigned flags, uint64_t patience_ms,
                                  struct control_answer *answer);

#endif
