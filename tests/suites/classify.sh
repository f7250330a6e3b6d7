#!/usr/bin/env bash
# classify as a service: an inbox that is written to while it is watched, signals, a killed watcher.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR
model=$TOP/tests/fixtures/tiny-net/tfjs-float32 pictures=$TOP/tests/formats/pictures
mkdir "$T/in" "$T/out"
cp "$pictures/a.png" "$T/in/before.png"
"$BIN/classify" --model "$model" --watch "$T/in" --hand-off "$T/out" --format json -o "$T/log" 2>"$T/err" &
pid=$!
wait_for '[ -f "$T/out/class_3/before.png" ]'
ok $? "what lay in the inbox is handed off"
cp "$pictures/b.png" "$T/in/.half.png"
mv "$T/in/.half.png" "$T/in/moved.png"
wait_for '[ -f "$T/out/class_3/moved.png" ]'
ok $? "what is moved in is handed off"
cp "$pictures/c.png" "$T/in/written.png"
wait_for '[ -f "$T/out/class_3/written.png" ]'
ok $? "what is written in place is handed off when it is closed"
for i in $(seq 40); do cp "$pictures/a.png" "$T/.x" && mv "$T/.x" "$T/in/many-$i.png"; done
wait_for '[ "$(ls "$T/out/class_3" | grep -c "^many.*png$")" = 40 ]'
ok $? "a burst of forty is handed off"
for f in "$T"/out/class_3/*.png; do [ -s "$f.json" ] || break; done
[ -s "$f.json" ] && [ -z "$(ls "$T/in")" ]
ok $? "each with its result, and the inbox is empty"
[ "$(wc -l <"$T/log")" = 43 ]
ok $? "the log has a line for each"
kill -TERM $pid
wait $pid
code=$?
[ $code = 0 ] || [ $code = 143 ]
ok $? "TERM ends it ($code)"
[ ! -s "$T/err" ]
ok $? "silently $(head -c 200 "$T/err")"

# Killed anywhere, nothing is lost and nothing is there twice.
for i in $(seq 30); do cp "$pictures/a.png" "$T/in/k-$i.png"; done
for pause in 0.02 0.05 0.1 0.2; do
    "$BIN/classify" --model "$model" --watch "$T/in" --hand-off "$T/out" --batch 2 -o "$T/log2" 2>/dev/null &
    pid=$!
    sleep $pause
    kill -KILL $pid 2>/dev/null
    wait $pid 2>/dev/null
done
"$BIN/classify" --model "$model" --watch "$T/in" --once --hand-off "$T/out" -o "$T/log2"
ok $? "a watcher that was killed four times goes on"
[ "$(find "$T/in" "$T/out" -name '*k-*.png' | wc -l)" = 30 ] && [ -z "$(ls "$T/in")" ]
ok $? "thirty pictures stay thirty"

# Without --hand-off files stay and are not classified twice.
cp "$pictures/a.png" "$T/in/x.png"
"$BIN/classify" --model "$model" --watch "$T/in" >"$T/stay" 2>/dev/null &
pid=$!
wait_for 'grep -q x.png "$T/stay"'
cp "$pictures/b.png" "$T/in/y.png"
wait_for 'grep -q y.png "$T/stay"'
cp "$pictures/c.png" "$T/in/x.png"
wait_for '[ "$(grep -c "^x.png" "$T/stay")" = 2 ]'
ok $? "a file that is written anew is classified anew"
kill -TERM $pid
wait $pid
[ "$(grep -c "^y.png" "$T/stay")" = 1 ] && [ -f "$T/in/y.png" ]
ok $? "another is not, and stays"

# The same output for any number of threads and any batch.
for i in $(seq 23); do cp "$pictures/$(echo a b c | cut -d' ' -f$((i % 3 + 1))).png" "$T/s-$i.png"; done
head -c 90 "$pictures/a.png" >"$T/s-9.png"
"$BIN/classify" --model "$model" --device ref -j 1 --batch 1 --rejects "$T/r1" "$T"/s-*.png -o "$T/o1"
"$BIN/classify" --model "$model" --device ref -j 8 --batch 7 --rejects "$T/r2" "$T"/s-*.png -o "$T/o2"
cmp "$T/o1" "$T/o2" && cmp "$T/r1" "$T/r2" && [ "$(wc -l <"$T/o1")" = 23 ]
ok $? "one thread and eight, batches of one and seven: the same bytes"
done_testing
