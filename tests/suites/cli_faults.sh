#!/usr/bin/env bash
# The command-line cases with one call failing: tests/faults/cli_cases.py says what is tried.
set -u
exec python3 "$TOP/tests/faults/cli_cases.py" "$TMPDIR"
