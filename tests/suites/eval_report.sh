#!/usr/bin/env bash
# What eval and mine-errors write for people and machines: the same bytes every time, whole or not at all, nothing from data that could
# run, and sensible behaviour without gnuplot.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
python3 - <<'P'
import random
random.seed(4)
names = ["cat", "<script>alert(1)</script>", "a`touch pwned`b", "d'e\"f&"]
with open("P.tsv", "w") as f:
    f.write("path\tid\tlabel\tcamera\t" + "\t".join("p_" + c for c in names) + "\n")
    for i in range(600):
        t = random.randrange(4)
        w = [random.random() + (3 if k == t else 0) for k in range(4)]
        s = sum(w)
        given = t if random.random() < 0.9 else random.randrange(4)
        f.write("pics/<img src=x onerror=alert(%d)>.jpg\t%032x\t%s\t%s\t%s\n" % (
            i, random.getrandbits(128), names[given], random.choice(["<b>old</b>", "new"]), "\t".join("%.9g" % (x / s) for x in w)))
P
printf 'epoch\ttrain_loss\tval_loss\ttrain_accuracy\tval_accuracy\n0\t\t1.1\t\t0.5\n1\t0.9\t0.8\t0.6\t0.7\n2\t0.5\t0.7\t0.8\t0.75\n' >log.tsv
"$BIN/eval" --predictions P.tsv --out one --log log.tsv --title '<i>t</i>' --view 'x=cat' -j1 >out 2>err
ok $? "eval ends well"
[ ! -s out ] && [ ! -s err ]
ok $? "eval says nothing"
"$BIN/eval" --predictions P.tsv --out two --log log.tsv --title '<i>t</i>' --view 'x=cat' -j4
diff -r one two >/dev/null
ok $? "the same bytes for -j1 and -j4"
"$BIN/eval" --predictions - --out three --log log.tsv --title '<i>t</i>' --view 'x=cat' <P.tsv && cmp -s one/metrics.tsv three/metrics.tsv && cmp -s one/report.html three/report.html
ok $? "the same from standard input"
! grep -q '<script\|<img src=x\|<b>old\|<i>t' one/report.html && grep -q '&lt;script&gt;' one/report.html
ok $? "nothing from data is markup in the report"
[ ! -e pwned ] && [ ! -e one/pwned ]
ok $? "nothing from data reaches a shell"
grep -q "default-src 'none'" one/report.html && ! grep -qE '(src|href)=.?(https?:)?//' one/report.html
ok $? "the report has a policy and fetches nothing"
if command -v gnuplot >/dev/null; then
    [ "$(grep -o '<figure>' one/report.html | wc -l)" = 7 ]
    ok $? "seven plots"
else
    skip "seven plots" "no gnuplot"
fi
mkdir empty
PATH=$PWD/empty "$BIN/eval" --predictions P.tsv --out four --view x=cat && grep -q 'gnuplot is not installed' four/report.html && cmp -s one/metrics.tsv four/metrics.tsv
ok $? "without gnuplot: the page says so, the numbers are the same"
printf '#!/bin/sh\nexit 3\n' >empty/gnuplot && chmod +x empty/gnuplot
PATH=$PWD/empty:$PATH "$BIN/eval" --predictions P.tsv --out five && grep -q 'gnuplot failed' five/report.html
ok $? "with a gnuplot that fails: the page says so"
# Reports from users: what the predictions at hand say counts, else what the file says; nothing of them is markup.
id=$(sed -n 2p P.tsv | cut -f2)
now=$(awk -F'\t' 'NR == 2 { best = 5; for (k = 6; k <= 8; k++) if ($k > $best) best = k; print best - 4 }' P.tsv)
claim=$(head -1 P.tsv | cut -f$((now + 4)) | sed 's/^p_//')
printf 'id\tlabel_claimed\tslices\treports\tpred_reported\tpred\n%s\t%s\t<u>dark</u>\t1200\tcat\tcat\n%032x\tcat\t\t1\t\tdog\n%032x\tcat\t\t1\t\t\n' "$id" "$claim" 1 2 >users.tsv
"$BIN/eval" --predictions P.tsv --out users --reports users.tsv --worst 0 && grep -q 'Reports from users' users/report.html && grep -q '1 of 2 are fixed' users/report.html &&
    grep -q '&lt;u&gt;dark' users/report.html && grep -q '>1,200<' users/report.html && grep -q 'None shown' users/report.html
ok $? "reports from users: fixed or not, counts with separators, escaped"
awk -F'\t' '$1 == "reports_fixed" { exit !($3 == 0.5 && $6 == 2 && $4 < 0.1 && $5 > 0.9) }' users/metrics.tsv
ok $? "and a share with its interval in metrics.tsv"
awk -F'\t' -v OFS='\t' 'NR == 1 { print } NR > 1 { best = 5; for (k = 6; k <= 8; k++) if ($k > $best) best = k; $3 = name[best]; print } NR == 1 { for (k = 5; k <= 8; k++) name[k] = substr($k, 3) }' P.tsv >right.tsv
"$BIN/eval" --predictions right.tsv --out right && grep -q 'every prediction is the given label' right/report.html && awk -F'\t' '$1 == "accuracy" { exit !($3 == 1 && $4 > 0.98 && $4 < 1 && $5 == 1) }' right/metrics.tsv
ok $? "no mistakes: the report says so, and accuracy has Wilson's interval"
"$BIN/mine-errors" --predictions P.tsv --review review.html --title '</title><script>alert(1)</script>' -o s.tsv
ok $? "mine-errors writes the page"
[ "$(grep -c '<script' review.html)" = 2 ] && ! grep -q 'alert(1)</script>' review.html
ok $? "nothing from data is markup in the review page"
python3 - review.html <<'P'
import base64, hashlib, json, re, sys
page = open(sys.argv[1], encoding="utf-8").read()
policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
script = re.findall(r"<script>(.*?)</script>", page, re.S)
style = re.findall(r"<style>(.*?)</style>", page, re.S)
digest = lambda s: "'sha256-" + base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() + "'"
assert len(script) == 1 and len(style) == 1
assert "script-src " + digest(script[0]) in policy and "style-src " + digest(style[0]) in policy and "default-src 'none'" in policy
data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))
rows = [line.split("\t") for line in open("s.tsv", encoding="utf-8").read().split("\n")[1:] if line]
assert [r[0] for r in data["rows"]] == [r[1] for r in rows] and len(rows) > 20
P
ok $? "the policy names the script and the style by hash; the data are the suspects in their order"
"$BIN/mine-errors" --predictions P.tsv --review review2.html --title '</title><script>alert(1)</script>' -o s2.tsv && cmp -s review.html review2.html && cmp -s s.tsv s2.tsv
ok $? "the same bytes again"
echo old >keep.tsv
(ulimit -f 1; trap '' XFSZ; "$BIN/mine-errors" --predictions P.tsv --filter predicted_neq_given -o keep.tsv 2>err); rc=$?
[ $rc = 74 ] && [ "$(cat keep.tsv)" = old ]
ok $? "a file that cannot be written leaves the old one (exit $rc)"
"$BIN/eval" --predictions P.tsv --out one/metrics.tsv/x 2>err
[ $? = 73 ]
ok $? "a folder that cannot be made is exit 73"
head -c 5000 P.tsv | "$BIN/mine-errors" -o cut.tsv 2>err
[ $? = 65 ] && [ ! -e cut.tsv ]
ok $? "a cut-off file leaves nothing"
# Metamorphic: rows in another order give the same metrics and the same suspects.
(head -1 P.tsv; tail -n +2 P.tsv | sort -t"$(printf '\t')" -k2) >sorted.tsv
"$BIN/mine-errors" --predictions sorted.tsv | cut -f2 >a; "$BIN/mine-errors" --predictions P.tsv | cut -f2 >b
cmp -s a b
ok $? "the order of rows does not change the suspects"
"$BIN/eval" --predictions P.tsv --out e1 --no-report --bootstrap 0; "$BIN/eval" --predictions sorted.tsv --out e2 --no-report --bootstrap 0
python3 - <<'P'
a, b = ([l.split("\t") for l in open(f + "/metrics.tsv")] for f in ("e1", "e2"))
number = lambda s: float(s) if s else None
flat = lambda t: {(r[0], r[1]): r[2] for r in t}
x, y = flat(a), flat(b)
assert x.keys() == y.keys()
for k in x:
    for u, v in zip(x[k].split(), y[k].split()):
        # Bins of equal size may cut ties differently when rows move.
        assert k[0] == "metric" or "equal-mass" in k[1] or u == v or abs(float(u) - float(v)) < 1e-9, (k, u, v)
P
ok $? "the order of rows does not change the metrics"
for t in 0.2 0.8; do "$BIN/eval" --predictions P.tsv --out flags$t --view x=cat --threshold $t --no-report; done
flagged() { awk -F'\t' '$1 == "ALL" && $2 == "flag_rate" { n += $3 } END { print n + 0 }' "$1/slices-x.tsv"; }
[ "$(flagged flags0.2)" -gt "$(flagged flags0.8)" ]
ok $? "--threshold is where a view begins to flag: $(flagged flags0.2) pictures from 0.2 on, $(flagged flags0.8) from 0.8 on"
done_testing
