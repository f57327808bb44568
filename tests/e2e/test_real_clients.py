"""Clients that people use: curl, wrk, ab and a browser."""
import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import urllib.parse

import pytest

import harness

SAMPLE_SITE = harness.REPOSITORY / "etc" / "www"


def run(*words, seconds=60, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, timeout=seconds, check=False,
                          stdin=subprocess.DEVNULL, **options)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


@pytest.fixture
def sample(make_server):
    """A Server of a copy of the sample site: the repository may be where a worker's user cannot look."""
    server = make_server(listing=True)
    shutil.copytree(SAMPLE_SITE, server.root, dirs_exist_ok=True)
    for path in [server.root, *server.root.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return server.start()


# ---- curl ----

def test_curl_downloads_resumes_and_asks_again(make_server):
    server = make_server()
    data = os.urandom(1 << 20) * 8
    (server.root / "large.bin").write_bytes(data)
    server.start()
    url, target = f"{server.url}/large.bin", server.directory / "copy"
    run("curl", "-sf", "-o", target, url)
    assert target.read_bytes() == data
    target.write_bytes(data[:3_000_000])
    run("curl", "-sf", "-C", "-", "-o", target, url)
    assert target.read_bytes() == data
    tag = re.search(rb"(?i)^etag: (.+?)\r$", run("curl", "-sfI", url), re.M)[1].decode()
    status = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"If-None-Match: {tag}", url)
    assert status == b"304"


def test_curl_follows_the_redirect_and_unpacks(sample):
    assert b"plain.txt" in run("curl", "-sfL", f"{sample.url}/listing")
    packed = sample.root / "page.html"
    packed.write_text("<p>plain")
    (sample.root / "page.html.gz").write_bytes(gzip.compress(b"<p>packed"))
    assert run("curl", "-sf", "--compressed", f"{sample.url}/page.html") == b"<p>packed"
    assert run("curl", "-sf", f"{sample.url}/page.html") == b"<p>plain"


def test_curl_uses_one_connection(sample):
    urls = [f"{sample.url}/style.css?{number}" for number in range(20)]
    out = run("curl", "-sf", *[word for url in urls for word in ("-o", "/dev/null", url)], "-w", "%{num_connects}\n")
    assert out.split() == [b"1"] + [b"0"] * 19


def test_curl_does_not_notice_kills_and_reloads_during_a_download(make_server):
    server = make_server()
    data = os.urandom(1 << 20) * 24
    (server.root / "large.bin").write_bytes(data)
    server.start()
    target = server.directory / "copy"
    curl = subprocess.Popen(["curl", "-sf", "--limit-rate", "12M", "-o", str(target), f"{server.url}/large.bin"])
    try:
        disturbances = 0
        while curl.poll() is None:
            slot = disturbances % 2
            server.wait_succeeded(slot, server.kill_worker(slot))
            if disturbances % 5 == 4:
                assert server.reload(idle_timeout=f"{60 + disturbances}s").returncode == 0
            disturbances += 1
        assert curl.wait() == 0 and disturbances > 5
    finally:
        curl.kill()
        curl.wait()
    assert hashlib.sha256(target.read_bytes()).digest() == hashlib.sha256(data).digest()


# ---- load generators ----

def test_wrk_sees_no_errors(sample):
    out = run("wrk", "-t1", "-c32", "-d2s", f"{sample.url}/style.css").decode()
    assert "Non-2xx" not in out and "Socket errors" not in out, out
    assert float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1]) > 100


@pytest.mark.parametrize("options", [[], ["-k"]], ids=["close", "keep-alive"])
def test_ab_sees_no_failures(sample, options):
    out = run("ab", "-q", *options, "-n", "3000", "-c", "20", f"{sample.url}/style.css").decode()
    assert re.search(r"Complete requests:\s+3000", out), out
    assert re.search(r"Failed requests:\s+0", out), out
    assert "Non-2xx" not in out


# ---- a browser ----

def browse(directory, url):
    """The page as the browser made it, as HTML."""
    profile = pathlib.Path(directory) / "profile"
    profile.mkdir()
    try:
        return run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                   "--disable-dev-shm-usage", "--disable-background-networking",
                   "--disable-component-update", "--disable-sync", f"--user-data-dir={profile}",
                   "--timeout=20000", "--dump-dom", url, seconds=90).decode()
    finally:
        shutil.rmtree(profile, ignore_errors=True)


def test_a_browser_opens_the_sample_site(sample):
    sample.write_config(access_log=str(sample.access_log))
    assert sample.verb("reload").returncode == 0
    page = browse(sample.directory, sample.url + "/")
    assert "<h1>perdure</h1>" in page and "It works." in page
    harness.wait_until(lambda: "style.css" in sample.access_log.read_text(), "the style sheet was not asked for")
    lines = sample.access_log.read_text().splitlines()
    assert all('" 200 ' in line or '" 304 ' in line for line in lines if "favicon.ico" not in line), lines


def test_a_browser_opens_a_listing(sample):
    page = browse(sample.directory, f"{sample.url}/listing/")
    names = [path.name for path in (sample.root / "listing").iterdir() if path.is_file() and path.name[0] != "."]
    links = [urllib.parse.unquote(link) for link in re.findall(r'href="([^"]+)"', page)]
    for name in names:
        assert any(link.replace("&amp;", "&").endswith(name) for link in links), (name, links)
    assert "<pepper>" not in page and ".hidden" not in page
