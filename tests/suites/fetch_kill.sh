#!/usr/bin/env bash
# kill -9 at random moments of a run, then the run is finished: store and manifest have to equal an undisturbed run's, and
# no picture may have been asked for twice apart from those in flight. KILLS=50 N=5000 for the long form; the seed is printed.
. "$(dirname "$0")/../tap.sh"
FETCH=$BIN/fetch
KILLS=${KILLS:-10} N=${N:-2000} PARALLEL=16
cd "$TMPDIR" || exit 2
command -v nginx >/dev/null || { skip_all "kill" "no nginx"; }
RANDOM=${SEED:-$((SECONDS + $$))}
echo "# seed $RANDOM kills $KILLS"
python3 - "$N" <<'P'
import hashlib, os, sys
for i in range(int(sys.argv[1])):
    d = "www/%02d" % (i % 50)
    os.makedirs(d, exist_ok=True)
    # every fiftieth has the bytes of another: one file, two rows
    name = "x%d" % (i - 1 if i % 50 == 49 else i)
    with open("%s/%d.jpg" % (d, i), "wb") as f:
        f.write(b"\xff\xd8\xff\xe0" + hashlib.shake_128(name.encode()).digest(2000 + i % 997 if i % 50 != 49 else 2000 + (i - 1) % 997) + b"\xff\xd9")
P
port=$(free_port) tls=$(free_port)
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 2>/dev/null
cat >nginx.conf <<C
worker_processes 1;
pid $PWD/nginx.pid;
error_log $PWD/error.log;
$([ "$(id -u)" = 0 ] && echo "user root;")
events { worker_connections 1024; }
http { log_format l '\$status \$request_uri \$server_protocol \$connection'; access_log $PWD/access.log l; default_type image/jpeg; keepalive_requests 100000;
    client_body_temp_path $PWD/t1; proxy_temp_path $PWD/t2; fastcgi_temp_path $PWD/t3; uwsgi_temp_path $PWD/t4; scgi_temp_path $PWD/t5;
    server { listen 127.0.0.1:$port; root $PWD/www; }
    server { listen 127.0.0.1:$tls ssl http2; ssl_certificate $PWD/cert.pem; ssl_certificate_key $PWD/key.pem; root $PWD/www; } }
C
nginx -c "$PWD/nginx.conf" -e "$PWD/error.log" || { echo "Bail out! nginx does not start"; exit 2; }
trap 'kill "$(cat nginx.pid)" 2>/dev/null' EXIT
for _ in $(seq 50); do [ -f nginx.pid ] && curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
(cd www && find . -name '*.jpg' | sort | sed "s,^\./,http://127.0.0.1:$port/,") >list
echo "http://127.0.0.1:$port/00/gone.jpg" >>list
# 1,200 a second, so that there are moments to hit.
RUN="$FETCH --allow-private --parallel $PARALLEL --per-host $PARALLEL --rate ${RATE:-1200/s} --max-same 0 --label x list"

# shellcheck disable=SC2086
$RUN --store whole -o whole.tsv --rejects whole.rejects
ok $? "an undisturbed run"
: >access.log
hit=0 stray=0
for _ in $(seq "$KILLS"); do
    # shellcheck disable=SC2086
    $RUN --store part -o part.tsv --rejects part.rejects 2>>err &
    victim=$!
    sleep "$(printf '0.%03d' $((RANDOM % ${SPAN_MS:-170} + 5)))"
    kill -9 $victim 2>/dev/null && hit=$((hit + 1))
    wait $victim 2>/dev/null
    [ -e part.tsv ] && stray=$((stray + 1))
done
echo "# $hit of $KILLS kills hit a running process"
[ "$hit" -gt 0 ]
ok $? "kills hit ($hit of $KILLS)"
# shellcheck disable=SC2086
$RUN --store part -o part.tsv --rejects part.rejects 2>err
ok $? "the run that finishes"
[ ! -s err ]
ok $? "has nothing to complain of"
strip() { awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "fetched_at") c = i } { $c = ""; sub("^part/|^whole/", "", $3); print }' "$1"; }
[ "$(strip part.tsv | sha256sum)" = "$(strip whole.tsv | sha256sum)" ]
ok $? "the manifest is the undisturbed run's, but for the times"
cmp -s part.rejects whole.rejects
ok $? "so are the rejects"
[ "$(cd part && find objects -type f | sort | xargs sha256sum | sha256sum)" = "$(cd whole && find objects -type f | sort | xargs sha256sum | sha256sum)" ]
ok $? "so are the objects"
[ -z "$(ls part/tmp)" ]
ok $? "no temporary is left"
twice=$(grep '^200' access.log | cut -d' ' -f2 | sort | uniq -c | awk '{ s += $1 - 1 } END { print s + 0 }')
[ "$twice" -le $((hit * PARALLEL * 2)) ]
ok $? "asked twice: $twice, at most $PARALLEL in flight and as many on their way to the disk for each of $hit kills"
torn=$(awk -F'\t' 'NF != 19' part/journal.tsv | wc -l)
[ "$torn" = 0 ]
ok $? "every line of the journal is whole"
: >access.log
# shellcheck disable=SC2086
$RUN --store part -o again.tsv --rejects again.rejects
[ ! -s access.log ] && cmp -s again.tsv part.tsv
ok $? "one more run asks for nothing and writes the same bytes"
# Power cuts: what the last sync mark does not cover is read again. A hollow object of the right size is noticed.
sed -i '/\tsync\t/d' part/journal.tsv
victim=$(awk -F'\t' 'NR == 2 { print $3 }' part.tsv)
size=$(stat -c %s "$victim")
head -c "$size" /dev/zero >"$victim"
: >access.log
# shellcheck disable=SC2086
$RUN --store part -o again.tsv --rejects again.rejects 2>/dev/null
[ "$(wc -l <access.log)" -ge 1 ] && [ "$(wc -l <access.log)" -le 3 ] && [ "$(cd part && sha256sum "${victim#part/}")" = "$(cd whole && sha256sum "${victim#part/}")" ]
ok $? "an object that a power cut hollowed out is fetched again"
# HTTP/2: many requests on one connection.
sed "s,^http://127.0.0.1:$port/,https://127.0.0.1:$tls/," list | head -n 600 >list2
: >access.log
$FETCH --allow-private --ca-file cert.pem --per-host 32 --rate 0 --store two --label x list2 -o two.tsv --rejects two.rejects
ok $? "a run over TLS"
[ "$(wc -l <two.tsv)" -ge 600 ] && [ "$(grep -c 'HTTP/2.0' access.log)" -ge 600 ] && [ "$(awk '{ print $4 }' access.log | sort -u | wc -l)" -le 2 ]
ok $? "takes HTTP/2 and one or two connections for 600 pictures ($(awk '{ print $4 }' access.log | sort -u | wc -l))"
done_testing
