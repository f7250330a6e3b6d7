#!/usr/bin/env python3
"""A small proxy for the tests of fetch: plain requests and CONNECT, Python's standard library only, loopback only.

usage: proxy.py PORT_FILE LOG_FILE [USER:PASSWORD]

Whatever host a request names, it is at 127.0.0.1: so tests can use public names. Names that begin with "unreachable" get 502.
One line a request goes to LOG_FILE: method, target, Proxy-Authorization. With USER:PASSWORD everybody else gets 407.
"""
import base64
import os
import select
import socket
import sys
import threading
import time

log_lock = threading.Lock()


def head_of(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            return None, b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head.decode("latin-1").split("\r\n"), rest


def relay(a, b):
    while True:
        ready, _, _ = select.select([a, b], [], [], 30)
        if not ready:
            return
        for s in ready:
            data = s.recv(65536)
            if not data:
                return
            (b if s is a else a).sendall(data)


def serve(client, log, secret):
    try:
        lines, rest = head_of(client)
        if not lines:
            return
        method, target, _ = lines[0].split(" ", 2)
        fields = {l.partition(":")[0].lower(): l.partition(":")[2].strip() for l in lines[1:]}
        with log_lock:
            log.write("%s\t%s\t%s\n" % (method, target, fields.get("proxy-authorization", "")))
            log.flush()
        if secret and fields.get("proxy-authorization") != "Basic " + base64.b64encode(secret.encode()).decode():
            client.sendall(b"HTTP/1.1 407 no\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        place = target if method == "CONNECT" else target.split("/", 3)[2]
        if place.startswith("unreachable"):
            client.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        server = socket.create_connection(("127.0.0.1", int(place.rpartition(":")[2])))
        if method == "CONNECT":
            client.sendall(b"HTTP/1.1 200 yes\r\n\r\n")
            if rest:
                server.sendall(rest)
        else:
            path = "/" + target.split("/", 3)[3]
            kept = [l for l in lines[1:] if not l.lower().startswith(("proxy-", "connection:"))]
            server.sendall("\r\n".join(["%s %s HTTP/1.1" % (method, path)] + kept + ["Connection: close", "", ""]).encode("latin-1"))
        relay(client, server)
        server.close()
    except (OSError, ValueError, IndexError):
        pass
    finally:
        client.close()


def main():
    log = open(sys.argv[2], "a")
    secret = sys.argv[3] if len(sys.argv) > 3 else None
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    s.listen(256)

    def accept():
        while True:
            c, _ = s.accept()
            threading.Thread(target=serve, args=(c, log, secret), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with open(sys.argv[1] + ".new", "w") as f:
        f.write("%d\n" % s.getsockname()[1])
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    parent = os.getppid()
    while os.getppid() == parent:       # gone with the test that started it
        time.sleep(0.5)


main()
