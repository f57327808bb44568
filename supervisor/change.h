/* change.h — what a configuration would change in the running service, and whether it can be changed at all while it
 * runs. Decides nothing and changes nothing: reload.c and preview.c do. */
#ifndef PERDURE_CHANGE_H
#define PERDURE_CHANGE_H

#include "supervisor/supervisor.h"

/* For the text that change_weigh gives. */
enum { CHANGE_TEXT_BYTES = SETTINGS_ERROR_BYTES };
_Static_assert((int)CHANGE_TEXT_BYTES >= 1024, "a refusal has room");

enum change {
    CHANGE_NONE,    /* it means the same; a comment may differ */
    CHANGE_SOME,    /* text has one line for each change, see settings_diff.h */
    CHANGE_REFUSED, /* text says why */
};

/* Compare the approved snapshot SNAPSHOT_FD, which stays the caller's, with what runs. *NEXT are its settings, to be
 * freed with settings_free; NULL if refused. TEXT has BYTES, CHANGE_TEXT_BYTES at least. Whether new addresses can be
 * bound is not looked at. */
enum change change_weigh(const struct supervisor *s, int snapshot_fd, struct settings **next, char *text, size_t bytes);

#endif
