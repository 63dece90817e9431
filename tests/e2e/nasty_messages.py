# SPDX-License-Identifier: Apache-2.0
"""HTTP messages that are wrong, doubtful, or at the edge of what is allowed.

    REQUESTS    {name: bytes}      RESPONSES   {name: bytes}
    UNTOUCHABLE the names of requests that nobody may add anything to: two readers might disagree
                where they end
    mutations(rng, messages, count)
"""
TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = b"00f067aa0ba902b7"
GOOD = b"00-" + TRACE + b"-" + SPAN + b"-01"


def head(line, *fields, end=b"\r\n", body=b""):
    return end.join([line, *fields, b"", b""]) + body


def get(*fields, body=b"", line=b"GET /x HTTP/1.1", host=True):
    return head(line, *([b"Host: x"] if host else []), *fields, body=body)


SMUGGLING = {
    "CL and TE": get(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\nG"),
    "TE and CL": get(b"Transfer-Encoding: chunked", b"Content-Length: 4",
                     body=b"5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"),
    "two lengths": get(b"Content-Length: 3", b"Content-Length: 5", body=b"abcde"),
    "two equal lengths": get(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
    "list of lengths": get(b"Content-Length: 3, 5", body=b"abcde"),
    "list of equal lengths": get(b"Content-Length: 3, 3", body=b"abc"),
    "folded field": get(b"X-A: 1", b" folded"),
    "folded length": get(b"Content-Length:", b" 3", body=b"abc"),
    "folded encoding": get(b"Transfer-Encoding:", b"\tchunked", body=b"0\r\n\r\n"),
    "fold before the first field": b"GET /x HTTP/1.1\r\n Host: x\r\n\r\n",
    "bare CR in a value": get(b"X-A: a\rX-B: b"),
    "bare CR between fields": b"GET /x HTTP/1.1\r\nHost: x\rContent-Length: 3\r\n\r\nabc",
    "CR CR LF": b"GET /x HTTP/1.1\r\r\nHost: x\r\r\n\r\r\n",
    "space before the colon": get(b"Content-Length : 3", body=b"abc"),
    "tab before the colon": get(b"Transfer-Encoding\t: chunked", body=b"0\r\n\r\n"),
    "NUL in a value": get(b"X-A: a\0b"),
    "NUL in a name": get(b"X\0A: b"),
    "NUL at the start of a value": get(b"Content-Length: \x003", body=b"abc"),
    "encoding twice": get(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked",
                          body=b"0\r\n\r\n"),
    "encoding chunked and identity": get(b"Transfer-Encoding: chunked",
                                         b"Transfer-Encoding: identity", body=b"0\r\n\r\n"),
    "encoding not last": get(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"),
    "encoding misspelt": get(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "encoding with a vertical tab": get(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "encoding quoted": get(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "encoding in 1.0": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.0",
                           body=b"0\r\n\r\n"),
    "length with a sign": get(b"Content-Length: +3", body=b"abc"),
    "negative length": get(b"Content-Length: -1"),
    "length in hexadecimal": get(b"Content-Length: 0x3", body=b"abc"),
    "length with blanks inside": get(b"Content-Length: 1 0", body=b"abcdefghij"),
    "length beyond 64 bits": get(b"Content-Length: 18446744073709551619", body=b"abc"),
    "length of 2**63": get(b"Content-Length: 9223372036854775808"),
    "length with underscores": get(b"Content-Length: 1_0", body=b"abcdefghij"),
    "empty length": get(b"Content-Length:", body=b"abc"),
    "field without a colon": get(b"Content-Length"),
    "empty field name": get(b": value"),
}
UNTOUCHABLE = frozenset(SMUGGLING)

START_LINES = {
    "empty line first": b"\r\n" + get(), "many empty lines first": b"\r\n" * 8 + get(),
    "bare LF everywhere": head(b"GET /x HTTP/1.1", b"Host: x", end=b"\n"),
    "bare LF in the end": b"GET /x HTTP/1.1\r\nHost: x\r\n\n",
    "no version": head(b"GET /x"), "version 0.9": get(line=b"GET /x HTTP/0.9"),
    "version 1.2": get(line=b"GET /x HTTP/1.2"), "version 2.0": get(line=b"GET /x HTTP/2.0"),
    "version 1.10": get(line=b"GET /x HTTP/1.10"), "version 1": get(line=b"GET /x HTTP/1"),
    "version in small letters": get(line=b"GET /x http/1.1"),
    "version with a blank": get(line=b"GET /x HTTP/1.1 "),
    "version of another protocol": get(line=b"GET /x RTSP/1.0"),
    "1.0 without anything": head(b"GET /x HTTP/1.0"), "no host": get(host=False),
    "two hosts": get(b"Host: y"), "empty host": head(b"GET /x HTTP/1.1", b"Host:"),
    "host with a path": head(b"GET /x HTTP/1.1", b"Host: x/y"),
    "two blanks": get(line=b"GET  /x HTTP/1.1"), "tabs": get(line=b"GET\t/x\tHTTP/1.1"),
    "blank first": get(line=b" GET /x HTTP/1.1"), "four words": get(line=b"GET /x y HTTP/1.1"),
    "small method": get(line=b"get /x HTTP/1.1"), "odd method": get(line=b"G!#$%&'*+-.^_`|~ /x HTTP/1.1"),
    "bad method": get(line=b"G(T /x HTTP/1.1"), "long method": get(line=b"M" * 300 + b" /x HTTP/1.1"),
    "no method": get(line=b"/x HTTP/1.1"), "OPTIONS *": get(line=b"OPTIONS * HTTP/1.1"),
    "absolute": get(line=b"GET http://x/y HTTP/1.1"), "authority": get(line=b"CONNECT x:80 HTTP/1.1"),
    "absolute with a password": get(line=b"GET http://u:p@x/y HTTP/1.1"),
    "target without a slash": get(line=b"GET x HTTP/1.1"), "empty target": get(line=b"GET  HTTP/1.1"),
    "target with a fragment": get(line=b"GET /x#y HTTP/1.1"), "dots": get(line=b"GET /../../etc HTTP/1.1"),
    "target of 8-bit bytes": get(line=b"GET /\xe4\xf6\xfc\xff HTTP/1.1"),
    "target with controls": get(line=b"GET /\x01\x1b[2J\x7f HTTP/1.1"),
    "target with NUL": get(line=b"GET /a\0b HTTP/1.1"), "target with CR": get(line=b"GET /a\rb HTTP/1.1"),
    "percent at the end": get(line=b"GET /% HTTP/1.1"), "percent of nothing": get(line=b"GET /%zz HTTP/1.1"),
    "percent NUL": get(line=b"GET /%00 HTTP/1.1"), "percent CRLF": get(line=b"GET /%0d%0aX:%20y HTTP/1.1"),
    "target of 5000": get(line=b"GET /" + b"a" * 5000 + b" HTTP/1.1"),
    "target of 70000": get(line=b"GET /" + b"a" * 70000 + b" HTTP/1.1"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9),
    "TLS hello": bytes.fromhex("1603010200010001fc0303") + bytes(100),
    "binary": bytes(range(256)) * 4, "one byte": b"G", "nothing": b"", "half a head": b"GET /x HTTP/1.1\r\nHo",
    "head without its end": b"GET /x HTTP/1.1\r\nHost: x\r\n", "just CRLF": b"\r\n\r\n\r\n",
    "text": b"hello, is anybody there?\r\n\r\n", "redis": b"*1\r\n$4\r\nPING\r\n",
    "a response": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "proxy protocol": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(),
}

BODIES = {
    "chunked": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1", body=b"3\r\nabc\r\n0\r\n\r\n"),
    "chunked, trailers": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                             body=b"3\r\nabc\r\n0\r\ntraceparent: " + GOOD + b"\r\n\r\n"),
    "chunk extension": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                           body=b'3;a="\r\n";b=2\r\nabc\r\n0\r\n\r\n'),
    "chunk size too large": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                                body=b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    "chunk size negative": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                               body=b"-1\r\nabc\r\n0\r\n\r\n"),
    "chunk size with 0x": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                              body=b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk size with a blank": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                                   body=b"3 \r\nabc\r\n0\r\n\r\n"),
    "chunk without its end": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                                 body=b"3\r\nabcdef\r\n0\r\n\r\n"),
    "chunk with bare LF": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1",
                              body=b"3\nabc\n0\n\n"),
    "chunked, cut": get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.1", body=b"3\r\nab"),
    "body cut": get(b"Content-Length: 100", line=b"POST /x HTTP/1.1", body=b"abc"),
    "body longer": get(b"Content-Length: 3", line=b"POST /x HTTP/1.1", body=b"abc" + get()),
    "body without a length": get(line=b"POST /x HTTP/1.1", body=b"abc"),
    "body like a head": get(b"Content-Length: 62", line=b"POST /x HTTP/1.1",
                            body=b"GET /y HTTP/1.1\r\nHost: y\r\ntraceparent: 00-zz\r\n\r\n" + b"." * 13),
    "length with zeros": get(b"Content-Length: 0000000000000000000000003", body=b"abc"),
    "pipelined": get() * 20, "pipelined with an error": get() * 3 + b"\0\r\n\r\n" + get(),
    "upgrade": get(b"Connection: Upgrade", b"Upgrade: websocket", body=b"\x81\x85abcd" + bytes(9)),
    "upgrade to h2c": get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                          b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "expect nonsense": get(b"Expect: 200-maybe", b"Content-Length: 3", body=b"abc"),
    "connection lists trace headers": get(b"Connection: traceparent, close", b"traceparent: " + GOOD),
}

FIELDS = {
    "value of controls": get(b"X-A: \x01\x02\x1b[31m\x7f"), "value of 8-bit bytes": get(b"X-A: \xff\xfe\x80"),
    "name of 8-bit bytes": get(b"X\xff: a"), "name with a blank": get(b"X A: a"),
    "name of separators": get(b'X"(),/:;<=>?@[\\]{}: a'), "long name": get(b"X" * 5000 + b": a"),
    "long value": get(b"X: " + b"a" * 7900), "very long value": get(b"X: " + b"a" * 70000),
    "empty values": get(b"A:", b"B: ", b"C:\t \t"), "no blank": get(b"A:b", b"C:d"),
    "blanks after": get(b"A: b   \t"), "signed": get(b"Authorization: AWS4-HMAC-SHA256 Credential=a,"
                                                     b" SignedHeaders=host;traceparent, Signature=f"),
}
for _count in (60, 86, 87, 88, 89, 90, 91, 97, 98, 99, 100, 101, 102, 300):
    FIELDS[f"{_count} fields"] = get(*[b"X-%d: y" % n for n in range(_count - 1)])
for _limit in (4096, 8192, 16384, 32768, 65536):
    for _less in (140, 71, 70, 69, 35, 1, 0, -1):
        _message = get(*[b"X%d: " % n + b"a" * (_limit // 10) for n in range(8)], b"X: ")
        _pad = b"X: " + b"a" * (_limit - _less - len(_message))
        FIELDS[f"{_limit} - {_less} bytes"] = _message.replace(b"X: ", _pad)

PARENTS = {
    "good": GOOD, "unsampled": GOOD[:-2] + b"00", "random": GOOD[:-2] + b"03", "flags ff": GOOD[:-2] + b"ff",
    "upper case": GOOD.upper(), "version ff": b"ff" + GOOD[2:], "version 01": b"01" + GOOD[2:],
    "version 01 and more": b"01" + GOOD[2:] + b"-what-else", "version 01 and no hyphen": b"01" + GOOD[2:] + b"x",
    "version 00 and more": GOOD + b"-more", "version fe of 600": b"fe" + GOOD[2:] + b"-" + b"x" * 600,
    "zero trace": b"00-" + b"0" * 32 + b"-" + SPAN + b"-01", "zero span": b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
    "short": GOOD[:-1], "one short in the trace": b"00-" + TRACE[1:] + b"-" + SPAN + b"-01", "empty": b"",
    "no hexadecimal": GOOD.replace(b"f", b"g"), "underscores": GOOD.replace(b"-", b"_"), "nonsense": b"nonsense",
    "blanks around": b"  \t" + GOOD + b" \t ", "blanks inside": GOOD.replace(b"-", b" - "), "quoted": b'"' + GOOD + b'"',
    "list": GOOD + b", " + GOOD, "NUL behind": GOOD + b"\0", "CR behind": GOOD + b"\r", "escape": b"\x1b" + GOOD,
    "5000 long": GOOD + b"0" * 5000, "8-bit": b"\xff" * 55, "version 0": b"0" + GOOD[2:],
}
STATES = {
    "33 members": b",".join(b"k%d=v" % n for n in range(33)), "32 members": b",".join(b"k%d=v" % n for n in range(32)),
    "same key twice": b"a=1,a=2", "no value": b"a", "no key": b"=1", "upper case key": b"A=1", "empty members": b"a=1,,b=2,",
    "key of 257": b"a" * 257 + b"=1", "value of 257": b"a=" + b"1" * 257, "value of 256": b"a=" + b"1" * 256,
    "512 bytes": b"a=" + b"1" * 250 + b",b=" + b"2" * 257, "600 bytes": b",".join(b"k%d=%s" % (n, b"v" * 90) for n in range(6)),
    "5000 bytes": b",".join(b"k%d=%s" % (n, b"v" * 250) for n in range(20)), "8-bit": b"a=\xff", "controls": b"a=\x1b[2J",
    "equals in the value": b"a=b=c", "blanks": b" a=1 , b=2 ", "tenant": b"fw529a3039@dt=FfzH8A", "digit first": b"1a=2", "empty": b"",
}
TRACES = {f"traceparent {n}": get(b"traceparent: " + v) for n, v in PARENTS.items()}
TRACES |= {f"tracestate {n}": get(b"traceparent: " + GOOD, b"tracestate: " + v) for n, v in STATES.items()}
TRACES |= {
    "two traceparents": get(b"traceparent: " + GOOD, b"Traceparent: " + GOOD),
    "two that differ": get(b"traceparent: " + GOOD, b"traceparent: " + GOOD.replace(b"4bf9", b"5bf9")),
    "a good and a bad one": get(b"traceparent: " + GOOD, b"X: y", b"traceparent: zz"),
    "thirty traceparents": get(*[b"traceparent: " + GOOD] * 30),
    "a state alone": get(b"tracestate: a=1"), "state before parent": get(b"tracestate: a=1", b"traceparent: " + GOOD),
    "forty states": get(b"traceparent: " + GOOD, *[b"tracestate: a%d=1" % n for n in range(40)]),
    "bad parent, good state": get(b"traceparent: zz", b"tracestate: a=1"),
    "capitals": get(b"TRACEPARENT: " + GOOD, b"TraceState: a=1"), "no blank": get(b"traceparent:" + GOOD),
    "names that begin alike": get(b"traceparent-x: " + GOOD, b"traceparen: 1", b"tracestates: a=1"),
    "folded parent": get(b"traceparent:", b" " + GOOD), "parent in a value": get(b"X: traceparent: " + GOOD),
    "parent last": head(b"GET /x HTTP/1.1", b"Host: x", b"traceparent: " + GOOD, end=b"\n"),
    "parent and length twice": get(b"traceparent: " + GOOD, b"Content-Length: 0", b"Content-Length: 0"),
}
REQUESTS = {**SMUGGLING, **START_LINES, **BODIES, **FIELDS, **TRACES}


def answer(*fields, line=b"HTTP/1.1 200 OK", body=b"", end=b"\r\n"):
    return head(line, *fields, body=body, end=end)


OK = b"Content-Length: 2"
RESPONSES = {
    "plain": answer(OK, body=b"ok"), "nothing": b"", "one byte": b"H", "half a head": b"HTTP/1.1 200 OK\r\nCont",
    "0.9": b"just text, no head", "binary": bytes(range(256)), "TLS alert": bytes.fromhex("15030300020228"),
    "bare LF": answer(OK, body=b"ok", end=b"\n"), "no reason": answer(OK, line=b"HTTP/1.1 200", body=b"ok"),
    "no status": answer(OK, line=b"HTTP/1.1", body=b"ok"), "status 99": answer(OK, line=b"HTTP/1.1 99 x", body=b"ok"),
    "status 1000": answer(OK, line=b"HTTP/1.1 1000 x", body=b"ok"), "status 999": answer(OK, line=b"HTTP/1.1 999 x", body=b"ok"),
    "status abc": answer(OK, line=b"HTTP/1.1 abc x", body=b"ok"), "status -20": answer(OK, line=b"HTTP/1.1 -20 x", body=b"ok"),
    "status 000": answer(OK, line=b"HTTP/1.1 000 x", body=b"ok"), "status 600": answer(OK, line=b"HTTP/1.1 600 x", body=b"ok"),
    "version 1.0": answer(line=b"HTTP/1.0 200 OK", body=b"until the end"), "version 3.7": answer(OK, line=b"HTTP/3.7 200 OK", body=b"ok"),
    "ICY": answer(line=b"ICY 200 OK", body=b"music"), "small letters": answer(OK, line=b"http/1.1 200 OK", body=b"ok"),
    "blank first": answer(OK, line=b" HTTP/1.1 200 OK", body=b"ok"), "CRLF first": b"\r\n" + answer(OK, body=b"ok"),
    "two blanks": answer(OK, line=b"HTTP/1.1  200 OK", body=b"ok"), "tabs": answer(OK, line=b"HTTP/1.1\t200\tOK", body=b"ok"),
    "escape in the reason": answer(OK, line=b"HTTP/1.1 200 \x1b[2J", body=b"ok"), "long reason": answer(OK, line=b"HTTP/1.1 200 " + b"x" * 9000, body=b"ok"),
    "until the end": answer(body=b"until the end"), "cut": answer(b"Content-Length: 100", body=b"abc"),
    "too long": answer(OK, body=b"okok"), "two answers": answer(OK, body=b"ok") * 2, "two lengths": answer(OK, b"Content-Length: 5", body=b"okokk"),
    "two equal lengths": answer(OK, OK, body=b"ok"), "negative length": answer(b"Content-Length: -5", body=b"ok"),
    "length abc": answer(b"Content-Length: abc", body=b"ok"), "length of 2**64": answer(b"Content-Length: 18446744073709551616", body=b"ok"),
    "length with a plus": answer(b"Content-Length: +2", body=b"ok"), "CL and TE": answer(OK, b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    "chunked": answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"), "chunked, cut": answer(b"Transfer-Encoding: chunked", body=b"5\r\nok"),
    "chunked, trailers": answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\nX: y\r\nContent-Length: 99\r\n\r\n"),
    "chunk size zz": answer(b"Transfer-Encoding: chunked", body=b"zz\r\nok\r\n0\r\n\r\n"), "no last chunk": answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n"),
    "huge chunk": answer(b"Transfer-Encoding: chunked", body=b"ffffffffffffffff\r\nok"), "1.0 chunked": answer(b"Transfer-Encoding: chunked", line=b"HTTP/1.0 200 OK", body=b"2\r\nok\r\n0\r\n\r\n"),
    "TE identity": answer(b"Transfer-Encoding: identity", OK, body=b"ok"), "TE unknown": answer(b"Transfer-Encoding: what", body=b"ok"),
    "204 with a body": answer(OK, line=b"HTTP/1.1 204 No Content", body=b"ok"), "304 with a body": answer(OK, line=b"HTTP/1.1 304 Not Modified", body=b"ok"),
    "100 first": answer(line=b"HTTP/1.1 100 Continue") + answer(OK, body=b"ok"), "many 100s": answer(line=b"HTTP/1.1 100 Continue") * 20 + answer(OK, body=b"ok"),
    "103 first": answer(b"Link: </x>", line=b"HTTP/1.1 103 Early Hints") + answer(OK, body=b"ok"), "100 and the end": answer(line=b"HTTP/1.1 100 Continue"),
    "101 unasked": answer(b"Upgrade: x", b"Connection: upgrade", line=b"HTTP/1.1 101 Switching Protocols", body=b"\0\1\2"),
    "101 then an answer": answer(line=b"HTTP/1.1 101 x") + answer(OK, body=b"ok"), "redirect": answer(b"Location: /elsewhere", b"Content-Length: 0", line=b"HTTP/1.1 302 Found"),
    "folded": answer(b"X: a", b" b", OK, body=b"ok"), "fold first": answer(b" X: a", OK, body=b"ok"), "no colon": answer(b"X", OK, body=b"ok"),
    "space before the colon": answer(b"Content-Length : 2", body=b"ok"), "NUL in a value": answer(b"X: a\0b", OK, body=b"ok"),
    "CR in a value": answer(b"X: a\rb", OK, body=b"ok"), "8-bit": answer(b"X: \xff\xfe", OK, body=b"ok"), "controls": answer(b"X: \x1b]0;title\x07", OK, body=b"ok"),
    "empty name": answer(b": x", OK, body=b"ok"), "300 fields": answer(*[b"X-%d: y" % n for n in range(300)], OK, body=b"ok"),
    "value of 70000": answer(b"X: " + b"a" * 70000, OK, body=b"ok"), "head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100,
    "trace headers": answer(b"traceparent: " + GOOD, b"traceresponse: " + GOOD, OK, body=b"ok"), "gzip that is none": answer(b"Content-Encoding: gzip", OK, body=b"ok"),
    "keep-alive lies": answer(b"Connection: keep-alive", b"Keep-Alive: timeout=0", OK, body=b"ok"), "close and keep": answer(b"Connection: close, keep-alive", OK, body=b"ok"),
    "a request": get(), "HTTP/2 settings": bytes.fromhex("000000040000000000"), "CR CR LF": b"HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\r\n\r\r\nok",
}

_PIECES = [b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\x1b", b"\xff", b",", b"-", b"0", b"\r\n\r\n",
           b"Transfer-Encoding: chunked\r\n", b"Content-Length: 5\r\n", b"Content-Length: 0\r\n",
           b"traceparent: " + GOOD + b"\r\n", b"tracestate: a=1\r\n", b"HTTP/1.1", b"GET / HTTP/1.1\r\n"]


def mutations(rng, messages, count):
    """{name: bytes}: messages with some bytes changed, lost, doubled or added."""
    names = [n for n, m in messages.items() if 0 < len(m) < 3000]
    result = {}
    for number in range(count):
        name = rng.choice(names)
        message = bytearray(messages[name])
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(message) + 1)
            to = min(len(message), at + rng.randint(0, 12))
            kind = rng.randrange(4)
            if kind == 0 and at < len(message):
                message[at] = rng.randrange(256)
            elif kind == 1:
                del message[at:to]
            elif kind == 2:
                message[at:at] = message[at:to] * rng.randint(1, 3)
            else:
                message[at:at] = rng.choice(_PIECES)
        result[f"{name}, changed {number}"] = bytes(message)
    return result
