#!/usr/bin/env bash
# Which plans the real cuDNN gives our convolutions on cards from Turing to Blackwell, asked without a card (tests/cudnn/plans.c).
# CARD=h200 PRECISION=bf16 asks for some.
. "$(dirname "$0")/../tap.sh"
[ -f "$BIN/winnow-cuda.so" ] || skip_all "plans of the real cuDNN" "built without CUDA: ./bootstrap gpu"
case $BUILD in *asan* | *ubsan* | *tsan*) skip_all "plans of the real cuDNN" "not under a sanitizer: the library is not ours" ;; esac
# shellcheck disable=SC2086
exec "$TOP/tests/cudnn/run" ${CARD:-} ${PRECISION:-}
