#!/usr/bin/env bash
# phash-dedup: hashing speed, the join, recall per alteration. Each bar beside its figure. Five to seven minutes on two quiet cores.
# usage: phash.sh       PICTURES=FOLDER of photographs (default: those of desktop packages where they are installed, else made pictures,
#                       which say little about recall)
#        REFERENCE=PROGRAM pdq-photo-hasher, built with libjpeg, to run beside (not part of this project)
#        COUNT=400 RUNS=3 MOST=40 (pictures of the recall table) SIZES="100000 1000000 5000000" (of the join; 5 million needs 1 GB of disk)
# Never fails.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${BIN:-$top/bin}
case $bin in /*) ;; *) bin=$top/$bin ;; esac
. "$top/tests/bench/thresholds.sh"
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-bench-XXXXXX") || exit 73
trap 'rm -rf "$work"' EXIT
count=${COUNT:-400} runs=${RUNS:-3}
export MOST=${MOST:-40}
alter=$top/tests/bench/alter_pictures.py
pictures=${PICTURES:-}
[ -n "$pictures" ] || for folder in /usr/share/wallpapers /usr/share/backgrounds; do [ -d "$folder" ] && pictures=$folder && break; done
[ -n "$pictures" ] || { pictures=$work/made; /usr/bin/python3 "$alter" made "$MOST" "$pictures"; }
cd "$work" || exit 66
one_core="taskset -c 0"
command -v taskset >/dev/null || one_core=

timed() { # label, count, command...: wall and CPU of each run into times
    local label=$1 items=$2
    shift 2
    /usr/bin/time -o t -f '%e %U %S %M' "$@" >out 2>/dev/null
    echo "$label $items $(tail -n 1 t)" >>./times
}
median() { # label, what: wall, cpu, kB
    grep "^$1 " times | awk -v c="$2" '{ print c == "wall" ? $3 : c == "cpu" ? $4 + $5 : $6 }' | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}
table() { # medians; per second of wall and per second of CPU
    printf '%-26s %9s %8s %8s %12s %12s %8s\n' what items wall_s cpu_s per_wall_s per_cpu_s peak_MB
    awk '!s[$1]++ { print $1, $2 }' times | while read -r label items; do
        echo "$label $items $(median "$label" wall) $(median "$label" cpu) $(median "$label" kB)" |
            awk '{ printf "%-26s %9d %8.2f %8.2f %12.1f %12.1f %8.1f\n", $1, $2, $3, $4, $2 / ($3 + 1e-9), $2 / ($4 + 1e-9), $5 / 1024 }'
    done
}

machine
echo "== hashing $count JPEGs of 1024x768, in memory, $runs runs each; j1 and the reference on one core =="
/usr/bin/python3 "$alter" speed "$count" "$pictures" speed
"$bin/scan" speed >speed.tsv
cat speed/*.jpg | wc -c | awk -v n="$count" '{ printf "mean file: %d bytes\n", $1 / n }'
: >./times
for _ in $(seq "$runs"); do
    for family in full nn512 fast; do
        # shellcheck disable=SC2086
        timed "$family-j1" "$count" $one_core "$bin/phash-dedup" --hash-only -j1 --pdq $family speed.tsv
        timed "$family-j2" "$count" "$bin/phash-dedup" --hash-only -j2 --pdq $family speed.tsv
    done
    # shellcheck disable=SC2086
    [ -z "${REFERENCE:-}" ] || timed reference "$count" $one_core "$REFERENCE" speed/*.jpg
done
table
for pair in nn512:1.6 full:1.0 fast:5; do
    f=${pair%%:*}
    bar "$f: pictures a second on one core, of the reference's" "$(ratio "$(median reference wall)" "$(median "$f-j1" wall)")" '>=' "${pair#*:}"
done
for f in full nn512; do bar "$f: two cores, of one" "$(ratio "$(median $f-j1 wall)" "$(median $f-j2 wall)")" '>=' 1.9; done

echo "== recall per alteration, share in % within the distance of the plain picture: $(basename "$pictures") =="
/usr/bin/python3 "$alter" recall "$pictures" recall
"$bin/scan" recall >recall.tsv
for family in full nn512 fast; do "$bin/phash-dedup" --hash-only --pdq $family recall.tsv >"$family.tsv"; done
sets="full=full.tsv nn512=nn512.tsv fast=fast.tsv"
if [ -n "${REFERENCE:-}" ]; then
    { printf 'path\tpdq\n'; "$REFERENCE" recall/*.jpg | awk -F, '{ print $3 "\t" $1 }'; } >reference.tsv
    sets="$sets reference=reference.tsv"
    awk -F'\t' 'NR == FNR { h[$1] = $3; next } FNR > 1 { n++; same += h[$1] == $2 } END { print n, same + 0 }' nn512.tsv reference.tsv >equal
    bar "nn512: hashes equal to the reference's, of $(cut -d' ' -f1 equal)" "$(cut -d' ' -f2 equal)" = "$(cut -d' ' -f1 equal)"
fi
# shellcheck disable=SC2086
python3 "$top/tests/bench/recall.py" $sets | tee table
[ -z "${REFERENCE:-}" ] || bar "most that nn512 falls short of the reference, points" "$(sed -n 's/^nn512 falls short of reference by at most \([0-9.]*\) .*/\1/p' table)" '<=' 1

machine
join() { # NAME N GENERATOR...: manifests of hashes through the whole program at 31 and 63 bits
    local name=$1 n=$2
    shift 2
    "$@" "$n" >join.tsv
    for d in 31 63; do
        for _ in $(seq $([ "$n" -le 1000000 ] && echo "$runs" || echo 1)); do
            timed "$name-$d-$n" "$n" "$bin/phash-dedup" -j2 --keep path --group-distance $d join.tsv
        done
    done
    rm -f join.tsv out
}
cat >random.py <<'P'
import random, sys
r, n = random.Random(5), int(sys.argv[1])
print("path\tpdq\tpdq_quality")
kept = []
for start in range(0, n, 50000):
    m, lines = min(50000, n - start), []
    digits = r.randbytes(32 * m).hex()
    for i in range(m):
        h = digits[64 * i:64 * i + 64]
        if i % 20 == 19:
            v = int(r.choice(kept), 16)
            for b in r.sample(range(256), r.randrange(32)):
                v ^= 1 << b
            h = "%064x" % v
        elif len(kept) < 100000:
            kept.append(h)
        lines.append("%d.jpg\t%s\t100\n" % (start + i, h))
    sys.stdout.write("".join(lines))
P
# Words of real hashes, put together anew: as skewed as real ones, which random hashes are not.
cat >skewed.py <<'P'
import random, sys
r, n = random.Random(6), int(sys.argv[2])
real = [line.split("\t") for line in open(sys.argv[1])]
at = real[0].index("pdq")
words = [[row[at][4 * w:4 * w + 4] for row in real[1:]] for w in range(16)]
print("path\tpdq\tpdq_quality")
lines = []
for i in range(n):
    h = int("".join(r.choice(words[w]) for w in range(16)), 16)
    lines.append("%d.jpg\t%064x\t100\n" % (i, h ^ (1 << r.randrange(256) if i % 2 else 0)))
    if len(lines) == 50000 or i + 1 == n:
        sys.stdout.write("".join(lines))
        lines = []
P
echo "== all pairs, from a manifest to a manifest; one random hash in twenty is planted within 31 bits =="
: >./times
for n in ${SIZES:-100000 1000000 5000000}; do join random "$n" python3 random.py; done
join skewed "${SKEWED:-1000000}" python3 skewed.py full.tsv
table
for pair in 100000:0.3 1000000:4 5000000:90; do
    n=${pair%%:*}
    bar "$n random hashes within 31 bits, wall seconds, two cores" "$(median "random-31-$n" wall)" '<=' "${pair#*:}"
done
bar "1000000 skewed hashes within 31 bits, wall seconds, two cores" "$(median skewed-31-1000000 wall)" '<=' 4

echo "== the altered pictures through the whole program =="
for d in 31 63; do
    "$bin/phash-dedup" --distance $d --group-distance $d --rejects r.tsv recall.tsv >k.tsv
    echo "distance $d: $(($(wc -l <recall.tsv) - 1)) pictures, $(($(wc -l <r.tsv) - 1)) leave"
done
for exact in "" --exact-groups; do
    # shellcheck disable=SC2086
    "$bin/phash-dedup" -v $exact --group-distance 63 recall.tsv 2>&1 >k.tsv | sed -n "s/.* \([0-9]* near pairs\)/pairs within 63 bits ${exact:-by default}: \1/p"
done
machine
