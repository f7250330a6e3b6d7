#!/usr/bin/env bash
# What is new costs what is new: `make dataset` of N pictures from an nginx on the loopback, from nothing, without a change, with one
# URL more, with 1 % more, with one picture taken down, with one relabelled; seconds, bytes in the files that were written, and whether
# the manifests are those of a run from nothing. Prints, never fails.
# usage: incremental.sh [N [PX [SIDE]]]     4000 pictures of 400 px, packed at 299
# TODAY=TREE: a built tree of another version, run beside it, in turns. REALTIME=1 (root): before everything else on the machine, the runs
# from nothing excepted; REALTIME=all: those, too. QUICK=1: does not compare with runs from nothing.
# MB written: pages that the programs made dirty, as the kernel counts them (getrusage: ru_oublock of all children), names of files apart.
# TRAIN=FOLDER: also what comes after the data set, with this base (PX and SIDE those that it takes): phase head with five folds, and eval of
# the first model on all pictures, which stays as a published one does.
# FILES=1: also which files are new or changed after one URL more, with their sizes (a file that was appended to counts whole there).
# FOLDER=DIR: pictures and runs go there and stay, so that a second call does not make the pictures again.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BIN=${BIN:-$TOP/bin}
case $BIN in /*) ;; *) BIN=$TOP/$BIN ;; esac
N=${1:-4000} PX=${2:-400} SIDE=${3:-299}
PYTHON=/usr/bin/python3
nginx=$(command -v nginx || command -v /usr/sbin/nginx) || { echo "incremental.sh: no nginx: nothing measured"; exit 0; }
$PYTHON -c 'import PIL, numpy' 2>/dev/null || { echo "incremental.sh: no python3-pil and python3-numpy: nothing measured"; exit 0; }
base=${FOLDER:-$(mktemp -d)}
mkdir -p "$base" && cd "$base" || exit 0
base=$PWD
cleanup() {
    [ -f nginx.pid ] && kill "$(cat nginx.pid)" 2>/dev/null
    [ -n "${FOLDER:-}" ] || { cd / && rm -rf "$base"; }
}
trap cleanup EXIT
more=$((N / 100 + 10))
[ -f "made-$N-$PX" ] || { $PYTHON - "$((N + more))" "$PX" <<'P' && touch "made-$N-$PX"; }
import os, sys
import numpy as np
from PIL import Image
n, side = int(sys.argv[1]), int(sys.argv[2])
S = max(1024, 2 * side)
rng = np.random.default_rng(1)
f = np.sqrt(np.fft.fftfreq(S)[:, None] ** 2 + np.fft.rfftfreq(S)[None] ** 2)
f[0, 0] = 1
fields = []
for k in range(12):     # 1/f noise: about as hard to compress as photographs
    x = np.fft.irfft2((rng.normal(size=f.shape) + 1j * rng.normal(size=f.shape)) / f ** 1.5, s=(S, S))
    fields.append(((x - x.mean()) / x.std()).astype(np.float32))
for i in range(n):
    r = np.random.default_rng(i + 10)
    (a, b), w, (y, x, v, u) = r.integers(0, 12, 2), r.uniform(0.3, 1), r.integers(0, S - side, 4)
    g = fields[a][y:y + side, x:x + side] * w + fields[b][v:v + side, u:u + side] * (1 - w)
    os.makedirs("www/%03d" % (i % 500), exist_ok=True)
    Image.fromarray(np.clip(128 + 45 * g[..., None] * r.uniform(0.6, 1.4, 3), 0, 255).astype(np.uint8)).save("www/%03d/%06d.jpg" % (i % 500, i), quality=85)
P
port=$($PYTHON -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >nginx.conf <<C
worker_processes 1;
pid $base/nginx.pid;
error_log $base/error.log;
$([ "$(id -u)" = 0 ] && echo "user root;")
events { worker_connections 1024; }
http { access_log off; sendfile on; keepalive_requests 1000000; default_type image/jpeg;
  client_body_temp_path $base/t1; proxy_temp_path $base/t2; fastcgi_temp_path $base/t3; uwsgi_temp_path $base/t4; scgi_temp_path $base/t5;
  server { listen 127.0.0.1:$port; root $base/www; } }
C
"$nginx" -c "$base/nginx.conf" -e "$base/error.log" 2>/dev/null || { echo "incremental.sh: nginx does not start: nothing measured"; exit 0; }
first=
if [ -n "${REALTIME:-}" ] && chrt -f 5 true 2>/dev/null; then first="chrt -f 5"; fi
unset MAKEFLAGS MAKELEVEL
(cd www && find . -name '*.jpg' | sort -t/ -k3 | sed "s,^\./,http://127.0.0.1:$port/,") >all

lists() { # FROM TO: these lines of all, in three classes; the lists are newer than what was made of them
    mkdir -p lists
    sleep 1.1
    awk -v from="$1" -v to="$2" 'NR > to { exit } NR >= from { print > ("lists/" (NR % 3 == 0 ? "cat" : NR % 3 == 1 ? "dog" : "owl") ".txt") }' all
}
tree() { case $1 in today) echo "$TODAY" ;; *) echo "$TOP" ;; esac; }
measured() { # LOG COMMAND...: its seconds and the megabytes that it wrote
    $PYTHON -c '
import resource, subprocess, sys, time
start = time.time()
rc = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT)
seconds = time.time() - start
print("%.2f %.1f" % (seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_oublock * 512 / 1e6))
sys.exit(rc)' "$@"
}
run() { # NAME RUN: make dataset of the tree of NAME in RUN; seconds and megabytes written into $seconds, $written
    touch mark
    printf 'include $(PIPELINES)/default.conf\nNAME = bench\nRUN = %s\nSOURCES = %s/lists\nFETCH_FLAGS = --allow-private --per-host 32 --rate 0 --ignore-robots --max-same 0\nVALIDATE_FLAGS = --min-bytes 100\nAUGMENT_VARIANTS = %s\nSIDE = %s\n' \
        "$base/$2" "$base" "${VARIANTS:-0}" "$SIDE" >"$2.conf"
    [ "$1" = today ] || echo 'FEATURE_DEDUP = off' >>"$2.conf" # what embed costs is in another table
    make_again "$1" "$2"
}
make_again() {
    local bin=$(tree "$1")/bin
    [ "$1" = today ] || bin=$BIN
    local before=$first
    [ -d "$2/round-1" ] || [ "${REALTIME:-}" = all ] || before=
    # shellcheck disable=SC2086
    read -r seconds written < <(cd "$(tree "$1")" && BIN=$bin measured "$base/$2.log" $before make -s --no-print-directory BIN="$bin" SETTINGS="$base/$2.conf" dataset || echo "incremental.sh: $1: $(tail -n 1 "$base/$2.log")" >&2)
}
same() { # whether the manifests of new are those of a run from nothing, with the same store
    rm -rf whole && mkdir whole && cp -rl new/store whole/store && rm -f whole/store/lock && cp new/store/*.tsv whole/store/ 2>/dev/null
    for f in journal.tsv takedown.tsv; do [ -f new/store/$f ] && rm -f "whole/store/$f" && cp "new/store/$f" whole/store/; done
    cp new/decisions.tsv whole/ 2>/dev/null
    local keep="$seconds $written"
    run new whole
    for f in valid.tsv round-1/labelled.tsv round-1/unique.tsv round-1/distinct.tsv round-1/split.tsv round-1/augmented.tsv; do cmp -s "new/$f" "whole/$f" || { echo "not $f"; return; }; done
    [ "$(grep ^data_hash new/round-1/shards/index.tsv)" = "$(grep ^data_hash whole/round-1/shards/index.tsv)" ] && echo same || echo "not the shards"
    read -r seconds written <<<"$keep"
}
after() { # TEXT: head and folds from new's shards, then what the first of their models says
    [ -n "${TRAIN:-}" ] || return 0
    (cd "$TOP" && measured "$base/head.log" $first "$BIN/train" -v --shards "$base/new/round-1/shards" --base "$TRAIN" --phase head --folds 5 --fold-rows all --cache "$base/new/cache" --on-change restart --epochs 60 --batch 32 --lr 0.01 --out "$base/new/head") >figures
    read -r seconds written <figures
    row "$1" head "$seconds" "$written" "features $(sed -n 's/^train: .*features.*: \([0-9]* .*\)/\1/p' head.log | head -n 1)"
    [ -d new/frozen ] || cp -r new/head/model new/frozen
    for memory in "" "--memory $base/new/scored.tsv"; do
        # shellcheck disable=SC2086
        measured "$base/eval.log" $first "$BIN/eval" -v --model new/frozen --shards new/round-1/shards --split all --no-report --out "new/eval${memory:+-memory}" $memory >figures
        read -r seconds written <figures
        row "$1" eval "$seconds" "$written" "$([ -n "$memory" ] && sed -n 's/^eval: \([0-9]* pictures computed.*\)/\1/p' eval.log)"
    done
}
names=new
[ -z "${TODAY:-}" ] || names="today new"
row() { printf '%-22s %-6s %10s s %10s MB written   %s\n' "$@"; }
rm -rf new today whole
echo "$N pictures of $PX px, packed at $SIDE; store and fetch included"
lists 1 "$N"
for name in $names; do
    run $name $name
    row "from nothing" $name "$seconds" "$written" "shards $(du -sm $name/round-1/shards | cut -f1) MB"
done
after "from nothing"
for name in $names; do make_again $name $name && row "nothing changed" $name "$seconds" "$written" ""; done
lists 1 $((N + 1))
for name in $names; do
    run $name $name
    row "one URL more" $name "$seconds" "$written" "$([ $name = new ] && [ -z "${QUICK:-}" ] && same)"
    [ -z "${FILES:-}" ] || find $name -type f -newer mark -size +8k -links 1 -printf '    %9s %p\n'
done
after "one URL more"
[ -z "${TRAIN:-}" ] || { cmp -s new/eval/predictions.tsv new/eval-memory/predictions.tsv && echo "the predictions are the same with and without --memory"; }
lists 1 $((N + 1 + N / 100))
for name in $names; do
    run $name $name
    row "1 % more" $name "$seconds" "$written" "$([ $name = new ] && [ -z "${QUICK:-}" ] && same)"
done
victim=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at["xxh128"]; exit }' new/round-1/split.tsv)
for name in $names; do
    echo "$victim" >down
    "$BIN/fetch" --root "$name" --takedown down >/dev/null 2>&1
    # shellcheck disable=SC2086
    read -r purged purge_written < <(measured "$name.log" $first "$(tree $name)/bin/purge" --store "$name/store" "$name")
    make_again $name $name
    row "one taken down" $name "$seconds" "$written" "purge before it $purged s, $purge_written MB $([ $name = new ] && [ -z "${QUICK:-}" ] && same)"
done
picked=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["label"] == "cat" { print $at["xxh128"]; exit }' new/round-1/split.tsv)
for name in $names; do
    sleep 1.1
    printf 'id\tdecision\tlabel\treviewer\tdate\n%s\trelabel\tdog\tbench\t2026-01-01\n' "$picked" >"$name/decisions.tsv"
    make_again $name $name
    row "one relabelled" $name "$seconds" "$written" "$([ $name = new ] && [ -z "${QUICK:-}" ] && same)"
done
exit 0
