#!/usr/bin/env bash
# train over ranks: pictures a second of fine-tuning InceptionV3 from conv2d_56 on, one process with one thread against two ranks with one thread each, the same
# --batch; from pictures and from the boundary cache; two ranks also as two hosts (network namespaces joined by a veth pair). In turn, ROUNDS
# times; best and median of the epochs, and the least CPU seconds of a run; beside them two processes apart, which share no batch. Prints a TSV table, never fails.
# usage: mpi.sh [BASE] [DIR]       ROUNDS=3 EPOCHS=2 PICTURES=34 (of each of 3 classes) BATCH=32
set -u
cd "$(dirname "$0")/../.." || exit 1
bin=$(cd "${BIN:-bin}" && pwd)
base=$PWD/${1:-models/base/inception_v3} work=${2:-$(mktemp -d)}
rounds=${ROUNDS:-3} epochs=${EPOCHS:-2} batch=${BATCH:-32}
command -v mpirun >/dev/null && [ -f "$bin/winnow-mpi.so" ] || { echo "mpi.sh: no mpirun, or built without MPI" >&2; exit 0; }
[ -f "$base/model.json" ] || { echo "mpi.sh: no base weights: make base-weights" >&2; exit 0; }
mkdir -p "$work"
root=
[ "$(id -u)" = 0 ] && root=--allow-run-as-root
if [ ! -f "$work/head/model/model.json" ]; then
    python3 tests/tools/make_pictures.py "$work/pictures" "${PICTURES:-34}" 1
    (cd "$work" && "$bin/scan" pictures | awk -F'\t' -v OFS='\t' 'NR == 1 { print $0, "split"; next } { print $0, NR % 17 ? "train" : "val" }' >split.tsv &&
        "$bin/pack" --root . --size 299 -o set split.tsv &&
        "$bin/train" --shards set --base "$base" --out head --cache cache --epochs 3 --boundary-cache f16) || exit 0
fi
fine=(--threads 1 --device cpu --shards "$work/set" --base "$work/head/model" --phase fine-tune --cache "$work/cache" --batch "$batch" --epochs "$epochs"
    --patience 0 --freeze-bn --checkpoint-seconds 1000)
run() { # NAME COMMAND... : its epochs' pictures a second and CPU seconds into NAME.tsv
    local name=$1 before after
    shift
    rm -rf "$work/out"
    before=$(awk '{ print $16 + $17 }' /proc/$$/stat)
    "$@" --out "$work/out" >"$work/log" 2>&1 || { sed 's/^/# /' "$work/log" >&2; return; }
    after=$(awk '{ print $16 + $17 }' /proc/$$/stat)
    awk -F'\t' -v cpu=$((after - before)) 'NR == 1 { for (i = 1; i <= NF; i++) { if ($i == "images_per_s") c = i; if ($i == "seconds") s = i }; next }
        $1 > 0 { print $c, cpu / 100 }' "$work/out/log.tsv" >>"$work/$name.tsv"
}
apart() { # two processes that know nothing of each other, half the batch each: what two cores of this machine can give
    rm -rf "$work/out" "$work/out-2"
    "$@" --batch $((batch / 2)) --out "$work/out" >"$work/log" 2>&1 &
    "$@" --batch $((batch / 2)) --out "$work/out-2" >"$work/log-2" 2>&1
    wait $!
    paste "$work/out/log.tsv" "$work/out-2/log.tsv" | awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "images_per_s") c[++n] = i; next } $1 > 0 { print $c[1] + $c[2], 0 }' >>"$work/$what-apart.tsv"
}
hosts() { # two ranks, each in a network namespace of its own
    ip netns exec wbench-a mpirun $root --bind-to none --host 10.99.7.1:1,10.99.7.2:1 -np 2 --mca plm_rsh_agent "$work/agent" --mca btl tcp,self \
        --mca btl_tcp_if_include 10.99.7.0/24 --mca oob_tcp_if_include 10.99.7.0/24 "$bin/train" "$@" </dev/null
}
two_hosts=
if command -v ip >/dev/null && ip netns add wbench-a 2>/dev/null; then
    trap 'ip netns del wbench-a; ip netns del wbench-b' EXIT
    printf '#!/bin/sh\nshift\nexec ip netns exec wbench-b sh -c "$*"\n' >"$work/agent"
    chmod +x "$work/agent"
    ip netns add wbench-b && ip link add wb-a netns wbench-a type veth peer name wb-b netns wbench-b &&
        ip -n wbench-a addr add 10.99.7.1/24 dev wb-a && ip -n wbench-b addr add 10.99.7.2/24 dev wb-b &&
        for h in a b; do ip -n wbench-$h link set wb-$h up; ip -n wbench-$h link set lo up; done && two_hosts=1
fi
rm -f "$work"/[pc]*-[12a]*.tsv
for _ in $(seq "$rounds"); do
    for what in pictures cached; do
        options=()
        [ $what = cached ] && options=(--boundary-cache f16)
        run $what-1 "$bin/train" "${fine[@]}" "${options[@]}"
        run $what-2 mpirun $root --bind-to none -np 2 "$bin/train" "${fine[@]}" "${options[@]}"
        apart "$bin/train" "${fine[@]}" "${options[@]}"
        [ -n "$two_hosts" ] && run $what-2-hosts hosts "${fine[@]}" "${options[@]}"
    done
done
printf 'what\tbest\tmedian\tof_one_best\tof_one_median\tcpu_s\n'
for what in pictures cached; do
    for name in $what-1 $what-apart $what-2 $what-2-hosts; do
        [ -s "$work/$name.tsv" ] || continue
        sort -g "$work/$name.tsv" | awk -v name="$name" -v one="$(sort -g "$work/$what-1.tsv" | awk '{ v[NR] = $1 } END { print v[NR], v[int((NR + 1) / 2)] }')" '
            { v[NR] = $1; cpu = !cpu || $2 < cpu ? $2 : cpu } END { split(one, o, " "); m = v[int((NR + 1) / 2)]
              printf "%s\t%.2f\t%.2f\t%.2f\t%.2f\t%.1f\n", name, v[NR], m, v[NR] / o[1], m / o[2], cpu }'
    done
done
[ -n "${2:-}" ] || rm -rf "$work"
