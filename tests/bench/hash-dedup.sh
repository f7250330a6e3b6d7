#!/usr/bin/env bash
# hash-dedup beside jdupes on two made corpora: wall, CPU, memory, system calls; and over a manifest that has hashes.
# usage: hash-dedup.sh [FOLDER]     FOLDER (default: a new one under $TMPDIR) gets up to 9 GB and is emptied again
#        RUNS=5 PROFILES="small large" DROP=1 (as root: also with cold caches) CORPUS=... (a folder with small/ and large/ made before)
# Runs are interleaved, medians shown. Prints tables, judges nothing.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/winnow-bench-XXXXXX") || exit 73
trap 'rm -rf "$work"' EXIT
corpus=${CORPUS:-$work}
runs=${RUNS:-5}
cd "$corpus" || exit 66

timed() { # label, command...: appends "label wall user sys kB" to times
    local label=$1
    shift
    /usr/bin/time -o "$work/t" -f '%e %U %S %M' "$@" >"$work/out" 2>/dev/null
    echo "$label $(tail -n 1 "$work/t")" >>"$work/times"
}
table() {
    printf '%-34s %8s %8s %8s %8s\n' program wall_s user_s sys_s peak_MB
    cut -d' ' -f1 "$work/times" | awk '!s[$0]++' | while read -r label; do
        printf '%-34s' "$label"
        for column in 2 3 4 5; do
            grep "^$label " "$work/times" | cut -d' ' -f$column | sort -n | awk -v c=$column '{ v[NR] = $1 } END { m = v[int((NR + 1) / 2)]; printf " %8.2f", c == 5 ? m / 1024 : m }'
        done
        echo
    done
}
whole() { "$bin/scan" "$1" | "$bin/hash-dedup" --on-conflict keep-first --rejects "$work/rejects" >/dev/null; }
export -f whole
export bin work

for profile in ${PROFILES:-small large}; do
    echo "== $profile, warm, $runs runs each =="
    [ -d "$profile" ] || python3 "$top/tests/bench/make-duplicates.py" "$profile" "$profile"
    "$bin/scan" "$profile" | cut -f1 >"$work/$profile.tsv"
    find "$profile" -type f -print0 | xargs -0 cat >/dev/null
    : >"$work/times"
    for _ in $(seq "$runs"); do
        timed hash-dedup "$bin/hash-dedup" -o "$work/kept" --rejects "$work/rejects" "$work/$profile.tsv"
        timed hash-dedup-j1 "$bin/hash-dedup" -j1 -o "$work/kept" --rejects "$work/rejects" "$work/$profile.tsv"
        timed scan-and-hash-dedup bash -c "whole $profile"
        command -v jdupes >/dev/null && timed jdupes-Q jdupes -r -q -Q "$profile"
        command -v jdupes >/dev/null && timed jdupes jdupes -r -q "$profile"
    done
    table
    "$bin/hash-dedup" -v -o /dev/null "$work/$profile.tsv" 2>&1 | head -n 1
    command -v jdupes >/dev/null && echo "jdupes: $(jdupes -r -q -m "$profile" 2>/dev/null)"
    if command -v strace >/dev/null; then
        strace -f -c -o "$work/strace" "$bin/hash-dedup" -o "$work/kept" "$work/$profile.tsv"
        awk '/ (openat|pread64|preadv2|newfstatat|close)$/ { print "  " $NF ": " $4 }' "$work/strace"
    fi
    if [ -n "${DROP:-}" ]; then
        echo "== $profile, cold =="
        : >"$work/times"
        for _ in 1 2 3; do
            sync; echo 3 >/proc/sys/vm/drop_caches
            timed hash-dedup "$bin/hash-dedup" -o "$work/kept" "$work/$profile.tsv"
            sync; echo 3 >/proc/sys/vm/drop_caches
            timed jdupes-Q jdupes -r -q -Q "$profile"
        done
        table
    fi
    [ -n "${CORPUS:-}" ] || rm -rf "$profile"
done

echo "== manifests that have hashes =="
: >"$work/times"
for rows in 1000000 ${MILLIONS:+${MILLIONS}000000}; do
    python3 - "$rows" >"$work/m$rows.tsv" <<'P'
import random, sys
r, n = random.Random(3), int(sys.argv[1])
print("path\tlabel\tbytes\txxh128")
last = []
for i in range(n):
    h = r.choice(last) if last and i % 10 == 0 else "%032x" % r.getrandbits(128)
    if i % 7 == 0:
        last.append(h)
        del last[:-1000]
    print("objects/%s/%s.jpg\t%s\t%d\t%s" % (h[:2], h, "abcde"[r.randrange(5)], r.randrange(1 << 20), h))
P
    for _ in $(seq "$runs"); do
        timed "rows-$rows" "$bin/hash-dedup" --on-conflict keep-first -o "$work/kept" --rejects "$work/rejects" "$work/m$rows.tsv"
    done
    rm -f "$work/m$rows.tsv"
done
table
