"""impostor.py — a worker program that is none: it says that it can take over, and then does something else."""
import shutil
import subprocess

import harness

SOURCE = """
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    if (argc == 2) {
        puts("%s");
        return 0;
    }
    if (open("%s", O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0) {
        execv("%s", argv);
    }
    %s;
}
"""


def install(program, deed, rehearses=False):
    """Beside PROGRAM, the supervisor's, a pathlib.Path, instead of the worker's: it does DEED, a statement in C. If it
    REHEARSES, it is a worker as any other in its first process."""
    marks, real, worker = (program.with_name(name) for name in ("marks", "real-worker", "perdure-worker"))
    marks.mkdir()
    marks.chmod(0o777 if rehearses else 0o555)
    shutil.copy2(harness.BUILD / "perdure-worker", real)
    contract = subprocess.run([real, "--contract"], capture_output=True, text=True, check=True).stdout.strip()
    source = program.with_name("impostor.c")
    mark = marks / "rehearsed" if rehearses else marks / "nowhere" / "rehearsed"
    source.write_text(SOURCE % (contract, mark, real, deed))
    subprocess.run(["gcc", "-o", source.with_suffix(""), source], check=True)
    source.with_suffix("").rename(worker)
