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
daily() { awk "BEGIN { printf \"%.0f\", $1 * $(value given per_10000/review x) }" | sed -E 's/([0-9])([0-9]{3})\b/\1,\2/g'; }
has "$(cat given/report.html)" "<div>$(daily 1) in all <small>" "and says how many pictures people see of 10,000 uploads"
has "$(cat given/report.html)" "<div>$(daily 0.5) each <small>" "and each of two moderators"
is "$(rows given/prevalence-x.tsv)" 52 "the curve has its thresholds"

missed=
for kind in "" -over; do
    "$BIN"/eval --predictions val$kind.tsv --out from$kind --view x=b+d --prevalence-from u$kind.tsv -j 1
    "$BIN"/eval --predictions val$kind.tsv --out again$kind --view x=b+d --prevalence-from u$kind.tsv -j 2
    cmp -s from$kind/metrics.tsv again$kind/metrics.tsv
    ok $? "threads change nothing$kind"
    for class in a b c d e; do
        share=$(awk -F'\t' -v c=$class 'NR > 1 { n += $2 == c } END { print n / (NR - 1) }' truth$kind.tsv)
        for metric in prevalence prevalence_black_box; do
            within "$share" "$(value from$kind $metric $class 4)" "$(value from$kind $metric $class 5)" || missed+="$metric of $class$kind is $share "
        done
    done
done
[ "$(wc -w <<<"$missed")" -le 5 ]
ok $? "of twenty 95 % intervals at most one does not hold its share${missed:+: $missed}"
grep -q "recalibrated: they do not mean" from-over/report.html
ok $? "scores that are too sure are recalibrated"

# Decisions: 197 positives of x may miss none at 2 %. Two copies of each are no more than one: with their groups named the
# thresholds stay, without they rise.
"$BIN"/eval --predictions truth.tsv --val-predictions val.tsv --out once --view x=b+d --max-miss 2% --max-wrong-block 3%@90% --no-report
awk -F'\t' -v OFS='\t' 'NR == 1 { print $0, "group"; next } { print $0, "g" $1; $1 = "copy" $1; print $0, "g" substr($1, 5) }' val.tsv >twice.tsv
cut -f1-7 twice.tsv >copies.tsv
for val in twice copies; do
    "$BIN"/eval --predictions truth.tsv --val-predictions $val.tsv --out $val --view x=b+d --max-miss 2% --max-wrong-block 3%@90% --no-report
done
is "$(value once guarantee/max_miss x 6) $(value once guarantee/miss_on_val x)" "197 0" "197 positives may miss none"
lowest=$(awk -F'\t' 'NR > 1 && ($2 == "b" || $2 == "d") { printf "%.10g\n", $4 + $6 }' val.tsv | sort -g | head -1)
is "$(value once threshold/review x)" "$lowest" "the threshold is the lowest positive's score"
is "$(grep -E '^(guarantee|threshold)/.*x' twice/metrics.tsv)" "$(grep -E '^(guarantee|threshold)/.*x' once/metrics.tsv)" "groups of copies count once"
within "$(value copies threshold/review x)" "$lowest" 1
ok $? "copies that no group names would pass for pictures"
is "$(awk -F'\t' -v t="$(value once threshold/block x)" 'NR > 1 && $2 != "b" && $2 != "d" { n++; k += $4 + $6 >= t - 1e-12 } END { print k / n }' truth.tsv)" \
    "$(awk "BEGIN { print $(value once guarantee/wrong_block_on_test x) }")" "the check on test is a count by hand"
"$BIN"/eval --predictions truth.tsv --val-predictions val.tsv --out rates --view x=b+d --max-miss 2% --max-wrong-block 3%@90% --prevalence b=0.001,d=0.001
is "$(awk "BEGIN { print $(value rates per_10000/allow x) + $(value rates per_10000/review x) + $(value rates per_10000/block x) }")" 10000 \
    "allow, review and block add up"
has "$(cat rates/report.html)" "<b>promised</b> by 0 of 197" "the report says on what the promise rests"

# Drift: between labelled shares and rare ones, and none between two halves of one file.
cut -f3- val.tsv >old.tsv
"$BIN"/eval --drift old.tsv u.tsv --val-predictions val.tsv >drift.tsv 2>line
is "$? $(wc -l <line)" "0 1" "drift prints one line"
has "$(cat line)" "rate of 'c'" "which names a class whose rate moved"
[ "$(rows drift.tsv)" = 15 ] && [ "$(awk -F'\t' '$NF == 1' drift.tsv | wc -l)" -ge 10 ]
ok $? "most measures of the classes moved"
awk 'NR == 1 || NR % 2' u.tsv >odd.tsv
awk 'NR == 1 || !(NR % 2)' u.tsv >even.tsv
"$BIN"/eval --drift odd.tsv even.tsv --val-predictions val.tsv --out halves 2>line
is "$? $(wc -c <line)" "0 0" "two halves differ in nothing that matters"
is "$(awk -F'\t' 'NR > 1 && !($5 <= 0 && $6 >= 0)' halves/drift.tsv)" "" "and every interval holds 0"
is "$(awk -F'\t' '$1 == "mean_score" && $2 == "b" { printf "%.9g", $4 }' halves/drift.tsv)" "$(awk -F'\t' 'NR > 1 { s += $2 } END { printf "%.9g", s / (NR - 1) }' even.tsv)" \
    "mean scores are means"
must_fail 65 "scores of another model" "drift between two models" "$BIN"/eval --drift old.tsv <(sed 's/p_c/p_x/' u.tsv)
must_fail 64 "takes two files" "drift of one file" "$BIN"/eval --drift old.tsv

# Costs: no pair of thresholds is cheaper on the rows that they are chosen on.
"$BIN"/eval --predictions val.tsv --val-predictions val.tsv --out cost --view x=b+d --prevalence b=0.01,d=0.02 --cost miss=50,review=1,block-wrong=10
python3 - val.tsv "$(value cost per_10000/cost x)" "$(value cost threshold/review x)" "$(value cost threshold/block x)" <<'P'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1]), delimiter="\t"))
n = {}
for r in rows:
    n[r["label"]] = n.get(r["label"], 0) + 1
rest = n["a"] + n["c"] + n["e"]
rate = {"b": 0.01, "d": 0.02, **{k: 0.97 * n[k] / rest for k in "ace"}}
data = [(round(float(r["p_b"]) + float(r["p_d"]), 12), r["label"] in "bd", rate[r["label"]] / n[r["label"]]) for r in rows]
def cost(review, block):
    return sum(w * ((10 if not bad else 0) if s >= block else 1 if s >= review else 50 if bad else 0) for s, bad, w in data)
got = float(sys.argv[2]) / 10000
assert abs(cost(float(sys.argv[3]), float(sys.argv[4])) - got) < 1e-9, got
scores = sorted({s for s, _, _ in data})
for review in scores[::9] + [9]:
    for block in [s for s in scores[::9] if s >= review] + [9]:
        assert cost(review, block) > got - 1e-12, (review, block)
P
ok $? "no thresholds are cheaper"
has "$(cat cost/report.html)" "<th scope=col>cost" "the report has their cost"
"$BIN"/eval --predictions val.tsv --val-predictions val.tsv --out free --view x=b+d --prevalence b=0.01,d=0.02 --cost miss=0,review=1 --no-report
is "$(value free threshold/review x) $(value free per_10000/cost x)" "inf 0" "where a miss costs nothing nobody looks"
must_fail 64 "takes miss=X" "costs without a review" "$BIN"/eval --predictions val.tsv --val-predictions val.tsv --out f --view x=b+d --prevalence b=0.01 --cost miss=5
must_fail 64 "needs --prevalence" "costs without rates" "$BIN"/eval --predictions val.tsv --val-predictions val.tsv --out f --view x=b+d --cost miss=5,review=1
must_fail 64 "needs --val-predictions" "costs without validation rows" "$BIN"/eval --predictions val.tsv --out f --view x=b+d --prevalence b=0.01 --cost miss=5,review=1
done_testing
