#!/usr/bin/env bash
# Every interval of metrics.tsv against a second implementation that leaves rows out one by one.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
python3 tests/tools/check_intervals.py "$BIN" "$TMPDIR"
