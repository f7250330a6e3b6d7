#!/usr/bin/env bash
# The engine on the CPU beside its peers: onnxruntime-node for inference, PyTorch for training steps. Prints a TSV table, never fails.
# usage: engine.sh [MODEL]     default models/base/inception_v3 (`make base-weights`)
#   SIMD=avx2     without AVX-512: the engine, its oneDNN, and the peers (engine_avx2.c)
#   PYTHON=FILE   with PyTorch; default /usr/bin/python3
#   ONNX=FILE     the model for the peers of inference; default: made from MODEL (InceptionV3) or exported (one with a head)
#   PEER_PYTHON=build/py/bin/python     with onnxruntime and openvino; STEADY='chrt -f 5' runs everything under it
#   THREADS=2 ROUNDS=2 SECONDS_EACH=2 WHAT='infer:1 infer:8 infer:32 head:32 head-cached:32 phase2:32 phase2-cached:32 full:16'
# Peers and engine run in turn, each round with a probe of the FMA peak before every pair: the machine's speed changes by the minute.
# `ratio` is the peer's median over the engine's in the same round (above 1: the engine is faster), median over rounds;
# `share` the engine's multiply-adds over the probe beside it. cpu_ratio is the same of CPU time: on a busy machine the truer one, with
# THREADS=1 above all (with more threads both count spinning).
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/bench model=${1:-$top/models/base/inception_v3}
threads=${THREADS:-2} steady=${STEADY:-} simd=${SIMD:-} rounds=${ROUNDS:-2} seconds=${SECONDS_EACH:-2} build=${BUILD:-build/release}
work=${WORK:-$top/build/bench-engine}
mkdir -p "$work"
if [ ! -e "$model/model.json" ]; then echo "# no model in '$model': run make base-weights"; exit 0; fi
cd "$top" || exit 0
areas="tensor tensor/ref tensor/cpu dist net hash io base"
make -s BUILD="$build" $(printf "$build/lib/%s/area.a " $areas) || { echo "# the engine does not build"; exit 0; }
cc=${CC:-cc}
$cc -std=gnu11 -D_GNU_SOURCE -Ilib -O2 -o "$work/engine_bench" "$here/engine_bench.c" -Wl,--start-group $(printf "$build/lib/%s/area.a " $areas) \
    -Wl,--end-group -ldl -ldnnl -fopenmp $(pkg-config --libs hdf5-serial libcjson libxxhash zlib) -lm -pthread || exit 0
$cc -O2 -fopenmp -o "$work/engine_peak" "$here/engine_peak.c" || exit 0
limit=
if [ "$simd" = avx2 ]; then
    $cc -O2 -shared -fPIC -o "$work/engine_avx2.so" "$here/engine_avx2.c" || exit 0
    export WINNOW_SIMD=avx2
    limit="env LD_PRELOAD=$work/engine_avx2.so"
    $limit true 2>/dev/null || { echo "# this machine cannot hide AVX-512 from the peers: they are left out"; limit=false; }
fi
python=${PYTHON:-/usr/bin/python3}
export NODE_PATH=${NODE_PATH:-$top/build/npm/node_modules}
has_torch=$("$python" -c 'import torch' 2>/dev/null && echo yes)
has_ort=$(node -e 'require("onnxruntime-node")' 2>/dev/null && echo yes)
peer_python=${PEER_PYTHON:-$top/build/py/bin/python}
for peer in onnxruntime openvino; do
    "$peer_python" -c "import $peer" 2>/dev/null && python_peers="${python_peers:-} $peer" || echo "# no $peer in $peer_python: no such peer"
done
[ -n "$has_torch" ] || echo "# python3-torch is not installed: no training peer"
[ -n "$has_ort" ] || echo "# onnxruntime-node is not installed in $NODE_PATH: no inference peer"
onnx=${ONNX:-$work/$(basename "$model").onnx}
if [ ! -s "$onnx" ] && [ "$(basename "$model")" = inception_v3 ]; then
    [ -z "$has_torch" ] || "$python" "$here/engine_torch.py" "$model" onnx "$onnx" >"$work/onnx.log" 2>&1
elif [ ! -s "$onnx" ]; then
    bin/winnow export --model "$model" --to onnx --classes 1,2,3,4,5 -o "$onnx" >"$work/onnx.log" 2>&1 || echo "# $(tail -n1 "$work/onnx.log")"
fi
[ -s "$onnx" ] || has_ort='' python_peers=
[ -z "$limit" ] || has_ort= # the program of Node starts before the library
# multiply-adds of one picture in GFLOP (two operations each), InceptionV3 299x299 with this head
gflop() { [ "$(basename "$model")" = inception_v3 ] || { echo 0; return; }
    case $1 in infer | head) echo 11.4235 ;; phase2) echo 19.3688 ;; phase2-cached) echo 12.0905 ;; full) echo 34.2320 ;; *) echo 0 ;; esac; }
field() { tr '\t' '\n' <<<"$1" | sed -n "s/^$2=//p"; }
raw=$work/raw.tsv
: >"$raw"
what=${WHAT:-infer:1 infer:8 infer:32 head:32 head-cached:32 phase2:32 phase2-cached:32 full:16}
for ((round = 1; round <= rounds; round++)); do
    for item in $what; do
        kind=${item%:*} batch=${item#*:}
        peak=$($steady $limit "$work/engine_peak" "$threads" 0.4)
        ours=$($steady "$work/engine_bench" "$model" "$kind" "$batch" "$threads" "$seconds") || { echo "# engine_bench $item failed"; continue; }
        peers=()
        if [ "$kind" = infer ]; then
            [ -z "$has_ort" ] || peers+=("onnxruntime-node	$($steady node "$here/engine_ort.cjs" "$onnx" "$batch" "$threads" "$seconds")")
            for peer in ${python_peers:-}; do
                peers+=("$peer	$($steady $limit "$peer_python" "$here/engine_peers.py" "$peer" "$onnx" "$batch" "$threads" "$seconds" 2>/dev/null)")
            done
        elif [ -n "$has_torch" ] && [ "$kind" != head-cached ]; then
            peers+=("pytorch	$($steady $limit "$python" "$here/engine_torch.py" "$model" "$kind" "$batch" "$threads" "$seconds" 2>/dev/null)")
            peers+=("pytorch, malloc tuned	$(MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_TOP_PAD_=268435456 \
                $steady $limit "$python" "$here/engine_torch.py" "$model" "$kind" "$batch" "$threads" "$seconds" 2>/dev/null)")
        fi
        [ ${#peers[@]} -gt 0 ] || peers=("none	")
        for peer in "${peers[@]}"; do
            name=${peer%%	*} line=${peer#*	}
            printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$kind" "$batch" "$name" "$peak" "$(gflop "$kind")" "$(field "$ours" median_ms)" \
                "$(field "$ours" cpu_best_ms)" "$(field "$line" median_ms)" "$(field "$line" cpu_best_ms)" "$(field "$ours" maxrss_mb)" \
                "$(field "$line" maxrss_mb)" >>"$raw"
        done
    done
done
echo "# $("$work/engine_bench" "$model" infer 1 "$threads" 0 | awk -F'\t' '{print $NF}'); load $(cut -d' ' -f1 /proc/loadavg)"
printf 'what\tbatch\tpeer\twinnow_ms\tpeer_ms\tratio\tcpu_ratio\timages_per_s\tshare_of_peak\trss_mb\tpeer_rss_mb\n'
awk -F'\t' '
    function median(list, n,   v, i, k, t) { n = split(list, v, " "); for (i = 1; i <= n; i++) for (k = i + 1; k <= n; k++)
        if (v[k] + 0 < v[i] + 0) { t = v[i]; v[i] = v[k]; v[k] = t }
        if (n == 0) return ""
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2 }
    { key = $1 "\t" $2 "\t" $3; if (!(key in seen)) { seen[key] = 1; order[++n_keys] = key }
      mine[key] = mine[key] " " $6; share[key] = share[key] " " ($5 > 0 ? $5 * $2 / $6 * 1000 / $4 : 0); rss[key] = $10; peer_rss[key] = $11
      batch[key] = $2
      if ($8 > 0) { theirs[key] = theirs[key] " " $8; ratio[key] = ratio[key] " " $8 / $6; cpu[key] = cpu[key] " " $9 / $7 } }
    END { for (i = 1; i <= n_keys; i++) {
        k = order[i]; m = median(mine[k]); r = median(ratio[k]); c = median(cpu[k]); s = median(share[k])
        if (r != "") r = sprintf("%.3f", r)
        if (c != "") c = sprintf("%.3f", c)
        s = s > 0 ? sprintf("%.0f%%", s * 100) : ""
        printf("%s\t%.2f\t%s\t%s\t%s\t%.1f\t%s\t%s\t%s\n", k, m, median(theirs[k]), r, c, batch[k] * 1000 / m, s, rss[k], peer_rss[k]) } }' "$raw"
exit 0
