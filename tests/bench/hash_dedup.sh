#!/usr/bin/env bash
# hash-dedup beside jdupes on two made corpora: wall, CPU, memory, system calls, warm and cold; and over manifests that have hashes.
# Five to six minutes on two quiet cores.
# usage: hash_dedup.sh [FOLDER]     FOLDER (default: a new one under $TMPDIR) gets up to 6 GB and is emptied again
#        RUNS=5 PROFILES="small large" FILES=60000 (of small) COLD=1 MILLIONS=10 CORPUS=... (a folder with small/ and large/ made before)
# Runs are interleaved, medians shown, each bar beside its figure. Never fails.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
. "$top/tests/bench/thresholds.sh"
work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/winnow-bench-XXXXXX") || exit 73
trap 'rm -rf "$work"' EXIT
corpus=${CORPUS:-$work}
runs=${RUNS:-5} files=${FILES:-60000}
cd "$corpus" || exit 66

timed() { # label, command...: appends "label wall user sys kB" to times
    local label=$1
    shift
    /usr/bin/time -o "$work/t" -f '%e %U %S %M' "$@" >"$work/out" 2>/dev/null
    echo "$label $(tail -n 1 "$work/t")" >>"$work/times"
}
median() { # label, column (2 wall, 3 user, 4 sys, 5 kB, cpu)
    grep "^$1 " "$work/times" | awk -v c="$2" '{ print c == "cpu" ? $3 + $4 : $c }' | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}
table() {
    printf '%-34s %8s %8s %8s %8s\n' program wall_s user_s sys_s peak_MB
    cut -d' ' -f1 "$work/times" | awk '!s[$0]++' | while read -r label; do
        printf '%-34s %8.2f %8.2f %8.2f %8.1f\n' "$label" "$(median "$label" 2)" "$(median "$label" 3)" "$(median "$label" 4)" \
            "$(median "$label" 5 | awk '{ print $1 / 1024 }')"
    done
}
whole() { "$bin/scan" "$1" | "$bin/hash-dedup" --on-conflict keep-first --rejects "$work/rejects" >/dev/null; }
export -f whole
export bin work
# Every page of these files out of the cache: with root's help all at once, otherwise file by file.
if [ -w /proc/sys/vm/drop_caches ] && { echo 3 >/proc/sys/vm/drop_caches; } 2>/dev/null; then
    evict() { sync; echo 3 >/proc/sys/vm/drop_caches; }
else
    evict() { python3 - "$1" <<'P'
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        fd = os.open(os.path.join(folder, name), os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
P
    }
fi
have_jdupes=$(command -v jdupes)

for profile in ${PROFILES:-small large}; do
    machine
    truth=
    [ -d "$profile" ] || truth=$(python3 "$top/tests/bench/make_duplicates.py" "$profile" "$profile" $([ "$profile" = small ] && echo "$files"))
    sync
    echo "== $profile, warm, $runs runs each: $truth =="
    "$bin/scan" "$profile" | cut -f1 >"$work/$profile.tsv"
    find "$profile" -type f -print0 | xargs -0 cat >/dev/null
    : >"$work/times"
    for _ in $(seq "$runs"); do
        timed hash-dedup "$bin/hash-dedup" -o "$work/kept" --rejects "$work/rejects" "$work/$profile.tsv"
        [ -n "$have_jdupes" ] && timed jdupes-Q jdupes -r -q -Q "$profile"
        timed hash-dedup-j1 "$bin/hash-dedup" -j1 -o "$work/kept" --rejects "$work/rejects" "$work/$profile.tsv"
        timed scan-and-hash-dedup bash -c "whole $profile"
    done
    [ -n "$have_jdupes" ] && timed jdupes jdupes -r -q "$profile"
    table
    "$bin/hash-dedup" -o /dev/null --rejects "$work/rejects" "$work/$profile.tsv"
    answer=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["reject_reason"] == "duplicate-of" { n++; if (!s[$at["reject_detail"]]++) g++ } END { print n + 0, g + 0 }' "$work/rejects")
    if [ -n "$truth" ]; then
        bar "$profile: duplicates found" "${answer% *}" = "$(echo "$truth" | awk '{ print $4 }')"
        bar "$profile: groups found" "${answer#* }" = "$(echo "$truth" | awk '{ print $6 }')"
    else
        echo "  $profile: ${answer% *} duplicates in ${answer#* } groups"
    fi
    [ -n "$have_jdupes" ] && echo "  jdupes: $(jdupes -r -q -m "$profile" 2>/dev/null | tail -n 1)"
    limit=$([ "$profile" = small ] && echo 0.65 || echo 0.7)
    bar "$profile warm: wall, of jdupes -Q's" "$(ratio "$(median hash-dedup 2)" "$(median jdupes-Q 2)")" '<=' "$limit"
    bar "$profile warm: CPU, of jdupes -Q's" "$(ratio "$(median hash-dedup cpu)" "$(median jdupes-Q cpu)")" '<=' 1.0
    bar "$profile: peak MB" "$(median hash-dedup 5 | awk '{ print $1 / 1024 }')" '<=' 16
    if command -v strace >/dev/null; then
        strace -f -c -o "$work/strace" "$bin/hash-dedup" -o "$work/kept" "$work/$profile.tsv"
        candidates=$(awk '$NF == "openat" { print $4 }' "$work/strace")      # each is opened once
        n_files=$(($(wc -l <"$work/$profile.tsv") - 1))
        awk '/ (openat|read|pread64|preadv2|close)$/ { n += $4 } END { print n }' "$work/strace" >"$work/calls"
        awk '/ (newfstatat|statx|stat|lstat|fstat)$/ { n += $4 } END { print n }' "$work/strace" >"$work/stats"
        bar "$profile: open, read and close calls for each of $candidates candidates" "$(ratio "$(cat "$work/calls")" "$candidates")" '<=' 4
        bar "$profile: stat calls for each of $n_files files" "$(awk -v f="$n_files" '{ printf "%.3f", $1 / f }' "$work/stats")" '<=' 1.005
    fi
    if [ "${COLD:-1}" = 1 ]; then
        echo "== $profile, cold, 2 runs each =="
        : >"$work/times"
        for _ in 1 2; do
            evict "$profile"
            timed hash-dedup "$bin/hash-dedup" -o "$work/kept" "$work/$profile.tsv"
            evict "$profile"
            [ -n "$have_jdupes" ] && timed jdupes-Q jdupes -r -q -Q "$profile"
        done
        table
        bar "$profile cold: wall, of jdupes -Q's" "$(ratio "$(median hash-dedup 2)" "$(median jdupes-Q 2)")" '<=' 1.0
    fi
    [ -n "${CORPUS:-}" ] || rm -rf "$profile"
done

machine
echo "== manifests that have hashes; no file is there to be opened =="
: >"$work/times"
rows_file() { # N: a tenth of the rows repeat a hash
    python3 - "$1" <<'P'
import random, sys
r, n = random.Random(3), int(sys.argv[1])
out = sys.stdout
out.write("path\tlabel\tbytes\txxh128\n")
last = []
for start in range(0, n, 100000):
    m = min(100000, n - start)
    hexes, numbers = r.randbytes(16 * m).hex(), r.randbytes(4 * m)
    lines = []
    for i in range(m):
        h, k = hexes[32 * i:32 * i + 32], numbers[4 * i] + 256 * numbers[4 * i + 1] + 65536 * numbers[4 * i + 2]
        if last and i % 10 == 0:
            h = last[k % len(last)]
        if i % 7 == 0:
            last.append(h)
            del last[:-1000]
        lines.append(f"objects/{h[:2]}/{h[2:]}.jpg\t{'abcde'[numbers[4 * i + 3] % 5]}\t{k % 1048576}\t{h}\n")
    out.write("".join(lines))
P
}
for rows in 1000000 ${MILLIONS:-10}000000; do
    rows_file "$rows" >"$work/m.tsv"
    for _ in $(seq $([ "$rows" = 1000000 ] && echo "$runs" || echo 1)); do
        timed "rows-$rows" "$bin/hash-dedup" --on-conflict keep-first -o "$work/kept" --rejects "$work/rejects" "$work/m.tsv"
    done
done
table
bar "1 million rows: wall seconds" "$(median rows-1000000 2)" '<=' 1.0
for rows in 1000000 ${MILLIONS:-10}000000; do
    bar "$rows rows: peak bytes a row" "$(median "rows-$rows" 5 | awk -v n="$rows" '{ printf "%.1f", $1 * 1024 / n }')" '<=' 48
done
