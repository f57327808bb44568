"""Files are served as RFC 9110 says: whole, in parts, on conditions, compressed beforehand, from directories."""
import email.utils
import os
import socket
import time

import pytest

import harness

pytestmark = pytest.mark.sanitized

TEXT = b"".join(b"line %03d\n" % number for number in range(100))  # 900 bytes
LONG_AGO = time.time() - 86400


@pytest.fixture
def site(make_server):
    """A Server of a small site, started."""
    server = make_server(file_cache_valid="0ms")
    put(server, "index.html", b"<h1>home</h1>")
    put(server, "text.txt", TEXT)
    put(server, "empty.txt", b"")
    put(server, "sub/index.html", b"<h1>sub</h1>")
    put(server, "bare/file.txt", b"in bare")
    put(server, ".hidden", b"secret")
    put(server, ".well-known/security.txt", b"Contact: nobody")
    put(server, "odd & <name> %.txt", b"odd")
    return server.start()


def put(server, name, data):
    """Write a file that is a day old, so that its ETag is a strong one."""
    path = server.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


# ---- whole files ----

def test_a_file_comes_whole_with_what_describes_it(site):
    response = site.get("/text.txt")
    assert (response.status, response.version, response.body) == (200, "HTTP/1.1", TEXT)
    assert response["Content-Length"] == "900"
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert response["Accept-Ranges"] == "bytes"
    assert response["ETag"].startswith('"') and response["ETag"].endswith('"')
    assert response["Last-Modified"] == email.utils.formatdate(int(LONG_AGO), usegmt=True)
    assert abs(email.utils.parsedate_to_datetime(response["Date"]).timestamp() - time.time()) < 5


def test_head_is_get_without_the_body(site):
    with site.connect() as client:
        got, asked = client.get("/text.txt"), client.get("/text.txt", method="HEAD")
        assert client.is_quiet()
    assert asked.status == 200 and asked.body == b""
    without_date = [[field for field in response.fields if field[0] != "date"] for response in (got, asked)]
    assert without_date[0] == without_date[1]


def test_an_empty_file_is_a_whole_response(site):
    with site.connect() as client:
        assert client.get("/empty.txt").body == b""
        assert client.get("/text.txt").body == TEXT


def test_a_large_file_is_served_whole(make_server):
    server = make_server(workers=1)
    data = os.urandom(1 << 20) * 40
    put(server, "large.bin", data)
    server.start()
    assert server.get("/large.bin").body == data


@pytest.mark.parametrize("name, expected", [
    ("page.html", "text/html; charset=utf-8"), ("style.css", "text/css; charset=utf-8"), ("pixel.png", "image/png"),
    ("code.js", "text/javascript; charset=utf-8"), ("data.json", "application/json; charset=utf-8"),
    ("logo.svg", "image/svg+xml; charset=utf-8"),
    ("clip.mp4", "video/mp4"), ("font.woff2", "font/woff2"), ("a.tar.xz", "application/x-xz"),
    ("UPPER.HTML", "text/html; charset=utf-8"), ("unknown.zzzz", "application/octet-stream"),
    ("README", "application/octet-stream"), ("program.wasm", "application/wasm"),
])
def test_content_type_follows_the_name(site, name, expected):
    put(site, name, b"x")
    assert site.get("/" + name)["Content-Type"] == expected


def test_options_says_what_is_done_here(site):
    with site.connect() as client:
        for target in ("/text.txt", "*"):
            response = client.get(target, method="OPTIONS")
            assert response.status in (200, 204)
            assert {"GET", "HEAD", "OPTIONS"} <= set(response["Allow"].replace(" ", "").split(","))


@pytest.mark.parametrize("method, status", [("POST", 405), ("PUT", 405), ("DELETE", 405), ("PATCH", 405),
                                            ("TRACE", 405), ("BREW", 501), ("get", 501)])
def test_other_methods_are_refused(site, method, status):
    response = site.get("/text.txt", method=method)
    assert response.status == status
    assert (response["Allow"] is not None) == (status == 405)


def test_a_changed_file_is_served_changed(site):
    with site.connect() as client:
        before = client.get("/text.txt")
        replacement = put(site, "text.new", b"new")
        replacement.rename(site.root / "text.txt")
        after = client.get("/text.txt")
        assert after.body == b"new" and after["ETag"] != before["ETag"]
        (site.root / "text.txt").unlink()
        assert client.get("/text.txt").status == 404


# ---- ranges ----

@pytest.mark.parametrize("field, part, content_range", [
    ("bytes=0-8", TEXT[:9], "bytes 0-8/900"), ("bytes=890-", TEXT[890:], "bytes 890-899/900"),
    ("bytes=-9", TEXT[-9:], "bytes 891-899/900"), ("bytes=5-99999", TEXT[5:], "bytes 5-899/900"),
    ("bytes=-99999", TEXT, "bytes 0-899/900"), ("bytes=899-899", TEXT[899:], "bytes 899-899/900"),
    ("Bytes=0-0", TEXT[:1], "bytes 0-0/900"),
])
def test_one_range(site, field, part, content_range):
    response = site.get("/text.txt", f"Range: {field}")
    assert (response.status, response["Content-Range"], response.body) == (206, content_range, part)
    assert response["ETag"] and response["Last-Modified"]


@pytest.mark.parametrize("field", ["bytes=900-", "bytes=1000-2000", "bytes=-0"])
def test_a_range_beyond_the_file_is_416(site, field):
    response = site.get("/text.txt", f"Range: {field}")
    assert response.status == 416 and response["Content-Range"] == "bytes */900"


@pytest.mark.parametrize("field", ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=", "bytes=-", "bytes 0-5",
                                   "bytes=0-5,5-3", "bytes=" + ",".join(["0-"] * 100)])
def test_a_range_that_makes_no_sense_is_ignored(site, field):
    response = site.get("/text.txt", f"Range: {field}")
    assert response.status == 200 and response.body == TEXT


def parts_of(response):
    """[(Content-Range, bytes)] of a multipart/byteranges body."""
    kind, _, boundary = response["Content-Type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    sections = (b"\r\n" + response.body).split(b"\r\n--" + boundary.strip('"').encode())
    assert sections[0] == b"" and sections[-1].strip() == b"--"
    parts = []
    for section in sections[1:-1]:
        head, _, data = section.lstrip(b"\r\n").partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        assert fields["Content-Type"] == "text/plain; charset=utf-8"
        parts.append((fields["Content-Range"], data))
    return parts


def test_several_ranges_come_as_parts_in_the_order_asked(site):
    with site.connect() as client:
        response = client.get("/text.txt", "Range: bytes=100-109, 0-4, -3")
        assert response.status == 206 and response["Content-Range"] is None
        assert parts_of(response) == [("bytes 100-109/900", TEXT[100:110]), ("bytes 0-4/900", TEXT[:5]),
                                      ("bytes 897-899/900", TEXT[-3:])]
        assert client.get("/text.txt").body == TEXT


def test_of_several_ranges_those_beyond_the_file_are_left_out(site):
    response = site.get("/text.txt", "Range: bytes=0-1,5000-6000")
    assert response.status == 206
    assert response.body == TEXT[:2] if response["Content-Range"] else len(parts_of(response)) == 1


def test_head_ignores_or_honours_range_without_a_body(site):
    with site.connect() as client:
        assert client.get("/text.txt", "Range: bytes=0-1", method="HEAD").status in (200, 206)
        assert client.get("/text.txt").body == TEXT


# ---- conditions ----

def test_a_copy_that_is_still_good_is_304(site):
    with site.connect() as client:
        first = client.get("/text.txt")
        tag, date = first["ETag"], first["Last-Modified"]
        for field in (f"If-None-Match: {tag}", f'If-None-Match: "x", {tag}', f"If-None-Match: W/{tag}",
                      "If-None-Match: *", f"If-Modified-Since: {date}"):
            for method in ("GET", "HEAD"):
                response = client.get("/text.txt", field, method=method)
                assert response.status == 304, field
                assert response["ETag"] == tag
        assert client.is_quiet()


@pytest.mark.parametrize("field, status", [
    ('If-None-Match: "other"', 200), ("If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT", 200),
    ("If-Modified-Since: not a date", 200), ('If-Match: "other"', 412), ("If-Match: *", 200),
    ("If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT", 412), ("If-Unmodified-Since: not a date", 200),
])
def test_conditions(site, field, status):
    assert site.get("/text.txt", field).status == status


def test_if_none_match_outweighs_if_modified_since(site):
    date = site.get("/text.txt")["Last-Modified"]
    assert site.get("/text.txt", 'If-None-Match: "other"', f"If-Modified-Since: {date}").status == 200


def test_if_range_gives_the_part_only_of_the_same_file(site):
    first = site.get("/text.txt")
    for validator, status in ((first["ETag"], 206), (first["Last-Modified"], 206), ('"other"', 200),
                              ("W/" + first["ETag"], 200), ("Mon, 01 Jan 2001 00:00:00 GMT", 200)):
        assert site.get("/text.txt", "Range: bytes=0-9", f"If-Range: {validator}").status == status, validator


# ---- compressed siblings ----

@pytest.fixture
def compressed(site):
    put(site, "page.html", b"<p>plain")
    for suffix in ("gz", "br", "zst"):
        put(site, f"page.html.{suffix}", suffix.encode())
    return site


@pytest.mark.parametrize("accepted, encoding", [
    (None, None), ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip;q=0", None), ("identity", None),
    ("gzip;q=0.5, br;q=0.9", "br"), ("deflate", None), ("GZIP", "gzip"), ("gzip;q=1.0, *;q=0", "gzip"),
    ("x-gzip", "gzip"), ("", None),
])
def test_a_compressed_sibling_is_served_to_who_accepts_it(compressed, accepted, encoding):
    response = compressed.get("/page.html", *([] if accepted is None else [f"Accept-Encoding: {accepted}"]))
    bodies = {None: b"<p>plain", "gzip": b"gz", "br": b"br", "zstd": b"zst"}
    assert (response["Content-Encoding"], response.body) == (encoding, bodies[encoding])
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert ("accept-encoding" in (response["Vary"] or "").lower()) == (encoding is not None)


def test_a_file_varies_once_somebody_would_have_taken_its_sibling(site):
    put(site, "page.html", b"<p>plain")
    put(site, "page.html.gz", b"gz")
    assert site.get("/page.html")["Vary"] is None  # right for everybody, so a cache may give it to everybody
    for _ in range(20):  # each worker learns by itself
        response = site.get("/page.html", "Accept-Encoding: br")
        assert (response.body, response["Vary"]) == (b"<p>plain", "Accept-Encoding")


def test_each_encoding_has_an_etag_of_its_own(compressed):
    tags = {compressed.get("/page.html", f"Accept-Encoding: {coding}")["ETag"] for coding in ("gzip", "br", "identity")}
    assert len(tags) == 3


# ---- directories ----

def test_an_index_stands_for_its_directory(site):
    assert site.get("/").body == b"<h1>home</h1>"
    assert site.get("/sub/").body == b"<h1>sub</h1>"


def test_a_directory_without_its_slash_is_redirected(site):
    response = site.get("/sub?a=b")
    assert response.status == 301 and response["Location"] in ("/sub/?a=b", site.url + "/sub/?a=b")


def test_a_redirect_leads_to_this_site_only(site):
    (site.root / "evil.example").mkdir()
    response = site.get("//evil.example")
    assert response.status in (301, 404) and not (response["Location"] or "/").startswith("//")


def test_a_directory_without_index_is_403_unless_listings_are_wanted(site):
    assert site.get("/bare/").status == 403
    site.site["listing"] = True
    assert site.reload(workers=2).returncode == 0
    response = site.get("/bare/")
    assert response.status == 200 and b"file.txt" in response.body
    assert response["Content-Type"] == "text/html; charset=utf-8"


def test_a_listing_is_sorted_escaped_and_discreet(make_server):
    server = make_server(listing=True)
    for name in ("b.txt", "a.txt", "zoo/inside.txt", ".secret", "<script>alert(1)<.txt", "100% & more.txt"):
        put(server, name.replace("/script", "-script"), b"x" * 2048)
    os.symlink("/etc/passwd", server.root / "outside")
    os.symlink("a.txt", server.root / "link.txt")
    os.mkfifo(server.root / "pipe")
    server.start()
    page = server.get("/").body.decode()
    assert page.index("zoo/") < page.index("a.txt") < page.index("b.txt")
    assert "link.txt" in page
    for absent in (".secret", "outside", "pipe", "<script>", "inside.txt"):
        assert absent not in page
    assert "&lt;script&gt;" in page and 'href="100%25%20%26%20more.txt"' in page.replace("./", "")
    assert server.get("/100%25%20%26%20more.txt").status == 200


# ---- what is not served ----

@pytest.mark.parametrize("target, status", [
    ("/nothing", 404), ("/text.txt/", 404), ("/text.txt/x", 404), ("/sub/nothing/", 404), ("/.hidden", 404),
    ("/sub/../.hidden", 404), ("/%2ehidden", 404), ("/.well-known/security.txt", 200), ("/sub/../text.txt", 200),
    ("/sub%2Findex.html", 404), ("/te%78t.txt", 200), ("/odd%20%26%20%3Cname%3E%20%25.txt", 200),
    ("/../text.txt", 400), ("/sub/../../text.txt", 400), ("/%2e%2e/text.txt", 400), ("/%00", 400), ("/a%zz", 400),
    ("/text.txt?query", 200), ("//text.txt", 200), ("/./text.txt", 200),
])
def test_paths(site, target, status):
    assert site.get(target).status == status


def test_links_lead_nowhere_outside_the_root(site):
    os.symlink("/etc/passwd", site.root / "passwd")
    os.symlink("../../../../../../etc", site.root / "etc")
    os.symlink("text.txt", site.root / "link.txt")
    assert site.get("/link.txt").body == TEXT
    assert site.get("/passwd").status in (403, 404)
    assert site.get("/etc/passwd").status in (403, 404)


def wait_settled(path):
    """PATH was changed so long ago that its bytes are kept in memory."""
    harness.wait_until(lambda: time.time() > path.stat().st_ctime + 0.5, f"{path} does not grow older")


def keep_and_ask(site, path):
    """Each worker has /PATH in its memory: how many times it is asked for says so but for a chance in a million."""
    wait_settled(site.root / path)
    for _ in range(20):
        assert site.get(f"/{path}").body == TEXT


def statuses(site, path):
    return {site.get(f"/{path}").status for _ in range(20)}


@pytest.fixture(params=["0ms", "20ms"])
def known(make_server, request):
    """A Server that has dir/known.txt in its memory, and will look at it again."""
    server = make_server(file_cache_valid=request.param)
    put(server, "dir/known.txt", TEXT)
    server.start()
    keep_and_ask(server, "dir/known.txt")
    return server


def assert_becomes(known, status):
    harness.wait_until(lambda: statuses(known, "dir/known.txt") == {status},
                       lambda: f"{statuses(known, 'dir/known.txt')}, not {status}")


@pytest.mark.parametrize("leads_by", ["the file", "its directory"])
def test_a_link_that_takes_the_place_of_a_file_leads_nowhere_outside_either(known, leads_by):
    """What is known of a file is looked at again by its path alone: that must not be how another gets in, which looks
    the same."""
    outside = put(known, "../outside/known.txt", TEXT)
    if leads_by == "the file":
        (known.root / "dir/known.txt").unlink()
        os.symlink(outside, known.root / "dir/known.txt")
    else:
        (known.root / "dir").rename(known.root / "other")
        os.symlink(outside.parent, known.root / "dir")
    assert_becomes(known, 404)


@pytest.mark.parametrize("moved", ["dir/known.txt", "dir"])
def test_what_was_moved_out_is_gone_though_a_link_leads_to_it(known, moved):
    outside = known.directory / "moved"
    (known.root / moved).rename(outside)
    os.symlink(outside, known.root / moved)
    assert_becomes(known, 404)


def test_a_directory_that_is_closed_hides_what_was_served_from_it(known):
    (known.root / "dir").chmod(0)
    try:
        assert_becomes(known, 403)
    finally:
        (known.root / "dir").chmod(0o755)


def test_a_file_in_memory_is_served_as_it_is_now(site):
    path = put(site, "known.txt", TEXT)
    for change in ("written over", "replaced", "cut", "removed"):
        keep_and_ask(site, "known.txt")
        if change == "written over":
            with path.open("r+b") as file:
                file.write(TEXT[::-1])
            os.utime(path, (LONG_AGO, LONG_AGO))  # whoever goes by that sees nothing
        elif change == "replaced":
            put(site, "new.txt", TEXT[::-1]).rename(path)
        elif change == "cut":
            os.truncate(path, 10)
        else:
            path.unlink()
        bodies = {site.get("/known.txt").body for _ in range(20)}
        expected = {"cut": TEXT[:10]}.get(change, TEXT[::-1])
        assert change == "removed" or bodies == {expected}, change
        if change == "removed":
            assert statuses(site, "known.txt") == {404}
        put(site, "known.txt", TEXT)


def test_what_is_no_file_is_403_and_never_a_hang(site):
    os.mkfifo(site.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(site.root / "socket"))
        with site.connect() as client:
            assert client.get("/pipe").status == 403
            assert client.get("/socket").status == 403
            assert client.get("/text.txt").status == 200


def test_a_file_that_may_not_be_read_is_403(site):
    put(site, "private.txt", b"x").chmod(0o000)
    put(site, "locked/file.txt", b"x").parent.chmod(0o000)
    try:
        assert site.get("/private.txt").status == 403
        assert site.get("/locked/file.txt").status in (403, 404)
    finally:
        (site.root / "locked").chmod(0o755)


@pytest.mark.parametrize("target, status", [("/nothing", 404), ("/.hidden", 404), ("/bare/", 403)])
def test_error_pages_are_for_people(site, target, status):
    with site.connect() as client:
        response = client.get(target)
        assert response.status == status and str(status) in response.body.decode()
        assert response["Content-Type"] == "text/html; charset=utf-8" and b"<h1>" in response.body
        assert target.encode() not in response.body
        assert client.get(target, method="HEAD").status == status
        assert client.get("/text.txt").status == 200  # the connection goes on


# ---- sites ----

def test_sites_are_chosen_by_host(make_server):
    server = make_server()
    other = server.directory / "other"
    other.mkdir(mode=0o755)
    (other / "index.html").write_bytes(b"other")
    put(server, "index.html", b"default")
    server.more = (f'site "example.org" {{ root = "{other}" aliases = {{ "www.example.org" }} '
                   'headers = { "X-Site: other" } }')
    server.write_config()
    server.start()
    for host, body in (("example.org", b"other"), ("WWW.Example.ORG:8000", b"other"), ("example.org.", b"other"),
                       ("example.com", b"default"), ("127.0.0.1", b"default"), ("[::1]:80", b"default")):
        response = server.get("/", f"Host: {host}")
        assert response.body == body, host
        assert response["X-Site"] == ("other" if body == b"other" else None)
    with server.connect() as client:  # an absolute target outweighs Host
        assert client.get("http://example.org/", "Host: example.com").body == b"other"


def test_a_unix_socket_serves_too(make_server):
    from harness import Client
    server = make_server()
    put(server, "text.txt", TEXT)
    path = server.directory / "http.sock"
    server.listeners.append(f"unix:{path}")
    server.write_config()
    server.start()
    with Client(str(path)) as client:
        client.request("/text.txt", "Host: localhost")
        assert client.read().body == TEXT
