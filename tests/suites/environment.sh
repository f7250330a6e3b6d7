#!/usr/bin/env bash
# The programs in surroundings that nobody planned: odd file names, no HOME, closed descriptors, few descriptors, a file size limit, no place for
# temporaries, another locale, a clock in 1970 and in 2100, a folder that cannot be written, a current folder that is gone.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
net=$TOP/tests/fixtures/tiny-net/tfjs-float32
work=$TMPDIR/odd
mkdir -p "$work/p/a" "$work/p/b"
python3 tests/tools/make_pictures.py "$work/src" 14 3
cd "$work" || exit 1

# --- names: all the way from the folder to the review page -----------------------------------------------------------------
names=($'new\nline.png' '-dash.png' $'tab\there.png' 'back\slash.png' ' blanks  .png' '"><script>alert(1)</script'.png "it's.png" '%s%n%p.png' '*.png' '$(touch x).png'
    "$(printf 'x%.0s' $(seq 251)).png" $'carriage\r.png' $'\u202egnp.png' '&amp;.png')
i=0
for name in "${names[@]}"; do
    # '/' cannot be in a name: the markup's end tag is cut there.
    cp "src/stripes/$(printf %03d $((i % 14))).png" "p/a/${name//\//}"
    i=$((i + 1))
done
cp src/stripes/000.png $'p/a/latin1 \xe9.png'
for k in 00 01 02 03 04 05 06 07 08 09 10 11 12 13; do cp "src/discs/0$k.png" p/b/; done
"$BIN/scan" p -o scan.tsv --rejects rejects.tsv
is "$? $(($(wc -l <scan.tsv) - 1)) $(tail -n +2 rejects.tsv | cut -f4)" "0 28 not-utf8" "scan takes every name that is UTF-8, each on one line, and rejects the one that is not"
step() { # PROGRAM ARGS...: runs silently with status 0
    "$BIN/$1" "${@:2}" >out 2>err
    status=$?
    [ $status = 0 ] && [ ! -s err ]
    ok $? "$1 goes through them (status $status) $(head -c 200 err)"
}
step validate --min-bytes 1 scan.tsv -o valid.tsv
step hash-dedup valid.tsv -o unique.tsv --rejects rejects.tsv
step phash-dedup --distance 0 --group-distance 0 --min-quality 0 --sheet sheet.html unique.tsv -o distinct.tsv --rejects rejects.tsv
step train-test-split --val 0.2 --test 0.2 distinct.tsv -o split.tsv
step augment --spec flip --variants 1 --out made --sheet augment.html split.tsv -o augmented.tsv
step augment --spec flip --variants 1 --out made split.tsv -o augmented.tsv
step pack --size 16 augmented.tsv -o shards
step train --shards shards --base "$net" --phase head --epochs 1 --batch 4 --threads 1 --device cpu --folds 2 --out run --cache cache
step eval --model run/model --shards shards --split all --out report
step mine-errors --predictions run/oof.tsv --manifest split.tsv --root . --filter predicted_neq_given -o suspects.tsv --review review.html
cut -f1 split.tsv | tail -n +2 | sort >want
awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "source") s = i; next } $s == "" { print $1 }' augmented.tsv | sort | cmp -s - want
ok $? "augment still names every picture of the split"
[ -s sheet.html ] && [ -s report/report.html ] && [ -s review.html ] && [ -z "$(grep -l '<script>alert' sheet.html augment.html report/*.html review.html)" ]
ok $? "no page holds the name that is markup as markup"
[ ! -e x ] && [ ! -e p/x ] && [ ! -e p/a/x ]
ok $? "no shell saw the name that is a command"
(cd p/a && "$BIN/classify" --device cpu --model "$net" -- -dash.png $'new\nline.png' '*.png') >out 2>err
is "$? $(cut -f1 out | tr '\n' '|')" '0 path|-dash.png|new\nline.png|*.png|' "classify takes them after --"
find p/a -name '*line.png' -print0 | xargs -0 "$BIN/classify" --device cpu --model "$net" 2>err | cut -f1 | tail -1 >out
is "$(cat out)" 'p/a/new\nline.png' "and from find -print0 | xargs -0"
"$BIN/scan" $'no\nsuch\e[31mfolder' >/dev/null 2>err
is "$? $(cat err)" "66 scan: cannot open folder 'no?such?[31mfolder': No such file or directory" "a message shows control characters as ?"

# --- the environment ---------------------------------------------------------------------------------------------------------
(unset HOME && "$BIN/scan" p) 2>err | cmp -s - scan.tsv
ok $? "without HOME"
env -i "$BIN/scan" p 2>err | cmp -s - scan.tsv
ok $? "with no environment at all"
if de=$(locale -a 2>/dev/null | grep -iE -m1 '^(de|fr)_.*utf-?8$'); then
    LC_ALL=$de LANG=$de "$BIN/eval" --model run/model --shards shards --split all --out report-de 2>err && cmp -s report/metrics.tsv report-de/metrics.tsv
    ok $? "numbers keep their point under $de"
else
    # A locale of our own with a comma, where the machine has none.
    if localedef -i de_DE -f UTF-8 "$work/de_DE.UTF-8" >/dev/null 2>&1; then
        LOCPATH=$work LC_ALL=de_DE.UTF-8 "$BIN/eval" --model run/model --shards shards --split all --out report-de 2>err && cmp -s report/metrics.tsv report-de/metrics.tsv
        ok $? "numbers keep their point under de_DE.UTF-8 $(LOCPATH=$work LC_ALL=de_DE.UTF-8 bash -c 'printf "(a shell prints %.1f there)" 0,5' 2>&1 | head -1)"
    else
        skip "numbers keep their point" "no locale with a comma, and no localedef to make one"
    fi
fi
for program in phash-dedup hash-dedup eval; do
    args=()
    [ $program = eval ] && args=(--predictions - --out piped) && input=run/oof.tsv || input=valid.tsv
    # Standard input is read twice: it is copied to TMPDIR.
    # shellcheck disable=SC2002
    cat "$input" | TMPDIR=$work/no-such-folder "$BIN/$program" "${args[@]}" >/dev/null 2>err
    status=${PIPESTATUS[1]}
    [ "$status" = 73 ] && grep -q "$work/no-such-folder" err && grep -q TMPDIR err
    ok $? "$program from a pipe without a TMPDIR: status $status: $(head -c 160 err)"
done
mkdir gone
(cd gone && rmdir ../gone && "$BIN/scan" . -o out.tsv >"$work/out" 2>"$work/err")
is "$? $(wc -l <err)" "73 1" "in a folder that is gone: $(head -c 120 err)"

# --- descriptors ------------------------------------------------------------------------------------------------------------
cp scan.tsv kept.tsv
for program in scan validate hash-dedup phash-dedup train-test-split eval; do
    case $program in
    scan) args=(p) ;;
    eval) args=(--predictions run/oof.tsv --no-report) ;;
    train-test-split) args=(distinct.tsv) ;;
    *) args=(scan.tsv) ;;
    esac
    [ $program = eval ] || { "$BIN/$program" "${args[@]}" >&- 2>err; is "$? $(grep -c 'standard output' err)" "74 1" "$program with standard output closed says so"; }
    out=(-o closed.tsv)
    [ $program = eval ] && out=(--out closed)
    "$BIN/$program" "${args[@]}" "${out[@]}" <&- >&- 2>&-
    is $? 0 "$program with all three closed, writing to a file"
done
is "$(cmp scan.tsv kept.tsv 2>&1)" "" "no message went into a file"
for program in validate hash-dedup train-test-split; do
    "$BIN/$program" <&- >out 2>err
    is "$? $(grep -c 'standard input' err)" "66 1" "$program with standard input closed does not take it for an empty table"
done
"$BIN/scan" --help >/dev/full 2>err
is "$?" 74 "--help on a full device fails"
is "$("$BIN/fetch" --per-host 9 --help)" "$("$BIN/fetch" --help)" "--help shows the defaults, also after an option"
help_lines() { # COLUMNS: how many lines --help has on such a terminal
    python3 - "$BIN/fetch" "$1" <<'P'
import fcntl, os, pty, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 40, int(sys.argv[2]), 0, 0))
    os.execv(sys.argv[1], ["fetch", "--help"])
text = b""
try:
    while got := os.read(fd, 65536):
        text += got
except OSError:
    pass
os.waitpid(pid, 0)
print(len(text.splitlines()))
P
}
wide=$(help_lines 120) narrow=$(help_lines 80)
[ "$wide" -gt 20 ] && [ "$wide" -lt "$narrow" ]
ok $? "--help follows the width of the terminal, ($narrow and $wide lines)"
"$BIN/winnow" --help >/dev/full 2>err
is "$?" 74 "nor is the dispatcher's"
(ulimit -n 8; "$BIN/validate" --min-bytes 1 scan.tsv -o few.tsv 2>err)
status=$?
[ $status = 0 ] || { [ $status != 127 ] && [ "$(wc -l <err)" = 1 ] && [ ! -e few.tsv ]; }
ok $? "eight descriptors: status $status, $(head -c 120 err)"

# --- limits and clocks -----------------------------------------------------------------------------------------------------------
for i in $(seq 2000); do printf 'p/a/some/long/path/that/is/not/there/%s.png\tlabel\n' "$i"; done | (printf 'path\tlabel\n'; cat) >long.tsv
echo old >limited.tsv
(ulimit -f 16; "$BIN/manifest" cat long.tsv -o limited.tsv) 2>err
is "$? $(cat limited.tsv) $(grep -c 'File too large' err)" "74 old 1" "over the file size limit: the old file stays, and it is said: $(head -c 100 err)"
if [ "$(id -u)" = 0 ]; then as() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }; else as() { "$@"; }; fi
mkdir locked
cp scan.tsv locked/
chmod 755 . .. 2>/dev/null
chmod -R a+rX p scan.tsv locked
chmod 555 locked
if as test -r scan.tsv && as test -x "$BIN/scan"; then
    (cd locked && as "$BIN/manifest" cat ../scan.tsv -o out.tsv) 2>err
    is "$? $(grep -c "locked\|out.tsv" err) $(ls locked)" "73 1 scan.tsv" "a folder that cannot be written: $(head -c 100 err)"
else
    skip "a folder that cannot be written" "another user cannot reach the folders of this test"
fi
chmod 755 locked
if command -v faketime >/dev/null; then
    for day in 1970-01-02 2038-01-20 2100-06-01; do
        rm -rf that-day && mkdir that-day
        faketime -f "@$day 00:00:00" "$BIN/scan" p -o that-day/scan.tsv && faketime -f "@$day 00:00:00" "$BIN/validate" --min-bytes 1 that-day/scan.tsv -o that-day/valid.tsv &&
            faketime -f "@$day 00:00:00" "$BIN/hash-dedup" that-day/valid.tsv -o that-day/unique.tsv && cmp -s that-day/scan.tsv scan.tsv && cmp -s that-day/unique.tsv unique.tsv
        ok $? "the clock says $day: the same bytes"
    done
else
    skip "odd clocks" "no faketime"
fi

# --- the dispatcher ----------------------------------------------------------------------------------------------------------------
(exec -a x "$BIN/winnow" --version) | grep -q '^winnow '
ok $? "winnow under another name"
ln -s "$BIN/winnow" link
./link scan p | cmp -s - scan.tsv
ok $? "through a link"
# shellcheck disable=SC2123
(PATH='' && "$BIN/winnow" scan p) | cmp -s - scan.tsv
ok $? "without a PATH"
"$BIN/winnow" '' >/dev/null 2>err
is $? 64 "an empty program name is a mistake"
done_testing
