#!/usr/bin/env bash
# fetch against curl, wget under xargs, and aria2: many small pictures from an nginx of its own on the loopback, output on tmpfs.
# Prints a table of medians: wall and CPU seconds, files a second, peak memory of the largest process, nginx's CPU. Never fails.
# usage: fetch.sh [N_FILES [ROUNDS]]     20000 and 3 by default; 818 MB a run
# ONLY=fetch: without the peers but curl, and with --rights ignore beside. BEFORE=FOLDER then adds the fetch of another build.
# REALTIME=1 (root): all of them, and nginx, before everything else on the machine (SCHED_FIFO): comparable walls on a machine that is not quiet.
# A machine-wide lock keeps two benchmarks apart where flock and the lock's folder exist; peers take turns within a round.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN:-$TOP/bin}
BEFORE=${BEFORE:+$(realpath "$BEFORE")}
case $BIN in /*) ;; *) BIN=$TOP/$BIN ;; esac
N=${1:-20000} ROUNDS=${2:-3}
for tool in nginx python3 curl; do
    command -v $tool >/dev/null || { echo "fetch.sh: no $tool: nothing measured"; exit 0; }
done
base=$(mktemp -d "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")/winnow-bench-XXXXXX")
cd "$base" || exit 0
cleanup() { [ -f nginx.pid ] && kill "$(cat nginx.pid)" 2>/dev/null; cd /; rm -rf "$base"; }
trap cleanup EXIT

python3 - "$N" <<'P'
import os, random, sys
random.seed(1)
n = int(sys.argv[1])
for i in range(n):
    d = "www/%02d" % (i % 100)
    os.makedirs(d, exist_ok=True)
    with open("%s/img%05d.jpg" % (d, i), "wb") as f:
        f.write(b"\xff\xd8\xff\xe0" + os.urandom(random.randint(20000, 60000)) + b"\xff\xd9")
P
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2>/dev/null
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
P1=$(free_port) P2=$(free_port)
cat >nginx.conf <<C
worker_processes 1;
pid $base/nginx.pid;
error_log $base/error.log;
$([ "$(id -u)" = 0 ] && echo "user root;")
events { worker_connections 4096; }
http {
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type image/jpeg;
    client_body_temp_path $base/t1; proxy_temp_path $base/t2; fastcgi_temp_path $base/t3; uwsgi_temp_path $base/t4; scgi_temp_path $base/t5;
    server { listen 127.0.0.1:$P1; root $base/www; }
    server { listen 127.0.0.1:$P2 ssl http2; http2_max_requests 1000000; http2_max_concurrent_streams 128;
        ssl_certificate $base/cert.pem; ssl_certificate_key $base/key.pem; root $base/www; }
}
C
nginx -c "$base/nginx.conf" -e "$base/error.log" 2>/dev/null || { echo "fetch.sh: nginx does not start: nothing measured"; exit 0; }
sleep 0.3
(cd www && find . -name '*.jpg' | sort | sed 's,^\./,,') >names
sed "s,^,http://127.0.0.1:$P1/," names >list
sed "s,^,https://127.0.0.1:$P2/," names >list-tls
awk -v p="$P1" '{ n = $1; sub(".*/", "", n); print "url = \"http://127.0.0.1:" p "/" $1 "\""; print "output = \"" n "\"" }' names >list.curl
awk -v p="$P2" '{ n = $1; sub(".*/", "", n); print "url = \"https://127.0.0.1:" p "/" $1 "\""; print "output = \"" n "\"" }' names >list-tls.curl
ln -s "$BIN/fetch" fetch

FIRST=
if [ -n "${REALTIME:-}" ] && chrt -f 10 true 2>/dev/null; then
    FIRST="chrt -f 10"
    pgrep -P "$(cat nginx.pid)" | xargs -n 1 chrt -f -p 10
fi
worker_cpu() { pgrep -P "$(cat "$base/nginx.pid")" | head -n 1 | xargs -I{} awk '{ print ($14 + $15) / 100 }' /proc/{}/stat; }
measure() {     # measure NAME COMMAND: in a new folder, one line into results
    name=$1; shift
    mkdir out && cd out || return
    before=$(worker_cpu)
    # shellcheck disable=SC2086
    python3 - "$name" ../results $FIRST "$@" <<'P'
import os, resource, subprocess, sys, time
start = time.time()
rc = subprocess.call(sys.argv[3:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wall = time.time() - start
u = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[2], "a") as f:
    f.write("%s\t%.3f\t%.3f\t%.3f\t%.1f\t%d" % (sys.argv[1], wall, u.ru_utime + u.ru_stime, u.ru_utime, u.ru_maxrss / 1024, rc))
P
    files=$(find . -name '*.jpg' | wc -l)
    cd .. && rm -rf out
    printf '\t%s\t%s\n' "$files" "$(awk -v a="$before" -v b="$(worker_cpu)" 'BEGIN { print b - a }')" >>results
}
POLITE="--allow-private --rate 0 --parallel 64 --per-host 64 --max-same 0"
round() {
    # shellcheck disable=SC2086
    measure "fetch, HTTP/1.1" ../fetch $POLITE --store s --label x ../list -o out.tsv --rejects rejects.tsv
    measure "curl -Z, HTTP/1.1" curl -s --http1.1 --parallel --parallel-max 64 --config ../list.curl
    # shellcheck disable=SC2086
    measure "fetch, HTTP/2 + TLS" ../fetch $POLITE --insecure --store s --label x ../list-tls -o out.tsv --rejects rejects.tsv
    measure "curl -Z, HTTP/2 + TLS" curl -s -k --http2 --parallel --parallel-max 64 --config ../list-tls.curl
    command -v wget >/dev/null && measure "xargs -n 20 -P 8 wget -nc" bash -c 'xargs -n 20 -P 8 wget -nc -q <../list'
    command -v aria2c >/dev/null && measure "aria2c -j 16 -x1" aria2c -q -i ../list -j 16 -x1
}
if [ "${ONLY:-}" = fetch ]; then
    round() {
        # shellcheck disable=SC2086
        measure "fetch, HTTP/1.1" ../fetch $POLITE --store s --label x ../list -o out.tsv --rejects rejects.tsv
        # shellcheck disable=SC2086
        [ -z "${BEFORE:-}" ] || measure "fetch before" ../before $POLITE --store s --label x ../list -o out.tsv --rejects rejects.tsv
        # shellcheck disable=SC2086
        measure "fetch, --rights ignore" ../fetch $POLITE --rights ignore --store s --label x ../list -o out.tsv --rejects rejects.tsv
        measure "curl -Z, HTTP/1.1" curl -s --http1.1 --parallel --parallel-max 64 --config ../list.curl
    }
    [ -z "${BEFORE:-}" ] || ln -s "$BEFORE/fetch" before
fi
cat www/*/*.jpg >/dev/null
# One run that does not count: the first to fill this much of a tmpfs pays for memory that the others find ready.
measure warm-up curl -s --http1.1 --parallel --parallel-max 64 --config ../list.curl
: >results
for _ in $(seq "$ROUNDS"); do round; done
python3 - "$N" <<'P'
import statistics, sys
rows = {}
for line in open("results"):
    f = line.rstrip("\n").split("\t")
    rows.setdefault(f[0], []).append([float(x) for x in f[1:]])
n = int(sys.argv[1])
print("%-28s %18s %8s %8s %8s %8s %8s %8s" % ("%d files, medians" % n, "wall s (range)", "files/s", "CPU s", "user s", "peak MB", "files", "nginx s"))
for name, runs in rows.items():
    m = [statistics.median(c) for c in zip(*runs)]
    w = [r[0] for r in runs]
    print("%-28s %6.2f (%.2f-%.2f) %8.0f %8.2f %8.2f %8.1f %8d %8.2f" % (name, m[0], min(w), max(w), n / m[0], m[1], m[2], m[3], m[5], m[6]))
def med(name, i):
    return statistics.median(r[i] for r in rows[name]) if name in rows else float("nan")
h1 = "fetch, HTTP/1.1"
print("\nratios: HTTP/1.1 wall %.2f of curl's, CPU %.2f of curl's" % (med(h1, 0) / med("curl -Z, HTTP/1.1", 0), med(h1, 1) / med("curl -Z, HTTP/1.1", 1)))
for other in ("fetch before", "fetch, --rights ignore"):
    if other in rows:
        pairs = lambda i: statistics.median(a[i] / b[i] for a, b in zip(rows[h1], rows[other]))
        least = lambda i: min(r[i] for r in rows[h1]) / min(r[i] for r in rows[other])
        print("        against %s, round by round: wall %.3f, CPU %.3f; the best of each: wall %.3f, CPU %.3f" % (other, pairs(0), pairs(1), least(0), least(1)))
if "fetch, HTTP/2 + TLS" in rows:
    h2 = "fetch, HTTP/2 + TLS"
    print("        HTTP/2 wall %.2f of curl's, CPU %.2f of curl's" % (med(h2, 0) / med("curl -Z, HTTP/2 + TLS", 0), med(h2, 1) / med("curl -Z, HTTP/2 + TLS", 1)))
    print("        faster than xargs wget %.2f times, than aria2c %.2f times" % (med("xargs -n 20 -P 8 wget -nc", 0) / med(h1, 0), med("aria2c -j 16 -x1", 0) / med(h1, 0)))
P
