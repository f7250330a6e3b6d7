#!/usr/bin/env bash
# train over ranks: two and four of them give what one gives with the same batch; runs that lose a rank, are stopped, or go on with another number; two
# network namespaces as two hosts; what cannot work. Small nets, more ranks than cores.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
if ! command -v mpirun >/dev/null || [ ! -f "$BIN/winnow-mpi.so" ]; then
    skip_all "train over ranks" "$(command -v mpirun >/dev/null && echo 'built without MPI' || echo 'no mpirun here (openmpi-bin)')"
fi
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
# Under AddressSanitizer: Open MPI unloads its parts before leaks are reported, so their callers have to be noted when they allocate.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:fast_unwind_on_malloc=0
root=
[ "$(id -u)" = 0 ] && root=--allow-run-as-root
# Any number of ranks on any number of cores; ranks of one machine talk over shared memory.
run=(mpirun $root --oversubscribe --bind-to none)
ranks() { "${run[@]}" -np "$1" "$BIN/train" --threads 1 "${@:2}" </dev/null; }     # mpirun would read the loop's lines
one() { "$BIN/train" --threads 1 "$@"; }
# Losses of every epoch and all weights of the model within 1e-5 of each other (weights: of the largest in their file).
near() {
    for c in train_loss val_loss; do
        paste <(column "$1/log.tsv" $c) <(column "$2/log.tsv" $c) |
            awk '$1 != "" { d = $1 - $2; if (d < 0) d = -d; if (!(d <= 1e-5 * $1)) bad++; n++ } END { exit bad > 0 || n == 0 }' || { echo "# $c differs"; return 1; }
    done
    python3 - "$1" "$2" <<'PY'
import array, glob, sys
for f in sorted(glob.glob(sys.argv[1] + "/model/*.bin")):
    a, b = array.array("f"), array.array("f")
    a.frombytes(open(f, "rb").read()); b.frombytes(open(f.replace(sys.argv[1], sys.argv[2], 1), "rb").read())
    far = max(abs(x - y) for x, y in zip(a, b)) / max(abs(x) for x in a)
    if len(a) != len(b) or not far <= 1e-5: sys.exit("# weights are %g apart" % far)
PY
}
"$BUILD/tests/train_shards_test" set 200 || exit 1

# --- the same as one rank
one --device cpu --shards set --base "$tiny" --out head --epochs 6 --folds 2 --fold-passes 2 --cache cache
ranks 2 --device cpu --shards set --base "$tiny" --out head-2 --epochs 6 --folds 2 --fold-passes 2 >out 2>&1
is "$?:$(cat out)" "0:" "phase head with folds on two ranks is silent and ends with 0"
near head head-2; ok $? "its losses and weights are those of one rank within 1e-5"
paste head/oof.tsv head-2/oof.tsv | awk -F'\t' 'NR > 1 { if ($1 != $10 || $8 != $17) bad++; for (i = 5; i <= 7; i++) { d = $i - $(i + 9); if (d > 1e-5 || d < -1e-5) bad++ } } END { exit bad > 0 || NR != 121 }'
ok $? "and so are the out-of-fold probabilities"
paste head/margins.tsv head-2/margins.tsv | awk -F'\t' 'NR > 1 { d = $4 - $8; if ($1 != $5 || d > 1e-4 || d < -1e-4) bad++ } END { exit bad > 0 || NR != 121 }'
ok $? "and the margins"
is "$(cut -f1 head-2/done.tsv | grep -c ranks)" 0 "the number of ranks is not in the plan"
fine() { shift_=$1; shift; set -- --shards set --base head/model --phase fine-tune --unlock-from bn1 --lr 0.01 --epochs 3 --select loss "$@"; if [ "$shift_" = 1 ]; then one "$@"; else ranks "$shift_" "$@"; fi; }
k=0
while read -r count options; do
    k=$((k + 1))
    # shellcheck disable=SC2086
    fine 1 $options --out a$k && fine "$count" $options --out b$k >out 2>&1 || { cat out | sed 's/^/# /'; }
    near a$k b$k && [ "$(column a$k/log.tsv best | tail -n +2 | grep -c 1)" -gt 0 ]; ok $? "$count ranks: $options"    # not the base, which no rank changed
done <<'CASES'
2 --device cpu --freeze-bn --unlock-from c1
2 --device cpu --sync-bn
4 --device cpu --sync-bn --boundary-cache f16 --clip-norm 1
2 --device ref --sync-bn --refresh-bn off --optimizer adam --ema 0.9 --augment flip,rotation=10 --class-weights balanced
3 --device ref --freeze-bn --unlock-from c1 --batch 33 --boundary-cache f32
CASES
fine 2 --device cpu --out own >out 2>&1
is "$?:$(grep ranks own/done.tsv | tr '\t' ' ')" "0:ranks 2" "batch norms of each rank's own: the number of ranks is in the plan"
one --device cpu --batch 8 --shards set --base head/model --phase fine-tune --unlock-from bn1 --boundary-cache f16 --epochs 1 --out cached
cmp -s cached/cache/* b3/cache/*; ok $? "the boundary cache that four ranks made is that of one process with blocks of that size"

# --- stopped and taken up again with another number of ranks
long=(--device ref --shards set --base head/model --phase fine-tune --unlock-from bn1 --lr 0.01 --epochs 24 --patience 0 --select loss --sync-bn --schedule constant)
one "${long[@]}" --out whole
start() { # NAME OPTIONS...: two ranks in the background, $job and $pids of ranks once three epochs are done
    rm -rf "$1"
    "${run[@]}" -np 2 "$BIN/train" --threads 1 "${long[@]}" --out "$@" >out 2>&1 &
    job=$!
    for _ in $(seq 600); do
        [ -f "$1/log.tsv" ] && [ "$(wc -l <"$1/log.tsv")" -gt 4 ] && break
        sleep 0.02
    done
    pids=($(pgrep -P $job -x train | sort -n))
}
start stopped --checkpoint-seconds 100
kill -TERM "${pids[1]}"; wait $job
is "$?:$(ls stopped | grep -c checkpoint)" "143:1" "TERM to rank 1 stops both, with a checkpoint"
is "$(grep -c 'the same command resumes from the checkpoint' out)" 1 "which is said once"
has "$(ranks 2 "${long[@]}" --batch 16 --out stopped 2>&1)" "batch" "the checkpoint of other options is refused"
one "${long[@]}" --out stopped; is $? 0 "one process goes on"
near whole stopped; ok $? "and ends where an undisturbed one ends"
start usr1 --checkpoint-seconds 100
kill -USR1 $job; wait $job
is "$(ls usr1 | grep -c checkpoint)" 1 "USR1 to mpirun stops with a checkpoint"
ranks 4 "${long[@]}" --out usr1 >out 2>&1; is $? 0 "four ranks go on"
near whole usr1; ok $? "and end there, too"

(export OMPI_COMM_WORLD_SIZE=2; one --device ref --shards set --base "$tiny" --epochs 1 --distributed none --out single)
ok $? "--distributed none: one process, whatever the environment looks like"

# --- a rank is lost
start lost --checkpoint-seconds 100 --rank-timeout 120
kill -9 "${pids[1]}"; wait $job; status=$?
[ $status != 0 ]; ok $? "rank 1 killed with -9: the job ends ($status)"
grep -q "train: rank 1 (process ${pids[1]} on '$(hostname)') is gone: the run ends" out; ok $? "the message names the rank: $(grep 'run ends' out | cut -c1-150)"
grep -q 'and the same command resumes from it, with any number of ranks' out || grep -q 'no checkpoint yet' out; ok $? "and says what to do"
start lost-0 --checkpoint-seconds 0
kill -9 "${pids[0]}"; wait $job
grep -q 'train: rank 0 .* is gone: the run ends; the last checkpoint' out; ok $? "rank 0 killed: rank 1 says so"
[ -f lost-0/checkpoint ]; ok $? "the checkpoint of the last interval is there"
for name in lost lost-0; do
    ranks 2 "${long[@]}" --out $name >out 2>&1; is $? 0 "$name: the same command goes on"
    near whole $name; ok $? "$name: and ends where an undisturbed run ends"
done
is "$(pgrep -fc -- "$BIN/train --threads 1 --device ref")" 0 "no rank is left behind"

# --- two hosts
host_a=winnow-a-$$ host_b=winnow-b-$$ net=10.$((77 + $$ % 100)).$(($$ / 100 % 250))
if ! command -v ip >/dev/null || ! ip netns add "$host_a" 2>/dev/null; then
    skip "two network namespaces" "they cannot be made here (iproute2, root, a kernel that allows it)"
else
    trap 'ip netns del "$host_a" 2>/dev/null; ip netns del "$host_b" 2>/dev/null' EXIT
    cat >agent <<AGENT
#!/bin/sh
# what mpirun takes for ssh: HOST COMMAND...
shift
exec ip netns exec $host_b unshare --uts sh -c 'hostname winnow-b; exec sh -c "\$*"' sh "\$*"
AGENT
    chmod +x agent
    ip netns add "$host_b" && ip link add v$$a netns "$host_a" type veth peer name v$$b netns "$host_b" &&
        ip -n "$host_a" addr add "$net.1/24" dev v$$a && ip -n "$host_b" addr add "$net.2/24" dev v$$b &&
        ip -n "$host_a" link set v$$a up && ip -n "$host_b" link set v$$b up && ip -n "$host_a" link set lo up && ip -n "$host_b" link set lo up
    ok $? "two network namespaces joined by a veth pair"
    ip netns exec "$host_a" timeout 100 mpirun $root --bind-to none --host "$net.1:1,$net.2:1" -np 2 --mca plm_rsh_agent "$PWD/agent" --mca btl tcp,self \
        --mca btl_tcp_if_include "$net.0/24" --mca oob_tcp_if_include "$net.0/24" \
        "$BIN/train" --threads 1 --device cpu --shards "$PWD/set" --base "$PWD/head/model" --phase fine-tune --unlock-from bn1 --lr 0.01 --epochs 3 \
        --select loss --sync-bn --out "$PWD/hosts" >out 2>&1
    ok $? "one rank on each, over TCP $(head -3 out | tr '\n' '|')"
    near a2 hosts; ok $? "the losses and weights of one process"
    [ "$(ip -n "$host_b" -s link show v$$b | awk '/RX/ { getline; print $1; exit }')" -gt 100000 ]
    ok $? "that went over the wire"
fi

# --- GPUs, on the stand-ins: NCCL sums between the ranks
if [ -f "$BIN/winnow-cuda.so" ] && [ -d "$BUILD/fakecuda" ]; then
    export WINNOW_CUDA_CACHE=$TMPDIR/algorithms.tsv FAKECUDA_DEVICES=4
    tune=(--device cuda --precision fp32 --shards set --base head/model --phase fine-tune --lr 0.01 --select loss --checkpoint-seconds 100)
    single() { LD_LIBRARY_PATH=$BUILD/fakecuda one "${tune[@]}" "$@"; }
    cards() { # RANKS OPTIONS...: a card for each rank; `sums` has how many collectives each made
        rm -f sums
        FAKECUDA_REPORT=$PWD/sums LD_LIBRARY_PATH=$BUILD/fakecuda timeout -k 1 240 "${run[@]}" -np "$1" "$BIN/train" --threads 1 "${tune[@]}" "${@:2}" </dev/null
    }
    # Statistics that fit the data: the moments are taken about the moving mean, in float (from those of head/model 6e-6 after six steps).
    single --unlock-from bn1 --epochs 1 --out fit
    k=0
    while read -r count epochs options; do
        k=$((k + 1))
        # shellcheck disable=SC2086
        single $options --epochs "$epochs" --out gpu$k && cards "$count" $options --epochs "$epochs" --out gpus$k >out 2>&1
        is "$?:$(cat out):$(grep -c '^complaints 0' sums)" "0::$count" "$count ranks with a GPU each: $options"
        near gpu$k gpus$k; ok $? "train to the losses and weights of one GPU with the whole batch"
        is "$(sed -n 's/^ncclAllReduce //p' sums | sort -u | awk '$1 > 5' | wc -l)" 1 "NCCL made the sums: $(sed -n 's/^ncclAllReduce //p' sums | sort -u | tr '\n' ' ')"
    done <<'CASES'
2 2 --freeze-bn --unlock-from c1
2 2 --sync-bn --unlock-from bn1 --base fit/model
3 1 --freeze-bn --unlock-from c1 --batch 33 --clip-norm 1
CASES
    # without NCCL, with one card for two ranks, with a library that is too old to be there at all
    cards=$(FAKECUDA_SUPPORT=no-nccl cards 2 --freeze-bn --unlock-from c1 --epochs 2 --out host 2>&1)
    is "$?:$cards" "0:train: the ranks' gradients go through the host: rank 0: cuda: ncclGetUniqueId: unhandled system error (run with NCCL_DEBUG=INFO for details)" \
        "where NCCL fails one line says that the host sums"
    near gpu1 host; ok $? "to the same losses and weights"
    is "$(grep -c ncclAllReduce sums)" 0 "without NCCL"
    out=$(CUDA_VISIBLE_DEVICES=0 cards 2 --freeze-bn --unlock-from c1 --epochs 2 --out shared 2>&1)
    is "$?:$(grep -c "go through the host: rank 0: cuda: NCCL: invalid usage" <<<"$out"):$(wc -l <<<"$out")" 0:1:1 "two ranks on one card, which NCCL refuses: the same line"
    near gpu1 shared; ok $? "and the same losses and weights"
    mkdir -p apart/bin apart/fake && cp "$BIN"/train "$BIN"/*.so apart/bin/ && cp "$BUILD"/fakecuda/*.so* apart/fake/ && rm apart/fake/libnccl.so.2
    out=$(LD_LIBRARY_PATH=$PWD/apart/fake "${run[@]}" -x PATH=/nowhere -np 2 "$PWD/apart/bin/train" --threads 1 "${tune[@]}" --freeze-bn --unlock-from c1 --epochs 1 --out missing 2>&1 </dev/null)
    is "$?:$(grep -c "go through the host: rank 0: cuda: several GPUs need NCCL: libnccl.so.2: cannot open" <<<"$out"):$(wc -l <<<"$out")" 0:1:1 "a machine without the library: the same line"
    out=$(FAKECUDA_SUPPORT=no-nccl cards 2 --sync-bn --unlock-from bn1 --epochs 1 --out x 2>&1)
    is "$(grep -c "^train: device 'cuda' synchronises batch norms itself, and cannot: rank 0: cuda: ncclGetUniqueId: .*omit --sync-bn" <<<"$out")" 1 "--sync-bn without NCCL is refused, once"
    out=$(FAKECUDA_DEVICES=1 cards 2 --freeze-bn --unlock-from c1 --epochs 1 --out x 2>&1)
    has "$out" "there is no GPU 1" "more ranks than GPUs are refused"
    # a rank dies while the other waits for its part of a sum
    for norm in --freeze-bn --sync-bn; do
        rm -rf dead
        cards 2 $norm --unlock-from bn1 --epochs 300 --patience 0 --schedule constant --rank-timeout 100 --out dead >out 2>&1 &
        job=$!
        for _ in $(seq 1200); do
            [ -f dead/log.tsv ] && [ "$(wc -l <dead/log.tsv)" -gt 2 ] && break
            sleep 0.1
        done
        pids=($(pgrep -f -- "$BIN/train --threads 1 --device cuda .*--out dead" | while read -r p; do [ "$(cat /proc/$p/comm)" = train ] && echo "$p"; done | sort -n))
        kill -9 "${pids[1]}"; began=$SECONDS; wait $job; status=$?
        [ $status != 0 ] && [ $status != 124 ] && [ $((SECONDS - began)) -lt 60 ]; ok $? "$norm: a rank killed with -9: the job ends ($status, $((SECONDS - began)) s)"
        grep -q "train: rank 1 (process ${pids[1]} on '$(hostname)') is gone: the run ends" out; ok $? "$norm: the other says so: $(grep 'run ends' out | cut -c1-120)"
    done
    unset FAKECUDA_DEVICES
fi

# --- what cannot work, said once
said() { grep -c '^train: ' <<<"$1"; }
out=$(ranks 2 --device cpu --shards set --base "$tiny" --out x --batch 31 2>&1); has "$out" "--batch 31 cannot be shared equally among 2 ranks" "a batch that does not divide"
is "$(said "$out")" 1 "is said once"
out=$(ranks 2 --device cpu --shards nowhere --base "$tiny" --out x 2>&1); is "$(said "$out"):$(grep -c "'nowhere" <<<"$out")" "1:1" "a set that is not there is said once"
two() { "${run[@]}" -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x "${@:2}" : -np 1 env $1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x "${@:2}" 2>&1; }
out=$("${run[@]}" -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x : -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x --lr 0.5 2>&1)
has "$out" "the ranks have different plans: lr is '0.01' on rank 0 and '0.5' here" "ranks with other options"
out=$("${run[@]}" -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x --cache x/one : -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out x --cache x/two 2>&1)
has "$out" "the activation cache here is not the one that rank 0 wrote" "caches that are not shared"
out=$(two WINNOW_FAULT=alloc:900 --epochs 40); [ $? != 0 ] && grep -q '^train: rank 1: cannot' <<<"$out"; ok $? "a rank that fails alone in the middle ends all: $(grep '^train: rank 1' <<<"$out" | head -1 | cut -c1-100)"
out=$(ranks 2 --device ref --shards set --base head/model --phase fine-tune --unlock-from bn1 --out nan --lr 1000 --schedule constant --checkpoint-seconds 0 2>&1); status=$?
is "$status:$(grep -c 'training has diverged' <<<"$out")" "65:1" "a diverged loss stops all and is said once"
out=$(WINNOW_PLUGIN_DIR=$PWD ranks 2 --device cpu --shards set --base "$tiny" --out x 2>&1); has "$out" "built without MPI: 'winnow-mpi.so' is not beside this program" "without the plug-in it says so"
WINNOW_PLUGIN_DIR=$PWD "${run[@]}" -np 1 "$BIN/train" --threads 1 --device cpu --shards set --base "$tiny" --out alone --epochs 1; is $? 0 "one rank needs none"
done_testing
