#!/usr/bin/env bash
# The demo page: what export puts together, and a real Chromium that is driven by keyboard over it.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR
export NPM=$TOP/build/npm
if [ ! -d "$NPM/node_modules/playwright-core" ] || [ ! -d "$NPM/node_modules/nsfwjs" ] || ! { [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; }; then
    skip_all "the demo page" "no npm packages or no Chromium: ./bootstrap check"
fi
{
    pipelines/base-weights/run "$T/base" inception_v3 mobilenet_v2 &&
        printf 'metric\tkey\tvalue\tci_low\tci_high\tn\naccuracy\t\t0.9\t0.85\t0.94\t200\nrecall\tdrawings\tnan\t0\t1\t0\n' >"$T/metrics.tsv" &&
        printf 'slice\trate\tk\tn\tvalue\twilson_low\twilson_high\tminus_rest\tflagged\n<b>small</b>\taccuracy\t5\t10\t0.5\t0.24\t0.76\t-0.4\t1\n' >"$T/slices.tsv" &&
        "$BIN/export" --model "$T/base/mobilenet_v2" --to demo --metrics "$T/metrics.tsv" --slices "$T/slices.tsv" \
            --title 'Tiny & <i>quick</i>' --date 2026-01-02 -o "$T/site"
} 2>"$T/err"
code=$?
ok $code "the page is made $(head -c 300 "$T/err")"
[ $code = 0 ] || done_testing
mkdir "$T/pictures" "$T/out" "$T/again"
for p in mate_freshflower mate_ladybird oc_cavallo_architetto_franc_05; do cp "tests/fixtures/inception_v3/$p.png" "$T/pictures/"; done
timeout 300 node tests/formats/page.cjs "$T/site" "$T/pictures" "$T/out" >"$T/page.tap" 2>"$T/page.err"
while IFS= read -r line; do
    case $line in
    'ok '*) ok 0 "${line#*- }" ;;
    'not ok '*) ok 1 "${line#*- }" ;;
    esac
done <"$T/page.tap"
grep -q '^1\.\.' "$T/page.tap"
ok $? "the browser came to the end $(tail -n 3 "$T/page.err" | tr '\n' ' ')"

# The page's numbers are the program's.
"$BIN/classify" --model "$T/site/model" --hash "$T/pictures" -o "$T/scores.tsv"
node -e '
    const fs = require("fs"), [page, tsv] = process.argv.slice(1), got = JSON.parse(fs.readFileSync(page));
    const rows = fs.readFileSync(tsv, "utf8").trimEnd().split("\n").map(l => l.split("\t")), heads = rows.shift(), first = heads.findIndex(h => h.startsWith("p_"));
    let most = 0, n = 0;
    for (const r of rows) { const p = got[r[0].split("/").pop()]; n++; p.forEach((v, k) => { most = Math.max(most, Math.abs(v - r[first + k])); }); }
    console.log(n + " pictures, largest difference " + most.toExponential(2));
    process.exit(n === 3 && most < 1e-4 ? 0 : 1);' "$T/out/page-scores.json" "$T/scores.tsv" >"$T/most" 2>&1
ok $? "scores as classify's: $(cat "$T/most")"
name=$(cat "$T/out/report-of.txt" 2>/dev/null)
id=$(awk -F'\t' -v name="$name" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } index($at["path"], name) { print $at["xxh128"] }' "$T/scores.tsv")
[ -n "$id" ] && [ "$(column "$T/out/report.tsv" id)" = "$id" ]
ok $? "the report's id is the content hash"
if [ -x "$BIN/phash-dedup" ]; then
    printf 'path\n%s\n' "pictures/$name" | "$BIN/phash-dedup" --hash-only --pdq full --root "$T" -o "$T/pdq.tsv"
    [ "$(column "$T/pdq.tsv" pdq)" = "$(column "$T/out/report.tsv" pdq)" ] && [ "$(column "$T/pdq.tsv" pdq_quality)" = "$(column "$T/out/report.tsv" pdq_quality)" ]
    ok $? "the report's PDQ is phash-dedup's"
fi
if [ -x "$BIN/eval" ]; then
    awk -F'\t' -v OFS='\t' -v labels="neutral neutral drawings" 'BEGIN { split(labels, l, " ") }
        NR == 1 { for (i = 1; i <= NF; i++) if ($i == "xxh128") $i = "id"; print "label", $0; next } { print l[NR - 1], $0 }' "$T/scores.tsv" >"$T/predictions.tsv"
    "$BIN/eval" --predictions "$T/predictions.tsv" --slices "$T/out/report.tsv" --out "$T/eval" >"$T/eval.log" 2>&1 &&
        grep -q "$(column "$T/out/report.tsv" slice)" "$T/eval/slices.tsv"
    ok $? "eval takes the report as slices $(head -c 200 "$T/eval.log")"
fi
grep -q 'Accuracy\|accuracy | 0.9' "$T/site/MODEL_CARD.md" && ! grep -q '<b>' "$T/site/info.json"
ok $? "the card is there, and names are data"
# The model folder as nsfwjs has it, end to end from JPEG files: decoders and resizers differ a little.
mkdir "$T/jpeg"
"$BIN/export" --model "$T/base/mobilenet_v2" --to tfjs -o "$T/float32"
for version in nsfwjs-4.4 nsfwjs; do
    if [ ! -d "$NPM/node_modules/$version" ]; then
        skip "$version in Chromium" "it is not installed: ./bootstrap check"
        continue
    fi
    node tests/formats/nsfwjs.cjs "$T/float32" 224 "$T/pictures" "$T/jpeg" $version >"$T/nsfwjs.err" 2>&1
    ok $? "$version in Chromium loads what export wrote $(tail -n 1 "$T/nsfwjs.err")"
    cp "$T/jpeg/nsfwjs.tsv" "$T/$version.tsv"
done
if [ -f "$T/nsfwjs-4.4.tsv" ]; then
    cmp "$T/nsfwjs-4.4.tsv" "$T/nsfwjs.tsv"
    ok $? "nsfwjs 4.4.0 says what 4.3.0 says"
fi
"$BIN/classify" --model "$T/float32" --resize tfjs "$T"/jpeg/*.jpg -o "$T/jpeg.tsv"
awk -F'\t' 'FNR == 1 { for (i = 1; i <= NF; i++) if ($i ~ /^p_/ && !first) first = i; next }
    NR == FNR { for (k = 0; k < 5; k++) p[$1, k] = $(2 + k); next }
    { sub(".*/", "", $1); n++; for (k = 0; k < 5; k++) { d = p[$1, k] - $(first + k); d = d < 0 ? -d : d; most = d > most ? d : most } }
    END { printf "%d pictures, largest difference %.4f\n", n, most; exit !(n == 3 && most < 0.02) }' "$T/jpeg/nsfwjs.tsv" "$T/jpeg.tsv" >"$T/most"
ok $? "from the JPEG, nsfwjs and classify --resize tfjs agree: $(cat "$T/most")"
"$BIN/export" --model "$T/base/mobilenet_v2" --to demo --metrics "$T/metrics.tsv" --slices "$T/slices.tsv" \
    --title 'Tiny & <i>quick</i>' --date 2026-01-02 -o "$T/again" && diff -r "$T/site" "$T/again" >/dev/null
ok $? "made again it is the same, byte for byte"
grep -rnIoE "https?://[a-z0-9.]+" web/demo | grep -v 'http://www.w3.org$' >"$T/hosts"
[ ! -s "$T/hosts" ]
ok $? "the page's own files name no other host $(head -n 1 "$T/hosts")"
done_testing
