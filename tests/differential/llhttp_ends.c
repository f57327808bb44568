/* llhttp_ends.c — llhttp's word on streams of requests: which messages it finds in each, and whether it refuses one.
 *
 * Standard input has streams, each behind its length (four bytes, little endian); for each one line goes out: the name
 * of llhttp's error, HPE_OK if there is none, a '+' behind it if a message is not over yet, and the targets of all
 * whole messages. It is compiled with Debian's sources of llhttp (package node-llhttp) by scripts/peers. */
#include <llhttp.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAM_MOST = 1 << 20, WORDS_MOST = 1 << 16, TARGET_MOST = 40 };

static char words[WORDS_MOST];
static size_t words_bytes, target_bytes;
static int message_begun;

static int message_begin(llhttp_t *parser)
{
    (void)parser;
    message_begun = 1;
    target_bytes = 0;
    if (words_bytes < WORDS_MOST)
        words[words_bytes++] = ' ';
    return 0;
}

static int target_take(llhttp_t *parser, const char *at, size_t bytes)
{
    (void)parser;
    for (size_t i = 0; i < bytes && target_bytes < TARGET_MOST && words_bytes < WORDS_MOST; i++, target_bytes++)
        words[words_bytes++] = at[i] > ' ' && at[i] < 0x7f ? at[i] : '?';
    return 0;
}

static int message_end(llhttp_t *parser)
{
    (void)parser;
    message_begun = 0;
    return 0;
}

/* A target is told when its message has begun; that of a message which never ends is cut off again. */
static void tell(const char *stream, size_t bytes)
{
    llhttp_settings_t settings;
    llhttp_t parser;
    llhttp_settings_init(&settings);
    settings.on_message_begin = message_begin;
    settings.on_url = target_take;
    settings.on_message_complete = message_end;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    words_bytes = 0;
    message_begun = 0;
    llhttp_errno_t error = llhttp_execute(&parser, stream, bytes);
    while (message_begun && words_bytes > 0 && words[--words_bytes] != ' ')
        ;
    printf("%s%s%.*s\n", llhttp_errno_name(error), message_begun ? "+" : "", (int)words_bytes, words);
    fflush(stdout);
}

int main(void)
{
    static char stream[STREAM_MOST];
    unsigned char size[4];
    while (fread(size, sizeof size, 1, stdin) == 1) {
        size_t bytes = size[0] | (size_t)size[1] << 8 | (size_t)size[2] << 16 | (size_t)size[3] << 24;
        if (bytes > sizeof stream || fread(stream, 1, bytes, stdin) != bytes)
            return EXIT_FAILURE;
        tell(stream, bytes);
    }
    return EXIT_SUCCESS;
}
