#!/usr/bin/env bash
# train on the CUDA backend from the outside: what it says without a GPU (the real libraries, where they are), and on the stand-ins both
# phases against the plain loops, a run killed and taken up again, two GPUs, --batch auto, --precision.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
export WINNOW_CUDA_CACHE=$TMPDIR/algorithms.tsv

# --- without a plug-in, and with one but no GPU
mkdir alone && cp "$BIN/train" alone/
out=$(alone/train --device cuda --shards x --base y --out z 2>&1); status=$?
is "$status:$(echo "$out" | wc -l)" 69:1 "a build without CUDA: --device cuda ends with 69 and one line"
has "$out" "built without CUDA" "it says why"
rm -rf z
if [ ! -f "$BIN/winnow-cuda.so" ]; then
    skip_all "train on the CUDA backend" "built without CUDA: ./bootstrap gpu"
fi
cuda() { LD_LIBRARY_PATH=$BUILD/fakecuda "$BIN/train" --device cuda --threads 1 "$@"; }
ref() { "$BIN/train" --device ref --threads 1 "$@"; }
sums() { (cd "$1" && find . -type f ! -name lock ! -path './cache/*' ! -name log.tsv ! -name 'events*' -exec sha256sum {} + | sort -k2); }
near() { paste <(column "$2" "$1") <(column "$3" "$1") | awk -v t="$4" '{ d = $1 - $2; if (d < 0) d = -d; if (!(d <= t * ($2 < 0 ? -$2 : $2) + 1e-9)) bad++; n++ } END { exit bad > 0 || n == 0 }'; }
if LD_LIBRARY_PATH='' "$BIN/train" --list-devices | grep -q '^cuda	yes'; then
    skip "--device cuda without a GPU" "there is one"
else
    out=$(LD_LIBRARY_PATH='' "$BIN/train" --device cuda --shards x --base y --out z 2>&1); status=$?
    is "$status:$(echo "$out" | wc -l)" 69:1 "the real libraries and no GPU: 69 and one line ($out)"
fi
has "$(FAKECUDA_DEVICES=0 cuda --shards x --base y --out z 2>&1; echo $?)" "no GPU here" "the stand-ins without a GPU say the same"
has "$(FAKECUDA_DEVICES=0 LD_LIBRARY_PATH=$BUILD/fakecuda "$BIN/train" --list-devices)" "cuda	no" "--list-devices says that cuda cannot be used"
has "$(LD_LIBRARY_PATH=$BUILD/fakecuda "$BIN/train" --list-devices)" "cuda	yes" "--list-devices finds the stand-in"
is "$(nm -D --undefined-only "$BIN/winnow-cuda.so" | awk '{ print $2 }' | sed 's/@.*//' | grep -cE '^(cuda|cudnn|cublas)' | awk '{ print ($1 > 60) }')" 1 "the plug-in is linked against the real libraries' symbols"

# --- both phases
"$BUILD/tests/train_shards_test" set 120 || exit 1
ref --shards set --base "$tiny" --out head-ref --epochs 3 --batch 16
cuda --shards set --base "$tiny" --out head --epochs 3 --batch 16 --precision fp32
ok $? "phase head"
near train_loss head/log.tsv head-ref/log.tsv 1e-3; ok $? "its losses are the plain loops' within 1e-3"
ref --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out fine-ref --epochs 2 --batch 16
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out fine --epochs 2 --batch 16 --precision fp32
ok $? "phase fine-tune"
near train_loss fine/log.tsv fine-ref/log.tsv 1e-3; ok $? "its losses are the plain loops' within 1e-3"
has "$(cat fine/done.tsv)" "device	cuda" "the run says that it ran on cuda"
[ -s algorithms.tsv ]; ok $? "the chosen plans are remembered"
before=$(wc -l <algorithms.tsv)
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out fine-again --epochs 2 --batch 16 --precision fp32
is "$(sums fine-again)" "$(sums fine)" "the same command gives the same bytes"
is "$(wc -l <algorithms.tsv)" "$before" "and times no plan again"
has "$(FAKECUDA_SUPPORT=no-graphs cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out no-graph --epochs 2 --batch 16 --precision fp32 \
    --clip-norm 1.5 -v 2>&1)" "no CUDA graph (cuda: a step: cudaStreamBeginCapture" "where no step can be recorded, -v says so"
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out clipped --epochs 2 --batch 16 --precision fp32 --clip-norm 1.5
WINNOW_CUDA_GRAPH=0 cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out calls --epochs 2 --batch 16 --precision fp32 --clip-norm 1.5
is "$(sums no-graph)$(sums calls)" "$(sums clipped)$(sums clipped)" "steps as one graph and call by call, clipped: the same bytes"
[ "$(sums clipped)" != "$(sums fine)" ]; ok $? "which are not those of a run that does not clip"
ref --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out clipped-ref --epochs 2 --batch 16 --clip-norm 1.5
near train_loss clipped/log.tsv clipped-ref/log.tsv 1e-3; ok $? "its losses are the plain loops' within 1e-3"
printf 'garbage\n\twinnow\t\t\nwinnow stand-in 0\t8.0\t%s\tforward\t99999999999\n' 9 >>algorithms.tsv
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out fine-third --epochs 1 --batch 16 --precision fp32
ok $? "a damaged file of plans is passed over"

# --- killed and taken up again
LD_LIBRARY_PATH=$BUILD/fakecuda "$BIN/train" --device cuda --threads 1 --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out killed \
    --epochs 6 --batch 16 --checkpoint-seconds 0 &
pid=$!
for _ in $(seq 1 200); do ls killed/checkpoint* >/dev/null 2>&1 && break; sleep 0.05; done
kill -9 $pid 2>/dev/null
wait $pid 2>/dev/null
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out killed --epochs 6 --batch 16 --checkpoint-seconds 0
ok $? "a run killed with -9 goes on"
cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out whole --epochs 6 --batch 16
is "$(sums killed)" "$(sums whole)" "and ends with the bytes of a run that was not"

# --- settings
cuda --shards set --base "$tiny" --out head-2 --epochs 3 --batch 16 --precision fp32 --devices 0,1
ok $? "two GPUs"
near train_loss head-2/log.tsv head-ref/log.tsv 1e-3; ok $? "give the head that one gives, within 1e-3"
has "$(cuda --shards set --base "$tiny" --out odd --epochs 1 --batch 15 --devices 0,1 2>&1; echo "=$?")" "=64" "a batch that does not divide among them is refused"
has "$(cuda --shards set --base "$tiny" --out auto --epochs 1 --batch auto -v 2>&1)" "--batch auto: " "--batch auto finds a batch"
has "$(FAKECUDA_MEMORY=1000000 cuda --shards set --base "$tiny" --out small --epochs 1 --batch 64 2>&1; echo "=$?")" "=71" "too little memory on the card: 71"
cuda --shards set --base "$tiny" --out bf16 --epochs 3 --batch 16 --precision bf16
ok $? "bf16"
near train_loss bf16/log.tsv head-ref/log.tsv 0.03; ok $? "stays within 3 % of float32"
FAKECUDA_CC=75 cuda --shards set --base head-ref/model --phase fine-tune --unlock-from c1 --out fp16 --epochs 2 --batch 16 --precision fp16
ok $? "fp16, on Turing"
near train_loss fp16/log.tsv fine-ref/log.tsv 0.004; ok $? "stays within 0.4 % of float32"
done_testing
