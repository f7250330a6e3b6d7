#!/usr/bin/env bash
# Pictures: decode and resize against node sharp and vipsthumbnail, the cost of the sandbox, augmentation against Keras' formulas in
# scipy and against OpenCV, and reading shards. A table of medians over ROUNDS, peers taking turns within a round; CPU seconds
# beside wall clock, which is the truer figure on a busy machine. Never fails.
# usage: pictures.sh [ROUNDS [N_PHOTOS]]     BUILD=build/release
set -u
TOP=$(cd "$(dirname "$0")/../.." && pwd)
BUILD=${BUILD:-$TOP/build/release}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
ROUNDS=${1:-5} N=${2:-24}
python=/usr/bin/python3
work=$(mktemp -d "${TMPDIR:-/tmp}/winnow-pictures-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 0
areas="image shard hash manifest io base"
# shellcheck disable=SC2046
${CC:-cc} -O2 -std=gnu11 -D_GNU_SOURCE -I"$TOP/lib" -o bench "$TOP/tests/bench/pictures_bench.c" -Wl,--start-group \
    $(for a in $areas; do echo "$BUILD/lib/$a/area.a"; done) -Wl,--end-group -ljpeg -lpng16 -lwebp -lwebpdemux -lgif -lseccomp -lxxhash -lm -pthread ||
    { echo "pictures.sh: build first (make)"; exit 0; }
"$python" "$TOP/tests/bench/pictures.py" photos photos "$N" || { echo "pictures.sh: python3-pil and python3-numpy make the photographs"; exit 0; }
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
vips() { # two processes, half the files each, through vipsthumbnail; 1 repeat is all it is given
    "$python" - photos/*.jpg <<'P'
import resource, subprocess, sys, time
files, started = sys.argv[1:] * 3, time.perf_counter()
half = len(files) // 2
ps = [subprocess.Popen(["vipsthumbnail", "--size", "299x299!", "-o", "%s-t.ppm", *part], env={"VIPS_CONCURRENCY": "1", "PATH": "/usr/bin:/bin"})
      for part in (files[:half], files[half:])]
[p.wait() for p in ps]
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(len(files), f"{time.perf_counter() - started:.4f} {u.ru_utime + u.ru_stime:.4f}")
P
    rm -f photos/*.ppm
}
note() { # NAME COMMAND...: "n wall cpu" into results
    name=$1
    shift
    line=$("$@" 2>/dev/null) && echo "$name $line" >>results
}
for _ in $(seq "$ROUNDS"); do
    [ -n "$have_sharp" ] && note "sharp,2-threads" node sharp.js 4 photos/*.jpg
    command -v vipsthumbnail >/dev/null && note "vipsthumbnail,2-processes" vips
    for method in lanczos bilinear area tfjs; do note "winnow,$method,2-workers" ./bench load $method 2 1 4 photos/*.jpg; done
    note "winnow,bilinear,no-sandbox" ./bench load bilinear 2 0 4 photos/*.jpg
done
for _ in $(seq "$ROUNDS"); do
    note "augment,scipy,1-thread" "$python" "$TOP/tests/bench/pictures.py" scipy 10
    note "augment,opencv,1-thread" "$python" "$TOP/tests/bench/pictures.py" opencv 300
    note "augment,winnow,1-thread" ./bench augment article 1000 299
done
if [ -x "${BIN:-$TOP/bin}/pack" ]; then
    (printf 'path\tlabel\n'; for _ in $(seq 40); do for f in photos/*.jpg; do printf '%s\tx\n' "$f"; done; done) >in.tsv
    "${BIN:-$TOP/bin}/pack" -o set in.tsv
    for _ in $(seq "$ROUNDS"); do
        note "shards,first-pass" ./bench shards set 1
        note "shards,10-passes" ./bench shards set 10
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
print(f"{'what':34}{'a second':>12}{'a CPU second':>14}{'least..most a second':>26}")
for name, v in rows.items():
    w, c = [a for a, _ in v], [b for _, b in v]
    print(f"{name:34}{s.median(w):12.1f}{s.median(c):14.1f}{min(w):16.1f}..{max(w):.1f}")
P
for method in lanczos bilinear; do ./bench square $method photos/p00.jpg >winnow-$method.raw; done
echo "PSNR in dB against a float Lanczos-3 reduction of the fully decoded picture:"
# shellcheck disable=SC2046
"$python" "$TOP/tests/bench/pictures.py" psnr photos/p00.jpg $(ls ./*.raw)
exit 0
