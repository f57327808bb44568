/* settings.h — the configuration as the programs see it: typed, bounded, complete.
 *
 * The text of a configuration exists once, as a snapshot: a sealed memfd that holds the file and everything it
 * includes, as approved. Supervisor and workers parse that same snapshot, so nobody ever sees a half-edited file. The
 * table of all keys is keys.def. */
#ifndef PERDURE_INHERIT_SETTINGS_H
#define PERDURE_INHERIT_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SETTINGS_LISTENERS_MAX = 64, SETTINGS_ERROR_BYTES = 1024 };

struct listen_setting {
    char *address; /* as written: "0.0.0.0:8000", "[::]:8000", "unix:/run/perdure/http.sock" */
    int backlog;
    unsigned mode; /* of a unix socket's file, as its owner and group */
    char *owner;   /* NULL: the user who starts */
    char *group;
    bool proxy_protocol;
    const char *file; /* where it was said, for messages; borrowed from the settings */
    unsigned line;
};

struct header_setting {
    char *name;  /* a valid RFC 9110 token */
    char *value; /* no control characters */
};

struct site_setting {
    char *
        *names; /* lower case; names[0] is the site's title, the rest its aliases; "*" takes what no other site takes */
    size_t names_count;
    char *root; /* an absolute path */
    char **index;
    size_t index_count;
    bool listing;
    bool dot_files; /* serve names that begin with a dot */
    struct header_setting *headers;
    size_t headers_count;
    const char *file;
    unsigned line;
};

/* Everything that keys.def describes. Durations are in milliseconds, sizes in bytes. */
struct settings {
    char *user;       /* NULL: not started as root, no change of user */
    unsigned workers; /* 0: one per processor */
    char *run_dir;
    char *control_group; /* NULL: none */
    char *error_log;     /* "stderr", "syslog" or a path */
    char *access_log;    /* NULL: off */
    char *mime_types;
    bool require_sandbox;
    uint64_t idle_timeout_ms;
    uint64_t head_timeout_ms;
    uint64_t body_timeout_ms;
    uint64_t write_timeout_ms;
    uint64_t client_close_timeout_ms;
    uint64_t linger_timeout_ms;
    uint64_t vanished_timeout_ms;
    uint32_t min_receive_rate; /* bytes a second; 0: any */
    uint32_t min_send_rate;
    uint64_t stop_timeout_ms;
    uint64_t ready_timeout_ms;
    uint64_t hang_timeout_ms;
    uint64_t file_cache_valid_ms;
    uint64_t file_cache_memory;       /* bytes, per worker */
    unsigned connections;             /* per worker */
    unsigned connections_per_address; /* 0: any number */
    unsigned requests_per_address;    /* a second; 0: any number */
    bool answer_429;
    char **proxy_trusted; /* as network.h reads them */
    size_t proxy_trusted_count;
    uint32_t head_limit;
    uint32_t target_limit;
    uint64_t body_limit;
    struct listen_setting *listeners;
    size_t listeners_count;
    bool listens_by_default; /* no listen section says where */
    struct site_setting *sites;
    size_t sites_count;
};

/* Parse a SNAPSHOT (a descriptor made by snapshot.h's functions; its file offset is neither used nor moved). Returns
 * settings to be freed with settings_free, or NULL with "FILE:LINE: what is wrong; what would be right" in error. */
struct settings *settings_parse(int snapshot_fd, char error[SETTINGS_ERROR_BYTES]);

/* Where the SNAPSHOT, a good one, sets KEY at the top, as messages say it: "FILE:LINE"; "FILE" if it does not. */
void settings_place(int snapshot_fd, const char *key, char *place, size_t bytes);

/* A configuration without a listen section shall mean these COUNT addresses (at least one) and not the default one.
 * Does nothing to one that has any. False: no memory, nothing is changed. */
bool settings_listen_on(struct settings *settings, const char *const addresses[], size_t count);

void settings_free(struct settings *settings);

#endif
