/* command_line.h — what the words after `perdure` ask for. Reads and checks them; does nothing.
 *
 * The table of verbs, with the options that each one takes, is in command_line.c; the help text is made of it. */
#ifndef PERDURE_COMMAND_LINE_H
#define PERDURE_COMMAND_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define COMMAND_CONFIG_DEFAULT "/etc/perdure/perdure.conf"
enum { COMMAND_ERROR_BYTES = 256, COMMAND_ADDRESSES_MAX = 16 };

enum command_verb {
    VERB_RUN,
    VERB_START,
    VERB_STOP,
    VERB_RELOAD,
    VERB_DIFF,
    VERB_RESTART,
    VERB_REOPEN,
    VERB_STATUS,
    VERB_CHECK,
    VERB_SERVE,
    VERB_WHY,
    VERB_HELP,     /* -h, --help */
    VERB_VERSION,  /* -V, --version */
    VERB_CONTRACT, /* --contract: for a running supervisor that looks at the program on disk */
};

struct command {
    enum command_verb verb;
    const char *config; /* all strings are borrowed from argv */
    bool now;
    bool json;
    bool no_try;
    const char *directory;                        /* serve; never NULL */
    const char *addresses[COMMAND_ADDRESSES_MAX]; /* serve, and why has one; as written */
    size_t addresses_count;
};

/* Returns 0, or -1 with what is wrong and what would be right in error (exit 2). */
int command_read(int argc, char *argv[], struct command *command, char error[COMMAND_ERROR_BYTES]);

/* The verb that WORD is most likely a slip of, or NULL. */
const char *command_guess(const char *word);

/* The few lines for somebody who typed something wrong. */
void command_usage(FILE *out);

/* All of it, with the table of signals. */
void command_help(FILE *out);

#endif
