#!/usr/bin/env bash
# Shard sets with changed lists.
set -u
cd "$TOP" || exit 1
exec python3 tests/tools/check_shard_damage.py "$BIN" "$TMPDIR" "$TOP"
