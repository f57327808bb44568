"""answers.py — puts a conversation to a server, and says in a few words what it answered.

An answer is told as "200 page.txt, 405, kept": each response in order, then how it ended: "kept" if a probe, sent right
behind, was read as a request of its own and answered; "closed"; "waits" if the server wants more, or never closes.
Texts of error pages, and fields that are a matter of taste, are not told, so not compared.
"""
import concurrent.futures
import dataclasses
import os
import re
import select
import socket

from corpus import CORPUS, END, ETAG, PAUSE

PROBE_TEXT = b"answered, so the connection was kept\n"
PROBE = b"GET /probe.txt HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
OUR_HOSTS = ("a.example", "127.")  # of a Location: as asked for, so not told
QUIET_S = 0.8   # nothing for so long: no more is coming
PATIENT_S = 4   # the same, when an answer was not as expected: the machine may have been busy
AT_ONCE = 24    # conversations, all servers together


# ---- the conversation ----

def is_bytes(piece):
    return isinstance(piece, bytes)


def converse(address, pieces, quiet_s):
    """All bytes that come, and whether the server closed. The last piece, or the probe, is never waited for."""
    stream = [*pieces] if END in pieces else [*pieces, PROBE]
    data, closed = bytearray(), False
    with socket.create_connection(address) as connection:
        connection.setblocking(False)
        while stream and not closed:
            if stream[0] == END:
                shut(connection)
            if stream[0] in (END, PAUSE):
                if stream.pop(0) == PAUSE:
                    closed = receive(connection, data, quiet_s)
                continue
            write = b"".join(takewhile_bytes(stream))
            closed = send(connection, write, data, quiet_s)
        while not closed:
            before = len(data)
            closed = receive(connection, data, quiet_s)
            if len(data) == before:
                break
    return bytes(data), closed


def takewhile_bytes(stream):
    while stream and is_bytes(stream[0]):
        yield stream.pop(0)


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # closed already, which is read next


def receive(connection, data, seconds):
    """Wait for some bytes; True if their end came instead. A reset is an end: refused bytes were on their way."""
    if not select.select([connection], [], [], seconds)[0]:
        return False
    try:
        more = connection.recv(1 << 20)
    except ConnectionError:
        return True
    data += more
    return not more


def send(connection, write, data, quiet_s):
    """Send it all, reading what comes meanwhile; True if the server closed. What it does not take is left unsent."""
    view = memoryview(write)
    while view:
        readable, writable, _ = select.select([connection], [connection], [], quiet_s)
        if readable and receive(connection, data, 0):
            return True
        if writable:
            try:
                view = view[connection.send(view):]
            except BlockingIOError:
                continue
            except ConnectionError:
                while not receive(connection, data, 0) and select.select([connection], [], [], 0)[0]:
                    pass
                return True
        elif not readable:
            return False
    return False


# ---- the responses in what came ----

@dataclasses.dataclass
class Response:
    status: int
    fields: dict
    body: bytes
    is_head: bool = False


def fields_of(lines):
    pairs = (line.partition(":")[::2] for line in lines)
    return {name.lower(): value.strip() for name, value in pairs}


def unchunked(data):
    """The body, and what is behind it."""
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        bytes_left = int(size.split(b";")[0] or b"0", 16)
        if bytes_left == 0:
            return body, data.partition(b"\r\n")[2]
        body, data = body + data[:bytes_left], data[bytes_left + 2:]


def responses_of(data, pieces):
    """The responses, and what is left that is none. PIECES tell the methods."""
    methods = [piece.split(b" ")[0].strip() for piece in pieces if is_bytes(piece)]
    found, final = [], 0
    while match := re.match(rb"HTTP/1\.[01] (\d\d\d)[^\r\n]*\r\n", data):
        head, blank, rest = data[match.end() - 2:].partition(b"\r\n\r\n")
        if not blank:
            break
        response = Response(int(match[1]), fields_of(head.decode("latin-1").split("\r\n")[1:]), b"")
        if response.status >= 200:
            response.is_head = final < len(methods) and methods[final] == b"HEAD"
            final += 1
        if response.status < 200 or response.status in (204, 304) or response.is_head:
            data = rest
        elif response.fields.get("transfer-encoding") == "chunked":
            response.body, data = unchunked(rest)
        else:
            length = int(response.fields.get("content-length", len(rest)))
            response.body, data = rest[:length], rest[length:]
        found.append(response)
    return found, data


# ---- in words ----

class Words:
    """Tells responses, knowing the files that were asked for."""

    def __init__(self, root):
        files = [path for path in [*root.rglob("*"), *root.parent.glob("*.txt")]
                 if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)]
        self.names = {path.read_bytes(): path.name if path.parent in (root, root.parent)
                      else str(path.relative_to(root)) for path in files}
        assert len(self.names) == len(files), "two files are the same, so an answer could not be told from another"
        self.sizes = {len(text): name for text, name in self.names.items()}

    def part(self, content_range, body):
        """One range of a file: "page.txt 0-9", and a word if those are not the file's bytes."""
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", content_range)
        if not match:
            return f"with malformed Content-Range {content_range}"
        first, last, size = map(int, match.groups())
        of = [name for text, name in self.names.items() if len(text) == size and text[first:last + 1] == body]
        return f"{of[0] if of else 'WRONG BYTES'} {first}-{last}"

    def parts(self, response):
        boundary = response.fields["content-type"].partition("boundary=")[2].strip('"').encode()
        _, *parts, last = (b"\r\n" + response.body).split(b"\r\n--" + boundary)
        split = [part.removeprefix(b"\r\n").partition(b"\r\n\r\n") for part in parts]
        told = [self.part(fields_of(head.decode("latin-1").split("\r\n")).get("content-range", ""), body)
                for head, _, body in split]
        files = {part.split(" ")[0] for part in told}
        spans = " ".join(part.split(" ")[-1] for part in told) if len(told) < 6 else f"in {len(told)} parts"
        return f"{' '.join(files)} {spans}{'' if last.startswith(b'--') else ' WITHOUT END'}"

    def file(self, response):
        if response.is_head:
            length = response.fields.get("content-length")
            return "head of " + (self.sizes.get(int(length), "another text") if length else "no length")
        return self.names.get(response.body, "another text")

    def tell(self, response):
        status, fields = response.status, response.fields
        coding = f" by {fields['content-encoding']}" if "content-encoding" in fields else ""
        if status == 200:
            return f"200 {self.file(response)}{coding}"
        if status == 206 and response.is_head:
            return f"206 head of {fields.get('content-range')}"
        if status == 206:
            one = "content-range" in fields
            told = self.part(fields["content-range"], response.body) if one else self.parts(response)
            return f"206 {told}{coding}"
        if status == 416:
            return f"416 of {fields.get('content-range', 'nothing').removeprefix('bytes ')}"
        if status in (301, 302, 307, 308):
            return f"{status} to {self.location(fields.get('location', 'nowhere'))}"
        return str(status)

    @staticmethod
    def location(location):
        match = re.match(r"http://([^/]*)(/.*)", location)
        return match[2] if match and match[1].startswith(OUR_HOSTS) else location


def answer(words, address, pieces, quiet_s=QUIET_S):
    """What this server answers, in words."""
    data, closed = converse(address, pieces, quiet_s)
    responses, rest = responses_of(data, pieces)
    kept = bool(responses) and responses[-1].body == PROBE_TEXT
    told = [words.tell(response) for response in responses[:-1 if kept else None]]
    if len(told) > 5 and len(set(told)) == 1:
        told = [f"{len(told)} times {told[0]}"]
    if rest:
        told.append(f"{words.names.get(rest, 'a text')} without a head")
    return ", ".join([*told, "kept" if kept else "closed" if closed else "waits"])


# ---- all of it ----

def etag_of(address):
    data, _ = converse(address, (), QUIET_S)
    assert data, f"{address} does not answer the probe"
    data, _ = converse(address, (b"HEAD /page.txt HTTP/1.0\r\n\r\n", END), QUIET_S)
    return re.search(rb'(?i)\r\netag: *(?:W/)?("[^"\r\n]*")', data)[1]


def ask(addresses, words, names=None, quiet_s=QUIET_S, at_once=AT_ONCE):
    """{name of the request: {name of the server: its answer}}."""
    etags = {server: etag_of(address) for server, address in addresses.items()}
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        futures = {}
        for name in names or CORPUS:
            for server, address in addresses.items():
                pieces = tuple(piece.replace(ETAG, etags[server]) if is_bytes(piece) else piece
                               for piece in CORPUS[name])
                futures[name, server] = pool.submit(answer, words, address, pieces, quiet_s)
    answers = {}
    for (name, server), future in futures.items():
        answers.setdefault(name, {})[server] = future.result()
    return answers
