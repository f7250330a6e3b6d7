#!/usr/bin/env bash
# The demo's own tool on made-up packages.
set -u
cd "$TOP" || exit 1
exec python3 tests/tools/check_corpus.py "$BIN" "$TMPDIR" "$TOP"
