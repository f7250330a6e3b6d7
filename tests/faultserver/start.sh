# To be sourced by suites: starts the fault server in TMPDIR and defines what they all use. Sets PLAIN, INTERNAL, TLS (ports), U.
# shellcheck shell=bash disable=SC2034
FETCH=$BIN/fetch
cd "$TMPDIR" || exit 2
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
cat key.pem cert.pem >both.pem
python3 "$TOP/tests/faultserver/faultserver.py" ports log both.pem &
server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in $(seq 100); do [ -f ports ] && break; sleep 0.1; done
read -r PLAIN INTERNAL TLS <ports || { echo "Bail out! no fault server"; exit 2; }
U=http://127.0.0.1:$PLAIN
asked() { awk -F'\t' -v p="$1" '$4 == p { n++ } END { print n + 0 }' log; }
# The reject reason of an address, or its format when it was kept.
outcome() {
    awk -F'\t' -v u="$1" 'FNR == 1 { for (i = 1; i <= NF; i++) c[FILENAME, $i] = i; next }
        $1 == u { print FILENAME == "out.tsv" ? $c[FILENAME, "format"] : $c[FILENAME, "reject_reason"]; exit }' out.tsv rejects.tsv
}
path() { cell out.tsv "$1" path; }
# The bytes that the server gives for a path.
picture() { python3 - "$1" "${2:-50000}" <<'P'
import hashlib, sys
body = hashlib.shake_128(sys.argv[1].encode()).digest(int(sys.argv[2]) - 6).replace(b"\xff", b"\xfe")
sys.stdout.buffer.write(b"\xff\xd8\xff\xe0" + body + b"\xff\xd9")
P
}
same_picture() { picture "$2" "${3:-50000}" | cmp -s - "$(path "$1")"; }
QUICK="--allow-address 127.0.0.1 --retry-wait 0.05 --min-speed-time 3 --timeout 15 --connect-timeout 10 --max-bytes 1M --breaker 1000 \
    --per-host 100 --parallel 200 --store store --label x"
