#!/usr/bin/env bash
# How a file becomes pixels where there is a choice: --orientation against real Pillow, --frame, and that sets, models, every
# program, the demo page in Chromium and the names of augmented files follow what was chosen.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR python=/usr/bin/python3 tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
export NPM=$TOP/build/npm
"$python" tests/tools/make_odd.py "$T/odd" >"$T/odd-names" 2>"$T/err" && "$python" tests/tools/make_turned.py "$T/turned" >"$T/turned-sizes" 2>>"$T/err" &&
    "$python" tests/tools/make_animations.py "$T/anim" >"$T/anim-names" 2>>"$T/err"
code=$?
ok $code "the files can be made $(tail -n 1 "$T/err")"
[ $code = 0 ] || done_testing
cd "$T" || exit 1
cut -f1 turned-sizes >turned-names
mkdir all && for f in odd turned anim; do while read -r name; do cp "$f/$name" "all/$f-$name"; done <$f-names; done
for f in odd turned anim; do (printf 'path\tlabel\n'; sed "s,.*,all/$f-&\tx," $f-names) >$f.tsv; done
(printf 'path\tlabel\n'; tail -qn +2 odd.tsv turned.tsv anim.tsv) >all.tsv
tail -n +2 all.tsv | cut -f1 | sed 's,all/,,' >all-names
copies() { # NAME MANIFEST OPTION...: whole pictures as PNG, and NAME.tsv
    local to=$1 in=$2
    shift 2
    "$BIN/augment" "$@" --spec none --format png --out "made-$to" --rejects /dev/null -o "$to.tsv" "$in" 2>err
}
alike() { "$python" "$TOP/tests/tools/compare_pictures.py" "$@" 2>&1; }     # MANIFEST LEVELS FOLDER [SUFFIX] <names

# --- orientation: Pillow's rule is what Pillow does
copies pillow turned.tsv --orientation pillow
for f in $(cat turned-names); do mv "turned/$f.shown" "turned/turned-$f.shown"; done
why=$(sed 's/^/turned-/' turned-names | alike pillow.tsv 1 turned .shown)
ok $? "--orientation pillow: every file as ImageOps.exif_transpose, to one level ($why)"
"$BIN/validate" --min-bytes 0 --orientation pillow -o sizes.tsv turned.tsv
cut -f2 turned-sizes | cmp -s - <(awk -F'\t' 'NR > 1 { print $4 "x" $5 }' sizes.tsv)
ok $? "validate --orientation pillow: width and height as shown"
"$python" - >odd-shown <<'P'
import io, os, sys, warnings
from PIL import Image, ImageOps
warnings.simplefilter("ignore")
for name in open("odd-names").read().split():
    try:
        im = Image.open("odd/" + name)
        im.load()
    except Exception:
        continue
    print(name, "%dx%d" % ImageOps.exif_transpose(im).size)
P
"$BIN/validate" --min-bytes 0 --orientation pillow -o sizes.tsv --rejects /dev/null odd.tsv
differ=$(awk -F'\t' 'NR == FNR { split($0, a, " "); size[a[1]] = a[2]; next } FNR > 1 { name = substr($1, 9); n += name in size; if (name in size && size[name] != $4 "x" $5) print name } END { if (n < 35) print n " files only" }' odd-shown sizes.tsv)
is "$differ" "" "and of every odd file that Pillow opens"
"$BIN/validate" --min-bytes 0 --orientation none -o sizes.tsv turned.tsv
is "$(awk -F'\t' 'NR > 1 { print $4 "x" $5 }' sizes.tsv | sort -u)" 64x48 "validate --orientation none: sizes as stored"
"$BIN/validate" --min-bytes 0 --orientation browser turned.tsv | cmp -s - <("$BIN/validate" --min-bytes 0 turned.tsv)
ok $? "browser is the default"
"$BIN/validate" --min-bytes 0 --orientation pillow --header-only -o header.tsv turned.tsv && "$BIN/validate" --min-bytes 0 --orientation pillow turned.tsv | cmp -s - header.tsv
ok $? "validate --header-only follows the rule"
must_fail 64 "'exif' is not a rule of orientation: browser, pillow or none" "--orientation exif" "$BIN/validate" --orientation exif turned.tsv
must_fail 64 "--no-orient was removed: say --orientation none" "an option that was removed" "$BIN/pack" --no-orient -o x turned.tsv

# --- frames: --frame N is the Nth of all frames
given=$(while read -r name; do
    mkdir -p "frames/$name" && "$BUILD/tests/image_frames_test" "anim/$name" "frames/$name" | cut -d' ' -f1
done <anim-names | sort -n | tr '\n' ' ')
[ "$(tr ' ' '\n' <<<"$given" | grep -cxE '[2-9]|[1-9][0-9]+')" -ge 8 ]
ok $? "there are animations of several frames: $given"
for n in 1 2 3 99; do
    copies "frame-$n" anim.tsv --frame $n
    rm -rf nth && mkdir nth
    while read -r name; do
        last=$(find "frames/$name" -type f | wc -l)
        cp "frames/$name/$((n < last ? n - 1 : last - 1))."* "nth/anim-$name"
    done <anim-names
    why=$(sed 's/^/anim-/' anim-names | alike "frame-$n.tsv" 0 nth)
    ok $? "--frame $n: the samples of that frame, or of the last ($why)"
done
copies plain all.tsv && copies first all.tsv --frame 1 && cmp -s plain.tsv <(sed 's,made-first/,made-plain/,g' first.tsv)
ok $? "--frame 1 is the default, and makes the same files"
# A header that promises frames that are not there, and one frame that is damaged.
"$python" - <<'P'
import struct, zlib
data = open("anim/dispose-blend.png", "rb").read()
at = data.index(b"acTL")
body = b"acTL" + struct.pack(">II", 65000, 0)
open("lying.png", "wb").write(data[:at] + body + struct.pack(">I", zlib.crc32(body)) + data[at + 16:])
one = lambda k: b"\x2c\0\0\0\0\1\0\1\0\x80" + bytes([k & 255]) * 6 + b"\2\2\x44\1\0"
head = b"GIF89a\1\0\1\0\0\0\0"
data = bytearray(head + b"".join(one(k) for k in range(5)) + b";")
data[13 + 3 * 21 + 18] = 255
open("damaged.gif", "wb").write(data)
open("cut.gif", "wb").write((head + b"".join(one(k) for k in range(5)))[:-6])
open("many.gif", "wb").write(head + b"".join(one(k) for k in range(65536)) + b";")
P
printf 'path\tlabel\nlying.png\tx\n' >lying.tsv
copies lies lying.tsv --frame 64000 && mkdir -p nth && cp "frames/dispose-blend.png/17."* nth/lying.png
why=$(echo lying.png | alike lies.tsv 0 nth)
ok $? "a header that promises 65,000 of 18 frames: the last one that is there ($why)"
printf 'path\nmany.gif\ndamaged.gif\ncut.gif\n' >bad.tsv
for n in 3 4 5 60000; do
    "$BIN/validate" --min-bytes 0 --frame $n --rejects r.tsv -o k.tsv bad.tsv 2>/dev/null
    echo "$n: $(tail -n +2 k.tsv | cut -f1 | tr '\n' ' ')$(tail -n +2 r.tsv | cut -f1,3 | tr '\t\n' '  ')"
done >told
is "$(cat told)" "3: many.gif damaged.gif cut.gif 
4: many.gif cut.gif damaged.gif decode-corrupt 
5: many.gif damaged.gif decode-corrupt cut.gif decode-truncated 
60000: many.gif damaged.gif decode-corrupt cut.gif decode-truncated " "damage counts up to the frame that is taken"
"$BIN/validate" --min-bytes 0 --frame 5 --allow-truncated --rejects r.tsv -o k.tsv bad.tsv 2>/dev/null
is "$(tail -n +2 k.tsv | cut -f1 | tr '\n' ' ')" "many.gif cut.gif " "--allow-truncated takes the last frame that is whole"
must_fail 64 "--frame" "--frame 0: frames are counted from 1" "$BIN/pack" --frame 0 -o x anim.tsv

# --- sets and models record the rules, and every program follows them
printf 'path\tlabel\tsplit\nall/anim-disposals.gif\ta\ttrain\nall/turned-half-turn.webp\tb\ttrain\nall/anim-beyond.gif\tb\ttrain\n' >few.tsv
made() { awk -F'\t' '$1 == "made" { print $2 }' "$1/index.tsv"; }
"$BIN/pack" --size 16 -o plain few.tsv && "$BIN/pack" --size 16 --frame 3 --orientation pillow -o third few.tsv && ! cmp -s plain/shard-00000.bin third/shard-00000.bin
is "$? $(made plain) $(made third)" "0  frame=3 orientation=pillow" "pack: other samples, and recorded"
"$BIN/pack" --check third
ok $? "pack --check takes it"
must_fail 65 "was packed with --frame 3 --orientation pillow: cannot append with --frame 1 --orientation browser" "pack --append by other rules" "$BIN/pack" --size 16 --append -o third few.tsv
"$BIN/pack" --size 16 --frame 3 --orientation pillow --reuse plain -o again few.tsv 2>err && grep -q 'every picture is decoded' err && cmp -s third/shard-00000.bin again/shard-00000.bin
ok $? "pack --reuse of a set by other rules: nothing is taken from it"
"$BIN/pack" --size 16 --frame 3 --orientation pillow --reuse third -o again few.tsv 2>err && ! grep -q decoded err && is "$(made again)" "frame=3 orientation=pillow" "pack --reuse keeps the record"
"$BIN/train" --device ref --shards third --base "$tiny" --out t --epochs 1 -q >/dev/null 2>err
grep -q '"frame": *3' t/model/model.json && grep -q '"orientation": *"pillow"' t/model/model.json
ok $? "train records both in the model $(head -n 1 err)"
score() { "$BIN/classify" --device ref --model t/model "$@" | cut -f3-; }
score all/anim-disposals.gif all/turned-half-turn.webp >model
score --frame 3 --orientation pillow all/anim-disposals.gif all/turned-half-turn.webp | cmp -s - model
ok $? "classify follows the model"
score --frame 1 all/anim-disposals.gif >one && score --frames first all/anim-disposals.gif | cut -f1-2 | cmp -s - one && ! cmp -s one <(head -n 2 model)
ok $? "classify --frame, and --frames first, override its frame"
score --orientation browser all/turned-half-turn.webp >upright && ! cmp -s <(tail -n 1 upright) <(tail -n 1 model) && score --orientation none all/turned-half-turn.webp | cmp -s - upright
ok $? "classify --orientation overrides its rule"
must_fail 64 "leave one out" "classify --frame 2 --frames all" "$BIN/classify" --model t/model --frame 2 --frames all all/anim-disposals.gif
"$BIN/eval" --device ref --model t/model --shards few.tsv --split train --out e >/dev/null 2>err
p_a() { awk -F'\t' '{ for (i = 1; i <= NF; i++) if (NR == 1 && $i == "p_a") at = i } $1 ~ /disposals/ { print $at }' "$1"; }
"$BIN/classify" --device ref --model t/model all/anim-disposals.gif >c.tsv
[ -n "$(p_a c.tsv)" ] && [ "$(p_a c.tsv)" = "$(p_a e/predictions.tsv)" ]
ok $? "eval follows it: $(p_a c.tsv) $(p_a e/predictions.tsv) $(head -n 1 err)"
"$BIN/pack" --size 16 --orientation none -o stored few.tsv && "$BIN/train" --device ref --shards stored --base "$tiny" --out n --epochs 1 -q >/dev/null 2>err && grep -q '"orientation": *"none"' n/model/model.json
ok $? "pack --orientation none is in the model, too"
for line in '"frame": 2.5|is not whole' '"orientation": "exif"|is not pillow or none' '"frame": 0|frame'; do
    rm -rf odd-model && cp -r t/model odd-model && "$python" - "${line%%|*}" <<'P'
import json, sys
m = json.load(open("odd-model/model.json"))
m["userDefinedMetadata"]["input"].update(json.loads("{%s}" % sys.argv[1]))
json.dump(m, open("odd-model/model.json", "w"))
P
    must_fail 65 "${line#*|}" "a model that says ${line%%|*}" "$BIN/classify" --model odd-model all/anim-disposals.gif
done

# --- hashes and features are of what is packed
"$BIN/validate" --min-bytes 0 --with pdq --frame 3 -o with.tsv few.tsv && "$BIN/phash-dedup" --frame 3 --hash-only few.tsv >hashed.tsv
column() { awk -F'\t' -v c="$1" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == c) at = i; next } { print $at }' "$2"; }
column pdq with.tsv | cmp -s - <(column pdq hashed.tsv) && ! cmp -s <(column pdq with.tsv) <("$BIN/phash-dedup" --hash-only few.tsv >f.tsv && column pdq f.tsv)
ok $? "validate --with pdq and phash-dedup hash the frame"
must_fail 64 "--index keeps hashes of first frames" "phash-dedup --index --frame 3" "$BIN/phash-dedup" --index i --frame 3 few.tsv
"$BIN/validate" --min-bytes 0 --with pdq --memory m -o a.tsv few.tsv 2>/dev/null
cut -f1,2,3 few.tsv | paste - <(echo xxh128; column xxh128 a.tsv) >named.tsv
"$BIN/validate" --min-bytes 0 --with pdq --memory m -o /dev/null named.tsv && "$BIN/validate" --min-bytes 0 --with pdq --memory m --frame 3 -o b.tsv named.tsv && cmp -s <(column pdq b.tsv) <(column pdq with.tsv)
ok $? "validate --memory does not take one frame's hash for another's"
features() { "$BIN/embed" --device ref --base "$tiny" --size 16 --cache "cache-$1" "${@:2}" -o "emb-$1" few.tsv 2>err; }
"$BIN/train" --device ref --shards third --base "$tiny" --out t2 --phase head --cache cache-third --epochs 1 -q >/dev/null 2>err
features third --frame 3 --orientation pillow -v && grep -q ' 0 of them computed now' err
ok $? "embed sees what pack packed: nothing is computed that train had ($(tail -n 1 err))"
features black --background black --color srgb && features white && ! cmp -s emb-black/features.npy emb-white/features.npy
ok $? "embed --background --color"
"$BIN/feature-dedup" --features emb-white --frame 3 --orientation pillow --background black --color none emb-white/rows.tsv >/dev/null 2>err
ok $? "feature-dedup takes the rules $(head -n 1 err)"
"$BIN/phash-dedup" --orientation pillow --background black --color srgb few.tsv >/dev/null 2>err
ok $? "phash-dedup takes the rules $(head -n 1 err)"

# --- names of augmented files: what gives other pixels has another name
printf 'path\tlabel\nall/anim-disposals.gif\ta\nall/odd-alpha.png\tb\nall/odd-profile-p3.png\tb\nall/turned-bare.webp\ta\n' >four.tsv
names() { "$BIN/augment" --variants 1 --spec "${1:-rotation=30}" --out pool "${@:2}" -o n.tsv four.tsv 2>err && awk -F'\t' 'NR > 1 && $4 != "" { print $1 }' n.tsv; }
i=0
for options in "" "--background black" "--background #00ff00" "--color srgb" "--frame 2" "--frame 3" "--orientation pillow" "--orientation none"; do
    i=$((i + 1))
    # shellcheck disable=SC2086
    names "" $options >names-$i
done
names rotation=30,fill=reflect >names-9
names rotation=30,fill=1:2:3 >names-10
names rotation=30,fill=1:2:4 >names-11
[ "$(sort names-* | uniq -d | wc -l)" = 0 ] && [ "$(cat names-* | wc -l)" = 44 ]
ok $? "augment: files by other rules, or with another fill, never have one name"
names "" --background white --color none --frame 1 --orientation browser | cmp -s - names-1
ok $? "and the usual rules, said or not, have the same"
cut -f1,2 four.tsv | paste - <(echo xxh128; "$BIN/validate" --min-bytes 0 --with pdq -o h.tsv four.tsv; column xxh128 h.tsv) >five.tsv
remember() { "$BIN/augment" --variants 1 --spec none --format png --memory variants --out pool "$@" -v -o n.tsv five.tsv 2>err && awk -F'\t' 'NR > 1 && $5 != "" { print $1 }' n.tsv; }
remember >usual && remember --background black >dark && remember --frame 2 >second && grep -q '4 made' err
ok $? "augment --memory of other rules does not answer: $(grep made err)"
[ "$(sort usual dark second | uniq -d | wc -l)" = 0 ]
ok $? "and its files have other names"

# --- the page in Chromium
if [ -d "$NPM/node_modules/playwright-core" ] && [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    for rules in '{"orientation":"pillow"}|--orientation pillow' '{"orientation":"none"}|--orientation none' '{"orientation":"browser"}|--orientation browser' '{"frame":2}|--frame 2' '{"frame":99,"orientation":"pillow","background":"#000000"}|--frame 99 --orientation pillow --background black'; do
        options=${rules#*|} key=$(tr -dc a-z0-9 <<<"${rules#*|}")
        mkdir -p "page-$key"
        timeout 120 node "$TOP/tests/formats/odd.cjs" all "page-$key" "${rules%%|*}" >/dev/null 2>err || cat err
        # shellcheck disable=SC2086
        copies "$key" all.tsv $options
        # Not: where docs/odd-pictures.md says that Chromium, or the page, differs by the file; and it always turns AVIF and JPEG XL.
        why=$(grep -vxE 'odd-(cut.jpg|lying-height.jpg|bmp-named.jpg|alpha.avif|animated.avif|.*\.heic)|anim-frames.avif' all-names |
            case $key in *none) grep -vE 'odd-(turned.*avif|from-jpeg-6.jxl)' ;; frame*) grep -vE 'odd-animated.jxl|anim-frames.jxl' ;; *) cat ;; esac | alike "$key.tsv" 2 "page-$key/page")
        ok $? "the page follows $options ($why)"
    done
    is "$(grep -c 'it is a HEIC picture, which this browser cannot open' "page-frame2/page-says")" "$(grep -c 'heic$' odd-names)" "the page says of each HEIC what it is, and what to do"
    is "$(grep -c 'of a JPEG XL this page sees only the first' page-frame2/page-says)" 2 "and of an animated JPEG XL, when the model wants another frame"
else
    skip "the page" "no npm packages or no Chromium: ./bootstrap check"
fi
done_testing
