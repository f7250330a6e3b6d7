#!/usr/bin/env bash
# validate, augment and pack on real files: the rules, determinism for any -j, -o whole or not at all, append, reuse, damage, the
# WebDataset layout, the sheet, and that a made picture can be made again from what its row says.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
python=/usr/bin/python3
work=$TMPDIR/pictures
mkdir -p "$work"
"$python" - "$work" <<'P' || { ok 1 "pictures can be made (python3-pil, python3-numpy)"; done_testing; }
import os, sys
import numpy as np
from PIL import Image
top = sys.argv[1]
rng = np.random.default_rng(5)
rows = [["path", "label", "note", "split", "group", "fold"]]
for k in range(24):
    label, split = ["cat", "dog", "émeu"][k % 3], ["train", "train", "val", "test"][k % 4]
    w, h = int(rng.integers(60, 400)), int(rng.integers(60, 300))
    y, x = np.mgrid[0:h, 0:w]
    a = np.stack([127 + 100 * np.sin(x / rng.uniform(3, 30) + k), 127 + 100 * np.cos(y / rng.uniform(3, 30)), (x + y) % 256], -1) + rng.normal(0, 8, (h, w, 3))
    os.makedirs(f"{top}/{label}", exist_ok=True)
    path = f"{label}/{k:02d}.{['jpg', 'png', 'webp'][k % 3 if k % 5 else 0]}"
    Image.fromarray(np.clip(a, 0, 255).astype("uint8")).save(f"{top}/{path}", **({"quality": 90} if not path.endswith("png") else {}))
    rows.append([path, label, f"n{k}\\\\{k}", split, f"g{k}", str(k % 5) if split != "test" else ""])
with open(f"{top}/in.tsv", "w") as f:
    f.writelines("\t".join(r) + "\n" for r in rows)
P
cd "$work" || exit 1
PATH=$BIN:$PATH

# --- validate
validate --min-bytes 0 -j1 -o v1.tsv in.tsv && validate --min-bytes 0 -j3 <in.tsv >v3.tsv && cmp -s v1.tsv v3.tsv
ok $? "validate: -j1 and -j3 write the same, to a file and to standard output"
[ "$(head -1 v1.tsv)" = "$(printf 'path\tlabel\tnote\tsplit\tgroup\tfold\tformat\twidth\theight\torientation\tframes\tmode')" ]
ok $? "validate: columns go on the right"
[ "$(cut -f1-6 v1.tsv | cmp - in.tsv && echo same)" = same ]
ok $? "validate: rows pass through untouched"
rule() { # RULE-OPTION AWK-CONDITION SLUG: exactly the rows that meet the condition leave, with that slug
    # shellcheck disable=SC2086
    validate --min-bytes 0 $1 --rejects r.tsv -o k.tsv in.tsv &&
        [ "$(awk -F'\t' "NR > 1 && ($2) { print \$1 }" v1.tsv)" = "$(awk -F'\t' -v s="$3" 'NR > 1 && $8 == s { print $1 }' r.tsv)" ] &&
        [ "$(wc -l <k.tsv)" -gt 1 ] && [ "$(wc -l <r.tsv)" -gt 1 ] && [ $(($(wc -l <k.tsv) + $(wc -l <r.tsv))) = $(($(wc -l <in.tsv) + 1)) ]
    ok $? "validate $1: $3"
}
rule "--min-side 120" '($8 < 120 || $9 < 120)' side-too-short
rule "--max-side 300" '($8 > 300 || $9 > 300)' side-too-long
rule "--max-aspect 1.5" '($8 > 1.5 * $9 || $9 > 1.5 * $8)' aspect-too-long
rule "--formats jpeg,webp" '$7 == "png"' format-not-wanted
rule "--max-pixels 40000" '$8 * $9 > 40000' too-many-pixels
size=$(stat -c %s cat/*.jpg | sort -n | sed -n 3p)
validate --min-bytes "$size" --rejects r.tsv in.tsv >k.tsv
[ "$(awk -F'\t' 'NR > 1 { print $8 }' r.tsv | sort -u)" = too-few-bytes ] && [ "$(awk -F'\t' 'NR > 1 { print $1 }' r.tsv | xargs stat -c %s | sort -n | tail -1)" -lt "$size" ]
ok $? "validate --min-bytes: too-few-bytes, and only below"
validate --max-bytes "$size" --rejects r.tsv in.tsv --min-bytes 0 >k.tsv
[ "$(awk -F'\t' 'NR > 1 { print $8 }' r.tsv | sort -u)" = too-many-bytes ]
ok $? "validate --max-bytes: too-many-bytes"
must_fail 64 tiff "validate: a format that is not known is a usage error" validate in.tsv --formats tiff
validate --min-bytes 0 --min-side 120 --max-rejects 2 in.tsv >/dev/null 2>&1
[ $? = 1 ]
ok $? "validate --max-rejects: exit 1"
validate --min-bytes 0 --header-only in.tsv | cmp -s - v1.tsv
ok $? "validate --header-only says the same of sound files"
head -c 3000 cat/00.jpg >torn.jpg
printf 'path\ntorn.jpg\n' | validate --min-bytes 0 --header-only | grep -q torn && [ "$(printf 'path\ntorn.jpg\n' | validate --min-bytes 0 | wc -l)" = 1 ]
ok $? "and does not see a torn one"

# --- pack
pack --size 64 -j1 -o s1 in.tsv && pack --size 64 -j3 -o s3 in.tsv && diff -r s1 s3 >d
ok $? "pack: -j1 and -j3 give the same bytes"
pack --check s1
ok $? "pack --check: sound"
[ "$(cut -f1-6 s1/shard-00000.tsv | tail -n +2 | sort)" = "$(awk -F'\t' 'NR > 1 { print $1 "\t" $2 "\t" $4 "\t" $5 "\t" $6 "\t0" }' in.tsv | sort)" ]
ok $? "pack: path label split group fold variant are in the index"
"$python" - <<'P'
import sys
import numpy as np
from PIL import Image
rows = [l.rstrip("\n").split("\t") for l in open("s1/shard-00000.tsv")][1:]
data = open("s1/shard-00000.bin", "rb").read()
worst = 0
for r in rows:
    a = np.frombuffer(data, np.uint8, 64 * 64 * 3, int(r[9])).reshape(64, 64, 3).astype(int)
    im = Image.open(r[0]).convert("RGB")
    if r[0].endswith(".jpg"):
        continue                # at twice the size and more the JPEG decoder shrinks first
    b = np.asarray(im.resize((64, 64), Image.BILINEAR)).astype(int)
    worst = max(worst, abs(a - b).max())
sys.exit(int(worst > 1))
P
ok $? "pack: the records of PNG and WebP are Pillow's bilinear, to a level"
pack --size 64 -o s1 in.tsv && diff -r s1 s3 >d
ok $? "pack over a set that is there: the same set again"
(head -1 in.tsv; sed -n 2,10p in.tsv) >first.tsv
pack --size 64 -o sa first.tsv && pack --size 64 --append -o sa in.tsv && pack --check sa &&
    [ "$(sed -n 's/^data_hash.//p' sa/index.tsv)" = "$(sed -n 's/^data_hash.//p' s1/index.tsv)" ]
ok $? "pack --append: the same data as one go"
(head -1 in.tsv | sed 's/$/\txxh128/'; tail -n +2 s1/shard-00000.tsv | cut -f9 | paste <(tail -n +2 in.tsv) -) >hashed.tsv
pack --size 64 -o sh hashed.tsv && cp -r sh sh2 && pack -v --size 64 --append -o sh2 hashed.tsv 2>e && diff -r sh sh2 >d && grep -q '24 there already' e
ok $? "pack --append twice changes nothing, and decodes nothing where xxh128 is known"
awk -F'\t' 'BEGIN { OFS = FS } NR > 1 { $2 = $2 == "dog" ? "cat" : $2; $4 = $4 == "val" ? "train" : $4 } { print }' hashed.tsv >relabelled.tsv
name=$(awk -F'\t' '$1 ~ /03\./ { print $1 }' in.tsv)
same_data() { [ "$(grep '^data_hash\|^class' "$1/index.tsv")" = "$(grep '^data_hash\|^class' "$2/index.tsv")" ] && pack --check "$2"; }
pack --size 64 -o fresh relabelled.tsv && mv "$name" hidden && pack --size 64 --reuse sh -o reused relabelled.tsv && same_data fresh reused && [ reused/shard-00000.bin -ef sh/shard-00000.bin ]
ok $? "pack --reuse: new labels and splits with old pixels, without looking at the files or copying any"
mv hidden "$name"
cut -f1-6 relabelled.tsv >plain.tsv
pack -v --size 64 --reuse sh -o reused plain.tsv 2>e && same_data fresh reused && grep -q '24 taken' e
ok $? "pack --reuse: where no column says the content, the files are read but not decoded"
pack --size 65 --reuse sh -o x relabelled.tsv 2>e && grep -q 'every picture is decoded: .* its pixels are not the ones asked for' e && pack --size 65 -o y relabelled.tsv && diff -r x y
ok $? "pack --reuse: of a set of another size nothing is taken, which is said"
must_fail 66 "no 'typo'" "pack --reuse: a folder that is not there is a mistake" pack --size 64 --reuse typo -o x relabelled.tsv
cp -r sh broken && truncate -s 100 broken/shard-00000.bin && pack --size 64 --reuse broken -o x relabelled.tsv 2>e && grep -q "every picture is decoded: 'broken/shard-00000.bin' has 100 bytes" e && diff -r x fresh
ok $? "pack --reuse: of a damaged set, too"
pack --size 64 --encoding auto -v -o x relabelled.tsv 2>e && diff -r x fresh && grep -q '^pack: raw: raw records take' e
ok $? "pack --encoding auto: few pictures are raw, and -v says why"
pack --size 64 --encoding jpeg -o x relabelled.tsv && pack --size 64 --encoding auto -v --reuse x -o x relabelled.tsv 2>e && grep -q '^pack: jpeg, as the set that is there' e && grep -q '24 taken' e && pack --check x
ok $? "and what a set is, it stays: JPEG records are taken over as they are"
pack --size 64 --encoding jpeg --quality 80 --reuse x -o z relabelled.tsv 2>e && grep -q 'every picture is decoded' e && pack --size 64 --encoding jpeg --quality 80 --reuse z -v -o z relabelled.tsv 2>e && grep -q '24 taken' e
ok $? "another quality is another set"
head -n 15 relabelled.tsv >some.tsv && pack --size 64 --reuse reused -o part some.tsv && pack --size 64 --append -v -o part relabelled.tsv 2>e && same_data fresh part && grep -q '14 there already' e
ok $? "pack --append to a set that took files over: the same data as one go"
printf 'path\tlabel\tsplit\nnone.jpg\ta\ttrain\n%s\t\ttrain\n%s\ta\tsomewhere\n%s\ta\t\n' "$name" "$name" "$name" >odd.tsv
pack --size 16 -o so --rejects r.tsv odd.tsv && [ "$(cut -f5 r.tsv | tr '\n' ' ')" = "reject_reason not-found no-label unknown-split " ] && [ "$(grep -c '' so/shard-00000.tsv)" = 2 ]
ok $? "pack: reasons of its own, and an empty split is train"
pack --size 64 --encoding jpeg -o sj in.tsv && pack --check sj && [ "$(stat -c %s sj/shard-00000.bin)" -lt "$(stat -c %s s1/shard-00000.bin)" ]
ok $? "pack --encoding jpeg"
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
pack --size 16 --encoding jpeg -o st in.tsv && train --device ref --threads 2 --shards st --base "$tiny" --out run --epochs 1 && [ -f run/model/model.json ] &&
    [ -z "$(find /proc -maxdepth 2 -name cwd -lname "$work" 2>/dev/null | while read -r link; do grep -sx train "${link%cwd}comm"; done)" ]
ok $? "train reads such a set, and its decoding workers end with it"
printf '\xff' | dd of=s3/shard-00000.bin bs=1 seek=5000 conv=notrunc 2>/dev/null
pack --check s3 2>e
[ $? = 65 ] && grep -q 'shard-00000.bin.*damaged' e
ok $? "pack --check: one byte is found"
mkdir taken && echo mine >taken/letter
pack --size 64 -o taken in.tsv 2>e
[ $? = 73 ] && [ "$(cat taken/letter)" = mine ]
ok $? "pack into a folder that is not a set: 73, and nothing is touched"
cp in.tsv torn.tsv && printf 'cat/00.jpg\tcat' >>torn.tsv
pack --size 64 -o s1 torn.tsv 2>e
[ $? = 65 ] && pack --check s1 && [ -z "$(ls -d s1.* 2>/dev/null)" ]
ok $? "pack of a torn manifest: 65, the old set stays, nothing is left beside it"
pack --format webdataset --size 32 --shard-size 64k -o tars in.tsv && mkdir untarred && for t in tars/*.tar; do tar -C untarred -xf "$t" || break; done
[ "$(find untarred -name '*.jpg' | wc -l)" = 24 ] && [ "$(cat tars/classes.txt | tr '\n' ' ')" = "cat dog émeu " ] && [ -f tars/train-00000.tar ] && [ -f tars/val-00000.tar ] && [ -f tars/test-00000.tar ]
ok $? "pack --format webdataset: tars for each split, keys unique over the set, classes.txt"
"$python" - <<'P'
import glob, json, sys, tarfile
classes = open("tars/classes.txt", encoding="utf-8").read().split()
n = 0
for path in glob.glob("tars/*.tar"):
    t = tarfile.open(path)
    names = t.getnames()
    assert names == sorted(names, key=lambda s: s.split(".")[0]), names
    for key in {m.split(".")[0] for m in names}:
        j = json.loads(t.extractfile(key + ".json").read())
        assert classes[int(t.extractfile(key + ".cls").read())] == j["label"] and path.split("/")[1].startswith(j["split"])
        assert t.extractfile(key + ".jpg").read()[:2] == b"\xff\xd8"
        n += 1
sys.exit(int(n != 24))
P
ok $? "pack --format webdataset: every record has its jpg, cls and json, and they agree"
true & gone=$!
wait $gone
mkdir -p tars.new-$gone && echo half >tars.new-$gone/train-00000.tar && mkdir -p s1.new-$gone && echo half >s1.new-$gone/shard-00000.bin
head -7 in.tsv >few.tsv && pack --format webdataset --size 32 -o tars few.tsv && [ "$(cat tars/*.tar | tar -itf - | grep -c json)" -le 6 ] && [ ! -e tars.new-$gone ]
ok $? "pack --format webdataset again: the new set takes the old one's place, and what a killed run left goes"
pack --size 64 -o s1 in.tsv && [ ! -e s1.new-$gone ] && pack --check s1
ok $? "pack, too, removes what a killed run left"
echo mine >tars/letter && pack --format webdataset --size 32 -o tars few.tsv 2>e
[ $? = 73 ] && [ "$(cat tars/letter)" = mine ] && [ -z "$(ls -d tars.* 2>/dev/null)" ]
ok $? "pack --format webdataset over a folder that holds something else: 73, and nothing is touched"

# --- augment
augment --variants 3 --out made -j1 -o a1.tsv in.tsv && cp -r made made1 && rm -r made && augment --variants 3 --out made -j3 -o a3.tsv in.tsv && cmp -s a1.tsv a3.tsv && diff -r made made1 >d
ok $? "augment: -j1 and -j3 make the same rows and the same files"
[ "$(awk -F'\t' 'NR > 1 && $7 > 0' a1.tsv | wc -l)" = "$(awk -F'\t' '$4 == "train"' in.tsv | wc -l | awk '{ print 3 * $1 }')" ] &&
    [ -z "$(awk -F'\t' 'NR > 1 && $7 > 0 && $4 != "train"' a1.tsv)" ] && [ "$(awk -F'\t' 'NR == 1 || $7 == 0' a1.tsv | cut -f1-6 | cmp - in.tsv && echo same)" = same ]
ok $? "augment: three for each training picture, none for the others, the pictures themselves pass on"
awk -F'\t' 'NR > 1 && $7 > 0' a1.tsv | while IFS=$'\t' read -r path label note split group fold variant source params; do
    [ -s "$path" ] && grep -qF "$source	$label	$note	$split	$group" in.tsv && [ -n "$params" ] && [ -n "$variant$fold" ] || echo "$path"
done >wrong
[ ! -s wrong ]
ok $? "augment: made rows keep label, group, split and name their source and parameters"
augment --variants 3 --seed 2 --out made2 -o a2.tsv in.tsv && [ "$(cut -f9 a1.tsv | sort | comm -12 - <(cut -f9 a2.tsv | sort) | sort -u | grep -vc '^params$\|^$')" = 0 ]
ok $? "augment: another seed draws other numbers"
(head -1 in.tsv; tail -n +2 in.tsv | tac) >back.tsv
augment --variants 3 --out made3 -o ab.tsv back.tsv && [ "$(tail -n +2 ab.tsv | sed 's,^made3/,made/,' | sort)" = "$(tail -n +2 a1.tsv | sort)" ]
ok $? "augment: the order of rows does not matter"
augment --variants 3 --out made -o again.tsv a1.tsv && [ "$(awk -F'\t' 'NR > 1 && $7 > 0' again.tsv | cut -f1 | sort -u)" = "$(awk -F'\t' 'NR > 1 && $7 > 0' a1.tsv | cut -f1 | sort -u)" ]
ok $? "augment of an augmented manifest makes no variants of variants"
augment --variants 0 in.tsv | cut -f1-6 | cmp -s - in.tsv
ok $? "augment --variants 0 passes everything on"
augment --variants 2 --sheet look.html in.tsv >s.tsv && grep -q 'filter:blur' look.html && [ "$(grep -o 'data:image/jpeg' look.html | wc -l)" -ge 9 ] && cut -f1-6 s.tsv | cmp -s - in.tsv && ! grep -qE 'https?://' look.html
ok $? "augment --sheet look.html: pictures inside, blurred until asked, no address"
awk -F'\t' -v OFS='\t' 'NR == 1 { print "path", "label"; next } { n = NR - 2; print $1, n < 12 ? "a" : n < 18 ? "b" : n < 22 ? "c" : "d" }' in.tsv >sorted.tsv
augment --variants 1 --sheet five.html --sheet-rows 8 sorted.tsv >/dev/null
[ "$(grep -o '<tr><th scope="row">[a-d]' five.html | sort | uniq -c | awk '{ printf "%d", $1 }')" = 2222 ]
ok $? "a sheet of few rows over a sorted manifest shows every label alike"
augment --variants 2 --sheet look.png in.tsv >/dev/null && [ "$(head -c 4 look.png | tail -c 3)" = PNG ]
ok $? "augment --sheet look.png"
must_fail 64 rotate "augment: a word that is not known is a usage error" augment --spec rotate=3 --out made in.tsv
must_fail 65 /tmp/elsewhere "augment: files go below --root" augment --out /tmp/elsewhere in.tsv
pack --size 32 -o sv a1.tsv && [ "$(awk -F'\t' 'NR > 1 && $6 > 0 && $7 != "" && $8 != ""' sv/shard-00000.tsv | wc -l)" = "$(awk -F'\t' 'NR > 1 && $7 > 0' a1.tsv | wc -l)" ] && pack --check sv
ok $? "pack: variants go in with source and parameters"

# --- background: what transparent parts are laid on, from pack through train to classify
"$python" - <<'P'
from PIL import Image
im = Image.new("RGBA", (32, 32), (200, 100, 50, 0))
im.paste((200, 100, 50, 255), (0, 16, 32, 32))
im.putpixel((0, 0), (200, 100, 50, 128))
im.save("see-through.png")
im.transpose(Image.ROTATE_90).save("see-through-2.png")
P
printf 'path\tlabel\nsee-through.png\ta\nsee-through-2.png\tb\n' >see.tsv
samples() { # SET: the first two pixels of see-through.png and one of its last row
    "$python" - "$1" <<'P'
import sys
rows = [line.rstrip("\n").split("\t") for line in open(sys.argv[1] + "/shard-00000.tsv")]
at = [int(r[rows[0].index("offset")]) for r in rows if r[0] == "see-through.png"][0]
data = open(sys.argv[1] + "/shard-00000.bin", "rb").read()
print(*[",".join(str(v) for v in data[i:i + 3]) for i in (at, at + 3, at + 3 * 32 * 31)])
P
}
background() { awk -F'\t' '$1 == "background" { print $2 }' "$1/index.tsv"; }
pack --size 32 -o see see.tsv
is "$(samples see) $(background see)" "227,177,152 255,255,255 200,100,50 " "pack: transparent parts are laid on white, which is not recorded"
pack --size 32 --background black -o dark see.tsv
is "$(samples dark) $(background dark)" "100,50,25 0,0,0 200,100,50 #000000" "pack --background black: samples and record"
pack --size 32 --background '#00FF7f' -o green see.tsv && pack --check green
is "$? $(samples green) $(background green)" "0 100,177,88 0,255,127 200,100,50 #00ff7f" "pack --background '#00FF7f'"
must_fail 64 "'green' is not a background: white, black or #RRGGBB" "pack --background green" pack --size 32 --background green -o x see.tsv
must_fail 65 "transparent parts on #000000: cannot append pictures on white" "pack --append with another background" pack --size 32 --append -o dark see.tsv
pack --size 32 --background black --reuse see -o x see.tsv 2>e && grep -q 'every picture is decoded: .* on white: its pixels are not the ones asked for' e && cmp -s dark/shard-00000.bin x/shard-00000.bin
ok $? "pack --reuse of a set with another background: nothing is taken from it"
pack --size 32 --background black --reuse dark -o again see.tsv && cmp -s dark/shard-00000.bin again/shard-00000.bin
ok $? "pack --reuse of a set with the same"
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
awk -F'\t' -v OFS='\t' 'NR == 1 { print $0, "split"; next } { print $0, "train" }' see.tsv >see-split.tsv
pack --size 16 --background black -o small see-split.tsv && train --shards small --base "$tiny" --out trained --epochs 1 >/dev/null 2>e && grep -q '"background": *"#000000"' trained/model/model.json
ok $? "train records it in the model $(head -1 e)"
classify --model trained/model see-through.png >dark.tsv && classify --model trained/model --background '#000000' see-through.png | cmp -s - dark.tsv
ok $? "classify follows the model"
classify --model trained/model --background white see-through.png >white.tsv && ! cmp -s white.tsv dark.tsv
ok $? "classify --background overrides it"
"$BIN/eval" --model trained/model --shards see-split.tsv --split train --out evaluated >/dev/null 2>e
p_a() { awk -F'\t' '{ for (i = 1; i <= NF; i++) if (NR == 1 && $i == "p_a") at = i } $1 == "see-through.png" { print $at }' "$1"; }
[ -n "$(p_a dark.tsv)" ] && [ "$(p_a dark.tsv)" = "$(p_a evaluated/predictions.tsv)" ]
ok $? "and so does eval: $(p_a dark.tsv) $(p_a evaluated/predictions.tsv) $(head -1 e)"
augment --variants 1 --spec none --format png --background black --out laid -o laid.tsv see.tsv &&
    "$python" -c 'import sys; from PIL import Image; assert Image.open(sys.argv[1]).convert("RGB").getpixel((1, 0)) == (0, 0, 0)' "$(awk -F'\t' '$4 == "see-through.png" { print $1 }' laid.tsv)"
ok $? "augment --background black"

# --- colour: profiles applied or not, from pack through train to classify
"$python" - "$TOP/tests/tools" <<'P'
import os, sys
sys.path.insert(0, sys.argv[1])
sys.argv[1] = "odd"
import make_odd
P
printf 'path\tlabel\tsplit\nodd/profile-p3.png\ta\ttrain\nodd/exif-6.png\tb\ttrain\n' >wide.tsv
made() { awk -F'\t' '$1 == "made" { print $2 }' "$1/index.tsv"; }
pack --size 16 -o stored wide.tsv && pack --size 16 --color srgb -o shown wide.tsv && ! cmp -s stored/shard-00000.bin shown/shard-00000.bin
is "$? $(made stored) $(made shown)" "0  color=srgb" "pack --color srgb: other samples, and recorded"
pack --size 16 --color none -o again wide.tsv && cmp -s stored/shard-00000.bin again/shard-00000.bin
ok $? "pack --color none is the default"
must_fail 65 "packed with --color srgb: cannot append with --color none" "pack --append with another --color" pack --size 16 --append -o shown wide.tsv
must_fail 64 "'p3' is not a colour conversion: none or srgb" "pack --color p3" pack --size 16 --color p3 -o x wide.tsv
train --shards shown --base "$tiny" --out wide --epochs 1 >/dev/null 2>e && grep -q '"color_space": *"srgb"' wide/model/model.json
ok $? "train records it in the model $(head -1 e)"
classify --model wide/model odd/profile-p3.png >shown.tsv && classify --model wide/model --color srgb odd/profile-p3.png | cmp -s - shown.tsv
ok $? "classify follows the model"
classify --model wide/model --color none odd/profile-p3.png >stored.tsv && ! cmp -s stored.tsv shown.tsv
ok $? "classify --color overrides it"
classify --model wide/model --color none odd/exif-6.png >a.tsv && classify --model wide/model --color srgb odd/exif-6.png | cmp -s - a.tsv
ok $? "a picture without a profile stays what it is"
"$python" - <<'P'
data = open("odd/profile-p3.jpg", "rb").read()      # the same with a profile that lcms refuses, and with half of one
at = data.index(b"acsp")
open("no-profile.jpg", "wb").write(data[:at] + b"pcsa" + data[at + 4:])
at = data.index(b"ICC_PROFILE")
open("half-profile.jpg", "wb").write(data[:at + 13] + b"\2" + data[at + 14:])
P
for f in no-profile half-profile; do
    classify --model wide/model --color none $f.jpg >a.tsv && classify --model wide/model --color srgb $f.jpg | cmp -s - a.tsv
    ok $? "$f.jpg: a profile that is not one leaves the samples as they are"
done

# --- full disk, closed pipe
for program in "validate --min-bytes 0" "augment --variants 1 --out made"; do
    $program -o /dev/full in.tsv 2>e
    [ $? = 74 ]
    ok $? "${program%% *} on a full disk: 74"
done
for _ in 1 2 3 4 5 6 7 8 9 10; do cat in.tsv; done | awk 'NR == 1 || !/^path/' >long.tsv
validate --min-bytes 0 long.tsv 2>e | head -1 >/dev/null
status=${PIPESTATUS[0]}
[ "$status" = 141 ] || [ "$status" = 0 ]
ok $? "validate: a closed pipe ends it ($status)"
left=1
for _ in 1 2 3 4 5 6 7 8 9 10; do     # a worker sees the end of its pipe when it is done with its picture
    left=$(find /proc -maxdepth 2 -name cwd -lname "$work" 2>/dev/null | while read -r link; do grep -sx validate "${link%cwd}comm"; done)
    [ -z "$left" ] && break
    sleep 0.5
done
[ -z "$left" ]
ok $? "and leaves no worker behind"
done_testing
