#!/usr/bin/env bash
# The review page in a real Chromium, from the disk, by keyboard alone: tests/tools/review_page.js says what is looked at.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
modules=$TOP/build/npm/node_modules
browser=$(command -v chromium || command -v chromium-browser)
if [ -z "$browser" ] || ! command -v node >/dev/null || [ ! -d "$modules/playwright-core" ]; then
    skip_all "review page" "no Chromium, node or playwright-core (./bootstrap check installs them)"
fi
python3 - "$TMPDIR" <<'P'
import array, hashlib, os, random, struct, sys, zlib
tmp = sys.argv[1]
random.seed(9)
names = ["cat", "dog", "<b>owl</b>"]
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
os.makedirs(tmp + "/run/pics & more")
for i in range(8):      # plain colours: harmless, and told apart by one pixel
    rows = (b"\0" + bytes((30 * i, 255 - 30 * i, 99)) * 64) * 48
    with open("%s/run/pics & more/%d #.png" % (tmp, i), "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
# Vectors of 64 numbers: pictures of one label and one true class have a hundred kinds; of a thousand pictures one is like none.
direction = lambda: [random.random() - 0.5 for k in range(64)]
kinds = {}
with open(tmp + "/P.tsv", "w") as f:
    f.write("path\tid\tlabel\tsplit\t" + "\t".join("p_" + n for n in names) + "\n")
    for i in range(20000):
        t, y = random.randrange(3), random.randrange(3)
        w = [random.random() + 0.01 + (2 if k == t else 0) for k in range(3)]
        f.write("pics & more/%d #.png\t%s\t%s\t%s\t%s\n" % (i % 8, hashlib.md5(b"%d" % i).hexdigest(), names[y],
                                                          random.choice(["train", "test"]), "\t".join("%.9g" % (x / sum(w)) for x in w)))
        kinds[i] = (y, t, random.randrange(100)) if i % 1000 != 7 else (i,)
middles = {k: direction() for k in sorted(set(kinds.values()))}
os.makedirs(tmp + "/features")
head = "{'descr': '<f4', 'fortran_order': False, 'shape': (20000, 64), }".ljust(117) + "\n"
with open(tmp + "/features/features.npy", "wb") as f, open(tmp + "/features/rows.tsv", "w") as rows:
    f.write(b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head.encode())
    rows.write("xxh128\n")
    for i in range(20000):
        rows.write(hashlib.md5(b"%d" % i).hexdigest() + "\n")
        f.write(array.array("f", [a + 0.3 * (random.random() - 0.5) for a in middles[kinds[i]]]).tobytes())
with open(tmp + "/features/info.tsv", "w") as f:
    f.write("key\tvalue\nformat\t1\nbase\t%032x\npictures\t299 bilinear\nfit\t%032x\nrows\t20000\nvalues\t64\n" % (1, 2))
# What dedups took out: two copies by features under two labels; equal bytes under two; one beside a label that is no class; one that is
# no conflict; one that is a suspect as well.
owl = "<b>owl</b>"
ids = {name: hashlib.md5(name.encode()).hexdigest() for name in ("a", "b", "bytes", "stray", "copy")}
first = next(line.split("\t")[1] for line in open(tmp + "/P.tsv") if line.split("\t")[1] == hashlib.md5(b"7").hexdigest())
with open(tmp + "/near.tsv", "w") as f:
    f.write("path\txxh128\tlabel\treject_stage\treject_reason\treject_detail\n")
    for path, name, label, reason, detail in (
            ("0", "a", "cat", "label-conflict", "120 %s: pics & more/1 #.png" % owl), ("1", "b", owl, "label-conflict", "120 cat: pics & more/0 #.png"),
            ("2", "stray", "cat", "label-conflict", "7 horse: pics & more/3 #.png"), ("4", "copy", "cat", "near-duplicate-of", "3 pics & more/5 #.png")):
        f.write("pics & more/%s #.png\t%s\t%s\tfeature-dedup\t%s\t%s\n" % (path, ids[name], label, reason, detail))
    f.write("pics & more/7 #.png\t%s\tcat\tfeature-dedup\tlabel-conflict\t5 dog: pics & more/6 #.png\n" % first)
with open(tmp + "/bytes.tsv", "w") as f:
    f.write("path\txxh128\tlabel\treject_stage\treject_reason\treject_detail\n")
    f.write("pics & more/3 #.png\t%s\tdog\thash-dedup\tlabel-conflict\tcat: pics & more/4 #.png\n" % ids["bytes"])
    f.write("pics & more/4 #.png\t%s\tcat\thash-dedup\tlabel-conflict\tdog: pics & more/3 #.png\n" % ids["bytes"])
P
"$BIN/mine-errors" --predictions "$TMPDIR/P.tsv" --budget 10000 --conflicts "$TMPDIR/near.tsv" --conflicts "$TMPDIR/bytes.tsv" --features "$TMPDIR/features" --root "$TMPDIR/run" --review "$TMPDIR/run/round-1/conflicts.html" -o "$TMPDIR/beside.tsv" 2>"$TMPDIR/beside.err" || exit 1
"$BIN/mine-errors" --predictions "$TMPDIR/P.tsv" --budget 10000 --root "$TMPDIR/run" --review "$TMPDIR/run/round-1/review.html" --title 'Round <1>' -o "$TMPDIR/s.tsv" || exit 1
"$BIN/mine-errors" --predictions "$TMPDIR/P.tsv" --budget 10000 --features "$TMPDIR/features" --root "$TMPDIR/run" --review "$TMPDIR/run/round-1/alike.html" -o "$TMPDIR/alike.tsv" || exit 1
"$BIN/mine-errors" --predictions "$TMPDIR/P.tsv" --budget 3000 --features "$TMPDIR/features" --alike 0.9 --group-size 3 -j 3 -o "$TMPDIR/few.tsv" || exit 1
ln -s round-1/review.html "$TMPDIR/run/linked.html"
NODE_PATH=$modules BROWSER=$browser node tests/tools/review_page.js "$TMPDIR"
status=$?
# What the page exports is what relabel reads.
exit $status
