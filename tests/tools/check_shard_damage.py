#!/usr/bin/env python3
"""A shard set whose lists were changed, hashes and all: refused in a sentence that names file and row. usage: check_shard_damage.py BIN TMP TOP;
prints TAP. Standard library only."""
import os
import shutil
import subprocess
import sys

from tap_tables import ok, plan, read

BIN, TMP, TOP = sys.argv[1:4]
os.chdir(TMP)
for name in "abc":
    shutil.copy("%s/tests/formats/pictures/%s.png" % (TOP, name), ".")
with open("in.tsv", "w") as f:
    f.write("path\tlabel\tsplit\na.png\tcat\ttrain\nb.png\tdog\tval\nc.png\tcat\ttest\n")
PACK = [BIN + "/pack", "--no-sandbox", "-j1", "--size", "16"]
subprocess.run(PACK + ["-o", "set", "in.tsv"], check=True)
LIST = open("set/index.tsv").read()
INDEX = open("set/shard-00000.tsv").read()
at = {k: i for i, k in enumerate(INDEX.split("\n")[0].split("\t"))}


def listed(bad):
    """index.tsv tells length and hash of bad/shard-00000.tsv as they are."""
    with open("one.tsv", "w") as f:
        f.write("path\nshard-00000.tsv\n")
    subprocess.run([BIN + "/hash-dedup", "--root", bad, "--hash-all", "-o", "hashed.tsv", "one.tsv"], check=True)
    row = read("hashed.tsv")[0]
    lines = open(bad + "/index.tsv").read().split("\n")
    for i, line in enumerate(lines):
        if line.startswith("index\t"):
            lines[i] = "\t".join(line.split("\t")[:3] + [row["bytes"], row["xxh128"]])
    with open(bad + "/index.tsv", "w") as f:
        f.write("\n".join(lines))


def damaged(why, change_list=None, change_index=None, **cells):
    """The lists as changed by the functions, or cells of the first record."""
    shutil.rmtree("bad", ignore_errors=True)
    shutil.copytree("set", "bad")
    if change_list:
        with open("bad/index.tsv", "w") as f:
            f.write(change_list(LIST))
    if change_index or cells:
        text = change_index(INDEX) if change_index else INDEX
        lines = text.split("\n")
        first = lines[1].split("\t")
        for k, v in cells.items():
            first[at[k]] = v
        lines[1] = "\t".join(first)
        with open("bad/shard-00000.tsv", "w") as f:
            f.write("\n".join(lines))
        listed("bad")
    run = subprocess.run(PACK[:1] + ["--check", "bad"], capture_output=True, text=True)
    ok(run.returncode == 65 and why in run.stderr and run.stderr.count("\n") == 1, "%s%s" % (why, "" if why in run.stderr else ", but: %d %s" % (run.returncode, run.stderr)))


shutil.copytree("set", "bad")
listed("bad")
ok(open("bad/index.tsv").read() == LIST and subprocess.run(PACK[:1] + ["--check", "bad"]).returncode == 0, "the set as it was is sound")
put = lambda old, new: lambda text: text.replace(old, new, 1)
behind = lambda line: lambda text: text + line + "\n"
damaged("row 1: a format that this version does not read", put("winnow-shards-1", "winnow-shards-3"))
damaged("is not the list of a shard set", put("format\twinnow-shards-1\t\t\t\n", ""))
damaged("is not the list of a shard set", lambda text: "\n".join(line for line in text.split("\n") if not line.startswith(("side_px", "shard", "index"))))
damaged("is not the list of a shard set", lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("index")))
damaged("'bad/index.tsv': row 2: side_px: '0' is not a whole number from 1 to", put("side_px\t16", "side_px\t0"))
damaged("a resize method with a long name", put("bilinear", "b" * 40))
damaged("an unknown encoding", put("encoding\traw", "encoding\ttiff"))
damaged("a malformed hash", put("data_hash\t", "data_hash\tx"))
damaged("classes are not sorted, or come after a shard", put("class\tcat", "class\teel"))
damaged("classes are not sorted, or come after a shard", behind("class\teel\t\t\t"))
for setting in "side_px\t2000", "resize\tarea", "encoding\tjpeg", "data_hash\t" + "0" * 32:
    damaged("a setting after a shard", behind(setting + "\t\t\t"))
damaged("a shard out of place", put("shard\tshard-00000.bin", "shard\t../set/shard-00000.bin"))
damaged("a shard out of place", lambda text: text.replace("index\tshard", "shard\tshard"))
damaged("'bad/index.tsv': row 8: records: 'x' is not", put("shard-00000.bin\t3", "shard-00000.bin\tx"))
damaged("index.tsv says 2433", put("\t2432\t", "\t2433\t"))
damaged("'bad/shard-00000.tsv' is larger than 315 bytes", put("index\tshard-00000.tsv\t3\t316", "index\tshard-00000.tsv\t3\t315"))
damaged("'bad/shard-00000.tsv' is not the file that index.tsv lists", put("index\tshard-00000.tsv\t3\t316", "index\tshard-00000.tsv\t3\t317"))
damaged("has 3 rows, index.tsv says 2", put("index\tshard-00000.tsv\t3", "index\tshard-00000.tsv\t2"))
damaged("cannot open 'bad/shard-00009.bin'", put("shard-00000.bin", "shard-00009.bin"))
damaged("'bad/shard-00000.tsv': row 1: a label that index.tsv does not list", label="eel")
damaged("row 1: split is not train, val or test", split="all")
damaged("column 'fold'", fold="-1")
damaged("column 'variant'", variant="x")
damaged("row 1: a malformed hash", xxh128="0123")
damaged("row 1: a malformed hash", checksum="g" * 16)
damaged("row 1: column 'offset'", offset="-64")
damaged("row 1: a record of the wrong size", bytes="767")
damaged("row 1: a record outside its shard", offset="65")
damaged("row 1: a record outside its shard", offset="1000000000000")
damaged("row 2: a record outside its shard", offset="832")
damaged("the records are not those that data_hash was taken over", label="dog")

# The same pictures in another order, of the files of the first set: a table of rows.
with open("in2.tsv", "w") as f:
    f.write("path\tlabel\tsplit\txxh128\nc.png\tdog\ttrain\t%s\na.png\tcat\tval\t%s\n" % tuple(row.split("\t")[at["xxh128"]] for row in (INDEX.split("\n")[3], INDEX.split("\n")[1])))
subprocess.run(PACK + ["--reuse", "set", "-o", "set2", "in2.tsv"], check=True)
LIST2, ROWS = open("set2/index.tsv").read(), open("set2/shard-rows.tsv").read()
at2 = {k: i for i, k in enumerate(ROWS.split("\n")[0].split("\t"))}


def damaged_rows(why, change_list=None, **cells):
    """The list as changed by the function, or cells of the first row of the table of rows."""
    shutil.rmtree("bad", ignore_errors=True)
    shutil.copytree("set2", "bad")
    lines = ROWS.split("\n")
    first = lines[1].split("\t")
    for k, v in cells.items():
        first[at2[k]] = v
    lines[1] = "\t".join(first)
    with open("bad/shard-rows.tsv", "w") as f:
        f.write("\n".join(lines))
    with open("one.tsv", "w") as f:
        f.write("path\nshard-rows.tsv\n")
    subprocess.run([BIN + "/hash-dedup", "--root", "bad", "--hash-all", "-o", "hashed.tsv", "one.tsv"], check=True)
    row = read("hashed.tsv")[0]
    text = "\n".join("rows\tshard-rows.tsv\t2\t%s\t%s" % (row["bytes"], row["xxh128"]) if line.startswith("rows\t") else line for line in LIST2.split("\n"))
    with open("bad/index.tsv", "w") as f:
        f.write(change_list(text) if change_list else text)
    run = subprocess.run(PACK[:1] + ["--check", "bad"], capture_output=True, text=True)
    ok(run.returncode == (65 if why else 0) and why in run.stderr and run.stderr.count("\n") <= 1, "rows: %s%s" % (why or "sound", "" if why in run.stderr else ", but: %d %s" % (run.returncode, run.stderr)))


damaged_rows("")
damaged_rows("the records are not those that data_hash was taken over", split="test")
damaged_rows("row 1: a label that index.tsv does not list", label="eel")
damaged_rows("row 1: column 'shard'", shard="1")
damaged_rows("row 1: column 'shard'", shard="-1")
damaged_rows("row 1: a record outside its shard", offset="1000000000000")
damaged_rows("row 1: a record outside its shard", offset="2432")
damaged_rows("record 0 ('c.png') is damaged", offset="832")
damaged_rows("is not the list of a shard set", lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("rows")))
damaged_rows("a shard out of place", lambda text: text.replace("rows\tshard-rows", "rows\t../shard-rows"))
damaged_rows("a shard out of place", lambda text: text + "".join(line + "\n" for line in text.split("\n") if line.startswith("shard")))
damaged_rows("a shard out of place", lambda text: "\n".join(line for line in text.split("\n") if not line.startswith("index")))
damaged_rows("a record of a set without shards", lambda text: "\n".join(line for line in text.split("\n") if not line.startswith(("shard", "index"))))
damaged_rows("is not the file that index.tsv lists", lambda text: text.replace("rows\tshard-rows.tsv\t2\t", "rows\tshard-rows.tsv\t2\t1"))


def other_bytes(where, byte):
    """A changed byte of the shard itself."""
    shutil.rmtree("bad")
    shutil.copytree("set", "bad")
    with open("bad/shard-00000.bin", "r+b") as f:
        f.seek(where)
        f.write(byte)
    return subprocess.run(PACK[:1] + ["--check", "bad"], capture_output=True, text=True)


run = other_bytes(0, b"X")
ok(run.returncode == 65 and "'bad/shard-00000.bin' is not a shard file" in run.stderr, "a shard that does not begin like one")
run = other_bytes(100, b"\x01\x02\x03")
ok(run.returncode == 65 and "shard-00000.bin" in run.stderr, "a changed sample: %s" % run.stderr.strip())
for options, why in ((["--size", "17"], "holds 16 px, bilinear, raw: cannot append 17 px"), (["--resize", "area"], "cannot append 16 px, area"), (["--encoding", "jpeg"], "cannot append 16 px, bilinear, jpeg")):
    run = subprocess.run(PACK + ["--append", "-o", "set", *options, "in.tsv"], capture_output=True, text=True)
    ok(run.returncode == 65 and why in run.stderr, why)
os.makedirs("mine")
open("mine/letter.txt", "w").close()
run = subprocess.run(PACK + ["-o", "mine", "in.tsv"], capture_output=True, text=True)
ok(run.returncode == 73 and "is there and is not a shard set" in run.stderr and os.listdir("mine") == ["letter.txt"], "a folder of other things is left alone")
run = subprocess.run(PACK + ["--format", "webdataset", "-o", "mine", "in.tsv"], capture_output=True, text=True)
ok(run.returncode == 73 and "'mine' is there and is not a set of tars" in run.stderr and os.listdir("mine") == ["letter.txt"], "by tar files, too")
sys.exit(plan())
