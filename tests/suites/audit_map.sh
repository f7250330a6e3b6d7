#!/usr/bin/env bash
# audit --features: pictures that resemble no other, clusters, weak ones, the map; and its page in a real Chromium, from the disk.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
python3 - <<'P'
# 3,000 pictures of 30 kinds; 12 are like none. The model is wrong about most of kind 4. No numpy: the suite runs without it.
import array, hashlib, os, random, struct, zlib
r = random.Random(4)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
os.makedirs("run/pics & more")
for i in range(8):
    rows = (b"\0" + bytes((30 * i, 255 - 30 * i, 99)) * 64) * 48
    with open("run/pics & more/%d #.png" % i, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
names = ["cat", "dog", "<b>owl</b>"]
direction = lambda: [r.gauss(0, 1) for k in range(32)]
middles = [direction() for k in range(30)]
os.makedirs("features")
columns = "path label format width height mode xxh128 brightness brightness_5 brightness_99 entropy blurriness blurriness_std".split()
with open("set.tsv", "w") as t, open("features/features.npy", "wb") as f, open("features/rows.tsv", "w") as rows, open("oof.tsv", "w") as p, open("odd.txt", "w") as odd:
    t.write("\t".join(columns) + "\n")
    rows.write("xxh128\n")
    p.write("id\tlabel\t" + "\t".join("p_" + n for n in names) + "\n")
    head = "{'descr': '<f4', 'fortran_order': False, 'shape': (3000, 32), }".ljust(117) + "\n"
    f.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head.encode())
    for i in range(3000):
        kind, h = i % 30, hashlib.md5(b"%d" % i).hexdigest()
        alone = i % 250 == 17
        v = direction() if alone else [m + 0.3 * r.gauss(0, 1) for m in middles[kind]]
        if alone: odd.write(h + "\n")
        label = kind % 3
        said = (label + 1) % 3 if (kind == 4 and r.random() < 0.8) or r.random() < 0.04 else label
        t.write("\t".join(map(str, ["pics & more/%d #.png" % (i % 8), names[label], "png", 64, 48, "rgb", h, .5, .2, .9, 7 + r.random(), 40 + r.random(), 20])) + "\n")
        p.write("%s\t%s\t%s\n" % (h, names[label], "\t".join("0.9" if k == said else "0.05" for k in range(3))))
        rows.write(h + "\n")
        f.write(array.array("f", v).tobytes())
with open("features/info.tsv", "w") as f:
    f.write("key\tvalue\nformat\t1\nbase\t%032x\npictures\t299 bilinear\nfit\t%032x\nrows\t3000\nvalues\t32\n" % (1, 2))
P
"$BIN/audit" -v -j 1 --root run --features features --predictions oof.tsv --clusters 30 --map map.tsv --sheet run/audit.html set.tsv -o audit.tsv 2>said
is $? 0 "an audit with features and predictions"
has "$(cat said)" ", weak_cluster 1" "the weak cluster is found, and no other"
{ head -1 set.tsv; tail -n +2 set.tsv | tac; } | "$BIN/audit" -q -j 3 --root run --features features --predictions oof.tsv --clusters 30 --map again.map --sheet run/again.html -o again.tsv
cmp audit.tsv again.tsv && cmp map.tsv again.map && cmp run/audit.html run/again.html
ok $? "the same bytes from three threads and rows in another order"
# Eight pictures share a path: which are off topic is asked by their distances.
python3 - <<'P' >check.txt
import csv
rows = list(csv.DictReader(open("map.tsv", newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
far = sorted(float(r["distance"]) for r in rows)
found = sorted(float(r["measure"].split()[0].split("=")[1]) for r in csv.DictReader(open("audit.tsv", newline=""), delimiter="\t", quoting=csv.QUOTE_NONE) if r["check"] == "off_topic")
sizes = {}
for r in rows: sizes[r["cluster"]] = sizes.get(r["cluster"], 0) + 1
xy = [(float(r["x"]), float(r["y"])) for r in rows]
near = {}
for r, (x, y) in zip(rows, xy): near.setdefault(r["cluster"], []).append((x, y))
# A cluster is one place on the map: its middle half is small beside the map.
wide = []
for points in near.values():
    for k in 0, 1:
        v = sorted(p[k] for p in points)
        wide.append(v[3 * len(v) // 4] - v[len(v) // 4])
print(len(rows), found == far[-len(found):] and 12 <= len(found) <= 42, far[-12] > 1.5 * far[-13], len(sizes) <= 30, sorted(wide)[len(wide) // 2] < 0.05, max(max(p) for p in xy) <= 1 and min(min(p) for p in xy) >= 0)
P
is "$(cat check.txt)" "3000 True True True True True" "the map: all pictures, the far ones, clusters in one place each"
awk -F'\t' -v OFS='\t' 'NR == 1 || NR > 501' set.tsv >part.tsv
"$BIN/audit" -v --features features part.tsv -o part.found 2>said
has "$(cat said)" "off_topic" "a part of the set can be audited with the features of all"
awk -F'\t' -v OFS='\t' 'NR == 1 || NR < 600 { print } NR > 1 && NR < 4 { $7 = ""; print }' set.tsv >gaps.tsv
"$BIN/audit" -v --features features gaps.tsv -o gaps.found 2>said
has "$(cat said)" "2 rows have no features" "rows without features are counted"
# Which to label next: 2,400 pictures without a label.
awk -F'\t' -v OFS='\t' 'NR > 601 { $2 = "" } { print }' set.tsv >few.tsv
"$BIN/audit" -q --root run --features features --clusters 30 --next next.tsv --map few.map --sheet run/few.html few.tsv -o few.found
is "$?:$(rows next.tsv):$(column next.tsv why | sort -u)" "0:2400:typical" "an order of all pictures without a label, the typical first"
cat >next.py <<'P'
import csv
read = lambda p: list(csv.DictReader(open(p, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))
rows, where = read("next.tsv"), {}
labelled, size = {}, {}
for r in read("few.map"):
    size[r["cluster"]] = size.get(r["cluster"], 0) + 1
    labelled[r["cluster"]] = labelled.get(r["cluster"], 0) + (r["label"] != "")
left = {}
for r in rows: left[r["cluster"]] = left.get(r["cluster"], 0) + 1
good, last, orders = True, {}, True
for r in rows:
    c = r["cluster"]
    best = max(size[k] / (labelled[k] + 1) for k in left if left[k])
    good = good and size[c] / (labelled[c] + 1) == best
    if r["why"] == "typical": orders = orders and last.get(c, 0) <= float(r["distance"]); last[c] = float(r["distance"])
    labelled[c] += 1
    left[c] -= 1
print(len({r["xxh128"] for r in rows}), [int(r["rank"]) for r in rows] == list(range(1, len(rows) + 1)), good, orders)
P
is "$(python3 next.py)" "2400 True True True" "each once; always from the cluster with the fewest labels for its size; there the most typical"
awk -F'\t' -v OFS='\t' 'NR == 1 { print "xxh128", "p_cat", "p_dog"; next } { p = 0.5 + (NR % 400) / 1000; print $1, p, 1 - p }' oof.tsv >classified.tsv
"$BIN/audit" -q --features features --clusters 30 --next doubt.tsv --classified classified.tsv few.tsv -o few.found
is "$?:$(rows doubt.tsv):$(column doubt.tsv why | sort -u | tr '\n' ' ')" "0:2400:margin typical " "with a model doubtful ones come first where there are ten labels"
is "$(awk -F'\t' 'NR > 1 && $5 == "margin" { if ($4 in last && $7 < last[$4]) bad++; last[$4] = $7 } END { print bad + 0 }' doubt.tsv)" 0 "the least sure first in each cluster"
sed '5s/0\.[0-9]*/1.5/' classified.tsv >bad.tsv
must_fail 65 "is not a probability" "a probability above 1" "$BIN/audit" --features features --classified bad.tsv few.tsv -o few.found
must_fail 64 "needs --features" "--map without features" "$BIN/audit" --map m.tsv set.tsv
must_fail 66 "info.tsv" "a folder that embed did not finish" "$BIN/audit" --features run set.tsv
sed 's/^fit\t.*/fit\t/' features/info.tsv >info && mkdir whole && cp features/*.npy features/rows.tsv whole/ && cp info whole/info.tsv
must_fail 65 "embed --reduce" "features that were not reduced" "$BIN/audit" --features whole set.tsv
sed 's/\(.*\t\)[0-9a-f]\{32\}\t0.5/\1ffffffffffffffffffffffffffffffff\t0.5/' set.tsv >other.tsv
must_fail 65 "is it about other data" "features of other pictures" "$BIN/audit" --features features other.tsv

modules=$TOP/build/npm/node_modules
browser=$(command -v chromium || command -v chromium-browser)
if [ -z "$browser" ] || ! command -v node >/dev/null || [ ! -d "$modules/playwright-core" ]; then
    skip "the page of audit" "no Chromium, node or playwright-core (./bootstrap check installs them)"
else
    NODE_PATH=$modules BROWSER=$browser node "$TOP/tests/tools/audit_page.js" "$TMPDIR" >page.tap
    cat page.tap | sed 's/^/# /' | grep -v '^# ok' || true
    grep -q '^1\.\.' page.tap && ! grep -q '^not ok' page.tap
    ok $? "the page: $(grep -c '^ok' page.tap) checks by tests/tools/audit_page.js"
fi
done_testing
