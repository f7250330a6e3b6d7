#!/usr/bin/env bash
# feature-dedup on pictures and vectors made here: copies that leave, look-alikes that stay, conflicts, groups, --against, leaks, lists.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
/usr/bin/python3 - <<'P' || { echo "Bail out! python3-pil is needed"; exit 1; }
import os, random
from PIL import Image, ImageDraw, ImageOps
def photo(seed, size=(320, 240)):
    q = random.Random(seed)
    im = Image.new("RGB", size)
    for k, weight in ((3, 1.0), (7, 0.5), (17, 0.35), (41, 0.25)):
        im = Image.blend(im, Image.frombytes("RGB", (k, k), q.randbytes(k * k * 3)).resize(size, Image.BICUBIC), weight)
    d = ImageDraw.Draw(im)
    for _ in range(6):
        x, y = q.randrange(size[0]), q.randrange(size[1])
        d.ellipse((x, y, x + q.randrange(20, 120), y + q.randrange(20, 120)), fill=tuple(q.randrange(256) for _ in range(3)))
    return im
for d in ("cat", "dog", "vectors", "listed"):
    os.mkdir(d)
kind = {}                       # file: what its vector points at
for i in range(12):
    photo(i).save("cat/%02d.png" % i); kind["cat/%02d.png" % i] = i
def put(name, im, i):
    im.save(name); kind[name] = i
w, h = 320, 240
put("cat/crop00.jpg", photo(0).crop((24, 18, w - 8, h - 12)), 0)
put("cat/caption01.jpg", ImageOps.expand(photo(1), (0, 40, 0, 0), "white"), 1)
put("cat/turn02.jpg", photo(2).rotate(4, Image.BICUBIC), 2)
put("cat/mirror03.jpg", ImageOps.mirror(photo(3)), 3)
put("cat/frame04.jpg", ImageOps.expand(photo(4), 30, "black"), 4)
put("dog/crop05.jpg", photo(5).crop((0, 0, w - 32, h - 24)), 5)
put("cat/kind06.png", photo(106), 6)          # another picture whose vector is as near as a copy's
put("cat/kind07.png", photo(107), 7)
Image.new("RGB", (50, 50), "white").save("cat/flat.png"); kind["cat/flat.png"] = 8
open("cat/lost.jpg", "w").write("no vector"); 
import json
json.dump(kind, open("kind.json", "w"))
P
scan cat dog | hash-dedup --hash-all -o all.tsv 2>/dev/null
cat >vectors.py <<'P'
# vectors.py MANIFEST DIR FIT: a folder as embed writes it; each picture's vector lies near that of its kind
import json, random, struct, sys
kind = json.load(open("kind.json"))
head, *lines = open(sys.argv[1]).read().splitlines()
at = head.split("\t").index("path")
lines = [l for l in lines if l.split("\t")[at] in kind]
rows = b""
for l in lines:
    name = l.split("\t")[at]
    base, own = random.Random(kind[name]), random.Random(name)
    rows += b"".join(struct.pack("<e", base.gauss(0, 1) + own.gauss(0, .15)) for _ in range(24))
d = ("{'descr': '<f2', 'fortran_order': False, 'shape': (%d, 24), }" % len(lines)).encode()
d += b" " * (-(11 + len(d)) % 64) + b"\n"
open(sys.argv[2] + "/features.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(d)) + d + rows)
open(sys.argv[2] + "/rows.tsv", "w").write("\n".join([head] + lines) + "\n")
open(sys.argv[2] + "/info.tsv", "w").write("key\tvalue\nformat\t1\nbase\t%s\npictures\t16 area\nfit\t%s\nrows\t%d\nvalues\t24\n" % ("a" * 32, sys.argv[3] * 32, len(lines)))
P
python3 vectors.py all.tsv vectors b
reject() { awk -F'\t' -v p="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $at["path"] == p { print $at["reject_reason"] " " $at["reject_detail"] }' "${2:-gone.tsv}"; }

out=$(feature-dedup --features vectors --rejects gone.tsv --sheet sheet.html -o kept.tsv -v all.tsv 2>&1)
has "$?:$out" "0:" "it runs"
has "$out" "1 of 22 pictures have no vector in --features and were not compared" "it says what it could not compare"
is "$(($(rows kept.tsv) + $(rows gone.tsv)))" "$(rows all.tsv)" "kept and rejected make what was read"
for c in crop00:00 caption01:01 turn02:02 mirror03:03 frame04:04; do
    kept=$(awk -F'\t' -v a="cat/${c%:*}.jpg" -v b="cat/${c#*:}.png" '$1 == a || $1 == b' kept.tsv | wc -l)
    has "$kept $(reject "cat/${c%:*}.jpg")$(reject "cat/${c#*:}.png")" "1 near-duplicate-of" "of ${c%:*} and its picture one leaves"
done
has "$(reject cat/05.png) $(reject dog/crop05.jpg)" "label-conflict" "a copy under another label is a conflict"
is "$(reject cat/05.png | cut -d' ' -f1,3):$(reject dog/crop05.jpg | cut -d' ' -f1,3)" "label-conflict dog::label-conflict cat:" "both leave, each for the other"
is "$(reject cat/kind06.png)$(reject cat/06.png)$(reject cat/kind07.png)$(reject cat/07.png)" "" "pictures that are only of a kind stay"
is "$(reject cat/flat.png)$(reject cat/lost.jpg)" "" "so do flat ones, and those without a vector"
has "$(cat sheet.html)" "thousandths from it" "the sheet names the distance"
feature-dedup --features vectors -j1 --sheet s1.html --rejects g1.tsv -o k1.tsv -q all.tsv && cmp -s k1.tsv kept.tsv && cmp -s g1.tsv gone.tsv && cmp -s s1.html sheet.html
ok $? "-j changes nothing"
feature-dedup --features vectors -q kept.tsv | cmp -s - kept.tsv; ok $? "a second run changes nothing"
{ head -1 all.tsv; tail -n +2 all.tsv | tac; } >back.tsv
feature-dedup --features vectors -q back.tsv | sort | cmp -s - <(sort kept.tsv); ok $? "nor does the order of the rows"

feature-dedup --features vectors --mark --keep path --on-conflict keep-first --prefer-label dog -q all.tsv >marked.tsv
is "$(rows marked.tsv)" "$(rows all.tsv)" "--mark keeps all"
is "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } $at["path"] == "cat/05.png" { print $at["keeper"] " " $at["near_reason"] }' marked.tsv)" "dog/crop05.jpg label-conflict" "--on-conflict keep-first and --prefer-label choose"
awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } { g[$at["path"]] = $at["group"] } END { exit !(g["cat/00.png"] == g["cat/crop00.jpg"] && g["cat/06.png"] != g["cat/kind06.png"]) }' marked.tsv
ok $? "copies share a group, others do not"
{ echo path; echo cat/crop00.jpg; echo cat/00.png; } >mine.tsv
feature-dedup --features vectors --protect mine.tsv --rejects gone2.tsv -q all.tsv >/dev/null
is "$(reject cat/crop00.jpg gone2.tsv)$(reject cat/00.png gone2.tsv)" "" "--protect keeps both"

grep -E '^path|cat/0[0-9].png' all.tsv >old.tsv
grep -vE 'cat/0[0-9].png' all.tsv >new.tsv
feature-dedup --features vectors --against old.tsv --rejects gone3.tsv -q new.tsv >kept3.tsv
has "$(reject cat/crop00.jpg gone3.tsv)" "near-duplicate-of" "--against: a copy of an older picture leaves"
has "$(reject dog/crop05.jpg gone3.tsv)" "label-conflict" "or is in conflict with it"
is "$(grep -c 'cat/0[0-9]' kept3.tsv)" 0 "older rows are not in the output"

awk -F'\t' -v OFS='\t' '{ print $0, NR == 1 ? "split" : $1 ~ /jpg/ ? "test" : "train" }' all.tsv >split.tsv
out=$(feature-dedup --features vectors --check-leak -q split.tsv 2>/dev/null); rc=$?
is "$rc:$(echo "$out" | tail -n +2 | cut -f1 | grep -c jpg)" "1:6" "--check-leak finds the copies on both sides, and exits with 1"
feature-dedup --features vectors --neighbours 0 --rejects gone4.tsv -q all.tsv | cmp -s - kept.tsv && cmp -s gone4.tsv gone.tsv
ok $? "--neighbours 0: all of a small set are as the 32 nearest"
must_fail 64 "no-verify was removed: copies are always verified" "vectors alone are never believed" feature-dedup --features vectors --no-verify all.tsv
feature-dedup --features vectors --distance 0 --group-distance 450 --rejects gone5.tsv -q all.tsv >kept5.tsv
is "$(rows gone5.tsv):$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } { g[$at["path"]] = $at["group"] } END { print g["cat/00.png"] == g["cat/crop00.jpg"] }' kept5.tsv)" "0:1" "--group-distance alone only groups"

grep -E '^path|cat/0[13].png' all.tsv >bad.tsv
python3 vectors.py bad.tsv listed b
out=$(feature-dedup --features vectors --blocklist listed --block-distance 150 --rejects gone6.tsv all.tsv 2>&1 >kept6.tsv)
has "$out" "4 pictures matched the block list" "--blocklist finds listed pictures and their copies by their vectors"
has "$(reject cat/mirror03.jpg gone6.tsv)" "blocklisted" "which are blocklisted"
mkdir store; cp -r cat cat.kept
feature-dedup --features vectors --blocklist listed --block-distance 0 --delete-blocked store --rejects gone7.tsv -q all.tsv >/dev/null 2>&1
is "$(ls cat/01.png cat/03.png cat/mirror03.jpg 2>/dev/null | tr '\n' ' '):$(rows store/takedown.tsv)" "cat/mirror03.jpg :2" "--delete-blocked removes exactly those, and lists them"
rm -r cat; mv cat.kept cat

rm cat/crop00.jpg
out=$(feature-dedup --features vectors --rejects gone8.tsv all.tsv 2>&1 >/dev/null)
has "$out" "1 pictures could not be read again" "a file that is gone is said"
is "$(reject cat/crop00.jpg gone8.tsv)$(reject cat/00.png gone8.tsv)" "" "and is no copy"

refuse() { out=$(eval "$1" 2>&1); has "$?:$out" "$2" "$3"; }
refuse 'feature-dedup all.tsv' "64:feature-dedup: --features DIR is needed" "no vectors"
refuse 'feature-dedup --features nowhere all.tsv' "66:feature-dedup: 'nowhere' has no info.tsv" "no folder"
mkdir other; python3 vectors.py bad.tsv other c
refuse 'feature-dedup --features vectors --features other all.tsv' "65:feature-dedup: the vectors of 'vectors' and 'other' cannot be compared" "vectors of two reductions"
refuse 'feature-dedup --features vectors --blocklist other -o x.tsv all.tsv' "65:feature-dedup: --blocklist 'other' was not made with the reduction of 'vectors'" "a list of another reduction"
refuse 'feature-dedup --features vectors --delete-blocked store all.tsv' "64:feature-dedup: --delete-blocked needs --blocklist" "nothing to delete"
refuse 'feature-dedup --features vectors --check-leak --mark split.tsv' "64:feature-dedup: --mark does nothing with --check-leak" "options that do nothing"
refuse 'feature-dedup --features vectors --distance 951 all.tsv' "64:" "too far"
head -c -2 vectors/features.npy >other/features.npy; cp vectors/rows.tsv vectors/info.tsv other
refuse 'feature-dedup --features other all.tsv' "65:feature-dedup: 'other/features.npy' does not have the 21 rows of 24 values" "half a table"
cut -f1 all.tsv >paths.tsv
refuse 'feature-dedup --features vectors paths.tsv' "65:feature-dedup: 'paths.tsv' has no column 'xxh128'" "no content hashes"
refuse 'feature-dedup --features vectors --orientation none --allow-truncated --no-sandbox --max-rejects 90% -q all.tsv >/dev/null' "0:" "the other options are taken"
done_testing
