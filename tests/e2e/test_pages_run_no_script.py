"""What perdure writes into its pages, names of files above all, is text there: no script, no link elsewhere.

A parser of HTML looks at each page; where a browser is installed (scripts/packages test), it opens listings, too.
"""
import html.parser
import json
import os
import pathlib
import shutil
import subprocess
import urllib.parse

import pytest

SCRIPT = "document.documentElement.dataset.ran=1"
# Each a file's name, so without a slash; what would need one goes without.
NAMES = [f"<script>{SCRIPT}<", f"<img src=x onerror={SCRIPT}>", f'"><img src=x onerror={SCRIPT}>',
         f"'><svg onload={SCRIPT}>", f'" onmouseover="{SCRIPT}" autofocus onfocus="{SCRIPT}', f"javascript:{SCRIPT}",
         f" javascript:{SCRIPT}", f"java\tscript:{SCRIPT}", f"data:text,<script>{SCRIPT}", "&lt;script&gt;",
         "&#60;script&#62;", "&quot;&gt;<b>", "<!--", "]]>", "<title>", "<style>*{", "<base href=x>",
         f"<iframe srcdoc='<img src=x onerror=parent.{SCRIPT}>'>", f"\x01javascript:{SCRIPT}", "\\\\b.example",
         "b.example", "http:b.example", "?query", "#fragment", "%3Cscript%3E", "a\r\nb", "\u202egnp.exe",
         "+ADw-script+AD4-", "<plaintext>", "<textarea>", "``", "--><b>"]
BYTES = [b"\xff\xfe<", b"\xc0\xbcscript\xc0\xbe", b"\x1b$B<script", b"\xe2\x80", b"\xf0\x9f"]
TAGS = {"html", "meta", "title", "style", "h1", "p", "a", "table", "thead", "tbody", "tr", "th", "td", "footer"}
ATTRIBUTES = {("html", "lang"), ("meta", "charset"), ("meta", "name"), ("meta", "content"), ("a", "href")}


class Page(html.parser.HTMLParser):
    """Its tags, and its links; what a page of ours has no use for is a fault."""

    def __init__(self, text):
        super().__init__()
        self.links, self.faults, self.text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.faults += [tag] if tag not in TAGS else []
        self.faults += [(tag, name, value) for name, value in attrs if (tag, name) not in ATTRIBUTES]
        self.links += [value for name, value in attrs if name == "href"]

    def handle_comment(self, data):
        self.faults.append(f"a comment: {data}")

    def unknown_decl(self, data):
        self.faults.append(f"a declaration: {data}")

    def handle_pi(self, data):
        self.faults.append(f"an instruction: {data}")

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def hostile(make_server):
    """A Server, started, of files and directories that are called so."""
    server = make_server(workers=1, listing=True)
    for number, name in enumerate([*map(os.fsencode, NAMES), *BYTES]):
        path = os.path.join(os.fsencode(server.root), name)
        if number % 2:
            os.mkdir(path, 0o755)
        else:
            pathlib.Path(os.fsdecode(path)).write_bytes(b"x")
    deep = server.root / NAMES[1] / NAMES[3]  # the way there stands in the title, and as a link for each part
    deep.mkdir()
    (deep / "file.txt").write_bytes(b"x")
    return server.start()


def assert_harmless(response):
    assert response["Content-Type"] == "text/html; charset=utf-8"
    page = Page(response.body.decode(errors="replace"))
    assert not page.faults
    for link in page.links:
        assert link.startswith(("./", "../")), link  # so no scheme, no other host
        assert not set(link) & set("<>\"'` \\:&\x7f") and min(link) > " ", link
    return page


@pytest.mark.sanitized
def test_a_listing_is_text_whatever_the_names_are(hostile):
    page = assert_harmless(hostile.get("/"))
    listed = {urllib.parse.unquote_to_bytes(link[2:]).rstrip(b"/") for link in page.links}
    assert {*map(os.fsencode, NAMES), *BYTES} <= listed
    way = urllib.parse.quote(f"/{NAMES[1]}/{NAMES[3]}/")
    assert "file.txt" in assert_harmless(hostile.get(way)).text
    with hostile.connect() as client:
        for link in page.links:
            assert client.get("/" + link.removeprefix("./")).status == 200, link


@pytest.mark.sanitized
def test_an_error_page_holds_nothing_of_the_request(hostile):
    mark = "zq9x"
    hostile.write_config(listing=False)
    for target, field in ((f"/<script>{mark}", "X: y"), (f"/nowhere/%3Cscript%3E{mark}", f"Referer: <script>{mark}"),
                          (f"/?{mark}<script>", f"User-Agent: <script>{mark}"), (f"/%{mark}", f"X: <script>{mark}"),
                          (f"/{urllib.parse.quote(NAMES[1])}?{mark}<script>", "X: y"), (f"/{mark}", f"Host: <{mark}>"),
                          (f"/a#{mark}<b>", "X: y"), (f"/{'x' * 9000}{mark}", "X: y"),
                          (f"/{mark}", "Range: bytes=<b>")):
        response = hostile.get(target, field)
        page = assert_harmless(response)
        assert mark not in page.text and not any(mark in link for link in page.links), target


def test_the_parser_finds_what_it_is_to_find():
    assert Page("<p>a</p><img src=x onerror=y>").faults == ["img", ("img", "src", "x"), ("img", "onerror", "y")]
    assert Page("<a href=./x onclick=y>").faults == [("a", "onclick", "y")]
    assert Page("<!-- x -->").faults == ["a comment:  x "]


# ---- a browser ----

# A page that opens others in frames, lets them do what they will, and then says in its title what has become of them.
LOOK = """<!DOCTYPE html><title>too early</title><img src=x onerror="%s"><script>
const told = [], targets = %s;
for (const target of targets) {
    const frame = document.createElement("iframe");
    frame.onload = () => setTimeout(() => {
        const page = frame.contentDocument, links = [...page.links];
        told.push({target, ran: page.documentElement.dataset.ran === "1", links: links.length,
                   tags: [...new Set([...page.querySelectorAll("*")].map(one => one.localName))],
                   elsewhere: links.map(link => link.href).filter(href => !href.startsWith(location.origin + "/"))});
        if (told.length == targets.length)
            document.title = JSON.stringify({here: document.documentElement.dataset.ran === "1", told});
    }, 300);
    frame.src = target;
    document.documentElement.append(frame);
}
</script>"""


def browse(server, target):
    """The title of the page, when it had time to run what there is to run."""
    profile = server.directory / "profile"
    try:
        done = subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--timeout=20000",
             f"--user-data-dir={profile}", "--virtual-time-budget=4000", "--dump-dom", server.url + target],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=90, check=True)
        return html.unescape(done.stdout.decode().partition("<title>")[2].partition("</title>")[0])
    finally:
        shutil.rmtree(profile, ignore_errors=True)


@pytest.mark.skipif(not shutil.which("chromium"), reason="there is no chromium; scripts/packages test installs it")
def test_a_browser_runs_nothing_of_a_listing(hostile):
    targets = ["/", urllib.parse.quote(f"/{NAMES[1]}/{NAMES[3]}/")]
    (hostile.root / "look.html").write_text(LOOK % (SCRIPT, json.dumps(targets)))
    seen = json.loads(browse(hostile, "/look.html"))
    assert seen["here"], "the browser runs nothing at all, so this proves nothing"
    assert {page["target"] for page in seen["told"]} == {*targets}
    for page in seen["told"]:
        assert not page["ran"] and not page["elsewhere"] and page["links"] > 3, page
        assert {*page["tags"]} <= TAGS | {"head", "body"}, page
