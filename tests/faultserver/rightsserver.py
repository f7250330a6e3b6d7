#!/usr/bin/env python3
"""A web server with many hosts that each say something about training, for the suite rights.

usage: rightsserver.py CASES_FILE PORT_FILE LOG_FILE

CASES_FILE is read again for each request. Its columns: name robots tdmrep headers path ...; \\n in a cell ends a line. Row N (from 1) is the host
127.1.X.Y of that number, on the one port that PORT_FILE names; any path but the two files is a picture with those header lines, or a
web page with those after a first line "!page". A cell
of a file: empty is 404; "!NNN" is that status, "!301 /path TEXT" a redirect to TEXT, "!gzip TEXT" and "!br TEXT" come coded, "!pad N TEXT" is TEXT
and then N bytes of comment, "!nest N" is N opening brackets, "!hang" never answers. One log line for each request: number, path.
"""
import gzip
import hashlib
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

cases_path, port_path, log_path = sys.argv[1:4]
log = open(log_path, "a")
log_lock = threading.Lock()


def cases():
    with open(cases_path, encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip()]
    return [dict(zip(rows[0], (cell.replace("\\n", "\n").replace("\\r", "\r") for cell in row))) for row in rows[1:]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def say(self, status, body, *headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for h in headers:
            name, _, value = h.partition(":")
            self.send_header(name, value.strip())
        self.end_headers()
        self.wfile.write(body)

    def file(self, cell):
        word, _, rest = cell.partition(" ")
        if cell == "":
            self.say(404, b"none")
        elif word == "!gzip":
            self.say(200, gzip.compress(rest.encode()), "Content-Encoding: gzip")
        elif word == "!br":
            self.say(200, rest.encode(), "Content-Encoding: br")
        elif word == "!pad":
            n, _, text = rest.partition(" ")
            self.say(200, text.encode() + b"\n" + b"# filler\n" * (int(n) // 9))
        elif word == "!nest":
            self.say(200, b"[" * int(rest))
        elif word == "!hang":
            time.sleep(30)
        elif word.startswith("!3"):
            self.say(int(word[1:]), b"", "Location: " + rest.partition(" ")[0])
        elif word.startswith("!"):
            self.say(int(word[1:]), b"busy")
        else:
            self.say(200, cell.encode("latin-1"))

    def do_GET(self):
        a, b, c, d = (int(x) for x in self.connection.getsockname()[0].split("."))
        number = c * 256 + d
        with log_lock:
            log.write("%d\t%s\n" % (number, self.path))
            log.flush()
        case = cases()[number - 1]
        if self.path == "/robots.txt":
            self.file(case["robots"])
        elif case["robots"].startswith("!301 " + self.path + " "):
            self.file(case["robots"].split(" ", 2)[2])
        elif self.path == "/.well-known/tdmrep.json":
            self.file(case["tdmrep"])
        elif self.path.startswith("/to/"):
            self.say(302, b"", "Location: " + self.path[3:], *(h for h in case["headers"].split("\n") if h))
        else:
            tag = '"%d"' % number
            if case["headers"].startswith("!page\n"):
                self.say(200, b"<!doctype html><title>log in</title>" + b" " * 100, "Content-Type: text/html", *case["headers"].split("\n")[1:])
                return
            headers = [h for h in case["headers"].split("\n") if h] + ["ETag: " + tag]
            if self.headers.get("If-None-Match") == tag:
                self.say(304, b"", *headers)
                return
            body = hashlib.shake_128(("%d%s" % (number, self.path)).encode()).digest(3000).replace(b"\xff", b"\xfe")
            self.say(200, b"\xff\xd8\xff\xe0" + body + b"\xff\xd9", *headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


server = Server(("0.0.0.0", 0), Handler)
with open(port_path + ".new", "w") as f:
    f.write("%d\n" % server.server_address[1])
os.rename(port_path + ".new", port_path)
server.serve_forever()
