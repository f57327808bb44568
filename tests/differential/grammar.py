"""grammar.py — composes requests by a seed: legal ones from RFC 9112's grammar, and illegal ones, mutations of those.

In its body are marked requests, and answers.PROBE goes behind it: which of them a server answers tells where it found
the end of the first. No server is spoken to from here.
"""
import dataclasses
import random

MARK_TEXT = {f"mark{n}.txt": b"mark %d, which is no part of what was before\n" % n for n in range(2)}
EOL = b"\r\n"
BLANKS = (b"", b" ", b"\t", b"  ", b" \t ")


def mark(number):
    """A whole request, by which whoever takes it for one is known."""
    return b"GET /mark%d.txt HTTP/1.1\r\nHost: a.example\r\n\r\n" % number


@dataclasses.dataclass
class Request:
    """In parts, so that a mutation knows where it is."""
    line: list                  # method, blank, target, blank, version, end of line
    fields: list                # [name, colon and blanks, value, end of line] each
    body: bytes = b""
    before: bytes = b""         # the request line
    blank: bytes = EOL          # the line that ends the head
    oddities: list = dataclasses.field(default_factory=list)  # what was done to it, in words

    def head(self):
        return self.before + b"".join(self.line) + b"".join(b"".join(field) for field in self.fields) + self.blank

    def bytes(self):
        return self.head() + self.body


# ---- legal requests ----

def field(name, value, chance=None):
    before, behind = (chance.choice(BLANKS), chance.choice(BLANKS)) if chance and chance.random() < .2 else (b" ", b"")
    return [name, b":" + before, value + behind, EOL]


def odd_case(chance, word):
    return bytes(byte ^ 0x20 if chr(byte).isalpha() and chance.random() < .5 else byte for byte in word)


def body_bytes(chance):
    """What a body may be: nothing, words, or what looks like a request to whoever has lost its place."""
    return chance.choice([b"", b"hello", b"\r\n", b"0\r\n\r\n", mark(0), b"x" * chance.randrange(40),
                          mark(0) + mark(1)])


def size_line(chance, size):
    digits = chance.choice([b"%x", b"%X", b"0%x", b"0000%x"]) % size
    extension = chance.choice([b";a", b";a=b", b';a="b"', b" ;a = b", b";a;b=c"]) if chance.random() < .15 else b""
    return digits + extension + EOL


def chunked(chance, data):
    out = b""
    while data:
        size = chance.randint(1, len(data))
        out += size_line(chance, size) + data[:size] + EOL
        data = data[size:]
    trailers = b"X-T: a\r\n" * chance.choice([0, 0, 0, 1, 2])
    return out + chance.choice([b"0", b"00", b"0;a"]) + EOL + trailers + EOL


def framing(chance, request):
    """No body, one of a length, or one in chunks."""
    kind, data = chance.choice(["none", "length", "length", "chunks", "chunks"]), body_bytes(chance)
    if kind == "length":
        request.fields.append(field(b"Content-Length", b"%d" % len(data), chance))
        request.body = data
    elif kind == "chunks":
        request.fields.append(field(b"Transfer-Encoding", odd_case(chance, b"chunked"), chance))
        request.body = chunked(chance, data)


OTHER_FIELDS = [(b"Accept", b"*/*"), (b"User-Agent", b"a (b; c) \xe4"), (b"X-A", b"a: b, c"),
                (b"Cookie", b"a=b; c=\"d\""), (b"Connection", b"keep-alive"), (b"TE", b"trailers"), (b"X_A", b""),
                (b"Trailer", b"X-T"), (b"Expect", b"100-continue"), (b"Range", b"bytes=0-1"),
                (b"Cache-Control", b"no-cache")]
TARGETS = [b"/page.txt", b"/page.txt", b"/?a=b", b"/%70age.txt", b"/nowhere", b"http://a.example/page.txt"]


def legal(chance):
    version = b"HTTP/1.1" if chance.random() < .93 else b"HTTP/1.0"
    request = Request([chance.choice([b"GET", b"GET", b"POST"]), b" ", chance.choice(TARGETS), b" ", version, EOL],
                      [field(b"Host", b"a.example", chance)])
    framing(chance, request)
    request.fields += [field(*chance.choice(OTHER_FIELDS), chance) for _ in range(chance.randrange(3))]
    for one in request.fields:
        if chance.random() < .1:
            one[0] = odd_case(chance, one[0])
    if version == b"HTTP/1.0":
        request.fields.append(field(b"Connection", b"keep-alive"))
    chance.shuffle(request.fields)
    return request


def unframed(request):
    """Without the fields that say where its body ends."""
    request.fields = [one for one in request.fields if one[0].lower() not in (b"content-length", b"transfer-encoding")]


# ---- mutations: each does one thing to a request, and has a name ----

MUTATIONS = {}


def mutation(name):
    def keep(function):
        MUTATIONS[name] = function
        return function
    return keep


def of_body(request):
    """The field that says where the body ends; any other if none does."""
    found = [one for one in request.fields if one[0].lower() in (b"content-length", b"transfer-encoding")]
    return (found or request.fields)[0]


def any_field(chance, request):
    return of_body(request) if chance.random() < .6 else chance.choice(request.fields)


def insert(chance, text, what):
    at = chance.randrange(len(text) + 1)
    return text[:at] + what + text[at:]


ODD_BYTES = [b"\0", b"\t", b"\n", b"\v", b"\f", b"\r", b" ", b"\x1b", b"\x7f", b"\x85", b"\xa0", b"\xff", b":", b",",
             b";", b'"', b"\\", b"+", b"-", b"_", b"#", b"%00", b"(", b"0"]
LINE_ENDS = [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b" \r\n", b"\0\r\n", b"\v\r\n",
             b"\x85", b""]
LENGTHS = [b"+%d", b"-%d", b"0x%x", b"0%d", b"00000000000000000000%d", b"%d, %d", b"%d,%d", b"%d %d", b"%d.0", b"%de0",
           b"%d;a", b'"%d"', b"%d,", b",%d", b"1844674407370955161%d", b"%d\0", b"\v%d", b"\xa0%d", b"%d\r", b"%x",
           b"_%d", b""]
CODINGS = [b"chunked, chunked", b"chunked,", b",chunked", b", chunked", b"chunked;a=b", b'"chunked"',
           b"chunked, identity", b"identity, chunked", b"gzip, chunked", b"chunked, gzip", b"xchunked", b"chunkedx",
           b"chunk", b"chunked\0", b"\vchunked", b"chunked\v", b"chunked\x85", b"identity", b"", b"chunked ,",
           b"chunked chunked", b"chunKed\xa0", b"x, , chunked", b"ch\0unked"]
SIZES = [b"0x%x", b"+%x", b"-%x", b" %x", b"%x ", b"%x\t", b"\t%x", b"%xg", b"_%x", b"%x_", b"%x\0", b"%x\v",
         b"%x;a\rb", b"%x;a\nb", b"%x;\0", b"1000000000000000%x", b"00000000000000000000%x", b"%x,", b"%x=a", b"",
         b"%x;a=\"\r\n\"", b"%x:a", b"%x ;", b"%x\xa0", b"FFFFFFFFFFFFFFFF%x", b"%x.0", b"%d", b"%x;"]


def number_put(chance, formats, number):
    form = chance.choice(formats)
    return form % ((number,) * form.count(b"%"))


@mutation("an odd length")
def odd_length(chance, request):
    unframed(request)
    request.body = body_bytes(chance)
    request.fields.append(field(b"Content-Length", number_put(chance, LENGTHS, len(request.body))))


@mutation("an odd coding")
def odd_coding(chance, request):
    unframed(request)
    request.fields.append(field(b"Transfer-Encoding", chance.choice(CODINGS)))
    request.body = chunked(chance, body_bytes(chance))


@mutation("a wrong length")
def wrong_length(chance, request):
    for one in request.fields:
        if one[0].lower() == b"content-length":
            one[2] = b"%d" % max(0, len(request.body) + chance.choice([-2, -1, 1, 2, len(mark(1))]))


@mutation("two ways to the end")
def both(chance, request):
    data = body_bytes(chance)
    request.body = chunked(chance, data)
    pair = [field(b"Content-Length", b"%d" % chance.choice([0, 4, len(request.body), len(data)])),
            field(b"Transfer-Encoding", chance.choice([b"chunked", *CODINGS]))]
    chance.shuffle(pair)
    unframed(request)
    request.fields += pair


@mutation("a field twice")
def field_twice(chance, request):
    one = any_field(chance, request)
    again = [one[0], one[1], chance.choice([one[2], b"0", b"7", b"chunked", b"identity", b"b.example"]), one[3]]
    request.fields.insert(chance.randrange(len(request.fields) + 1), again)


@mutation("an odd chunk size")
def odd_size(chance, request):
    data = chance.choice([b"hello", mark(0), b"x" * 16])
    unframed(request)
    request.fields.append(field(b"Transfer-Encoding", b"chunked"))
    request.body = number_put(chance, SIZES, len(data)) + EOL + data + EOL + b"0\r\n\r\n"


@mutation("an odd frame of a chunk")
def odd_frame(chance, request):
    parts = [b"5", EOL, b"hello", EOL, b"0", EOL, b"X-T: a", EOL, EOL]
    at = chance.choice([1, 3, 5, 6, 7, 8])
    parts[at] = chance.choice(LINE_ENDS) if at != 6 else chance.choice(
        [b"X-T : a", b" X-T: a", b"X-T", b": a", b"X\0T: a", b"X-T: a\0", b"X-T: a\rb", b"X-T: a\nb",
         b"Content-Length: 9", b"Transfer-Encoding: chunked", b"Host: b.example", b"X-T:\r\n a"])
    unframed(request)
    request.fields.append(field(b"Transfer-Encoding", b"chunked"))
    request.body = b"".join(parts) + chance.choice([b"", b"", mark(1)])


@mutation("an odd end of a line")
def odd_line_end(chance, request):
    line = chance.choice([request.line, *request.fields, None])
    if line is None:
        request.blank = chance.choice(LINE_ENDS)
    else:
        line[-1] = chance.choice(LINE_ENDS)


@mutation("blanks about a colon")
def odd_colon(chance, request):
    any_field(chance, request)[1] = chance.choice([b" : ", b"\t:", b" :", b"::", b"\0:", b"\v:", b"", b" ", b";",
                                                   b":\v", b":\xa0", b":\r", b":\n ", b":\r\n ", b":\r\n\t"])


@mutation("an odd byte in a name")
def odd_name(chance, request):
    one = any_field(chance, request)
    one[0] = insert(chance, one[0], chance.choice(ODD_BYTES))


@mutation("an underscore for a hyphen")
def underscore(chance, request):
    one = any_field(chance, request)
    one[0] = one[0].replace(b"-", chance.choice([b"_", b"", b" ", b"\xad"]))


@mutation("an odd byte in a value")
def odd_value(chance, request):
    one = any_field(chance, request)
    one[2] = insert(chance, one[2], chance.choice(ODD_BYTES))


@mutation("a field hidden in another")
def hidden(chance, request):
    inner = chance.choice([b"Content-Length: 5", b"Transfer-Encoding: chunked", b"Host: b.example"])
    glue = chance.choice([b"\n", b"\r", b"\r\n ", b"\r\n\t", b"\0\r\n", b"\r\r\n", b"\x85", b"\n\r"])
    request.fields.insert(0, [b"X-A", b": ", b"a" + glue + inner, EOL])


@mutation("a first line that is folded")
def first_fold(chance, request):
    blank, text = chance.choice([b" ", b"\t", b""]), chance.choice([b"X-A: b", b"", b"Content-Length: 5"])
    request.fields.insert(0, [blank, b"", text, EOL])


@mutation("an odd blank in the request line")
def odd_blank(chance, request):
    request.line[chance.choice([1, 3])] = chance.choice([b"  ", b"\t", b"\v", b"\f", b"\r", b"\0", b" \r", b"", b"\xa0",
                                                         b"\n", b"\r\n"])


@mutation("an odd version")
def odd_version(chance, request):
    request.line[4] = chance.choice([b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1", b"HTTP/1.",
                                     b"HTTP/1.01", b"HTTP/01.1", b"http/1.1", b"HTTP/1.1x", b"HTTP/1.1 ", b"HTTP 1.1",
                                     b"HTTP/1,1", b"HTTP/-1.1", b"", b"HTTP/1.1\0", b"HTTP/11", b"ICE/1.0",
                                     b"HTTP/1.10", b"HTTP/3.1"])


@mutation("an odd method")
def odd_method(chance, request):
    request.line[0] = chance.choice([b"get", b"G\0T", b"GET:", b"G(T", b"GE T", b"", b"GET\t", b"PRI", b"GETX",
                                     b"[GET]", b"\xe4GET", b"M" * 40])


@mutation("an odd target")
def odd_target(chance, request):
    request.line[2] = chance.choice([b"page.txt", b"*", b"", b"/a b", b"/\0", b"/\x7f", b"/\xe4", b"/#a",
                                     b"/page.txt\t", b"http://", b"http:///", b"http://b.example@a.example/",
                                     b"http://a.example:x/", b"//a.example/page.txt", b"/%", b"/%00", b"/../page.txt",
                                     b"/\\", b"?", b"ftp://a.example/", b"http://a.example?x",
                                     b"/page.txt HTTP/1.1\r\nX: y"])


@mutation("something before")
def before(chance, request):
    request.before = chance.choice([b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b"\xef\xbb\xbf", b" \r\n",
                                    b"\r\n\n", b"\r\r\n", b"x\r\n"])


@mutation("no Host, or an odd one")
def odd_host(chance, request):
    request.fields = [one for one in request.fields if one[0].lower() != b"host"]
    value = chance.choice([None, b"", b"a.example b", b"a.example\0", b"a.example, b.example", b"a/b", b"u@a", b"a:x",
                           b"[::1", b"a:80:80", b"%", b"a\tb", b"a?b", b"a#b", b"\xe4", b"a:99999", b"<a>", b'"a"',
                           b"a\\b", b"[a]"])
    if value is not None:
        request.fields.insert(0, field(b"Host", value))


@mutation("an odd connection option")
def odd_connection(chance, request):
    request.fields.append(field(b"Connection", chance.choice(
        [b"close", b"close, keep-alive", b"keep-alive, close", b"close\0", b"clos", b", close", b"close;a",
         b"Transfer-Encoding", b"Content-Length", b"\vclose", b'"close"', b"x, close , y"])))


def head_put(request, head):
    """Bytes for the head, whose parts are lost with that."""
    request.before, request.line, request.fields, request.blank = head, [], [], b""


@mutation("a byte of the head changed")
def any_head_byte(chance, request):
    head = bytearray(request.head())
    head[chance.randrange(len(head))] = chance.randrange(256)
    head_put(request, bytes(head))


@mutation("bytes of the head lost")
def head_bytes_lost(chance, request):
    head = request.head()
    at = chance.randrange(len(head))
    head_put(request, head[:at] + head[at + chance.choice([1, 1, 2, 4]):])


@mutation("a byte put into the head")
def head_byte_more(chance, request):
    head_put(request, insert(chance, request.head(), chance.choice(ODD_BYTES)))


@mutation("a byte of the body changed")
def any_body_byte(chance, request):
    if request.body:
        body = bytearray(request.body)
        body[chance.randrange(len(body))] = chance.choice([chance.randrange(256), 0, 10, 13, 32, 48])
        request.body = bytes(body)


@mutation("a byte put into the body")
def body_byte_more(chance, request):
    request.body = insert(chance, request.body, chance.choice(ODD_BYTES))


@mutation("bytes of the body lost")
def body_bytes_lost(chance, request):
    if request.body:
        at = chance.randrange(len(request.body))
        request.body = request.body[:at] + request.body[at + chance.choice([1, 1, 2]):]


# No parts are left behind them.
LAST = ("a byte of the head changed", "bytes of the head lost", "a byte put into the head")


def composed(seed, number):
    """The request of this number: the same whenever the seed is the same."""
    chance = random.Random(f"{seed}/{number}")
    request = legal(chance)
    names = chance.sample(list(MUTATIONS), chance.choice([0, 1, 1, 1, 1, 2, 2, 3]))
    for name in sorted(names, key=lambda name: name in LAST):
        if request.fields:
            MUTATIONS[name](chance, request)
            request.oddities.append(name)
    return request
