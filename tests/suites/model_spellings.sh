#!/usr/bin/env bash
# What may stand in a model.json.
set -u
cd "$TOP" || exit 1
exec python3 tests/tools/check_models.py "$BIN" "$TMPDIR" "$TOP"
