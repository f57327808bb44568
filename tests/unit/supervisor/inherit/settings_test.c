/* settings_test.c — from text to settings: every key, every refusal in tests/config, and any bytes at all.
 *
 * Runs in tests/config, so that messages name files as an operator there would see them. */
#include "supervisor/inherit/settings.h"

#include "supervisor/inherit/settings_keys.h"
#include "supervisor/inherit/settings_value.h"
#include "supervisor/inherit/snapshot.h"
#include "supervisor/settings_diff.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char here[4096]; /* the absolute path of tests/config */

/* The whole of a file, to be freed. */
static char *read_text(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("%s cannot be read", path);
    }
    char *text = calloc(1, 1 << 20);
    assert_true(fread(text, 1, (1 << 20) - 1, file) < (1 << 20) - 1);
    fclose(file);
    return text;
}

static struct settings *load(const char *path, const char *text)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = snapshot_take(path, text, error);
    if (fd < 0) {
        fail_msg("%s", error);
    }
    struct settings *settings = settings_parse(fd, error);
    if (settings == NULL) {
        fail_msg("%s", error);
    }
    close(fd);
    return settings;
}

static void expect_refusal(const char *path, const char *text, const char *message)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = snapshot_take(path, text, error);
    if (fd >= 0) {
        fail_msg("%s was taken; expected: %s", path, message);
    }
    assert_string_equal(error, message);
}

/* TEXT with each FROM replaced by TO, to be freed. */
static char *replaced(const char *text, const char *from, const char *to)
{
    char *result = calloc(1, strlen(text) * (strlen(to) + 1) + 1), *out = result;
    while (*text != '\0') {
        bool here_it_is = strncmp(text, from, strlen(from)) == 0;
        const char *next = here_it_is ? to : text;
        size_t length = here_it_is ? strlen(to) : 1;
        memcpy(out, next, length);
        out += length;
        text += here_it_is ? strlen(from) : 1;
    }
    return result;
}

static void every_good_config_loads(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("good_*.conf", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        settings_free(load(found.gl_pathv[i], NULL));
    }
    assert_true(found.gl_pathc >= 5);
    globfree(&found);
}

/* bad_X.message holds, word for word, what a person reads. */
static void every_bad_config_is_refused_with_its_message(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("bad_*.conf", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        if (geteuid() != 0 && strcmp(path, "bad_user_unknown.conf") == 0) {
            continue; /* started by an ordinary user, the key is not used */
        }
        char *message_path = replaced(path, ".conf", ".message");
        char *raw = read_text(message_path), *message = replaced(raw, "@DIR@", here);
        message[strcspn(message, "\n")] = '\0';
        expect_refusal(path, NULL, message);
        free(message_path);
        free(raw);
        free(message);
    }
    assert_true(found.gl_pathc >= 80);
    globfree(&found);
}

static void every_refusal_says_where_what_and_what_would_be_right(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("bad_*.message", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char *message = read_text(found.gl_pathv[i]);
        const char *line = strstr(message, ".conf:");
        assert_non_null(line);
        assert_true(strspn(line + 6, "0123456789") > 0);
        assert_non_null(strstr(message, "; "));
        assert_non_null(strstr(message, " (first error)\n"));
        assert_null(strstr(message, "libconfuse"));
        free(message);
    }
    globfree(&found);
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct settings *settings = load("good_minimal.conf", NULL);
    assert_int_equal(settings->workers, 0);
    assert_int_equal(settings->connections, 16384);
    assert_string_equal(settings->error_log, "stderr");
    assert_null(settings->access_log);
    assert_string_equal(settings->mime_types, "/etc/mime.types");
    assert_int_equal(settings->idle_timeout_ms, 65000);
    assert_int_equal(settings->head_timeout_ms, 30000);
    assert_int_equal(settings->body_timeout_ms, 30000);
    assert_int_equal(settings->write_timeout_ms, 60000);
    assert_int_equal(settings->client_close_timeout_ms, 250);
    assert_int_equal(settings->linger_timeout_ms, 5000);
    assert_int_equal(settings->vanished_timeout_ms, 120000);
    assert_int_equal(settings->min_receive_rate, 500);
    assert_int_equal(settings->min_send_rate, 500);
    assert_int_equal(settings->stop_timeout_ms, 30000);
    assert_int_equal(settings->ready_timeout_ms, 10000);
    assert_int_equal(settings->hang_timeout_ms, 10000);
    assert_int_equal(settings->file_cache_valid_ms, 1000);
    assert_int_equal(settings->file_cache_memory, 32 << 20);
    assert_int_equal(settings->connections_per_address, 0);
    assert_int_equal(settings->requests_per_address, 0);
    assert_true(settings->answer_429);
    assert_int_equal(settings->proxy_trusted_count, 0);
    assert_int_equal(settings->head_limit, 16384);
    assert_int_equal(settings->target_limit, 8192);
    assert_int_equal(settings->body_limit, 1048576);
    assert_int_equal(settings->listeners_count, 1);
    assert_string_equal(settings->listeners[0].address, "0.0.0.0:8000");
    assert_int_equal(settings->listeners[0].backlog, 4096);
    assert_string_equal(settings->listeners[0].file, "good_minimal.conf");
    assert_int_equal(settings->sites_count, 1);
    const struct site_setting *site = &settings->sites[0];
    assert_int_equal(site->names_count, 1);
    assert_string_equal(site->names[0], "*");
    assert_string_equal(site->root, here);
    assert_int_equal(site->index_count, 1);
    assert_string_equal(site->index[0], "index.html");
    assert_false(site->listing);
    assert_false(site->dot_files);
    assert_int_equal(site->headers_count, 0);
    settings_free(settings);
}

static void user_and_run_dir_default_to_what_the_starter_may_use(void **state)
{
    (void)state;
    struct settings *settings = load("good_minimal.conf", NULL);
    if (geteuid() == 0) {
        assert_string_equal(settings->user, "www-data");
        assert_string_equal(settings->run_dir, "/run/perdure");
    } else {
        assert_null(settings->user);
        assert_int_not_equal(strcmp(settings->run_dir, "/run/perdure"), 0);
    }
    settings_free(settings);
}

/* A worker has another user than its supervisor; what both read out of one snapshot must be the same. */
static void a_snapshot_means_the_same_to_another_user(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES], changes[4096];
    struct settings *mine = load("good_issue.conf", NULL);
    int fd = snapshot_take("good_issue.conf", NULL, error);
    assert_true(fd >= 0);
    bool root = geteuid() == 0;
    assert_int_equal(root ? seteuid(65534) : 0, 0);
    setenv("XDG_RUNTIME_DIR", "/tmp/another", 1);
    struct settings *other = settings_parse(fd, error);
    unsetenv("XDG_RUNTIME_DIR");
    assert_int_equal(root ? seteuid(0) : 0, 0);
    assert_non_null(other);
    assert_int_equal(settings_diff(mine, other, changes, sizeof changes), 0);
    settings_free(mine);
    settings_free(other);
    close(fd);
}

static void every_value_arrives_in_its_field(void **state)
{
    (void)state;
    struct settings *settings = load("good_every_key.conf", NULL);
    if (geteuid() == 0) {
        assert_string_equal(settings->user, "nobody");
    }
    assert_int_equal(settings->workers, 3);
    assert_int_equal(settings->connections, 1000);
    assert_string_equal(settings->run_dir, "/tmp/perdure-every-key");
    assert_string_equal(settings->control_group, "adm");
    assert_string_equal(settings->error_log, "syslog");
    assert_string_equal(settings->access_log, "/tmp/access.log");
    assert_string_equal(settings->mime_types, "/tmp/mime.types");
    assert_int_equal(settings->file_cache_valid_ms, 0);
    assert_int_equal(settings->file_cache_memory, 64 << 10);
    assert_int_equal(settings->idle_timeout_ms, 1500);
    assert_int_equal(settings->head_timeout_ms, 60000);
    assert_int_equal(settings->body_timeout_ms, 120000);
    assert_int_equal(settings->write_timeout_ms, 3600000);
    assert_int_equal(settings->client_close_timeout_ms, 1000);
    assert_int_equal(settings->linger_timeout_ms, 0);
    assert_int_equal(settings->vanished_timeout_ms, 10000);
    assert_int_equal(settings->min_receive_rate, 0);
    assert_int_equal(settings->min_send_rate, 1024);
    assert_int_equal(settings->stop_timeout_ms, 86400000);
    assert_int_equal(settings->ready_timeout_ms, 100);
    assert_int_equal(settings->hang_timeout_ms, 200);
    assert_int_equal(settings->connections_per_address, 10);
    assert_int_equal(settings->requests_per_address, 100);
    assert_false(settings->answer_429);
    assert_int_equal(settings->proxy_trusted_count, 2);
    assert_string_equal(settings->proxy_trusted[0], "10.0.0.0/8");
    assert_true(settings->listeners[0].proxy_protocol);
    assert_false(settings->listeners[1].proxy_protocol);
    assert_int_equal(settings->head_limit, 32768);
    assert_int_equal(settings->target_limit, 100);
    assert_int_equal(settings->body_limit, 2147483648);
    assert_int_equal(settings->listeners_count, 3);
    assert_string_equal(settings->listeners[0].address, "127.0.0.1:8001");
    assert_int_equal(settings->listeners[0].backlog, 128);
    assert_int_equal(settings->listeners[0].line, 32);
    assert_string_equal(settings->listeners[1].address, "[::1]:8001");
    assert_int_equal(settings->listeners[1].backlog, 4096);
    assert_string_equal(settings->listeners[2].address, "unix:/tmp/perdure-every-key.sock");
    assert_int_equal(settings->listeners[2].mode, 0640);
    assert_string_equal(settings->listeners[2].owner, "nobody");
    assert_string_equal(settings->listeners[2].group, "daemon");
    assert_int_equal(settings->sites_count, 2);
    const struct site_setting *site = &settings->sites[0];
    assert_int_equal(site->line, 36);
    assert_string_equal(site->file, "good_every_key.conf");
    assert_int_equal(site->names_count, 3);
    assert_string_equal(site->names[0], "example.org");
    assert_string_equal(site->names[1], "www.example.org");
    assert_string_equal(site->names[2], "example.net");
    assert_int_equal(strncmp(site->root, here, strlen(here)), 0);
    assert_string_equal(site->root + strlen(here), "/include");
    assert_int_equal(site->index_count, 2);
    assert_string_equal(site->index[1], "index.htm");
    assert_true(site->listing);
    assert_true(site->dot_files);
    assert_int_equal(site->headers_count, 2);
    assert_string_equal(site->headers[0].name, "Cache-Control");
    assert_string_equal(site->headers[0].value, "max-age=60");
    assert_string_equal(site->headers[1].value, "a \"b\" \\ c");
    assert_string_equal(settings->sites[1].root, "/");
    settings_free(settings);
}

static void includes_are_read_where_they_stand(void **state)
{
    (void)state;
    struct settings *settings = load("good_include.conf", NULL);
    assert_int_equal(settings->workers, 2);
    assert_int_equal(settings->connections, 100); /* behind the include in an include */
    assert_int_equal(settings->sites_count, 2);
    assert_string_equal(settings->sites[0].names[0], "example.org");
    assert_string_equal(settings->sites[0].file, "include/site.conf");
    assert_int_equal(settings->sites[0].line, 1);
    assert_string_equal(settings->sites[1].file, "good_include.conf");
    assert_int_equal(settings->sites[1].line, 3);
    assert_int_equal(settings->sites[1].headers_count, 3);
    assert_string_equal(settings->sites[1].headers[2].name, "X-Own");
    struct stat said, meant;
    assert_int_equal(stat(settings->sites[0].root, &said), 0);
    assert_int_equal(stat(".", &meant), 0);
    assert_int_equal(said.st_ino, meant.st_ino); /* ".." of include/ */
    settings_free(settings);
}

static void quotes_and_comments_mean_what_they_do_in_libconfuse(void **state)
{
    (void)state;
    struct settings *settings = load("good_comments_and_quotes.conf", NULL);
    assert_int_equal(settings->workers, 2);
    assert_int_equal(settings->idle_timeout_ms, 65000);
    assert_string_equal(settings->mime_types, "/tmp/a b#c");
    assert_string_equal(settings->error_log, "/tmp/unquoted.log");
    assert_string_equal(settings->sites[0].index[0], "one.html");
    assert_string_equal(settings->sites[0].headers[0].value, "${HOME}");
    assert_string_equal(settings->sites[0].headers[1].value, "${HOME}");
    assert_string_equal(settings->sites[0].headers[2].value, "begins and goes on");
    settings_free(settings);
}

static void every_printable_byte_arrives_unchanged(void **state)
{
    (void)state;
    char value[256] = "", escaped[512] = "", text[1024];
    for (int byte = 0x21, length = 0, written = 0; byte < 0x100; byte++) {
        if (byte == 0x7f) {
            continue;
        }
        value[length++] = (char)byte;
        if (byte == '"' || byte == '\\') {
            escaped[written++] = '\\';
        }
        escaped[written++] = (char)byte;
    }
    snprintf(text, sizeof text, "site \"*\" { root = \".\" headers = { \"X: %s\" } }", escaped);
    struct settings *settings = load("bytes", text);
    assert_string_equal(settings->sites[0].headers[0].value, value);
    settings_free(settings);
}

static void lines_may_end_as_on_windows(void **state)
{
    (void)state;
    struct settings *settings =
        load("dos", "\xef\xbb\xbfworkers = 3\r\nerror_log = \"syslog\"\r\nsite \"*\" { # x\r\nroot = . }\r\n");
    assert_int_equal(settings->workers, 3);
    assert_string_equal(settings->error_log, "syslog");
    assert_int_equal(settings->sites[0].line, 3);
    settings_free(settings);
}

/* libconfuse would expand this from the environment, which supervisor and worker need not share. */
static void the_environment_is_not_read(void **state)
{
    (void)state;
    setenv("PERDURE_TEST", "/tmp", 1);
    expect_refusal(
        "text", "run_dir = \"${PERDURE_TEST}\"\n",
        "text:1: ${...}: environment variables are not read, because supervisor and workers may see different "
        "ones; write the value itself, or \"\\${\" for these characters (first error)");
    unsetenv("PERDURE_TEST");
}

static void a_nul_byte_is_refused(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES], path[] = "/tmp/perdure-nul-XXXXXX", expected[128];
    int file = mkstemp(path);
    static const char text[] = "workers = 2\0\nsite \"*\" { root = \"/\" }\n";
    assert_int_equal(write(file, text, sizeof text - 1), sizeof text - 1);
    close(file);
    assert_int_equal(snapshot_take(path, NULL, error), -1);
    unlink(path);
    snprintf(expected, sizeof expected, "%s:1: a control character (\\x00); take it out (first error)", path);
    assert_string_equal(error, expected);
}

static void a_word_may_have_some_kilobytes_and_not_more(void **state)
{
    (void)state;
    static const char *const quotes[] = {"\"", "'", ""};
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++) {
        char word[10000] = "", text[11000], error[SETTINGS_ERROR_BYTES];
        memset(word, 'x', sizeof word - 1);
        snprintf(text, sizeof text, "workers = 2\nerror_log = %s/%s%s\nsite \"*\" { root = \"/\" }\n", quotes[i], word,
                 quotes[i]);
        assert_int_equal(snapshot_take("text", text, error), -1);
        assert_non_null(strstr(error, "text:2: a word of more than 81"));
        word[8000] = '\0';
        snprintf(text, sizeof text, "workers = 2\nerror_log = %s/%s%s\nsite \"*\" { root = \"/\" }\n", quotes[i], word,
                 quotes[i]);
        assert_int_equal(snapshot_take("text", text, error), -1);
        assert_non_null(strstr(error, "text:2: error_log is longer than 4095 bytes"));
    }
}

static void bounds_are_allowed_and_what_is_beyond_is_not(void **state)
{
    (void)state;
    size_t count;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; i < count; i++) {
        char low[VALUE_TEXT_BYTES], high[VALUE_TEXT_BYTES], text[64], why[VALUE_WHY_BYTES];
        uint64_t number;
        if (keys[i].high == 0) {
            continue;
        }
        value_print(&keys[i], keys[i].low, low);
        value_print(&keys[i], keys[i].high, high);
        assert_true(value_parse(&keys[i], low, &number, why));
        assert_int_equal(number, keys[i].low);
        assert_true(value_parse(&keys[i], high, &number, why));
        assert_int_equal(number, keys[i].high);
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)keys[i].high + 1,
                 keys[i].kind == KIND_DURATION ? "ms" : "");
        assert_false(value_parse(&keys[i], text, &number, why));
        assert_non_null(strstr(why, high));
        snprintf(text, sizeof text, "%llu%s", (unsigned long long)keys[i].low - 1,
                 keys[i].kind == KIND_DURATION ? "ms" : "");
        assert_false(value_parse(&keys[i], text, &number, why));
        assert_non_null(strstr(why, low));
    }
}

static void permissions_are_octal(void **state)
{
    static const char *const good[] = {"0660", "660"}, *const bad[] = {"", "66", "0668", "1777", "06660", "rw", "-660"};
    const struct settings_key *key = settings_key_find(SCOPE_LISTEN, "mode");
    char text[VALUE_TEXT_BYTES], why[VALUE_WHY_BYTES];
    uint64_t number;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(value_parse(key, good[i], &number, why));
        assert_int_equal(number, 0660);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(value_parse(key, bad[i], &number, why));
        assert_non_null(strstr(why, "write three octal digits"));
    }
    value_print(key, 0660, text);
    assert_string_equal(text, "0660");
}

/* Sockets that were given stand for the default address, and for no other. */
static void only_the_default_address_gives_way(void **state)
{
    static const char *const given[] = {"127.0.0.1:81", "unix:/run/x.sock"};
    struct settings *silent = load("t", "site \"*\" { root = \"/\" }\n");
    struct settings *explicit = load("t", "listen \"0.0.0.0:8000\" { }\nsite \"*\" { root = \"/\" }\n");
    (void)state;
    assert_true(settings_listen_on(silent, given, 2));
    assert_true(settings_listen_on(explicit, given, 2));
    assert_int_equal(silent->listeners_count, 2);
    assert_string_equal(silent->listeners[1].address, given[1]);
    assert_int_equal(silent->listeners[1].backlog, 4096);
    assert_int_equal(explicit->listeners_count, 1);
    assert_string_equal(explicit->listeners[0].address, "0.0.0.0:8000");
    settings_free(silent);
    settings_free(explicit);
}

static void numbers_are_printed_in_their_nicest_unit(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t number;
        const char *text;
    } cases[] = {
        {"idle_timeout", 1, "1ms"},      {"idle_timeout", 1500, "1500ms"},
        {"idle_timeout", 65000, "65s"},  {"idle_timeout", 120000, "2m"},
        {"idle_timeout", 7200000, "2h"}, {"linger_timeout", 0, "0s"},
        {"body_limit", 0, "0"},          {"body_limit", 1000, "1000"},
        {"body_limit", 1536, "1536"},    {"body_limit", 16384, "16k"},
        {"body_limit", 3 << 20, "3m"},   {"body_limit", 1 << 30, "1g"},
        {"workers", 0, "auto"},          {"workers", 12, "12"},
        {"connections", 16384, "16384"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[VALUE_TEXT_BYTES];
        value_print(settings_key_find(SCOPE_TOP, cases[i].name), cases[i].number, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void a_slip_is_met_with_the_nearest_key(void **state)
{
    (void)state;
    static const struct {
        enum settings_scope scope;
        const char *word, *guess;
    } cases[] = {
        {SCOPE_TOP, "worker", "workers"},
        {SCOPE_TOP, "Workers", "workers"},
        {SCOPE_TOP, "idletimeout", "idle_timeout"},
        {SCOPE_TOP, "lsiten", "listen"},
        {SCOPE_TOP, "sites", "site"},
        {SCOPE_TOP, "includes", "include"},
        {SCOPE_SITE, "idnex", "index"},
        {SCOPE_SITE, "dotfiles", "dot_files"},
        {SCOPE_LISTEN, "backlogs", "backlog"},
        {SCOPE_SITE, "header", "headers"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(settings_key_guess(cases[i].scope, cases[i].word), cases[i].guess);
    }
    assert_null(settings_key_guess(SCOPE_TOP, "gzip"));
    assert_null(settings_key_guess(SCOPE_TOP, "x"));
    assert_null(settings_key_guess(SCOPE_TOP, "a_word_that_is_longer_than_any_key_there_is"));
}

/* ---- any bytes at all ---- */

static uint32_t random_state = 2463534242;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % bound;
}

/* Parse BYTES as a snapshot; it must end in settings or in a message. */
static void parse_bytes(const char *bytes, size_t length)
{
    char error[SETTINGS_ERROR_BYTES] = "";
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_int_equal(write(fd, bytes, length), (ssize_t)length);
    struct settings *settings = settings_parse(fd, error);
    if (settings == NULL) {
        assert_true(error[0] != '\0' && strlen(error) < SETTINGS_ERROR_BYTES);
        /* Nothing that config_scan lets pass may be an error to libconfuse. */
        if (strstr(error, "libconfuse") != NULL) {
            fail_msg("%s", error);
        }
    }
    settings_free(settings);
    close(fd);
}

static size_t good_snapshot(const char *path, char *bytes, size_t size)
{
    char error[SETTINGS_ERROR_BYTES];
    int fd = snapshot_take(path, NULL, error);
    assert_true(fd >= 0);
    ssize_t length = pread(fd, bytes, size, 0);
    assert_true(length > 0 && (size_t)length < size);
    close(fd);
    return (size_t)length;
}

static void random_bytes_are_refused(void **state)
{
    (void)state;
    char bytes[512];
    for (int round = 0; round < 2000; round++) {
        size_t length = random_below(sizeof bytes);
        for (size_t i = 0; i < length; i++) {
            bytes[i] = (char)random_below(256);
        }
        size_t head = random_below(2) * strlen("perdure-snapshot 1 1 4\n/runfile 1 1 100\na/");
        memcpy(bytes, "perdure-snapshot 1 1 4\n/runfile 1 1 100\na/", length < head ? length : head);
        parse_bytes(bytes, length);
    }
}

static void a_damaged_snapshot_is_refused_or_read(void **state)
{
    (void)state;
    static const char signs[] = "{}()=+,\"'\\*#/$ \n\r\t;:.0aA\x01\x80";
    static const char *const paths[] = {"good_every_key.conf", "good_include.conf", "good_comments_and_quotes.conf"};
    for (size_t path = 0; path < sizeof paths / sizeof paths[0]; path++) {
        char good[8192], bytes[8192];
        size_t length = good_snapshot(paths[path], good, sizeof good);
        for (int round = 0; round < 4000; round++) {
            memcpy(bytes, good, length);
            for (uint32_t changes = 1 + random_below(4); changes > 0; changes--) {
                bytes[random_below((uint32_t)length)] =
                    random_below(4) == 0 ? (char)random_below(256) : signs[random_below(sizeof signs)];
            }
            parse_bytes(bytes, length);
        }
        for (size_t cut = 0; cut < length; cut++) {
            parse_bytes(good, cut);
        }
    }
}

/* libconfuse 3.3 keeps a lexer state and an include stack between parses: neither may be left dirty. */
static void after_all_these_a_good_snapshot_still_loads(void **state)
{
    (void)state;
    settings_free(load("good_include.conf", NULL));
}

/* One good snapshot by hand, and then each of its numbers, in turn, wrong. */
static void a_snapshot_of_another_form_is_refused(void **state)
{
    (void)state;
    static const struct {
        bool good;
        const char *head;
    } cases[] = {
        {true, "perdure-snapshot 1 1 4\n/runfile 1 1 26\na/"},
        {false, "perdure-snapshot 2 1 4\n/runfile 1 1 26\na/"},
        {false, "perdure-snapshot 1 2 4\n/runfile 1 1 26\na/"},
        {false, "perdure-snapshot 1 1 5\n/runfile 1 1 26\na/"},
        {false, "perdure-snapshot 1 1 4\nxrunfile 1 1 26\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 2 1 26\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 1 2 26\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 1 1 27\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 1 1 25\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 1 1 -26\na/"},
        {false, "perdure-snapshot 1 1 4\n/runfile 1 1 99999999999999999999999\na/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bytes[256], error[SETTINGS_ERROR_BYTES] = "";
        int length = snprintf(bytes, sizeof bytes, "%ssite \"*\" { root = \"/srv\" }", cases[i].head);
        int fd = memfd_create("test", MFD_CLOEXEC);
        assert_int_equal(write(fd, bytes, (size_t)length), length);
        struct settings *settings = settings_parse(fd, error);
        if ((settings != NULL) != cases[i].good) {
            fail_msg("%s: %s", cases[i].head, settings != NULL ? "was taken" : error);
        }
        settings_free(settings);
        close(fd);
    }
}

static void what_is_no_memfd_is_refused(void **state)
{
    (void)state;
    char error[SETTINGS_ERROR_BYTES] = "";
    assert_null(settings_parse(-1, error));
    assert_non_null(strstr(error, "not a snapshot"));
    settings_free(NULL);
}

/* ---- the documents ---- */

/* What the manual says of KEY: from its .It to the next, to be freed. */
static char *manual_entry(const char *manual, const struct settings_key *key)
{
    char begin[64];
    snprintf(begin, sizeof begin, "\n.It Ic %s ", key->name);
    const char *entry = strstr(manual, begin);
    if (entry == NULL) {
        fail_msg("perdure.conf.5 has no entry for %s", key->name);
    }
    const char *end = strstr(entry + 1, "\n.It Ic "), *list_end = strstr(entry, "\n.El");
    end = end == NULL || (list_end != NULL && list_end < end) ? list_end : end;
    assert_non_null(end);
    return strndup(entry, (size_t)(end - entry));
}

static void every_key_is_in_the_manual_with_default_and_bounds(void **state)
{
    (void)state;
    char *manual = read_text("../../supervisor/perdure.conf.5");
    size_t count;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; i < count; i++) {
        char *entry = manual_entry(manual, &keys[i]);
        char low[VALUE_TEXT_BYTES], high[VALUE_TEXT_BYTES], words[128];
        value_print(&keys[i], keys[i].low, low);
        value_print(&keys[i], keys[i].high, high);
        snprintf(words, sizeof words, "From %s to %s", low, high);
        if (keys[i].high != 0 && strstr(entry, words) == NULL) {
            fail_msg("perdure.conf.5: %s: there is no \"%s\"", keys[i].name, words);
        }
        const char *initial = keys[i].kind == KIND_FILE_NAMES ? "index.html" : keys[i].initial;
        snprintf(words, sizeof words, "\n.Cm %s", initial != NULL ? initial : "");
        if (initial != NULL && (strstr(entry, "efault:") == NULL || strstr(entry, words) == NULL)) {
            fail_msg("perdure.conf.5: %s: there is no default \"%s\"", keys[i].name, words + 1);
        }
        free(entry);
    }
    free(manual);
}

static void every_entry_of_the_manual_is_a_key(void **state)
{
    (void)state;
    char *manual = read_text("../../supervisor/perdure.conf.5");
    for (const char *entry = strstr(manual, "\n.It Ic "); entry != NULL; entry = strstr(entry + 1, "\n.It Ic ")) {
        char name[64];
        assert_int_equal(sscanf(entry, "\n.It Ic %63s", name), 1);
        if (settings_key_scope(name) == SCOPE_COUNT) {
            fail_msg("perdure.conf.5 speaks of %s, which is no key", name);
        }
    }
    free(manual);
}

/* etc/perdure.conf with its directory replaced by one that is there. */
static char *default_config(void)
{
    char *text = read_text("../../etc/perdure.conf"), *result = replaced(text, "\"/srv/www\"", "\"/\"");
    free(text);
    return result;
}

static void the_default_config_loads(void **state)
{
    (void)state;
    char *text = default_config();
    settings_free(load("../../etc/perdure.conf", text));
    free(text);
}

/* In etc/perdure.conf a line "#KEY = VALUE" shows a default. */
static void the_default_config_shows_every_key_and_its_default(void **state)
{
    (void)state;
    char *text = default_config(), *shown = strdup(text), changes[4096];
    size_t count;
    const struct settings_key *keys = settings_keys(&count);
    for (size_t i = 0; i < count; i++) {
        char commented[64];
        snprintf(commented, sizeof commented, "#%s ", keys[i].name);
        char *at = strstr(shown, commented);
        if (at == NULL && keys[i].kind != KIND_DIRECTORY) {
            fail_msg("etc/perdure.conf does not show %s", keys[i].name);
        }
        bool computed = geteuid() != 0 && (keys[i].kind == KIND_USER || strcmp(keys[i].name, "run_dir") == 0);
        bool of_a_file = keys[i].scope == SCOPE_LISTEN && keys[i].kind != KIND_COUNT; /* and the default is a port */
        bool is_none = keys[i].kind == KIND_GROUP;                                    /* so what is shown is another */
        if (at != NULL && !computed && !of_a_file && !is_none && keys[i].kind != KIND_ALIASES &&
            keys[i].kind != KIND_HEADERS) {
            *at = ' ';
        }
    }
    struct settings *settings = load("etc/perdure.conf", text), *uncommented = load("etc/perdure.conf", shown);
    if (settings_diff(settings, uncommented, changes, sizeof changes) != 0) {
        fail_msg("etc/perdure.conf shows other defaults than the program has: %s", changes);
    }
    settings_free(settings);
    settings_free(uncommented);
    free(text);
    free(shown);
}

int main(void)
{
    if (chdir("tests/config") != 0 || getcwd(here, sizeof here) == NULL) {
        fprintf(stderr, "settings_test: run me in the top directory of the source\n");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_good_config_loads),
        cmocka_unit_test(every_bad_config_is_refused_with_its_message),
        cmocka_unit_test(every_refusal_says_where_what_and_what_would_be_right),
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(user_and_run_dir_default_to_what_the_starter_may_use),
        cmocka_unit_test(a_snapshot_means_the_same_to_another_user),
        cmocka_unit_test(every_value_arrives_in_its_field),
        cmocka_unit_test(includes_are_read_where_they_stand),
        cmocka_unit_test(quotes_and_comments_mean_what_they_do_in_libconfuse),
        cmocka_unit_test(every_printable_byte_arrives_unchanged),
        cmocka_unit_test(lines_may_end_as_on_windows),
        cmocka_unit_test(the_environment_is_not_read),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_word_may_have_some_kilobytes_and_not_more),
        cmocka_unit_test(bounds_are_allowed_and_what_is_beyond_is_not),
        cmocka_unit_test(permissions_are_octal),
        cmocka_unit_test(only_the_default_address_gives_way),
        cmocka_unit_test(numbers_are_printed_in_their_nicest_unit),
        cmocka_unit_test(a_slip_is_met_with_the_nearest_key),
        cmocka_unit_test(random_bytes_are_refused),
        cmocka_unit_test(a_damaged_snapshot_is_refused_or_read),
        cmocka_unit_test(after_all_these_a_good_snapshot_still_loads),
        cmocka_unit_test(a_snapshot_of_another_form_is_refused),
        cmocka_unit_test(what_is_no_memfd_is_refused),
        cmocka_unit_test(every_key_is_in_the_manual_with_default_and_bounds),
        cmocka_unit_test(every_entry_of_the_manual_is_a_key),
        cmocka_unit_test(the_default_config_loads),
        cmocka_unit_test(the_default_config_shows_every_key_and_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
