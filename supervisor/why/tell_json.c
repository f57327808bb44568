/* tell_json.c — the facts and causes as JSON, for programs; see tell.h. */
#include "supervisor/json.h"
#include "supervisor/why/explain.h"
#include "supervisor/why/tell.h"
#include "supervisor/why/words.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 65536 };

static void put_text(struct json *json, const char *name, const char *text)
{
    json_string(json, name, text, TEXT_BYTES);
}

/* "ok", an errno's name, or null if it was not tried. */
static void put_answer(struct json *json, const char *name, int number)
{
    if (number == FACTS_NOT_TRIED) {
        json_null(json, name);
    } else {
        const char *error = number == 0 ? "ok" : strerrorname_np(number);
        put_text(json, name, error != NULL ? error : "unknown");
    }
}

static void put_targets(struct json *json, const struct facts *facts, const struct causes *causes)
{
    json_open(json, "addresses", '[');
    for (size_t i = 0; i < facts->targets_count; i++) {
        const struct target *target = &facts->targets[i];
        json_open(json, NULL, '{');
        put_text(json, "address", target->text);
        put_text(json, "verdict", verdict_name(causes->verdicts[i]));
        put_answer(json, "bind", causes->numbers[i]);
        json_open(json, "tried", '{');
        put_answer(json, "with_reuseaddr", target->trial.with);
        put_answer(json, "without_reuseaddr", target->trial.without);
        put_answer(json, "dual_stack", target->trial.dual);
        json_close(json, '}');
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* ---- causes ---- */

/* The text that people read, line by line. */
static void put_lines(struct json *json, const char *name, const char *text)
{
    json_open(json, name, '[');
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, "\n");
        size_t blanks = strspn(text, " ");
        json_string(json, NULL, text + blanks, length - blanks);
        text += length + (text[length] == '\n');
    }
    json_close(json, ']');
}

static void put_holders(struct json *json, const struct facts *facts, const struct cause *cause)
{
    struct holders holders;
    holders_find(facts, cause, &holders);
    if (cause->count > 0 && cause->kind != CAUSE_CONNECT_FROM) {
        put_text(json, "holder_kind", holders_kind_name(holders.kind));
        json_open(json, "holders", '[');
        for (size_t i = 0; i < holders.count; i++) {
            json_number(json, NULL, facts->processes[holders.all[i]].pid);
        }
        json_close(json, ']');
    }
}

static void put_sockets_of(struct json *json, const struct facts *facts, const struct cause *cause)
{
    json_open(json, "sockets", '[');
    for (size_t i = 0; cause->count > 0 && i < facts->sockets_count; i++) {
        if (cause_is_about(facts, cause, i)) {
            json_number(json, NULL, (int64_t)i);
        }
    }
    json_close(json, ']');
}

static void put_causes(struct json *json, const struct facts *facts, const struct causes *causes)
{
    json_open(json, "causes", '[');
    for (size_t i = 0; i < causes->count; i++) {
        const struct cause *cause = &causes->all[i];
        char *text = tell_string(explain_cause, facts, cause);
        json_open(json, NULL, '{');
        put_text(json, "cause", cause_name(cause->kind));
        put_text(json, "hinders", cause_blocks_name(cause->blocks));
        put_lines(json, "text", text);
        put_sockets_of(json, facts, cause);
        if (cause->count > 0 && cause->counts_down) {
            json_number(json, "first_goes_in_ms", cause->first_ms);
            json_number(json, "last_goes_in_ms", cause->last_ms);
        }
        put_holders(json, facts, cause);
        json_close(json, '}');
        free(text);
    }
    json_close(json, ']');
}

static void put_remedies(struct json *json, const struct facts *facts, const struct causes *causes)
{
    char *remedies[TELL_REMEDIES_MAX];
    size_t count = tell_remedies(facts, causes, remedies);
    json_open(json, "what_to_do", '[');
    for (size_t i = 0; i < count; i++) {
        put_text(json, NULL, remedies[i]);
        free(remedies[i]);
    }
    json_close(json, ']');
}

/* ---- sockets, processes ---- */

static void put_socket(struct json *json, const struct facts *facts, const struct socket_fact *socket)
{
    char text[WORDS_BYTES];
    json_open(json, NULL, '{');
    put_text(json, "state", facts_state_name(socket->state));
    put_text(json, "local", facts->is_unix ? facts->targets[0].text : words_end(&socket->local, text));
    if (!facts->is_unix && socket->peer.port != 0) {
        put_text(json, "peer", words_end(&socket->peer, text));
    }
    if (socket->counts_down) {
        json_number(json, "goes_in_ms", socket->remaining_ms);
    }
    json_number(json, "uid", socket->uid);
    json_number(json, "inode", socket->inode);
    if (socket->state == TCP_LISTEN) {
        json_number(json, "queue", socket->queue);
        json_number(json, "queue_max", socket->queue_max);
    }
    if (socket->family == AF_INET6 && (socket->state == TCP_LISTEN || socket->state == TCP_CLOSE)) {
        json_bool(json, "ipv6_only", socket->v6only);
    }
    json_close(json, '}');
}

static void put_process(struct json *json, const struct process_fact *process)
{
    json_open(json, NULL, '{');
    json_number(json, "pid", process->pid);
    json_number(json, "parent", process->parent);
    put_text(json, "name", process->name);
    put_text(json, "command", process->command);
    json_number(json, "uid", process->uid);
    put_text(json, "user", process->user);
    json_number(json, "age_s", process->age_s);
    if (process->unit[0] != '\0') {
        put_text(json, "unit", process->unit);
    }
    if (process->container[0] != '\0') {
        put_text(json, "container", process->container);
    }
    json_close(json, '}');
}

static void put_lists(struct json *json, const struct facts *facts)
{
    json_open(json, "sockets", '[');
    for (size_t i = 0; i < facts->sockets_count; i++) {
        put_socket(json, facts, &facts->sockets[i]);
    }
    json_close(json, ']');
    json_open(json, "processes", '[');
    for (size_t i = 0; i < facts->processes_count; i++) {
        put_process(json, &facts->processes[i]);
    }
    json_close(json, ']');
}

/* ---- the machine ---- */

static void put_machine(struct json *json, const struct facts *facts)
{
    const struct machine_fact *machine = &facts->machine;
    json_open(json, "machine", '{');
    json_number(json, "first_unprivileged_port", machine->first_unprivileged);
    json_bool(json, "may_bind_privileged", machine->may_privileged);
    json_bool(json, "port_reserved", machine->reserved);
    json_number(json, "ephemeral_low", machine->range_low);
    json_number(json, "ephemeral_high", machine->range_high);
    json_bool(json, "nonlocal_bind", machine->nonlocal_bind);
    json_bool(json, "tcp_timestamps", machine->timestamps);
    json_close(json, '}');
}

static void put_namespaces(struct json *json, const struct facts *facts)
{
    json_number(json, "other_namespaces", (int64_t)facts->namespaces_count);
    json_open(json, "listening_in_other_namespaces", '[');
    for (size_t i = 0; i < facts->namespaces_count && i < FACTS_NAMESPACES_MAX; i++) {
        const struct namespace_fact *found = &facts->namespaces[i];
        if (found->listens) {
            json_open(json, NULL, '{');
            json_number(json, "pid", found->pid);
            put_text(json, "name", found->name);
            if (found->container[0] != '\0') {
                put_text(json, "container", found->container);
            }
            json_close(json, '}');
        }
    }
    json_close(json, ']');
}

static void put_unseen(struct json *json, const struct unseen_fact *unseen)
{
    json_open(json, "unseen", '{');
    json_bool(json, "root", unseen->root);
    json_number(json, "processes", unseen->processes);
    json_number(json, "namespaces_of_processes", unseen->namespaces);
    json_bool(json, "processes_hidden", unseen->processes_hidden);
    put_answer(json, "sock_diag", unseen->diag_error);
    json_bool(json, "truncated", unseen->truncated);
    json_close(json, '}');
}

void tell_json(FILE *out, const struct facts *facts, const struct causes *causes)
{
    struct json json = {.out = out};
    json_open(&json, NULL, '{');
    put_text(&json, "asked", facts->asked);
    json_bool(&json, "bind_would_succeed", causes_let_pass(causes));
    json_bool(&json, "tried", facts->tried);
    put_targets(&json, facts, causes);
    put_causes(&json, facts, causes);
    put_remedies(&json, facts, causes);
    put_lists(&json, facts);
    if (!facts->is_unix) {
        put_machine(&json, facts);
        put_namespaces(&json, facts);
    }
    put_unseen(&json, &facts->unseen);
    json_close(&json, '}');
    fputc('\n', out);
}
