#!/usr/bin/env python3
"""A web server that misbehaves on purpose, for the tests of fetch. Loopback only, Python's standard library only.

usage: faultserver.py PORTS_FILE LOG_FILE [CERT_AND_KEY_FILE]

Listens on free ports of 127.0.0.1 (plain), of 127.0.0.2 (plain, "internal": nobody should get there by a redirect) and, with a
certificate, of 127.0.0.1 again (TLS). Writes "PLAIN INTERNAL TLS" to PORTS_FILE when ready, and one line for each request to
LOG_FILE: time, port, method, path, Range, If-None-Match or If-Modified-Since. The first part of a path chooses the behaviour; see the functions
called do_NAME. Pictures are made from their path: the signature and end of a JPEG around noise, nothing anybody could look at.
"""
import email.utils
import hashlib
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
import zlib

CRLF = b"\r\n"
counts = {}
counts_lock = threading.Lock()
log_lock = threading.Lock()
ports = {}


def times_asked(key):
    """How often this was asked before."""
    with counts_lock:
        n = counts.get(key, 0)
        counts[key] = n + 1
    return n


def noise(name, n):
    return hashlib.shake_128(name.encode()).digest(n)


def jpeg(name, n=50000):
    # No 0xff inside, so that nothing in the middle looks like the end marker.
    body = noise(name, n - 6).replace(b"\xff", b"\xfe")
    return b"\xff\xd8\xff\xe0" + body + b"\xff\xd9"


def png(name, n=503):
    return b"\x89PNG\r\n\x1a\n" + noise(name, n - 20) + b"\0\0\0\0IEND\xaeB`\x82"


class Request:
    def __init__(self, sock, port, method, path, headers):
        self.sock, self.port, self.method, self.path, self.headers = sock, port, method, path, headers
        self.keep = True

    def raw(self, data):
        self.sock.sendall(data)

    def head(self, status, *lines, reason="x"):
        self.raw(b"HTTP/1.1 %d %s\r\n" % (status, reason.encode()) + b"".join(l.encode() + CRLF for l in lines) + CRLF)

    def answer(self, status, body, *lines, type="image/jpeg"):
        self.head(status, "Content-Type: " + type, "Content-Length: %d" % len(body), *lines)
        self.raw(body)

    def close(self):
        self.keep = False

    def reset(self):
        """Ends the connection with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.keep = False

    def wait_for_end(self, seconds):
        """Keeps the connection open until the other side goes or the time is over."""
        end = time.time() + seconds
        while time.time() < end:
            ready, _, _ = select.select([self.sock], [], [], 0.2)
            if ready:
                try:
                    if not self.sock.recv(1000):
                        break
                except OSError:
                    break
        self.keep = False

    def ranged(self, body, etag, modified=None, cut=None):
        """A well-behaved file server; with cut, the connection ends after so many bytes of the body."""
        lines = ["ETag: " + etag] if etag else []
        if modified:
            lines.append("Last-Modified: " + modified)
            lines.append("Date: " + email.utils.formatdate(usegmt=True))
        version = etag or modified
        if (etag and self.headers.get("if-none-match") == etag) or (modified and self.headers.get("if-modified-since") == modified):
            self.head(304, *lines)
            return
        first, status = 0, 200
        r = self.headers.get("range")
        if r and r.startswith("bytes=") and r.endswith("-") and self.headers.get("if-range", version) == version:
            first, status = int(r[6:-1]), 206
            lines.append("Content-Range: bytes %d-%d/%d" % (first, len(body) - 1, len(body)))
        part = body[first:]
        self.head(status, "Content-Type: image/jpeg", "Content-Length: %d" % len(part), *lines)
        if cut is not None and len(part) > cut:
            self.raw(part[:cut])
            self.close()
        else:
            self.raw(part)


def size_of(q, usual=50000):
    query = q.path.partition("?")[2]
    return int(query[2:]) if query.startswith("n=") else usual


# --- pictures as they should be ---------------------------------------------------------------------------------------

def do_ok(q):
    q.ranged(jpeg(q.path, size_of(q)), '"%s"' % hashlib.md5(q.path.encode()).hexdigest(), "Sun, 06 Nov 1994 08:49:37 GMT")


def do_modified(q):     # no ETag, only a date
    q.ranged(jpeg(q.path), None, "Sun, 06 Nov 1994 08:49:37 GMT")


def do_changing(q):     # another picture each time, with a validator each time
    n = times_asked(q.path)
    q.ranged(jpeg(q.path + str(n)), '"%d"' % n)


def do_vanishing(q):    # there once, then gone
    if times_asked(q.path) == 0:
        do_ok(q)
    else:
        q.answer(404, b"gone", type="text/plain")


def do_same(q):         # one picture under every name
    q.answer(200, jpeg("same", 3000))


def do_png(q):          # the name and the header say JPEG
    q.answer(200, png(q.path, 2000))


# --- lengths ----------------------------------------------------------------------------------------------------------

def do_cut(q):          # ends at half of Content-Length, always
    body = jpeg(q.path)
    q.head(200, "Content-Type: image/jpeg", "Content-Length: %d" % len(body))
    q.raw(body[: len(body) // 2])
    q.close()


def do_cutonce(q):      # cut the first time, then whole, with ranges
    q.ranged(jpeg(q.path), '"v1"', cut=25000 if times_asked(q.path) == 0 else None)


def do_cutonce_norange(q):
    body = jpeg(q.path)
    if times_asked(q.path) == 0:
        q.head(200, "Content-Type: image/jpeg", "Content-Length: %d" % len(body), 'ETag: "v1"')
        q.raw(body[:25000])
        q.close()
    else:
        q.answer(200, body, 'ETag: "v1"')


def do_weakcut(q):      # only a weak validator: must be asked for whole
    body = jpeg(q.path)
    if times_asked(q.path) == 0:
        q.head(200, "Content-Type: image/jpeg", "Content-Length: %d" % len(body), 'ETag: W/"v1"')
        q.raw(body[:25000])
        q.close()
    else:
        q.answer(200, body, 'ETag: W/"v1"')


def do_newversion(q):   # the file changes between two parts; If-Range tells, the server sends the new one whole
    if times_asked(q.path) == 0:
        q.ranged(jpeg(q.path + "old"), '"old"', cut=25000)
    else:
        q.ranged(jpeg(q.path + "new"), '"new"')


def do_splice(q):       # the same, but the server ignores If-Range and sends the new file's tail as 206
    n = times_asked(q.path)
    if n == 0:
        q.ranged(jpeg(q.path + "old"), '"old"', cut=25000)
    elif "range" in q.headers:
        body = jpeg(q.path + "new")
        q.head(206, "Content-Type: image/jpeg", "Content-Length: %d" % (len(body) - 25000), 'ETag: "new"',
               "Content-Range: bytes 25000-%d/%d" % (len(body) - 1, len(body)))
        q.raw(body[25000:])
    else:
        q.ranged(jpeg(q.path + "new"), '"new"')


def do_wrongrange(q):   # a 206 that starts elsewhere
    n = times_asked(q.path)
    if n == 0:
        q.ranged(jpeg(q.path), '"v"', cut=25000)
    elif "range" in q.headers:
        body = jpeg(q.path)
        q.head(206, "Content-Type: image/jpeg", "Content-Length: %d" % (len(body) - 100), 'ETag: "v"',
               "Content-Range: bytes 100-%d/%d" % (len(body) - 1, len(body)))
        q.raw(body[100:])
    else:
        q.ranged(jpeg(q.path), '"v"')


OLD = "Sun, 06 Nov 1994 08:49:37 GMT"


def do_datecut(q):      # only a date, long past: as good as an ETag
    q.ranged(jpeg(q.path, size_of(q)), None, OLD, cut=25000 if times_asked(q.path) == 0 else None)


def do_datefresh(q):    # changed within the last minute: could change again within the same second
    q.ranged(jpeg(q.path), None, email.utils.formatdate(usegmt=True), cut=25000 if times_asked(q.path) == 0 else None)


def do_datechanged(q):  # another date, another picture
    n = times_asked(q.path)
    q.ranged(jpeg(q.path + ("new" if n else "old")), None, "Mon, 07 Nov 1994 08:49:37 GMT" if n else OLD, cut=None if n else 25000)


def do_cutbusy(q):      # cut, then busy, then with ranges
    n = times_asked(q.path)
    if n == 1:
        q.answer(503, b"busy", type="text/plain")
    else:
        q.ranged(jpeg(q.path), '"v1"', cut=25000 if n == 0 else None)


def do_cutthrice(q):    # 20,000 bytes more each time
    times_asked(q.path)
    q.ranged(jpeg(q.path, 70000), '"v1"', cut=20000)


def do_cutgone(q):      # cut, then gone
    if times_asked(q.path) == 0:
        q.ranged(jpeg(q.path), '"v1"', cut=25000)
    else:
        q.answer(404, b"gone", type="text/plain")


def do_norange(q):      # 416 to every range
    if times_asked(q.path) == 0:
        q.ranged(jpeg(q.path), '"v1"', cut=25000)
    elif "range" in q.headers:
        q.answer(416, b"no", "Content-Range: bytes */50000", type="text/plain")
    else:
        q.ranged(jpeg(q.path), '"v1"')


def later_206(q, *lines, body=None):
    """Cut first; then to a range, a 206 with these lines; without a range, the whole."""
    n = times_asked(q.path)
    if n == 0 or "range" not in q.headers:
        q.ranged(jpeg(q.path), '"v1"', cut=25000 if n == 0 else None)
        return
    body = jpeg(q.path)[25000:] if body is None else body
    q.head(206, "Content-Type: image/jpeg", "Content-Length: %d" % len(body), *lines)
    q.raw(body)


def do_othertotal(q):   # the rest of something longer
    later_206(q, 'ETag: "v1"', "Content-Range: bytes 25000-49999/60000")


def do_notetag(q):      # the rest of who knows what
    later_206(q, "Content-Range: bytes 25000-49999/50000")


def do_shortrest(q):    # says that it is the rest, and is less
    later_206(q, 'ETag: "v1"', "Content-Range: bytes 25000-49999/50000", body=b"\0" * 100)


def do_multipart(q):    # no Content-Range at all
    later_206(q, 'ETag: "v1"', body=b"--x\r\nContent-Range: bytes 25000-49999/50000\r\n\r\n" + b"\0" * 25000)


def do_unasked(q):      # a part that nobody asked for
    body = jpeg(q.path)
    q.head(206, "Content-Type: image/jpeg", "Content-Length: 25000", 'ETag: "v1"', "Content-Range: bytes 0-24999/50000")
    q.raw(body[:25000])


def do_hang(q):         # half of it, then silence; the next time all is well
    body = jpeg(q.path, size_of(q))
    if times_asked(q.path) == 0:
        q.head(200, "Content-Type: image/jpeg", "Content-Length: %d" % len(body), 'ETag: "v1"')
        q.raw(body[:len(body) // 2])
        q.wait_for_end(60)
    else:
        q.ranged(body, '"v1"')


def chunk(data):
    return b"%x\r\n" % len(data) + data + CRLF


def do_chunked(q):
    q.head(200, "Content-Type: image/jpeg", "Transfer-Encoding: chunked")
    body = jpeg(q.path)
    q.raw(chunk(body[:30000]) + chunk(body[30000:]) + b"0\r\n\r\n")


def do_chunkcut(q):
    q.head(200, "Content-Type: image/jpeg", "Transfer-Encoding: chunked")
    q.raw(chunk(jpeg(q.path)[:25000]))
    q.close()


def do_chunkcutonce(q):     # a chunked body cut the first time, then with ranges
    body = jpeg(q.path)
    if times_asked(q.path) == 0:
        q.head(200, "Content-Type: image/jpeg", "Transfer-Encoding: chunked", 'ETag: "v1"')
        q.raw(chunk(body[:25000]))
        q.close()
    else:
        q.ranged(body, '"v1"')


def do_chunkgarbage(q):
    q.head(200, "Content-Type: image/jpeg", "Transfer-Encoding: chunked")
    q.raw(chunk(jpeg(q.path)[:25000]) + b"zz-not-a-size\r\n" + b"x" * 1000)
    q.close()


def do_closewhole(q):   # HTTP/1.0, no length, ended by close
    q.raw(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(q.path))
    q.close()


def do_closecut(q):
    q.raw(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + jpeg(q.path)[:25000])
    q.close()


def do_longer(q):       # more bytes than announced
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 50000")
    q.raw(jpeg(q.path) + b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad")
    q.close()


def do_twolengths(q):
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 50000", "Content-Length: 30000")
    q.raw(jpeg(q.path))
    q.close()


def do_endless(q):      # no length, no end
    q.raw(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nConnection: close\r\n\r\n" + jpeg(q.path)[:-2])
    for _ in range(3200):
        q.raw(b"\0" * 65536)
    q.close()


def do_announced(q):    # a length beyond every limit
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 5000000000")
    q.raw(jpeg(q.path))
    q.close()


def do_empty(q):
    q.answer(200, b"")


# --- time -------------------------------------------------------------------------------------------------------------

def do_stall(q):        # 1 KB, then nothing
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 50000")
    q.raw(jpeg(q.path)[:1000])
    q.wait_for_end(60)


def do_headstall(q):    # not even a status line
    q.wait_for_end(60)


crowd = {"now": 0, "most": 0}       # /crowd/... is asked for under any name; see /most


def do_crowd(q):        # remembers how many asked at once
    with counts_lock:
        crowd["now"] += 1
        crowd["most"] = max(crowd["most"], crowd["now"])
    time.sleep(0.05)
    with counts_lock:
        crowd["now"] -= 1
    do_ok(q)


def do_most(q):
    q.answer(200, b"%d" % crowd["most"], type="text/plain")
    crowd["most"] = 0


def do_drip(q):         # 20 bytes a second
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 50000")
    body = jpeg(q.path)
    for i in range(0, len(body), 4):
        q.raw(body[i:i + 4])
        time.sleep(0.2)


def do_agent(q):        # /agent/NAME/x: a picture for that User-Agent alone
    if q.headers.get("user-agent", "").startswith(q.path.split("/")[2]):
        do_ok(q)
    else:
        q.answer(404, b"not for you", type="text/plain")


def do_reset(q):
    q.head(200, "Content-Type: image/jpeg", "Content-Length: 50000")
    q.raw(jpeg(q.path)[:20000])
    time.sleep(0.05)
    q.reset()


def do_resetearly(q):
    q.reset()


# --- statuses ---------------------------------------------------------------------------------------------------------

def do_429s(q):         # seconds
    if times_asked(q.path) == 0:
        q.answer(429, b"slow down", "Retry-After: 2", type="text/plain")
    else:
        do_ok(q)


def do_429d(q):         # a date
    if times_asked(q.path) == 0:
        q.answer(429, b"slow down", "Retry-After: " + email.utils.formatdate(time.time() + 3, usegmt=True), type="text/plain")
    else:
        do_ok(q)


def do_429long(q):
    q.answer(429, b"slow down", "Retry-After: 86400", type="text/plain")


def do_503s(q):
    if times_asked(q.path) == 0:
        q.answer(503, b"busy", "Retry-After: 1", type="text/plain")
    else:
        do_ok(q)


def do_503(q):          # a storm without end
    q.answer(503, b"busy", type="text/plain")


def do_status(q):       # /status/410/name
    q.answer(int(q.path.split("/")[2]), b"<html><body>no</body></html>", type="text/html")


# --- not the picture --------------------------------------------------------------------------------------------------

def do_html(q):
    q.answer(200, b"<!DOCTYPE html><html><body>please log in" + b"." * 3000, type="text/html")


def do_htmljpeg(q):     # HTML that calls itself a JPEG
    q.answer(200, b"\n\n  <html><body>please log in" + b"." * 3000, type="image/jpeg")


def do_avif(q):
    q.answer(200, b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf" + noise("avif", 2000), type="image/jpeg")


def do_heic(q):
    q.answer(200, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + noise("heic", 2000), type="image/jpeg")


def do_tiff(q):
    q.answer(200, b"II*\0" + noise("tiff", 2000), type="image/jpeg")


def do_gone(q):         # what imgur does
    q.head(302, "Location: /removed.png", "Content-Length: 0")


def do_removed(q):
    q.answer(200, png("removed"), type="image/png")


def make_bomb():
    body = zlib.compressobj(9, zlib.DEFLATED, 31)
    return body.compress(b"\xff\xd8\xff" + b"\0" * (100 << 20)) + body.flush()


def do_bomb(q):         # 100 MiB in 100 KB, though compression was not asked for
    q.answer(200, bomb, "Content-Encoding: gzip")


def packed(body, how):
    if how == "raw":            # deflate as some servers understand it
        z = zlib.compressobj(9, zlib.DEFLATED, -15)
    else:
        z = zlib.compressobj(9, zlib.DEFLATED, 31 if how == "gzip" else 15)
    return z.compress(body) + z.flush()


def do_coded(q):        # /coded/NAME/HOW/x: that Content-Encoding over gzip, zlib, raw, plain, cut or html bytes
    name, how = q.path.split("/")[2:4]
    body = jpeg(q.path, 30000)
    if how == "cut":
        body = packed(body, "gzip")[:9000]
    elif how == "html":
        body = packed(b"<!doctype html><title>x</title>" * 100, "gzip")
    elif how == "twice":        # two members
        body = packed(body[:9000], "gzip") + packed(body[9000:], "gzip")
    elif how != "plain":
        body = packed(body, how)
    q.answer(200, body, "Content-Encoding: " + name, type="image/jpeg")


def do_nonauth(q):      # a proxy that changed something says 203
    q.answer(203, jpeg(q.path, 3000), type="image/jpeg")


portal = {"mode": "off"}


def do_portal(q):       # /portal/html: from now on everything is that; /portal/off ends it. Also 403, empty, login, inside, loop
    portal["mode"] = q.path.split("/")[2]
    q.answer(200, b"set", type="text/plain")


def behind_portal(q):
    mode = portal["mode"]
    if mode == "403":
        q.answer(403, b"no", type="text/plain")
    elif mode == "empty":
        q.answer(200, b"")
    elif mode == "login" and not q.path.startswith("/login"):
        redirect(q, "/login?from=" + q.path)
    elif mode == "inside":      # an address that nobody may be sent to
        redirect(q, "http://10.0.0.1/login")
    elif mode == "loop":
        redirect(q, q.path)
    elif mode == "json":
        q.answer(200, b'{"error": "quota"}', type="application/json")
    else:
        q.answer(200, b"<!doctype html><form action=/login>", type="text/html")


def do_cookie(q):       # who comes back with the cookie gets the picture
    if q.headers.get("cookie") == "seen=yes=1; old=2":
        q.answer(200, jpeg(q.path, 3000))
    else:
        q.head(302, "Location: " + q.path, "Set-Cookie: old=1; Path=/", "set-cookie: gone=1", "Set-Cookie:seen=yes=1; HttpOnly; Secure=no",
               "Set-Cookie: old=2", "Set-Cookie: gone=; Max-Age=0", "Set-Cookie: nonsense", "Content-Length: 0")


def do_cookies(q):      # here, to a login under another name, and back; each host gets what it set, and nothing else
    here, there = "http://127.0.0.1:%d" % ports["plain"], "http://localhost:%d" % ports["plain"]
    step, got = q.path.split("/")[2], q.headers.get("cookie")
    if step == "a" and got is None:
        q.head(302, "Location: %s/cookies/b/x.jpg" % there, "Set-Cookie: a=1", "Content-Length: 0")
    elif step == "b" and got is None:
        q.head(302, "Location: %s/cookies/c/x.jpg" % here, "Set-Cookie: b=2", "Content-Length: 0")
    elif step == "c" and got == "a=1":
        q.head(302, "Location: %s/cookies/d/x.jpg" % there, "Set-Cookie: c=3", "Content-Length: 0")
    elif step == "d" and got == "b=2":
        q.answer(200, jpeg(q.path, 3000))
    else:
        q.answer(500, b"cookies")


def do_bighead(q):      # 10 MB of header lines
    q.raw(b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n")
    for i in range(10000):
        q.raw(b"X-Filler-%d: " % i + b"f" * 1000 + CRLF)
    q.raw(CRLF + jpeg(q.path))
    q.close()


def do_garbage(q):
    q.raw(b"this is no HTTP at all\n" * 100)
    q.close()


# --- redirects --------------------------------------------------------------------------------------------------------

def redirect(q, target):
    q.head(302, "Location: " + target, "Content-Length: 0")


def do_to(q):           # /to/ok/x.jpg leads to /ok/x.jpg
    redirect(q, q.path[3:])


def do_loop(q):
    redirect(q, q.path + "x")


def do_file(q):
    redirect(q, "file:///etc/hostname")


def do_internal(q):     # to the other loopback address
    redirect(q, "http://127.0.0.2:%d/ok/secret.jpg" % ports["internal"])


def do_internal6(q):    # the same address in IPv6's clothes
    redirect(q, "http://[::ffff:127.0.0.2]:%d/ok/secret.jpg" % ports["internal"])


def do_rebound(q):      # to the same place by a name that once led elsewhere
    redirect(q, "http://rebind.test:%d/ok/secret.jpg" % ports["internal"])


def do_credentials(q):
    redirect(q, "http://user:secret@127.0.0.1:%d/ok/x.jpg" % ports["plain"])


# --- wishes of the site -----------------------------------------------------------------------------------------------

def do_tag(q):          # /tag/noai,%20x/name: that X-Robots-Tag; "|" separates header lines
    value = q.path.split("/")[2].replace("%20", " ")
    q.answer(200, jpeg(q.path, 3000), *("X-RoBoTs-Tag: " + v for v in value.split("|")))


def do_private(q):      # see robots.txt
    do_ok(q)


robots = {"mode": "none"}


def do_robots(q):       # the next robots.txt: /robots/none, /robots/rules, /robots/500, /robots/429
    robots["mode"] = q.path.split("/")[2]
    q.answer(200, b"set", type="text/plain")


def do_rules(q):        # where a redirected robots.txt leads
    robots_rules(q)


def robots_rules(q):
    q.answer(200, b"# wishes\r\nUser-agent: *\r\nDisallow: /\r\n\r\nUser-Agent: Winnow\r\nDisallow: /private/\r\n"
                  b"Allow: /private/but/\r\nDisallow: /*.secret$\r\n", type="text/plain")


def robots_txt(q):
    mode = robots["mode"]
    if mode == "elsewhere":
        redirect(q, "http://localhost:%d/rules/x" % ports["plain"])
    elif mode == "round":
        redirect(q, "/robots.txt")
    elif mode == "rules":
        robots_rules(q)
    elif mode == "gzip":
        q.answer(200, packed(b"User-agent: *\nDisallow: /private/\n", "gzip"), "Content-Encoding: gzip", type="text/plain")
    elif mode == "silentgzip":
        q.answer(200, packed(b"User-agent: *\nDisallow: /private/\n", "gzip"), type="text/plain")
    elif mode == "broken":
        q.answer(200, packed(b"User-agent: *\nAllow: /\n" + noise("r", 9000), "gzip")[:500], "Content-Encoding: gzip", type="text/plain")
    elif mode == "br":
        q.answer(200, b"\x0b\x02\x80abcde\x03", "Content-Encoding: br", type="text/plain")
    elif mode == "odd":
        q.answer(200, b"User-agent: *\nDisallow: /private/\n", "Content-Encoding: utf-8", type="text/plain")
    elif mode == "long":
        q.answer(200, b"User-agent: *\nDisallow: /private/\n" + b"# filler\n" * 80000, type="text/plain")
    elif mode == "longgzip":
        q.answer(200, packed(b"User-agent: *\nDisallow: /private/\n" + b"# filler\n" * 80000, "gzip"), "Content-Encoding: gzip", type="text/plain")
    elif mode in ("500", "429"):
        q.answer(int(mode), b"busy", type="text/plain")
    else:
        q.answer(404, b"none", type="text/plain")


def read_request(f):
    line = f.readline(65536)
    if not line[:1].isalpha():      # nothing, or a TLS hello, whose random bytes may hold two spaces and look like a request
        return None
    method, path, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while True:
        line = f.readline(65536)
        if line in (b"\r\n", b"\n", b""):
            break
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    return method, path, headers


def serve(sock, port, log):
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        f = sock.makefile("rb")
        while True:
            got = read_request(f)
            if not got:
                break
            q = Request(sock, port, *got)
            with log_lock:
                log.write("%.3f\t%d\t%s\t%s\t%s\t%s\n" % (
                    time.time(), port, q.method, q.path, q.headers.get("range", ""),
                    q.headers.get("if-none-match", q.headers.get("if-modified-since", ""))))
                log.flush()
            name = q.path.split("/")[1].partition("?")[0].partition(".")[0].replace("-", "_")
            if portal["mode"] != "off" and name != "portal":
                behind_portal(q)
            elif q.path == "/robots.txt":
                robots_txt(q)
            else:
                globals().get("do_" + name, lambda r: r.answer(404, b"<html>no such page</html>", type="text/html"))(q)
            if not q.keep or q.headers.get("connection", "").lower() == "close":
                break
        f.close()
    except (OSError, ValueError, IndexError, ssl.SSLError):     # gone, or no HTTP
        pass
    finally:
        sock.close()


def listen(address, log, context=None):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, 0))
    s.listen(512)
    port = s.getsockname()[1]

    def handshake_and_serve(c):
        try:
            if context:
                c.settimeout(20)
                c = context.wrap_socket(c, server_side=True)
                c.settimeout(None)
        except (OSError, ssl.SSLError):
            c.close()
            return
        serve(c, port, log)

    def accept():
        while True:
            c, _ = s.accept()
            threading.Thread(target=handshake_and_serve, args=(c,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return port


def main():
    ports_file, log_file = sys.argv[1:3]
    global bomb
    log = open(log_file, "a")
    bomb = make_bomb()
    ports["plain"] = listen("127.0.0.1", log)
    ports["internal"] = listen("127.0.0.2", log)
    ports["tls"] = 0
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
        ports["tls"] = listen("127.0.0.1", log, context)
    with open(ports_file + ".new", "w") as f:
        f.write("%d %d %d\n" % (ports["plain"], ports["internal"], ports["tls"]))
    os.rename(ports_file + ".new", ports_file)
    parent = os.getppid()
    while os.getppid() == parent:       # gone with the test that started it
        time.sleep(0.5)


main()
