#!/usr/bin/env python3
"""board: a picture board on the loopback, as gallery-dl's vichan extractor reads one. usage: board.py PORT
/cats/ has threads 1, 2, 3 of two pictures each; of /dogs/ thread 2 answers 404; of /birds/ all three do, unless the file given as
second argument exists."""
import http.server
import json
import os
import sys


class Board(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def do_GET(self):
        parts = self.path.split('?')[0].strip('/').split('/')
        answer = None
        if parts[-1] == 'threads.json':
            answer = [{'page': 0, 'threads': [{'no': n, 'last_modified': 1} for n in (1, 2, 3)]}]
        elif len(parts) == 3 and parts[1] == 'res':
            number = int(parts[2].split('.')[0])
            gone = {'dogs': {2}, 'birds': {1, 2, 3}}.get(parts[0], set())
            if len(sys.argv) > 2 and os.path.exists(sys.argv[2]):
                gone = set()
            if number not in gone:
                post = {'no': number, 'sub': 'thread', 'time': 1, 'tim': '%d0' % number, 'ext': '.jpg', 'filename': 'a', 'fsize': 1,
                        'h': 1, 'w': 1, 'md5': '', 'extra_files': [{'tim': '%d1' % number, 'ext': '.jpg', 'filename': 'b'}]}
                answer = {'posts': [post]}
        body = json.dumps(answer).encode()
        self.send_response(200 if answer else 404)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Board).serve_forever()
