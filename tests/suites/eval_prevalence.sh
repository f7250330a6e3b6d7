#!/usr/bin/env bash
# Rates of classes: per_10000 rows add up, agree with a count by hand, and hold the truth where it is known.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
scores=$TOP/tests/fixtures/prevalence/scores
# A fixture's scores as predictions of five named classes.
named() {
    awk -F'\t' -v OFS='\t' 'BEGIN { split("a b c d e", c, " ") }
        NR == 1 { print "id", "label", "p_a", "p_b", "p_c", "p_d", "p_e"; next } { print $1, c[$2 + 1], $3, $4, $5, $6, $7 }' "$scores/$1.tsv"
}
value() { awk -F'\t' -v m="$2" -v k="$3" -v c="${4:-3}" '$1 == m && $2 == k { print $c }' "$1/metrics.tsv"; }
named validation-0500-calibrated >val.tsv
named unlabelled-5000-calibrated-rare >truth.tsv
named validation-0500-overconfident >val-over.tsv
named unlabelled-5000-overconfident-rare >truth-over.tsv
cut -f3- truth.tsv >u.tsv
cut -f3- truth-over.tsv >u-over.tsv

within() { awk -v x="$1" -v l="$2" -v h="$3" 'BEGIN { exit !(l <= x && x <= h && l < h) }'; }

"$BIN"/eval --predictions val.tsv --out given --view x=b+d --prevalence b=0.01,d=0.02 --threshold 0.4
is "$(awk "BEGIN { print $(value given per_10000/allow x) + $(value given per_10000/review x) }")" 10000 "review and allow add up"
# Each class's share at or above the threshold, weighted by its rate; the classes that are left out share 0.97 by their rows.
awk -F'\t' 'NR > 1 { n[$2]++; if ($4 + $6 >= 0.4) f[$2]++ }
    END {
        rest = n["a"] + n["c"] + n["e"]
        right = 0.01 * f["b"] / n["b"] + 0.02 * f["d"] / n["d"]
        wrong = 0.97 * (f["a"] + f["c"] + f["e"]) / rest
        printf "%.9g %.9g %.9g", 10000 * (right + wrong), 10000 * (0.03 - right), right / (right + wrong)
    }' val.tsv >by-hand
is "$(printf '%.9g %.9g %.9g' "$(value given per_10000/review x)" "$(value given per_10000/missed x)" "$(value given precision_at_prevalence x)")" \
    "$(cat by-hand)" "review, missed and precision are those by hand"
for metric in per_10000/review per_10000/missed per_10000/false_alarm precision_at_prevalence; do
    within "$(value given $metric x)" "$(value given $metric x 4)" "$(value given $metric x 5)"
    ok $? "the interval of $metric holds it"
done
has "$(cat given/report.html)" "next 100,000 uploads" "the report has the table"
is "$(rows given/prevalence-x.tsv)" 52 "the curve has its thresholds"

for kind in "" -over; do
    "$BIN"/eval --predictions val$kind.tsv --out from$kind --view x=b+d --prevalence-from u$kind.tsv -j 1
    "$BIN"/eval --predictions val$kind.tsv --out again$kind --view x=b+d --prevalence-from u$kind.tsv -j 2
    cmp -s from$kind/metrics.tsv again$kind/metrics.tsv
    ok $? "threads change nothing$kind"
    for class in a b c d e; do
        share=$(awk -F'\t' -v c=$class 'NR > 1 { n += $2 == c } END { print n / (NR - 1) }' truth$kind.tsv)
        for metric in prevalence prevalence_black_box; do
            within "$share" "$(value from$kind $metric $class 4)" "$(value from$kind $metric $class 5)"
            ok $? "$metric of $class$kind holds $share"
        done
    done
done
grep -q "recalibrated: they do not mean" from-over/report.html
ok $? "scores that are too sure are recalibrated"
done_testing
