/* address_test.c — listening addresses: what is taken, and what is said of the rest. */
#include "supervisor/inherit/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

static void parse_good(const char *text, struct address *address)
{
    char why[ADDRESS_WHY_BYTES] = "";
    if (!address_parse(text, address, why)) {
        fail_msg("%s: %s", text, why);
    }
}

static void an_ipv4_address_is_a_sockaddr(void **state)
{
    (void)state;
    struct address address;
    parse_good("127.0.0.1:8000", &address);
    const struct sockaddr_in *name = (const struct sockaddr_in *)&address.storage;
    assert_int_equal(address.length, sizeof *name);
    assert_int_equal(name->sin_family, AF_INET);
    assert_int_equal(ntohl(name->sin_addr.s_addr), INADDR_LOOPBACK);
    assert_int_equal(ntohs(name->sin_port), 8000);
    assert_string_equal(address.text, "127.0.0.1:8000");
}

static void an_ipv6_address_is_a_sockaddr(void **state)
{
    (void)state;
    struct address address;
    parse_good("[0:0:0::1]:65535", &address);
    const struct sockaddr_in6 *name = (const struct sockaddr_in6 *)&address.storage;
    assert_int_equal(address.length, sizeof *name);
    assert_int_equal(name->sin6_family, AF_INET6);
    assert_true(IN6_IS_ADDR_LOOPBACK(&name->sin6_addr));
    assert_int_equal(ntohs(name->sin6_port), 65535);
    assert_string_equal(address.text, "[::1]:65535");
}

static void a_link_local_address_names_its_interface(void **state)
{
    (void)state;
    struct address address;
    parse_good("[fe80::1%lo]:80", &address);
    assert_int_not_equal(((const struct sockaddr_in6 *)&address.storage)->sin6_scope_id, 0);
    assert_string_equal(address.text, "[fe80::1%lo]:80");
}

static void a_unix_socket_has_a_path(void **state)
{
    (void)state;
    struct address address;
    parse_good("unix:/run/perdure/http.sock", &address);
    const struct sockaddr_un *name = (const struct sockaddr_un *)&address.storage;
    assert_int_equal(name->sun_family, AF_UNIX);
    assert_string_equal(name->sun_path, "/run/perdure/http.sock");
    assert_int_equal(address.length, offsetof(struct sockaddr_un, sun_path) + sizeof "/run/perdure/http.sock");
    assert_string_equal(address.text, "unix:/run/perdure/http.sock");
}

static void the_longest_unix_path_is_107_bytes(void **state)
{
    (void)state;
    char text[200] = "unix:/", why[ADDRESS_WHY_BYTES];
    struct address address;
    memset(text + 6, 'x', 106);
    parse_good(text, &address);
    text[6 + 106] = 'x';
    assert_false(address_parse(text, &address, why));
}

static void what_is_no_address_is_refused_with_a_remedy(void **state)
{
    (void)state;
    static const struct {
        const char *text, *remedy;
    } bad[] = {
        {"", "write \"0.0.0.0:8000\""},
        {"80", "write \"0.0.0.0:80\""},
        {":80", "write \"0.0.0.0:80\""},
        {"*:80", "write \"0.0.0.0:80\" for all of IPv4, and another listen \"[::]:80\""},
        {"*", "\"*\" has no port"},
        {"*:", "has no port"},
        {"127.0.0.1", "write \"127.0.0.1:8000\""},
        {"127.0.0.1:", "write a number from 1 to 65535"},
        {"127.0.0.1:0", "write a number from 1 to 65535"},
        {"127.0.0.1:080", "write a number from 1 to 65535"},
        {"127.0.0.1:+80", "write a number from 1 to 65535"},
        {"127.0.0.1: 80", "write a number from 1 to 65535"},
        {"127.0.0.1:65536", "write a number from 1 to 65535"},
        {"127.0.0.1:99999999999999999999", "write a number from 1 to 65535"},
        {"127.0.0.1:http", "write a number from 1 to 65535"},
        {"010.0.0.1:80", "not an IPv4 address"},
        {"127.1:80", "not an IPv4 address"},
        {"256.0.0.1:80", "not an IPv4 address"},
        {"localhost:80", "names are not looked up"},
        {"http://localhost:80", "too many colons"},
        {"::1:80", "write \"[::1]:80\""},
        {"::1", "write \"[::1]:8000\""},
        {"::", "write \"[::]:8000\""},
        {"1:2:3", "too many colons"},
        {"[::1]", "write \"[::1]:8000\""},
        {"[::1", "too many colons"},
        {"[::1]80", "write \"[::1]80:8000\""},
        {"[::1]x:80", "is not an address"},
        {"[]:80", "write \"[::1]:80\""},
        {"[127.0.0.1]:80", "not an IPv6 address"},
        {"[::ffff:1.2.3.4]:80", "write \"1.2.3.4:80\""},
        {"[fe80::1]:80", "name its interface"},
        {"[fe80::1%nosuchif]:80", "no interface \"nosuchif\""},
        {"/run/http.sock", "write \"unix:/run/http.sock\""},
        {"unix:", "must be absolute"},
        {"unix:http.sock", "must be absolute"},
        {"unix:/run/", "the path of a directory"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char why[ADDRESS_WHY_BYTES] = "";
        struct address address;
        if (address_parse(bad[i].text, &address, why)) {
            fail_msg("\"%s\" was taken as %s", bad[i].text, address.text);
        }
        if (strstr(why, bad[i].remedy) == NULL || strchr(why, ';') == NULL) {
            fail_msg("\"%s\": %s", bad[i].text, why);
        }
    }
}

static void a_long_text_is_refused_and_not_overrun(void **state)
{
    (void)state;
    static const char *const heads[] = {"", "[", "unix:/", "[::1%", "1.2.3.4:", ":"};
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        char text[3000], why[ADDRESS_WHY_BYTES];
        struct address address;
        memset(text, '1', sizeof text - 1);
        memcpy(text, heads[i], strlen(heads[i]));
        strcpy(text + sizeof text - 6, "]:80");
        assert_false(address_parse(text, &address, why));
        memset(text + strlen(heads[i]), ':', 2000);
        assert_false(address_parse(text, &address, why));
    }
}

static bool collide(const char *one_text, const char *other_text)
{
    struct address one, other;
    parse_good(one_text, &one);
    parse_good(other_text, &other);
    assert_int_equal(address_collides(&one, &other), address_collides(&other, &one));
    return address_collides(&one, &other);
}

static void two_listeners_collide_as_bind_would_say(void **state)
{
    (void)state;
    assert_true(collide("127.0.0.1:80", "127.0.0.1:80"));
    assert_true(collide("0.0.0.0:80", "127.0.0.1:80"));
    assert_true(collide("[::]:80", "[::1]:80"));
    assert_true(collide("[::1]:80", "[0::1]:80"));
    assert_true(collide("unix:/a", "unix:/a"));
    assert_false(collide("0.0.0.0:80", "0.0.0.0:81"));
    assert_false(collide("127.0.0.1:80", "127.0.0.2:80"));
    assert_false(collide("0.0.0.0:80", "[::]:80"));
    assert_false(collide("unix:/a", "unix:/b"));
    assert_false(collide("unix:/a", "0.0.0.0:80"));
}

/* What getsockname(2) says of a socket is the text that a configuration would have. */
static void a_sockets_name_is_its_text(void **state)
{
    static const char *const texts[] = {"127.0.0.1:80",    "0.0.0.0:65535",   "[::]:8000",
                                        "[2001:db8::1]:1", "[fe80::1%lo]:80", "unix:/run/x.sock"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct address parsed;
        struct address again;
        char why[ADDRESS_WHY_BYTES];
        assert_true(address_parse(texts[i], &parsed, why));
        assert_true(address_from(&parsed.storage, &again));
        assert_string_equal(again.text, texts[i]);
    }
    struct address none;
    struct sockaddr_storage abstract = {.ss_family = AF_UNIX}, other = {.ss_family = AF_NETLINK};
    assert_false(address_from(&abstract, &none));
    assert_false(address_from(&other, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_address_is_a_sockaddr),
        cmocka_unit_test(an_ipv6_address_is_a_sockaddr),
        cmocka_unit_test(a_link_local_address_names_its_interface),
        cmocka_unit_test(a_unix_socket_has_a_path),
        cmocka_unit_test(the_longest_unix_path_is_107_bytes),
        cmocka_unit_test(what_is_no_address_is_refused_with_a_remedy),
        cmocka_unit_test(a_long_text_is_refused_and_not_overrun),
        cmocka_unit_test(a_sockets_name_is_its_text),
        cmocka_unit_test(two_listeners_collide_as_bind_would_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
