#!/usr/bin/env bash
# The kit for a machine with a card (make gpu-kit), run where there is nothing but it: a root folder with a shell, glibc, libstdc++, libgcc_s
# and libz, and the stand-ins in the place of NVIDIA's libraries.
. "$(dirname "$0")/../tap.sh"
what="the kit for a machine with a card"
[ -f "$BIN/winnow-cuda.so" ] || skip_all "$what" "built without CUDA: ./bootstrap gpu"
case $BUILD in *asan* | *ubsan* | *tsan*) skip_all "$what" "not under a sanitizer: its libraries do not travel" ;; esac
/usr/bin/python3 -c 'import PIL' 2>/dev/null || skip_all "$what" "no PIL to draw its pictures: ./bootstrap deps"
cd "$TMPDIR" || exit 1
root=$TMPDIR/root kit=$TMPDIR/root/gpu-kit fake=$BUILD/fakecuda
mkdir -p "$root"/{bin,dev,tmp,lib,lib64,with-python}
ln -s . "$root/usr"

# --- the root folder
tools="bash cat cp dirname env ldd mkdir mktemp mv rm sleep sort tar timeout tr true uname gzip"
copy_libraries() { # PATTERN FILE...
    local pattern=$1
    shift
    for f; do ldd "$f" 2>/dev/null; done | awk '$3 ~ /^\// { print $3 }' | sort -u | grep -E "$pattern" | xargs -I{} cp -L {} "$root/lib/"
}
for t in $tools; do cp -L "$(type -P "$t")" "$root/bin/"; done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
copy_libraries . $(for t in $tools; do type -P "$t"; done)
tools_have=$(ls "$root/lib")
copy_libraries '/(libc|libm|libdl|libpthread|librt|libresolv|libstdc\+\+|libgcc_s|libz)\.so' "$BIN/train" "$BIN/classify" "$BUILD/tests/cuda_ops_test"
: >"$root/dev/null"

chroot=("$(PATH=$PATH:/usr/sbin type -P chroot)" "$root")
"${chroot[@]}" /bin/true 2>/dev/null || chroot=(unshare -r "${chroot[@]}")
"${chroot[@]}" /bin/true 2>/dev/null || skip_all "$what" "no right to change the root folder"
in_root() { env -i PATH=/bin "${chroot[@]}" /bin/env "$@"; }

# --- the kit
(cd "$TOP" && KIT_BASE='' KIT_GZIP=1 tests/gpu/pack "$kit") >packed 2>&1
ok $? "it is packed: $(cat packed)"
has "$(tar -tzf "$kit.tar.gz")" gpu-kit/run.sh "as an archive, too"
carried=$(tar -tzf "$kit/lib.tar.gz")
is "$(grep -cE 'lib(c|m|stdc\+\+|gcc_s|z|cudart|cudnn|cublas)\.so' <<<"$carried")" 0 "what a bare system and a card's machine have is not carried"
needed=$(ldd "$kit"/bin/* | awk '$2 == "=>" { print $1 }' | sort -u)
is "$(for lib in $tools_have; do case $lib in libc.* | libm.* | libresolv.* | libz.*) ;; *) grep -qxF "$lib" <<<"$needed" && ! grep -q "/$lib$" <<<"$carried" && echo "$lib"; esac; done)" \
    "" "nothing that only the shell brought here is needed"
cp -r "$TOP/tests/fixtures/tiny-net/tfjs-float32" "$root/tiny"
"$BUILD/tests/train_shards_test" "$root/set" 40 >/dev/null

# --- NVIDIA's libraries as pip installs them: CUDA 13's layout, then the older one
site=$root/venv/lib/python3.12/site-packages/nvidia old=$root/old/lib/python3.12/site-packages/nvidia
mkdir -p "$site"/{cudnn,cu13,nccl}/lib "$old"/{cudnn,cublas,cuda_runtime}/lib
cp "$fake"/libcudnn*.so.9 "$site/cudnn/lib/"
cp "$fake"/libcudart.so.* "$fake"/libcublas.so.* "$site/cu13/lib/"
cp "$fake"/libnccl.so.2 "$site/nccl/lib/"
cp "$fake"/libcudnn*.so.9 "$old/cudnn/lib/"
cp "$fake"/libcublas.so.* "$old/cublas/lib/"
cp "$fake"/libcudart.so.* "$old/cuda_runtime/lib/"
small=(KIT_SIDE=75 KIT_BATCHES=1 KIT_SECONDS=0.1 KIT_PROBE="1 1" KIT_TESTS="step ops:arena ops:transfers" KIT_BASE=/tiny KIT_SET=/set KIT_UNLOCK=c1)

# A python3 that knows where the modules are, and whose torch makes 4 pictures a second, compiled 8.
cat >"$root/with-python/python3" <<'E2'
#!/bin/bash
case $* in
*sys.path*) echo /venv/lib/python3.12/site-packages ;;
*engine_torch.py*) printf 'pytorch\t%s\timg_s_median=%s.00\tmaxrss_mb=1\n' "$3" $((4 + 4 * COMPILE)) ;;
esac
E2
chmod +x "$root/with-python/python3"

# --- the run
start=$SECONDS
in_root PATH=/bin:/with-python "${small[@]}" PARTS="versions probe bench eager tests compiled train" /gpu-kit/run.sh /out 300 >run.log 2>&1
status=$? out=$root/out
evidence run.log
ok $status "all parts run in a bare folder, in $((SECONDS - start)) s"
evidence ''
is "$(column "$out/parts.tsv" status | sort | uniq -c | sed 's/^ *//' | tr '\n' ',')" "17 ok," "each part's status is in parts.tsv"
is "$(cut -f 1-3,5,6,8 "$out/results.tsv" | tr '\t\n' ' ,')" "work type batch eager compiled status,inference bf16 1 4.00 8.00 ok,fine-tune bf16 1 4.00 8.00 ok,inference tf32 1 4.00  ok,fine-tune tf32 1 4.00  ok," "results.tsv has the rows"
[ "$(column "$out/results.tsv" winnow | grep -cE '^[0-9]+\.[0-9]$')" = 4 ]
ok $? "with pictures a second: $(column "$out/results.tsv" winnow | tr '\n' ' ')"
awk -F'\t' 'NR > 1 { d = $7 - $4 / ($6 > $5 ? $6 : $5); if (d > 0.001 || d < -0.001) bad++ } END { exit bad > 0 || NR < 5 }' "$out/results.tsv"
ok $? "and their ratio to the better of the other two"
is "$(column "$out/probe.log" status | grep -vc '^$')" "$(grep -cE '^ +\{"[^"]+", ask_|^ +\{"[^"]+",$' "$TOP/tests/gpu/probe.c")" "the probe answers every question"
is "$(cell "$out/probe.log" 'ConvolutionBackwardBias bf16' status):$(cell "$out/probe.log" 'transform f32 to bf16' status)" CUDNN_STATUS_NOT_SUPPORTED:ok "a refusal is told from a call that is taken"
has "$(cat "$out/test-step.log")" "a step of 128 pictures: " "what a step takes of the host comes back"
has "$(cat "$out/device.json")" '"memoryBusWidth":' "the card's description comes back, as --plan-for takes it"
[ -s "$out/plans.tsv" ] && [ -s "$out/train-fine.tsv" ] && [ -s "$out/versions.log" ]
ok $? "the chosen plans, the epochs and the versions come back"
has "$(cat "$out/classify.log")" "shapes/012.jpg" "the model that it trained classifies pictures"
has "$(cat run.log)" "libraries: /venv/lib/python3.12/site-packages/nvidia" "the libraries of the Python environment are found"
carried_used=$(sed -n 's/^carried libraries in use: //p' run.log)
has " $carried_used " " libdnnl.so.2 " "those that the loader lacks are taken from the kit"

tar -xzf "$kit/lib.tar.gz" -C "$root" --transform 's,^lib,all,'
found=$(sed -n "s/^LD_LIBRARY_PATH of winnow's programs: //p" "$out/versions.log")
has "$(in_root LD_LIBRARY_PATH="$found:/all" WINNOW_PLUGIN_DIR=/gpu-kit/bin /gpu-kit/bin/gpu_bench --side 75 --seconds 0.1 --precisions tf32 --batches 1 --works infer-card 2>&1)" \
    "infer-card tf32      1 " "a row with the pictures on the card"

# --- other machines
in_root VIRTUAL_ENV=/old LD_LIBRARY_PATH=/mine PARTS="versions eager" /gpu-kit/run.sh /out-old >run.log 2>&1
ok $? "the older layout of the wheels"
has "$(cat "$root/out-old/versions.log")" "programs: /mine:/old/lib/" "an LD_LIBRARY_PATH that is there stays first"
is "$(cell "$root/out-old/parts.tsv" pytorch status)" "no torch with a GPU here" "a missing PyTorch is not a failure"
cp -L "$(ldd "$BIN/train" | awk '/libxxhash/ { print $3 }')" "$root/lib/"
in_root LD_LIBRARY_PATH=/venv/lib/python3.12/site-packages/nvidia/cudnn/lib:/venv/lib/python3.12/site-packages/nvidia/cu13/lib PARTS=versions /gpu-kit/run.sh /out-own >run.log 2>&1
ok $? "libraries that the loader knows"
is "$(grep -c libxxhash run.log)" 0 "a library that the system has is not taken from the kit"
in_root VIRTUAL_ENV=/venv FAKECUDA_DEVICES=0 /gpu-kit/run.sh /out-none >run.log 2>&1
is "$?:$(rows "$root/out-none/results.tsv")" 69:0 "no card: 69 and an empty table"
in_root PARTS=versions /gpu-kit/run.sh /out-bare >run.log 2>&1
is "$?:$(grep -c "libraries: not found: libcublas.so.* libcudart.so.* libcudnn.so.9" run.log)" 69:1 "no libraries: 69, and they are named"
in_root VIRTUAL_ENV=/venv "${small[@]}" PARTS="versions probe bench" /gpu-kit/run.sh /out-short 7 >run.log 2>&1
has "$(cat "$root/out-short/parts.tsv")" "no time left" "parts that no time is left for are named"
in_root VIRTUAL_ENV=/venv FAKECUDA_CC=75 "${small[@]}" PARTS="versions bench" /gpu-kit/run.sh /out-turing >run.log 2>&1
is "$(cut -f 1-3,8 "$root/out-turing/results.tsv" | tr '\t\n' ' ,')" "work type batch status,inference fp16 1 ok,fine-tune fp16 1 ok,inference tf32 1 ok,fine-tune tf32 1 ok," "on Turing fp16 takes the place of bf16"
in_root PARTS="versions everything" /gpu-kit/run.sh /out-wrong >run.log 2>&1
is "$?" 64 "an unknown part is refused"
done_testing
