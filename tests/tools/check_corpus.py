#!/usr/bin/env python3
"""demo-corpus on made-up packages: what is planted, that truth.tsv says so, that damaged packages are refused. usage: check_corpus.py BIN TMP TOP;
prints TAP. Standard library only."""
import filecmp
import glob
import os
import shutil
import struct
import subprocess
import sys

from tap_tables import ok, plan, read

BIN, TMP, TOP = sys.argv[1:4]
os.chdir(TMP)


def rcc(files, version=2, compressed=()):
    """Qt's resource file of {path: bytes}: a tree of folders, names in UTF-16 with a hash, data with its length."""
    tree, data, names = [], b"", b""
    root = {}
    for path, content in files.items():
        at = root
        *folders, name = path.strip("/").split("/")
        for f in folders:
            at = at.setdefault(f, {})
        at[name] = content
    queue = [("", root)]
    while queue:                                        # breadth first: a folder's children lie together
        name, node = queue.pop(0)
        offset = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
        tree.append([offset, node])
        if isinstance(node, dict):
            node["/first"] = len(tree) + len(queue)
            queue += [(k, v) for k, v in node.items() if k != "/first"]
    entries = b""
    for offset, node in tree:
        if isinstance(node, dict):
            entries += struct.pack(">IHII", offset, 2, len(node) - 1, node["/first"])
        else:
            entries += struct.pack(">IHHHI", offset, 1 if node in compressed else 0, 0, 0, len(data))
            data += struct.pack(">I", len(node)) + node
        entries += b"\0" * (8 if version >= 2 else 0)
    head = b"qres" + struct.pack(">IIII", version, 24, 24 + len(entries), 24 + len(entries) + len(data)) + b"\0" * 4
    return head + entries + data + names


def make(*options, out="out", sources="sources.tsv"):
    return subprocess.run([BIN + "/demo-corpus", "--packages", "packages", "--sources", sources, "--out", out, "--side", "64", *options],
                          capture_output=True, text=True)


def sources(*rows, name="sources.tsv"):
    with open(name, "w") as f:
        f.write("package\tglob\tlabel\n" + "".join("\t".join(r) + "\n" for r in rows))
    return name


subprocess.run([sys.executable, TOP + "/tests/tools/make_pictures.py", "made", "40", "7"], check=True)
kinds = {k: [open(p, "rb").read() for p in sorted(glob.glob("made/%s/*.png" % k))] for k in ("stripes", "discs", "noise")}
os.makedirs("packages/one/usr/share/pics")
os.makedirs("packages/two/usr/lib")
for i, content in enumerate(kinds["stripes"]):
    open("packages/one/usr/share/pics/s%02d.png" % i, "wb").write(content)
open("packages/one/usr/share/pics/s99.png", "wb").write(kinds["stripes"][3])          # a picture that the package holds twice
open("packages/one/usr/share/pics/torn.png", "wb").write(kinds["stripes"][4][:60])
for version in 1, 2, 3:
    part = kinds["discs"][version * 13 - 13:version * 13]
    files = {"/a/pics/d%02d.png" % i: c for i, c in enumerate(part)}
    files.update({"/a/other/n.png": kinds["noise"][0], "/a/pics/deep/n.png": kinds["noise"][1], "/a/pics/packed.png": b"qCompressed"})
    open("packages/two/usr/lib/v%d.rcc" % version, "wb").write(rcc(files, version, {b"qCompressed"}))
os.makedirs("packages/three")
for i, content in enumerate(kinds["noise"]):
    open("packages/three/n%02d.png" % i, "wb").write(content)
everything = [("one", "usr/share/pics/*.png,!s00.png,!s01.png", "stripes")]
everything += [("two", "usr/lib/v%d.rcc!/a/pics/*.png" % v, "discs") for v in (1, 2, 3)] + [("three", "n*.png", "noise")]
sources(*everything)
shares = {"wrong-labels": 0.1, "exact-copies": 0.1, "near-copies": 0.3, "cross-copies": 0.15, "dead-links": 0.05, "broken": 0.05, "altered-copies": 0.1}
planted = [w for k, v in shares.items() for w in ("--" + k, str(v))]
run = make(*planted, "-v")
n = 38 + 39 + 40
ok(run.returncode == 0 and "%d read, %d kept, 2 rejected" % (n + 2, n) in run.stderr, "made of %d pictures; the twin and the torn one are left out: %s" % (n, run.stderr[-200:]))
ok(run.stderr.count("left out") == 1 and "torn.png" in run.stderr, "the torn one by name")
truth = read("out/truth.tsv")
kind = {}
for r in truth:
    kind.setdefault(r["kind"], []).append(r)
count = {k: len(v) for k, v in kind.items()}
want = {"wrong-label": 0.1, "exact-copy": 0.1, "near-copy": 0.3, "cross-copy": 0.15, "dead-link": 0.05, "truncated": 0.05, "html": 0.05, "altered-copy": 0.1}
ok(all(abs(count.get(k, 0) - s * n) <= 1 for k, s in want.items()), "the shares asked for: %s of %d" % (count, n))
originals = {r["id"]: r for k in ("clean", "wrong-label") for r in kind[k]}
ok(len(originals) == n, "every original is there once, under its own label or a wrong one")
ok(all(r["label_true"] != r["label_given"] for k in ("wrong-label", "cross-copy") for r in kind[k]) and
   all(r["label_true"] == r["label_given"] for k in ("clean", "exact-copy", "near-copy", "dead-link", "truncated", "html") for r in kind[k]),
   "wrong labels and copies across labels are listed under another label, the rest under its own")


def path(r):
    return "out/www/" + r["url"].split("/", 3)[3]


def content(r):
    with open(path(r), "rb") as f:
        return f.read()


derived = [r for r in truth if r["of"]]
ok(all(r["of"] in originals and originals[r["of"]]["source"] == r["source"] for r in derived) and len(derived) == len(truth) - n, "what is made of a picture names it")
ok(all(content(r) == content(originals[r["of"]]) for r in kind["exact-copy"]), "exact copies have the bytes")
half = [(content(r), content(originals[r["of"]])) for r in kind["truncated"]]
ok(all(a == b[:len(b) // 2] for a, b in half), "truncated ones the first half")
ok(all(content(r).startswith(b"<!doctype html>") and r["of"].encode() in content(r) for r in kind["html"]), "pages are pages, each its own")
ok(not any(os.path.exists(path(r)) for r in kind["dead-link"]) and all(r["id"] == "" for r in kind["dead-link"]), "dead links have no file and no id")
transforms = {r["transform"].split("-")[0] for r in kind["near-copy"]}
endings = {r["url"].rsplit(".", 1)[1] for r in kind["near-copy"]}
ok(transforms == {"resize", "jpeg", "crop"} and endings == {"jpg", "png", "webp"}, "near copies: %s as %s" % (sorted(transforms), sorted(endings)))
lists = {k: open("out/urls/%s.txt" % k).read().split() for k in kinds}
ok(all(sorted(lists[k]) == sorted(r["url"] for r in truth if r["label_given"] == k) for k in kinds), "urls/LABEL.txt lists what is given that label")
paths = [os.path.relpath(path(r), "out/www") for r in truth if r["kind"] != "dead-link"]
found = [os.path.relpath(os.path.join(b, f), "out/www") for b, _, fs in os.walk("out/www") for f in fs]
ok(sorted(found) == sorted(paths), "www/ holds these files and no other")
with open("www.tsv", "w") as f:
    f.write("path\n" + "".join(p + "\n" for p in paths))
subprocess.run([BIN + "/hash-dedup", "--root", "out/www", "--hash-all", "--on-conflict", "keep-first", "--rejects", "copies.tsv", "-o", "hashed.tsv", "www.tsv"], check=True)
hashes = {r["path"]: r["xxh128"] for r in read("hashed.tsv")}
ids = {os.path.relpath(path(r), "out/www"): r["id"] for r in truth if r["id"]}
ok(len(hashes) > n and all(ids[p] == h for p, h in hashes.items()), "ids are the hashes of the files")
ok(len(read("copies.tsv")) == len([r for r in derived if r["id"] == r["of"]]), "and nothing else is there twice")
names = {r["source"].split(":")[0] for r in truth}
ok(names == {"one", "two", "three"} and not any("s00.png" in r["source"] or "packed" in r["source"] or "n.png" in r["source"] for r in truth if "three" not in r["source"]),
   "excluded, compressed and other folders' pictures are left out")


def same(a, b):
    return subprocess.run(["diff", "-r", a, b], capture_output=True).returncode == 0


make(*planted, out="again")
ok(same("out", "again"), "the same bytes again")
make(*planted, "--seed", "9", out="other")
ok(not filecmp.cmp("out/truth.tsv", "other/truth.tsv"), "other ones with another seed")
sources(*reversed(everything), name="reversed.tsv")
make(*planted, out="reversed", sources="reversed.tsv")
fate = lambda folder: sorted((r["source"], r["kind"], r["transform"]) for r in read(folder + "/truth.tsv") if r["kind"] in ("exact-copy", "near-copy", "dead-link", "html", "truncated"))
ok(fate("out") == fate("reversed"), "a picture's fate does not depend on the order of the sources")
with open("known.tsv", "w") as f:
    clean = next(r for r in kind["clean"])
    copied = originals[kind["near-copy"][0]["of"]]
    f.write("source\tlabel_true\n%s\tcats\n%s\tdogs\n" % (clean["source"], copied["source"]))
make(*planted, "--known", "known.tsv", out="known")
known = read("known/truth.tsv")
now = {(r["source"], r["kind"]): r["label_true"] for r in known}
ok(now[(clean["source"], "known-error")] == "cats" and now[(copied["source"], "near-copy")] == "dogs" and len(known) == len(truth), "--known changes the truth, also of copies")
ok(same("out/www", "known/www"), "and no picture")
run = make("--limit", "5", *["--" + k + "=0" for k in shares], out="few")
ok([len(open("few/urls/%s.txt" % k).read().split()) for k in kinds] == [5, 5, 5] and {r["kind"] for r in read("few/truth.tsv")} == {"clean"}, "--limit a label; nothing planted")
sources(("one", "usr/share/pics/s*.png;min-side>=70;aspect<=1.2", "stripes"), ("three", "n*.png", "noise"), name="sizes.tsv")
make(*["--" + k + "=0" for k in shares], out="sizes", sources="sizes.tsv")


def passes(png):
    w, h = struct.unpack(">II", png[16:24])
    return min(w, h) >= 70 and max(w, h) <= 1.2 * min(w, h)


want = len({c for c in kinds["stripes"] if passes(c)})
ok(len(open("sizes/urls/stripes.txt").read().split()) == want > 0, "limits of a source: %d of 40 are large and square enough" % want)

# --- refusals
shutil.rmtree("out")
whole = open("packages/two/usr/lib/v2.rcc", "rb").read()


def archive(content):
    open("packages/two/usr/lib/bad.rcc", "wb").write(content)
    return sources(("two", "usr/lib/bad.rcc!/a/pics/*.png", "discs"), ("three", "n*.png", "noise"), name="bad.tsv")


tree = 24
ring = bytearray(whole)
ring[tree + 10:tree + 14] = struct.pack(">I", 0)            # the root's first child is the root
far_name = bytearray(whole)
far_name[tree + 22:tree + 26] = b"\x7f\xff\xff\xff"
far_data = bytearray(whole)
at = next(i for i in range(tree + 22, len(whole), 22) if whole[i + 4:i + 6] == b"\0\0")
far_data[at + 10:at + 14] = b"\x7f\xff\xff\xff"
for content_, why in (
        (b"PK\3\4" + whole[4:], "not a Qt resource file"),
        (whole[:20], "not a Qt resource file"),
        (whole[:4] + b"\0\0\0\4" + whole[8:], "Qt resource version 4 is not known"),
        (whole[:8] + b"\x7f\0\0\0" + whole[12:], "damaged resource file: the tree is outside the file"),
        (bytes(ring), "damaged resource file: folders too deep or in a circle"),
        (bytes(far_name), "damaged resource file: a name outside the file"),
        (bytes(far_data), "damaged resource file: a file outside the archive"),
        (whole[:16] + struct.pack(">I", len(whole) - 20) + whole[20:], "damaged resource file: a name"),
        (whole[:tree + 6] + b"\0\1\0\0" + whole[tree + 10:], "damaged resource file: ")):
    run = make(sources=archive(content_))
    ok(run.returncode == 65 and why in run.stderr and "bad.rcc" in run.stderr and not os.path.exists("out"), "refused: %s" % run.stderr.strip())
for rows, code, why in (
        ([("one", "usr/share/pics/*.gif", "stripes")], 66, "nothing matches"),
        ([("one", "usr/share/pics/*.png;sides>=3", "stripes")], 65, "unknown limit 'sides>=3'"),
        ([("one", "usr/share/pics/*.png;min-side>=x", "stripes")], 65, "unknown limit 'min-side>=x'"),
        ([("one", "usr/share/pics/*.png,!a,b", "stripes")], 65, "a bad exclusion 'b'"),
        ([("one", "usr/share/pics/*.png", "stripes")], 65, "has fewer than two labels"),
        ([("three", "n0*.png", "label%d" % i) for i in range(65)], 65, "more than 64 labels")):
    run = make(sources=sources(*rows, name="bad.tsv"))
    ok(run.returncode == code and why in run.stderr and not os.path.exists("out"), "refused: %s" % run.stderr.strip()[-120:])
run = make(sources="nowhere.tsv")
ok(run.returncode == 66 and "nowhere.tsv" in run.stderr, "no sources")
run = subprocess.run([BIN + "/demo-corpus", "--packages", "packages", "--out", "out"], capture_output=True, text=True)
ok(run.returncode == 64 and "--packages, --sources and --out are needed" in run.stderr, "what is needed is said")
sys.exit(plan())
