/* status.c — see status.h. First the JSON, then the same for people. */
#include "supervisor/status.h"

#include "supervisor/bury.h"
#include "supervisor/json.h"
#include "supervisor/ledger.h"
#include "supervisor/ports.h"
#include "supervisor/privilege.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SPAN_BYTES = 32, WHEN_BYTES = 40 };

static const char *state_of(const struct worker *worker)
{
    return worker->state < WORKER_STATES ? worker_state_name[worker->state] : "unknown";
}

static const char *signal_word(int number)
{
    const char *word = sigabbrev_np(number);
    return word != NULL ? word : "?";
}

static bool is_there(const struct worker *worker)
{
    return worker->state != WORKER_EMPTY;
}

static uint64_t age_ms(const struct worker *worker, struct instant now)
{
    return worker->pid != 0 ? clock_since((struct instant){.ms = worker->started_ms}, now) : 0;
}

/* Fresh ones are no successions. */
static const enum birth_cause shown_causes[] = {BIRTH_CRASH, BIRTH_KILLED, BIRTH_HANG, BIRTH_RELOAD, BIRTH_UPGRADE};
enum { SHOWN_CAUSES = sizeof shown_causes / sizeof shown_causes[0] };

/* Who closed first: who did has TIME_WAIT. */
struct closed_first {
    uint64_t clients;
    uint64_t us;
};

static struct closed_first closed_first(const struct workers *workers)
{
    struct closed_first sums = {0};
    for (size_t i = 0; i < workers->count && i < WORKERS_MAX; i++) {
        const struct cell_counters *counters = &workers->all[i].counters;
        sums.clients += counters->ended_by_client + counters->parted;
        sums.us += counters->ended_by_timeout + counters->ended_by_us + counters->shed + counters->dropped;
    }
    return sums;
}

static const char *verb_of(const struct ledger_result *result)
{
    return result->verb < CONTROL_VERBS ? control_verb_name[result->verb] : "?";
}

static const char *outcome_of(const struct ledger_result *result)
{
    return result->exit_code == 0 ? "accepted" : "refused";
}

/* ---- JSON ---- */

static void json_refused_call(struct json *json, const struct worker_death *death)
{
    char call[32];
    if (death->refused_call == 0) {
        json_null(json, "refused_call");
        return;
    }
    bury_call_name(death, call, sizeof call);
    json_string(json, "refused_call", call, sizeof call);
}

static void json_last_death(struct json *json, const struct worker_death *death)
{
    if (death->when == 0) {
        json_null(json, "last_death");
        return;
    }
    json_open(json, "last_death", '{');
    json_number(json, "when", death->when);
    json_number(json, "pid", death->pid);
    json_number(json, "signal", death->signal);
    json_number(json, "exit_code", death->exit_code);
    json_string(json, "cause", death->cause < BIRTH_CAUSES ? birth_cause_name[death->cause] : "?", 32);
    json_bool(json, "oom", death->oom != 0);
    json_refused_call(json, death);
    json_number(json, "connections", death->connections);
    json_string(json, "request", death->request, sizeof death->request);
    json_string(json, "client", death->client, sizeof death->client);
    json_close(json, '}');
}

static void json_counters(struct json *json, const struct cell_counters *counters)
{
    json_number(json, "accepted", (int64_t)counters->accepted);
    json_number(json, "requests", (int64_t)counters->requests);
    json_number(json, "bytes_sent", (int64_t)counters->bytes_sent);
    json_number(json, "ended_by_client", (int64_t)counters->ended_by_client);
    json_number(json, "parted", (int64_t)counters->parted);
    json_number(json, "ended_by_timeout", (int64_t)counters->ended_by_timeout);
    json_number(json, "ended_by_us", (int64_t)counters->ended_by_us);
    json_number(json, "refused", (int64_t)counters->refused);
    json_number(json, "given", (int64_t)counters->given);
    json_number(json, "taken", (int64_t)counters->taken);
    json_number(json, "dropped", (int64_t)counters->dropped);
    json_number(json, "too_slow", (int64_t)counters->too_slow);
    json_number(json, "limited_connections", (int64_t)counters->limited_connections);
    json_number(json, "limited_requests", (int64_t)counters->limited_requests);
    json_number(json, "shed", (int64_t)counters->shed);
}

/* What the process has taken from itself; its uid and NoNewPrivs are for everybody to see in /proc. */
static void json_confined(struct json *json, const char *name, uint32_t confined)
{
    json_open(json, name, '{');
    json_bool(json, "no_capabilities", (confined & CONFINED_RIGHTS) != 0);
    json_number(json, "landlock", confined >> CONFINED_LANDLOCK_SHIFT);
    json_bool(json, "seccomp", (confined & CONFINED_CALLS) != 0);
    json_close(json, '}');
}

static void json_worker(struct json *json, const struct worker *worker, struct instant now)
{
    json_open(json, NULL, '{');
    json_number(json, "slot", worker->slot);
    json_number(json, "pid", worker->pid);
    json_number(json, "keeper_pid", worker->keeper_pid);
    json_string(json, "state", state_of(worker), 32);
    json_confined(json, "confined", worker->confined);
    json_confined(json, "keeper_confined", worker->keeper_confined);
    json_number(json, "generation", worker->generation);
    json_number(json, "age_ms", (int64_t)age_ms(worker, now));
    json_number(json, "connections", worker->connections);
    json_counters(json, &worker->counters);
    json_open(json, "successions", '{');
    for (size_t i = 0; i < SHOWN_CAUSES; i++) {
        json_number(json, birth_cause_name[shown_causes[i]], (int64_t)worker->successions[shown_causes[i]]);
    }
    json_close(json, '}');
    json_number(json, "last_gap_us", (int64_t)worker->gap_us);
    json_last_death(json, &worker->last_death);
    json_close(json, '}');
}

static void json_result(struct json *json, const struct ledger_result *result)
{
    if (result->when == 0) {
        json_null(json, "last_result");
        return;
    }
    json_open(json, "last_result", '{');
    json_string(json, "verb", verb_of(result), 32);
    json_number(json, "when", result->when);
    json_string(json, "by", result->by, sizeof result->by);
    json_string(json, "result", outcome_of(result), 32);
    json_number(json, "exit_code", result->exit_code);
    json_string(json, "text", result->text, sizeof result->text);
    json_close(json, '}');
}

static void json_supervisor(struct json *json, const struct ledger *ledger, struct instant now)
{
    json_open(json, "supervisor", '{');
    json_number(json, "pid", ledger->supervisor_pid);
    json_number(json, "started", ledger->started);
    json_number(json, "uptime_ms", (int64_t)clock_since((struct instant){.ms = ledger->started_ms}, now));
    json_number(json, "keeper_pid", ledger->keeper_pid);
    json_number(json, "images", ledger->images);
    json_number(json, "takeovers", ledger->takeovers);
    json_bool(json, "rolling", ledger->rolling != 0);
    json_number(json, "asked_next", ledger->asked_next.count);
    json_string(json, "run_dir", ledger->run_dir, sizeof ledger->run_dir);
    json_string(json, "config", ledger->config_path, sizeof ledger->config_path);
    char capabilities[PRIVILEGE_CAPABILITIES_BYTES];
    privilege_capabilities(capabilities, sizeof capabilities);
    json_string(json, "capabilities", capabilities, sizeof capabilities);
    json_close(json, '}');
}

/* -1 is what is not known. */
static void json_count(struct json *json, const char *name, int64_t number)
{
    if (number < 0) {
        json_null(json, name);
    } else {
        json_number(json, name, number);
    }
}

static void json_listeners(struct json *json, const struct listeners *listeners, const struct ports *ports)
{
    json_open(json, "listeners", '[');
    for (size_t i = 0; i < listeners->count && i < CONTRACT_LISTENERS_MAX; i++) {
        json_open(json, NULL, '{');
        json_string(json, "address", listeners->all[i].address, LISTENER_ADDRESS_BYTES);
        json_number(json, "backlog", listeners->all[i].backlog);
        json_bool(json, "given", listeners->all[i].given != 0);
        json_bool(json, "resting", listeners->all[i].resting != 0);
        json_count(json, "waiting", ports->all[i].waiting);
        json_count(json, "waiting_limit", ports->all[i].waiting_limit);
        json_count(json, "overflowed", ports->all[i].overflowed);
        json_count(json, "time_wait", ports->all[i].time_wait);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_bool(json, "time_wait_counted_all", ports->counted_all);
}

static void json_ends(struct json *json, const struct ledger *ledger, const struct net_counters *net)
{
    struct closed_first sums = closed_first(&ledger->workers);
    json_open(json, "closed_first", '{');
    json_number(json, "clients", (int64_t)sums.clients);
    json_number(json, "us", (int64_t)sums.us);
    json_close(json, '}');
    json_open(json, "network_namespace", '{');
    json_count(json, "listen_overflows", net->listen_overflows);
    json_count(json, "listen_drops", net->listen_drops);
    json_count(json, "resets_sent", net->resets_sent);
    json_count(json, "time_wait", net->time_wait);
    json_close(json, '}');
}

static void render_json(FILE *out, const struct ledger *ledger, const struct ports *ports, struct instant now)
{
    struct json json = {.out = out};
    json_open(&json, NULL, '{');
    json_string(&json, "version", PERDURE_VERSION, 32);
    json_supervisor(&json, ledger, now);
    json_number(&json, "generation", ledger->present.generation);
    json_number(&json, "good_generation", ledger->good.generation);
    json_listeners(&json, &ledger->listeners, ports);
    json_ends(&json, ledger, &ports->net);
    json_number(&json, "workers_wanted", ledger->workers.wanted);
    json_open(&json, "workers", '[');
    for (size_t i = 0; i < ledger->workers.count && i < WORKERS_MAX; i++) {
        if (is_there(&ledger->workers.all[i])) {
            json_worker(&json, &ledger->workers.all[i], now);
        }
    }
    json_close(&json, ']');
    json_number(&json, "lost_connections", (int64_t)ledger->lost_connections);
    json_result(&json, &ledger->last_result);
    json_close(&json, '}');
    fputc('\n', out);
}

/* ---- for people ---- */

/* The two largest units are enough: "3d 4h", "12s". */
static void span_text(uint64_t ms, char text[SPAN_BYTES])
{
    uint64_t s = ms / 1000;
    if (ms < 1000) {
        snprintf(text, SPAN_BYTES, "%" PRIu64 "ms", ms);
    } else if (s < 60) {
        snprintf(text, SPAN_BYTES, "%" PRIu64 "s", s);
    } else if (s < 3600) {
        snprintf(text, SPAN_BYTES, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(text, SPAN_BYTES, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
    } else {
        snprintf(text, SPAN_BYTES, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
    }
}

static void when_text(int64_t seconds, char text[WHEN_BYTES])
{
    time_t when = (time_t)seconds;
    struct tm local;
    if (localtime_r(&when, &local) == NULL || strftime(text, WHEN_BYTES, "%Y-%m-%d %H:%M:%S", &local) == 0) {
        snprintf(text, WHEN_BYTES, "?");
    }
}

/* What came from outside is shown without control characters: a terminal would obey them. */
static void put_printable(FILE *out, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes && text[i] != '\0'; i++) {
        unsigned char byte = (unsigned char)text[i];
        fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, out);
    }
}

static void render_head(FILE *out, const struct ledger *ledger, struct instant now)
{
    char up[SPAN_BYTES];
    span_text(clock_since((struct instant){.ms = ledger->started_ms}, now), up);
    fprintf(out, "perdure %s is running: supervisor pid %d, generation %u, up %s%s\n", PERDURE_VERSION,
            ledger->supervisor_pid, ledger->present.generation, up,
            ledger->rolling != 0 ? ", rolling to a new generation" : "");
    fprintf(out, "supervisor's keeper pid %d, taken over from a dead supervisor %u times\n", ledger->keeper_pid,
            ledger->takeovers);
    fprintf(out, "configuration %.*s, run directory %.*s\n", (int)sizeof ledger->config_path, ledger->config_path,
            (int)sizeof ledger->run_dir, ledger->run_dir);
    fprintf(out, "listening on");
    for (size_t i = 0; i < ledger->listeners.count && i < CONTRACT_LISTENERS_MAX; i++) {
        const struct listener *listener = &ledger->listeners.all[i];
        fprintf(out, "%s %.*s%s", i > 0 ? "," : "", LISTENER_ADDRESS_BYTES, listener->address,
                listener->resting ? " (given; no section names it, so nobody accepts)"
                : listener->given ? " (given)"
                                  : "");
    }
    fputs("\n\n", out);
}

static void put_count(FILE *out, const char *before, int width, int64_t number)
{
    if (number < 0) {
        fprintf(out, "%s%*s", before, width, "?");
    } else {
        fprintf(out, "%s%*" PRId64, before, width, number);
    }
}

static void render_ports(FILE *out, const struct listeners *listeners, const struct ports *ports)
{
    fprintf(out, "\n%-28s %8s %8s %10s  %s\n", "listener", "waiting", "at most", "overflowed", "TIME_WAIT");
    for (size_t i = 0; i < listeners->count && i < CONTRACT_LISTENERS_MAX; i++) {
        const struct port *port = &ports->all[i];
        fprintf(out, "%-28.*s", LISTENER_ADDRESS_BYTES, listeners->all[i].address);
        put_count(out, " ", 8, port->waiting);
        put_count(out, " ", 8, port->waiting_limit);
        put_count(out, " ", 10, port->overflowed);
        put_count(out, "  ", 9, port->time_wait);
        fputs(port->time_wait >= 0 && !ports->counted_all ? " or more\n" : "\n", out);
    }
}

static void render_ends(FILE *out, const struct ledger *ledger, const struct net_counters *net)
{
    struct closed_first sums = closed_first(&ledger->workers);
    fprintf(out, "closed first: clients %" PRIu64 " times, perdure %" PRIu64 " times\n", sums.clients, sums.us);
    fputs("of all programs in this network namespace:", out);
    put_count(out, " ListenOverflows ", 0, net->listen_overflows);
    put_count(out, ", ListenDrops ", 0, net->listen_drops);
    put_count(out, ", RST sent ", 0, net->resets_sent);
    put_count(out, ", in TIME_WAIT ", 0, net->time_wait);
    fputc('\n', out);
}

static void render_worker(FILE *out, const struct worker *worker, struct instant now)
{
    char age[SPAN_BYTES];
    span_text(age_ms(worker, now), age);
    fprintf(out, "%6u %8d %8d  %-12s %5u  %-8s %11u %12" PRIu64, worker->slot, worker->pid, worker->keeper_pid,
            state_of(worker), worker->generation, age, worker->connections, worker->counters.requests);
    for (size_t i = 0; i < SHOWN_CAUSES; i++) {
        fprintf(out, " %7" PRIu64, worker->successions[shown_causes[i]]);
    }
    fputc('\n', out);
}

static void render_table(FILE *out, const struct workers *workers, struct instant now)
{
    fprintf(out, "%6s %8s %8s  %-12s %5s  %-8s %11s %12s", "worker", "pid", "keeper", "state", "gen", "age",
            "connections", "requests");
    for (size_t i = 0; i < SHOWN_CAUSES; i++) {
        fprintf(out, " %7s", birth_cause_name[shown_causes[i]]);
    }
    fputc('\n', out);
    for (size_t i = 0; i < workers->count && i < WORKERS_MAX; i++) {
        if (is_there(&workers->all[i])) {
            render_worker(out, &workers->all[i], now);
        }
    }
}

/* Of workers that serve: what all of them have. */
static void render_confinement(FILE *out, const struct workers *workers)
{
    uint32_t least = UINT32_MAX;
    size_t serving = 0;
    size_t keepers = 0;
    for (size_t i = 0; i < workers->count && i < WORKERS_MAX; i++) {
        const struct worker *worker = &workers->all[i];
        if (worker->state == WORKER_SERVING) {
            least &= worker->confined;
            serving++;
            keepers += (worker->keeper_confined & CONFINED_FOR_EVER) != 0;
        }
    }
    if (serving == 0) {
        return;
    }
    fprintf(out, "\nworkers are confined: capabilities %s, landlock %s, seccomp %s",
            (least & CONFINED_RIGHTS) != 0 ? "none" : "KEPT", least >> CONFINED_LANDLOCK_SHIFT != 0 ? "yes" : "NO",
            (least & CONFINED_CALLS) != 0 ? "yes" : "NO");
    fprintf(out, "; %zu of %zu keepers as well\n", keepers, serving);
    char capabilities[PRIVILEGE_CAPABILITIES_BYTES];
    privilege_capabilities(capabilities, sizeof capabilities);
    fprintf(out, "the supervisor is confined: capabilities %s\n", capabilities[0] != '\0' ? capabilities : "none");
}

static void render_death(FILE *out, const struct worker *worker)
{
    const struct worker_death *death = &worker->last_death;
    char when[WHEN_BYTES];
    when_text(death->when, when);
    fprintf(out, "worker %u: pid %d ", worker->slot, death->pid);
    if (death->signal != 0) {
        fprintf(out, "died of signal %d (SIG%s%s)", death->signal, signal_word(death->signal),
                death->oom != 0 ? ", out of memory" : "");
        if (death->refused_call != 0) {
            char call[32];
            bury_call_name(death, call, sizeof call);
            fprintf(out, ", for the sandbox refused its system call %s", call);
        }
    } else {
        fprintf(out, "exited with %d", death->exit_code);
    }
    fprintf(out, " at %s, with %u connections", when, death->connections);
    if (death->request[0] != '\0') {
        fputs("; in hand: ", out);
        put_printable(out, death->request, sizeof death->request);
        fputs(death->client[0] != '\0' ? " from " : "", out);
        put_printable(out, death->client, sizeof death->client);
    }
    fputc('\n', out);
}

static void render_deaths(FILE *out, const struct ledger *ledger)
{
    bool any = false;
    for (size_t i = 0; i < ledger->workers.count && i < WORKERS_MAX; i++) {
        const struct worker *worker = &ledger->workers.all[i];
        if (is_there(worker) && worker->last_death.when != 0) {
            fputs(any ? "" : "\nlast deaths\n", out);
            render_death(out, worker);
            any = true;
        }
    }
    if (ledger->lost_connections > 0) {
        fprintf(out, "\n%" PRIu64 " connections were lost with a worker and its keeper that died at once\n",
                ledger->lost_connections);
    }
}

static void render_result(FILE *out, const struct ledger_result *result)
{
    if (result->when == 0) {
        return;
    }
    char when[WHEN_BYTES];
    when_text(result->when, when);
    fprintf(out, "\nlast %s at %s, asked for by ", verb_of(result), when);
    put_printable(out, result->by, sizeof result->by);
    fprintf(out, ": %s\n", outcome_of(result));
    size_t length = strnlen(result->text, sizeof result->text);
    for (size_t at = 0; at < length;) {
        const char *end = memchr(result->text + at, '\n', length - at);
        size_t line = end != NULL ? (size_t)(end - result->text) - at : length - at;
        fputs("  ", out);
        put_printable(out, result->text + at, line);
        fputc('\n', out);
        at += line + 1;
    }
}

static void render_text(FILE *out, const struct ledger *ledger, const struct ports *ports, struct instant now)
{
    render_head(out, ledger, now);
    render_table(out, &ledger->workers, now);
    render_confinement(out, &ledger->workers);
    render_ports(out, &ledger->listeners, ports);
    render_ends(out, ledger, &ports->net);
    render_deaths(out, ledger);
    render_result(out, &ledger->last_result);
}

char *status_render(const struct ledger *ledger, const struct ports *ports, struct instant now, bool json)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL) {
        return NULL;
    }
    if (json) {
        render_json(out, ledger, ports, now);
    } else {
        render_text(out, ledger, ports, now);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
