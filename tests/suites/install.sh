#!/usr/bin/env bash
# make install into a folder, completions, the Debian package unpacked into a clean root.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
unset MAKEFLAGS MAKELEVEL
dest=$TMPDIR/root
make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" DESTDIR="$dest" prefix=/usr install >"$TMPDIR/log" 2>&1
ok $? "make install DESTDIR=... $(tail -3 "$TMPDIR/log" | tr '\n' '|')"
[ -x "$dest/usr/bin/winnow" ] && [ -x "$dest/usr/libexec/winnow/eval" ] && [ -f "$dest/usr/share/man/man1/winnow-fetch.1" ]
ok $? "dispatcher, programs and manuals are in their places"
(cd / && "$dest/usr/bin/winnow" --help) | grep -q "programs in $dest/usr/bin/../libexec/winnow"
ok $? "the installed dispatcher finds its programs"
mkdir -p "$TMPDIR/pictures/a"
python3 tests/tools/make_pictures.py "$TMPDIR/pictures" 2 1
(cd "$TMPDIR" && "$dest/usr/bin/winnow" scan pictures) | grep -q 'pictures/stripes/000.png'
ok $? "winnow scan works from there"
(cd "$TMPDIR" && "$dest/usr/bin/winnow" run --help) | grep -q settings -i
ok $? "winnow run --help"
(cd "$TMPDIR" && "$dest/usr/bin/winnow" run dataset SETTINGS="$dest/usr/share/winnow/pipelines/default.conf") >"$TMPDIR/log" 2>&1
[ $? != 0 ] && grep -q 'SOURCES' "$TMPDIR/log"
ok $? "winnow run without lists says what is missing"
bash -c ". '$dest/usr/share/bash-completion/completions/winnow'; COMP_WORDS=(winnow hash-dedup --re); COMP_CWORD=2; _winnow; echo \"\${COMPREPLY[@]}\"" | grep -q -- --rejects
ok $? "bash completes options from the option tables"
if command -v zsh >/dev/null; then
    zsh -n "$dest/usr/share/zsh/site-functions/_winnow"
    ok $? "the zsh completion parses"
else
    skip "the zsh completion parses" "no zsh here"
fi
make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" deb >"$TMPDIR/log" 2>&1
ok $? "make deb $(tail -3 "$TMPDIR/log" | tr '\n' '|')"
deb=$(tail -1 "$TMPDIR/log")
if [ -f "$deb" ]; then
    mkdir -p "$TMPDIR/clean"
    dpkg-deb -x "$deb" "$TMPDIR/clean" && "$TMPDIR/clean/usr/bin/winnow" scan --help | grep -q usage
    ok $? "the package unpacks and runs"
    dpkg-deb -f "$deb" Depends | grep -q libcurl4
    ok $? "it depends on what it links: $(dpkg-deb -f "$deb" Depends | cut -c1-80)..."
    ! dpkg-deb -c "$deb" | awk '{ print $1 }' | grep -q '^.\{8\}w'
    ok $? "nothing in it is world-writable"
else
    ok 1 "the package is there"
fi
done_testing
