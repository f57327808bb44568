"""corpus.py — the requests that are put to perdure and to its peers, each by a name that says what is odd about it.

A conversation is a tuple of pieces: bytes are sent as they stand, as one write until PAUSE. Each piece is one request,
or what pretends to be one: its first word says whether the answer to it has a body. No server is spoken to from here.
"""

PAUSE = "pause"  # wait until something comes, or nothing has come for a while; then go on
END = "end"      # close our side, so nothing more will come: instead of the probe

ETAG = b"@ETAG@"  # stands for the ETag that this server gives page.txt
PAGE_TIME = 1_700_000_000
PAGE_DATE, DAY_BEFORE, DAY_AFTER = (f"{day} Nov 2023 22:13:20 GMT" for day in ("Tue, 14", "Mon, 13", "Wed, 15"))
PAGE_BYTES = 1000


def request(line, *lines, body="", host="a.example"):
    lines = [line, *([f"Host: {host}"] if host is not None else []), *lines]
    return "\r\n".join([*lines, "", body]).encode("latin-1")


def get(target="/page.txt", *lines, method="GET", version="HTTP/1.1", body="", host="a.example"):
    return (request(f"{method} {target} {version}", *lines, body=body, host=host),)


def old(target="/page.txt", *lines, method="GET", body="", host=None):
    return get(target, *lines, method=method, version="HTTP/1.0", body=body, host=host)


def raw(text):
    return (text.encode("latin-1"),)


def length(value, body, *lines, method="POST"):
    return get("/page.txt", f"Content-Length: {value}", *lines, method=method, body=body)


def coded(value, body="0\r\n\r\n", *lines, method="POST"):
    return get("/page.txt", f"Transfer-Encoding: {value}", *lines, method=method, body=body)


def chunks(body, method="GET"):
    return coded("chunked", body, method=method)


def ranged(value, *lines, target="/page.txt", method="GET"):
    return get(target, f"Range: {value}", *lines, method=method)


def encoded(value, *lines, target="/packed.txt"):
    return get(target, f"Accept-Encoding: {value}", *lines)


SMUGGLED = "GET /smuggled.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"

WELL_FORMED = {
    "GET": get(),
    "GET of an index": get("/"),
    "GET of nothing": get("/nowhere"),
    "GET of nothing, below a file": get("/page.txt/more"),
    "GET of a file with a slash behind": get("/page.txt/"),
    "GET of an empty file": get("/empty.txt"),
    "GET of a large file": get("/large.bin"),
    "GET of what may not be read": get("/unreadable.txt"),
    "GET of a hidden file": get("/.hidden"),
    "GET of a file below a hidden directory": get("/.git/config"),
    "GET by a link inside": get("/link.txt"),
    "GET by a link to the outside": get("/outside.txt"),
    "HEAD": get(method="HEAD"),
    "HEAD of nothing": get("/nowhere", method="HEAD"),
    "HEAD of a directory": get("/dir", method="HEAD"),
    "OPTIONS": get(method="OPTIONS"),
    "OPTIONS of nothing": get("/nowhere", method="OPTIONS"),
    "OPTIONS *": get("*", method="OPTIONS"),
    "OPTIONS of an absolute target without a path": get("http://a.example", method="OPTIONS"),
    "POST": length(5, "hello"),
    "POST to a directory": get("/dir/", "Content-Length: 5", method="POST", body="hello"),
    "POST to nothing": get("/nowhere", "Content-Length: 5", method="POST", body="hello"),
    "POST without a body": get(method="POST"),
    "PUT": length(5, "hello", method="PUT"),
    "DELETE": get(method="DELETE"),
    "PATCH": length(5, "hello", method="PATCH"),
    "TRACE": get(method="TRACE"),
    "CONNECT": get("a.example:80", method="CONNECT"),
    "a method registered, for others": get(method="PROPFIND"),
    "an unknown method": get(method="BREW"),
    "a method in small letters": get(method="get"),
    "a method of token's odd letters": get(method="M-A!"),
    "a method of 40 letters": get(method="M" * 40),
    # versions and persistence
    "HTTP/1.0": old(),
    "HTTP/1.0 with a host": old(host="a.example"),
    "HTTP/1.0, kept": old("/page.txt", "Connection: keep-alive"),
    "HTTP/1.0, kept, of nothing": old("/nowhere", "Connection: keep-alive"),
    "HTTP/1.0, kept, HEAD": old("/page.txt", "Connection: keep-alive", method="HEAD"),
    "HTTP/1.1, closed": get("/page.txt", "Connection: close"),
    "HTTP/1.1, closed among others": get("/page.txt", "Connection: foo, Close"),
    "HTTP/1.1, closed in a second field": get("/page.txt", "Connection: foo", "Connection: close"),
    "HTTP/1.1, closed and kept": get("/page.txt", "Connection: keep-alive, close"),
    "HTTP/1.1, an unknown connection option": get("/page.txt", "Connection: x-a"),
    "HTTP/1.9": get(version="HTTP/1.9"),
    "an upgrade to what is not served": get("/page.txt", "Connection: Upgrade", "Upgrade: websocket"),
    "an upgrade to h2c": get("/page.txt", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
                             "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "a pipeline of three": get() + get("/", method="HEAD") + get("/plain.txt"),
    "a pipeline with bodies": length(5, "hello", method="GET") + chunks("5\r\nhello\r\n0\r\n\r\n") + get("/plain.txt"),
    "a pipeline after a refused method": length(5, "hello") + get("/plain.txt"),
    "a pipeline after nothing": get("/nowhere") + get("/plain.txt"),
    "a pipeline of twenty": get() * 20,
    "a pipeline of large files": get("/large.bin") + get("/large.bin"),
    "a request after a close": get("/page.txt", "Connection: close") + get("/plain.txt"),
    "an empty line before": (b"\r\n" + get()[0],),
    "two empty lines before": (b"\r\n\r\n" + get()[0],),
    "an empty line between": get() + (b"\r\n" + get("/plain.txt")[0],),
    "a request, and our side closed": get() + (END,),
    # targets
    "an absolute target": get("http://a.example/page.txt"),
    "an absolute target, another host": get("http://b.example/page.txt"),
    "an absolute target in capitals": get("HTTP://A.EXAMPLE/page.txt"),
    "an absolute target with a port": get("http://a.example:80/page.txt"),
    "an absolute target with an empty port": get("http://a.example:/page.txt"),
    "an absolute target of an IPv6 address": get("http://[::1]/page.txt"),
    "an absolute target without a path": get("http://a.example"),
    "an absolute target with a query only": get("http://a.example?x=y"),
    "an absolute target by https": get("https://a.example/page.txt"),
    "an absolute target in HTTP/1.0": old("http://a.example/page.txt"),
    "an absolute target without Host": get("http://a.example/page.txt", host=None),
    "a query": get("/page.txt?x=y&z"),
    "an empty query": get("/page.txt?"),
    "a query with odd letters": get("/page.txt?a[]={b}|c\\d^e`f\"<>"),
    "a query with a slash and dots": get("/page.txt?/../.."),
    "a letter encoded": get("/%70age.txt"),
    "a space encoded": get("/with%20space.txt"),
    "UTF-8 encoded": get("/uml%C3%A4ut.txt"),
    "UTF-8 encoded in small letters": get("/uml%c3%a4ut.txt"),
    "not UTF-8 encoded": get("/%ff%fe"),
    "a percent sign encoded": get("/a%25b.txt"),
    "a percent sign encoded twice": get("/%2570age.txt"),
    "a plus": get("/a+b.txt"),
    "a question mark encoded": get("/page.txt%3Fx"),
    "a hash encoded": get("/a%23b.txt"),
    "a semicolon": get("/page.txt;a=b"),
    "a slash encoded": get("/dir%2Findex.html"),
    "a backslash": get("/dir\\index.html"),
    "a backslash encoded": get("/dir%5Cindex.html"),
    "letters outside of RFC 3986": get("/a|b^c"),
    "a dot segment": get("/./page.txt"),
    "a dot segment up": get("/dir/../page.txt"),
    "a dot segment at the end": get("/dir/."),
    "a dot segment up at the end": get("/dir/sub/.."),
    "a dot segment up, of nothing": get("/nowhere/../page.txt"),
    "dot segments encoded": get("/dir/%2E%2e/page.txt"),
    "three dots": get("/.../page.txt"),
    "two slashes": get("/dir//index.html"),
    "two slashes at the start": get("//page.txt"),
    "two slashes before a directory": get("//dir"),
    "a host behind two slashes": get("//b.example/%2e%2e/dir"),
    "only slashes": get("///"),
    "a target of 4000 bytes": get("/page.txt?" + "x" * 3990),
    "a target of 8000 bytes": get("/page.txt?" + "x" * 7990),
    "a file name of 300 letters": get("/" + "n" * 300),
    # directories
    "a directory": get("/dir/"),
    "a directory without its slash": get("/dir"),
    "a directory without its slash, with a query": get("/dir?x=y"),
    "a directory without its slash, encoded": get("/with%20space"),
    "a directory without its slash, absolute": get("http://b.example/dir"),
    "a directory without its slash, HTTP/1.0": old("/dir"),
    "a directory without an index": get("/bare/"),
    "a directory without an index or slash": get("/bare"),
    # bodies
    "GET with a body": length(5, "hello", method="GET"),
    "GET with a body of none": length(0, "", method="GET"),
    "GET with a body in chunks": chunks("5\r\nhello\r\n0\r\n\r\n"),
    "HEAD with a body": length(5, "hello", method="HEAD"),
    "OPTIONS with a body": length(5, "hello", method="OPTIONS"),
    "a length with leading zeros": length("0005", "hello", method="GET"),
    "a length with blanks around": length(" \t5 \t", "hello", method="GET"),
    "a body that looks like a request": length(len(SMUGGLED), SMUGGLED, method="GET"),
    "a body of 200,000 bytes": length(200_000, "b" * 200_000, method="GET"),
    "a body as large as is read": length(1 << 20, "b" * (1 << 20), method="GET"),
    "a body of 200,000 bytes for a method not allowed": length(200_000, "b" * 200_000),
    "a body larger than is read": length(4_000_000, "b" * 4_000_000, method="GET"),
    "POST in chunks": chunks("5\r\nhello\r\n0\r\n\r\n", method="POST"),
    "chunked in capitals": coded("CHUNKED", method="GET"),
    "chunked with an empty element": coded(", chunked", method="GET"),
    "chunk sizes in capitals and with zeros": chunks("00A\r\n0123456789\r\n000\r\n\r\n"),
    "chunk extensions": chunks("5;a;b=c;d=\"e f\"\r\nhello\r\n0;x\r\n\r\n"),
    "a chunk extension after a blank": chunks("5 ;a=b\r\nhello\r\n0\r\n\r\n"),
    "a trailer": chunks("5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"),
    "a trailer that may not be one": chunks("5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"),
    "Expect, and wait": get("/page.txt", "Content-Length: 5", "Expect: 100-continue") + (PAUSE, b"hello"),
    "Expect, and wait, POST": get("/page.txt", "Content-Length: 5", "Expect: 100-continue", method="POST")
    + (PAUSE, b"hello"),
    "Expect, without waiting": length(5, "hello", "Expect: 100-continue", method="GET"),
    "Expect without a body": get("/page.txt", "Expect: 100-continue"),
    "Expect in capitals": get("/page.txt", "Content-Length: 5", "Expect: 100-CONTINUE") + (PAUSE, b"hello"),
    "Expect in HTTP/1.0": old("/page.txt", "Content-Length: 5", "Expect: 100-continue") + (PAUSE, b"hello"),
    "Expect something else": get("/page.txt", "Expect: tea"),
    "Expect, and wait, larger than is read": get("/page.txt", "Content-Length: 4000000", "Expect: 100-continue")
    + (PAUSE,),
    # conditions
    "If-None-Match that matches": get("/page.txt", "If-None-Match: @ETAG@"),
    "If-None-Match that matches weakly": get("/page.txt", "If-None-Match: W/@ETAG@"),
    "If-None-Match that matches in a list": get("/page.txt", 'If-None-Match: "a", @ETAG@, "b"'),
    "If-None-Match that matches in a second field": get("/page.txt", 'If-None-Match: "a"', "If-None-Match: @ETAG@"),
    "If-None-Match *": get("/page.txt", "If-None-Match: *"),
    "If-None-Match *, of nothing": get("/nowhere", "If-None-Match: *"),
    "If-None-Match that does not match": get("/page.txt", 'If-None-Match: "a"'),
    "If-None-Match that is no list of tags": get("/page.txt", "If-None-Match: a"),
    "If-None-Match that matches, HEAD": get("/page.txt", "If-None-Match: @ETAG@", method="HEAD"),
    "If-None-Match that matches, POST": get("/page.txt", "If-None-Match: @ETAG@", "Content-Length: 0", method="POST"),
    "If-None-Match that does not, and a date that does": get("/page.txt", 'If-None-Match: "a"',
                                                             f"If-Modified-Since: {PAGE_DATE}"),
    "If-Match that matches": get("/page.txt", "If-Match: @ETAG@"),
    "If-Match that matches weakly": get("/page.txt", "If-Match: W/@ETAG@"),
    "If-Match that does not match": get("/page.txt", 'If-Match: "a"'),
    "If-Match that matches in a second field": get("/page.txt", 'If-Match: "a"', "If-Match: @ETAG@"),
    "If-Match that matches, and a date that does not": get("/page.txt", "If-Match: @ETAG@",
                                                           f"If-Unmodified-Since: {DAY_BEFORE}"),
    "If-Match *": get("/page.txt", "If-Match: *"),
    "If-Match *, of nothing": get("/nowhere", "If-Match: *"),
    "If-Modified-Since, the same": get("/page.txt", f"If-Modified-Since: {PAGE_DATE}"),
    "If-Modified-Since, later": get("/page.txt", f"If-Modified-Since: {DAY_AFTER}"),
    "If-Modified-Since, earlier": get("/page.txt", f"If-Modified-Since: {DAY_BEFORE}"),
    "If-Modified-Since, no date": get("/page.txt", "If-Modified-Since: yesterday"),
    "If-Modified-Since, RFC 850": get("/page.txt", "If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT"),
    "If-Modified-Since, asctime": get("/page.txt", "If-Modified-Since: Tue Nov 14 22:13:20 2023"),
    "If-Modified-Since, in the future": get("/page.txt", "If-Modified-Since: Fri, 14 Nov 2098 22:13:20 GMT"),
    "If-Modified-Since, twice": get("/page.txt", f"If-Modified-Since: {PAGE_DATE}", f"If-Modified-Since: {PAGE_DATE}"),
    "If-Unmodified-Since, the same": get("/page.txt", f"If-Unmodified-Since: {PAGE_DATE}"),
    "If-Unmodified-Since, earlier": get("/page.txt", f"If-Unmodified-Since: {DAY_BEFORE}"),
    # ranges
    "a range": ranged("bytes=0-9"),
    "a range to the end": ranged("bytes=990-"),
    "a range beyond the end": ranged("bytes=990-5000"),
    "a range of the last": ranged("bytes=-10"),
    "a range of more than all the last": ranged("bytes=-5000"),
    "a range of the last none": ranged("bytes=-0"),
    "a range of all": ranged("bytes=0-"),
    "a range of one byte": ranged("bytes=0-0"),
    "a range outside": ranged("bytes=1000-"),
    "a range backwards": ranged("bytes=9-0"),
    "a range of no number": ranged("bytes=a-b"),
    "a range of nothing": ranged("bytes="),
    "a range of an unknown unit": ranged("lines=0-9"),
    "a range of a unit in capitals": ranged("Bytes=0-9"),
    "a range with blanks": ranged("bytes= 0-9 "),
    "a range beyond 64 bits": ranged("bytes=0-18446744073709551616"),
    "a range from beyond 64 bits": ranged("bytes=18446744073709551616-18446744073709551617"),
    "two ranges": ranged("bytes=0-9,20-29"),
    "two ranges with a blank": ranged("bytes=0-9, 20-29"),
    "two ranges with an empty element": ranged("bytes=0-9,,20-29"),
    "two ranges, the second first": ranged("bytes=20-29,0-9"),
    "two ranges, one outside": ranged("bytes=0-9,5000-"),
    "two ranges, one malformed": ranged("bytes=0-9,x"),
    "two ranges that overlap": ranged("bytes=0-9,5-14"),
    "two ranges, all outside": ranged("bytes=5000-,6000-"),
    "two ranges that are all": ranged("bytes=0-499,500-999"),
    "forty ranges": ranged("bytes=" + ",".join(f"{i * 20}-{i * 20 + 1}" for i in range(40))),
    "two Range fields": ranged("bytes=0-9", "Range: bytes=20-29"),
    "a range, HEAD": ranged("bytes=0-9", method="HEAD"),
    "a range of an empty file": ranged("bytes=0-", target="/empty.txt"),
    "the last of an empty file": ranged("bytes=-5", target="/empty.txt"),
    "a range of nothing that is there": ranged("bytes=0-9", target="/nowhere"),
    "a range, HTTP/1.0": old("/page.txt", "Range: bytes=0-9"),
    "a range if the tag is the same": ranged("bytes=0-9", "If-Range: @ETAG@"),
    "a range if the tag is weakly the same": ranged("bytes=0-9", "If-Range: W/@ETAG@"),
    "a range if the tag is another": ranged("bytes=0-9", 'If-Range: "a"'),
    "a range if the date is the same": ranged("bytes=0-9", f"If-Range: {PAGE_DATE}"),
    "a range if the date is earlier": ranged("bytes=0-9", f"If-Range: {DAY_BEFORE}"),
    "a range if the date is later": ranged("bytes=0-9", f"If-Range: {DAY_AFTER}"),
    "a range that is not modified": ranged("bytes=0-9", "If-None-Match: @ETAG@"),
    "a range outside that does not match": ranged("bytes=5000-", 'If-Match: "a"'),
    # codings
    "gzip": encoded("gzip"),
    "gzip in capitals": encoded("GZIP"),
    "gzip among others": encoded("deflate, gzip;q=0.5"),
    "gzip with a weight of 0": encoded("gzip;q=0"),
    "gzip in a second field": encoded("deflate", "Accept-Encoding: gzip"),
    "gzip, HEAD": get("/packed.txt", "Accept-Encoding: gzip", method="HEAD"),
    "gzip with a weight of 0.000": encoded("gzip;q=0.000"),
    "x-gzip": encoded("x-gzip"),
    "br before gzip": encoded("gzip, br"),
    "gzip before br": encoded("gzip;q=1, br;q=0.2"),
    "zstd": encoded("zstd"),
    "any coding": encoded("*"),
    "any coding but identity": encoded("gzip, identity;q=0"),
    "no coding at all": encoded("identity;q=0, *;q=0"),
    "an empty Accept-Encoding": encoded(""),
    "gzip without a sibling": encoded("gzip", target="/page.txt"),
    "gzip of a range": encoded("gzip", "Range: bytes=0-9"),
    "the packed file itself": encoded("gzip", target="/packed.txt.gz"),
    # odd, but legal
    "Host in capitals": get(host="A.EXAMPLE"),
    "Host with a port": get(host="a.example:8080"),
    "Host with an empty port": get(host="a.example:"),
    "Host with a dot behind": get(host="a.example."),
    "Host that is an address": get(host="127.0.0.1:80"),
    "Host that is an IPv6 address": get(host="[::1]:80"),
    "Host with an underscore": get(host="a_b.example"),
    "Host with a letter encoded": get(host="a%2Dexample"),
    "field names in odd letters": raw("GET /page.txt HTTP/1.1\r\nhOsT: a.example\r\n!#$%&'*+-.^_`|~: x\r\n\r\n"),
    "a field name with an underscore": get("/page.txt", "Content_Length: 5"),
    "no blank after the colon": raw("GET /page.txt HTTP/1.1\r\nHost:a.example\r\nX-A:b\r\n\r\n"),
    "blanks and tabs around values": raw("GET /page.txt HTTP/1.1\r\nHost: \t a.example \t \r\nX-A: b\t\r\n\r\n"),
    "an empty value": get("/page.txt", "X-A:", "X-B: "),
    "obs-text in a value": get("/page.txt", "X-A: \xe4\xff"),
    "90 fields": get("/page.txt", *(f"X-{i}: {i}" for i in range(90))),
    "a field of 7000 bytes": get("/page.txt", "X-A: " + "b" * 7000),
    "a head of 15,000 bytes": get("/page.txt", *("X-A: " + "b" * 990 for _ in range(15))),
    "Accept that nothing satisfies": get("/page.txt", "Accept: image/webp;q=0.1"),
    "Upgrade-Insecure-Requests": get("/page.txt", "Upgrade-Insecure-Requests: 1"),
    "Max-Forwards on OPTIONS": get("/page.txt", "Max-Forwards: 0", method="OPTIONS"),
    "TE and a Trailer": get("/page.txt", "TE: trailers", "Trailer: X-A"),
}

MALFORMED = {
    # two ways to find the body's end
    "both lengths, length meant": get("/page.txt", "Content-Length: 6", "Transfer-Encoding: chunked", method="GET",
                                      body="0\r\n\r\nG") + (SMUGGLED[1:].encode(),),
    "both lengths, chunks meant": get("/page.txt", "Transfer-Encoding: chunked", "Content-Length: 4", method="GET",
                                      body=f"{len(SMUGGLED):x}\r\n{SMUGGLED}\r\n0\r\n\r\n"),
    "two lengths": get("/page.txt", "Content-Length: 5", "Content-Length: 6", body="hello"),
    "two lengths, the same": get("/page.txt", "Content-Length: 5", "Content-Length: 5", body="hello"),
    "a list of lengths": length("5, 5", "hello", method="GET"),
    "a list of other lengths": length("5, 6", "hello", method="GET"),
    "a length with a plus": length("+5", "hello", method="GET"),
    "a length with a minus": length("-5", "", method="GET"),
    "a length in hexadecimal": length("0x5", "hello", method="GET"),
    "a length that is empty": length("", "", method="GET"),
    "a length that is a word": length("five", "hello", method="GET"),
    "a length of two numbers": length("5 5", "hello", method="GET"),
    "a length with a point": length("5.0", "hello", method="GET"),
    "a length beyond 64 bits": length("18446744073709551621", "hello", method="GET"),
    "a length just below 2^63": length("9223372036854775807", "hello", method="GET"),
    "a length not all sent": length("5", "he", method="GET") + (END,),
    "chunked in HTTP/1.0": old("/page.txt", "Transfer-Encoding: chunked", body="0\r\n\r\n"),
    "chunked in HTTP/1.0, kept": old("/page.txt", "Transfer-Encoding: chunked", "Connection: keep-alive",
                                     body="0\r\n\r\n"),
    "chunked twice": coded("chunked, chunked", method="GET"),
    "chunked in two fields": coded("chunked", "0\r\n\r\n", "Transfer-Encoding: chunked", method="GET"),
    "chunked, then gzip": coded("chunked, gzip", method="GET"),
    "gzip, then chunked": coded("gzip, chunked", method="GET"),
    "identity": coded("identity", "", method="GET"),
    "chunked and identity": coded("chunked", "0\r\n\r\n", "Transfer-Encoding: identity", method="GET"),
    "an unknown coding": coded("xchunked", "", method="GET"),
    "an empty coding": coded("", "", method="GET"),
    "chunked in quotes": coded('"chunked"', "0\r\n\r\n", method="GET"),
    "chunked with a parameter": coded("chunked;a=b", "0\r\n\r\n", method="GET"),
    "chunked behind a vertical tab": coded("\x0bchunked", "0\r\n\r\n", method="GET"),
    "chunked, and a NUL": coded("chunked\0", "0\r\n\r\n", method="GET"),
    "a blank before the colon of a length": get("/page.txt", "Content-Length : 5", body="hello"),
    "a tab before the colon of a coding": get("/page.txt", "Transfer-Encoding\t: chunked", body="0\r\n\r\n"),
    "a coding in a folded line": get("/page.txt", "Transfer-Encoding:", " chunked", body="0\r\n\r\n"),
    "a length in a folded line": get("/page.txt", "X-A: b", " Content-Length: 5", body="hello"),
    "a length behind a bare CR": get("/page.txt", "X-A: b\rContent-Length: 5", body="hello"),
    "a length behind a bare LF": get("/page.txt", "X-A: b\nContent-Length: 5", body="hello"),
    # chunks
    "a chunk size that is a word": chunks("x\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with 0x": chunks("0x5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with a plus": chunks("+5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with a minus": chunks("-5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size with an underscore": chunks("5_0\r\nhello\r\n0\r\n\r\n"),
    "a chunk size that is empty": chunks("\r\nhello\r\n0\r\n\r\n"),
    "a chunk size of 20 digits": chunks("00000000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "a chunk size behind a blank": chunks(" 5\r\nhello\r\n0\r\n\r\n"),
    "a chunk size before a blank": chunks("5 \r\nhello\r\n0\r\n\r\n"),
    "a chunk size ended by LF": chunks("5\nhello\r\n0\r\n\r\n"),
    "a chunk size ended by CR": chunks("5\rhello\r\n0\r\n\r\n"),
    "a chunk longer than its size": chunks("5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk shorter than its size": chunks("5\r\nhell\r\n0\r\n\r\n"),
    "a chunk without a CRLF behind": chunks("5\r\nhello0\r\n\r\n"),
    "a chunk with an LF behind": chunks("5\r\nhello\n0\r\n\r\n"),
    "a bare CR in a chunk extension": chunks("5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "a bare LF in a chunk extension": chunks("5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "a NUL in a chunk extension": chunks("5;a\0b\r\nhello\r\n0\r\n\r\n"),
    "a chunk extension of 20,000 bytes": chunks("5;" + "a" * 20_000 + "\r\nhello\r\n0\r\n\r\n"),
    "a trailer with a blank before the colon": chunks("5\r\nhello\r\n0\r\nX-A : b\r\n\r\n"),
    "a trailer that is folded": chunks("5\r\nhello\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
    "a trailer without a colon": chunks("5\r\nhello\r\n0\r\nX-A\r\n\r\n"),
    "trailers of 20,000 bytes": chunks("5\r\nhello\r\n0\r\n" + "X-A: b\r\n" * 2500 + "\r\n"),
    "last lines ended by LF": chunks("5\r\nhello\r\n0\n\n"),
    "chunks that stop": chunks("5\r\nhel") + (END,),
    # fields
    "a folded line": get("/page.txt", "X-A: b", " c"),
    "a line folded by a tab": get("/page.txt", "X-A: b", "\tc"),
    "a fold before the first field": raw("GET /page.txt HTTP/1.1\r\n X-A: b\r\nHost: a.example\r\n\r\n"),
    "a blank before the colon": get("/page.txt", "X-A : b"),
    "a field without a colon": get("/page.txt", "X-A"),
    "a field without a name": get("/page.txt", ": b"),
    "a blank in a field name": get("/page.txt", "X A: b"),
    "a NUL in a field name": get("/page.txt", "X\0A: b"),
    "a letter beyond ASCII in a field name": get("/page.txt", "X\xe4: b"),
    "a parenthesis in a field name": get("/page.txt", "X(A): b"),
    "a NUL in a value": get("/page.txt", "X-A: b\0c"),
    "a bare CR in a value": get("/page.txt", "X-A: b\rc"),
    "a DEL in a value": get("/page.txt", "X-A: b\x7fc"),
    "an ESC in a value": get("/page.txt", "X-A: b\x1bc"),
    "bare LFs only": raw("GET /page.txt HTTP/1.1\nHost: a.example\n\n"),
    "a bare LF behind the request line": raw("GET /page.txt HTTP/1.1\nHost: a.example\r\n\r\n"),
    "a bare LF behind a field": raw("GET /page.txt HTTP/1.1\r\nHost: a.example\nX-A: b\r\n\r\n"),
    "a bare LF at the end": raw("GET /page.txt HTTP/1.1\r\nHost: a.example\r\n\n"),
    "bare CRs only": raw("GET /page.txt HTTP/1.1\rHost: a.example\r\r"),
    "a head of 100,000 bytes": get("/page.txt", *("X-A: " + "b" * 990 for _ in range(100))),
    "a field of 100,000 bytes": get("/page.txt", "X-A: " + "b" * 100_000),
    "a field name of 100,000 bytes": get("/page.txt", "X" * 100_000 + ": b"),
    "2000 fields": get("/page.txt", *(f"X-{i}: b" for i in range(2000))),
    "a head without an end": raw("GET /page.txt HTTP/1.1\r\nHost: a.example\r\nX-A: b") + (END,),
    # Host
    "no Host": get(host=None),
    "two Hosts": get("/page.txt", "Host: b.example"),
    "two Hosts, the same": get("/page.txt", "Host: a.example"),
    "two Hosts, absolute target": get("http://a.example/page.txt", "Host: b.example"),
    "two Hosts, HTTP/1.0": old("/page.txt", "Host: b.example", host="a.example"),
    "an empty Host": get(host=""),
    "a Host with a path": get(host="a.example/page.txt"),
    "a Host with a user": get(host="u@a.example"),
    "a Host with a blank": get(host="a.example b"),
    "a Host that is a list": get(host="a.example, b.example"),
    "a Host with a port that is a word": get(host="a.example:http"),
    "a Host with a port too large": get(host="a.example:99999"),
    "a Host with two ports": get(host="a.example:80:80"),
    "a Host with a NUL": get(host="a.example\0b"),
    "a Host with a percent sign": get(host="a%zz"),
    "a Host with dots up": get(host="../.."),
    "a Host of a bracket": get(host="[::1"),
    "a Host that is a port": get(host=":80"),
    "a Host with letters beyond ASCII": get(host="\xe4.example"),
    # the request line
    "two blanks before the target": raw("GET  /page.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "two blanks before the version": raw("GET /page.txt  HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "a tab before the target": raw("GET\t/page.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "a blank at the end of the line": raw("GET /page.txt HTTP/1.1 \r\nHost: a.example\r\n\r\n"),
    "a blank before the method": raw(" GET /page.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "a blank in the target": get("/with space.txt"),
    "a CR in the request line": raw("GET /page.txt\rHTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "no version": raw("GET /page.txt\r\nHost: a.example\r\n\r\n"),
    "HTTP/0.9": raw("GET /page.txt\r\n"),
    "no target": raw("GET HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "only a method": raw("GET\r\n\r\n"),
    "HTTP/0.9 by number": get(version="HTTP/0.9"),
    "HTTP/2.0": get(version="HTTP/2.0"),
    "HTTP/3": get(version="HTTP/3"),
    "HTTP/1": get(version="HTTP/1"),
    "HTTP/1.": get(version="HTTP/1."),
    "HTTP/1.10": get(version="HTTP/1.10"),
    "HTTP/01.1": get(version="HTTP/01.1"),
    "HTTP/9.9": get(version="HTTP/9.9"),
    "a version in small letters": get(version="http/1.1"),
    "a version of another protocol": get(version="HTTQ/1.1"),
    "RTSP": get("rtsp://a.example/page.txt", method="DESCRIBE", version="RTSP/1.0"),
    "a target without a slash": get("page.txt"),
    "a target of another scheme": get("ftp://a.example/page.txt"),
    "a target of a scheme alone": get("http:"),
    "an absolute target without a host": get("http:///page.txt"),
    "an absolute target with a user": get("http://u:p@a.example/page.txt"),
    "an absolute target with a bad port": get("http://a.example:x/page.txt"),
    "an asterisk for GET": get("*"),
    "a path for CONNECT": get("/page.txt", method="CONNECT"),
    "a fragment": get("/page.txt#a"),
    "a NUL in the target": get("/page.txt\0"),
    "a NUL encoded": get("/page.txt%00"),
    "a NUL encoded, and a suffix": get("/page.txt%00.html"),
    "a LF encoded": get("/page.txt%0A"),
    "a CRLF encoded, in a redirect": get("/dir%0D%0AX-A:%20b"),
    "a percent sign alone": get("/a%b.txt"),
    "a percent sign at the end": get("/page.txt%"),
    "a percent sign before no digits": get("/%zz"),
    "a percent sign before Unicode": get("/%u0070age.txt"),
    "a letter beyond ASCII in the target": get("/uml\xc3\xa4ut.txt"),
    "a DEL in the target": get("/page.txt\x7f"),
    "dots up, out of the root": get("/../page.txt"),
    "dots up, out of the root, to a file there": get("/../secret.txt"),
    "dots up, encoded, to a file there": get("/%2e%2e/secret.txt"),
    "dots up by backslashes": get("/..\\secret.txt"),
    "dots up by an encoded slash": get("/..%2fsecret.txt"),
    "dots up, encoded twice": get("/%252e%252e/secret.txt"),
    "dots up, overlong UTF-8": get("/%c0%ae%c0%ae/secret.txt"),
    "dots up, far": get("/dir" + "/.." * 40 + "/etc/passwd"),
    "a method with a slash": get(method="GE/T"),
    "a method with a NUL": get(method="GE\0T"),
    "a method of 100,000 letters": get(method="M" * 100_000),
    "a target of 100,000 bytes": get("/" + "x" * 100_000),
    "a target of 100,000 bytes, without an end": raw("GET /" + "x" * 100_000) + (END,),
    # not HTTP
    "TLS": raw("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x55" * 100),
    "HTTP/2 with prior knowledge": raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "SSH": raw("SSH-2.0-OpenSSH_9.2\r\n"),
    "a PROXY line": raw("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n") + get(),
    "NULs": raw("\0" * 64 + "\r\n\r\n"),
    "all bytes": raw("".join(map(chr, range(255, -1, -1))) + "\r\n\r\n"),
    "a response": raw("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "empty lines only": raw("\r\n" * 100),
    "nothing": (END,),
    "a LF before": raw("\nGET /page.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "a CR before": raw("\rGET /page.txt HTTP/1.1\r\nHost: a.example\r\n\r\n"),
    "half a request": raw("GET /page.txt HT") + (END,),
}

assert not WELL_FORMED.keys() & MALFORMED.keys()
CORPUS = {**WELL_FORMED, **MALFORMED}


def fill(root):
    """The files asked for, below ROOT and one beside it. Texts differ, so that a body tells the file."""
    def write(name, text, mode=0o644):
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text)
        path.chmod(mode)

    write("page.txt", b"".join(b"%04d\n" % i for i in range(PAGE_BYTES // 5)))
    write("plain.txt", b"plain\n" * 20)
    write("smuggled.txt", b"smuggled")
    write("index.html", b"<!DOCTYPE html><title>Home</title>\n")
    write("empty.txt", b"")
    write("large.bin", b"0123456789abcdef" * 20_000)
    write("packed.txt", b"packed\n" * 70)
    write("packed.txt.gz", b"as if by gzip" * 9)
    write("packed.txt.br", b"as if by br" * 9)
    write("packed.txt.zst", b"as if by zstd" * 8)
    write("dir/index.html", b"<!DOCTYPE html><title>Directory</title>\n")
    write("dir/sub/index.html", b"<!DOCTYPE html><title>Further below</title>\n")
    write("bare/file.txt", b"in a bare directory\n")
    write("with space/index.html", b"<!DOCTYPE html><title>A directory with a space</title>\n")
    write("with space.txt", b"a name with a space\n" * 2)
    write("uml\xe4ut.txt", b"a name in UTF-8\n")
    write("a+b.txt", b"a name with a plus\n")
    write("a b.txt", b"a name that a plus might mean\n")
    write("a%b.txt", b"a name with a percent sign\n")
    write("a#b.txt", b"a name with a hash, in it\n")
    write(".hidden", b"hidden: not to be served\n")
    write(".git/config", b"hidden, by its directory: not to be served\n")
    write("unreadable.txt", b"unreadable: by nobody\n", mode=0o000)
    write("../secret.txt", b"beside the root: never to be served, whatever is asked\n")
    (root / "link.txt").symlink_to("plain.txt")
    (root / "outside.txt").symlink_to("../secret.txt")
