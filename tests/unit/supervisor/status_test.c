/* status_test.c — the status is valid JSON whatever the ledger holds, and tells people what they ask for. */
#include "supervisor/json.h"
#include "supervisor/ledger.h"
#include "supervisor/ports.h"
#include "supervisor/status.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ledger ledger;
static struct ports ports;

static int fill_ledger(void **state)
{
    memset(&ledger, 0, sizeof ledger);
    ledger.supervisor_pid = 100;
    ledger.started_ms = 1000;
    ledger.present.generation = 4;
    ledger.good.generation = 4;
    snprintf(ledger.run_dir, sizeof ledger.run_dir, "/run/perdure");
    snprintf(ledger.config_path, sizeof ledger.config_path, "/etc/perdure/perdure.conf");
    ledger.listeners.count = 2;
    snprintf(ledger.listeners.all[0].address, LISTENER_ADDRESS_BYTES, "0.0.0.0:8000");
    snprintf(ledger.listeners.all[1].address, LISTENER_ADDRESS_BYTES, "[::]:8000");
    ports = (struct ports){.net = {.listen_overflows = 4, .listen_drops = 5, .resets_sent = 6, .time_wait = 70000},
                           .counted_all = false};
    ports.all[0] = (struct port){.waiting = 3, .waiting_limit = 4096, .overflowed = 8, .time_wait = 50000};
    ports.all[1] = (struct port){.waiting = -1, .waiting_limit = -1, .overflowed = -1, .time_wait = -1};
    ledger.workers.count = 3;
    ledger.workers.all[0].counters = (struct cell_counters){
        .ended_by_client = 10, .parted = 100, .ended_by_timeout = 1, .ended_by_us = 20, .dropped = 300};
    ledger.workers.all[0].state = WORKER_SERVING;
    ledger.workers.all[0].pid = 101;
    ledger.workers.all[0].keeper_pid = 102;
    ledger.workers.all[0].started_ms = 61000;
    ledger.workers.all[0].connections = 7;
    ledger.workers.all[0].counters.requests = 1234567;
    ledger.workers.all[0].successions[BIRTH_KILLED] = 3;
    ledger.workers.all[2].state = WORKER_BACKING_OFF;
    ledger.workers.all[2].slot = 2;
    struct worker_death *death = &ledger.workers.all[2].last_death;
    *death = (struct worker_death){.when = 1700000000, .pid = 99, .signal = SIGSEGV, .cause = BIRTH_CRASH};
    snprintf(death->request, sizeof death->request, "GET /\"x\\ HTTP/1.1");
    snprintf(death->client, sizeof death->client, "192.0.2.7:4711");
    (void)state;
    return 0;
}

/* A whole JSON value at *TEXT? Strict about syntax; steps behind it. */
static bool json_value(const char **text);

static bool json_word(const char **text, const char *word)
{
    bool there = strncmp(*text, word, strlen(word)) == 0;
    *text += there ? strlen(word) : 0;
    return there;
}

static bool json_text(const char **text)
{
    if (!json_word(text, "\"")) {
        return false;
    }
    for (; **text != '"'; (*text)++) {
        if ((unsigned char)**text < 0x20) {
            return false;
        }
        if (**text == '\\') {
            (*text)++;
            if (strchr("\"\\/bfnrtu", **text) == NULL) {
                return false;
            }
        }
    }
    (*text)++;
    return true;
}

static bool json_list(const char **text, const char *open, const char *close, bool named)
{
    if (!json_word(text, open)) {
        return false;
    }
    if (json_word(text, close)) {
        return true;
    }
    do {
        if (named && !(json_text(text) && json_word(text, ":"))) {
            return false;
        }
        if (!json_value(text)) {
            return false;
        }
    } while (json_word(text, ","));
    return json_word(text, close);
}

static bool json_value(const char **text)
{
    switch (**text) {
    case '{':
        return json_list(text, "{", "}", true);
    case '[':
        return json_list(text, "[", "]", false);
    case '"':
        return json_text(text);
    case 't':
        return json_word(text, "true");
    case 'f':
        return json_word(text, "false");
    case 'n':
        return json_word(text, "null");
    default: {
        size_t sign = **text == '-';
        size_t digits = strspn(*text + sign, "0123456789");
        *text += sign + digits;
        return digits > 0;
    }
    }
}

static char *render(bool json)
{
    char *text = status_render(&ledger, &ports, (struct instant){.ms = 121000}, json);
    assert_non_null(text);
    return text;
}

static void assert_json(const char *text)
{
    const char *at = text;
    assert_true(json_value(&at));
    assert_string_equal(at, "\n");
}

static void the_json_has_what_programs_rely_on(void **state)
{
    char *text = render(true);
    assert_json(text);
    static const char *const parts[] = {
        "\"supervisor\":{\"pid\":100,",
        "\"uptime_ms\":120000",
        "\"generation\":4",
        "\"listeners\":[{\"address\":\"0.0.0.0:8000\",\"backlog\":0,\"given\":false,\"resting\":false,",
        "\"waiting\":3,\"waiting_limit\":4096,\"overflowed\":8,\"time_wait\":50000},{\"address\":\"[::]:8000\",",
        "\"waiting\":null,\"waiting_limit\":null,\"overflowed\":null,\"time_wait\":null}],",
        "\"time_wait_counted_all\":false,",
        "\"closed_first\":{\"clients\":110,\"us\":321},",
        "\"network_namespace\":{\"listen_overflows\":4,\"listen_drops\":5,\"resets_sent\":6,\"time_wait\":70000},",
        "{\"slot\":0,\"pid\":101,\"keeper_pid\":102,\"state\":\"serving\",",
        "\"age_ms\":60000",
        "\"connections\":7",
        "\"requests\":1234567",
        "\"successions\":{\"crash\":0,\"kill\":3,\"hang\":0,\"reload\":0,\"upgrade\":0}",
        "\"last_death\":null",
        "\"signal\":11",
        "\"request\":\"GET /\\\"x\\\\ HTTP/1.1\"",
        "\"last_result\":null",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in %s", parts[i], text);
        }
    }
    assert_null(strstr(text, "\"slot\":1,")); /* an empty slot is no worker */
    free(text);
    (void)state;
}

static void people_see_the_same(void **state)
{
    ledger.last_result.when = 1700000000;
    ledger.last_result.exit_code = 1;
    ledger.last_result.verb = CONTROL_RELOAD;
    snprintf(ledger.last_result.by, LEDGER_WHO_BYTES, "SIGHUP (pid 7, uid 0)\x1b");
    snprintf(ledger.last_result.text, LEDGER_RESULT_BYTES, "refused: perdure.conf:3: no\x1b[31m\nsecond");
    char *text = render(false);
    static const char *const parts[] = {
        "supervisor pid 100, generation 4, up 2m 0s",
        "listening on 0.0.0.0:8000, [::]:8000",
        "\n0.0.0.0:8000                        3     4096          8      50000 or more\n",
        "\n[::]:8000                           ?        ?          ?          ?\n",
        "\nclosed first: clients 110 times, perdure 321 times\n",
        "ListenOverflows 4, ListenDrops 5, RST sent 6, in TIME_WAIT 70000\n",
        "serving",
        "1234567",
        "signal 11 (SIGSEGV)",
        "in hand: GET /\"x\\ HTTP/1.1 from 192.0.2.7:4711",
        "last reload at 20",
        ", asked for by SIGHUP (pid 7, uid 0)?: refused\n",
        "  refused: perdure.conf:3: no?[31m\n  second\n",
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(text, parts[i]) == NULL) {
            fail_msg("%s is not in %s", parts[i], text);
        }
    }
    free(text);
    (void)state;
}

/* The ledger is memory that others may have scribbled on. */
static void a_sick_ledger_is_rendered_within_its_bounds(void **state)
{
    srand(1);
    for (int round = 0; round < 20; round++) {
        unsigned char *bytes = (unsigned char *)&ledger;
        for (size_t i = 0; i < sizeof ledger; i++) {
            bytes[i] = (unsigned char)rand();
        }
        char *text = render(true);
        assert_json(text);
        free(text);
        free(render(false));
    }
    (void)state;
}

static void strings_are_always_utf_8(void **state)
{
    static const struct {
        const char *text, *json;
    } rows[] = {
        {"plain", "\"plain\""},
        {"a\"b\\c", "\"a\\\"b\\\\c\""},
        {"\n\t\x1f\x7f", "\"\\u000a\\u0009\\u001f\\u007f\""},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82", "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x99\x82\""},
        {"\xff\xfe", "\"\\ufffd\\ufffd\""},
        {"\xc3", "\"\\ufffd\""},
        {"\xc0\xaf", "\"\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = NULL;
        size_t bytes = 0;
        struct json json = {.out = open_memstream(&text, &bytes)};
        json_string(&json, NULL, rows[i].text, 100);
        fclose(json.out);
        assert_string_equal(text, rows[i].json);
        free(text);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_json_has_what_programs_rely_on, fill_ledger),
        cmocka_unit_test_setup(people_see_the_same, fill_ledger),
        cmocka_unit_test_setup(a_sick_ledger_is_rendered_within_its_bounds, fill_ledger),
        cmocka_unit_test(strings_are_always_utf_8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
