#!/usr/bin/env bash
# What winnow's CUDA backend does on this machine's card: is it right, and how fast is it beside PyTorch. For a machine that has a card, its
# driver, cuDNN 9, cuBLAS and bash: no compiler, no make, no network. Python with torch, nsys and ncu are used where they are there.
# usage: ./run.sh [OUT [SECONDS]]     OUT (default: gpu-report) gets results.tsv, parts.tsv, a log for each part, device.json and
#                                     plans.tsv; SECONDS (default: 540) is the most that all parts take together
# The parts run in this order, most wanted first, each in a time limit. PARTS='probe bench' runs some. 0: all went well; 1: some part did not;
# 69: no card opens.
set -u
kit=$(cd "$(dirname "$0")" && pwd)
out=${1:-gpu-report} budget=${2:-540}
case $budget in '' | *[!0-9]*) echo "run.sh: SECONDS is a number, not '$budget'" >&2; exit 64 ;; esac
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 73
parts=${PARTS:-versions probe bench eager tests compiled profile more train grid}
# What the dry run on a machine without a card makes smaller.
side=${KIT_SIDE:-299} batches=${KIT_BATCHES:-128 32 256} seconds=${KIT_SECONDS:-2} probe=${KIT_PROBE:-128 20}
base=${KIT_BASE:-$kit/models/base/inception_v3} set=${KIT_SET:-$kit/set} unlock=${KIT_UNLOCK:-auto} tests=${KIT_TESTS:-}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT || exit 73
export LC_ALL=C
SECONDS=0

# --- libraries ----------------------------------------------------------------------------------------------------------
# NVIDIA's from the system, else from one place that has all that the plug-in needs; appended to what the loader knows. The carried ones come
# last, only those that the loader does not find, and only for winnow's programs: Python has its own.
path=${LD_LIBRARY_PATH:-}
not_found() { # FILE: the libraries that the loader does not find for it
    local name said
    LD_LIBRARY_PATH=$path ldd "$1" 2>/dev/null | while read -r name said; do
        case $said in '=> not found'*) echo "$name" ;; esac
    done
}
nvidia_lacks() {
    local name
    for name in $(not_found "$kit/bin/winnow-cuda.so") $(not_found "$kit/bin/probe"); do
        case $name in libcud* | libcublas* | libnv*) echo "$name" ;; esac
    done
}
take() { # FOLDER...: into path, when they have all that is lacking
    local before=$path folder file
    for folder; do
        for file in "$folder"/lib{cudnn,cublas,cudart,nccl,nvrtc}*.so*; do
            if [ -e "$file" ]; then path=${path:+$path:}$folder && break; fi
        done
    done
    [ -z "$(nvidia_lacks)" ] || { path=$before; return 1; }
}
find_nvidia() {
    local place toolkit=() modules=()
    [ -n "$(nvidia_lacks)" ] || { echo "NVIDIA's libraries: the loader knows them"; return; }
    for place in ${CUDA_HOME:+"$CUDA_HOME"} ${CUDA_PATH:+"$CUDA_PATH"} /usr/local/cuda; do
        toolkit+=("$place"/lib64 "$place"/lib)
        take "$place"/lib64 "$place"/lib && { echo "NVIDIA's libraries: $place"; return; }
    done
    for place in ${VIRTUAL_ENV:+"$VIRTUAL_ENV"} ${CONDA_PREFIX:+"$CONDA_PREFIX"}; do modules+=("$place"/lib/python3*/site-packages); done
    python3 -c 'import sys; print(*filter(None, sys.path), sep="\n")' >"$work/modules" 2>/dev/null </dev/null
    while read -r place; do modules+=("$place"); done <"$work/modules"
    for place in ${modules[@]+"${modules[@]}"}; do
        [ -d "$place/nvidia" ] || continue
        take "$place"/nvidia/*/lib || take "${toolkit[@]}" "$place"/nvidia/*/lib || continue
        echo "NVIDIA's libraries: $place/nvidia"
        return
    done
    echo "NVIDIA's libraries: not found: $(nvidia_lacks | sort -u | tr '\n' ' ')(pip install torch brings them)"
}
add_carried() {
    local f name more=1
    [ -d /usr/local/nvidia/lib64 ] && path=${path:+$path:}/usr/local/nvidia/lib64 # where containers put the driver
    mkdir "$work/lib" && tar -xzf "$kit/lib.tar.gz" -C "$work" --transform 's,^lib,all,' || exit 71
    path=${path:+$path:}$work/lib
    while [ -n "$more" ]; do
        more=
        for f in "$kit"/bin/*; do
            for name in $(not_found "$f"); do
                if [ -f "$work/all/$name" ] && [ ! -e "$work/lib/$name" ]; then mv "$work/all/$name" "$work/lib/" && more=1; fi
            done
        done
    done
    echo "carried libraries in use: $(cd "$work/lib" && shopt -s nullglob && echo *)"
}

# --- parts --------------------------------------------------------------------------------------------------------------
failed=0
note() { printf '%s\t%s\t%s\n' "$1" "$2" "$3" >>"$out/parts.tsv"; echo "$1: $2 ($3 s)"; }
printf 'part\tstatus\tseconds\n' >"$out/parts.tsv"
run() { # NAME LIMIT COMMAND...: what it prints goes to NAME.log; its status is 0 where it went well
    local name=$1 limit=$2 left=$((budget - SECONDS - 5)) start=$SECONDS status
    shift 2
    if [ $left -lt 3 ]; then note "$name" "no time left" 0; return 75; fi
    [ $left -ge "$limit" ] || limit=$left
    timeout -k 5 "$limit" "$@" >"$out/$name.log" 2>&1 </dev/null
    status=$?
    case $status in 0) ;; *) failed=1 ;; esac
    case $status in 0) note "$name" ok $((SECONDS - start)) ;; 124 | 137) note "$name" "over $limit s" $((SECONDS - start)) ;;
    *) note "$name" "failed ($status)" $((SECONDS - start)) ;; esac
    return $status
}
without() { note "$1" "$2" 0; }
own() { # NAME LIMIT COMMAND...: run, with winnow's libraries
    local name=$1 limit=$2
    shift 2
    run "$name" "$limit" env LD_LIBRARY_PATH="$path" WINNOW_PLUGIN_DIR="$kit/bin" WINNOW_CUDA_CACHE="$out/plans.tsv" WINNOW_CUDA_REAL=1 \
        TOP="$kit" BIN="$kit/bin" "$@"
}

# --- the table ----------------------------------------------------------------------------------------------------------
declare -A ours_rate eager_rate compiled_rate said
order=()
tenths() { local i=${1%.*} f=; case $1 in *.*) f=${1#*.} ;; esac; f=${f}0; echo $((10#$i * 10 + 10#${f:0:1})); }
known() { # KEY: a row of the table
    local k
    for k in ${order[@]+"${order[@]}"}; do [ "$k" != "$1" ] || return 0; done
    order+=("$1")
}
table() {
    local k best ratio t
    {
        printf 'work\ttype\tbatch\twinnow\teager\tcompiled\tratio\tstatus\n'
        for k in ${order[@]+"${order[@]}"}; do
            best=0 ratio=
            for t in "${eager_rate[$k]:-}" "${compiled_rate[$k]:-}"; do
                [ -n "$t" ] || continue
                t=$(tenths "$t")
                [ "$t" -le $best ] || best=$t
            done
            if [ $best -gt 0 ] && [ -n "${ours_rate[$k]:-}" ]; then
                t=$(($(tenths "${ours_rate[$k]}") * 1000 / best))
                ratio=$((t / 1000)).$(printf %03d $((t % 1000)))
            fi
            printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$k" "${ours_rate[$k]:-}" "${eager_rate[$k]:-}" "${compiled_rate[$k]:-}" "$ratio" "${said[$k]:-ok}"
        done
    } >"$out/results.tsv"
}
bench() { # TYPE BATCH WORKS LIMIT
    local name=bench-$1-$2-${3//,/-} status w type n rate rest key works=$3
    own "$name" "$4" "$kit/bin/gpu_bench" --side "$side" --seconds "$seconds" --precisions "$1" --batches "$2" --works "$works"
    status=$?
    for w in ${works//,/ }; do
        key=$w$'\t'$1$'\t'$2
        known "$key"
        said[$key]="no row: exit status $status"
    done
    [ ! -f "$out/$name.log" ] || while read -r w type n rate rest; do
        case ",$works," in *",$w,"*) ;; *) continue ;; esac
        key=$w$'\t'$type$'\t'$n
        case $rate in
        '' | *[!0-9.]*) said[$key]=$rate\ $rest ;;
        *) ours_rate[$key]=$rate said[$key]=ok ;;
        esac
    done <"$out/$name.log"
    table
}
twin() { # WORK TYPE BATCH COMPILE LIMIT
    local name=pytorch-$1-$2-$3-$4 what field key=$1$'\t'$2$'\t'$3 type=$2
    case $1 in inference) what=infer ;; fine-tune) what=phase2 ;; cached) what=phase2-cached ;; *) what=$1 ;; esac
    [ "$type" != fp32 ] || type=float32
    known "$key"
    run "$name" "$5" env DEVICE=cuda DTYPE="$type" COMPILE="$4" python3 "$kit/engine_torch.py" "$base" $what "$3" 4 "$seconds" || { table; return; }
    for field in $(<"$out/$name.log"); do
        case $field in img_s_median=*) if [ "$4" = 0 ]; then eager_rate[$key]=${field#*=}; else compiled_rate[$key]=${field#*=}; fi ;; esac
    done
    table
}

short=bf16
# --- what each part is --------------------------------------------------------------------------------------------------
part_versions() {
    local f program
    {
        cat "$kit/VERSION"
        echo "$libraries"
        echo "LD_LIBRARY_PATH of winnow's programs: $path"
        uname -srm
        nvidia-smi 2>&1
        nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,clocks.max.mem,power.limit,persistence_mode --format=csv 2>&1
        for f in "$kit"/bin/*; do for program in $(not_found "$f"); do echo "${f##*/}: $program: not found"; done; done
        python3 -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda, "cuDNN", torch.backends.cudnn.version())' 2>&1
    } >"$out/versions.log"
    # shellcheck disable=SC2016
    own describe 30 bash -c '"$0" --describe-device >"$1"' "$kit/bin/train" "$out/device.json"
    own devices 30 "$kit/bin/train" --list-devices
    cat "$out/devices.log" >>"$out/versions.log"
    # Turing has no bfloat16.
    [[ $(<"$out/device.json") != *'"deviceVer":7'* ]] || short=fp16
}
part_probe() {
    # shellcheck disable=SC2086
    own probe 60 "$kit/bin/probe" $probe
}
part_bench() {
    local b t
    for b in $batches; do for t in $short tf32; do bench $t "$b" inference,fine-tune 30; done; done
}
has_torch() { python3 -c 'import torch, sys; sys.exit(not torch.cuda.is_available())' >/dev/null 2>&1 </dev/null; }
part_eager() {
    local b w first=${batches%% *}
    has_torch || { without pytorch "no torch with a GPU here"; return; }
    for b in $batches; do for w in fine-tune inference; do twin $w $short "$b" 0 30; done; done
    for w in fine-tune inference; do twin $w tf32 "$first" 0 30; done
}
# A part of a test program is a process of its own: after an illegal access a process has lost the card.
part_tests() {
    local t
    for t in ${tests:-step ops:fp32 ops:tf32 ops:bf16 ops:fp16 ops:arena ops:transfers net inception}; do
        # shellcheck disable=SC2046
        own "test-${t/:/-}" 60 "$kit/bin/cuda_${t%%:*}_test" $(case $t in *:*) echo "${t#*:}" ;; esac)
    done
}
part_compiled() {
    local w first=${batches%% *}
    has_torch || { without pytorch-compiled "no torch with a GPU here"; return; }
    for w in fine-tune inference; do twin $w $short "$first" 1 90; done
}
part_profile() {
    local bench=("$kit/bin/gpu_bench" --seconds 0.5 --precisions $short --batches 128 --works fine-tune)
    if command -v nsys >/dev/null; then
        own profile 60 nsys profile --stats=true -o "$work/profile" "${bench[@]}"
    elif command -v ncu >/dev/null; then
        own profile 60 ncu --clock-control none --metrics gpu__time_duration.sum --launch-skip 2400 --launch-count 700 "${bench[@]}"
    else
        without profile "neither nsys nor ncu here"
    fi
}
part_more() {
    local first=${batches%% *}
    bench $short "$first" infer-card,tune-card 30
    bench fp32 "$first" inference,fine-tune 30
    bench $short "$first" head,cached 30
}
part_train() {
    own train-head 40 "$kit/bin/train" --shards "$set" --base "$base" --epochs 5 --batch 8 --device cuda --out "$work/head" -v &&
        own train-fine-tune 40 "$kit/bin/train" --shards "$set" --base "$work/head/model" --phase fine-tune --unlock-from "$unlock" --augment article --epochs 3 \
            --batch 8 --device cuda --out "$work/fine" -v &&
        own classify 30 "$kit/bin/classify" --no-sandbox --model "$work/fine/model" --device cuda "$kit/pictures"
    for f in head fine; do [ ! -f "$work/$f/log.tsv" ] || cp "$work/$f/log.tsv" "$out/train-$f.tsv"; done
}
part_grid() {
    local b t
    for t in $short tf32 fp32; do for b in 64 8 1; do bench $t $b inference,fine-tune 30; done; done
}

libraries=$(find_nvidia; echo "$path" >"$work/path")
path=$(<"$work/path")
add_carried >"$work/carried"
libraries=$libraries$'\n'$(<"$work/carried")
echo "$libraries"
for part in $parts; do
    declare -F "part_$part" >/dev/null || { echo "run.sh: no part '$part'" >&2; exit 64; }
done
table
for part in $parts; do
    "part_$part"
    if [ "$part" = versions ] && ! [[ $'\n'$(<"$out/devices.log") == *$'\ncuda\tyes'* ]]; then
        echo "no card opens: see $out/devices.log" >&2
        exit 69
    fi
done
echo "$SECONDS s; the table:"
cat "$out/results.tsv"
exit $failed
