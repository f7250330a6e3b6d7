#!/usr/bin/env bash
# The whole flow on small pictures and a tiny network, over a real HTTP server: dataset, train, round; a rerun does nothing; a new
# URL costs only itself; killed at any moment and started again, the model folder is the same byte for byte.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/pipeline
evidence "$work/make.log"
mkdir -p "$work/web/www"
export BIN
unset MAKEFLAGS MAKELEVEL

python3 tests/tools/make_pictures.py "$work/pictures" 24 7
# Served under plain names, listed one file a label; some planted faults.
k=0
for label in stripes discs noise; do
    for f in "$work/pictures/$label"/*.png; do
        k=$((k + 1))
        name=$(printf '%03d.png' $k)
        cp "$f" "$work/web/www/$name"
        mkdir -p "$work/lists"
        echo "/$name" >>"$work/paths-$label"
    done
done
head -c $(($(stat -c %s "$work/web/www/070.png") / 2)) "$work/web/www/070.png" >"$work/web/www/torn.png"
echo '<!doctype html><title>gone</title>' >"$work/web/www/page.jpg"
cp "$work/web/www/002.png" "$work/web/www/copy.png"         # exact copy, same label
cp "$work/web/www/003.png" "$work/web/www/conflict.png"     # the same picture under another label
printf '/torn.png\n/page.jpg\n/copy.png\n/dead.png\n' >>"$work/paths-stripes"
printf '/conflict.png\n' >>"$work/paths-discs"

port=$(free_port)
pipelines/demo/serve start "$work/web" "$port" || { ok 1 "the web server starts"; done_testing; }
trap 'pipelines/demo/serve stop "$work/web"' EXIT
for label in stripes discs noise; do sed "s,^,http://127.0.0.1:$port," "$work/paths-$label" >"$work/lists/$label.txt"; done

settings() { # RUN
    cat <<CONF
include \$(PIPELINES)/default.conf
NAME = tiny
RUN = $1
SOURCES = $work/lists
FETCH_FLAGS = --allow-private --per-host 8 --rate 0 --ignore-robots
VALIDATE_FLAGS = --min-bytes 100 --max-bytes 10M
SPLIT_FLAGS = --val 0.2 --test 0.2
AUGMENT_FLAGS = --spec flip,shift=0.1
SIDE = 16
BASE = tests/fixtures/tiny-net/tfjs-float32
DEVICE = cpu
HEAD_FLAGS = --epochs 4 --batch 8 --lr 0.05 --threads 1 -v --boundary-cache f16 --unlock-from bn1
FINE_FLAGS = --epochs 2 --batch 8 --lr 0.01 --unlock-from c1 --threads 1
FOLDS = 3
EXPORTS = tfjs
CONF
}
go() { # SETTINGS TARGETS...: quiet, in its own process group
    local conf=$1
    shift
    make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$conf" "$@" >"$work/make.log" 2>&1
}
sums() { (cd "$1" && find round-*/fine/model round-*/head/model -type f | sort | xargs sha256sum); }

settings "$work/run" >"$work/a.conf"
go "$work/a.conf" dataset train
ok $? "make dataset train runs through"
made=$(column "$work/run/round-1/augmented.tsv" variant | grep -c '[1-9]')
has "$(cat "$work/make.log")" ", $made of them computed now" "phase head computes the $made variants alone: the pictures are in the cache that embed filled"
has "$(cat "$work/make.log")" "features of the test split: " "and of the test split"
has "$(grep 'features of the test split' "$work/make.log")" ", 0 of them computed now" "nothing"
[ -s "$work/run/round-1/features/info.tsv" ] && [ "$(tail -n +2 "$work/run/round-1/split.tsv" | wc -l)" = "$(tail -n +2 "$work/run/round-1/single.tsv" | wc -l)" ]
ok $? "what is split is what feature-dedup kept"
[ -s "$work/run/round-1/report.html" ] && [ -s "$work/run/round-1/suspects.tsv" ] && [ -s "$work/run/round-1/fine/model/model.json" ]
ok $? "model, report and suspects are there"
sums "$work/run" >"$work/sums"

reason() { awk -F'\t' -v url="/$2" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } index($at["url"], url) { print $at["reject_reason"] }' "$work/run/$1"; }
for want in "fetch.rejects.tsv dead.png http-404" "fetch.rejects.tsv page.jpg html-page" \
    "round-1/hash-dedup.rejects.tsv copy.png duplicate-row" "round-1/hash-dedup.rejects.tsv conflict.png label-conflict"; do
    # shellcheck disable=SC2086
    set -- $want
    got=$(reason "$1" "$2")
    [ "$got" = "$3" ]
    ok $? "$2 leaves with $3 (it says '$got')"
done
case $(reason validate.rejects.tsv torn.png) in decode-*) ok 0 "torn.png leaves at validate" ;; *) ok 1 "torn.png leaves at validate" ;; esac

# Nothing changed: no file is written again.
find "$work/run" -type f -printf '%p %T@\n' | sort >"$work/before"
go "$work/a.conf" dataset train
find "$work/run" -type f -printf '%p %T@\n' | sort >"$work/after"
cmp -s "$work/before" "$work/after"
ok $? "a rerun does nothing$(diff "$work/before" "$work/after" | head -3 | tr '\n' '|')"

is "$(rows "$work/run/round-1/single.tsv")" "$(rows "$work/run/round-1/distinct.tsv")" "copies by features stay in the set: they only share a group"
has "$(head -n 1 "$work/run/round-1/single.tsv")" keeper "and the table says of which picture they are copies"

# On request: pictures are measured for it, and nothing else is made again.
go "$work/a.conf" audit
is "$?:$(head -n 1 "$work/run/round-1/audit.tsv" | cut -f1-3)" "0:check	path	label" "make audit audits a set that was made without it"
has "$(grep -o '"n":[0-9]*,"accuracy":0' "$work/run/round-1/audit.html")" "\"n\":$(rows "$work/run/round-1/split.tsv")," "with features and predictions of all pictures"
find "$work/run" -type f -printf '%p %T@\n' | sort >"$work/before"
go "$work/a.conf" dataset train audit
find "$work/run" -type f -printf '%p %T@\n' | sort >"$work/after"
is "$(diff "$work/before" "$work/after")" "" "once only"

# A new URL: only it is downloaded.
python3 tests/tools/make_pictures.py "$work/more" 1 99
cp "$work/more/noise/000.png" "$work/web/www/new.png"
echo "http://127.0.0.1:$port/new.png" >>"$work/lists/noise.txt"
: >"$work/web/access.log"
sleep 1.1   # make compares whole seconds on some file systems
touch "$work/lists/noise.txt"
go "$work/a.conf" dataset train
ok $? "a URL more: dataset and train go through again"
[ "$(grep -c 'GET' "$work/web/access.log")" -le 2 ] && grep -q 'new.png' "$work/web/access.log"
ok $? "only the new URL (and what is due again) was asked for: $(grep -c GET "$work/web/access.log") requests"

# Without the base's weights, and without the step.
settings "$work/bare" | sed 's/^BASE = .*/BASE = no-such-model/' >"$work/d.conf"
go "$work/d.conf" dataset
has "$?:$(cat "$work/make.log")" "0:make: no model 'models/base/no-such-model/model.json': copies are looked for by hashes alone" "without the base's weights it says so and goes on"

# An ONNX file as the base, from the list to the exports: its size, and what preprocessor_config.json beside it says.
mkdir -p "$work/base"
cp tests/fuzz/corpus/onnx/plain.onnx "$work/base/net.onnx"
echo '{"size": {"shortest_edge": 10}, "do_center_crop": true, "crop_size": 8, "resample": 3, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.25, 0.25, 0.25]}' >"$work/base/preprocessor_config.json"
if "$BIN/export" --model "$work/base/net.onnx" --to onnx -o "$work/base/again.onnx" -q 2>/dev/null; then
    settings "$work/from-onnx" | sed -E "s,^BASE = .*,BASE = $work/base/net.onnx,; s/^SIDE = .*/SIDE =/; s/--(boundary-cache|unlock-from) [a-z0-9]+//g" >"$work/e.conf"
    is "$(pipelines/settings --get SIDE,RESIZE "$work/e.conf" | paste -sd'|')" "8|bicubic+10" "an ONNX file as BASE says size and resizing"
    go "$work/e.conf" dataset train
    is "$?:$(cut -f1 "$work/from-onnx/round-1/features/info.tsv" | grep -c .)" "0:7" "make dataset train starts from an ONNX file"
    has "$(cat "$work/from-onnx/round-1/shards/index.tsv" "$work/from-onnx/round-1/fine/model/model.json")" bicubic+10 "and its model keeps how it wants pictures"
    find "$work/from-onnx" -type f -printf '%p %T@\n' | sort >"$work/before"
    go "$work/e.conf" dataset train
    find "$work/from-onnx" -type f -printf '%p %T@\n' | sort >"$work/after"
    is "$(diff "$work/before" "$work/after")" "" "a rerun does nothing"
    echo damaged >"$work/base/net.onnx"
    go "$work/e.conf" dataset train
    is "$?:$(grep -c "e.conf:[0-9]*: BASE is refused: " "$work/make.log")" "2:1" "a damaged one is refused in one line: $(tail -n 1 "$work/make.log")"
    rm "$work/base/net.onnx"
    go "$work/e.conf" train
    has "$?:$(cat "$work/make.log")" "no model '$work/base/net.onnx': BASE names" "and one that is not there"
else
    skip "an ONNX file as BASE" "this build reads no ONNX"
fi
{ settings "$work/off"; echo "FEATURE_DEDUP = off"; } >"$work/d.conf"
go "$work/d.conf" dataset
is "$?:$(cat "$work/make.log"):$(ls "$work/off/round-1" | grep -cE 'single|features')" "0::0" "FEATURE_DEDUP = off leaves the step out"

# Killed with SIGKILL again and again, then finished: the same models as an undisturbed run.
{ settings "$work/whole"; echo "AUDIT = on"; } >"$work/b.conf"
go "$work/b.conf" dataset train
sums "$work/whole" >"$work/sums-whole"
has "$(head -n 1 "$work/whole/valid.tsv")" blurriness "AUDIT = on: validate measures the pictures"
[ -s "$work/whole/round-1/audit.tsv" ] && [ ! -e "$work/whole/round-1/measured.tsv" ] && grep -q '"accuracy":0' "$work/whole/round-1/audit.html"
ok $? "and the set is audited once the folds have said what they think"
has "$(head -n 1 "$work/whole/round-1/suspects.tsv")" distance "suspects know how alike they are"
{ settings "$work/killed"; echo "AUDIT = on"; } >"$work/c.conf"
for moment in 0.1 0.3 0.5 0.7 0.9 1.2 1.6; do
    setsid make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$work/c.conf" dataset train >"$work/killed.log" 2>&1 &
    pid=$!
    sleep $moment
    kill -9 -- -$pid 2>/dev/null
    wait $pid 2>/dev/null
done
go "$work/c.conf" dataset train
ok $? "after seven kills the run goes through"
sums "$work/killed" >"$work/sums-killed"
cmp -s "$work/sums-whole" "$work/sums-killed" && [ -s "$work/sums-whole" ]
ok $? "its models equal the undisturbed run's, byte for byte"
[ -z "$(find "$work/killed" -name '*.tmp' | head -1)" ]
ok $? "no temporary is left behind$(find "$work/killed" -name '*.tmp' | head -2 | tr '\n' ' ')"

# A round: one decision moves a picture, and the next round sees it.
picked=$(awk -F'\t' 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["label"] == "stripes" { print $at["xxh128"]; exit }' "$work/whole/round-1/split.tsv")
printf 'id\tdecision\tlabel\treviewer\tdate\n%s\trelabel\tdiscs\ttest\t2026-01-01\n' "$picked" >"$work/decisions.tsv"
go "$work/b.conf" DECISIONS_FROM="$work/decisions.tsv" round
ok $? "make round goes through"
got=$(awk -F'\t' -v id="$picked" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["xxh128"] == id { print $at["label"], $at["label_given"] }' "$work/whole/round-2/split.tsv" 2>/dev/null)
[ "$got" = "discs stripes" ]
ok $? "the decision is in round 2 (label and label_given: '$got')"
# Reports from users: slices, suspects and "is it fixed?" of the round at hand.
mkdir -p "$work/reports"
r2=$work/whole/round-2
of_split() { awk -F'\t' -v split_name="$1" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["split"] == split_name { print $at["xxh128"], $at["label"]; exit }' "$r2/split.tsv"; }
read -r test_id _ <<<"$(of_split test)"
read -r train_id train_label <<<"$(of_split train)"
for other in stripes discs noise; do [ "$other" = "$train_label" ] || break; done
now=$(awk -F'\t' -v id="$test_id" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["id"] == id { print $at["pred"] }' "$r2/eval/predictions.tsv")
printf 'id\tpdq\tmodel_id\tpred\tclaimed_label\tslice\n%s\t\tm1\tother\t%s\tdark\n' "$test_id" "$now" >"$work/reports/a.tsv"
printf 'id\tpdq\tmodel_id\tpred\tclaimed_label\tslice\n%s\t\tm1\t%s\t%s\tdark\n' "$train_id" "$train_label" "$other" >"$work/reports/b.tsv"
printf 'no report\n' >"$work/reports/bad.tsv"
{ cat "$work/b.conf"; echo "REPORTS = $work/reports"; } >"$work/reports.conf"
go "$work/reports.conf" train
ok $? "make train takes the reports in"
[ "$(grep -c "bad.tsv' is left out" "$work/make.log")" = 1 ]
ok $? "a file that is not a report is named once"
row() { awk -F'\t' -v OFS=, -v id="$1" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["id"] == id { print $at["label_claimed"], $at["pred"], $at["fixed"] }' "$r2/reports.tsv"; }
[ "$(row "$test_id")" = "$now,$now,1" ]
ok $? "the report about a test picture counts as fixed ($(row "$test_id"))"
case $(row "$train_id") in "$other","$other",1 | "$other",*,0) ok 0 "the other one says what the model says now" ;; *) ok 1 "the other one: $(row "$train_id")" ;; esac
grep -q 'Reports from users' "$r2/report.html" && grep -q "^reports_fixed		" "$r2/metrics.tsv" && grep -q '^slice_accuracy	dark	' "$r2/metrics.tsv"
ok $? "the report page, metrics.tsv and the slice 'dark' tell of them"
awk -F'\t' -v id="$train_id" 'FNR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } $at["id"] == id && $at["method"] ~ /reports/ { found = 1 } END { exit !found }' "$r2/suspects.tsv"
ok $? "the doubted label is a suspect"
printf 'id\tdecision\tlabel\treviewer\tdate\n%s\trelabel\tcats\ttest\t2026-01-01\n' "$picked" >"$work/wrong.tsv"
go "$work/b.conf" DECISIONS_FROM="$work/wrong.tsv" round
[ $? != 0 ] && grep -q cats "$work/make.log"
ok $? "an unknown class in decisions.tsv is an error that names it"

done_testing
