/* judge.c — an HTTP/1.1 client that compares every byte and counts every kind of trouble (troubles.def).
 *
 *     judge --connect 127.0.0.1:8000 --root DIR --seconds 10 --keepalive 64 --idle 500
 *
 * It prints "loaded: …" when every client was answered once, so whoever disturbs the server knows when to begin, and a
 * summary at the end. Exit 0: no trouble at all; 1: some; 2: the judge itself could not judge. */
#include "tests/judge/client.h"

#include "tests/judge/chance.h"
#include "tests/judge/die.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

uint64_t chance_state;

struct orders {
    const char *server, *root, *json;
    double seconds;
    uint64_t counts[ROLES];
    uint64_t small_bytes, seed;
};

static volatile sig_atomic_t signals_count;

static void note_signal(int number)
{
    (void)number;
    signals_count++;
}

/* ---- command line ---- */

static const char usage_text[] = "usage: judge --connect ADDRESS:PORT|unix:PATH --root DIR [--seconds 10]\n"
                                 "  clients of each kind (all 0 unless given):\n"
#define ROLE(name, option, words) "    --" option " N  " words "\n"
#include "tests/judge/roles.def"
                                 "  --timeout SECONDS      nothing comes for so long: a trouble (10)\n"
                                 "  --requests-max N       end after so many responses\n"
                                 "  --small BYTES          the largest file that busy clients ask for (256k)\n"
                                 "  --slow-rate BYTES      what a slow client reads in a second (1m)\n"
                                 "  --host NAME            the Host field (localhost)\n"
                                 "  --seed N               random choices come again with the same seed\n"
                                 "  --json FILE            write the figures there, too\n";

enum option_code {
    OPTION_ROLE = 1000, /* + the role */
    OPTION_CONNECT = 2000,
    OPTION_ROOT,
    OPTION_SECONDS,
    OPTION_TIMEOUT,
    OPTION_REQUESTS_MAX,
    OPTION_SMALL,
    OPTION_SLOW_RATE,
    OPTION_HOST,
    OPTION_SEED,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option options[] = {
#define ROLE(name, option, words) {option, required_argument, NULL, OPTION_ROLE + ROLE_##name},
#include "tests/judge/roles.def"
    {"connect", required_argument, NULL, OPTION_CONNECT},
    {"root", required_argument, NULL, OPTION_ROOT},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"requests-max", required_argument, NULL, OPTION_REQUESTS_MAX},
    {"small", required_argument, NULL, OPTION_SMALL},
    {"slow-rate", required_argument, NULL, OPTION_SLOW_RATE},
    {"host", required_argument, NULL, OPTION_HOST},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"json", required_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* "250", "256k", "1m" */
static uint64_t number_read(const char *text)
{
    char *end;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (end != text && (*end == 'k' || *end == 'm')) {
        number *= *end++ == 'k' ? 1024 : 1024 * 1024;
    }
    if (end == text || *end != '\0' || errno != 0 || text[0] == '-') {
        die("\"%s\" is not a number", text);
    }
    return number;
}

static double seconds_read(const char *text)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0 && seconds < 1e9)) {
        die("\"%s\" is not a number of seconds", text);
    }
    return seconds;
}

static void option_take(struct orders *orders, int code)
{
    if (code >= OPTION_ROLE && code < OPTION_ROLE + ROLES) {
        orders->counts[code - OPTION_ROLE] = number_read(optarg);
        return;
    }
    switch (code) {
    case OPTION_CONNECT:
        orders->server = optarg;
        break;
    case OPTION_ROOT:
        orders->root = optarg;
        break;
    case OPTION_SECONDS:
        orders->seconds = seconds_read(optarg);
        break;
    case OPTION_TIMEOUT:
        world.patience_ns = (uint64_t)(seconds_read(optarg) * 1e9);
        break;
    case OPTION_REQUESTS_MAX:
        world.responses_max = number_read(optarg);
        break;
    case OPTION_SMALL:
        orders->small_bytes = number_read(optarg);
        break;
    case OPTION_SLOW_RATE:
        world.slow_bytes_second = number_read(optarg);
        break;
    case OPTION_HOST:
        world.host = optarg;
        break;
    case OPTION_SEED:
        orders->seed = number_read(optarg);
        break;
    case OPTION_JSON:
        orders->json = optarg;
        break;
    case OPTION_HELP:
        fputs(usage_text, stdout);
        exit(0);
    default:
        fputs(usage_text, stderr);
        exit(2);
    }
}

static void read_command_line(struct orders *orders, int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *orders = (struct orders){.seconds = 10, .small_bytes = 256 * 1024, .seed = (uint64_t)now.tv_nsec + 1};
    world.patience_ns = UINT64_C(10000000000);
    world.slow_bytes_second = 1024 * 1024;
    world.host = "localhost";
    for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        option_take(orders, code);
    }
    if (orders->server == NULL || orders->root == NULL || optind != argc) {
        fputs(usage_text, stderr);
        exit(2);
    }
    chance_state = orders->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

/* ---- the server's address ---- */

static void unix_address(const char *path)
{
    struct sockaddr_un *name = (struct sockaddr_un *)&world.server;
    if (strlen(path) >= sizeof name->sun_path) {
        die("unix:%s: the path is too long", path);
    }
    name->sun_family = AF_UNIX;
    memcpy(name->sun_path, path, strlen(path) + 1);
    world.server_bytes = sizeof *name;
}

/* "127.0.0.1:8000", "[::1]:8000" or "unix:PATH" */
static void server_address(const char *text)
{
    char host[INET6_ADDRSTRLEN + 2];
    const char *colon = strrchr(text, ':');
    if (strncmp(text, "unix:", 5) == 0) {
        unix_address(text + 5);
        return;
    }
    if (colon == NULL || (size_t)(colon - text) >= sizeof host || number_read(colon + 1) > 65535) {
        die("--connect %s: not ADDRESS:PORT or unix:PATH", text);
    }
    struct sockaddr_in *four = (struct sockaddr_in *)&world.server;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&world.server;
    uint16_t port = htons((uint16_t)number_read(colon + 1));
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = port;
        world.server_bytes = sizeof *four;
        return;
    }
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host[length - 1] = '\0';
    }
    if (host[0] != '[' || inet_pton(AF_INET6, host + 1, &six->sin6_addr) != 1) {
        die("--connect %s: not a numeric address", text);
    }
    six->sin6_family = AF_INET6;
    six->sin6_port = port;
    world.server_bytes = sizeof *six;
}

/* ---- the machine ---- */

static void raise_descriptors(uint64_t clients)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    rlim_t wanted = clients + 64;
    if (limit.rlim_cur >= wanted) {
        return;
    }
    limit.rlim_cur = wanted;
    limit.rlim_max = limit.rlim_max > wanted ? limit.rlim_max : wanted; /* root may raise it */
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        die("%llu clients need as many descriptors, and ulimit -n allows no more than it says: %s",
            (unsigned long long)clients, strerror(errno));
    }
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = note_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* ---- clients ---- */

static struct client *clients;
static size_t clients_count;

/* 8,000 connections in a second, at most. */
static void begin_clients(const struct orders *orders, uint64_t now_ns)
{
    for (int role = 0; role < ROLES; role++) {
        clients_count += orders->counts[role];
    }
    if (clients_count == 0) {
        die("nothing to do: no --keepalive N, --close N … was given");
    }
    raise_descriptors(clients_count);
    clients = calloc(clients_count, sizeof *clients);
    size_t at = 0;
    for (int role = 0; role < ROLES; role++) {
        for (uint64_t i = 0; i < orders->counts[role]; i++, at++) {
            client_begin(&clients[at], (enum role)role, now_ns + at * 125000);
        }
    }
}

static void end_clients(void)
{
    world.ending = true;
    for (size_t i = 0; i < clients_count; i++) {
        client_end(&clients[i]);
    }
}

static void check_patience(uint64_t now_ns)
{
    static uint64_t checked_ns;
    if (now_ns - checked_ns < 100000000) {
        return;
    }
    checked_ns = now_ns;
    for (size_t i = 0; i < clients_count; i++) {
        client_check_patience(&clients[i], now_ns);
    }
}

static void say_when_loaded(void)
{
    static bool said;
    if (!said && world.loaded == clients_count) {
        said = true;
        printf("loaded: %zu clients, each was answered\n", clients_count);
        fflush(stdout);
    }
}

static bool is_over(uint64_t now_ns, uint64_t end_ns)
{
    return now_ns >= end_ns || signals_count > 0 ||
           (world.responses_max > 0 && verdict_responses() >= world.responses_max);
}

static void run(uint64_t end_ns)
{
    struct epoll_event events[256];
    while (world.living > 0 && signals_count < 2) {
        int count = epoll_wait(world.epoll_fd, events, 256, 1);
        for (int i = 0; i < count; i++) {
            client_event(events[i].data.ptr, events[i].events);
        }
        uint64_t now_ns = verdict_now_ns();
        wheel_turn(now_ns, client_wake);
        check_patience(now_ns);
        say_when_loaded();
        if (!world.ending && is_over(now_ns, end_ns)) {
            end_clients();
        }
    }
}

int main(int argc, char **argv)
{
    struct orders orders;
    read_command_line(&orders, argc, argv);
    server_address(orders.server);
    corpus_load(&world.corpus, orders.root, orders.small_bytes);
    catch_signals();
    world.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    uint64_t now_ns = verdict_now_ns();
    verdict_begin(now_ns);
    wheel_begin(now_ns);
    begin_clients(&orders, now_ns);
    run(now_ns + (uint64_t)(orders.seconds * 1e9));
    verdict_print(orders.seed);
    if (orders.json != NULL) {
        verdict_write_json(orders.json, orders.seed);
    }
    return verdict_is_clean() ? 0 : 1;
}
