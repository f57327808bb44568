/* processes_test.c — who has a socket, and whose a process is, by the names of cgroups. */
#include "supervisor/why/processes.h"

#include "supervisor/why/cgroup.h"
#include "supervisor/why/machine.h"
#include "supervisor/why/proc_net.h"
#include "supervisor/why/query.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void units_and_containers_are_known_by_their_cgroups(void **state)
{
    static const struct {
        const char *text, *unit, *container;
        bool user;
    } rows[] = {
        {"0::/system.slice/nginx.service\n", "nginx.service", "", false},
        {"0::/system.slice/system-getty.slice/getty@tty1.service\n", "getty@tty1.service", "", false},
        {"0::/user.slice/user-1000.slice/session-3.scope\n", "session-3.scope", "", false},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/web.service\n", "web.service", "", true},
        {"0::/system.slice/docker-" ID ".scope\n", "", "docker 0123456789ab", false},
        {"0::/docker/" ID "\n", "", "docker 0123456789ab", false},
        {"0::/machine.slice/libpod-" ID ".scope/container\n", "", "podman 0123456789ab", false},
        {"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope\n", "", "0123456789ab", false},
        {"0::/lxc.payload.web/system.slice/nginx.service\n", "", "web", false},
        {"0::/machine.slice/machine-deb.scope/payload\n", "", "deb", false},
        {"0::/machine.slice/systemd-nspawn@deb.service/payload\n", "", "deb", false},
        {"12:cpu:/a\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service", "", false},
        {"0::/\n", "", "", false},
        {"", "", "", false},
        {"0::/a", "", "", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct process_fact process = {.unit = "left over"};
        cgroup_read(rows[i].text, &process);
        assert_string_equal(process.unit, rows[i].unit);
        assert_string_equal(process.container, rows[i].container);
        assert_int_equal(process.user_unit, rows[i].user);
    }
    (void)state;
}

static void what_others_write_does_not_reach_the_terminal(void **state)
{
    char text[] = "a\033[2Jb\nc\x7f \xc3\xa4 \xc2\x9b";
    process_clean(text);
    assert_string_equal(text, "a?[2Jb?c? \xc3\xa4 ?\x9b");
    (void)state;
}

static void ports_are_found_in_lists_and_ranges(void **state)
{
    assert_true(machine_lists_port("8000,9000-9010\n", 8000));
    assert_true(machine_lists_port("8000,9000-9010\n", 9005));
    assert_true(machine_lists_port("8000,9000-9010\n", 9010));
    assert_false(machine_lists_port("8000,9000-9010\n", 9011));
    assert_false(machine_lists_port("8000,9000-9010\n", 800));
    assert_false(machine_lists_port("\n", 1));
    (void)state;
}

static void a_line_of_proc_net_tcp_is_a_socket(void **state)
{
    struct socket_fact socket;
    struct in6_addr host;
    assert_true(
        proc_net_line("   0: 0100007F:1F40 0200007F:1389 06 00000000:00000000 03:00000FA0 00000000     0        "
                      "0 0 3 0000000000000000\n",
                      AF_INET, &socket));
    assert_int_equal(socket.state, TCP_TIME_WAIT);
    assert_int_equal(socket.local.port, 8000);
    assert_int_equal(socket.peer.port, 5001);
    assert_true(socket.counts_down);
    assert_int_equal(socket.remaining_ms, 40000);
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &host);
    assert_memory_equal(&socket.local.host, &host, sizeof host);
    assert_true(proc_net_line("   1: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A "
                              "00000000:00000002 00:00000000 00000000    33        0 4711 1 0\n",
                              AF_INET6, &socket));
    inet_pton(AF_INET6, "::1", &host);
    assert_memory_equal(&socket.local.host, &host, sizeof host);
    assert_int_equal(socket.uid, 33);
    assert_int_equal(socket.inode, 4711);
    assert_int_equal(socket.queue, 2);
    assert_false(proc_net_line("  sl  local_address rem_address   st tx_queue rx_queue\n", AF_INET, &socket));
    assert_false(proc_net_line("", AF_INET, &socket));
    (void)state;
}

/* A process that has bound a port of 127.0.0.1 and does not listen. Returns its pid. */
static pid_t fork_bound(uint16_t *port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&name, length), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    *port = ntohs(name.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        pause();
        _exit(0);
    }
    close(fd);
    return pid;
}

/* As before Linux 6.8, where nothing lists it. */
static void a_socket_that_is_listed_nowhere_is_found_with_its_process(void **state)
{
    struct facts facts;
    char text[32];
    char wrong[ADDRESS_WHY_BYTES];
    uint16_t port;
    pid_t pid = fork_bound(&port);
    snprintf(text, sizeof text, "127.0.0.1:%u", port);
    assert_true(query_parse(text, &facts, wrong));
    processes_find_bound(&facts);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(facts.sockets_count, 1);
    assert_int_equal(facts.sockets[0].state, TCP_CLOSE);
    assert_true(facts_overlap(&facts.sockets[0].local, false, &facts.targets[0].end, false));
    assert_int_equal(facts.holdings_count, 1);
    assert_int_equal(facts.processes[facts.holdings[0].process].pid, pid);
    facts_free(&facts);
    (void)state;
}

static void a_process_is_described(void **state)
{
    struct process_fact process;
    assert_true(process_describe(getpid(), &process));
    assert_string_equal(process.name, "processes_test");
    assert_int_equal(process.parent, getppid());
    assert_int_equal(process.session, getsid(0));
    assert_true(process.age_s >= 0 && process.age_s < 3600);
    assert_int_equal(process.uid, geteuid());
    assert_non_null(strstr(process.command, "processes_test"));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_and_containers_are_known_by_their_cgroups),
        cmocka_unit_test(what_others_write_does_not_reach_the_terminal),
        cmocka_unit_test(ports_are_found_in_lists_and_ranges),
        cmocka_unit_test(a_line_of_proc_net_tcp_is_a_socket),
        cmocka_unit_test(a_socket_that_is_listed_nowhere_is_found_with_its_process),
        cmocka_unit_test(a_process_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
