"""crashing_supervisor.py — a supervisor program that is as good as any, but crashes some time after each of its images began."""
import shutil
import subprocess

import harness

# In every process of the program called new-perdure that is the image of a supervisor, but not in those it forks.
CRASHER = """
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void *crash(void *unused)
{
    usleep(%d * 1000);
    abort();
    return unused;
}
__attribute__((constructor)) static void begin(void)
{
    char path[4096] = "";
    pthread_t thread;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length > 12 && strcmp(path + length - 12, "/new-perdure") == 0 && getenv("PERDURE_LEDGER") != NULL) {
        pthread_create(&thread, NULL, crash, NULL);
    }
}
"""


def install(program, after_ms):
    """In place of PROGRAM, a pathlib.Path: one whose images abort AFTER_MS milliseconds after their exec."""
    source, library = program.with_name("crasher.c"), program.with_name("crasher.so")
    source.write_text(CRASHER % after_ms)
    subprocess.run(["gcc", "-shared", "-fPIC", "-pthread", "-o", library, source], check=True)
    new = program.with_name("new-perdure")
    shutil.copy2(harness.BUILD / "perdure", new)
    script = program.with_name("script")
    first = "verify_asan_link_order=0"  # the sanitizers' library would rather be the first one itself
    script.write_text(f'#!/bin/sh\nexport LD_PRELOAD={library} ASAN_OPTIONS="$ASAN_OPTIONS:{first}"\nexec {new} "$@"\n')
    script.chmod(0o755)
    script.rename(program)
