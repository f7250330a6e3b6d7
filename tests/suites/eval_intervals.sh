#!/usr/bin/env bash
# Every interval of metrics.tsv against a second implementation that leaves rows out one by one.
set -u
cd "$TOP" || exit 1
python3 tests/tools/check_intervals.py "$BIN" "$TMPDIR"
