/* command_line.c — see command_line.h. */
#include "supervisor/command_line.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum verb_takes {
    TAKES_CONFIG = 1,
    TAKES_NOW = 2,
    TAKES_JSON = 4,
    TAKES_LISTEN = 8,
    TAKES_DIRECTORY = 16,
    TAKES_ADDRESS = 32,
    TAKES_NO_TRY = 64,
};

/* Every verb a person may type, in the order of the help text. */
static const struct verb_row {
    enum command_verb verb;
    const char *name;
    unsigned takes; /* of enum verb_takes */
    const char *synopsis;
    const char *text;
} verbs[] = {
    {VERB_RUN, "run", TAKES_CONFIG, "run     [-c FILE]", "supervise in the foreground"},
    {VERB_START, "start", TAKES_CONFIG, "start   [-c FILE]",
     "supervise in the background; returns once the service answers"},
    {VERB_STOP, "stop", TAKES_CONFIG | TAKES_NOW, "stop    [-c FILE] [--now]",
     "finish what is under way and stop; returns when all is gone"},
    {VERB_RELOAD, "reload", TAKES_CONFIG, "reload  [-c FILE]", "use the changed configuration; says what changed"},
    {VERB_DIFF, "diff", TAKES_CONFIG, "diff    [-c FILE]", "what would reload change? changes nothing"},
    {VERB_RESTART, "restart", TAKES_CONFIG, "restart [-c FILE]",
     "every process anew from the programs on disk, on the same sockets"},
    {VERB_REOPEN, "reopen", TAKES_CONFIG, "reopen  [-c FILE]", "reopen the log files"},
    {VERB_STATUS, "status", TAKES_CONFIG | TAKES_JSON, "status  [-c FILE] [--json]", "who runs, and how they are"},
    {VERB_CHECK, "check", TAKES_CONFIG, "check   [-c FILE]", "is the configuration good? changes nothing"},
    {VERB_SERVE, "serve", TAKES_LISTEN | TAKES_DIRECTORY, "serve   [DIR] [-l ADDR:PORT]...",
     "serve DIR (.) on 127.0.0.1:8000; no configuration needed"},
    {VERB_WHY, "why", TAKES_ADDRESS | TAKES_JSON | TAKES_NO_TRY, "why     [ADDR:]PORT | unix:PATH",
     "why can nobody listen there? for any program"},
};
enum { VERBS_COUNT = sizeof verbs / sizeof verbs[0] };

static const struct option long_options[] = {
    {"config", required_argument, NULL, 'c'},
    {"listen", required_argument, NULL, 'l'},
    {"now", no_argument, NULL, 'n'},
    {"json", no_argument, NULL, 'j'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"contract", no_argument, NULL, 'C'},
    {"no-try", no_argument, NULL, 't'},
    {0},
};

static const struct verb_row *find_verb(const char *name)
{
    for (size_t i = 0; i < VERBS_COUNT; i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            return &verbs[i];
        }
    }
    return NULL;
}

/* How many letters must be put in, taken out or replaced (Levenshtein); words of at most 31 letters. */
static size_t distance(const char *one, const char *other)
{
    size_t row[32];
    size_t columns = strlen(other);
    for (size_t i = 0; i <= columns; i++) {
        row[i] = i;
    }
    for (size_t line = 1; one[line - 1] != '\0'; line++) {
        size_t diagonal = row[0];
        row[0] = line;
        for (size_t i = 1; i <= columns; i++) {
            size_t best = diagonal + (one[line - 1] != other[i - 1]);
            best = row[i] + 1 < best ? row[i] + 1 : best;
            best = row[i - 1] + 1 < best ? row[i - 1] + 1 : best;
            diagonal = row[i];
            row[i] = best;
        }
    }
    return row[columns];
}

const char *command_guess(const char *word)
{
    size_t length = strlen(word);
    const char *guess = NULL;
    size_t nearest = 3; /* more than two slips is another word */
    for (size_t i = 0; length < 32 && i < VERBS_COUNT; i++) {
        size_t slips = distance(word, verbs[i].name);
        if (slips < nearest && slips < strlen(verbs[i].name) - 1) {
            nearest = slips;
            guess = verbs[i].name;
        }
    }
    return guess;
}

/* What the options said, before it is known which verb they are for. */
struct given {
    unsigned takes;
    enum command_verb verb; /* HELP, VERSION, CONTRACT, else RUN */
};

/* One option that getopt_long(3) has found. Returns -1 with error for a bad one. */
static int take_option(int letter, const char *word, struct command *command, struct given *given,
                       char error[COMMAND_ERROR_BYTES])
{
    switch (letter) {
    case 'c':
        command->config = optarg;
        given->takes |= TAKES_CONFIG;
        return 0;
    case 'l':
        if (command->addresses_count == COMMAND_ADDRESSES_MAX) {
            snprintf(error, COMMAND_ERROR_BYTES, "more than %d times -l; use a configuration file",
                     COMMAND_ADDRESSES_MAX);
            return -1;
        }
        command->addresses[command->addresses_count++] = optarg;
        given->takes |= TAKES_LISTEN;
        return 0;
    case 'n':
        command->now = true;
        given->takes |= TAKES_NOW;
        return 0;
    case 'j':
        command->json = true;
        given->takes |= TAKES_JSON;
        return 0;
    case 't':
        command->no_try = true;
        given->takes |= TAKES_NO_TRY;
        return 0;
    case 'h':
        given->verb = VERB_HELP;
        return 0;
    case 'V':
        given->verb = VERB_VERSION;
        return 0;
    case 'C':
        given->verb = VERB_CONTRACT;
        return 0;
    case ':':
        snprintf(error, COMMAND_ERROR_BYTES, "%.60s needs a value", word);
        return -1;
    default:
        snprintf(error, COMMAND_ERROR_BYTES, "there is no option %.60s", word);
        return -1;
    }
}

static int read_options(int argc, char *argv[], struct command *command, struct given *given,
                        char error[COMMAND_ERROR_BYTES])
{
    int letter;
    optind = 0; /* glibc: begin anew, for tests that read many command lines */
    opterr = 0;
    while ((letter = getopt_long(argc, argv, ":c:l:hV", long_options, NULL)) != -1) {
        const char *word = optind > 0 && optind <= argc ? argv[optind - 1] : "";
        if (take_option(letter, word, command, given, error) != 0) {
            return -1;
        }
    }
    return 0;
}

static int read_verb(const char *word, const struct verb_row **row, char error[COMMAND_ERROR_BYTES])
{
    *row = find_verb(word);
    if (*row != NULL) {
        return 0;
    }
    const char *guess = command_guess(word);
    snprintf(error, COMMAND_ERROR_BYTES, "there is no verb \"%.60s\"%s%s%s", word,
             guess != NULL ? "; did you mean " : "", guess != NULL ? guess : "", guess != NULL ? "?" : "");
    return -1;
}

static int refuse_option(const struct verb_row *row, unsigned surplus, char error[COMMAND_ERROR_BYTES])
{
    const char *name = (surplus & TAKES_CONFIG) != 0 ? "-c" : "-l";
    name = (surplus & TAKES_NOW) != 0 ? "--now" : name;
    name = (surplus & TAKES_JSON) != 0 ? "--json" : name;
    name = (surplus & TAKES_NO_TRY) != 0 ? "--no-try" : name;
    snprintf(error, COMMAND_ERROR_BYTES, "%s does not take %s; see: perdure --help", row->name, name);
    return -1;
}

int command_read(int argc, char *argv[], struct command *command, char error[COMMAND_ERROR_BYTES])
{
    *command = (struct command){.config = COMMAND_CONFIG_DEFAULT, .directory = "."};
    struct given given = {0};
    if (read_options(argc, argv, command, &given, error) != 0) {
        return -1;
    }
    command->verb = given.verb;
    if (given.verb != VERB_RUN) {
        return 0;
    }
    if (optind >= argc) {
        snprintf(error, COMMAND_ERROR_BYTES, "no verb given");
        return -1;
    }
    const struct verb_row *row;
    if (read_verb(argv[optind++], &row, error) != 0) {
        return -1;
    }
    command->verb = row->verb;
    if ((given.takes & ~row->takes) != 0) {
        return refuse_option(row, given.takes & ~row->takes, error);
    }
    if (optind < argc && (row->takes & TAKES_DIRECTORY) != 0) {
        command->directory = argv[optind++];
    }
    if ((row->takes & TAKES_ADDRESS) != 0) {
        if (optind >= argc) {
            snprintf(error, COMMAND_ERROR_BYTES, "%s: of which port? write, for one: perdure %s 8000", row->name,
                     row->name);
            return -1;
        }
        command->addresses[command->addresses_count++] = argv[optind++];
    }
    if (optind < argc) {
        snprintf(error, COMMAND_ERROR_BYTES, "%s: \"%.60s\" is one word too many", row->name, argv[optind]);
        return -1;
    }
    return 0;
}

/* ---- words for people ---- */

static void print_verbs(FILE *out)
{
    for (size_t i = 0; i < VERBS_COUNT; i++) {
        fprintf(out, "  perdure %-32s %s\n", verbs[i].synopsis, verbs[i].text);
    }
}

void command_usage(FILE *out)
{
    fputs("usage:\n", out);
    print_verbs(out);
    fputs("More: perdure --help, man perdure\n", out);
}

void command_help(FILE *out)
{
    fputs("perdure " PERDURE_VERSION ", a preforking HTTP server whose clients never notice that a worker died\n\n",
          out);
    print_verbs(out);
    fputs("\n"
          "  -c, --config FILE        default " COMMAND_CONFIG_DEFAULT "\n"
          "  -l, --listen ADDR:PORT   serve: where to listen; may be given several times\n"
          "      --now                stop: do not wait for clients\n"
          "      --json               status, why: for programs\n"
          "      --no-try             why: do not try to bind\n"
          "  -h, --help               this text\n"
          "  -V, --version            the version\n"
          "\n"
          "Signals to the supervisor (its pid is in RUN_DIR/perdure.pid):\n"
          "  HUP         reload the configuration\n"
          "  TERM, QUIT  stop, when what is under way is finished; the second one: stop now\n"
          "  INT         stop now\n"
          "  USR1        reopen the log files\n"
          "  USR2        restart: every process anew from the programs on disk\n"
          "  TTIN, TTOU  one worker more, one worker less\n"
          "\n"
          "Exit status: 0 done, 1 refused or failed, 2 wrong usage;\n"
          "of diff: 0 identical, 1 a reload would change something, 2 it would be refused, or cannot be told;\n"
          "of why: 0 a server could listen there, 1 it could not, 2 wrong usage;\n"
          "of status: 0 running, 1 dead with a pid file left, 3 stopped, 4 unknown.\n",
          out);
}
