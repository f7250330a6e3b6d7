#!/usr/bin/env bash
# audit: scores and findings equal CleanVision's, and a fact that gives the label away is named, and no other.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
fixture=$TOP/tests/fixtures/cleanvision

# From the pictures, through validate, to scores and findings.
"$BIN/scan" --root "$fixture" --label-from none pictures -o all.tsv
"$BIN/validate" --root "$fixture" --min-bytes 0 --with stats all.tsv -o valid.tsv
"$BIN/audit" valid.tsv -o audit.tsv --scores scores.tsv --facts facts.tsv 2>said
is $? 0 "an audit of CleanVision's cases"
is "$(cat said)" "" "and pictures without labels give no warning"
cat >compare.py <<'P'
import csv, sys
read = lambda path: list(csv.DictReader(open(path, newline=''), delimiter='\t', quoting=csv.QUOTE_NONE))
checks = 'dark light blurry low_information odd_size odd_aspect_ratio grayscale'.split()
expected = {r['file']: r for r in read(sys.argv[1])}
scores, findings = read('scores.tsv'), read('audit.tsv')
name = lambda row: row['path'].split('/')[-1]
wrong = []
# winnow measures the blur of a turned picture after turning it, as its twin, which is stored so, shows.
expected['exif-6.jpg']['blurry_score'] = expected['exif-6-applied.png']['blurry_score']
for r in scores:
    for c in checks:
        if abs(float(r[c]) - float(expected[name(r)][c + '_score'])) > 1e-9:
            wrong.append('%s %s %s' % (name(r), c, r[c]))
found = {(r['check'], name(r)) for r in findings if r['check'] in checks}
wanted = {(c, f) for f, r in expected.items() for c in checks if r['is_%s_issue' % c] == '1'}
wrong += [' '.join(x) for x in found ^ wanted]
print(len(scores), len(found), len(wanted), wrong)
P
is "$(python3 compare.py "$fixture/expected.tsv")" "49 59 59 []" "every score within 1e-9 and every finding of the seven checks as CleanVision has them"

# The page.
mkdir out
"$BIN/audit" -q --root "$fixture/.." valid.tsv --sheet out/sheet.html -o again.tsv
page() { # FILE: the paths that it shows, one a line
    python3 -c 'import json, re, sys
d = json.loads(re.search("(?s)id=\"data\">(.*?)</script>", open(sys.argv[1]).read()).group(1))
for c in d["checks"]:
    for i in c["items"]: print(d["way"] + i[0])' "$1"
}
is "$(cmp audit.tsv again.tsv)/$(page out/sheet.html | wc -l)" "/60" "the page shows every finding"
cp -r "$fixture" cleanvision
"$BIN/audit" -q --root cleanvision valid.tsv --sheet out/sheet.html -o again.tsv
is "$(page out/sheet.html | while read -r f; do [ -f "out/$f" ] || echo "$f"; done)" "" "its paths lead from its folder to the pictures"
! grep -qiE ' (style|on[a-z]+)=' out/sheet.html && ! grep -q "$TMPDIR" out/sheet.html && grep -q 'filter: blur' out/sheet.html
ok $? "it has no absolute path, and blurs"
is "$(grep -o "sha256-[^']*" out/sheet.html | head -2 | tr '\n' ' ')" \
    "$(python3 -c 'import base64, hashlib, re
t = open("out/sheet.html").read()
for tag in "style", "script": print("sha256-" + base64.b64encode(hashlib.sha256(re.search("(?s)<%s>(.*?)</%s>" % (tag, tag), t).group(1).encode()).digest()).decode(), end=" ")')" \
    "its policy names the hashes of its style and its script"
awk -F'\t' -v OFS='\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i } NR == 2 { $1 = "a\"><script>x</script>%2e&.png"; $at["brightness_99"] = 0 } { print }' valid.tsv >odd.tsv
"$BIN/audit" -q odd.tsv --sheet out/odd.html -o odd.found
is "$(grep -c '<script' out/odd.html)/$(grep -c 'a\\"\\u003e\\u003cscript\\u003ex' out/odd.html)" "2/1" "names of files are escaped"
must_fail 73 "cannot find the way" "a page in a folder that does not exist" "$BIN/audit" valid.tsv --sheet nowhere/sheet.html -o again.tsv

# Blur as one sees it: rectangles, the same blurred over 17 x 17 and 5 x 5 pixels, and a ramp without an edge.
mkdir soft
python3 - <<'P'
import random, struct, zlib
W, H, r = 320, 240, random.Random(3)
def save(name, rows):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with open("soft/%s.png" % name, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(int(v) for v in row) for row in rows))) + chunk(b"IEND", b""))
def blur(rows, n):
    def line(v):
        v = [v[0]] * (n // 2) + list(v) + [v[-1]] * (n // 2)
        out, s = [], sum(v[:n])
        for i in range(len(v) - n + 1):
            out.append(s / n)
            s += (v[i + n] if i + n < len(v) else 0) - v[i]
        return out
    return [list(row) for row in zip(*[line(column) for column in zip(*[line(row) for row in rows])])]
sharp = [[128] * W for _ in range(H)]
for _ in range(25):
    x, y, w, h, v = r.randrange(W - 60), r.randrange(H - 60), r.randrange(30, 60), r.randrange(30, 60), r.randrange(256)
    for i in range(y, y + h): sharp[i][x:x + w] = [v] * w
save("sharp", sharp)
save("blur17", blur(sharp, 17))
save("blur5", blur(sharp, 5))
save("noise17", [[min(255, max(0, v + r.randrange(-3, 4))) for v in row] for row in blur(sharp, 17)])
save("ramp", [[255 * (x + y) // (W + H - 2) for x in range(W)] for y in range(H)])
save("flat", [[90] * W for _ in range(H)])
P
"$BIN/scan" --label-from none soft -o soft.tsv
"$BIN/validate" --min-bytes 0 --with stats soft.tsv -o soft.valid
"$BIN/audit" soft.valid -o soft.found
is "$(awk -F'\t' '$1 == "soft_edges" { print $2 }' soft.found | sort | tr '\n' ' ')" "soft/blur17.png soft/noise17.png " "a blur of 17 x 17 is soft, noise on it or not; sharp edges, a light blur, a ramp and a flat picture are not"
is "$(awk -F'\t' '$1 == "soft_edges" || ($1 == "blurry" && $2 ~ /scene-soft|ramp-040-200/) { print $1, $2 }' audit.tsv | tr '\n' ' ')" \
    "blurry pictures/blur-ramp-040-200.png soft_edges pictures/scene-soft.jpg " "of CleanVision's own cases, its check finds a ramp, and this one the blurred scene"
is "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "edge_width") c = i; next } $1 ~ /ramp|flat/ { print $c "." }' soft.valid | tr -d '\n')" ".." "what has no edges has no width"
awk -F'\t' -v OFS='\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "edge_width") c = i } NR == 2 { $c = -1 } { print }' soft.valid >odd.tsv
must_fail 65 "edge_width '-1'" "a width below 0 is refused" "$BIN/audit" odd.tsv

# odd_size on its own cases: the set decides which size is odd.
sizes() { # NAME SCORES FOUND WIDTHxHEIGHT...
    local name=$1 scores=$2 found=$3 i=0
    shift 3
    {
        printf 'path\tmode\twidth\theight\tbrightness\tbrightness_5\tbrightness_99\tentropy\tblurriness\tblurriness_std\n'
        for s; do printf '%s\trgb\t%s\t%s\t0.5\t0.5\t0.9\t7\t50\t20\n' $((i++)) "${s%x*}" "${s#*x}"; done
    } | "$BIN/audit" --scores sizes.scores -o sizes.tsv
    is "$(column sizes.scores odd_size | sort -un | tr '\n' ' ')" "$scores " "$name: scores"
    is "$(awk -F'\t' '$1 == "odd_size" { print $2 }' sizes.tsv | tr '\n' ' ')" "$found" "$name: found"
}
sizes "one picture" 1 "" 30x40
sizes "one size" 1 "" 64x64 64x64 64x64
sizes "one pixel off" "0.99221778146268136 1" "7 " 64x64 64x64 64x64 64x64 64x64 64x64 64x64 65x64
sizes "equal areas, other roundings" "0.99999999999999978 1" "7 " 8x8 8x8 8x8 8x8 8x8 8x8 8x8 16x4
sizes "exactly at the bounds" "0.46350894950543264 0.48358899305657133 0.5 0.9285714285714286" "11 10 " \
    100x81 100x81 100x81 100x81 100x100 100x100 100x100 100x100 169x100 100x36 172x100 100x33

# A set made with facts that give the label away, and the same set without.
cat >make_set.py <<'P'
import random, sys
plant, seed, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
columns = 'path label format width height orientation frames mode bytes xxh128 brightness brightness_5 brightness_99 entropy blurriness blurriness_std url'
print(columns.replace(' ', '\t'))
for i in range(n):
    label = r.choice(['cat', 'dog', 'neutral'])
    neutral = label == 'neutral'
    w, h = r.choice([(640, 480), (480, 640), (800, 600), (500, 500)])
    form, host, brightness, size = r.choice(['jpeg', 'png', 'webp']), 'h%d.example' % r.randrange(30), r.uniform(.2, .8), r.randrange(5000, 90000)
    if plant == 'webp': form = 'webp' if neutral else r.choice(['jpeg', 'png'])
    if plant == 'host': host = 'n%d.example' % r.randrange(10) if neutral and r.random() < .7 else host
    if plant == 'bright' and neutral: brightness = r.uniform(.7, .9)
    if plant == 'square' and neutral: w, h = 700, 700
    print('\t'.join(map(str, ['p/%d' % i, label, form, w, h, 1, 1, 'rgb', size, '%032x' % r.getrandbits(128), brightness, .2, .9, 7 + r.random(), 40 + 20 * r.random(), 20,
                              'https://%s/%d' % (host, i)])))
P
clear() { awk -F'\t' '$1 == "predicts_label" { sub(/=.*/, "", $6); print $6 }' "$1" | sort -u | tr '\n' ' '; }
plant() { # KIND FACTS SAID
    python3 make_set.py "$1" 1 600 >set.tsv
    "$BIN/audit" set.tsv -o found.tsv --facts facts.tsv 2>said
    is "$(clear found.tsv)" "$2" "$1: these facts are named and no others"
    has "$(cat said)" "$3" "$1: a warning says which"
}
plant webp "format " "'neutral' have format 'webp', and so have 0 of"
is "$(cell facts.tsv format rows_both)" "$(cell facts.tsv format rows_label)" "webp: all of the class have it"
is "$(cell facts.tsv format low | cut -c1-3)/$(cell facts.tsv mode clear)" "0.6/0" "webp: the table has interval and verdict of each fact"
plant host "host " "host alone predicts"
plant bright "brightness " "brightness alone predicts"
plant square "aspect bytes_per_pixel pixels size " "size alone predicts"
# A value that many rows share is a bin of its own, wherever it lies in the order: here 20 of 100 rows.
python3 - >tied.tsv <<'P'
print('path label width height mode brightness brightness_5 brightness_99 entropy blurriness blurriness_std'.replace(' ', '\t'))
for i in range(100):
    print('\t'.join(map(str, ['p/%d' % i, 'most' if i % 5 else 'few', 400 if i % 5 else 300, 400, 'rgb', .5, .2, .9, 7, 50, 20])))
P
"$BIN/audit" -q tied.tsv -o found.tsv --facts facts.tsv
is "$(cell facts.tsv aspect accuracy)" "1.000000" "a number that many rows share is told apart from the others"
alarms=0
for seed in $(seq 2 31); do
    python3 make_set.py none "$seed" 300 >set.tsv
    "$BIN/audit" --least-gain 0 set.tsv -o found.tsv 2>/dev/null
    [ -z "$(clear found.tsv)" ] || alarms=$((alarms + 1))
done
[ $alarms -le 1 ]
ok $? "30 sets whose labels are drawn at random raise $alarms alarms"

# Copies must not teach the rule their answer: 60 pictures, each ten times, each from a host of its own.
python3 - >copies.tsv <<'P'
print('path label width height mode xxh128 brightness brightness_5 brightness_99 entropy blurriness blurriness_std url'.replace(' ', '\t'))
for i in range(600):
    print('\t'.join(map(str, ['p/%d' % i, ('cat', 'dog')[i // 10 % 2], 640, 480, 'rgb', '%032x' % (i // 10), .5, .2, .9, 7, 50, 20, 'https://h%d.example/' % (i // 10)])))
P
"$BIN/audit" copies.tsv -o found.tsv --facts facts.tsv
is "$(clear found.tsv)" "" "what only copies have in common predicts nothing"
cut -f1-5,7- copies.tsv | "$BIN/audit" -q -o found.tsv
is "$(clear found.tsv)" "host " "without hashes the copies are in several folds, and the host is named"

# Classes.
python3 make_set.py none 5 900 | awk -F'\t' -v OFS='\t' 'NR > 1 && $2 == "dog" && ++n > 12 { $2 = "cat" } { print }' >set.tsv
"$BIN/audit" set.tsv -o found.tsv 2>said
is "$(awk -F'\t' '/class/ { print $1, $3 }' found.tsv | tr '\n' ' ')" "near_empty_class dog " "a class with 12 rows is near empty"
"$BIN/audit" -q --least-rows 0 --class-ratio 1.5 set.tsv -o found.tsv 2>said
is "$(awk -F'\t' '/class/ { print $1, $3 }' found.tsv | tr '\n' ' ')" "near_empty_class dog over_full_class cat " "the bounds are options"
is "$(cat said)" "" "-q is silent"

must_fail 65 "run validate --with stats" "a manifest without the statistics is refused with the remedy" "$BIN/audit" all.tsv
must_fail 64 "least-gain" "a gain above 1 is a usage error" "$BIN/audit" --least-gain 2 set.tsv
done_testing
