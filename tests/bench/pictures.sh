#!/usr/bin/env bash
# Pictures: decode and resize against node sharp and vipsthumbnail, the cost of the sandbox, augmentation against Keras' formulas in
# scipy and against OpenCV, and reading shards. A table of medians over ROUNDS, peers taking turns within a round; CPU seconds
# beside wall clock, which is the truer figure on a busy machine; then each bar beside its figure. Four to five minutes. Never fails.
# usage: pictures.sh [ROUNDS [N_PHOTOS [COUNT]]]     BUILD=build/release BIN=bin ONLY=formats (AVIF, HEIC, JPEG XL and WebP alone)
# ONLY=stats: what decoding, PDQ and the statistics cost for N_PHOTOS pictures of 400 px, processor time, the least of ROUNDS.
# COUNT: so many pictures of 1024x768 in each run of those formats (the photographs, again and again). PRIORITY=5: these runs are of
# `chrt -f 5`, for a busy machine: keep each below some seconds.
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$TOP/build/release}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
BIN=${BIN:-$TOP/bin}
case $BIN in /*) ;; *) BIN=$TOP/$BIN ;; esac
ROUNDS=${1:-5} N=${2:-24} COUNT=${3:-48}
. "$TOP/tests/bench/thresholds.sh"
python=/usr/bin/python3
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-pictures-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 0
areas="image shard hash manifest io base" more=
for pair in avif:-lavif heic:"-lheif -lde265" jxl:-ljxl colour:-llcms2; do     # those that were built
    [ -f "$BUILD/lib/image/${pair%%:*}/area.a" ] && areas="$areas image/${pair%%:*}" more="$more ${pair#*:}"
done
# shellcheck disable=SC2046,SC2086
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I"$TOP/lib" -o bench "$TOP/tests/bench/pictures_bench.c" -Wl,--start-group \
    $(for a in $areas; do echo "$BUILD/lib/$a/area.a"; done) -Wl,--end-group -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp -lxxhash -lz $more -lm -pthread ||
    { echo "pictures.sh: build first (make)"; exit 0; }
[ "${ONLY:-}" = stats ] && side="400 400"
# shellcheck disable=SC2086
"$python" "$TOP/tests/bench/pictures.py" photos photos "$N" ${side:-} || { echo "pictures.sh: python3-pil and python3-numpy make the photographs"; exit 0; }
if [ "${ONLY:-}" = stats ]; then
    machine
    ${PRIORITY:+chrt -f "$PRIORITY"} ./bench stats "$ROUNDS" photos/*.jpg
    exit 0
fi
cat >sharp.js <<'J'
const sharp = require('sharp');
sharp.concurrency(1);
sharp.cache(false);
const [repeats, ...files] = process.argv.slice(2);
(async () => {
  const jobs = [];
  for (let r = 0; r < +repeats; r++) jobs.push(...files);
  const before = process.cpuUsage(), started = process.hrtime.bigint();
  let i = 0;
  const worker = async () => { while (i < jobs.length) await sharp(jobs[i++]).resize(299, 299, { fit: 'fill' }).raw().toBuffer(); };
  await Promise.all([worker(), worker()]);
  const wall = Number(process.hrtime.bigint() - started) / 1e9, cpu = process.cpuUsage(before);
  console.log(jobs.length, wall.toFixed(4), ((cpu.user + cpu.system) / 1e6).toFixed(4));
  require('fs').writeFileSync('sharp.raw', await sharp(files[0]).resize(299, 299, { fit: 'fill' }).raw().toBuffer());
})();
J
export NODE_PATH=${NODE_PATH:-$TOP/build/npm/node_modules}
have_sharp=$(node -e 'require("sharp"); console.log(1)' 2>/dev/null)
vips() { # REPEATS FILE...: two processes, half the files each, through vipsthumbnail
    "$python" - "$@" <<'P'
import resource, subprocess, sys, time
files, started = sys.argv[2:] * int(sys.argv[1]), time.perf_counter()
half = len(files) // 2
ps = [subprocess.Popen(["vipsthumbnail", "--size", "299x299!", "-o", "%s-t.ppm", *part], env={"VIPS_CONCURRENCY": "1", "PATH": "/usr/bin:/bin"})
      for part in (files[:half], files[half:])]
[p.wait() for p in ps]
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(len(files), f"{time.perf_counter() - started:.4f} {u.ru_utime + u.ru_stime:.4f}")
P
    rm -f photos/*.ppm others/*.ppm
}
note() { # NAME COMMAND...: "n wall cpu" into results
    name=$1
    shift
    line=$("$@" 2>/dev/null) && echo "$name $line" >>results
}
machine
[ "${ONLY:-}" = formats ] ||
for _ in $(seq "$ROUNDS"); do
    [ -n "$have_sharp" ] && note "sharp,2-threads" node sharp.js 4 photos/*.jpg
    command -v vipsthumbnail >/dev/null && note "vipsthumbnail,2-processes" vips 3 photos/*.jpg
    for method in lanczos bilinear area tfjs; do note "winnow,$method,2-workers" ./bench load $method 2 1 4 photos/*.jpg; done
    note "winnow,bilinear,no-sandbox" ./bench load bilinear 2 0 4 photos/*.jpg
    for sandbox in 1 0; do note "winnow,bilinear,1-worker,sandbox=$sandbox" ./bench load bilinear 1 $sandbox 4 photos/*.jpg; done
done
# The other formats, of the same photographs; the programs that write them may be absent.
mkdir others
for f in photos/*.jpg; do
    name=$(basename "$f" .jpg)
    "$python" -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2])' "$f" "$name.png"
    avifenc -s 8 "$name.png" "others/$name.avif" >/dev/null 2>&1
    heif-enc -q 60 "$name.png" -o "others/$name.heic" >/dev/null 2>&1
    cjxl -e 4 -d 1.5 "$name.png" "others/$name.jxl" >/dev/null 2>&1
    "$python" -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).save(sys.argv[2], quality=80)' "$f" "others/$name.webp"
    rm "$name.png"
done
repeats=$(((COUNT + N - 1) / N))
[ -n "${PRIORITY:-}" ] && chrt -f -p "$PRIORITY" $$
for _ in $(seq "$ROUNDS"); do
    for kind in avif heic jxl webp; do
        [ -e "others/p00.$kind" ] || continue
        case $kind in avif | webp) [ -n "$have_sharp" ] && note "sharp,$kind,2-threads" node sharp.js $repeats others/*.$kind ;; esac
        command -v vipsthumbnail >/dev/null && note "vipsthumbnail,$kind,2-processes" vips $repeats others/*.$kind
        note "winnow,$kind,2-workers" ./bench load bilinear 2 1 $repeats others/*.$kind
        for sandbox in 1 0; do note "winnow,$kind,1-worker,sandbox=$sandbox" ./bench load bilinear 1 $sandbox 2 others/*.$kind; done
    done
done
[ -n "${PRIORITY:-}" ] && chrt -o -p 0 $$
[ "${ONLY:-}" = formats ] ||
for _ in $(seq "$ROUNDS"); do
    note "augment,scipy,1-thread" "$python" "$TOP/tests/bench/pictures.py" scipy 10
    note "augment,opencv,1-thread" "$python" "$TOP/tests/bench/pictures.py" opencv 300
    note "augment,winnow,1-thread" ./bench augment article 1000 299
done
if [ -x "$BIN/pack" ] && [ "${ONLY:-}" != formats ]; then
    (printf 'path\tlabel\n'; for _ in $(seq 100); do for f in photos/*.jpg; do printf '%s\tx\n' "$f"; done; done) >in.tsv
    "$BIN/pack" -o set in.tsv
    for _ in $(seq "$ROUNDS"); do
        note "shards,first-pass" ./bench shards set 1
        note "shards,10-passes" ./bench shards set 10
    done
    head -n 481 in.tsv >few.tsv && "$BIN/pack" --encoding jpeg -o jpegs few.tsv
    for _ in $(seq "$ROUNDS"); do
        for sandbox in 1 0; do note "jpeg-records,1-thread,sandbox=$sandbox" ./bench jpegs jpegs $sandbox 3; done
    done
    sync
    for _ in $(seq "$ROUNDS"); do       # cold: the pages are dropped before each
        for f in set/*.bin; do dd of="$f" oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null; done
        note "disk,sequential,cold,MB" "$python" -c 'import glob, os, time
t, c, n = time.perf_counter(), time.process_time(), 0
for path in sorted(glob.glob("set/*.bin")):
    fd = os.open(path, os.O_RDONLY)
    while (b := os.read(fd, 1 << 20)): n += len(b)
print(n / 1e6, time.perf_counter() - t, time.process_time() - c)'
        for f in set/*.bin; do dd of="$f" oflag=nocache conv=notrunc,fdatasync count=0 2>/dev/null; done
        note "shards,cold" ./bench shards set 1
    done
fi
"$python" - <<'P'
import statistics as s
rows = {}
for line in open("results"):
    name, n, wall, cpu = line.split()
    rows.setdefault(name, []).append((float(n) / float(wall), float(n) / max(float(cpu), 1e-9)))
print(f"{'what':38}{'a second':>12}{'a CPU second':>14}{'least..most a second':>26}")
with open("medians", "w") as f:
    for name, v in rows.items():
        w, c = [a for a, _ in v], [b for _, b in v]
        print(f"{name:38}{s.median(w):12.1f}{s.median(c):14.1f}{min(w):16.1f}..{max(w):.1f}")
        f.write(f"{name} {s.median(w)} {s.median(c)}\n")
P
rate() { awk -v n="$1" '$1 == n { print $2 }' medians; }        # a second of wall clock
per_cpu() { awk -v n="$1" '$1 == n { print $3 }' medians; }
noise() { awk -v f="$1" '$1 == f { print $2 }' psnr; }
against() { bar "$1" "$(ratio "$2" "$3")" "$4" "$5"; }
against "avif, pictures a second, of sharp's" "$(rate winnow,avif,2-workers)" "$(rate sharp,avif,2-threads)" '>=' 1.3
for kind in heic jxl; do
    against "$kind, of two vipsthumbnail's" "$(rate winnow,$kind,2-workers)" "$(rate vipsthumbnail,$kind,2-processes)" '>=' 1
done
for kind in avif heic jxl; do
    against "$kind, sandbox: CPU a picture" "$(per_cpu winnow,$kind,1-worker,sandbox=0)" "$(per_cpu winnow,$kind,1-worker,sandbox=1)" '<=' 1.1
done
[ "${ONLY:-}" = formats ] && exit 0
for method in lanczos bilinear; do ./bench square $method photos/p00.jpg >winnow-$method.raw; done
echo "PSNR in dB against a float Lanczos-3 reduction of the fully decoded picture:"
# shellcheck disable=SC2046
"$python" "$TOP/tests/bench/pictures.py" psnr photos/p00.jpg $(ls ./*.raw) | tee psnr
for m in lanczos bilinear; do
    against "$m, pictures a second, of sharp's" "$(rate winnow,$m,2-workers)" "$(rate sharp,2-threads)" '>=' 1.2
    against "$m, of two vipsthumbnail's" "$(rate winnow,$m,2-workers)" "$(rate vipsthumbnail,2-processes)" '>=' 1.2
done
against "the default method, of lanczos" "$(rate winnow,bilinear,2-workers)" "$(rate winnow,lanczos,2-workers)" '>=' 1
bar "lanczos, PSNR in dB, of sharp's $(noise sharp.raw)" "$(noise winnow-lanczos.raw)" '>=' "$(noise sharp.raw)"
against "augment on one core, of Keras' formulas in scipy" "$(rate augment,winnow,1-thread)" "$(rate augment,scipy,1-thread)" '>=' 5
against "augment on one core, of OpenCV's" "$(rate augment,winnow,1-thread)" "$(rate augment,opencv,1-thread)" '>=' 1.5
bar "shards, warm: records a second, checked once, 10 passes" "$(rate shards,10-passes)" '>=' 20000
against "shards, cold: bytes a second, of the disk read in order" "$(awk '$1 == "shards,cold" { print $2 * 268203 / 1e6 }' medians)" "$(rate disk,sequential,cold,MB)" '>=' 0.9
against "sandbox: CPU a picture, of in-process decoding's" "$(per_cpu winnow,bilinear,1-worker,sandbox=0)" "$(per_cpu winnow,bilinear,1-worker,sandbox=1)" '<=' 1.1
against "sandbox: time a picture, one worker" "$(rate winnow,bilinear,1-worker,sandbox=0)" "$(rate winnow,bilinear,1-worker,sandbox=1)" '<=' 1.1
against "sandbox: time a picture, two workers" "$(rate winnow,bilinear,no-sandbox)" "$(rate winnow,bilinear,2-workers)" '<=' 1.1
against "sandbox: CPU a JPEG record of a shard" "$(per_cpu jpeg-records,1-thread,sandbox=0)" "$(per_cpu jpeg-records,1-thread,sandbox=1)" '<=' 1.1
against "sandbox: time a JPEG record of a shard" "$(rate jpeg-records,1-thread,sandbox=0)" "$(rate jpeg-records,1-thread,sandbox=1)" '<=' 1.1
machine
exit 0
