#!/usr/bin/env bash
# Every script and program answers --help and -h, and tells a wrong option or missing arguments from a failure (64).
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 71

scripts=()
for f in bootstrap tools/* pipelines/* pipelines/*/*; do
    [ -f "$f" ] && [ -x "$f" ] && scripts+=("$f")
done
[ ${#scripts[@]} -ge 20 ]
ok $? "scripts were found: ${#scripts[@]}"
for f in "${scripts[@]}"; do
    "./$f" --help >"$TMPDIR/help" 2>"$TMPDIR/err" </dev/null && "./$f" -h </dev/null 2>&1 | cmp -s - "$TMPDIR/help" &&
        [ ! -s "$TMPDIR/err" ] && grep -q "${f##*/}" "$TMPDIR/help"
    ok $? "$f --help and -h"
    ! grep -q '^#\|^set ' "$TMPDIR/help"
    ok $? "$f --help is its comment and nothing more"
    must_fail 64 "${f##*/}" "$f refuses an unknown option" "./$f" --nonsense
    case $f in
    bootstrap | tools/run | pipelines/base-weights/run | pipelines/demo/run) ;; # begin without arguments
    *) must_fail 64 "${f##*/}" "$f without arguments" "./$f" ;;
    esac
done

# From a folder that is not the checkout.
cd "$TMPDIR" || exit 71
"$BIN/winnow" run --help >help 2>err && [ ! -s err ] && grep -q 'usage: winnow run' help
ok $? "winnow run --help in a checkout"
"$BIN/winnow" run nightly --help >help 2>err && [ ! -s err ] && grep -q 'usage: .*nightly SETTINGS' help
ok $? "winnow run nightly --help"
"$BIN/winnow" run settings --help >help 2>err && [ ! -s err ] && grep -q 'usage: .*settings' help
ok $? "winnow run settings --help"
must_fail 64 "unknown option '--nonsense'" "winnow run --nonsense" "$BIN/winnow" run --nonsense
must_fail 64 "no program" "winnow nightly is not a program" "$BIN/winnow" nightly --help

for p in "$BIN"/*; do
    case $p in *.so) continue ;; esac
    "$p" -h 2>&1 | cmp -s - <("$p" --help)
    ok $? "${p##*/} -h is --help"
    must_fail 64 "${p##*/}" "${p##*/} refuses an unknown option" "$p" --nonsense
done
# demo/packages takes another table
printf 'name\tversion\tbytes\tsha256\n' >none.tsv
"$TOP/pipelines/demo/packages" cache none.tsv && [ -d cache/unpacked ]
ok $? "demo/packages takes another table"
# list-urls takes several folders, in their order
mkdir -p a b && echo http://h/1 >a/x.txt && echo http://h/2 >b/y.txt
is "$("$TOP/pipelines/list-urls" b a | tr '\t\n' ', ')" "url,label http://h/2,y http://h/1,x " "list-urls takes several folders"
done_testing
