#!/usr/bin/env python3
"""The progress line on a terminal, in a log, and where nobody wants it. usage: check_progress.py BIN TMP; prints TAP. Standard library only."""
import fcntl
import http.server
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time

from tap_tables import ok, plan

BIN, TMP = sys.argv[1:3]
os.chdir(TMP)
os.makedirs("p", exist_ok=True)


def run(*options, columns=60, term="xterm", rows=8, pause=0.13, tty=True, faster=None, command=None):
    """validate with rows that come one by one, or another command; exit status, what reached the terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = dict(os.environ, TERM=term)
    argv = (["faketime", "-f", "+0 x%d" % faster] if faster else []) + (command or [BIN + "/validate", "--no-sandbox", "-j1", "-o", "out.tsv", *options])
    log = open("log", "w+b")
    p = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=follower if tty else log, stdout=subprocess.DEVNULL, env=env)
    os.close(follower)
    p.stdin.write(b"path\n" if not command else b"")
    for i in range(0 if command else rows):
        p.stdin.write(b"nothing-%d.png\n" % i)
        p.stdin.flush()
        time.sleep(pause)
    p.stdin.close()
    status, text = p.wait(), b""
    try:
        while tty:
            more = os.read(leader, 65536)
            if not more:
                break
            text += more
    except OSError:
        pass                        # the terminal is closed
    os.close(leader)
    log.seek(0)
    text += log.read()
    # The files are missing on purpose: the word on lost rows, which comes after the line has gone, is not what is looked at here.
    return status, re.sub(r"validate: all \d+ rows were rejected[^\n]*\n", "", text.decode())


status, text = run()
lines = re.findall(r"\r([^\r\x1b]*)\x1b\[K", text)
drawn = [line for line in lines if line]
ok(status == 0 and len(drawn) >= 1 and all(re.fullmatch(r"validate: \d+ pictures, [\d.]+/s", line) for line in drawn), "a line of count and rate: %s" % drawn[:2])
ok("\n" not in text and text.endswith("\r\x1b[K"), "drawn over, and gone at the end")
numbers = [int(line.split()[1]) for line in drawn]
ok(numbers == sorted(numbers) and numbers[-1] <= 8, "that counts up: %s" % numbers)
status, text = run(columns=16)
ok(all(len(line) <= 15 for line in re.findall(r"\r([^\r\x1b]*)\x1b\[K", text)) and "validate: " in text, "never wider than the terminal")
for why, how in (("-q", dict(options=["-q"])), ("a terminal that cannot draw", dict(term="dumb")), ("no terminal", dict(tty=False))):
    status, text = run(*how.pop("options", []), **how)
    ok(status == 0 and text == "", "%s: nothing is drawn" % why)
if shutil.which("faketime"):
    status, text = run("--progress", tty=False, faster=200, rows=6)
    lines = text.split("\n")
    ok(status == 0 and len(lines) >= 2 and all(re.fullmatch(r"validate: \d+ pictures, [\d.]+/s", line) for line in lines[:-1]) and "\x1b" not in text,
       "--progress into a log: plain lines %s" % lines[:2])
else:
    print("ok 8 - --progress into a log # SKIP no faketime")


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(0.3)
        self.send_error(404)

    def log_message(self, *args):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
threading.Thread(target=server.serve_forever, daemon=True).start()
with open("urls.txt", "w") as f:
    f.write("".join("http://127.0.0.1:%d/%d.png\n" % (server.server_address[1], i) for i in range(4)))
status, text = run(columns=200, command=[BIN + "/fetch", "--allow-private", "--ignore-robots", "--rate", "0", "--per-host", "1", "--label", "x", "--store", "s", "-o", "f.tsv",
                                         "urls.txt"])
drawn = [line for line in re.findall(r"\r([^\r\x1b]*)\x1b\[K", text) if line]
shapes = [re.fullmatch(r"fetch: (\d)/4 \((\d+)%\) urls, [\d.]+/s(, (\d+:\d\d|--:--) left)?(  .+)?", line) for line in drawn]
ok(status == 0 and drawn and all(shapes) and all(int(m[2]) == 25 * int(m[1]) for m in shapes if m) and any(m[3] for m in shapes if m),
   "with a total: share and time left: %s" % drawn[-2:])
sys.exit(plan())
