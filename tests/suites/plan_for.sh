#!/usr/bin/env bash
# train --plan-for and --describe-device: on the stand-ins, whose engines are known, and with the real cuDNN where it is, which needs no card.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
[ -f "$BIN/winnow-cuda.so" ] || skip_all "plans for a card that is not here" "built without CUDA: ./bootstrap gpu"
fake() { LD_LIBRARY_PATH=$BUILD/fakecuda "$BIN/train" "$@"; }
value() { awk -F'\t' -v k="$2" '$1 == k { print $2; exit }' "$1"; }
rows() { sed '1,/^$/d' "$1"; } # the table, its header first
near() { awk -v a="$1" -v b="$2" -v t="$3" 'BEGIN { d = a - b; if (d < 0) d = -d; exit !(d <= t * b) }'; }

# --- a card's description
fake --describe-device >card.json 2>err
is "$?:$(wc -l <card.json):$(wc -c <err)" 0:1:0 "--describe-device prints one line"
has "$(cat card.json)" '"memoryBusWidth":256' "with the key that only cuDNN from 9.27 on gives by itself"
[ "$(python3 -c 'import json, sys; print(len(json.load(open("card.json"))))')" = 25 ]
ok $? "it is JSON of 25 keys"
must_fail 69 'no GPU here' "--describe-device without a GPU" env FAKECUDA_DEVICES=0 LD_LIBRARY_PATH="$BUILD/fakecuda" "$BIN/train" --describe-device

# --- a plan from it
fake --plan-for card.json --phase fine-tune --precision bf16 --batch 128 >plan 2>err
is "$?:$(wc -c <err)" 0:0 "a plan for the card of that file $(head -1 err)"
is "$(value plan precision):$(value plan batch):$(value plan unlock_from):$(value plan picture)" "bf16:128:conv2d_56:299 x 299" "it says what was planned"
near "$(value plan step_gflop)" 2479.4 0.001; ok $? "operations: 128 x 19.37 GFLOP ($(value plan step_gflop))"
is "$(rows plan | awk -F'\t' '$3 ~ /^[0-9]+$/' | wc -l)" "$(value plan convolutions)" "a row for each of the $(value plan convolutions) plans of convolutions"
is "$(rows plan | awk -F'\t' '$5 == "yes"' | wc -l)" "$(value plan tensor_core)" "those on tensor cores are counted"
for c in '6 step_gflop 1' '7 step_gb 1000' '8 floor_ms 1000'; do
    set -- $c
    near "$(rows plan | awk -F'\t' -v c="$1" 'NR > 1 { s += $c } END { print s }')" "$(awk -v v="$(value plan "$2")" -v f="$3" 'BEGIN { print v * f }')" 0.001
    ok $? "$2 is the sum of its column"
done
near "$(awk -F'\t' '$1 ~ /^(maps|workspace|frozen_weights|weights|gradients|optimizer|average|statistics)_mib$/ { s += $2 } END { print s }' plan)" "$(value plan memory_mib)" 0.001
ok $? "the parts of the memory make up the whole ($(value plan memory_mib) MiB)"
# A step of 128 pictures of the arithmetic alone: 2479 GFLOP on one multiprocessor at 1 GHz with 2048 operations a clock.
awk -v ms="$(value plan floor_ms)" -v g="$(value plan step_gflop)" 'BEGIN { exit !(ms >= g / 2.048 && ms < 1.5 * g / 2.048) }'
ok $? "no step is quicker than its operations at the peak ($(value plan floor_ms) ms)"
# On a card of 4 GiB memory decides; on one of 8 cuDNN does, which takes no tensor above 2 GiB.
sed 's/"totalGlobalMem":[0-9]*/"totalGlobalMem":4294967296/' card.json >small.json
for card in small.json card.json; do
    most=$(fake --plan-for $card --phase fine-tune --precision bf16 | awk -F'\t' '$1 == "largest_batch" { print $2 }')
    fake --plan-for $card --phase fine-tune --precision bf16 --batch "$most" >largest
    ok $? "the largest batch fits ($most, $(value largest memory_mib) of $(value largest memory_there_mib) MiB)"
    must_fail 71 "batch $((most + 8)) .*batch $most would fit" "8 more do not, and the largest that does is named" fake --plan-for $card --phase fine-tune --precision bf16 --batch $((most + 8))
done
fake --plan-for card.json --phase fine-tune --batch auto >auto
b=$(value auto batch)
[ $((b & (b - 1))) = 0 ] && [ "$b" -le "$(value auto largest_batch)" ] && [ "$b" -gt 8 ]
ok $? "--batch auto: a power of two ($b of $(value auto largest_batch))"
fake --plan-for card.json --phase fine-tune --boundary-cache f16 >cached
near "$(value cached step_gflop)" 386.9 0.001; ok $? "from cached boundaries: 32 x 12.09 GFLOP ($(value cached step_gflop))"
fake --plan-for card.json >head
near "$(value head step_gflop)" 365.6 0.001; ok $? "phase head: 32 x 11.42 GFLOP ($(value head step_gflop))"
fake --plan-for card.json --phase fine-tune --optimizer adam --ema 0.99 --freeze-bn >adam
is "$(value adam optimizer_mib):$(value adam average_mib)" "$(awk -v w="$(value adam weights_mib)" 'BEGIN { printf "%.1f:%.1f", 2 * w, w }')" "Adam keeps two numbers a weight, --ema one"

# The plan of a set and a model is what the run takes: the same precision, batch and classes, and memory that is enough.
"$BUILD/tests/train_shards_test" set 24 || exit 1
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
fake --plan-for card.json --shards set --base "$tiny" --batch 8 --precision fp32 >small
is "$?:$(value small classes):$(value small base)" "0:$(($(head -1 set/classes.tsv 2>/dev/null | wc -l) ? $(tail -n +2 set/classes.tsv | wc -l) : $(value small classes))):$tiny" "a plan of one's own set and base"

# --- what cannot be planned
must_fail 64 'unknown card .voodoo. .there are t4, .*h200' "an unknown card: the known ones are listed" fake --plan-for voodoo
sed 's/"memoryBusWidth"/"memoryBusWide"/' card.json >cut.json
must_fail 65 'no "memoryBusWidth"' "a description that lacks a key: which" fake --plan-for cut.json
head -c 70000 /dev/zero | tr '\0' x >long.json
must_fail 65 'long.json' "a file that is too long" fake --plan-for long.json
sed 's/^{//' card.json >open.json
must_fail 65 'CUDNN_STATUS_BAD_PARAM' "a description that cuDNN does not take: its own words" fake --plan-for open.json
must_fail 69 'cuDNN 9.7.0 .*9.8 and later' "a cuDNN older than 9.8: what it lacks" env FAKECUDA_CUDNN=90700 LD_LIBRARY_PATH="$BUILD/fakecuda" "$BIN/train" --plan-for t4
must_fail 69 'bf16 needs compute capability 8.0, Tesla T4 has 7.5' "bf16 on a card without it" fake --plan-for t4 --precision bf16
must_fail 64 "has no such layer" "a layer that is not there" fake --plan-for h200 --phase fine-tune --unlock-from nowhere
must_fail 66 nowhere "a base that is not there" fake --plan-for h200 --base ./nowhere
must_fail 64 'batch .0' "a batch of nothing" fake --plan-for h200 --batch 0

# --- the real cuDNN: no card, no driver
. "$BUILD/fakecuda/plugin.env"
# shellcheck disable=SC2154
real() { LD_LIBRARY_PATH=$cuda_lib:$BUILD/fakecuda/driver "$BIN/train" "$@"; }
case $BUILD in *asan* | *ubsan* | *tsan*) skip "plans of the real cuDNN" "not under a sanitizer"; done_testing; exit ;; esac
if real --plan-for h200 --phase fine-tune --precision bf16 --batch 128 >h200 2>err; then
    is "$(wc -c <err):$(value h200 convolutions):$(value h200 tensor_core)" 0:176:176 "the real cuDNN plans a step of bf16 for an H200, all on tensor cores"
    has "$(value h200 device)" "NVIDIA H200" "on the card that was named ($(value h200 device))"
    real --plan-for rtx3090 --phase fine-tune --precision fp32 >fp32
    is "$?:$(value fp32 tensor_core)" 0:0 "fp32 on an RTX 3090 uses none"
    must_fail 71 'batch [0-9]+ would fit' "InceptionV3 with 4096 pictures does not fit on a T4" env LD_LIBRARY_PATH="$cuda_lib:$BUILD/fakecuda/driver" "$BIN/train" --plan-for t4 --phase fine-tune --batch 4096
else
    skip "plans of the real cuDNN" "$(head -1 err)"
fi
done_testing
