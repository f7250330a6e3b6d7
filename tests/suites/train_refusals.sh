#!/usr/bin/env bash
# train: options that contradict each other or the data are refused before anything is written; defaults that depend on the net or the machine.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
"$BUILD/tests/train_shards_test" set 60 || exit 1
train() { "$BIN/train" --device ref --threads 1 --shards set --base "$tiny" "$@"; }
refused() { # STATUS SENTENCE OPTION...
    local want=$1 sentence=$2 status
    shift 2
    train "$@" --out r 2>err
    status=$?
    [ $status = "$want" ] && [ "$(grep -cF "train: $sentence" err)" = 1 ] && [ ! -e r/model ] && [ ! -e r/log.tsv ]
    ok $? "$sentence$(grep -vF "$sentence" err | head -1)"
    rm -rf r
}
part="I/N with I from 0 to N-1, or join/N"
for text in 3 3/3 -1/3 a/b 0/0 unite/4 99999999999999999/3 0/3x; do refused 64 "--features-only '$text': $part" --features-only "$text" --cache c; done
refused 64 "--features-only needs --cache: where phase head will look for them" --features-only 0/2
refused 64 "--features-only can be used only with --phase head" --features-only 0/2 --cache c --phase fine-tune
for text in 0 65537 many 8x -1; do refused 64 "--batch '$text': a number from 1 to 65536, or auto" --batch="$text"; done
refused 71 "--batch auto: not even one picture fits into 0 MiB" --batch auto --memory-limit 1k
refused 64 "--folds 1: two or more" --folds 1
refused 64 "--fold-rows needs --folds K" --fold-rows all
refused 64 "--freeze-bn can be used only with --phase fine-tune; phase head never unlocks a batch norm" --freeze-bn
refused 64 "--freeze-bn keeps the base's statistics, --refresh-bn on computes new ones: choose one" --phase fine-tune --freeze-bn --refresh-bn on
refused 64 "--augment: " --phase fine-tune --augment zoom=3
refused 65 "--base '$tiny' was not trained for the classes of 'set': run --phase head first and give its RUN/model here" --phase fine-tune
refused 66 "--base: " --base nowhere
refused 64 "--input: 'mean' is none of" --input mean=a
# Sets that cannot be learnt from, with what to do about them.
cp "$TOP"/tests/formats/pictures/[abc].png .
set_of() { # NAME SIZE ROW...
    local name=$1 size=$2
    shift 2
    { printf 'path\tlabel\tsplit\n'; printf '%s\n' "$@" | tr ' ' '\t'; } >"$name.tsv"
    "$BIN/pack" -q --no-sandbox --size "$size" -o "$name" "$name.tsv"
}
set_of one-class 16 'a.png cat train' 'b.png cat train' 'c.png cat test'
set_of class-untaught 16 'a.png cat train' 'b.png cat train' 'c.png dog test'
set_of no-train 16 'a.png cat val' 'b.png dog test'
set_of small 8 'a.png cat train' 'b.png dog train'
refused 65 "'one-class' has only the class 'cat': pack pictures of at least two labels" --shards one-class
refused 65 "'class-untaught': class 'dog' has no training pictures: move some from its test and validation splits, or leave the class out" --shards class-untaught
refused 65 "'no-train' has no training pictures: pack rows whose split is 'train' or empty" --shards no-train
refused 65 "--base '$tiny' with pictures of 8 x 8 (pack --size sets it): layer 'in': the network takes pictures of 16x16, not 8x8" --shards small
train --features-only 0/2 --cache c -q && train --features-only join/2 --cache c 2>err
[ $? = 66 ] && grep -q "part 1/2 in '.*' is not complete: run --features-only 1/2" err
ok $? "join names the part that is missing"
train --features-only 1/2 --cache c && train --features-only join/2 --cache c && train --cache c --epochs 2 --out joined -v 2>err && grep -q 'features: .*, 0 of them computed now' err
ok $? "and with it phase head computes nothing"
train --cache c --epochs 2 --batch auto --out auto -v 2>err && b=$(sed -n 's/.*--batch auto: \([0-9]*\) .*/\1/p' err) && [ "$b" -ge 1 ] && [ $((b & (b - 1))) = 0 ]
ok $? "--batch auto takes a power of two and says which: ${b:-none}"
# --unlock-from: without it, the convolution two thirds down the list; this net has one
train --cache c --epochs 3 --out head
tuned() { "$BIN/train" --device ref --threads 1 --shards set --base head/model --phase fine-tune --lr 0.001 --epochs 1 "$@"; }
tuned --out fine -v 2>err && grep -q "layers from 'c1' on learn" err
ok $? "--phase fine-tune finds where to unlock"
tuned --out none --unlock-from c9 2>err
[ $? = 64 ] && grep -q "\--unlock-from 'c9': 'head/model' has no such layer" err
ok $? "a layer that is not there"
# no validation pictures: said, and the last epoch is kept
cp "$TOP"/tests/formats/pictures/[abc].png .
printf 'path\tlabel\tsplit\na.png\tcat\ttrain\nb.png\tdog\ttrain\nc.png\tcat\ttrain\n' | "$BIN/pack" --size 16 -o few
"$BIN/train" --device ref --threads 1 --shards few --base "$tiny" --epochs 2 --out lone 2>err
[ $? = 0 ] && grep -q "'few' has no validation pictures: the last epoch is kept, good or bad" err && [ "$(wc -l <lone/log.tsv)" = 3 ] && [ -e lone/model/model.json ]
ok $? "no validation pictures"
# a checkpoint that is damaged: refused, and with --on-change restart begun anew
"$BIN/train" --device ref --threads 1 --shards set --base "$tiny" --cache c --epochs 400 --patience 0 --checkpoint-seconds 0 --out broken 2>/dev/null &
pid=$!
for _ in $(seq 200); do [ -s broken/checkpoint ] && break; sleep 0.05; done
kill -KILL $pid
wait $pid 2>/dev/null
head -c 100 broken/checkpoint >torn && cp torn broken/checkpoint
train --cache c --epochs 400 --patience 0 --checkpoint-seconds 0 --out broken 2>err
status=$?
[ $status = 65 ] && grep -q checkpoint err
ok $? "a checkpoint that was cut off is refused: $status $(head -c 150 err)"
train --cache c --epochs 2 --patience 0 --on-change restart --out broken 2>err
[ $? = 0 ] && grep -q "training 'broken' from the beginning: its checkpoint is of other options or data, or damaged" err && [ "$(wc -l <broken/log.tsv)" = 3 ] && [ ! -e broken/checkpoint ]
ok $? "--on-change restart begins anew"
done_testing
