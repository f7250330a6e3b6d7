#!/usr/bin/env bash
# What a GPU does here: the table of gpu_bench, and, where a packed set of the demo is there, how long real training waits
# for data.
# usage: BUILD=build/release BIN=bin tests/bench/gpu.sh [options of gpu_bench]
set -u
cd "$(dirname "$0")/../.." || exit 71
BUILD=${BUILD:-build/release} BIN=${BIN:-bin}
export WINNOW_PLUGIN_DIR=${WINNOW_PLUGIN_DIR:-$BIN}
command -v nvidia-smi >/dev/null &&
    nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit --format=csv,noheader
"$BUILD/bench/gpu_bench" "$@" || { status=$?; echo "no GPU, no figures" >&2; exit $status; }
set=${DEMO_SET:-runs/demo/set}
[ -d "$set" ] && [ -d models/base/inception_v3 ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo
echo "training from $set: images/s and the share of time spent waiting for data"
train() { "$BIN/train" --shards "$set" --epochs 1 --device cuda -v "$@" 2>&1 | grep 'images/s\|pictures/s'; }
train --base models/base/inception_v3 --phase head --out "$work/head"
train --base "$work/head/model" --phase fine-tune --augment article --out "$work/fine"
