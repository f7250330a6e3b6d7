#!/usr/bin/env bash
# gallery-dl 1.32.18 (and 1.25.3, Debian 12's): a vichan thread whose first post is a picture alone.
#
# Expected: vichan's JSON leaves empty fields out, so a post without subject and text has neither `sub` nor `com`; the thread's one
# picture is listed.
# Seen: the extractor takes the title from `sub`, else from `com`, as if one were always there: KeyError - 'com', nothing is listed, exit
# status 1. With a subject of one letter the same thread lists its picture. On picture boards such threads are common.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'kill "$server" 2>/dev/null || :; rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install gallery-dl==1.32.18
cat >board.py <<'P'
import http.server, json, sys
class Board(http.server.BaseHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        post = {'no': 1, 'time': 1, 'tim': '10', 'ext': '.jpg', 'filename': 'a', 'fsize': 1, 'h': 1, 'w': 1, 'md5': ''}
        if '/titled/' in self.path:
            post['sub'] = 't'
        body = json.dumps({'posts': [post]}).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Board)
print(server.server_address[1], flush=True)
server.serve_forever()
P
python3 board.py >port &
server=$!
until [ -s port ]; do sleep 0.1; done
url=http://127.0.0.1:$(cat port)
printf '{"extractor": {"retries": 0, "vichan": {"here": {"root": "%s"}}}}' "$url" >here.json
list() { v/bin/gallery-dl -c here.json --get-urls "$url/$1/res/1.html" 2>said || echo "exit $?"; }
[ "$(list titled)" = "$url/titled/src/10.jpg" ]
[ "$(list plain)" = "exit 1" ]
grep -q "KeyError - 'com'" said
echo "as found: $(v/bin/gallery-dl --version): a thread with a subject is listed; without subject and text: KeyError - 'com'"
