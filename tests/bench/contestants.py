"""contestants.py — perdure, its peers and the limit, each set up for static files and speed as its own manual has it.

No logs of requests; connections that are kept are kept for an hour and for as many requests as there are; as many workers
as the setting has; room for all connections that any work makes.
"""
import contextlib
import http.client
import io
import os
import re
import resource
import signal
import socket
import subprocess
import time

import harness
import servers

CONNECTIONS = 16384
DESCRIPTORS = CONNECTIONS + 1024
PERDURE, LIMIT = "perdure", "limit"
HARD_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
# lighttpd has half as many connections as it may have descriptors, at most: on machines with a low limit, fewer than others.
LIGHTTPD_DESCRIPTORS = min(2 * DESCRIPTORS, HARD_LIMIT)
# nginx keeps each file that it remembers open. No work has many connections and many files.
NGINX_DESCRIPTORS = max(DESCRIPTORS, min(200000, HARD_LIMIT))
NGINX_FILES = NGINX_DESCRIPTORS - 1024
PATIENCE_S = 20
APACHE_THREADS = 128  # of each of its processes
LOOK_S = 0.0002  # between two looks whether a server answers: much less than any of them takes to start

NGINX = """
{user}
daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log; worker_processes @WORKERS@;
worker_rlimit_nofile @NGINX_DESCRIPTORS@;
events {{ worker_connections @CONNECTIONS@; }}
http {{
    access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
    keepalive_timeout 1h; keepalive_requests 1000000000;
    open_file_cache max=@NGINX_FILES@ inactive=60s; open_file_cache_valid 1s; open_file_cache_errors on;
    types {{ text/html html; }} default_type application/octet-stream;
    client_body_temp_path {directory}/nginx.tmp; proxy_temp_path {directory}/nginx.tmp;
    fastcgi_temp_path {directory}/nginx.tmp; uwsgi_temp_path {directory}/nginx.tmp;
    scgi_temp_path {directory}/nginx.tmp;
    server {{ listen {host}:{port} backlog=4096; root {root}; }}
}}
"""

H2O = """
{user}
error-log: {directory}/h2o.log
num-threads: @WORKERS@
num-name-resolution-threads: 1
max-connections: @CONNECTIONS@
http1-request-timeout: 3600
hosts:
  "*":
    listen: {{ host: {host}, port: {port} }}
    paths:
      "/":
        file.dir: {root}
"""

# max-keep-alive-requests: a 16-bit number, of which 0 means that no connection is kept at all. max-worker: 0 is one process
# that does everything, which the manual recommends; with more, there is a parent besides.
LIGHTTPD = """
{user}
server.document-root = "{root}"
server.bind = "{host}"
server.port = {port}
server.listen-backlog = 4096
server.max-fds = @LIGHTTPD_DESCRIPTORS@
server.max-connections = @LIGHTTPD_CONNECTIONS@
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = 3600
server.max-worker = @LIGHTTPD_WORKERS@
mimetype.assign = ( ".html" => "text/html", ".bin" => "application/octet-stream" )
"""

# More threads than the loads have connections: when all are busy, it closes those that were to be kept. Connections that
# rest need none (AsyncRequestWorkerFactor). MinSpareThreads: all processes, also after a reload.
APACHE = """
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule mime_module {modules}/mod_mime.so
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ErrorLog {directory}/apache.log
Listen {host}:{port}
ListenBacklog 4096
TypesConfig /dev/null
AddType text/html .html
AddType application/octet-stream .bin
StartServers @WORKERS@
ServerLimit @WORKERS@
ThreadLimit @THREADS_EACH@
ThreadsPerChild @THREADS_EACH@
MinSpareThreads @THREADS@
MaxSpareThreads @THREADS@
MaxRequestWorkers @THREADS@
AsyncRequestWorkerFactor 200
MaxConnectionsPerChild 0
KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 3600
EnableSendfile On
DocumentRoot {root}
<Directory {root}>
    Require all granted
    AllowOverride None
    Options FollowSymLinks
</Directory>
"""


def first_answer(address, alive, path="/1k.bin"):
    """Wait until ADDRESS answers. ALIVE raises if nobody will."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(address, timeout=PATIENCE_S) as probe:
            probe.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            if probe.recv(12) == b"HTTP/1.1 200":
                return
        alive()
        time.sleep(LOOK_S)
    raise AssertionError(f"{address} does not answer within {PATIENCE_S} s")


def get(address, path, headers):
    """(status, body's length, ETag) of an answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE_S)
    try:
        connection.request("GET", path, headers=dict(header.split(": ", 1) for header in headers))
        answer = connection.getresponse()
        return answer.status, len(answer.read()), answer.getheader("ETag")
    finally:
        connection.close()


class Perdure:
    name = PERDURE
    connections = CONNECTIONS

    def __init__(self, root, setting, work):
        self.server = harness.Server(workers=setting.workers, connections=CONNECTIONS, idle_timeout="1h", **work.perdure)
        self.server.root = root
        self.server.write_config()
        self.address = (self.server.host, self.server.port)

    def begin(self):
        with open(self.server.directory / "run.out", "ab") as out:
            self.server.foreground = subprocess.Popen(self.server.command("run"), stdout=out, stderr=out,
                                                      stdin=subprocess.DEVNULL, env=self.server.environment())

    def check_alive(self):
        assert self.server.foreground.poll() is None, self.server.log()[-2000:]

    def settle(self):
        """What a start still has to do when it answers already: the keepers."""
        self.server.wait_serving()

    def pids(self):
        return list(harness.processes_of(self.server.directory, self.server.token))

    def worker_pids(self):
        return {worker["pid"] for worker in self.server.workers()}

    def epoll_pids(self):
        """Not the keepers, which show what their workers have."""
        return self.worker_pids()

    def reload(self):
        """Seconds until the verb returns, which is when it is done."""
        old = self.worker_pids()
        self.server.write_config(idle_timeout="59m")
        began = time.monotonic()
        done = subprocess.run(self.server.command("reload"), capture_output=True, text=True, check=False,
                              env=self.server.environment(), timeout=PATIENCE_S)
        took = time.monotonic() - began
        assert done.returncode == 0 and not old & self.worker_pids(), f"reload: {done.stdout}{done.stderr}"
        return took

    def close(self):
        with contextlib.redirect_stdout(io.StringIO()):  # its log
            self.server.close()


class Peer(servers.Peer):
    """RELOAD: the signal for it, None if this server has none without a helper of its own."""

    def __init__(self, name, template, words, user, root, setting, reload=None):
        numbers = {"WORKERS": setting.workers, "CONNECTIONS": CONNECTIONS, "DESCRIPTORS": DESCRIPTORS,
                   "THREADS_EACH": APACHE_THREADS, "THREADS": APACHE_THREADS * setting.workers,
                   "NGINX_FILES": NGINX_FILES, "NGINX_DESCRIPTORS": NGINX_DESCRIPTORS,
                   "LIGHTTPD_DESCRIPTORS": LIGHTTPD_DESCRIPTORS, "LIGHTTPD_CONNECTIONS": LIGHTTPD_DESCRIPTORS // 2,
                   "LIGHTTPD_WORKERS": setting.workers if setting.workers > 1 else 0}
        for word, number in numbers.items():
            template = template.replace(f"@{word}@", str(number))
        super().__init__(name, template, words, user, root)
        self.address = (self.host, self.port)
        self.reload_signal = reload
        self.connections = CONNECTIONS

    def begin(self):
        with open(self.directory / f"{self.name}.out", "ab") as out:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, "PERDURE_TEST": self.directory.name})

    def check_alive(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.log()}"

    def settle(self):
        pass

    def pids(self):
        return list(harness.processes_of(self.directory, self.token))

    def worker_pids(self):
        return {int(pid) for pid in harness.read_proc(self.process.pid, f"task/{self.process.pid}/children").split()}

    def epoll_pids(self):
        return self.pids()

    def reload(self):
        """Seconds from the signal until the last worker of before is gone and there are as many new ones."""
        old = self.worker_pids()
        if self.reload_signal is None or not old:
            return None
        began = time.monotonic()
        os.kill(self.process.pid, self.reload_signal)
        while time.monotonic() < began + PATIENCE_S:
            now = self.worker_pids()
            if not now & old and len(now) >= len(old):
                return time.monotonic() - began
            time.sleep(LOOK_S)
        return None


def _limit(root, setting, work):
    words = [str(harness.BUILD / "limit"), "--host", "{host}", "--port", "{port}", "--bytes", str(work.limit_bytes),
             "--workers", str(setting.workers), *work.limit_options]
    return Peer(LIMIT, "", words, "", root, setting)


def _nginx(root, setting, _work):
    words = [str(servers.UNPACKED / "usr/sbin/nginx"), "-e", "{directory}/nginx.log", "-c", "{directory}/nginx.conf"]
    return Peer("nginx", NGINX, words, f"user {servers.USER};", root, setting, signal.SIGHUP)


def _h2o(root, setting, _work):
    words = [str(servers.UNPACKED / "usr/bin/h2o"), "-m", "worker", "-c", "{directory}/h2o.conf"]
    return Peer("h2o", H2O, words, f"user: {servers.USER}", root, setting)


def _lighttpd(root, setting, _work):
    program, modules = servers.UNPACKED / "usr/sbin/lighttpd", servers.UNPACKED / "usr/lib/lighttpd"
    words = [str(program), "-D", "-m", str(modules), "-f", "{directory}/lighttpd.conf"]
    peer = Peer("lighttpd", LIGHTTPD, words, f'server.username = "{servers.USER}"', root, setting, signal.SIGUSR1)
    peer.connections = min(CONNECTIONS, LIGHTTPD_DESCRIPTORS // 2)
    return peer


def _apache(root, setting, _work):
    words = [servers.APACHE, "-D", "FOREGROUND", "-f", "{directory}/apache.conf"]
    return Peer("apache", APACHE, words, f"User {servers.USER}\nGroup {servers.USER}", root, setting, signal.SIGUSR1)


MAKERS = {PERDURE: Perdure, LIMIT: _limit, "nginx": _nginx, "h2o": _h2o, "lighttpd": _lighttpd, "apache": _apache}
NAMES = tuple(MAKERS)
PEERS = tuple(name for name in NAMES if name not in (PERDURE, LIMIT))


def start(contestant):
    """Seconds from the start of its program to its first answer."""
    began = time.monotonic()
    contestant.begin()
    first_answer(contestant.address, contestant.check_alive)
    return time.monotonic() - began


@contextlib.contextmanager
def contest(names, root, setting, work):
    """Those named, made but not started, by their names; ended and looked over behind it."""
    with contextlib.ExitStack() as ends:
        everyone = {}
        for name in names:
            everyone[name] = MAKERS[name](root, setting, work)
            ends.callback(everyone[name].close)
        yield everyone


def versions():
    """What each program says of itself."""
    words = {PERDURE: [harness.BUILD / "perdure", "--version"], "nginx": [servers.UNPACKED / "usr/sbin/nginx", "-v"],
             "h2o": [servers.UNPACKED / "usr/bin/h2o", "-v"], "lighttpd": [servers.UNPACKED / "usr/sbin/lighttpd", "-v"],
             "apache": [servers.APACHE, "-v"]}
    found = {}
    for name, command in words.items():
        said = subprocess.run(command, capture_output=True, text=True, check=False)
        number = re.search(r"\d+\.\d+[\w.]*", said.stdout + said.stderr)
        found[name] = number[0] if number else "unknown"
    return found
