#!/usr/bin/env bash
# Gates of eval --compare against their definitions.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
python3 tests/tools/check_gates.py "$BIN" "$TMPDIR"
