#!/usr/bin/env bash
# An int8 model beside its peers: the engine in 8 bits and in floats, OpenVINO and onnxruntime on the same model as QDQ. Prints a TSV table, never fails.
# usage: int8.sh INT8 [FLOAT [OPENVINO.xml]]     INT8: export --precision int8 of FLOAT, a model folder; OPENVINO.xml: the same quantised by NNCF
#   THREADS=2 ROUNDS=3 SECONDS_EACH=1 BATCHES='1 8 32' ISA='avx2 all'
# All run in turn in each round; `ratio` is the peer's best over the engine's in the same round, median over rounds (above 1: the engine is faster).
# ISA avx2: all are limited to AVX2 without VNNI (onnxruntime cannot be; it runs as it likes). Memory is the most that was resident.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
here=$top/tests/bench int8=$1 float=${2:-} xml=${3:-}
threads=${THREADS:-2} rounds=${ROUNDS:-3} seconds=${SECONDS_EACH:-1} build=${BUILD:-build/release}
work=${WORK:-$top/build/bench-int8} python=${PYTHON:-$top/build/py/bin/python}
mkdir -p "$work"
cd "$top" || exit 1
areas="tensor tensor/ref tensor/cpu dist net hash io base"
make -s BUILD="$build" $(printf "$build/lib/%s/area.a " $areas) || { echo "# the engine does not build"; exit 0; }
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -Ilib -O2 -o "$work/engine_bench" "$here/engine_bench.c" -Wl,--start-group $(printf "$build/lib/%s/area.a " $areas) \
    -Wl,--end-group -ldl -ldnnl -fopenmp $(pkg-config --libs hdf5-serial libcjson libxxhash zlib) -lm -pthread || exit 0
"${BIN:-bin}/export" --model "$int8" --precision int8 --to onnx -q -o "$work/int8.onnx" || exit 0
field() { tr '\t' '\n' <<<"$1" | sed -n "s/^$2=//p"; }
: >"$work/raw.tsv"
for ((round = 1; round <= rounds; round++)); do
    for isa in ${ISA:-avx2 all}; do
        limit=() peer_limit=()
        [ "$isa" != avx2 ] || { limit=(WINNOW_SIMD=avx2); peer_limit=(ONEDNN_MAX_CPU_ISA=AVX2); }
        for batch in ${BATCHES:-1 8 32}; do
            run() { # name, command...
                line=$(env "${@:2}" 2>/dev/null | tail -1)
                [ -z "$(field "$line" best_ms)" ] || printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$isa" "$batch" "$1" "$round" "$(field "$line" best_ms)" \
                    "$(field "$line" maxrss_mb)" >>"$work/raw.tsv"
            }
            run winnow-int8 "${limit[@]}" "$work/engine_bench" "$int8" infer "$batch" "$threads" "$seconds"
            run openvino-int8 "${peer_limit[@]}" "$python" "$here/int8_peer.py" openvino "$work/int8.onnx" "$batch" "$threads" "$seconds"
            [ -z "$xml" ] || run openvino-nncf "${peer_limit[@]}" "$python" "$here/int8_peer.py" openvino "$xml" "$batch" "$threads" "$seconds"
            run onnxruntime-int8 "$python" "$here/int8_peer.py" onnxruntime "$work/int8.onnx" "$batch" "$threads" "$seconds"
            [ -z "$float" ] || run winnow-fp32 "${limit[@]}" "$work/engine_bench" "$float" infer "$batch" "$threads" "$seconds"
        done
    done
done
echo "# $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), $threads threads; load $(cut -d' ' -f1 /proc/loadavg)"
printf 'isa\tbatch\twhat\tbest_ms\tratio\tmaxrss_mb\n'
awk -F'\t' '
    function median(list, n,   v, i, k, t) { n = split(list, v, " "); for (i = 1; i <= n; i++) for (k = i + 1; k <= n; k++)
        if (v[k] + 0 < v[i] + 0) { t = v[i]; v[i] = v[k]; v[k] = t }
        return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2 }
    { key = $1 "\t" $2 "\t" $3; if (!(key in ms)) order[++n_keys] = key; ms[key] = ms[key] " " $5; rss[key] = $6; at[$1, $2, $4, $3] = $5
      own = at[$1, $2, $4, "winnow-int8"]; if (own > 0) ratio[key] = ratio[key] " " $5 / own }
    END { for (i = 1; i <= n_keys; i++) printf("%s\t%.1f\t%.2f\t%s\n", order[i], median(ms[order[i]]), median(ratio[order[i]]), rss[order[i]]) }' "$work/raw.tsv"
exit 0
