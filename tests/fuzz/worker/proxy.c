/* proxy.c — fuzzes the PROXY protocol's header: it ends at one place, however the stream is cut, and names one client.
 */
#include "tests/fuzz/target.h"
#include "worker/proxy_protocol.h"

#include <stdio.h>

enum { LINE_MOST = 107, CUTS_MOST = 128 };

/* Of the first COUNT bytes, with nothing behind them. */
static enum proxy_verdict parse_cut(const uint8_t *bytes, size_t count, struct proxy_header *header)
{
    char *cut = exact_copy(bytes, count);
    enum proxy_verdict verdict = proxy_header_parse(cut, count, header);
    free(cut);
    return verdict;
}

/* What the first COUNT bytes say must be what all of them say, or leave it open. */
static void check_cut(const uint8_t *bytes, size_t count, enum proxy_verdict whole, const struct proxy_header *all)
{
    struct proxy_header header;
    enum proxy_verdict verdict = parse_cut(bytes, count, &header);
    check(verdict == whole || verdict == PROXY_PARTIAL);
    if (whole == PROXY_WHOLE) {
        check((verdict == PROXY_WHOLE) == (count >= all->bytes));
    }
    if (verdict == PROXY_WHOLE) {
        check(header.bytes == all->bytes && memcmp(&header.client, &all->client, sizeof header.client) == 0);
    }
}

/* A client that a header named can be named again, by a line. */
static void check_named_again(const struct client_address *client)
{
    char name[INET6_ADDRSTRLEN];
    char line[LINE_MOST + 1];
    struct proxy_header header;
    if (client_address_text(client, name)) {
        int length = snprintf(line, sizeof line, "PROXY %s %s %s 1 65535\r\n",
                              strchr(name, ':') != NULL ? "TCP6" : "TCP4", name, name);
        check(length > 0 && length < (int)sizeof line);
        check(proxy_header_parse(line, (size_t)length, &header) == PROXY_WHOLE && header.bytes == (size_t)length);
        check(memcmp(&header.client, client, sizeof *client) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct proxy_header header;
    enum proxy_verdict verdict = parse_cut(bytes, count, &header);
    for (size_t cut = 0; cut < count && cut < CUTS_MOST; cut++) {
        check_cut(bytes, cut, verdict, &header);
    }
    check(verdict != PROXY_PARTIAL || count < PROXY_HEADER_MOST);
    if (verdict == PROXY_WHOLE) {
        check(header.bytes > 0 && header.bytes <= count && header.bytes <= PROXY_HEADER_MOST);
        check(bytes[0] != 'P' || header.bytes <= LINE_MOST);
        check_cut(bytes, header.bytes - 1, verdict, &header);
        check_cut(bytes, header.bytes, verdict, &header);
        check_named_again(&header.client);
    }
    return 0;
}
