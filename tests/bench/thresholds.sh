# shellcheck shell=bash disable=SC2034
# thresholds.sh: for sourcing: a figure beside what was asked of it, and the state of the machine. Prints, never fails.
# bar TEXT FIGURE OP LIMIT      OP: <= or >= or =; a figure that is not a number was not measured
bar() {
    awk -v text="$1" -v f="$2" -v op="$3" -v limit="$4" 'BEGIN {
        if (f !~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ || limit == "") { printf "  %-66s %10s  asked %s %-8s not measured\n", text, "-", op, limit; exit }
        met = op == "<=" ? f + 0 <= limit + 0 : op == ">=" ? f + 0 >= limit + 0 : f + 0 == limit + 0
        printf "  %-66s %10s  asked %s %-8s %s\n", text, sprintf(f == int(f) ? "%d" : "%.3f", f), op, limit, met ? "met" : "MISSED" }'
}
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.4f", a / b }'; }
machine() { echo "load now: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors, $(date -u +%H:%M) UTC"; }
