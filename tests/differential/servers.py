"""servers.py — perdure and its three peers, serving the same directory, configured to be as alike as can be.

Alike: no listings, dot files hidden, packed siblings served, one or two workers, no TRACE, no HTTP/2, bodies to 1 MiB,
no logs of requests. What a server has no setting for stays a difference, explained in differences.toml.
"""
import os
import shutil
import signal
import socket
import subprocess

import harness

PEERS = ("nginx", "apache", "h2o")
UNPACKED = harness.REPOSITORY / "build" / "peers"  # by scripts/peers
APACHE = "/usr/sbin/apache2"
APACHE_MODULES = "/usr/lib/apache2/modules"
USER = "www-data"

NGINX = """
{user}
daemon off; pid {directory}/nginx.pid; error_log {directory}/nginx.log; worker_processes 1;
events {{ worker_connections 512; }}
http {{
    access_log off; gzip_static on; gzip_vary on; client_max_body_size 1m; port_in_redirect off;
    types {{ text/plain txt; text/html html; }}
    client_body_temp_path {directory}/nginx.tmp; proxy_temp_path {directory}/nginx.tmp;
    fastcgi_temp_path {directory}/nginx.tmp; uwsgi_temp_path {directory}/nginx.tmp;
    scgi_temp_path {directory}/nginx.tmp;
    server {{
        listen {host}:{port}; root {root};
        location ~ /\\.(?!\\.) {{ return 404; }}
    }}
}}
"""

APACHE_CONF = """
{user}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule headers_module {modules}/mod_headers.so
LoadModule rewrite_module {modules}/mod_rewrite.so
ServerRoot {directory}
ServerName a.example
DefaultRuntimeDir {directory}
PidFile {directory}/apache.pid
ErrorLog {directory}/apache.log
Listen {host}:{port}
TypesConfig /dev/null
AddType text/plain .txt
AddType text/html .html
AcceptPathInfo Off
StartServers 1
ServerLimit 2
MaxRequestWorkers 50
TraceEnable Off
KeepAliveTimeout 60
LimitRequestBody 1048576
DocumentRoot {root}
<Directory {root}>
    Require all granted
    Options FollowSymLinks
    DirectoryIndex index.html
</Directory>
RedirectMatch 404 "/\\.(?!\\.)"
# Packed siblings, as Apache's manual has it (mod_deflate, "Serving pre-compressed content").
RewriteEngine On
RewriteCond "%{{HTTP:Accept-Encoding}}" "br"
RewriteCond "{root}%{{REQUEST_URI}}.br" -s
RewriteRule "^(.*)" "$1.br" [QSA]
RewriteCond "%{{HTTP:Accept-Encoding}}" "gzip"
RewriteCond "{root}%{{REQUEST_URI}}.gz" -s
RewriteRule "^(.*\\.txt)$" "$1.gz" [QSA]
AddEncoding gzip .gz
AddEncoding br .br
"""

H2O = """
{user}
error-log: {directory}/h2o.log
num-threads: 1
num-name-resolution-threads: 1
http1-upgrade-to-http2: OFF
limit-request-body: 1048576
hosts:
  "*":
    listen: {{ host: {host}, port: {port} }}
    paths:
      "/":
        file.dir: {root}
        file.index: [ index.html ]
        file.send-compressed: ON
        file.dirlisting: OFF
"""


class Peer:
    """One server that is not perdure: in the foreground, as a child of this process."""

    def __init__(self, name, template, words, user, root):
        self.name = name
        self.directory = harness.make_directory()
        self.host, self.port = harness.free_address()
        self.token = f"PERDURE_TEST={self.directory.name}"
        names = {"directory": self.directory, "host": self.host, "port": self.port, "root": root,
                 "modules": APACHE_MODULES, "user": user if harness.IS_ROOT else ""}
        (self.directory / f"{name}.conf").write_text(template.format(**names))
        self.words = [word.format(**names) for word in words]
        self.process = None

    def start(self):
        with open(self.directory / f"{self.name}.out", "ab") as out:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, "PERDURE_TEST": self.directory.name})
        harness.wait_until(self.is_serving, lambda: f"{self.name} does not serve: {self.log()}")
        return self

    def is_serving(self):
        assert self.process.poll() is None, f"{self.name} ended: {self.log()}"
        with socket.socket() as probe:
            return probe.connect_ex((self.host, self.port)) == 0

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.directory.glob("*.[lo][ou][gt]"))[-5000:]

    def close(self):
        """Ask it to end, and see that nothing of it is left."""
        try:
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
                self.process.wait(harness.PATIENCE_S)
        finally:
            if self.process is not None and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in harness.processes_of(self.directory, self.token):
                harness.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.directory, ignore_errors=True)


def make_perdure():
    return harness.Server(workers=2, body_limit="1m")


def make_peers(root):
    subprocess.run([harness.REPOSITORY / "scripts" / "peers"], check=True)
    assert os.path.exists(APACHE), f"{APACHE} is missing; run: scripts/packages test"
    nginx, h2o = UNPACKED / "usr/sbin/nginx", UNPACKED / "usr/bin/h2o"
    return [
        Peer("nginx", NGINX, [str(nginx), "-e", "{directory}/nginx.log", "-c", "{directory}/nginx.conf"],
             f"user {USER};", root),
        Peer("apache", APACHE_CONF, [APACHE, "-D", "FOREGROUND", "-f", "{directory}/apache.conf"],
             f"User {USER}\nGroup {USER}", root),
        Peer("h2o", H2O, [str(h2o), "-m", "worker", "-c", "{directory}/h2o.conf"], f"user: {USER}", root),
    ]
