#!/usr/bin/env bash
# Command-line cases: tests/cli/<stage>/<case>/ with
#   cmd          bash, run in a scratch copy of the case's folder with the programs first on PATH, standard input from in.tsv
#   in.tsv       and any other file: inputs
#   out.tsv      expected standard output        } a missing file means: empty, empty, not looked at (unless the
#   stderr       expected messages               } command made one), 0
#   rejects.tsv  expected --rejects rejects.tsv  }
#   exit         expected exit status
# UPDATE=1 rewrites the expected files, to be read as a diff. CASES='fetch/*' picks some.
. "$(dirname "$0")/../tap.sh"
cases=$TOP/tests/cli
export PATH=$BIN:$PATH LC_ALL=C.UTF-8
seen=
for case in "$cases"/*/*/; do
    name=${case#"$cases"/}
    name=${name%/}
    [ -f "$case/cmd" ] || continue
    # shellcheck disable=SC2254
    case $name in ${CASES:-*}) ;; *) continue ;; esac
    seen=1 work=$TMPDIR/case/$name
    mkdir -p "$work"
    tar -C "$case" --exclude=./out.tsv --exclude=./stderr --exclude=./rejects.tsv --exclude=./exit -cf - . | tar -C "$work" -xf -
    input=/dev/null
    [ -f "$work/in.tsv" ] && input=$work/in.tsv
    (cd "$work" && timeout "${CASE_SECONDS:-60}" bash -eu -o pipefail cmd <"$input" >"$TMPDIR/out" 2>"$TMPDIR/err")
    status=$?
    if [ -n "${UPDATE:-}" ]; then
        rm -f "$case"/out.tsv "$case"/stderr "$case"/rejects.tsv "$case"/exit
        [ -s "$TMPDIR/out" ] && cp "$TMPDIR/out" "$case/out.tsv"
        [ -s "$TMPDIR/err" ] && cp "$TMPDIR/err" "$case/stderr"
        [ -f "$work/rejects.tsv" ] && cp "$work/rejects.tsv" "$case/rejects.tsv"
        [ $status -ne 0 ] && echo $status >"$case/exit"
    fi
    why=
    want=0
    [ -f "$case/exit" ] && want=$(cat "$case/exit")
    [ "$status" = "$want" ] || why="exit status $status, not $want"
    compare() { # expected file (may be absent), what came, its name
        local expected=$1
        [ -f "$expected" ] || expected=/dev/null
        cmp -s "$expected" "$2" || why="${why:+$why; }$3 differs: $(diff "$expected" "$2" | head -8 | tr '\n' '|')"
    }
    compare "$case/out.tsv" "$TMPDIR/out" stdout
    compare "$case/stderr" "$TMPDIR/err" stderr
    if [ -f "$work/rejects.tsv" ] || [ -f "$case/rejects.tsv" ]; then
        [ -f "$work/rejects.tsv" ] || : >"$work/rejects.tsv"
        compare "$case/rejects.tsv" "$work/rejects.tsv" rejects
    fi
    [ -z "$why" ]
    ok $? "$name${why:+: $why}"
    chmod -R u+w "$work" 2>/dev/null
    rm -rf "$work"
done
[ -n "$seen" ] || ok 1 "no case found"
done_testing
