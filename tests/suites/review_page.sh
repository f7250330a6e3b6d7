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
import hashlib, os, random, struct, sys, zlib
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
with open(tmp + "/P.tsv", "w") as f:
    f.write("path\tid\tlabel\tsplit\t" + "\t".join("p_" + n for n in names) + "\n")
    for i in range(20000):
        t = random.randrange(3)
        w = [random.random() + 0.01 + (2 if k == t else 0) for k in range(3)]
        f.write("pics & more/%d #.png\t%s\t%s\t%s\t%s\n" % (i % 8, hashlib.md5(b"%d" % i).hexdigest(), names[random.randrange(3)],
                                                          random.choice(["train", "test"]), "\t".join("%.9g" % (x / sum(w)) for x in w)))
P
"$BIN/mine-errors" --predictions "$TMPDIR/P.tsv" --budget 10000 --root "$TMPDIR/run" --review "$TMPDIR/run/round-1/review.html" --title 'Round <1>' -o "$TMPDIR/s.tsv" || exit 1
ln -s round-1/review.html "$TMPDIR/run/linked.html"
NODE_PATH=$modules BROWSER=$browser node tests/tools/review_page.js "$TMPDIR"
status=$?
# What the page exports is what relabel reads.
exit $status
