#!/usr/bin/env bash
# The progress line: on a terminal, in a log, nowhere.
set -u
cd "$TOP" || exit 1
exec python3 tests/tools/check_progress.py "$BIN" "$TMPDIR"
