#!/usr/bin/env bash
# Thresholds that eval writes into a model folder, and classify that obeys them: column, exit status, folders.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR
model=$T/model
cp -r tests/fixtures/tiny-net/tfjs-float32 "$model"
chmod -R u+w "$model"
mkdir "$T/p"
python3 - "$T/p" "$model/model.json" <<'P'
import json, random, struct, sys, zlib
random.seed(3)
def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
for i in range(24):
    rows = b"".join(b"\0" + bytes(random.randrange(10 * i + 16) for _ in range(96)) for _ in range(32))
    open("%s/%d.png" % (sys.argv[1], i), "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)) +
                                                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
j = json.load(open(sys.argv[2]))
j["userDefinedMetadata"] = {"classes": ["a", "b", "c", "d", "e"]}
json.dump(j, open(sys.argv[2], "w"))
P
{ printf 'path\tlabel\tsplit\n'; for i in $(seq 0 23); do printf '%d.png\t%s\t%s\n' "$i" "$([ $((i / 2 % 2)) = 0 ] && echo d || echo a)" "$([ $((i % 2)) = 0 ] && echo test || echo val)"; done; } >"$T/m.tsv"
store=("$BIN/eval" --model "$model" --shards "$T/m.tsv" --root "$T/p" --no-report --view x=d --max-miss 50%@60%)
"$BIN/classify" --model "$model" "$T"/p/?.png -o "$T/plain.tsv"
ok $? "without thresholds classify only scores"
head -1 "$T/plain.tsv" | grep -q decision
ok $((! $?)) "and has no column decision"

"${store[@]}" --max-wrong-block 30%@60% --prevalence d=0.01 --out "$T/e" --store-decisions x 2>"$T/err"
ok $? "thresholds are chosen on val and stored $(head -c 200 "$T/err")"
[ -f "$T/e/predictions-val.tsv" ]
ok $? "from predictions on val that eval made"
value() { awk -F'\t' -v m="$1" '$1 == m && $2 == "x" { print $3 }' "$T/e/metrics.tsv"; }
python3 - "$model/model.json" "$(value threshold/review)" "$(value threshold/block)" <<'P'
import json, sys
m = json.load(open(sys.argv[1]))["userDefinedMetadata"]
d = m["decisions"]
v = d["views"][0]
assert d["version"] == 1 and d["model_id"] == m["model_id"] and len(d["date"]) == 20, d
assert v["name"] == "x" and v["classes"] == ["d"] and abs(v["review"] - float(sys.argv[2])) < 1e-12, v
assert v.get("block", float("inf")) == float(sys.argv[3]), v
assert v["max_miss"]["rate"] == 0.5 and v["max_miss"]["n"] == 6 and v["max_wrong_block"]["confidence"] == 0.6, v
assert d["prevalence"]["source"] == "given" and d["prevalence"]["rates"]["d"] == 0.01, d
P
ok $? "the model folder has thresholds, guarantee, rates and date"

(cd "$T/p" && "$BIN/classify" --model "$model" ./*.png -o "$T/c.tsv")
is $? 1 "classify exits 1: some are not allowed"
(cd "$T/p" && "$BIN/classify" --model "$model" --no-decisions ./*.png -o "$T/n.tsv")
is $? 0 "not with --no-decisions"
awk -F'\t' -v r="$(value threshold/review)" -v b="$(value threshold/block)" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { p = $at["p_d"] + 1e-9; want = p >= b + 0 && b != "inf" ? "block" : p >= r ? "review" : "allow"; n[want]++; bad += $at["decision"] != want }
    END { exit !(!bad && NR == 25 && n["review"] && n["allow"]) }' "$T/c.tsv"
ok $? "each decision follows from the score"
cut -f1-7 "$T/c.tsv" | cmp -s - "$T/n.tsv"
ok $? "the scores are the same"
allowed=$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["decision"] == "allow" { print $1; exit }' "$T/c.tsv")
(cd "$T/p" && "$BIN/classify" --model "$model" "$allowed" >/dev/null)
is $? 0 "an allowed picture alone exits 0"
(cd "$T/p" && "$BIN/classify" --model "$model" --format json ./*.png) | grep -q '"decision":"review","decided_by":"x"}$'
ok $? "JSON names the view that decided"

mkdir "$T/in"
cp "$T"/p/*.png "$T/in"
"$BIN/classify" --model "$model" --watch "$T/in" --once --hand-off "$T/out" -o "$T/log" 2>"$T/err"
is $? 1 "a watched inbox exits 1 by decision, too"
for d in allow review block; do
    is "$(ls "$T/out/$d" 2>/dev/null | grep -c 'png$')" "$(awk -F'\t' -v d=$d 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["decision"] == d' "$T/c.tsv" | wc -l)" \
        "pictures are sorted into $d"
done

# Every format carries the thresholds: our own reader obeys them, and other programs find the same JSON.
want=$(python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["userDefinedMetadata"]["decisions"], sort_keys=True))' "$model/model.json")
python=/usr/bin/python3
carries() { # NAME FILE PROGRAM-THAT-PRINTS-THE-JSON MODULE
    [ "$4" != onnx ] || "$BIN/export" --model "$2" --to tfjs -o "$T/read" >/dev/null 2>&1 # read back by export
    (cd "$T/p" && "$BIN/classify" --model "$([ "$4" = onnx ] && echo "$T/read" || echo "$2")" ./*.png 2>"$T/err") | cmp -s - "$T/c.tsv"
    ok $? "$1 decides as before $(head -c 200 "$T/err")"
    if ! $python -c "import $4" 2>/dev/null; then
        skip "$1 is read by another program" "no python3-$4"
        return
    fi
    is "$($python -c "import json, sys; print(json.dumps($3, sort_keys=True))" "$2")" "$want" "another program finds them in $1"
}
for to in tfjs h5 keras onnx; do
    case $to in tfjs) out=$T/tfjs ;; h5) out=$T/m.h5 ;; keras) out=$T/m.keras ;; onnx) out=$T/m.onnx ;; esac
    if ! "$BIN/export" --model "$model" --to ${to/h5/keras} -o "$out" >/dev/null 2>"$T/err" && grep -q 'without' "$T/err"; then
        skip "$to" "$(head -n 1 "$T/err")"
        continue
    fi
    case $to in
    tfjs) carries tfjs "$out" 'json.load(open(sys.argv[1] + "/model.json"))["userDefinedMetadata"]["decisions"]' json ;;
    h5) carries Keras-h5 "$out" 'json.loads(__import__("h5py").File(sys.argv[1]).attrs["winnow_metadata"])["decisions"]' h5py ;;
    keras) carries .keras "$out" 'json.loads(__import__("zipfile").ZipFile(sys.argv[1]).read("metadata.json"))["winnow"]["decisions"]' zipfile ;;
    onnx) carries ONNX "$out" 'json.loads({p.key: p.value for p in __import__("onnx").load(sys.argv[1]).metadata_props}["decisions"])' onnx ;;
    esac
done
# Transformers.js has its config at hand, not the properties of the graph.
if "$BIN/export" --model "$model" --to transformers -o "$T/tr" >/dev/null 2>"$T/err"; then
    is "$($python -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["decisions"], sort_keys=True))' "$T/tr/config.json")" "$want" \
        "config.json of Transformers.js has them"
    sed 's/"temperature":1,"views"/"temperature":2,"views"/' "$model/model.json" >"$T/other.json"
    cp -r "$model" "$T/other" && cp "$T/other.json" "$T/other/model.json"
    "$BIN/export" --model "$T/other" --to transformers -o "$T/tr-other" >/dev/null 2>"$T/err"
    is "$($python -c 'import json, sys; print(sorted(json.load(open(sys.argv[1]))))' "$T/tr-other/config.json")" \
        "['architectures', 'id2label', 'label2id', 'model_type']" "but not those that were chosen at another temperature"
else
    skip "config.json of Transformers.js" "$(head -n 1 "$T/err")"
fi
grep -q '^## Decisions' "$T/tfjs/MODEL_CARD.md" && grep -q '| x | d |' "$T/tfjs/MODEL_CARD.md"
ok $? "its card shows the thresholds and what they promise"

# The demo page shows them, and its rule is classify's.
if [ -d "$TOP/build/npm/node_modules/@tensorflow/tfjs" ] && command -v node >/dev/null; then
    "$BIN/export" --model "$model" --to demo --quantize none -o "$T/site" >/dev/null 2>"$T/err"
    ok $? "the page is made $(head -c 200 "$T/err")"
    node -e '
        const fs = require("fs"), [site, page, tsv] = process.argv.slice(1), info = JSON.parse(fs.readFileSync(site));
        const decide = eval("(" + /function decide\(p\) \{[^]*?\n  \}/.exec(fs.readFileSync(page, "utf8"))[0] + ")");
        const rows = fs.readFileSync(tsv, "utf8").trimEnd().split("\n").map(l => l.split("\t")), heads = rows.shift(), at = heads.indexOf("p_a");
        let bad = 0;
        for (const r of rows) bad += decide(r.slice(at, at + 5).map(Number)).split(" ")[0] !== r[heads.indexOf("decision")];
        console.log(rows.length, bad, info.decisions.exact, info.decisions.views[0].name, info.decisions.views[0].max_miss);' \
        "$T/site/info.json" web/demo/page.js "$T/c.tsv" >"$T/rule" 2>&1
    is "$(cat "$T/rule")" "24 0 true x 0.5" "and decides as classify"
    "$BIN/export" --model "$model" --to demo -o "$T/rounded" >/dev/null 2>"$T/err"
    grep -q '"decisions":{"exact":false' "$T/rounded/info.json"
    ok $? "weights that are rounded say that nothing is promised"
else
    skip "the demo page" "no TensorFlow.js from npm, or no node"
fi

# Gates speak of the thresholds: eval writes the stored ones beside the predictions, each side counts with its own.
"$BIN/eval" --model "$model" --shards "$T/m.tsv" --root "$T/p" --no-report --view x=d --out "$T/new" 2>"$T/err"
is "$(grep "^threshold/" "$T/new/metrics.tsv" | cut -f1-3)" "$(grep "^threshold/" "$T/e/metrics.tsv" | cut -f1-3)" "eval finds the stored thresholds $(head -c 200 "$T/err")"
cp -r "$T/new" "$T/old"
awk -F'\t' -v OFS='\t' '$1 == "threshold/review" { $3 = 0 } { print }' "$T/new/metrics.tsv" >"$T/old/metrics.tsv" # everything was reviewed
"$BIN/eval" --compare --view x=d --gate 'x:load@review < old' --gate 'misses@review <= old + 0.9' --gate 'wrong@block no worse' \
    "$T/old/predictions.tsv" "$T/new" >"$T/table" 2>"$T/err"
is $? 0 "gates at each side's own thresholds are met $(head -c 200 "$T/err")"
awk -F'\t' -v r="$(value threshold/review)" -v b="$(value threshold/block)" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next }
    { p = $at["p_d"]; bad = $at["label"] == "d"; all++; load += p >= r + 0 && (b == "inf" || p < b + 0); n += bad; missed += bad && p < r + 0 }
    END { printf "%.9g %.9g", missed / n, load / all }' "$T/new/predictions.tsv" >"$T/by-hand"
is "$(awk -F'\t' '$1 == "misses@review" { m = $4 } $1 == "load@review" { l = $4 } END { printf "%.9g %.9g", m, l }' "$T/table")" "$(cat "$T/by-hand")" \
    "misses and load are those by hand"
is "$(awk -F'\t' '$1 == "misses@review" { print $3 }' "$T/table")" 0 "where all are reviewed none is missed"
must_fail 1 "gate missed" "a review that grows" "$BIN/eval" --compare --view x=d --gate 'load@review <= old' "$T/new" "$T/old"
rm "$T/old/metrics.tsv"
must_fail 64 "no thresholds of view 'x'" "a side without thresholds" "$BIN/eval" --compare --view x=d --gate 'misses@review <= old' "$T/old" "$T/new"
must_fail 64 "only misses@review" "a rate that does not exist" "$BIN/eval" --compare --view x=d --gate 'recall@review <= old' "$T/new" "$T/new"

"$BIN/eval" --model "$model" --shards "$T/m.tsv" --root "$T/p" --split val --no-report --out "$T/t" --fit-temperature 2>/dev/null
(cd "$T/p" && "$BIN/classify" --model "$model" ./*.png -o "$T/stale.tsv" 2>"$T/err")
grep -q 'other weights or another temperature' "$T/err" && ! grep -q decision "$T/stale.tsv"
ok $? "after another temperature they are not obeyed, and classify says so"
must_fail 64 "there is no view 'y'" "a view that does not exist" "${store[@]}" --out "$T/f" --store-decisions y
must_fail 1 "cannot be guaranteed with 6 positives" "nothing is stored without its guarantee" "${store[@]}" --max-miss 1%@95% --out "$T/g" --store-decisions x
must_fail 64 "needs --model" "predictions alone have no model" "$BIN/eval" --predictions "$T/e/predictions.tsv" --val-predictions "$T/e/predictions-val.tsv" --max-miss 50% --view x=d --out "$T/h" --store-decisions x
done_testing
