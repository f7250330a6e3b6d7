#!/usr/bin/env bash
# A week of nights: a source server that changes, faked dates, a gate that holds, a server that is away, a run already at work.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
work=$TMPDIR/cron
evidence "$work/out"
mkdir -p "$work/web/www" "$work/lists"
export BIN
unset MAKEFLAGS MAKELEVEL
# The programs' builds are known: make must not look for newer sources at a faked date.
export MAKE="make BUILD=$BUILD BIN=$BIN"

python3 tests/tools/make_pictures.py "$work/pictures" 30 11
port=$(free_port)
serve() { # LABEL FROM TO: these pictures appear on the server and in the list
    for ((i = $2; i <= $3; i++)); do
        name=$1-$(printf '%03d' "$i").png
        cp "$work/pictures/$1/$(printf '%03d' "$i").png" "$work/web/www/$name"
        echo "http://127.0.0.1:$port/$name" >>"$work/lists/$1.txt"
    done
}
for label in stripes discs noise; do serve $label 0 14; done
pipelines/demo/serve start "$work/web" "$port" || { ok 1 "the web server starts"; done_testing; }
trap 'pipelines/demo/serve stop "$work/web"' EXIT
conf() { # GATES
    cat >"$work/my.conf" <<CONF
include \$(PIPELINES)/default.conf
NAME = cron
RUN = $work/run
SOURCES = $work/lists
FETCH_FLAGS = --allow-private --per-host 8 --rate 0 --ignore-robots
VALIDATE_FLAGS = --min-bytes 100 --max-bytes 10M
SPLIT_FLAGS = --val 0.2 --test 0.3
AUGMENT_VARIANTS = 0
SIDE = 16
BASE = tests/fixtures/tiny-net/tfjs-float32
DEVICE = cpu
HEAD_FLAGS = --epochs 3 --batch 8 --lr 0.05 --threads 1
FINE_FLAGS = --epochs 1 --batch 8 --lr 0.001 --unlock-from c1 --threads 1
FOLDS = 3
EXPORTS = tfjs
MIN_NEW = 5
KEEP = 2
KEEP_LOGS = 3
GATES = $1
CONF
}
touch -d '2026-03-01' "$work"
night() { # DAY: runs as cron would; status in $status, words in out
    if command -v faketime >/dev/null; then
        faketime "2026-03-0$1 02:17:00" pipelines/cron/nightly "$work/my.conf" >"$work/out" 2>&1
    else
        pipelines/cron/nightly "$work/my.conf" >"$work/out" 2>&1
    fi
    status=$?
}
published() { readlink "$work/run/published"; }

conf "'accuracy >= old - 1'"
night 1
[ $status = 0 ] && grep -q published "$work/out" && [ "$(published)" = round-1/fine/model ]
ok $? "night 1: the first model is published ($(wc -l <"$work/out") lines said, status $status)"
night 2
[ $status = 0 ] && [ ! -s "$work/out" ] && [ "$(published)" = round-1/fine/model ]
ok $? "night 2: nothing new: silent"
# Two weeks of uploads without labels: one line when they have changed, once, and a line about tables of another model.
mkdir "$work/scores"
awk -v OFS='\t' 'BEGIN { print "path", "p_discs", "p_noise", "p_stripes"; for (i = 0; i < 400; i++) print i, 0.9, 0.05, 0.05 }' >"$work/scores/w1.tsv"
awk -v OFS='\t' 'BEGIN { print "path", "p_discs", "p_noise", "p_stripes"; for (i = 0; i < 400; i++) print i, i % 4 ? 0.9 : 0.05, 0.05, i % 4 ? 0.05 : 0.9 }' >"$work/scores/w2.tsv"
echo "SCORES = $work/scores" >>"$work/my.conf"
night 2
[ $status = 0 ] && [ "$(wc -l <"$work/out")" = 1 ] && grep -q '^uploads changed since w1: .*points' "$work/out"
ok $? "the uploads changed: one line ($(head -c 200 "$work/out"))"
night 2
[ $status = 0 ] && [ ! -s "$work/out" ]
ok $? "which is said once"
sed '1s/p_noise/p_other/' "$work/scores/w2.tsv" >"$work/scores/w3.tsv"
night 2
[ $status = 0 ] && [ "$(wc -l <"$work/out")" = 1 ] && grep -q "^uploads were not compared: " "$work/out"
ok $? "scores of another model: $(head -c 200 "$work/out")"
serve stripes 15 16
night 3
[ $status = 0 ] && [ ! -s "$work/out" ] && [ "$(published)" = round-1/fine/model ]
ok $? "night 3: two new pictures are not enough: silent"
for label in stripes discs noise; do serve $label 17 21; done
night 4
[ $status = 0 ] && [ "$(published)" = round-2/fine/model ] && [ -f "$work/run/published/model.json" ]
ok $? "night 4: enough is new: trained and published"
grep -qE '^new: 17 pictures came, 0 went, 62 are there; fetching took [0-9]+ s, the data set [0-9]+ s, training [0-9]+ s$' "$work/out"
ok $? "and says how much was new and how long it took ($(grep '^new:' "$work/out"))"
for label in stripes discs noise; do serve $label 22 25; done
conf "'accuracy >= 1.5'"
night 5
[ $status = 1 ] && [ "$(published)" = round-2/fine/model ] && grep -q 'gate holds' "$work/out"
ok $? "night 5: the gate holds: status $status, the published model stays"
pipelines/demo/serve stop "$work/web"
for label in stripes discs noise; do
    for i in 26 27 28; do echo "http://127.0.0.1:$port/$label-0$i.png" >>"$work/lists/$label.txt"; done
done
conf "'accuracy >= old - 1'"
night 6
[ "$(published)" = round-2/fine/model ] && [ -f "$work/run/published/model.json" ]
ok $? "night 6: the server is away: the published model stays (status $status)"
pipelines/demo/serve start "$work/web" "$port"
for label in stripes discs noise; do
    for i in 26 27 28; do cp "$work/pictures/$label/0$i.png" "$work/web/www/$label-0$i.png"; done
done
printf 'id\tdecision\tlabel\treviewer\tdate\n' >"$work/run/round-1/decisions.tsv"
night 7
[ $status = 0 ] && [ "$(published)" != round-2/fine/model ] && [ -f "$work/run/published/model.json" ]
ok $? "night 7: the server is back: its pictures are fetched, trained on, published as $(published)"
[ "$(find "$work/run" -maxdepth 2 -path '*/round-*/shards' | wc -l)" -le 3 ] && [ ! -e "$work/run/round-1/shards" ]
ok $? "old rounds are gone: $(find "$work/run" -maxdepth 1 -name 'round-*' -printf '%f ')"
[ "$(ls "$work/run/round-1")" = decisions.tsv ]
ok $? "an old round's decisions stay: $(ls "$work/run/round-1" 2>&1 | tr '\n' ' ')"
[ "$(find "$work/run/log" -name '*.log' | wc -l)" -le 3 ]
ok $? "old logs are gone: $(find "$work/run/log" -name '*.log' | wc -l) left"
( flock 9; night 8; echo $status >"$work/status" ) 9>"$work/run/nightly.lock"
[ "$(cat "$work/status")" = 75 ]
ok $? "a second run at once: status 75"
# --- a host changes its mind: the next night trains without the picture, though one is less than MIN_NEW ---
sed -i 's/ --ignore-robots//' "$work/my.conf"
echo 'RIGHTS_CHANGED = takedown' >>"$work/my.conf"
night 8
[ $status = 0 ] && [ ! -s "$work/out" ]
ok $? "a host that is asked for its rules and has none: silent ($(head -c 200 "$work/out"))"
printf 'User-agent: *\nContent-Usage: /stripes-003.png train-ai=n\n' >"$work/web/www/robots.txt"
before=$(published)
taken=$(cell "$work/run/fetched.tsv" "http://127.0.0.1:$port/stripes-003.png" xxh128)
conf_base=$(grep '^BASE' "$work/my.conf")
sed -i 's/^BASE = .*/BASE = no-such-model/' "$work/my.conf"
night 8
[ $status != 0 ] && [ -e "$work/run/retrain" ] && [ "$(published)" = "$before" ]
ok $? "when the training fails, the note that it is due stays: status $status"
sed -i "s,^BASE = .*,$conf_base," "$work/my.conf"
night 8
[ $status = 0 ] && [ "$(published)" != "$before" ] && [ ! -e "$work/run/retrain" ]
ok $? "then a model without the picture is published: $(published), $(grep '^new:' "$work/out" | cut -c1-60)"
[ -n "$taken" ] && ! grep -q "$taken" "$work/run/$(published | cut -d/ -f1)/split.tsv" "$work/run/fetched.tsv" && grep -q "$taken" "$work/run/store/takedown.tsv"
ok $? "its data set lacks the picture"
night 8
[ $status = 0 ] && [ ! -s "$work/out" ]
ok $? "and the night after that is silent ($(head -c 200 "$work/out"))"
rm "$work/web/www/robots.txt"
sed -i -e '$d' -e 's/^FETCH_FLAGS = .*/& --ignore-robots/' "$work/my.conf"
cp -r "$work/run" "$work/saved" 2>/dev/null
sed -i 's/^BASE = .*/BASE = no-such-model/' "$work/my.conf"
for label in stripes discs noise; do echo "http://127.0.0.1:$port/$label-029.png" >>"$work/lists/$label.txt"; cp "$work/pictures/$label/029.png" "$work/web/www/$label-029.png"; done
sed -i 's/^MIN_NEW = .*/MIN_NEW = 1/' "$work/my.conf"
before=$(published)
night 9
[ $status != 0 ] && [ "$(published)" = "$before" ] && grep -q 'failed' "$work/out" && grep -q "no model .*BASE names" "$work/out"
ok $? "a stage that fails: said once with its reason and log, the published model stays: $(sed -n 2p "$work/out")"
echo "PICTURES = $work/unmounted" >>"$work/my.conf"
night 9
[ $status != 0 ] && grep -q "PICTURES names no folder: '$work/unmounted'" "$work/out" && [ "$(wc -l <"$work/out")" = 3 ]
ok $? "so is what make says of the settings: $(sed -n 2p "$work/out")"
sed -i '$d' "$work/my.conf"
mv "$work/run/published" "$work/run/was"
ln -s round-99/fine/model "$work/run/published"
night 9
[ $status = 65 ] && grep -q 'nothing was run.*cannot be used' "$work/out" && grep -q 'ln -sfn' "$work/out" && [ "$(wc -l <"$work/out")" -le 4 ]
ok $? "a published model that is gone: said before anything runs, with the remedy: $(sed -n 2p "$work/out")"
rm "$work/run/published" && mkdir "$work/run/published"
night 9
[ $status = 65 ] && grep -q 'not a link' "$work/out" && [ "$(wc -l <"$work/out")" = 1 ]
ok $? "a folder in place of the link: $(cat "$work/out")"
rmdir "$work/run/published" && mv "$work/run/was" "$work/run/published"
# --- another class: the published model's figures cannot be compared ---
night7=$(published)
conf "'accuracy >= old - 1'"
cp "$work/lists/discs.txt" "$work/lists/rings.txt"
: >"$work/lists/discs.txt"
for ((i = 0; i <= 25; i++)); do echo "http://127.0.0.1:$port/stripes-$(printf '%03d' "$i").png" >>"$work/lists/lines.txt"; done
sed -i '0~2d' "$work/lists/stripes.txt"
night 8
[ $status = 1 ] && [ "$(published)" = "$night7" ] && grep -q 'new: .*rings' "$work/out" && grep -q 'CLASSES_CHANGED = publish' "$work/out" && [ "$(wc -l <"$work/out")" -le 6 ]
ok $? "night 8: other classes: held back, with the reason and the remedy: $(sed -n 2p "$work/out" | cut -c1-120)"
night 9
[ $status = 0 ] && [ ! -s "$work/out" ]
ok $? "night 9: nothing new: silent, not a failure every night"
echo 'CLASSES_CHANGED = publish' >>"$work/my.conf"
night 9
[ $status = 0 ] && [ "$(published)" != "$night7" ] && grep -q 'published without a comparison' "$work/out"
ok $? "told to publish, it does, and says that nothing was compared (status $status)"
done_testing
