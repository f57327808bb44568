/* cell.h — the cell: what each of a worker's connections is in the middle of, in memory that outlives the worker.
 *
 * A memfd, mapped MAP_SHARED, sealed against resizing so that nobody can make its reader fault. It says what a
 * connection is in the middle of; how far a stream got, the kernel says (witness.h). Its parts:
 *
 *   header    one page: its face (identity, heartbeat, counters), then the slot in hand and the like
 *   slots     one per descriptor number: slots[fd]
 *   desks     the workspace of a connection that has a request; borrowed, given back, hole-punched. Sparse
 *   log       access-log lines that are not written yet
 *
 * A slot and its desk have two records each. A step writes the one that is not current, then publishes it with one
 * store to slot->current: a SIGKILL finds either the old facts or the new ones, never a mixture.
 *
 * The worker writes it, its successor reads it and trusts no field. The supervisor reads a few words of the header, by
 * the functions below only, and follows no index it finds there without a check.
 *
 * The layout is the worker program's own: the supervisor makes a cell that is a face and no more, and a fresh worker
 * lays out the rest. So a supervisor can look after workers of a layout that it does not know. */
#ifndef PERDURE_INHERIT_CELL_H
#define PERDURE_INHERIT_CELL_H

#include "supervisor/inherit/client_address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Raised with every change of a structure below: another layout cannot be adopted. */
enum { CELL_LAYOUT_NUMBER = 6 };

/* For the tests of that there are programs whose cells are really laid out in another way. */
#ifdef PERDURE_TEST_CELL_LAYOUT
enum { CELL_LAYOUT = PERDURE_TEST_CELL_LAYOUT, CELL_TEST_BYTES = 4096 };
#else
enum { CELL_LAYOUT = CELL_LAYOUT_NUMBER, CELL_TEST_BYTES = 0 };
#endif

enum {
    CELL_HEADER_BYTES = 4096,
    CELL_LOG_BYTES = 256 * 1024,
    DESK_IN_BYTES = 33 * 1024, /* the largest head_limit, and a little */
    DESK_OUT_BYTES = 40 * 1024,
    DESK_LOG_BYTES = 14 * 1024 + CELL_TEST_BYTES,
    DESK_PARTS_MAX = 32,
    CELL_TAKING_MAX = 8,       /* the supervisor counts on it: belongs to the contract, as the face does */
    CELL_ENDED_WELL = 1 << 16, /* so do these, of last_words */
    CELL_SENT = 1 << 17,
    CELL_SIGNAL_MASK = 0xff,
    CELL_CALL_SHIFT = 18, /* of SIGSYS, the number of the system call that was refused, plus one */
};

/* What a connection waits for. */
enum stage {
    STAGE_FREE,     /* no connection on this descriptor */
    STAGE_IDLE,     /* the first byte of a request; the only stage without a desk */
    STAGE_HEAD,     /* the rest of a request's head */
    STAGE_CONTINUE, /* the client to take our 100 Continue */
    STAGE_BODY,     /* the rest of a request's body, which is discarded */
    STAGE_RESPOND,  /* the client to take our response */
    STAGE_PARTING,  /* the client's FIN, after our last byte and before our FIN: it knows that this was the last */
    STAGE_LINGER,   /* the client's FIN, after our last byte and our FIN; what arrives is thrown away */
    STAGE_CLOSING,  /* nothing: it is being closed; a successor finishes that */
    STAGE_GIVING,   /* nothing: it is being handed to another worker */
};
enum { STAGES = STAGE_GIVING + 1 };
extern const char *const stage_name[STAGES];

enum slot_flag {
    SLOT_UNIX = 1,        /* an AF_UNIX socket: the kernel keeps no count for it */
    SLOT_WRITABLE = 2,    /* registered in the epoll set for EPOLLOUT instead of EPOLLIN */
    SLOT_BEHIND = 4,      /* since it last rested the client could not be sent all at once: until_ms goes on */
    SLOT_SLOW = 8,        /* when last looked at, it had moved, by less than its patience had cost */
    SLOT_COUNTED = 16,    /* among its client's connections, in this worker's row of the tally */
    SLOT_HEADER_DUE = 32, /* a trusted proxy's: its PROXY header is still to come */
    SLOT_PROXIED = 64,    /* that header said whose it is */
    SLOT_SHORT = 128,     /* not registered, or for nothing: the machine had no room for it, and it is tried again */
};

/* The part that an idle connection needs. 48 bytes. */
struct slot_record {
    uint64_t received;    /* bytes taken from the stream, as of this record */
    uint64_t sent;        /* bytes given to the stream, as of this record */
    uint64_t deadline_ms; /* when patience ends, on clock_now()'s clock; while sending: when it is looked at next */
    uint64_t until_ms;    /* while sending: when patience ends; see patience.h */
    uint64_t taken;       /* while sending: bytes that had arrived at the client when it was last looked at */
    int32_t desk;         /* -1: none */
    uint8_t stage;        /* enum stage */
    uint8_t flags;        /* enum slot_flag */
    union {
        uint16_t given;       /* GIVING: it may have been given to another worker already, by a predecessor of ours */
        uint16_t turns;       /* PARTING: how often its patience began anew, for the response was still on its way */
        uint16_t drained_kib; /* LINGER: thrown away so far */
    };
};

struct slot {
    uint32_t current;             /* 0 or 1: which record holds. The store to it publishes both records */
    uint32_t serial;              /* counts the connections that had this descriptor number */
    struct client_address client; /* written before the record that tells of the connection */
    struct slot_record record[2];
};
_Static_assert(sizeof(struct slot) <= 300, "an idle connection costs at most 300 bytes in the cell");

enum desk_flag {
    DESK_CLOSE = 1, /* the connection ends after this response */
    DESK_TRIED = 2, /* the request at tried_at was in hand when a worker crashed: a suspect, on its second try */
    DESK_PART = 4,  /* DESK_CLOSE, and the client knows it and where the response ends: it is to close first */
    DESK_LAST = 8,  /* the client sends nothing behind this request: it said so, and has no body to send */
};

/* The part that a connection with a request needs. Invariants: head_at <= next_at <= fill_at <= DESK_IN_BYTES;
 * memory_at + memory_bytes <= DESK_OUT_BYTES; part < parts <= DESK_PARTS_MAX; log_split <= log_bytes <= DESK_LOG_BYTES.
 */
struct desk_record {
    uint32_t head_at;    /* in[]: where the request in work begins */
    uint32_t next_at;    /* in[]: where the next request begins, once the present one's end is known */
    uint32_t fill_at;    /* in[]: where the next byte of the stream goes, byte number slot_record.received of it */
    uint32_t head_bytes; /* of the request in work, once known */
    uint32_t flags;      /* enum desk_flag */
    uint32_t requests;   /* answered by what is going out */
    /* what is going out: a stretch of memory, then one of the file */
    uint64_t out_from; /* number of its first byte in the stream we send */
    uint64_t file_at;
    uint64_t file_bytes;
    uint32_t memory_at; /* out[] */
    uint32_t memory_bytes;
    int32_t file_fd; /* -1: none */
    uint16_t part;   /* which of parts[] this is */
    uint16_t parts;
    /* the body being discarded: struct body_state of the worker, as plain numbers */
    uint64_t body_left;
    uint64_t body_total;
    uint32_t body_line;
    uint8_t body_kind;
    uint8_t body_phase;
    uint16_t tried_at; /* in[]: where the suspect begins; those before it are none */
    /* its access-log lines; the last one's number of body bytes stands at log_split and holds if all gets sent */
    uint32_t log_bytes;
    uint32_t log_split;
    uint64_t log_head_bytes; /* of the last response: bytes that are not body, over all its parts */
    uint64_t log_from;       /* number of the last response's first byte in the stream we send */
};

/* One part of a multipart answer; those behind the present one wait here. */
struct desk_part {
    uint64_t file_at;
    uint64_t file_bytes;
    uint32_t memory_at;
    uint32_t memory_bytes;
};

struct desk {
    struct desk_record record[2]; /* the one that counts is the one of the slot's current */
    struct desk_part part[DESK_PARTS_MAX];
    char in[DESK_IN_BYTES];
    char out[DESK_OUT_BYTES];
    char log[DESK_LOG_BYTES];
};

/* Counters since the worker's place was made; they survive succession. One writer, read by the supervisor. */
struct cell_counters {
    uint64_t accepted;
    uint64_t requests;
    uint64_t bytes_sent;
    uint64_t ended_by_client; /* EOF or reset, in front of a request or in the middle of one */
    uint64_t parted;          /* EOF or reset after a response that said that it was the last */
    uint64_t ended_by_timeout;
    uint64_t ended_by_us; /* after a response that said so, and the client had not closed before we did */
    uint64_t refused;     /* 4xx for something malformed or too large */
    uint64_t given;       /* handed to another worker */
    uint64_t taken;
    uint64_t dropped;             /* lost in a succession because the slot did not add up */
    uint64_t too_slow;            /* of those ended by timeout: sent or took something, below the least rate */
    uint64_t limited_connections; /* refused: their address had connections_per_address */
    uint64_t limited_requests;    /* the same with requests_per_address */
    uint64_t shed;                /* made way for others when every place was taken */
};

struct cell_header {
    /* Its face, which the supervisor reads of cells of any layout: whoever changes it, or the counters, raises
     * CONTRACT_VERSION as well. */
    uint32_t magic;
    uint32_t layout;      /* CELL_LAYOUT of the program that laid it out; 0: nobody has yet */
    uint32_t slots;       /* count */
    uint32_t connections; /* now */
    uint64_t beat_ms;     /* the worker's last turn of the loop, on clock_now()'s clock */
    struct cell_counters counters;
    uint32_t last_words; /* how the worker ends, of which a wait status tells a part, and that to its parent alone: the
                            signal of its own fault, with CELL_SENT if another process sent it; or CELL_ENDED_WELL; 0:
                            it lives, or had no time to say */
    /* the rest is of the layout */
    uint32_t slot_bytes; /* sizeof, so that a change nobody numbered is noticed */
    uint32_t desk_bytes;
    uint32_t in_hand_at; /* in[] of its desk: where the request being answered begins */
    uint32_t receiving;  /* 1: a parcel is on its way from a channel into a slot */
    int32_t in_hand;     /* the descriptor being stepped, -1: none */
    uint32_t top;        /* no slot above this one is in use */
    uint64_t log_from;   /* log[]: first byte not written yet */
    uint64_t log_state;  /* log[]: first free byte, and which response put the last line there; see access_log.c */
    int32_t taking[CELL_TAKING_MAX]; /* channels on which connections arrive from a surplus worker, -1: none */
};
_Static_assert(offsetof(struct cell_header, beat_ms) == 16 && offsetof(struct cell_header, counters) == 24 &&
                   sizeof(struct cell_counters) == 120,
               "a cell's face belongs to the contract");

struct cell {
    int fd;
    size_t bytes;         /* mapped */
    uint32_t slots_count; /* 0: only the face is mapped */
    struct cell_header *header;
    struct slot *slots;
    char *desks; /* as many as slots; see cell_desk */
    char *log;
};

/* ---- for both ---- */

void cell_unmap(struct cell *cell);

/* Desk NUMBER, or NULL if there is none of that number. */
struct desk *cell_desk(const struct cell *cell, int32_t number);

/* Bytes from one desk to the next: whole pages. */
size_t cell_desk_stride(void);

/* ---- for a fresh worker ---- */

/* Make an empty cell of our layout of what cell_create() gave, seal it for good and map it. Returns 0, or -1 with
 * errno.
 */
int cell_lay_out(struct cell *cell, int fd);

/* ---- for a successor ---- */

/* Map the whole cell on FD, which a predecessor of our layout left: that it is of ours, the supervisor knows, and the
 * size, which is sealed, agrees. The header's words about it may be scribbled over; they are put right, and *was_sick
 * tells of it. Returns 0, or -1 with errno (EPROTO: its size is not that of a cell of this layout). */
int cell_adopt(struct cell *cell, int fd, bool *was_sick);

/* ---- for the supervisor ---- */

/* Make what will be a cell of SLOTS slots: a face that cannot shrink. Returns its descriptor, which is close-on-exec,
 * or -1 with errno. */
int cell_create(uint32_t slots);

/* Map the face of the cell on FD, of whatever layout. Returns 0, or -1 with errno. */
int cell_look(struct cell *cell, int fd);

/* Read from a face. */
uint32_t cell_layout(const struct cell *cell);
uint64_t cell_beat_ms(const struct cell *cell);
uint32_t cell_connections(const struct cell *cell);
struct cell_counters cell_counters(const struct cell *cell);
uint32_t cell_last_words(const struct cell *cell);

/* What the worker had in hand: "GET /x HTTP/1.1" (the request's first line, unprintable bytes as \xNN) into LINE and
 * the client's descriptor number into *fd. CELL is a face, of a cell of SLOTS slots. False if nothing was in hand, or
 * it does not add up, or the cell has another layout. */
bool cell_in_hand(const struct cell *cell, uint32_t slots, char *line, size_t bytes, int *fd);

#endif
