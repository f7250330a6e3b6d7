#!/usr/bin/env bash
# Columns of millions of rows lie in files: WINNOW_SPILL puts those of a few rows there, and the output stays the same to the byte.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
# 3,000 rows with ties (two decimals), copies, slices, and an id that is repeated far below in one of them.
awk 'BEGIN { srand(7); OFS = "\t"; print "id", "path", "label", "group", "camera", "p_a", "p_b", "p_c"
    for (i = 0; i < 3000; i++) {
        p = int(100 * rand()) / 100; q = int(100 * (1 - p) * rand()) / 100; r = rand()
        print i, "x/" i ".jpg", r < 0.4 ? "a" : r < 0.7 ? "b" : "c", i % 7 ? "" : "g" int(i / 14), "k" i % 5, p, q, 1 - p - q } }' >p.tsv
sed '1b; s/^\([^\t]*\)\t/v\1\t/' p.tsv >val.tsv
cut -f6- p.tsv >unlabelled.tsv
awk -F'\t' -v OFS='\t' 'NR == 1 { print "id", "aum"; next } { print $1, $6 - $7 }' p.tsv >margins.tsv
awk -F'\t' -v OFS='\t' 'NR == 1 { print "id", "split" } NR > 1 && NR % 3 { print $1, NR % 4 ? "train" : "test" }' p.tsv >manifest.tsv
awk -F'\t' -v OFS='\t' 'NR % 10 == 1 { print NR == 1 ? "id" : $1, NR == 1 ? "label_true" : "a" }' p.tsv >truth.tsv

run() { # NAME: everything that both programs write, in a folder of that name
    mkdir -p "$1"
    "$BIN/eval" --predictions p.tsv --view x=a+c --slice camera --max-miss 40%@80% --val-predictions val.tsv \
        --prevalence-from unlabelled.tsv --title T --out "$1/e" >"$1/e.out" 2>"$1/e.err"
    echo $? >"$1/e.status"
    "$BIN/eval" --predictions - --bootstrap 0 --title T --out "$1/pipe" < <(cat p.tsv) >"$1/pipe.out" 2>"$1/pipe.err"
    echo $? >"$1/pipe.status"
    "$BIN/mine-errors" --predictions p.tsv -o "$1/m.tsv" --summary "$1/m.summary" 2>"$1/m.err"
    echo $? >"$1/m.status"
    "$BIN/mine-errors" --predictions p.tsv --margins margins.tsv --manifest manifest.tsv --truth truth.tsv --truth-report "$1/b.truth" \
        --budget 400 --filter both --review "$1/b.html" -o "$1/b.tsv" 2>"$1/b.err"
    echo $? >"$1/b.status"
    "$BIN/mine-errors" --filter low_normalized_margin -o "$1/q.tsv" < <(cat p.tsv) 2>"$1/q.err"
    echo $? >"$1/q.status"
}
run plain
is "$(cat plain/*.status | tr '\n' ' ')" "0 0 0 0 0 " "eval and mine-errors run: $(cat plain/*.err | head -c 300)"
WINNOW_SPILL=1 run spilled
out=$(diff -r plain spilled)
is "$out" "" "with all columns in files the output is the same"
WINNOW_SPILL=20k run some
out=$(diff -r plain some)
is "$out" "" "and with some of them"
TMPDIR=/nowhere WINNOW_SPILL=1 "$BIN/mine-errors" --predictions p.tsv -o m.tsv
is "$?" 0 "without a place for files, columns are in memory"
cmp -s m.tsv plain/m.tsv
ok $? "with the same output"
sed '2500s/^[^\t]*/17/' p.tsv >twice.tsv
must_fail 65 "row 2499: the same id as row 18" "a repeated id is named" env WINNOW_SPILL=1 "$BIN/mine-errors" --predictions twice.tsv -o m.tsv
must_fail 65 "row 2499: the same id as row 18" "by eval, too" env WINNOW_SPILL=1 "$BIN/eval" --predictions twice.tsv --out e
done_testing
