#!/usr/bin/env bash
# shellcheck disable=SC2154
# (plugin_*: make writes into a file, read below, what the plug-in is built with)
# Plants one bug at a time into the CUDA backend (tests/mutants/*.mutant) and asks that the test named there notices: by a failing check, by a
# complaint of the stand-ins, or by dying. A bug that no test sees is a test that is missing.
# A mutant is five lines: what it is, which test program (and part), which file of lib/tensor/cuda, the text that is there once, and what
# takes its place. ONLY='wrong-*' runs some of them.
. "$(dirname "$0")/../tap.sh"

env=$BUILD/fakecuda/plugin.env
[ -f "$env" ] && [ -f "$BIN/winnow-cuda.so" ] || skip_all "planted bugs in the CUDA backend" "built without CUDA: ./bootstrap gpu"
case $BUILD in *asan* | *ubsan* | *tsan*) skip_all "planted bugs in the CUDA backend" "not under a sanitizer: a plug-in built by hand" ;; esac
# shellcheck disable=SC1090
. "$env"
cd "$TOP" || exit 1
work=$TMPDIR/mutants
mkdir -p "$work/bin"
unset WINNOW_PLUGIN_DIR WINNOW_CUDA_STAND_INS

field() { sed -n "s/^$1: //p" "$2"; }

# The file with the text replaced: 0 when it was there exactly once. How it is broken into lines does not matter.
plant() {
    FROM=$1 TO=$2 awk '
        { text = text $0 "\n" }
        END {
            from = ENVIRON["FROM"]; to = ENVIRON["TO"]
            gsub(/[][.*+?(){}|$]/, "[&]", from)
            gsub(/ +/, "[ \t\n]+", from)
            if (!match(text, from)) exit 1
            before = substr(text, 1, RSTART - 1); after = substr(text, RSTART + RLENGTH)
            if (match(after, from)) exit 1
            printf "%s%s%s", before, to, after
        }' "$3" >"$4"
}

link() {
    # shellcheck disable=SC2086
    $plugin_cc -shared -o "$work/bin/winnow-cuda.so" $1 $plugin_ldflags
}

run_test() {
    local command="$BUILD/tests/$1"
    case $1 in plans*) command="tests/cudnn/run ${1#plans}" ;; esac
    # shellcheck disable=SC2086
    BIN=$work/bin timeout 300 $command >"$work/log" 2>&1
}

# Unchanged, the tests pass: else a mutant proves nothing.
# shellcheck disable=SC2086
link "$plugin_objects" && run_test 'cuda_ops_test fp32' && run_test 'plans h200 bf16'
status=$?
ok $status "without a planted bug the tests pass"
[ $status = 0 ] || done_testing
plans=$(sed -n 's/.* # SKIP //p' "$work/log") # empty: there is a cuDNN that can be asked for plans

for mutant in tests/mutants/*.mutant; do
    name=$(basename "$mutant" .mutant)
    # shellcheck disable=SC2254
    case $name in ${ONLY:-*}) ;; *) continue ;; esac
    case $name in plan-*) [ -z "$plans" ] || { skip "$name" "$plans"; continue; } ;; esac
    what=$(field what "$mutant") test=$(field test "$mutant") file=$(field file "$mutant")
    if ! plant "$(field from "$mutant")" "$(field to "$mutant")" "lib/tensor/cuda/$file" "$work/$file"; then
        ok 1 "$name: the text that it changes is in $file once"
        continue
    fi
    objects=
    for o in $plugin_objects; do
        case $o in */tensor/cuda/"${file%.c}".o) objects="$objects $work/mutant.o" ;; *) objects="$objects $o" ;; esac
    done
    # shellcheck disable=SC2086
    if ! $plugin_cc $plugin_cflags -w -DWINNOW_VERSION='"mutant"' -c -o "$work/mutant.o" "$work/$file" 2>"$work/log" || ! link "$objects"; then
        ok 1 "$name: builds"
        continue
    fi
    if run_test "$test"; then
        ok 1 "$name: $what: $test did not notice"
    else
        ok 0 "$name: $what: $(grep -m1 '^not ok' "$work/log" | cut -c1-160 || true)"
    fi
done
done_testing
