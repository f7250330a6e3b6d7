#!/usr/bin/env bash
# train from the outside, on a tiny net and made-up pictures: both phases, folds, caches, resume after kill -9 and TERM, refusals.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
"$BUILD/tests/train_shards_test" set 200 && "$BUILD/tests/train_shards_test" bent 200 bent || exit 1
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
train() { "$BIN/train" --device ref --threads 1 "$@"; }
sums() { (cd "$1" && find . -type f ! -name lock ! -path './cache/*' ! -name log.tsv ! -name 'events*' -exec sha256sum {} + | sort -k2); }

# --- phase head, folds, margins
out=$(train --shards set --base "$tiny" --out head --folds 4 --epochs 15 2>&1)
is "$?:$out" "0:" "phase head is silent and ends with 0"
is "$(wc -l <head/log.tsv)" 16 "log.tsv has a row for each epoch"
is "$(column head/log.tsv bn_statistics | sort -u)" frozen "the base's batch norm stays frozen"
is "$(ls head | tr '\n' ' ')" "cache done.tsv events.out.tfevents.winnow lock log.tsv margins.tsv model oof.tsv " "the run folder holds what it says"
best=$(column head/log.tsv val_accuracy | sort -g | tail -1)
ok "$(awk -v a="$best" 'BEGIN { print !(a > 0.6) }')" "the stripes are learned: validation accuracy $best of chance 0.33"
is "$(wc -l <head/oof.tsv):$(wc -l <head/margins.tsv)" "121:121" "one row for each training picture, made variants have none"
is "$(head -1 head/oof.tsv)" "$(printf 'path\tid\tlabel\tpred\tp_cat\tp_dog\tp_fox\tfold\tsplit')" "oof.tsv has the columns of predictions.tsv"
is "$(column head/oof.tsv fold | sort | uniq -c | awk '$1 >= 25 && $1 <= 35' | wc -l)" 4 "four folds of about a quarter"
awk -F'\t' 'NR > 1 { s = $5 + $6 + $7; m = $5; p = "cat"; if ($6 > m) { m = $6; p = "dog" } if ($7 > m) p = "fox"
                     if (s < 0.99999 || s > 1.00001 || p != $4) bad++ } END { exit bad > 0 }' head/oof.tsv
ok $? "probabilities sum to 1 and pred is the largest"
# pictures 2k and 2k+1 share a group where k is 0 mod 3
awk -F'\t' 'NR > 1 { split($1, a, "/"); i = a[2] + 0; f[i] = $8 } END { for (i = 0; i < 200; i += 6) if ((i in f) && ((i + 1) in f) && f[i] != f[i + 1]) bad++; exit bad > 0 }' head/oof.tsv
ok $? "near copies are in one fold"
train --shards bent --base "$tiny" --out bent-head --folds 4 --epochs 15
worst=$(tail -n +2 bent-head/margins.tsv | sort -t"$(printf '\t')" -k4g | head -12 | cut -f1 | awk -F/ '{ if (($2 + 0) % 10 == 3) w++ } END { print w + 0 }')
ok "$((worst < 6))" "wrong labels have low margins: $worst of the 12 lowest"

train --shards bent --base "$tiny" --out all-head --cache bent-head/cache --folds 4 --fold-rows all --epochs 15
is "$?:$(wc -l <all-head/oof.tsv):$(wc -l <all-head/margins.tsv)" "0:201:201" "--fold-rows all: a row for each picture of every split"
is "$(column all-head/oof.tsv split | sort -u | tr '\n' ' '):$(column all-head/oof.tsv fold | sort -u | tr '\n' ' ')" "test train val :0 1 2 3 " "with its split and fold"
is "$(sums all-head/model | grep bin)" "$(sums bent-head/model | grep bin)" "the model kept learned from the training split alone, as without"
awk -F'\t' 'FNR == NR { seen[$2]++; next } FNR > 1 && !($2 in seen) { bad++ } END { exit bad > 0 }' all-head/oof.tsv all-head/margins.tsv
ok $? "margins are there for the same pictures"
out=$(train --shards bent --base "$tiny" --out x --fold-rows all 2>&1); has "$?:$out" "64:train: --fold-rows needs --folds" "--fold-rows without --folds is refused"

out=$(train --shards bent --base "$tiny" --out twice --cache bent-head/cache --folds 4 --fold-rows all --fold-passes 2 --epochs 15 -v 2>&1)
left=$(echo "$out" | sed -n 's/.*pass 2 of the folds: without \([0-9]*\) pictures.*/\1/p')
other=$(awk -F'\t' 'NR > 1 && $3 != $4 { n++ } END { print n + 0 }' all-head/oof.tsv)
is "$left" "$other" "--fold-passes 2 leaves out the pictures that the first pass predicts as another class"
is "$(ls twice | tr '\n' ' ')" "done.tsv events.out.tfevents.winnow lock log.tsv margins.tsv model oof.tsv " "and its folds are gone when the run is complete"
cmp -s twice/margins.tsv all-head/margins.tsv; ok $? "margins are those of the first pass, in which every label taught"
is "$(sums twice/model | grep bin)" "$(sums all-head/model | grep bin)" "the model kept is the same"
# the wrong labels' own probability, and that of the right ones
belief() { awk -F'\t' -v bent="$2" 'NR == 1 { for (i = 5; i <= 7; i++) at[substr($i, 3)] = i; next }
    { split($1, a, "/"); if (((a[2] + 0) % 10 == 3) == bent) { s += $(at[$3]); n++ } } END { printf "%.4f", s / n }' "$1/oof.tsv"; }
echo "# wrong labels: $(belief all-head 1) $(belief twice 1); right ones: $(belief all-head 0) $(belief twice 0)"
ok "$(awk -v a="$(belief all-head 1)" -v b="$(belief twice 1)" 'BEGIN { print !(b < a) }')" "wrong labels are believed less than after one pass"
ok "$(awk -v a="$(belief all-head 0)" -v b="$(belief twice 0)" 'BEGIN { print !(b > a) }')" "and right ones more"
out=$(train --shards bent --base "$tiny" --out twice --folds 4 --fold-rows all --epochs 15 2>&1); has "$?:$out" "64:train: 'twice' holds a complete run with another plan: fold-passes was '2' and is now 'not given'" "one pass is another run"
out=$(train --shards bent --base "$tiny" --out x --fold-passes 2 2>&1); has "$?:$out" "64:train: --fold-passes needs --folds" "--fold-passes without --folds is refused"

# --- again, elsewhere, changed
before=$(sums head; stat -c %Y.%i head/model/model.json)
out=$(train --shards set --base "$tiny" --out head --folds 4 --epochs 15 -v 2>&1)
has "$out" "complete, nothing to do" "a complete run says so with -v"
is "$(sums head; stat -c %Y.%i head/model/model.json)" "$before" "and leaves everything as it is"
train --shards set --base "$tiny" --out head-again --cache head/cache --folds 4 --epochs 15 -v 2>head-again.err
is "$(sums head-again)" "$(sums head)" "the same command elsewhere gives the same bytes"
has "$(cat head-again.err)" "features: 220 pictures, 0 of them computed now" "with a shared cache nothing goes through the base again"
out=$(train --shards set --base "$tiny" --out head --folds 4 --epochs 16 2>&1); is "$?" 64 "other options are refused"
has "$out" "epochs was '15' and is now '16'" "and named"
out=$(train --shards bent --base "$tiny" --out head --folds 4 --epochs 15 2>&1); has "$?:$out" "64:train: 'head' holds a complete run with another plan: data was" "other data is refused"
cp -r head head-moved
out=$(train --shards bent --base "$tiny" --out head-moved --folds 4 --epochs 15 --on-change restart 2>&1)
has "$?:$out" "0:train: training 'head-moved' from the beginning: data was" "--on-change restart starts again and says so"
is "$(sums head-moved)" "$(sums bent-head)" "and gives what a fresh run gives"

# --- caches
train --shards bent --base "$tiny" --out other --cache head/cache --epochs 1 -v 2>other.err
has "$(cat other.err)" "0 of them computed now" "a changed label needs no new features"
"$BUILD/tests/train_shards_test" more 230
train --shards more --base "$tiny" --out more-head --cache head/cache --epochs 1 -v 2>more.err
has "$(cat more.err)" "254 pictures, 34 of them computed now" "new pictures alone are computed"
train --shards set --base head/model --out other-base --cache head/cache --epochs 1 -v 2>same.err
has "$(cat same.err)" "0 of them computed now" "the head's own model has the same frozen part"
train --shards set --base "$TOP/tests/fixtures/tiny-net/tfjs-uint8" --out quantised --cache head/cache --epochs 1 -v 2>quantised.err
has "$(cat quantised.err)" "220 of them computed now" "other base weights have a cache of their own"
train --shards set --base "$tiny" --out exported --cache head/cache --epochs 1 --export-features feat
is "$(wc -l <feat/rows.tsv):$(wc -c <feat/features.npy)" "261:$((128 + 260 * 8 * 4))" "--export-features writes a row for each record"

# --- a base that comes as ONNX, and says nothing of how it is fed
if "$BIN/export" --model "$tiny" --to onnx -o base.onnx 2>/dev/null; then
    train --shards set --base "$tiny" --out by-folder --cache by-folder/cache --epochs 2 && train --shards set --base base.onnx --out by-onnx --cache by-onnx/cache --epochs 2
    is "$?:$(sums by-onnx/model | grep bin)" "0:$(sums by-folder/model | grep bin)" "the same base as ONNX gives the same model"
    train --shards set --base base.onnx --input order=bgr,mean=104/117/123,std=58/57/56 --out fed --cache fed/cache --epochs 1 2>fed.err
    is "$?:$(cat fed.err):$(grep -o 'input_bgr/kernel' fed/model/model.json | sort -u)" "0::input_bgr/kernel" "--input feeds the base otherwise, and the model has it in its layers"
    train --shards set --base fed/model --phase fine-tune --unlock-from 0.3 --out tuned --cache tuned/cache --epochs 1 2>tuned.err
    is "$?:$(cat tuned.err)" "0:" "fine-tuning goes on from it"
    train --shards set --base base.onnx --input resize=256,crop=224 --out cut --cache cut/cache --epochs 1 2>cut.err
    has "$(cat cut.err)" "sees pictures as pack --resize 'bilinear+256' makes them, and those of 'set' are '" "--input resize=... is pack's, and train says so"
else
    skip "ONNX bases" "built without ONNX"
fi

# --- fine-tune
fine() { train --shards set --base head/model --phase fine-tune --unlock-from bn1 --lr 0.01 --epochs 4 "$@"; }
fine --out fine
is "$?:$(wc -l <fine/log.tsv)" "0:6" "phase fine-tune: a row for the base and one an epoch"
is "$(column fine/log.tsv bn_statistics | tr '\n' ' ')" "moving anew anew anew anew " "statistics are recomputed on a small set"
is "$(sed -n 2p fine/log.tsv | cut -f7)" "$best" "epoch 0 is the base's own validation"
fine --out fine-f32 --boundary-cache f32
is "$(sums fine-f32/model | grep bin)" "$(sums fine/model | grep bin)" "the boundary cache in float32 gives the same weights, bit for bit"
train --shards set --base "$tiny" --out head-kept --cache kept --boundary-cache f32 --unlock-from bn1 --epochs 15 --folds 4
is "$?:$(column head-kept/log.tsv val_accuracy)" "0:$(column head/log.tsv val_accuracy)" "phase head can keep the boundary on the way"
fine --out fine-kept --cache kept --boundary-cache f32 -v 2>kept.err
has "$(cat kept.err)" "boundary cache: 220 pictures, 0 of them computed now" "and phase fine-tune finds it"
is "$(sums fine-kept/model | grep bin)" "$(sums fine/model | grep bin)" "with the same weights in the end"
fine --out fine-f16 --boundary-cache f16 -v 2>fine-f16.err
has "$(cat fine-f16.err)" "boundary cache: 220 pictures x " "its cost is said before"
out=$(fine --out worse --lr 1 --clip-norm 1 --schedule constant --refresh-bn off 2>&1); has "$?:$out" "0:train: no epoch was better on validation than the base" "where no epoch is better the base is kept"
is "$(column worse/log.tsv val_accuracy | head -1)" "$best" "so that fine-tuning never ends below the head"
fine --out ema --ema 0.9; is "$?:$(wc -l <ema/log.tsv)" "0:6" "a moving average of the weights is validated and kept"
fine --out frozen --unlock-from c1 --freeze-bn; is "$?:$(column frozen/log.tsv bn_statistics | sort -u)" "0:frozen" "--freeze-bn"
fine --out plain --refresh-bn off; is "$(column plain/log.tsv bn_statistics | sort -u)" moving "--refresh-bn off"
fine --out loaders --loader-threads 1; is "$?:$(sums loaders/model | grep bin)" "0:$(sums fine/model | grep bin)" "--loader-threads changes the speed alone"
train --shards set --base "$tiny" --out knob-none --cache head/cache --epochs 3
for knob in "--warmup 2" "--momentum 0.5" --nesterov "--label-smoothing 0.2"; do
    # shellcheck disable=SC2086
    train --shards set --base "$tiny" --out "knob${knob// /}" --cache head/cache --epochs 3 $knob
    [ $? = 0 ] && [ "$(wc -l <"knob${knob// /}/log.tsv")" = 4 ] && [ "$(sums "knob${knob// /}/model" | grep bin)" != "$(sums knob-none/model | grep bin)" ]
    ok $? "$knob trains to other weights"
done

# --- kill -9 at random moments, TERM, a lock
RANDOM=${SEED:-$$}
echo "# seed $RANDOM"
long=(--device ref --threads 1 --shards bent --base "$tiny" --folds 2 --fold-passes 2 --epochs 100 --patience 0 --checkpoint-seconds 0.02)
# shellcheck disable=SC2034,SC2054
longer=(--device ref --threads 1 --shards set --base head/model --phase fine-tune --unlock-from bn1 --lr 0.01 --schedule constant --epochs 120
    --patience 0 --checkpoint-seconds 0.02 --boundary-cache f32 --ema 0.99)
# shellcheck disable=SC2034,SC2054
feeding=(--device ref --threads 1 --shards set --base head/model --phase fine-tune --unlock-from bn1 --lr 0.01 --epochs 40 --patience 0
    --checkpoint-seconds 0.02 --augment rotation=20,flip,channel=20 --optimizer adam)
for name in long longer feeding; do
    declare -n arguments=$name
    "$BIN/train" "${arguments[@]}" --out $name-whole
    kills=0
    while [ $kills -lt 7 ]; do
        "$BIN/train" "${arguments[@]}" --out $name-killed 2>/dev/null &
        pid=$!
        sleep "0.$((RANDOM % 30 + 10))"
        kill -9 $pid 2>/dev/null || break
        wait $pid 2>/dev/null
        kills=$((kills + 1))
    done
    wait
    "$BIN/train" "${arguments[@]}" --out $name-killed
    is "$?:$(sums $name-killed)" "0:$(sums $name-whole)" "$name: killed $kills times, then the same bytes as an undisturbed run"
    is "$(cut -f1-9 $name-killed/log.tsv)" "$(cut -f1-9 $name-whole/log.tsv)" "$name: and the same log"
done
"$BIN/train" --device ref --threads 1 --shards bent --base "$tiny" --folds 2 --fold-passes 2 --epochs 100 --patience 0 --checkpoint-seconds 100 --out termed 2>term.err &
pid=$!
sleep 0.3
out=$("$BIN/train" "${long[@]}" --out termed 2>&1); has "$?:$out" "75:train: " "a second run in the same folder is turned away"
has "$out" "held by pid $pid" "and told by whom"
kill -TERM $pid; wait $pid
is "$?" 143 "TERM ends it by that signal"
has "$(cat term.err)" "the same command resumes from the checkpoint" "after a checkpoint"
test -f termed/checkpoint; ok $? "which is there"
out=$(train --shards bent --base "$tiny" --folds 2 --fold-passes 2 --epochs 101 --patience 0 --out termed 2>&1); has "$?:$out" "64:" "the checkpoint of other options is refused"
"$BIN/train" "${long[@]}" --out termed
is "$?:$(sums termed)" "0:$(sums long-whole)" "and continued to the same bytes"
test ! -e termed/checkpoint; ok $? "a complete run leaves no checkpoint"

# --- another machine
out=$("$BIN/train" "${long[@]}" --threads 2 -v --out termed 2>&1); has "$?:$out" "0:train: 'termed' is complete" "a finished run is finished on any number of processors"
"$BIN/train" "${long[@]}" --folds 0 --fold-passes 1 --epochs 400 --out moved 2>/dev/null &
pid=$!
sleep 0.5
kill -TERM $pid; wait $pid
out=$("$BIN/train" "${long[@]}" --folds 0 --fold-passes 1 --epochs 400 --threads 2 -v --out moved 2>&1)
has "$?:$out" "started with 1 threads, resumed with 2" "a stopped run goes on with other processors, and says so"
train --shards set --base "$tiny" --batch auto --epochs 1 --out sized 2>/dev/null
out=$(train --shards set --base "$tiny" --batch auto --memory-limit 1M --epochs 1 -v --out sized 2>&1); has "$?:$out" "is complete" "--batch auto stays what it was where there is less memory"

# --- the nth call of a kind fails: the right exit code, nothing half-written, and the same command puts it right
quick=(--device ref --threads 1 --shards set --base "$tiny" --epochs 2 --folds 2 --checkpoint-seconds 0)
WINNOW_FAULT_COUNT=$PWD/counts "$BIN/train" "${quick[@]}" --out quick
for kind in alloc open read write fsync rename; do
    calls=$(awk -v k=$kind '$1 == k { print $2 }' counts)
    wrong=
    for _ in 1 2 3; do
        at=$((1 + RANDOM * calls / 32768))
        rm -rf faulty
        WINNOW_FAULT=$kind:$at "$BIN/train" "${quick[@]}" --out faulty 2>fault.err
        status=$?
        # 0: what failed was a tidying-up that can do without; then all is there already
        [ "$status" = 0 ] && [ "$(sums faulty)" = "$(sums quick)" ] && continue
        case $status:$(wc -l <fault.err) in 7[134]:1 | 6[56]:1) ;; *) wrong="$wrong $kind:$at gave $status" ;; esac
        "$BIN/train" "${quick[@]}" --out faulty || wrong="$wrong $kind:$at: again failed"
        [ "$(sums faulty)" = "$(sums quick)" ] || wrong="$wrong $kind:$at: other bytes"
    done
    ok "$([ -z "$wrong" ]; echo $?)" "failing $kind calls (of $calls)${wrong:+:$wrong}"
done

# --- what cannot work
out=$(train --shards set --base "$tiny" 2>&1); has "$?:$out" "64:train: --out is needed" "a missing option is named"
out=$(train --shards nowhere --base "$tiny" --out x 2>&1); has "$?:$out" "66:train: " "no such set"
out=$(train --shards set --base nowhere --out x 2>&1); has "$?:$out" "66:train: --base" "no such model"
out=$(train --shards set --base "$tiny" --phase fine-tune --out x 2>&1); has "$?:$out" "65:train: --base '$tiny' was not trained for the classes" "a base with other classes"
out=$(fine --out x --unlock-from conv9 2>&1); has "$?:$out" "64:train: --unlock-from 'conv9'" "an unknown layer"
out=$(fine --out x --schedule fast 2>&1); has "$?:$out" "64:train: --schedule 'fast'" "an unknown schedule"
out=$(fine --out x --folds 3 2>&1); has "$?:$out" "64:train: --folds can be used only with --phase head" "folds of fine-tuning"
out=$(fine --out x --augment flip --boundary-cache f16 2>&1); has "$?:$out" "64:train: --boundary-cache keeps" "augmentation with a boundary cache"
out=$(fine --out nan --lr 1000 --schedule constant --checkpoint-seconds 0 2>&1); has "$?:$out" "65:train: the loss is " "a diverged loss stops the run"
has "$out" "learning rate 1000" "and names the rate"
has "$out" "the last good checkpoint is" "and the checkpoint"
out=$(train --shards set --base "$tiny" --out small --memory-limit 1k 2>&1); has "$?:$out" "71:train: " "a plan over the memory limit is refused before the first step"
out=$("$BIN/train" --device tpu --shards set --base "$tiny" --out x 2>&1); is "$?" 64 "an unknown device"
WINNOW_PLUGIN_DIR=$PWD "$BIN/train" --list-devices >devices
is "$?:$(cut -f1 devices | tr '\n' ' '):$(grep -c '^ref.yes' devices)" "0:cuda cpu ref :1" "--list-devices lists all and ref works"
grep -q '^cuda.no' devices && { out=$(WINNOW_PLUGIN_DIR=$PWD "$BIN/train" --device cuda --shards set --base "$tiny" --out x 2>&1); is "$?" 69 "a device that is not there: 69"; }
done_testing
