/* causes_test.c — from facts to causes, in order: without a kernel. */
#include "supervisor/why/explain.h"
#include "supervisor/why/holders.h"
#include "supervisor/why/query.h"
#include "supervisor/why/tell.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct facts facts;
static struct causes causes;

/* ---- facts ---- */

static struct end end_of(const char *host, uint16_t port)
{
    struct end end = {.port = port};
    char mapped[64];
    snprintf(mapped, sizeof mapped, "%s%s", strchr(host, ':') == NULL ? "::ffff:" : "", host);
    assert_int_equal(inet_pton(AF_INET6, mapped, &end.host), 1);
    return end;
}

static void ask(const char *text)
{
    char wrong[ADDRESS_WHY_BYTES];
    facts_free(&facts);
    assert_true(query_parse(text, &facts, wrong));
    facts.machine = (struct machine_fact){
        .may_privileged = true, .first_unprivileged = 1024, .range_low = 32768, .range_high = 60999};
    facts.unseen.root = true;
    for (size_t i = 0; i < facts.targets_count; i++) {
        facts.targets[i].local = true;
    }
}

/* bind(2) was tried on target INDEX. */
static void tried(size_t index, int with, int without)
{
    facts.tried = true;
    facts.targets[index].trial.with = with;
    facts.targets[index].trial.without = without;
}

static struct socket_fact *add(int state, const char *host, const char *peer, uint16_t peer_port)
{
    struct socket_fact *socket = facts_add_socket(&facts);
    socket->family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET;
    socket->state = state;
    socket->local = end_of(host, facts.port);
    if (peer != NULL) {
        socket->peer = end_of(peer, peer_port);
    }
    return socket;
}

static struct process_fact *hold(size_t socket, pid_t pid, pid_t parent, const char *name, const char *command)
{
    struct process_fact *process = facts_add_process(&facts);
    struct holding *holding = facts_add_holding(&facts);
    *process = (struct process_fact){.pid = pid, .parent = parent, .session = pid, .session_led = true};
    snprintf(process->name, sizeof process->name, "%s", name);
    snprintf(process->command, sizeof process->command, "%s", command);
    snprintf(process->user, sizeof process->user, "root");
    *holding = (struct holding){.socket = socket, .process = facts.processes_count - 1};
    return process;
}

static void find(void)
{
    facts_sort(&facts);
    causes_find(&facts, &causes);
}

static const struct cause *cause_of(enum cause_kind kind)
{
    for (size_t i = 0; i < causes.count; i++) {
        if (causes.all[i].kind == kind) {
            return &causes.all[i];
        }
    }
    return NULL;
}

/* The words about cause INDEX, and what to do about it, hold WORDS. */
static void expect_words(size_t index, const char *words)
{
    char *text = tell_string(explain_cause, &facts, &causes.all[index]);
    char *remedy = tell_string(explain_remedy, &facts, &causes.all[index]);
    if (strstr(text, words) == NULL && strstr(remedy, words) == NULL) {
        fail_msg("\"%s\" is not in: %s\nnor in: %s", words, text, remedy);
    }
    free(text);
    free(remedy);
}

/* ---- overlap ---- */

static void sockets_overlap_as_the_kernel_has_it(void **state)
{
    static const struct {
        const char *one;
        bool one_v6only;
        const char *other;
        bool other_v6only;
        bool overlap;
    } rows[] = {
        {"1.2.3.4", false, "1.2.3.4", false, true},  {"1.2.3.4", false, "1.2.3.5", false, false},
        {"0.0.0.0", false, "1.2.3.4", false, true},  {"::", false, "1.2.3.4", false, true},
        {"::", true, "1.2.3.4", false, false},       {"::", false, "0.0.0.0", false, true},
        {"::", true, "0.0.0.0", false, false},       {"::", true, "::1", false, true},
        {"::1", false, "1.2.3.4", false, false},     {"::1", false, "0.0.0.0", false, false},
        {"fe80::1", false, "fe80::2", false, false}, {"::", true, "::", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct end one = end_of(rows[i].one, 80);
        struct end other = end_of(rows[i].other, 80);
        assert_int_equal(facts_overlap(&one, rows[i].one_v6only, &other, rows[i].other_v6only), rows[i].overlap);
        assert_int_equal(facts_overlap(&other, rows[i].other_v6only, &one, rows[i].one_v6only), rows[i].overlap);
        other.port = 81;
        assert_false(facts_overlap(&one, rows[i].one_v6only, &other, rows[i].other_v6only));
    }
    (void)state;
}

/* ---- causes ---- */

static void nothing_in_the_way_is_free(void **state)
{
    ask("8000");
    find();
    assert_int_equal(causes.count, 0);
    assert_true(causes_let_pass(&causes));
    assert_int_equal(causes.verdicts[0], VERDICT_FREE);
    (void)state;
}

static void a_listener_blocks_whether_it_was_tried_or_not(void **state)
{
    for (int try = 0; try < 2; try++) {
        ask("10.0.0.1:8000");
        if (try != 0) {
            tried(0, EADDRINUSE, EADDRINUSE);
        }
        add(TCP_TIME_WAIT, "10.0.0.1", "10.0.0.9", 5001);
        add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
        hold(0, 812, 1, "nginx", "nginx: master process")->age_s = 7300;
        find();
        assert_int_equal(causes.all[0].kind, CAUSE_LISTENER);
        assert_int_equal(causes.all[0].blocks, BLOCKS_ALWAYS);
        assert_int_equal(causes.verdicts[0], VERDICT_TAKEN);
        assert_int_equal(causes.numbers[0], EADDRINUSE);
        assert_int_equal(cause_of(CAUSE_LEAVING)->blocks, BLOCKS_WITHOUT_REUSE);
        assert_null(cause_of(CAUSE_CONNECT_FROM));
        expect_words(0, "nginx listens on 0.0.0.0:8000. That means every address of this machine, so 10.0.0.1:8000");
        expect_words(0, "pid 812, user root, for 2 h");
        assert_false(causes_let_pass(&causes));
    }
    (void)state;
}

static void a_listener_elsewhere_is_no_cause(void **state)
{
    ask("10.0.0.1:8000");
    add(TCP_LISTEN, "10.0.0.2", NULL, 0);
    add(TCP_LISTEN, "::1", NULL, 0);
    find();
    assert_int_equal(causes.count, 0);
    (void)state;
}

static void ipv4_is_in_the_way_of_a_dual_stack_socket_only(void **state)
{
    ask("[::]:8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0);
    find();
    assert_int_equal(causes.all[0].blocks, BLOCKS_DUAL);
    assert_int_equal(causes.verdicts[0], VERDICT_DUAL);
    assert_false(causes_let_pass(&causes));
    facts.machine.v6only_default = true;
    find();
    assert_true(causes_let_pass(&causes));
    (void)state;
}

static void several_sockets_on_one_address_are_one_cause(void **state)
{
    ask("8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 8;
    add(TCP_LISTEN, "::1", NULL, 0)->inode = 9;
    hold(0, 10, 1, "a", "a");
    hold(1, 11, 1, "b", "b");
    find();
    assert_int_equal(causes.all[0].count, 2);
    assert_int_equal(causes.all[1].count, 1);
    expect_words(0, "2 sockets share this address");
    expect_words(0, "pid 10,");
    expect_words(0, "pid 11,");
    (void)state;
}

static void connections_are_to_blame_only_if_bind_failed_in_spite_of_reuseaddr(void **state)
{
    static const int states[] = {TCP_TIME_WAIT, TCP_FIN_WAIT2, TCP_LAST_ACK, TCP_CLOSE_WAIT, TCP_ESTABLISHED};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        ask("10.0.0.1:8000");
        add(states[i], "10.0.0.1", "10.0.0.9", 5001);
        tried(0, 0, EADDRINUSE);
        find();
        assert_int_equal(causes.all[0].blocks, BLOCKS_WITHOUT_REUSE);
        assert_int_equal(causes.verdicts[0], VERDICT_REUSE);
        assert_true(causes_let_pass(&causes));
        tried(0, EADDRINUSE, EADDRINUSE);
        find();
        assert_int_equal(causes.all[0].blocks, BLOCKS_ALWAYS);
        assert_false(causes_let_pass(&causes));
        expect_words(0, "did not set SO_REUSEADDR");
    }
    (void)state;
}

static void connections_are_to_blame_if_only_ipv4_on_an_ipv6_socket_failed(void **state)
{
    ask("[::]:8000");
    add(TCP_TIME_WAIT, "1.2.3.4", "9.9.9.9", 40000);
    tried(0, 0, 0);
    facts.targets[0].trial.dual = EADDRINUSE;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_LEAVING);
    assert_int_equal(causes.all[0].blocks, BLOCKS_DUAL);
    assert_int_equal(causes.verdicts[0], VERDICT_DUAL);
    expect_words(0, "in the way of a socket on [::]:8000 that is to serve IPv4, too");
    expect_words(0, "let your program set IPV6_V6ONLY on that socket, as perdure does; or wait");
    facts.targets[0].trial.dual = 0;
    find();
    assert_int_equal(causes.all[0].blocks, BLOCKS_WITHOUT_REUSE);
    (void)state;
}

/* Whatever the order in which the kernel told of them. */
static void the_most_likely_cause_comes_first(void **state)
{
    static const enum cause_kind order[] = {CAUSE_PRIVILEGED,  CAUSE_LISTENER, CAUSE_BOUND,    CAUSE_CLOSE_WAIT,
                                            CAUSE_CONNECTIONS, CAUSE_LEAVING,  CAUSE_RESERVED, CAUSE_UNSEEN};
    ask("0.0.0.0:80");
    facts.machine.may_privileged = false;
    facts.machine.reserved = true;
    add(TCP_TIME_WAIT, "1.2.3.4", "9.9.9.9", 40000);
    add(TCP_ESTABLISHED, "1.2.3.4", "9.9.9.9", 40001)->inode = 8;
    add(TCP_CLOSE_WAIT, "1.2.3.4", "9.9.9.9", 40002)->inode = 9;
    add(TCP_CLOSE, "1.2.3.5", NULL, 0)->inode = 10;
    add(TCP_LISTEN, "1.2.3.4", NULL, 0)->inode = 11;
    tried(0, EACCES, EACCES);
    find();
    assert_int_equal(causes.count, sizeof order / sizeof order[0]);
    for (size_t i = 0; i < causes.count; i++) {
        assert_int_equal(causes.all[i].kind, order[i]);
    }
    (void)state;
}

static void how_long_time_wait_lasts_is_told_from_first_to_last(void **state)
{
    ask("10.0.0.1:8000");
    for (unsigned i = 0; i < 3; i++) {
        struct socket_fact *socket = add(TCP_TIME_WAIT, "10.0.0.1", "10.0.0.9", (uint16_t)(5000 + i));
        socket->counts_down = true;
        socket->remaining_ms = 12000 + i * 10000;
    }
    add(TCP_TIME_WAIT, "10.0.0.1", "10.0.0.8", 5001)->counts_down = true;
    find();
    assert_int_equal(causes.all[0].count, 4);
    expect_words(0, "4 in TIME_WAIT");
    expect_words(0, "with 10.0.0.9 (3) and 10.0.0.8; the first goes in 0 s, the last in 32 s");
    assert_int_equal(causes.all[1].kind, CAUSE_CONNECT_FROM);
    assert_int_equal(causes.all[1].blocks, BLOCKS_NEVER);
    expect_words(1, "10.0.0.9:5002 (32 s), 10.0.0.9:5001 (22 s), 10.0.0.9:5000 (12 s) and 10.0.0.8:5001 (0 s)");
    (void)state;
}

static void a_connection_to_elsewhere_with_this_port_blocks_everybody(void **state)
{
    ask("40000");
    add(TCP_ESTABLISHED, "10.0.0.1", "10.0.0.9", 443)->inode = 3;
    hold(0, 99, 1, "curl", "curl https://10.0.0.9");
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_OUTGOING);
    assert_int_equal(causes.all[0].blocks, BLOCKS_ALWAYS);
    expect_words(0, "curl connected to elsewhere, and the kernel picked port 40000");
    expect_words(0, "10.0.0.9:443");
    expect_words(0, "net.ipv4.ip_local_reserved_ports");
    (void)state;
}

static void the_same_is_a_client_where_somebody_listens(void **state)
{
    ask("40000");
    add(TCP_ESTABLISHED, "10.0.0.1", "10.0.0.9", 443);
    add(TCP_LISTEN, "0.0.0.0", NULL, 0);
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_LISTENER);
    assert_null(cause_of(CAUSE_OUTGOING));
    assert_int_equal(cause_of(CAUSE_CONNECTIONS)->count, 1);
    (void)state;
}

static void a_bound_socket_lets_others_pass_if_bind_says_so(void **state)
{
    ask("10.0.0.1:8000");
    add(TCP_CLOSE, "10.0.0.1", NULL, 0);
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_BOUND);
    assert_int_equal(causes.all[0].blocks, BLOCKS_ALWAYS);
    tried(0, 0, EADDRINUSE);
    find();
    assert_int_equal(causes.all[0].blocks, BLOCKS_WITHOUT_REUSE);
    (void)state;
}

static void a_low_port_needs_a_right(void **state)
{
    ask("80");
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_PRIVILEGED);
    assert_int_equal(causes.all[0].blocks, BLOCKS_NEVER);
    assert_true(causes_let_pass(&causes));
    facts.machine.may_privileged = false;
    find();
    assert_int_equal(causes.all[0].blocks, BLOCKS_ALWAYS);
    assert_int_equal(causes.numbers[0], EACCES);
    expect_words(0, "CAP_NET_BIND_SERVICE");
    facts.machine.first_unprivileged = 80;
    find();
    assert_int_equal(causes.count, 0);
    (void)state;
}

static void an_address_of_elsewhere_is_told_unless_the_machine_allows_it(void **state)
{
    ask("192.0.2.1:8000");
    facts.targets[0].local = false;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_NOT_LOCAL);
    assert_int_equal(causes.numbers[0], EADDRNOTAVAIL);
    facts.machine.nonlocal_bind = true;
    find();
    assert_true(causes_let_pass(&causes));
    (void)state;
}

static void a_machine_without_ipv6_counts_only_if_ipv6_was_asked_for(void **state)
{
    ask("8000");
    tried(0, 0, 0);
    tried(1, EAFNOSUPPORT, EAFNOSUPPORT);
    find();
    assert_true(causes_let_pass(&causes));
    assert_int_equal(causes.verdicts[1], VERDICT_ABSENT);
    ask("[::]:8000");
    tried(0, EAFNOSUPPORT, EAFNOSUPPORT);
    find();
    assert_false(causes_let_pass(&causes));
    assert_int_equal(causes.all[0].kind, CAUSE_NO_FAMILY);
    (void)state;
}

static void what_cannot_be_explained_is_said_so(void **state)
{
    ask("10.0.0.1:8000");
    tried(0, EADDRINUSE, EADDRINUSE);
    facts.unseen.root = false;
    facts.unseen.processes = 12;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_UNKNOWN);
    assert_int_equal(causes.all[1].kind, CAUSE_UNSEEN);
    expect_words(1, "what 12 processes of other users have open. Run this as root to see it");
    (void)state;
}

static void a_port_for_outgoing_connections_is_told_only_of_a_free_one(void **state)
{
    ask("40000");
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_EPHEMERAL);
    add(TCP_LISTEN, "0.0.0.0", NULL, 0);
    find();
    assert_null(cause_of(CAUSE_EPHEMERAL));
    facts.machine.reserved = true;
    find();
    assert_non_null(cause_of(CAUSE_RESERVED));
    (void)state;
}

static void more_causes_than_there_is_room_for_do_no_harm(void **state)
{
    ask("8000");
    for (unsigned i = 0; i < 3 * CAUSES_MAX; i++) {
        char host[32];
        snprintf(host, sizeof host, "10.0.0.%u", i + 1);
        add(TCP_LISTEN, host, NULL, 0);
    }
    find();
    assert_int_equal(causes.count, CAUSES_MAX);
    assert_false(causes_let_pass(&causes));
    (void)state;
}

/* ---- who ---- */

static void a_supervisor_is_told_with_its_workers(void **state)
{
    struct holders holders;
    ask("8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
    hold(0, 813, 812, "nginx", "nginx: worker process");
    hold(0, 812, 1, "nginx", "nginx: master process");
    hold(0, 814, 812, "nginx", "nginx: worker process");
    find();
    holders_find(&facts, &causes.all[0], &holders);
    assert_int_equal(holders.kind, HOLDERS_ORDINARY);
    assert_int_equal(holders.roots_count, 1);
    assert_int_equal(holders.count, 3);
    assert_int_equal(facts.processes[holders.all[0]].pid, 812);
    expect_words(0, "2 processes that it started have the same socket: pids 813 and 814");
    (void)state;
}

static void orphans_are_told_from_those_in_charge(void **state)
{
    static const struct {
        const char *name, *command, *parent;
        pid_t session;
        bool led;
        enum holders_kind kind;
    } rows[] = {
        {"nginx", "nginx: worker process", "systemd", 812, false, HOLDERS_NGINX_ORPHANS},
        {"nginx", "nginx: master process", "systemd", 812, true, HOLDERS_ORDINARY},
        {"perdure-worker", "perdure-worker", "systemd", 812, true, HOLDERS_PERDURE_ORPHANS},
        {"perdure-worker", "perdure-worker", "perdure", 812, true, HOLDERS_PERDURE},
        {"gunicorn", "gunicorn: app", "systemd", 812, false, HOLDERS_OTHER_ORPHANS},
        {"gunicorn", "gunicorn: app", "bash", 812, true, HOLDERS_ORDINARY},
        {"gunicorn", "gunicorn: app", "systemd", 812, true, HOLDERS_OTHER_ORPHANS}, /* begun from a shell that lives */
        {"nginx", "nginx: worker process", "nginx", 812, true,
         HOLDERS_ORDINARY},                                                  /* a master that cannot be looked at */
        {"nginx", "nginx: worker process", "", 812, true, HOLDERS_ORDINARY}, /* nor be seen at all */
        {"docker-proxy", "docker-proxy", "dockerd", 812, true, HOLDERS_DOCKER_PROXY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct holders holders;
        ask("8000");
        add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
        for (pid_t pid = 813; pid < 815; pid++) {
            struct process_fact *process = hold(0, pid, 700, rows[i].name, rows[i].command);
            process->session = rows[i].session;
            process->session_led = rows[i].led;
            snprintf(process->parent_name, sizeof process->parent_name, "%s", rows[i].parent);
        }
        find();
        holders_find(&facts, &causes.all[0], &holders);
        assert_int_equal(holders.kind, rows[i].kind);
    }
    (void)state;
}

/* They were given the socket by nobody: each has its own. */
static void those_who_share_an_address_by_so_reuseport_are_no_orphans_and_are_all_to_be_stopped(void **state)
{
    struct holders holders;
    ask("0.0.0.0:8000");
    for (pid_t pid = 813; pid < 815; pid++) {
        add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = (uint32_t)pid;
        struct process_fact *process = hold(facts.sockets_count - 1, pid, 1, "dns", "dns");
        process->session = 700;
        process->session_led = false;
        snprintf(process->parent_name, sizeof process->parent_name, "systemd");
    }
    find();
    holders_find(&facts, &causes.all[0], &holders);
    assert_int_equal(holders.kind, HOLDERS_ORDINARY);
    expect_words(0, "stop dns (kill 813 814); or");
    snprintf(facts.processes[1].name, sizeof facts.processes[1].name, "web");
    expect_words(0, "stop dns (kill 813) and stop web (kill 814); or");
    for (size_t i = 0; i < 2; i++) {
        snprintf(facts.processes[i].unit, sizeof facts.processes[i].unit, "dns.service");
    }
    expect_words(0, "stop dns (systemctl stop dns.service); or");
    (void)state;
}

/* Its supervisor may be another user's, whose descriptors cannot be looked at, and no parent of theirs. */
static void workers_of_a_perdure_are_no_orphans_for_who_cannot_see_all(void **state)
{
    struct holders holders;
    ask("8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
    struct process_fact *process = hold(0, 813, 1, "perdure-worker", "perdure-worker");
    snprintf(process->parent_name, sizeof process->parent_name, "systemd");
    facts.unseen = (struct unseen_fact){.root = false, .processes = 9};
    find();
    holders_find(&facts, &causes.all[0], &holders);
    assert_int_equal(holders.kind, HOLDERS_PERDURE);
    (void)state;
}

static void a_supervisor_younger_than_its_workers_is_in_charge(void **state)
{
    struct holders holders;
    ask("8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
    hold(0, 812, 1, "perdure-worker", "perdure: worker 0")->age_s = 100;
    hold(0, 900, 1, "perdure", "perdure run")->age_s = 2;
    find();
    holders_find(&facts, &causes.all[0], &holders);
    assert_int_equal(holders.kind, HOLDERS_PERDURE);
    assert_int_equal(facts.processes[holders.all[0]].pid, 900);
    (void)state;
}

static void a_single_daemon_without_its_session_leader_is_no_orphan(void **state)
{
    struct holders holders;
    ask("8000");
    add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
    struct process_fact *process = hold(0, 813, 1, "sshd", "sshd");
    process->session = 812;
    process->session_led = false;
    find();
    holders_find(&facts, &causes.all[0], &holders);
    assert_int_equal(holders.kind, HOLDERS_ORDINARY);
    (void)state;
}

static void how_to_stop_it_depends_on_who_started_it(void **state)
{
    static const struct {
        const char *unit;
        bool user;
        const char *container, *words;
    } rows[] = {
        {"nginx.service", false, "", "systemctl stop nginx.service"},
        {"web.service", true, "", "systemctl --user stop web.service"},
        {"session-3.scope", false, "", "kill 812"},
        {"", false, "", "kill 812"},
        {"", false, "docker 0123456789ab", "docker stop 0123456789ab"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask("8000");
        add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
        struct process_fact *process = hold(0, 812, 1, "nginx", "nginx");
        snprintf(process->unit, sizeof process->unit, "%s", rows[i].unit);
        snprintf(process->container, sizeof process->container, "%s", rows[i].container);
        process->user_unit = rows[i].user;
        find();
        expect_words(0, rows[i].words);
    }
    (void)state;
}

/* It named verbs that looked for another run directory. */
static void a_perdure_is_ended_by_the_verb_that_finds_it(void **state)
{
    static const struct {
        const char *command, *words;
    } rows[] = {
        {"/usr/sbin/perdure run", "perdure reload; to end it: perdure stop; or"},
        {"perdure start -c /etc/a.conf", "perdure reload -c /etc/a.conf; to end it: perdure stop -c /etc/a.conf; or"},
        {"perdure run --config b.conf --x", "perdure reload -c b.conf; to end it: perdure stop -c b.conf; or"},
        {"perdure serve /srv -l 127.0.0.1:8000", "stop perdure (kill 812); or"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ask("8000");
        add(TCP_LISTEN, "0.0.0.0", NULL, 0)->inode = 7;
        hold(0, 812, 1, "perdure", rows[i].command);
        find();
        expect_words(0, rows[i].words);
    }
    (void)state;
}

/* ---- unix sockets ---- */

static void a_file_is_told_by_what_it_is(void **state)
{
    ask("unix:/run/a.sock");
    find();
    assert_true(causes_let_pass(&causes));
    facts.file.directory_error = EACCES;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_DIRECTORY);
    assert_int_equal(causes.numbers[0], EACCES);
    facts.file = (struct unix_file){.exists = true};
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_FILE_OTHER);
    facts.file.is_socket = true;
    facts.file.may_connect = true;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_FILE_STALE);
    expect_words(0, "rm /run/a.sock");
    facts.file.answers = true;
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_FILE_LISTENER);
    assert_int_equal(causes.all[1].kind, CAUSE_UNSEEN);
    facts.file.answers = false;
    struct socket_fact *socket = facts_add_socket(&facts);
    socket->family = AF_UNIX;
    socket->state = TCP_CLOSE;
    socket->inode = 5;
    hold(0, 812, 1, "a", "a");
    find();
    assert_int_equal(causes.all[0].kind, CAUSE_FILE_BOUND);
    assert_false(causes_let_pass(&causes));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_overlap_as_the_kernel_has_it),
        cmocka_unit_test(nothing_in_the_way_is_free),
        cmocka_unit_test(a_listener_blocks_whether_it_was_tried_or_not),
        cmocka_unit_test(a_listener_elsewhere_is_no_cause),
        cmocka_unit_test(ipv4_is_in_the_way_of_a_dual_stack_socket_only),
        cmocka_unit_test(several_sockets_on_one_address_are_one_cause),
        cmocka_unit_test(connections_are_to_blame_only_if_bind_failed_in_spite_of_reuseaddr),
        cmocka_unit_test(connections_are_to_blame_if_only_ipv4_on_an_ipv6_socket_failed),
        cmocka_unit_test(the_most_likely_cause_comes_first),
        cmocka_unit_test(how_long_time_wait_lasts_is_told_from_first_to_last),
        cmocka_unit_test(a_connection_to_elsewhere_with_this_port_blocks_everybody),
        cmocka_unit_test(the_same_is_a_client_where_somebody_listens),
        cmocka_unit_test(a_bound_socket_lets_others_pass_if_bind_says_so),
        cmocka_unit_test(a_low_port_needs_a_right),
        cmocka_unit_test(an_address_of_elsewhere_is_told_unless_the_machine_allows_it),
        cmocka_unit_test(a_machine_without_ipv6_counts_only_if_ipv6_was_asked_for),
        cmocka_unit_test(what_cannot_be_explained_is_said_so),
        cmocka_unit_test(a_port_for_outgoing_connections_is_told_only_of_a_free_one),
        cmocka_unit_test(more_causes_than_there_is_room_for_do_no_harm),
        cmocka_unit_test(a_supervisor_is_told_with_its_workers),
        cmocka_unit_test(orphans_are_told_from_those_in_charge),
        cmocka_unit_test(those_who_share_an_address_by_so_reuseport_are_no_orphans_and_are_all_to_be_stopped),
        cmocka_unit_test(workers_of_a_perdure_are_no_orphans_for_who_cannot_see_all),
        cmocka_unit_test(a_supervisor_younger_than_its_workers_is_in_charge),
        cmocka_unit_test(a_single_daemon_without_its_session_leader_is_no_orphan),
        cmocka_unit_test(a_perdure_is_ended_by_the_verb_that_finds_it),
        cmocka_unit_test(how_to_stop_it_depends_on_who_started_it),
        cmocka_unit_test(a_file_is_told_by_what_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
