#!/usr/bin/env bash
# Every program has a manual that knows every option, and --help that goes to standard output with status 0.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
for stage in stages/*/module.mk; do
    name=$(basename "$(dirname "$stage")")
    program=$BIN/$name
    page=stages/$name/$name.1
    "$program" --help >"$TMPDIR/help" 2>"$TMPDIR/err" </dev/null && [ -s "$TMPDIR/help" ] && [ ! -s "$TMPDIR/err" ]
    ok $? "$name --help"
    "$program" --no-such-option >"$TMPDIR/out" 2>"$TMPDIR/err" </dev/null
    [ $? = 64 ] && [ ! -s "$TMPDIR/out" ] && [ -s "$TMPDIR/err" ]
    ok $? "$name: an unknown option is a usage error"
    if [ ! -f "$page" ]; then
        ok 1 "$name has a manual page ($page)"
        continue
    fi
    sed 's/\\-/-/g' "$page" >"$TMPDIR/page"
    missing=$("$program" --help-table | awk -F'\t' '/^--/ && $1 !~ /^--(help|version)$/ { print $1 }' | while read -r option; do
        grep -qE -- "${option}([^a-z0-9-]|$)" "$TMPDIR/page" || echo "$option"
    done | tr '\n' ' ')
    [ -z "$missing" ]
    ok $? "$name.1 knows every option${missing:+, but not $missing}"
    extra=$(grep -oE -- '(^|[^a-zA-Z-])--[a-z][a-z0-9-]+' "$TMPDIR/page" | grep -oE -- '--[a-z0-9-]+' | sort -u | while read -r option; do
        case $option in --help | --version | --help-table) continue ;; esac
        for p in "$BIN"/*; do
            case $p in *.so) continue ;; esac
            [ "$p" = "$program" ] || continue
            "$p" --help-table | grep -qE -- "^$option	" || echo "$option"
        done
    done | tr '\n' ' ')
    # A page may speak of another program's option; then that program must have it.
    for option in $extra; do
        found=
        for p in "$BIN"/*; do
            case $p in *.so | */winnow) continue ;; esac
            "$p" --help-table 2>/dev/null | grep -qE -- "^$option	" && found=1
        done
        [ -n "$found" ] && extra=${extra/$option/}
    done
    [ -z "${extra// /}" ]
    ok $? "$name.1 names no option that does not exist${extra:+: $extra}"
    # A test of the program names each option of its own; those of every stage are the same code.
    tests=$(git grep -lw -e "$name" -- tests ':!tests/suites/manuals.sh' 2>/dev/null || grep -rlw -e "$name" tests)
    untested=$("$program" --help-table | awk '/^--/ { print $1 }' | grep -vxE -- '--(output|rejects|max-rejects|root|allow-outside|jobs|threads|seed|quiet|verbose|progress|help|version)' | while read -r option; do
        grep -qE -e "(^|[^a-z0-9-])$option([^a-z0-9-]|\$)" $tests || echo "$option"
    done | tr '\n' ' ')
    [ -z "$untested" ]
    ok $? "a test of $name names every option${untested:+, but not $untested}"
    grep -qE "^\.SH (SYNOPSIS|OPTIONS)" "$page" && grep -q '^\.SH NAME' "$page" && grep -q '^\.SH EXIT' "$page"
    ok $? "$name.1 has NAME, SYNOPSIS and EXIT STATUS"
    summary=$("$program" --help | sed -n '/^$/{n;p;q;}')
    [ "$(grep -A1 '^\.SH NAME' "$TMPDIR/page" | tail -1 | sed "s/\\\\(aq/'/g")" = "winnow-$name - $summary" ]
    ok $? "$name.1 has the summary of --help: $summary"
done
listed=$("$BIN/winnow" --help | awk '/^  [a-z]/ { print $1 }' | sort | tr '\n' ' ')
want=$(echo run $(printf '%s\n' stages/*/module.mk | cut -d/ -f2) | tr ' ' '\n' | sort | tr '\n' ' ')
[ "$listed" = "$want" ]
ok $? "winnow --help lists every program and run: $listed"
must_fail 64 no-such-program "winnow names an unknown program" "$BIN/winnow" no-such-program
must_fail 64 . "winnow takes no path for a program" "$BIN/winnow" ../../bin/true

# The two tables that gather what the sources have: environment variables in winnow.1, reject reasons in winnow-formats.5.
{
    find lib stages -name '*.c' -print0 | xargs -0 grep -hoE '\b(getenv|more_than_one)\("[A-Za-z_]+"' | cut -d'"' -f2
    find pipelines tools -type f -print0 | xargs -0 grep -hoE '\$\{[A-Z][A-Z_]+:[-+]' | tr -d '${:+-' | grep -vx 'SLURM_ARRAY_.*'      # these two exist in the jobs only
} | sort -u >"$TMPDIR/heeded"
sed -n '/^\.SH ENVIRONMENT/,/^\.SH EXIT/p' docs/man/winnow.1 | grep -A1 '^\.TP' | grep -oE '[A-Za-z]+(_[A-Za-z0-9_]+)?' | grep -E '^[A-Z]{3}' | sort -u >"$TMPDIR/listed"
different=$(diff "$TMPDIR/heeded" "$TMPDIR/listed" | grep '^[<>]' | tr '\n' ' ')
[ "$(wc -l <"$TMPDIR/heeded")" -gt 20 ] && [ -z "$different" ]
ok $? "winnow.1 lists the environment variables that the sources heed (<), and no other (>)${different:+: $different}"
find lib stages -name '*.c' -print0 | xargs -0 python3 tests/tools/reject_reasons.py >"$TMPDIR/reasons"
sed -n '/^\.TS/,/^\.TE/{s/\\-/-/g; s/^\([a-z][A-Za-z0-9-]*\)\tT{$/\1/p}' docs/man/winnow-formats.5 | sort >"$TMPDIR/listed"
different=$(diff "$TMPDIR/reasons" "$TMPDIR/listed" | grep '^[<>]' | tr '\n' ' ')
[ "$(wc -l <"$TMPDIR/reasons")" -gt 60 ] && [ -z "$different" ]
ok $? "winnow-formats.5 lists the reject reasons of the sources (<), and no other (>)${different:+: $different}"
# A page shows no markup of its own: a doubled escape prints "\fB" or "\-" as letters.
if command -v groff >/dev/null; then
    shown=$(for p in stages/*/*.1 docs/man/*.[15]; do groff -t -man -Tascii -P-cbou "$p" 2>/dev/null | grep -nE '\\(f[BIR]|-)' | head -n 1 | sed "s|^|$p: |"; done)
    is "$shown" "" "no page shows markup as letters"
else
    skip "no page shows markup as letters" "no groff"
fi
for p in "$BIN"/*; do case $p in *.so | */winnow) ;; *) "$p" --help-table | cut -f1 ;; esac; done | sort -u >"$TMPDIR/options"
unknown=$(sed 's/\\-/-/g' docs/man/winnow*.[15] README.md docs/*.md | grep -oE '(^|[ `(])--[a-z][a-z0-9-]+' | grep -oE -- '--.*' | sort -u | comm -23 - "$TMPDIR/options" | grep -vxE -- '--(tsv|itsv|ojsonl|seeds|cuda)' | tr '\n' ' ')
[ -z "$unknown" ]
ok $? "the pages name no option that no program has${unknown:+: $unknown}"       # mlr's, twin_head.py's, bootstrap's

# make help: what it names is a target, and a target it leaves out is an inner one.
makefiles='Makefile install.mk pipelines/targets.mk tests/*/*.mk'
make -s --no-print-directory help | awk '/^  [a-z]/ { print $1 }' | sort >"$TMPDIR/helped"
missing=$(while read -r t; do grep -qE "^([a-z-]+ )*$t( [a-z-]+)*:" $makefiles || echo "$t"; done <"$TMPDIR/helped" | tr '\n' ' ')
[ -s "$TMPDIR/helped" ] && [ -z "$missing" ]
ok $? "make help names targets that exist${missing:+, but not $missing}"
inner='\$\(FLOW\) settings-check FORCE help test-programs completions dataset-facts fuzz-programs fuzz-list lint-.*'
missing=$(cat $makefiles | sed -n 's/^\.PHONY: //p' | tr ' ' '\n' | grep -vxE "$(echo "$inner" | tr ' ' '|')" | sort -u | comm -23 - "$TMPDIR/helped" | tr '\n' ' ')
[ -z "$missing" ]
ok $? "make help leaves out no target but the inner ones${missing:+: $missing}"
done_testing
