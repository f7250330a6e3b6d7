#!/usr/bin/env bash
# train-test-split: stable, never tears a group, small classes, folds, --previous, --exact, --check.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
python3 - <<'P'
import random
r = random.Random(11)
with open("all.tsv", "w") as f:
    f.write("path\tlabel\tgroup\textra\n")
    for i in range(6000):
        f.write("p%d.jpg\t%s\t%s\t%d\n" % (i, r.choice(["cat", "dog", "cat", "bird"]), "g%d" % r.randrange(4500) if i % 3 else "", i))
    for i in range(4):
        f.write("few%d.jpg\trare\tfew%d\t\n" % (i, i))
    f.write("one.jpg\tsingle\tonly\t\n")
P
train-test-split --folds 5 -o split.tsv all.tsv
ok $? "runs"
train-test-split --folds 5 all.tsv | cmp -s - split.tsv && cat all.tsv | train-test-split --folds 5 | cmp -s - split.tsv
ok $? "file, standard input and -o give the same bytes"
cut -f1-4 split.tsv | cmp -s - all.tsv
ok $? "rows and columns pass through in place"
train-test-split --check split.tsv >torn.tsv
[ $? = 0 ] && [ "$(wc -l <torn.tsv)" = 1 ]
ok $? "no group is torn, in splits and folds"
[ "$(awk -F'\t' 'NR > 1 { if ($5 == "test" ? $6 != "" : $6 !~ /^[0-4]$/) print }' split.tsv | wc -l)" = 0 ]
ok $? "folds are 0..4 for train and val, empty for test"
share() { awk -F'\t' -v s="$2" 'NR > 1 { n++; k += $5 == s } END { printf "%d\n", 1000 * k / n }' "$1"; }
t=$(share split.tsv test) v=$(share split.tsv val)
[ "$t" -gt 80 ] && [ "$t" -lt 120 ] && [ "$v" -gt 80 ] && [ "$v" -lt 120 ]
ok $? "shares are about a tenth ($t and $v per mille)"
[ "$(awk -F'\t' '$2 == "rare" { print $5 }' split.tsv | sort -u | wc -l)" = 3 ]
ok $? "a class of four groups has one in each part"
[ "$(awk -F'\t' '$2 == "single" { print $5 }' split.tsv)" = train ]
ok $? "a class of one group is for training"
# The first half of the data, with its own few, is where it is in the whole.
(head -n 1 all.tsv; tail -n +2 all.tsv | head -n 2500) | train-test-split | tail -n +2 | cut -f1,5 | sort >half
tail -n +2 split.tsv | cut -f1,5 | sort | join -t'	' half - | awk -F'\t' '$2 != $3' >moved
[ ! -s moved ]
ok $? "pictures that are added move none of the old ones"
(head -n 1 all.tsv; tail -n +2 all.tsv | shuf --random-source=<(yes)) | train-test-split | tail -n +2 | sort >a
train-test-split all.tsv | tail -n +2 | sort | cmp -s - a
ok $? "the order of the rows does not matter"
train-test-split --seed 2 all.tsv | tail -n +2 | sort | cmp -s - a
[ $? = 1 ]
ok $? "another seed, another split"
train-test-split --exact --val 0.2 --test 0.2 -o exact.tsv all.tsv
[ "$(awk -F'\t' 'NR > 1 && $2 != "rare" && $2 != "single" { n[$2]++; t[$2] += $5 == "test"; v[$2] += $5 == "val" } END { for (l in n) { d = t[l] / n[l] - 0.2; e = v[l] / n[l] - 0.2; if (d < -0.02 || d > 0.02 || e < -0.02 || e > 0.02) print l, d, e } }' exact.tsv | wc -l)" = 0 ]
ok $? "--exact meets the shares in every label"
train-test-split --check exact.tsv >/dev/null
ok $? "--exact tears no group"
train-test-split --seed 9 --previous split.tsv all.tsv | tail -n +2 | cut -f1,5 | sort >kept
tail -n +2 split.tsv | cut -f1,5 | sort | cmp -s - kept
ok $? "--previous holds every picture where it was, whatever the seed"
awk -F'\t' -v OFS='\t' 'NR == 2 { $5 = $5 == "train" ? "test" : "train" } { print }' split.tsv >broken.tsv
# Row 2 has to share its group with another row for this to tear it.
g=$(awk -F'\t' 'NR > 1 && $3 != "" { c[$3]++ } END { for (k in c) if (c[k] > 1) { print k; exit } }' split.tsv)
awk -F'\t' -v OFS='\t' -v g="$g" '$3 == g && !done { $5 = $5 == "train" ? "test" : "train"; $6 = ""; done = 1 } { print }' split.tsv >broken.tsv
train-test-split --check broken.tsv >torn.tsv 2>err
[ $? = 1 ] && [ "$(tail -n +2 torn.tsv | cut -f3 | sort -u)" = "$g" ] && grep -q "more than one split" err
ok $? "--check finds a torn group and shows its rows"
must_fail 65 "no column 'group'" "a manifest without groups is refused" train-test-split <<<$'path\tlabel\na\tb'
printf 'path\tlabel\na\tb\n' | train-test-split --group-by path >/dev/null
ok $? "--group-by takes another column"
# --- one group that holds much of a class
films() { # SIZE: a class of 100 with one group of SIZE, beside a class of single pictures
    printf 'path\tlabel\tgroup\n'
    for ((i = 0; i < 100; i++)); do printf 'a/%d.jpg\tcat\t%s\nb/%d.jpg\tdog\td%d\n' $i "$([ $i -lt "$1" ] && echo film || echo "g$i")" $i $i; done
}
films 60 >film.tsv
outside=0 quiet=0
for seed in $(seq 12); do
    train-test-split --seed "$seed" --val 0.1 --test 0.2 film.tsv 2>err | awk -F'\t' '$3 == "film" && $4 != "train"' | grep -q . && outside=$((outside + 1))
    [ -s err ] && quiet=$((quiet + 1))
done
is "$outside $quiet" "0 0" "a group that holds most of a class is always trained on, without a word"
films 45 >film.tsv
for seed in $(seq 30); do
    train-test-split --seed "$seed" --val 0.1 --test 0.2 -o some.tsv film.tsv 2>err
    awk -F'\t' '$3 == "film" && $4 == "test"' some.tsv | grep -q . && break
done
has "$(cat err)" "class 'cat': training gets" "one of 45 in the test split leaves the class short, and that is said: $(cat err)"
has "$(cat err)" "one group of 45 is in test" "with the group's size and place"
{ printf 'path\tlabel\tgiven_split\n'; for i in $(seq 30); do printf '%d.jpg\tcat\t%s\n' "$i" "$([ "$i" -le 10 ] && echo train || echo test)"; done; } |
    train-test-split --group-by path >placed.tsv 2>err
is "$(cat err)" "" "a small training split that somebody placed so is not blamed on the seed"
must_fail 64 'nothing to train on' "nothing left to train on is a usage error" train-test-split --val 0.5 --test 0.5 all.tsv
must_fail 65 nonsense "--check refuses an unknown split" train-test-split --check <<<$'path\tlabel\tgroup\tsplit\na\tb\tc\tnonsense'
done_testing
