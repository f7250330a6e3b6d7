#!/usr/bin/env bash
# How often the intervals of a rate hold it, at five rates and three sizes, calibrated scores, too sure ones and slightly wrong ones, and how wide
# they are; how often a guaranteed miss rate is exceeded, and the review load that it costs. Tables; never fails.
# usage: tests/bench/prevalence.sh [REPETITIONS]    1000 takes 25 minutes of one core with AVX-512; 20 by default
# Environment: BUILD; RESAMPLES (100) of each interval; THREADS (all); FIRST (0): further sets than those of an earlier run;
# ONLY: calibrated, overconfident or "slightly off" scores.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 0
build=${BUILD:-build/release} repetitions=${1:-20}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
${CC:-cc} -std=gnu11 -D_GNU_SOURCE -O2 -Ilib -o "$work/bench" "$here/prevalence_bench.c" -Wl,--start-group "$build"/lib/{metric,manifest,cli,io,base}/area.a \
    -Wl,--end-group -lm -ldl -lpthread || { echo "# prevalence_bench does not build: make first"; exit 0; }
echo "# guaranteed miss rates at 95 %, $((repetitions * 100)) repetitions"
"$work/bench" thresholds $((repetitions * 100))
echo "# 95 % intervals of a rate, $repetitions repetitions"
"$work/bench" intervals "$repetitions" "${RESAMPLES:-100}" "${THREADS:-$(nproc)}" "${FIRST:-0}" ${ONLY:+"$ONLY"}
