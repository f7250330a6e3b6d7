#!/usr/bin/env bash
# What a model.json may say.
set -u
cd "$TOP" || exit 1
exec python3 tests/tools/check_models.py "$BIN" "$TMPDIR" "$TOP"
