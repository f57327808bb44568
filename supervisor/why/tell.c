/* tell.c — the page for people; see tell.h. */
#include "supervisor/why/tell.h"

#include "supervisor/why/explain.h"
#include "supervisor/why/words.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 79, CAUSES_SHOWN = 6 };

/* ---- lines ---- */

/* LENGTH bytes of TEXT, broken between words; what follows the first line begins behind INDENT blanks. */
static void print_wrapped(FILE *out, const char *text, size_t length, size_t indent)
{
    size_t column = 0;
    for (size_t at = 0; at < length;) {
        size_t blanks = strspn(text + at, " ");
        size_t word = strcspn(text + at + blanks, " \n");
        if (column > indent && column + blanks + word > COLUMNS) {
            fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
            blanks = 0;
            at += strspn(text + at, " ");
        }
        fprintf(out, "%.*s", (int)(blanks + word), text + at);
        column += blanks + word;
        at += blanks + word;
    }
    fputc('\n', out);
}

/* Where a line goes on: those that begin with blanks are details, and go on further in. */
static size_t indent_of(const char *line)
{
    static const char tried[] = "Tried: ";
    return line[0] == ' ' ? 6 : strncmp(line, tried, strlen(tried)) == 0 ? strlen(tried) : 0;
}

static void print_lines(FILE *out, const char *text)
{
    for (const char *line = text; *line != '\0';) {
        size_t length = strcspn(line, "\n");
        print_wrapped(out, line, length, indent_of(line));
        line += length + (line[length] == '\n');
    }
}

char *tell_string(tell_function *function, const struct facts *facts, const struct cause *cause)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL) {
        return NULL;
    }
    function(out, facts, cause);
    return fclose(out) == 0 ? text : NULL;
}

/* ---- the headline ---- */

static void print_verdict(FILE *out, const struct facts *facts, const char *address, enum verdict verdict, int number)
{
    switch (verdict) {
    case VERDICT_FREE:
        fprintf(out, "%s is free: a program can listen there now.\n", address);
        return;
    case VERDICT_REUSE:
        fprintf(out,
                "%s is %sfree for a program that sets SO_REUSEADDR, as perdure and nearly every server do.\n"
                "It is taken for one that does not: that one gets \"Address already in use\".\n",
                address, facts->tried ? "" : "probably ");
        return;
    case VERDICT_DUAL:
        fprintf(out,
                "%s is free for IPv6 alone, as perdure uses it.\n"
                "It is taken for a socket that serves IPv4, too, as most programs make it.\n",
                address);
        return;
    case VERDICT_ABSENT:
        fprintf(out, "%s does not count: this machine has no IPv6.\n", address);
        return;
    case VERDICT_TAKEN:
        fprintf(out, "%s cannot be listened on now: ", address);
        words_errno(out, number);
        fputs(".\n", out);
        return;
    }
}

/* One line for the port on all addresses, if they share their fate. */
static void print_headline(FILE *out, const struct facts *facts, const struct causes *causes)
{
    if (facts->targets_count == FACTS_TARGETS_MAX && causes->verdicts[0] == causes->verdicts[1] &&
        causes->numbers[0] == causes->numbers[1]) {
        char both[64];
        snprintf(both, sizeof both, "Port %u (IPv4 and IPv6)", facts->port);
        print_verdict(out, facts, both, causes->verdicts[0], causes->numbers[0]);
        return;
    }
    for (size_t i = 0; i < facts->targets_count; i++) {
        print_verdict(out, facts, facts->targets[i].text, causes->verdicts[i], causes->numbers[i]);
    }
}

static const char *answer_name(int number)
{
    const char *name = number == 0 ? "works" : strerrorname_np(number);
    return name != NULL ? name : "fails";
}

static void print_trial(FILE *out, const struct facts *facts)
{
    if (facts->is_unix) {
        return;
    }
    if (!facts->tried) {
        fputs("\nNothing was tried (--no-try): this is concluded from the sockets that there are.\n", out);
        return;
    }
    fputc('\n', out);
    for (size_t i = 0; i < facts->targets_count; i++) {
        const struct target *target = &facts->targets[i];
        fprintf(out, "Tried: %s with SO_REUSEADDR: %s; without: %s", target->text, answer_name(target->trial.with),
                answer_name(target->trial.without));
        if (target->trial.dual != FACTS_NOT_TRIED && target->trial.dual != target->trial.with) {
            fprintf(out, "; for IPv4 as well: %s", answer_name(target->trial.dual));
        }
        fputc('\n', out);
    }
}

/* ---- what to do ---- */

/* For what blocks most; a second one only if that blocks as much. If nothing blocks, what may some day. */
size_t tell_remedies(const struct facts *facts, const struct causes *causes, char *remedies[TELL_REMEDIES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < causes->count && count < TELL_REMEDIES_MAX; i++) {
        const struct cause *cause = &causes->all[i];
        char *text = cause->blocks == causes->all[0].blocks ? tell_string(explain_remedy, facts, cause) : NULL;
        bool is_new = text != NULL && text[0] != '\0' && (count == 0 || strcmp(remedies[0], text) != 0);
        if (is_new) {
            remedies[count++] = text;
        } else {
            free(text);
        }
    }
    return count;
}

static void print_remedies(FILE *out, const struct facts *facts, const struct causes *causes)
{
    char *remedies[TELL_REMEDIES_MAX];
    size_t count = tell_remedies(facts, causes, remedies);
    fputc('\n', out);
    if (count == 0) {
        fputs("What to do: nothing.\n", out);
    }
    for (size_t i = 0; i < count; i++) {
        char *line = NULL;
        if (asprintf(&line, "%s%s.", i == 0 ? "What to do: " : "Also: ", remedies[i]) > 0) {
            print_wrapped(out, line, strlen(line), strlen("What to do: "));
            free(line);
        }
        free(remedies[i]);
    }
}

static void write_page(FILE *out, const struct facts *facts, const struct causes *causes)
{
    print_headline(out, facts, causes);
    size_t shown = causes->count < CAUSES_SHOWN ? causes->count : CAUSES_SHOWN;
    for (size_t i = 0; i < shown; i++) {
        fputc('\n', out);
        explain_cause(out, facts, &causes->all[i]);
        fputc('\n', out);
    }
    if (shown < causes->count) {
        fprintf(out, "\n%zu more causes: see --json.\n", causes->count - shown);
    }
    print_trial(out, facts);
}

void tell_page(FILE *out, const struct facts *facts, const struct causes *causes)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *page = open_memstream(&text, &bytes);
    if (page == NULL) {
        fputs("perdure: no memory\n", stderr);
        return;
    }
    write_page(page, facts, causes);
    if (fclose(page) == 0) {
        print_lines(out, text);
    }
    free(text);
    print_remedies(out, facts, causes);
}
