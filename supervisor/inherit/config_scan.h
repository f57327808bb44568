/* config_scan.h — reads a configuration's files, follows includes, checks the shape before libconfuse sees anything.
 *
 * Out come the statements as one plain text for libconfuse, one line for each line that said something, and the place
 * in the files of each of these lines, each section and each key. libconfuse never sees an include, a comment or a
 * syntax error, so its include stack, its line numbers and its error recovery, which 3.3 gets wrong, are never used. */
#ifndef PERDURE_INHERIT_CONFIG_SCAN_H
#define PERDURE_INHERIT_CONFIG_SCAN_H

#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/snapshot_files.h"

#include <stdbool.h>
#include <stddef.h>

enum { CONFIG_DEPTH_MAX = 8, CONFIG_SITES_MAX = 1024 };

/* Where something was said. */
struct config_place {
    const struct snapshot_file *file; /* borrowed from the files; NULL: it was not said */
    unsigned line;
};

/* A section's begin (key NULL) or a key of it. */
struct config_mark {
    enum settings_scope scope;
    size_t ordinal; /* of the section among those of its scope; 0 at the top */
    const struct settings_key *key;
    char *title; /* of a section */
    struct config_place place;
};

struct config_scan {
    char *text; /* for libconfuse */
    size_t text_bytes, text_room;
    struct config_place *lines; /* lines[n - 1] is the place of line n of text */
    size_t lines_count, lines_room;
    struct config_mark *marks;
    size_t marks_count, marks_room;
    unsigned last_line; /* of the main file */
    size_t files_met;   /* the main file and the includes so far */
};

/* Called to have what NUMBER (1, 2, … in the order met) stands for in files: the file that `include("PATH")` in
 * INCLUDER means. NAME is how messages are to call it. Returns false with the reason in why. */
typedef bool config_fetch(struct snapshot_files *files, size_t number, const struct snapshot_file *includer,
                          const char *path, const char *name, char why[256]);

/* Scan files, of which the first must be there. Returns false with the message in error. In both cases scan is to be
 * freed with config_scan_free. */
bool config_scan(struct config_scan *scan, struct snapshot_files *files, config_fetch *fetch,
                 char error[SETTINGS_ERROR_BYTES]);
void config_scan_free(struct config_scan *scan);

/* The place of KEY (NULL: of the section itself) in section ORDINAL of SCOPE; its file is NULL if it was not said. */
struct config_place config_scan_place(const struct config_scan *scan, enum settings_scope scope, size_t ordinal,
                                      const struct settings_key *key);

/* How many sections of SCOPE there are. */
size_t config_scan_sections(const struct config_scan *scan, enum settings_scope scope);

#endif
