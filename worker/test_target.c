/* test_target.c — see test_target.h. */
#include "worker/test_target.h"

#ifdef PERDURE_TEST_TARGETS

#include "worker/test_escape.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ESCAPE_BYTES = 512 };

static void eat_memory(void)
{
    enum { BITE = 1024 * 1024 };
    for (;;) {
        char *bite = malloc(BITE);
        if (bite == NULL) {
            abort();
        }
        memset(bite, 1, BITE);
    }
}

static void hang(void)
{
    for (volatile int turning = 1; turning;) {
    }
}

/* Is it "/.test/try/WAY"? Then WAY. */
static bool is_escape(const struct request *request, char way[ESCAPE_BYTES])
{
    static const char before[] = "/.test/try/";
    size_t length = sizeof before - 1;
    if (request->path.bytes <= length || request->path.bytes - length >= ESCAPE_BYTES ||
        memcmp(request->path.at, before, length) != 0) {
        return false;
    }
    memcpy(way, request->path.at + length, request->path.bytes - length);
    way[request->path.bytes - length] = '\0';
    return true;
}

void test_target(const struct request *request, const struct cell *cell)
{
    char way[ESCAPE_BYTES];
    if (is_escape(request, way)) {
        test_escape(way, cell);
        return;
    }
    if (text_is(request->path, TEXT("/.test/crash"))) {
        abort();
    } else if (text_is(request->path, TEXT("/.test/segv"))) {
        raise(SIGSEGV);
    } else if (text_is(request->path, TEXT("/.test/hang"))) {
        hang();
    } else if (text_is(request->path, TEXT("/.test/eat"))) {
        eat_memory();
    } else if (text_is(request->path, TEXT("/.test/exit"))) {
        _exit(0);
    }
}

#endif
