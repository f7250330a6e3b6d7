#!/usr/bin/env bash
# What mine-errors, eval, rates from unlabelled scores and the review page cost. Prints a table, never fails. usage: tests/bench/eval.sh [ROWS]      BIN: programs
# Wall seconds mean something on a quiet machine only, so CPU seconds and the load are beside them.
set -u
cd "$(dirname "$0")/../.." || exit 0
BIN=${BIN:-bin} rows=${1:-300000}
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
/usr/bin/python3 tests/bench/eval_data.py "$rows" 5 >"$T/P.tsv" || exit 0
printf 'what\trows\twall s\tCPU s\tpeak MB\tload\n'
measure() { # what, command...
    local what=$1
    shift
    for _ in 1 2 3 4 5; do /usr/bin/time -o "$T/t" -f '%e %U %S %M' "$@" >/dev/null 2>&1; cat "$T/t"; done | sort -n |
        awk -v what="$what" -v rows="$rows" -v load="$(cut -d' ' -f1 /proc/loadavg)" 'NR == 3 { printf "%s\t%d\t%.2f\t%.2f\t%.0f\t%s\n", what, rows, $1, $2 + $3, $4 / 1024, load }'
}
for rule in prune_by_noise_rate both; do
    measure "mine-errors --filter $rule" "$BIN/mine-errors" --predictions "$T/P.tsv" --filter $rule -o "$T/s.tsv"
done
measure "mine-errors --methods separation" "$BIN/mine-errors" --predictions "$T/P.tsv" --methods separation -o "$T/s.tsv"
measure "eval --predictions, report and all" "$BIN/eval" --predictions "$T/P.tsv" --out "$T/e"
measure "eval --no-report" "$BIN/eval" --predictions "$T/P.tsv" --no-report --out "$T/e"
head -n 5001 "$T/P.tsv" >"$T/labelled.tsv"
measure "eval --prevalence-from, 5,000 labelled" "$BIN/eval" --predictions "$T/labelled.tsv" --val-predictions "$T/labelled.tsv" --prevalence-from "$T/P.tsv" \
    --no-report --out "$T/e"
measure "eval --drift, 5,000 labelled" "$BIN/eval" --drift "$T/P.tsv" "$T/P.tsv" --val-predictions "$T/labelled.tsv"
if [ -d build/npm/node_modules/playwright-core ] && command -v chromium >/dev/null; then
    MEASURE=1 TMPDIR=$T TOP=$PWD BIN=$(cd "$BIN" && pwd) bash tests/suites/review_page.sh | sed -n 's/^# //p'
fi
