#!/usr/bin/env bash
# Gates of eval --compare against their definitions.
set -u
cd "$TOP" || exit 1
python3 tests/tools/check_gates.py "$BIN" "$TMPDIR"
