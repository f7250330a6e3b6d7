#!/usr/bin/env bash
# Every program under failing allocations, reads, writes, syncs and renames, signals, full disks: see tests/faults/run.py.
cd "$TOP" || exit 1
exec python3 tests/faults/run.py "$TMPDIR"
