#!/usr/bin/env bash
# report-sources: shares, and a Croissant description held against rules of our own: those of the official validator, and the mistakes
# that pass it in silence (a term that @context lacks, an @id twice, a word outside its enumeration, a file set that misses files).
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
mkdir -p set/pics/a set/pics/b
for n in a/1 a/2 b/3 b/4; do printf '%s' "$n" >"set/pics/$n.jpg"; done
printf 'path\turl\tbytes\tlabel\tsplit\txxh128\tfetched_at\tlicence\trights\trights_signal\n' >set/m.tsv
row() { printf 'pics/%s.jpg\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$@" >>set/m.tsv; }
row a/1 http://img.example.co.uk/x 100 cat train 0a 2026-01-02T00:00:00Z CC0-1.0 allow content-signal:ai-train=yes@robots.txt
row a/2 https://WWW.example.co.uk:8443/y 300 cat val 0b 2026-03-02T00:00:00Z CC0-1.0 unknown ''
row b/3 https://cdn.photos.example.org/z 500 dog test 0c 2026-02-02T00:00:00Z '' unknown ''
row b/4 http://192.0.2.7/q 100 dog train 0d 2026-02-03T00:00:00Z CC-BY-4.0 unknown ''
"$BIN/report-sources" set/m.tsv -o table.tsv
is $? 0 "a table"
is "$(sed -n 2p table.tsv)" "all		4	1.000000	1000	1.000000		2026-01-02T00:00:00Z	2026-03-02T00:00:00Z" "the whole, and from when to when"
is "$(awk -F'\t' '$1 == "domain" { print $2, $3, $5, $6, $7 }' table.tsv | tr '\n' ' ')" \
    "example.org 1 500 0.500000 1 example.co.uk 2 400 0.400000 0 192.0.2.7 1 100 0.100000 0 " "registrable domains by bytes, the top tenth marked"
is "$(awk -F'\t' '$1 == "licence" { print $2, $3 }' table.tsv | tr '\n' ' ')" " 1 CC0-1.0 2 CC-BY-4.0 1 " "licences"
is "$(awk -F'\t' '$1 == "rights" { print $2, $3, $4 }' table.tsv | tr '\n' ' ')" "unknown 3 0.750000 allow 1 0.250000 " "rights"
for kind in domain licence rights signal; do
    is "$(awk -F'\t' -v k=$kind '$1 == k { n += $3; b += $5; s += $6 } END { print n, b, s }' table.tsv)" "4 1000 1" "$kind: the shares add up"
done
{ head -1 set/m.tsv; for i in $(seq 30); do printf 'p/%s.jpg\thttp://h%s.example/\t%s\tc\ttrain\ta\t\t\t\t\n' "$i" "$i" "$i"; done; } >many.tsv
is "$("$BIN/report-sources" many.tsv | awk -F'\t' '$7 == 1 { print $2 }' | tr '\n' ' ')" "h30.example h29.example h28.example " "three of thirty domains are the top tenth"

# Domains by the Public Suffix List, or by the short list that a build without libpsl has.
domains() { { printf 'path\turl\n'; for host; do printf 'a.jpg\thttps://%s/x\n' "$host"; done; } >hosts.tsv; "$BIN/report-sources" hosts.tsv | awk -F'\t' '$1 == "domain" { print $2 }' | sort | tr '\n' ' '; }
is "$(domains ann:secret@img.example.org ann@example.org:81)" "example.org " "a user's name in an address is not its host"
is "$(domains img.Example.org a.b.example.co.uk example.net. localhost '[::1]:80' 192.0.2.7:8080)" "192.0.2.7 [::1] example.co.uk example.net example.org localhost " "domains that both lists know"
if ldd "$BIN/report-sources" | grep -q libpsl; then
    is "$(domains x.ann.github.io www.museum.city.example.kawasaki.jp www.city.kawasaki.jp a.b.example.com.br co.uk a.xn--p1ai b.a.xn--p1ai)" \
        "a.xn--p1ai ann.github.io city.example.kawasaki.jp city.kawasaki.jp co.uk example.com.br " "suffixes of two and three parts, exceptions, a site that gives names to others, and a suffix itself"
else
    skip "domains by the Public Suffix List" "built without libpsl"
fi

all=(--name set --description 'Four "made" files.' --license CC0-1.0 --cite-as 'Made for tests.' --published 2026-01-31 --set-version 1.0.0 --url https://example.org/set)
describe() { "$BIN/report-sources" "$1" --croissant "${1%/*}/croissant.json" "${all[@]}" -o table2.tsv; }
describe set/m.tsv
is $? 0 "a description"
cat >rules.py <<'P'
"""What a Croissant 1.1 description must hold; says what it does not."""
import csv, fnmatch, hashlib, json, os, re, sys
path = sys.argv[1]
folder = os.path.dirname(path)
d = json.load(open(path))
wrong = []
def rule(ok, text):
    if not ok:
        wrong.append(text)
terms = d["@context"]
standard = "@language @vocab arrayShape citeAs column conformsTo containedIn cr data dataType dct equivalentProperty examples extract field fileObject fileProperty fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path rai recordSet references regex repeated replace samplingRate sc separator source subField transform".split()
rule(sorted(terms) == sorted(standard), "the terms of @context: %s" % sorted(set(terms) ^ set(standard)))
rule(terms.get("sc") == "https://schema.org/" and terms.get("containedIn") == "cr:containedIn", "namespaces")
rule("http://mlcommons.org/croissant/1.1" in d["conformsTo"], "conformsTo")
for key in ("name", "description", "license", "citeAs", "datePublished", "version"):
    rule(isinstance(d.get(key), str) and d[key], key)
rule(re.fullmatch(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){0,2}", d.get("version", "")), "version")
known = "dataCollection dataCollectionType dataCollectionTimeFrame dataLimitations".split()
rule(all(k[4:] in known for k in d if k.startswith("rai:")), "RAI names that the library knows")
ids = []
def walk(v):
    if isinstance(v, dict):
        if "@type" in v and "@id" in v:
            ids.append(v["@id"])
        for key, x in v.items():
            rule(key in terms or key.startswith("@") or ":" in key or "/" in key or key in ("name", "contentUrl", "contentSize", "encodingFormat", "sha256", "description", "license", "datePublished", "version", "url", "distribution"), "a term without a mapping: " + key)
            walk(x)
    elif isinstance(v, list):
        for x in v:
            walk(x)
walk({k: v for k, v in d.items() if k != "@context"})
rule(len(ids) == len(set(ids)), "an @id twice")
files = {f["@id"]: f for f in d["distribution"]}
for f in files.values():
    if f["@type"] == "cr:FileObject":
        kinds = {"tar": "application/x-tar", "bin": "application/octet-stream", "tsv": "text/tab-separated-values"}
        rule(f["encodingFormat"] == kinds[f["contentUrl"].rsplit(".", 1)[1]], "encodingFormat")
        body = open(os.path.join(folder, f["contentUrl"]), "rb").read()
        rule(f.get("sha256") == hashlib.sha256(body).hexdigest(), "sha256")
        rule(f["contentSize"] == "%d B" % len(body), "contentSize")
    for x in f.get("containedIn", []):
        rule(x["@id"] in files, "a file set in a file that is not there")
rows = list(csv.DictReader(open(os.path.join(folder, files["manifest"]["contentUrl"])), delimiter="\t", quoting=csv.QUOTE_NONE))
sets = {r["@id"]: r for r in d["recordSet"]}
for r in sets.values():
    for f in r["field"]:
        rule("dataType" in f, "dataType")
        s = f.get("source", {})
        for kind in ("fileObject", "fileSet"):
            rule(kind not in s or s[kind]["@id"] in files, "a source that is not there")
        if "column" in s.get("extract", {}):
            rule(s["extract"]["column"] in rows[0], "a column that is not there")
        ref = f.get("references", {})
        rule("@id" not in ref, "the short form of a reference crashes the library")
        if "field" in ref:
            target = ref["field"]["@id"]
            rule(target in ids, "a reference to nothing")
            words = [x[target] for x in sets[target.split("/")[0]]["data"]]
            rule({x[s["extract"]["column"]] for x in rows} <= set(words), "a word outside of " + target)
    for x in r.get("data", []):
        rule(sorted(x) == sorted(f["@id"] for f in r["field"]), "inline keys")
patterns = files["image-files"]["includes"]
for x in rows:
    rule(any(fnmatch.fnmatchcase(x["path"], p) for p in patterns), "no pattern finds " + x["path"])
join = sets["images"]["field"][0]
rule(join["source"].get("transform") == {"regex": "^(.*)$"} and "fileSet" in join["source"], "the join of files and rows")
print("; ".join(sorted(set(wrong))))
P
is "$(python3 rules.py set/croissant.json)" "" "it keeps all rules"
# The rules notice what the validator lets pass.
broken() { # TEXT WANTED PYTHON
    python3 -c "import json; d = json.load(open('set/croissant.json')); $3; json.dump(d, open('set/broken.json', 'w'))"
    has "$(python3 rules.py set/broken.json)" "$2" "a mistake is seen: $1"
}
broken "a term taken out of @context" "the terms of @context" "del d['@context']['containedIn']"
broken "an @id twice" "an @id twice" "d['recordSet'][-1]['field'][1]['@id'] = 'images/path'"
broken "a label outside its enumeration" "outside of labels/name" "d['recordSet'][0]['data'].pop()"
broken "a hash in capital letters" sha256 "d['distribution'][0]['sha256'] = d['distribution'][0]['sha256'].upper()"
broken "another file's hash" sha256 "d['distribution'][0]['sha256'] = '0' * 64"
broken "a file without a hash" sha256 "del d['distribution'][0]['sha256']"
broken "a field without a type" dataType "del d['recordSet'][2]['field'][0]['dataType']"
broken "a TSV called CSV" encodingFormat "d['distribution'][0]['encodingFormat'] = 'text/csv'"
broken "a name of the RAI specification that the library does not know" "RAI names" "d['rai:dataCollectionTimeframe'] = '2020/2022'"
broken "https in conformsTo" conformsTo "d['conformsTo'] = ['https://mlcommons.org/croissant/1.1']"
broken "a source that is not there" "a source that is not there" "d['recordSet'][2]['field'][0]['source']['fileObject']['@id'] = 'x'"
broken "a reference in the short form" "short form" "d['recordSet'][2]['field'][1]['references'] = {'@id': 'labels/name'}"
broken "a pattern that misses files" "no pattern finds" "d['distribution'][1]['includes'] = ['pics/a/*']"
cp set/croissant.json first.json
describe set/m.tsv
cmp -s set/croissant.json first.json
ok $? "again: the same bytes"

# Refusals: what the reader would take for something else.
odd() { # TEXT PATTERN SED
    sed "$3" set/m.tsv >set/odd.tsv
    must_fail 65 "$2" "refused: $1" describe set/odd.tsv
}
odd "a label that is read as absent" "row 1: label 'NA' is read as absent" '2s/\tcat\t/\tNA\t/'
odd "a quote" "row 3: label .* begins with a quote" '4s/\tdog\t/\t"dog\t/'
odd "an escape" "has an escape" '4s/\tdog\t/\td\\\\og\t/'
odd "labels that are all numbers" "every label is a number" 's/\tcat\t/\t007\t/; s/\tdog\t/\t1e5\t/'
odd "a path above the folder" "not below the folder" '2s,^pics,../pics,'
odd "a label of which only part is a word for absent" "label '#N/A N/A' is read as absent" '2s,\tcat\t,\t#N/A N/A\t,'
odd "a path in a longer form" "without ./ and //" '2s,^pics,./pics,'
odd "a manifest without rows" "has no row" '2,$d'
# Names that are no patterns, dots that lead nowhere, columns without a value.
mkdir -p 'set/a[1]*?b'
printf 'path\tlabel\tsplit\n' >set/names.tsv
for n in 'x..y.jpg' 'z.j[p]'; do echo >"set/a[1]*?b/$n"; printf 'a[1]*?b/%s\t\ttrain\n' "$n" >>set/names.tsv; done
describe set/names.tsv
is "$? $(python3 rules.py set/croissant.json)" "0 " "a folder and an ending with signs of patterns, and a name with two dots"
is "$(grep -c '"labels' set/croissant.json) $(grep -c '"splits"' set/croissant.json)" "0 1" "a label column without a value is left out"
must_fail 64 "is not in the folder" "a description elsewhere is refused" "$BIN/report-sources" set/m.tsv --croissant x.json "${all[@]}"
must_fail 64 "needs --license" "what every description needs is asked for" "$BIN/report-sources" set/m.tsv --croissant set/x.json --name a --description b
must_fail 64 "not a date" "a date in the year 10000 is refused" "$BIN/report-sources" set/m.tsv --croissant set/x.json "${all[@]}" --published 10000-01-01
must_fail 64 "not MAJOR.MINOR.PATCH" "a version of another form is refused" "$BIN/report-sources" set/m.tsv --croissant set/x.json "${all[@]}" --set-version v1
must_fail 65 "bytes" "bytes that are not a number" "$BIN/report-sources" <(sed '2s/\t100\t/\tx\t/' set/m.tsv)
must_fail 65 "path" "a manifest without path" "$BIN/report-sources" <(printf 'url\nx\n')

# --- tar files for training, and the validator itself -----------------------------------------------------------------------
mkdir -p packed/p
cp "$TOP"/tests/formats/pictures/[abc].png packed/p
printf 'path\tlabel\tsplit\txxh128\np/a.png\tdog\ttest\t0a\np/b.png\tcat\ttrain\t0b\np/c.png\tdog\ttrain\t0c\n' >packed/m.tsv
"$BIN/pack" --root packed --size 16 --format webdataset -o packed/tars packed/m.tsv
"$BIN/report-sources" packed/m.tsv --croissant packed/croissant.json --shards packed/tars "${all[@]}" -o table2.tsv
is "$? $(python3 rules.py packed/croissant.json)" "0 " "with the tar files it keeps all rules"
is "$(python3 -c 'import json; print(*[f["contentUrl"] for f in json.load(open("packed/croissant.json"))["distribution"] if "contentUrl" in f])')" \
    "m.tsv tars/test-00000.tar tars/train-00000.tar" "it has every tar file"
must_fail 66 "has neither index.tsv nor a \*.tar" "a folder without shards" "$BIN/report-sources" packed/m.tsv --croissant packed/x.json --shards packed/p "${all[@]}"
must_fail 64 "is not below the folder" "tar files elsewhere" "$BIN/report-sources" packed/m.tsv --croissant packed/x.json --shards set/pics "${all[@]}"
must_fail 64 "give --croissant" "tar files without a description" "$BIN/report-sources" packed/m.tsv --shards packed/tars
# A set in winnow's own format, of one pack and with files that an earlier set shares.
mkdir packed/p1 packed/p2
cp packed/p/[ab].png packed/p1
cp packed/p/c.png packed/p2
cp "$TOP/tests/fixtures/inception_v3/mate_ladybird.png" packed/p2/d.png
cp packed/p2/d.png packed/p2/e.png # a copy, so that hash-dedup needs the hash
own() { # NAME ROW...: NAME.tsv with the hashes of the pictures
    printf '%s\n' 'path	label	split' "${@:2}" >rows.tsv
    "$BIN/hash-dedup" --root packed -o "packed/$1.tsv" rows.tsv
}
rows_of_set=('p1/a.png	dog	test' 'p1/b.png	cat	train' 'p2/c.png	dog	train')
own own "${rows_of_set[@]}"
own more "${rows_of_set[@]}" 'p2/d.png	cat	val' 'p2/e.png	cat	val'
is "$(rows packed/own.tsv) $(rows packed/more.tsv)" "3 4" "pictures for two sets"
"$BIN/pack" --root packed --size 16 -o packed/first/shards packed/own.tsv
"$BIN/pack" --root packed --size 16 --reuse packed/first/shards -o packed/second/shards packed/more.tsv
for set in first:own second:more; do
    "$BIN/report-sources" packed/${set#*:}.tsv --croissant packed/${set%:*}.json --shards packed/${set%:*}/shards "${all[@]}" -o table2.tsv
    is "$? $(python3 rules.py packed/${set%:*}.json)" "0 " "winnow's own format, ${set%:*} set: it keeps all rules"
done
is "$(python3 -c 'import json; print(*[f["contentUrl"] for f in json.load(open("packed/second.json"))["distribution"] if f["@id"].endswith(".bin")])')" \
    "$(cd packed && echo second/shards/shard-*.bin)" "it has every file with pixels"
if "$TOP/build/py/bin/python" -c 'import mlcroissant' 2>/dev/null; then
    said=$(cd packed && XDG_CACHE_HOME=$TMPDIR/cache HOME=$TMPDIR "$TOP/build/py/bin/mlcroissant" validate --jsonld croissant.json 2>&1)
    is "$? $(grep -ciE 'error|warning' <<<"$said")" "0 0" "mlcroissant validate has neither an error nor a warning"
    cat >load_set.py <<'P'
import sys
import mlcroissant
import PIL.Image
d = mlcroissant.Dataset(sys.argv[1] + ".json")
text = lambda v: v.decode() if isinstance(v, bytes) else str(v)
fields = ("path", "label", "split", "xxh128")
lines = [l.rstrip("\n").split("\t") for l in open(sys.argv[2] + ".tsv")]
rows = [tuple(l[lines[0].index(f)] for f in fields) for l in lines[1:]]
seen = [tuple(text(r["shard-rows/" + f]) for f in fields) for r in d.records("shard-rows")]
assert sorted(seen) == sorted(rows), seen
pictures = {text(r["images/path"]): r for r in d.records("images")}
for r in rows:
    p = pictures[r[0]]
    assert tuple(text(p["images/" + f]) for f in fields) == r, p
    assert p["images/image"].convert("RGB").tobytes() == PIL.Image.open(r[0]).convert("RGB").tobytes(), r
P
    for set in first:own second:more; do
        said=$(cd packed && XDG_CACHE_HOME=$TMPDIR/cache HOME=$TMPDIR "$TOP/build/py/bin/mlcroissant" validate --jsonld ${set%:*}.json 2>&1)
        is "$? $(grep -ciE 'error|warning' <<<"$said")" "0 0" "nor for winnow's own format, ${set%:*} set"
        said=$(cd packed && XDG_CACHE_HOME=$TMPDIR/cache-$set HOME=$TMPDIR "$TOP/build/py/bin/python" ../load_set.py ${set%:*} ${set#*:} 2>&1)
        ok $? "and its rows, pictures, labels, splits and hashes load as they are: $(tail -1 <<<"$said")"
    done
    cat >load.py <<'P'
import mlcroissant
d = mlcroissant.Dataset("croissant.json")
text = lambda v: v.decode() if isinstance(v, bytes) else str(v)
def records(name, *fields):
    return [tuple(text(r["%s/%s" % (name, f)]) for f in fields) for r in d.records(name)]
rows = [l.rstrip("\n").split("\t") for l in open("m.tsv")][1:]
assert records("pictures", "path", "label", "split", "xxh128") == [tuple(r) for r in rows], "pictures"
names = dict(records("shard-names", "index", "name"))
labels = {k: names[i] for k, i in records("shard-labels", "key", "index")}
assert labels == {"test-00000000": "dog", "train-00000000": "cat", "train-00000001": "dog"}, labels
images = {text(r["shard-images/key"]): r["shard-images/image"] for r in d.records("shard-images")}
assert sorted(images) == sorted(labels) and all(i.size == (16, 16) for i in images.values()), images
assert sorted(records("images", "path", "label")) == sorted((r[0], r[1]) for r in rows), "images"
P
    said=$(cd packed && XDG_CACHE_HOME=$TMPDIR/cache HOME=$TMPDIR "$TOP/build/py/bin/python" ../load.py 2>&1)
    ok $? "and every record set loads, with what the manifest and the tar files hold: $(tail -1 <<<"$said")"
else
    skip "the validator of Croissant" "no mlcroissant in build/py: ./bootstrap check installs it"
fi
done_testing
