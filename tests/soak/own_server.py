"""own_server.py — a perdure on programs of its own, which nobody rebuilds meanwhile."""
import contextlib
import io
import pathlib
import shutil
import signal
import subprocess
import tempfile

import harness

HANG_TIMEOUT_MS = 500


@contextlib.contextmanager
def serving(**keys):
    """The server. Gone afterwards, whatever happens; what is wrong with its end is a failure in its FAILURES."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="perdure-soak-", dir="/tmp"))
    directory.chmod(0o755)
    server = None
    build = harness.BUILD
    try:
        (directory / "bin").mkdir()
        for name in ("perdure", "perdure-worker", "judge"):
            shutil.copy2(build / name, directory / "bin" / name)
        harness.BUILD = directory / "bin"
        server = harness.Server(directory, hang_timeout=f"{HANG_TIMEOUT_MS}ms", **keys)
        server.failures = []
        harness.fill_corpus(server.root)
        server.start()
        server.wait_serving()
        yield server
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the end is short, and must come
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if server is not None:
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    server.close()
            except (AssertionError, subprocess.SubprocessError) as error:
                server.failures.append(f"the end: {error}")
        shutil.rmtree(directory, ignore_errors=True)
        harness.BUILD = build
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
