/* main.c — from the command line to the verb. What each verb does is in start.c, serve.c and verbs.c. */
#include "supervisor/command_line.h"
#include "supervisor/serve.h"
#include "supervisor/start.h"
#include "supervisor/supervise.h"
#include "supervisor/verbs.h"
#include "supervisor/why/why.h"

#include <fcntl.h>
#include <unistd.h>

/* Descriptors 0, 1 and 2 are open in every process of ours: a file opened in the place of a closed one would get what
 * is printed. */
static void open_standard_descriptors(void)
{
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) {
        close(fd);
    }
}

static int show(void (*text)(FILE *out))
{
    text(stdout);
    return 0;
}

static int show_version(void)
{
    puts("perdure " PERDURE_VERSION);
    return 0;
}

static int show_contract(void)
{
    supervise_print_contract();
    return 0;
}

static int carry_out(const struct command *command)
{
    switch (command->verb) {
    case VERB_RUN:
        return start_in_foreground(command);
    case VERB_START:
        return start_in_background(command);
    case VERB_STOP:
        return verb_stop(command);
    case VERB_RELOAD:
        return verb_reload(command);
    case VERB_DIFF:
        return verb_diff(command);
    case VERB_RESTART:
        return verb_restart(command);
    case VERB_REOPEN:
        return verb_reopen(command);
    case VERB_STATUS:
        return verb_status(command);
    case VERB_CHECK:
        return verb_check(command);
    case VERB_SERVE:
        return serve_directory(command);
    case VERB_WHY:
        return why(command);
    case VERB_HELP:
        return show(command_help);
    case VERB_VERSION:
        return show_version();
    case VERB_CONTRACT:
        return show_contract();
    }
    return 2;
}

int main(int argc, char *argv[])
{
    open_standard_descriptors();
    if (supervise_is_resumed()) {
        int exit_code = supervise_again();
        serve_tidy();
        return exit_code;
    }
    struct command command;
    char error[COMMAND_ERROR_BYTES];
    if (command_read(argc, argv, &command, error) != 0) {
        fprintf(stderr, "perdure: %s\n", error);
        command_usage(stderr);
        return 2;
    }
    return carry_out(&command);
}
