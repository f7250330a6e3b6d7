#!/usr/bin/env bash
# --device, as a user meets it: what is there, what is not, what is broken.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
classify() { "$BIN/classify" --no-sandbox --model "$TOP/tests/fixtures/tiny-net/tfjs-float32" "$@" "$TOP/tests/formats/pictures/a.png" 2>err; }
refused() { # STATUS SENTENCE OPTION...
    local want=$1 sentence=$2 got
    shift 2
    classify "$@" >out
    got=$?
    [ $got = "$want" ] && [ "$(wc -l <out)" -le 1 ] && [ "$(wc -l <err)" = 1 ] && grep -q "$sentence" err
    ok $? "$* is status $got: $(head -c 200 err)"
}
mkdir none broken other
echo 'no shared object' >broken/winnow-cuda.so
[ -f "$BIN/winnow-mpi.so" ] && cp "$BIN/winnow-mpi.so" other/winnow-cuda.so
classify --device ref --format json | grep -o '"class_[0-9]": *0\.[0-9]\{4\}' >ref
[ "$(wc -l <ref)" = 5 ]
ok $? "--device ref"
export WINNOW_PLUGIN_DIR=$PWD/none
classify --device auto --format json | grep -o '"class_[0-9]": *0\.[0-9]\{4\}' | cmp -s - ref && [ ! -s err ]
ok $? "--device auto without a plug-in takes the processor, without a word"
refused 69 "device 'cuda': built without CUDA: 'winnow-cuda.so' is not beside this program" --device cuda
refused 64 "unknown device 'gpu' (there are auto, cuda, cpu, ref)" --device gpu
export WINNOW_PLUGIN_DIR=$PWD/broken
refused 69 "device 'cuda': cannot load the CUDA backend: .*winnow-cuda.so" --device cuda
classify --device auto --format json | grep -o '"class_[0-9]": *0\.[0-9]\{4\}' | cmp -s - ref
ok $? "--device auto goes on without one that does not load"
if [ -f other/winnow-cuda.so ]; then
    export WINNOW_PLUGIN_DIR=$PWD/other
    refused 69 "device 'cuda': '.*/other/winnow-cuda.so' is not a backend of this version" --device cuda
else
    skip "another plug-in under that name" "built without MPI"
fi
done_testing
