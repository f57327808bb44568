/* test_target.c — see test_target.h. */
#include "worker/test_target.h"

#ifdef PERDURE_TEST_TARGETS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

void test_target(const struct request *request)
{
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
