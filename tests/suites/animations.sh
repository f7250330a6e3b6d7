#!/usr/bin/env bash
# Frames of animations: composed as Chromium composes them, sample for sample; classify --frames and validate --frames.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR python=/usr/bin/python3
export NPM=$TOP/build/npm
"$python" tests/tools/make_animations.py "$T/anim" >"$T/names" 2>"$T/err"
code=$?
ok $code "the files can be made (python3-pil, webp, libavif-bin, libjxl-tools) $(tail -n 1 "$T/err")"
[ $code = 0 ] || done_testing
while read -r name; do
    mkdir -p "$T/ours/$name"
    said=$("$BUILD/tests/image_frames_test" "$T/anim/$name" "$T/ours/$name")
    read -r given told word _ <<<"$said"
    [ "$word" = ok ] && [ "$given" = "$told" ] && [ "$given" -gt 2 ]
    ok $? "$name: $said"
done <"$T/names"
if [ -d "$NPM/node_modules/playwright-core" ] && [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    mkdir "$T/theirs"
    timeout 120 node tests/formats/frames.cjs "$T/anim" "$T/theirs" 2>"$T/err"
    ok $? "they go through Chromium's ImageDecoder $(head -n 1 "$T/err")"
    # Chromium 156 takes the full range of an AVIF sequence for limited (docs/odd-pictures.md).
    for name in $(grep -v avif "$T/names"); do
        diff -rq "$T/ours/$name" "$T/theirs/$name" >"$T/diff" 2>&1
        ok $? "$name: every frame is Chromium's, bit for bit $(head -n 2 "$T/diff" | tr '\n' ' ')"
    done
else
    skip "Chromium's frames" "no npm packages or no Chromium: ./bootstrap check"
fi

# --- classify: the most of all frames is what the frames get one by one
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
cd "$T" || exit 1
for name in disposals.gif dispose-blend.png dispose-blend.webp frames.avif; do
    "$python" - "ours/$name" "one/$name" <<'P'
import os, sys
from PIL import Image
os.makedirs(sys.argv[2])
for f in os.listdir(sys.argv[1]):
    Image.open(f"{sys.argv[1]}/{f}").save(f"{sys.argv[2]}/%03d.png" % int(f.split(".")[0]))
P
    "$BIN/classify" --model "$tiny" "one/$name" >frames.tsv
    for which in all every:3; do
        "$BIN/classify" --model "$tiny" --frames $which -t class_0=0.2 -t class_1+class_2=0.7 "anim/$name" >scored.tsv
        "$python" - frames.tsv scored.tsv $which >why <<'P'
import sys
def table(path):
    rows = [line.rstrip("\n").split("\t") for line in open(path)]
    return [dict(zip(rows[0], r)) for r in rows[1:]]
frames, (got,) = table(sys.argv[1]), table(sys.argv[2])
frames = frames[::3] if sys.argv[3] != "all" else frames
p = [[float(f["p_class_%d" % k]) for k in range(3)] for f in frames]
close = lambda a, b: abs(a - b) < 1e-6
shares = [sum(q[0] >= 0.2 for q in p) / len(p), sum(q[1] + q[2] >= 0.7 for q in p) / len(p)]
told = [float(part.rsplit("=", 1)[1]) for part in got["frames_over"].split(",")]
good = got["frames_scored"] == str(len(p)) and all(close(float(got["p_class_%d" % k]), max(q[k] for q in p)) for k in range(3))
print(len(p), "frames", got["frames_over"])
sys.exit(not (good and all(close(a, b) for a, b in zip(shares, told)) and ("class_0" in got["flagged"].split(",")) == (shares[0] > 0)))
P
        ok $? "classify --frames $which $name: the most of each class, and the shares: $(cat why)"
    done
done
"$BIN/classify" --model "$tiny" anim/disposals.gif >plain.tsv && "$BIN/classify" --model "$tiny" --frames first anim/disposals.gif | cut -f1-5 | cmp -s - <(cut -f1-5 plain.tsv)
ok $? "--frames first is the default's picture"
has "$("$BIN/classify" --model "$tiny" --frames all --format json -t class_0=0 anim/disposals.gif)" '"frames_scored":12,"frames_over":{"class_0":1}' "JSON has them, too"
"$BIN/classify" --model "$tiny" --frames all one/disposals.gif/000.png anim/beyond.gif >mixed.tsv
is "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "frames_scored") at = i } NR > 1 { printf "%s ", $at }' mixed.tsv)" "1 6 " "a still picture has one frame"
"$BIN/classify" --model "$tiny" --frames all --batch 5 anim >b5.tsv && "$BIN/classify" --model "$tiny" --frames all --batch 64 -j1 anim | cut -f1,2 | cmp -s - <(cut -f1,2 b5.tsv)
ok $? "any batch and any number of workers give the same classes"
mkdir -p inbox out && cp anim/disposals.gif anim/beyond.gif inbox/ && "$BIN/classify" --model "$tiny" --frames all --watch inbox --once -o watched.tsv
is "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "frames_scored") at = i } NR > 1 { print $at }' watched.tsv | sort -n | tr '\n' ' ')" "6 12 " "--watch scores frames, too"
must_fail 64 "'every:0' is not first, every:N or all|--frames every" "--frames every:0" "$BIN/classify" --model "$tiny" --frames every:0 anim/beyond.gif
must_fail 64 "'some' is not first, every:N or all" "--frames some" "$BIN/classify" --model "$tiny" --frames some anim/beyond.gif
# 65,536 frames, and a damaged later one.
"$python" - <<'P'
one = lambda k: b"\x2c\0\0\0\0\1\0\1\0\x80" + bytes([k & 255]) * 6 + b"\2\2\x44\1\0"
head = b"GIF89a\1\0\1\0\0\0\0"
open("many.gif", "wb").write(head + b"".join(one(k) for k in range(65536)) + b";")
data = bytearray(head + b"".join(one(k) for k in range(5)) + b";")
data[13 + 3 * 21 + 18] = 255
open("damaged.gif", "wb").write(data)
P
is "$("$BIN/classify" --model "$tiny" --frames all many.gif | awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "frames_scored") at = i } NR > 1 { print $at }')" 256 "of 65,536 frames 256 are scored"
must_fail 65 "decode-corrupt" "classify --frames all: a damaged frame rejects the file" "$BIN/classify" --model "$tiny" --frames all damaged.gif
printf 'path\nmany.gif\ndamaged.gif\nanim/dispose-blend.png\n' >in.tsv
"$BIN/validate" --min-bytes 0 -o kept.tsv in.tsv && is "$(cut -f1,6 kept.tsv | tr '\t\n' '  ')" "path frames many.gif 65536 damaged.gif 5 anim/dispose-blend.png 18 " "validate looks at first frames"
"$BIN/validate" --min-bytes 0 --frames --rejects rejects.tsv -o kept.tsv in.tsv 2>/dev/null
is "$(cut -f1 kept.tsv | tr '\n' ' ')$(awk -F'\t' 'NR > 1 { print $1, $3 }' rejects.tsv)" "path many.gif anim/dispose-blend.png damaged.gif decode-corrupt" "validate --frames decodes them all"
must_fail 64 "does not go with --header-only" "validate --frames --header-only" "$BIN/validate" --frames --header-only in.tsv
done_testing
