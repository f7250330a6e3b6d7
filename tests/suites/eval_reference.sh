#!/usr/bin/env bash
# eval and mine-errors as programs against the reference cases of scikit-learn and cleanlab (tests/fixtures/metrics, label-errors).
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
python3 tests/tools/check_reference.py "$BIN" "$TMPDIR"
