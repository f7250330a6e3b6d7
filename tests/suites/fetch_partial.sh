#!/usr/bin/env bash
# Interrupted transfers are continued by the next run: from the right version or from the start, whatever became of the part
# on the disk, of the server's file, or of the run that wrote it.
# shellcheck disable=SC2086
. "$(dirname "$0")/../tap.sh"
. "$TOP/tests/faultserver/start.sh"
ONCE="$QUICK --tries 1 --retry-now"
ranges() { awk -F'\t' -v p="$1" '$4 == p { print $5 }' log | tr '\n' ' '; }    # the Range of each time it was asked for
parts() { find "${1:-store}/partial" -type f 2>/dev/null | wc -l; }
fetch() {   # fetch OPTIONS...: a run over ./list; FETCH_STORE is its store
    $FETCH ${ONCE/--store store/--store ${FETCH_STORE:-store}} "$@" list -o out.tsv --rejects rejects.tsv 2>err
}

# --- one run is interrupted, the next goes on -------------------------------------------------------------------------
strong="cutonce chunkcutonce cutonce_norange newversion splice wrongrange datecut datechanged cutbusy cutgone norange othertotal notetag shortrest multipart"
weak="weakcut datefresh"
for p in $strong $weak; do echo "$U/$p/p.jpg"; done >list
echo "$U/to/cutonce/q.jpg" >>list
fetch
is $? 0 "a run in which every transfer is interrupted"
is "$(tail -n +2 rejects.tsv | grep -c truncated)" "$(wc -l <list)" "leaves its rows as truncated"
is "$(parts)" "$(($(echo "$strong" | wc -w) + 1))" "and a part of each that was named strongly"
is "$(stat -c %a store/partial)" 700 "for nobody else to see"
[ -z "$(find store/partial -type f -exec head -c 2 {} \; | tr -d wi)" ]
ok $? "none of them begins like a picture"
[ -z "$(ls store/tmp)" ]
ok $? "no temporary is left"
: >log
fetch
is $? 0 "the next run"
for p in $strong $weak; do
    case $p in
    cutbusy) is "$(outcome "$U/$p/p.jpg") $(ranges /$p/p.jpg)" "http-503 bytes=25000- " "$p: asks for the rest, gets 503" ;;
    cutgone) is "$(outcome "$U/$p/p.jpg") $(ranges /$p/p.jpg)" "http-404 bytes=25000- " "$p: asks for the rest, gets 404" ;;
    newversion | datechanged)
        same_picture "$U/$p/p.jpg" "/$p/p.jpgnew"
        is "$? $(ranges /$p/p.jpg)" "0 bytes=25000- " "$p: If-Range brings the new version, whole" ;;
    cutonce | chunkcutonce | cutonce_norange | datecut)
        same_picture "$U/$p/p.jpg" "/$p/p.jpg"
        is "$? $(ranges /$p/p.jpg)" "0 bytes=25000- " "$p: asked for the rest once, and it is whole" ;;
    splice)
        same_picture "$U/$p/p.jpg" "/$p/p.jpgnew"
        is "$? $(ranges /$p/p.jpg)" "0 bytes=25000-  " "$p: the rest of another version is not taken; asked again from the start" ;;
    weakcut | datefresh)
        same_picture "$U/$p/p.jpg" "/$p/p.jpg"
        is "$? $(ranges /$p/p.jpg)" "0  " "$p: a weak validator is not a reason to continue" ;;
    *)
        same_picture "$U/$p/p.jpg" "/$p/p.jpg"
        is "$? $(ranges /$p/p.jpg)" "0 bytes=25000-  " "$p: what is not exactly the rest is not taken; asked again from the start" ;;
    esac
done
is "$(ranges /to/cutonce/q.jpg)|$(ranges /cutonce/q.jpg)" " |bytes=25000- " "after a redirect the part is asked for where it came from"
is "$(outcome "$U/to/cutonce/q.jpg")" jpeg "and is continued"
is "$(parts)" 1 "the parts of pictures that are whole now, and of dead ones, are gone"
fetch
same_picture "$U/cutbusy/p.jpg" /cutbusy/p.jpg
is "$? $(ranges /cutbusy/p.jpg) $(parts)" "0 bytes=25000- bytes=25000-  0" "a busy server does not cost the part"
echo "$U/unasked/u.jpg" >list
fetch
is "$(outcome "$U/unasked/u.jpg")" truncated "a part that nobody asked for is not a picture"
# A part that grows, over four runs.
echo "$U/cutthrice/g.jpg" >list
for _ in 1 2 3 4; do fetch; done
same_picture "$U/cutthrice/g.jpg" /cutthrice/g.jpg 70000
is "$? $(ranges /cutthrice/g.jpg)" "0  bytes=20000- bytes=40000- bytes=60000- " "a part grows from run to run"

# --- what can happen to a file ----------------------------------------------------------------------------------------
for i in 1 2 3 4 5 6 7; do echo "$U/cutonce/f$i.jpg"; done >list
fetch
python3 - store/partial "$U" <<'P'
import os, sys
files = {open(os.path.join(sys.argv[1], n), "rb").read().split(b"\t")[2].decode().rsplit("/", 1)[1]: os.path.join(sys.argv[1], n) for n in os.listdir(sys.argv[1])}
def change(name, f):
    b = f(open(files[name], "rb").read())
    open(files[name], "wb").write(b)
change("f1.jpg", lambda b: b[:len(b) // 2])                             # cut
change("f2.jpg", lambda b: b[:9000] + bytes([b[9000] ^ 1]) + b[9001:])  # a bit
change("f3.jpg", lambda b: b"\0" * len(b))                              # hollow
change("f4.jpg", lambda b: b"")                                         # empty
a, b = files["f5.jpg"], files["f6.jpg"]                                 # swapped names
os.rename(a, a + ".x"); os.rename(b, a); os.rename(a + ".x", b)
open(sys.argv[1] + "/stray", "w").write("x")
P
: >log
fetch
for i in 1 2 3 4 5 6 7; do
    same_picture "$U/cutonce/f$i.jpg" /cutonce/f$i.jpg
    is "$? $(ranges /cutonce/f$i.jpg)" "0 $([ $i = 7 ] && echo 'bytes=25000-') " "f$i: $(echo 'cut|a bit turned|hollow|empty|of another address|of another address|untouched' | cut -d'|' -f$i)"
done
is "$(parts)" 0 "and none is left, no stray file either"

# --- limits -----------------------------------------------------------------------------------------------------------
for i in 1 2 3; do echo "$U/cutonce/l$i.jpg"; done >list
fetch --partial-bytes 60k
is "$(parts)" 2 "--partial-bytes: what does not fit is not kept"
touch -d '2 hours ago' "$(find store/partial -type f | head -n 1)"
echo "$U/ok/l.jpg" >other; cp list keep; cp other list
fetch --partial-for 1h
is "$(parts)" 1 "--partial-for: what is too old goes, whatever the list"
fetch --partial-bytes 10k
is "$(parts)" 0 "a smaller limit takes the oldest first"
cp keep list; : >log
fetch
is "$(wc -l <out.tsv) $(awk -F'\t' '$5 != ""' log | wc -l)" "4 0" "and all comes whole all the same"
echo "$U/cutonce/m.jpg" >list
# shellcheck disable=SC2086
$FETCH $QUICK --partial-bytes 0 list -o out.tsv --rejects rejects.tsv
same_picture "$U/cutonce/m.jpg" /cutonce/m.jpg
is "$? $(ranges /cutonce/m.jpg) $(parts)" "0  bytes=25000-  0" "with none on the disk a run continues from memory"

# --- killed, stopped --------------------------------------------------------------------------------------------------
echo "$U/hang/k.jpg?n=3000000" >list
BIG="--max-bytes 8M --min-speed-time 60 --timeout 60"
( exec $FETCH $ONCE $BIG list -o out.tsv 2>err ) & first=$!
wait_for '[ "$(parts)" = 1 ]'
ok $? "of a large body in flight a part is put on the disk"
kill -9 $first; wait $first 2>/dev/null
fetch $BIG
same_picture "$U/hang/k.jpg?n=3000000" "/hang/k.jpg?n=3000000" 3000000
is $? 0 "killed in mid-body: the next run's picture is whole"
awk -F'\t' '$4 ~ /hang.k/ && $5 ~ /^bytes=[1-9][0-9]*-$/' log | grep -q .
ok $? "and was continued ($(ranges '/hang/k.jpg?n=3000000'))"
is "$(parts) $(ls store/tmp | wc -l)" "0 0" "nothing is left"
echo "$U/hang/s.jpg" >list
( exec $FETCH $ONCE $BIG list -o out.tsv 2>err ) & first=$!
wait_for 'grep -q hang/s log'
sleep 0.3                               # the 25,000 bytes arrive
kill -9 $first; wait $first 2>/dev/null
fetch $BIG
same_picture "$U/hang/s.jpg" "/hang/s.jpg"
is "$? $(ranges /hang/s.jpg)" "0   " "a small one is simply asked for again"
echo "$U/hang/t.jpg" >list
( exec $FETCH $ONCE $BIG list -o out.tsv 2>err ) & first=$!
wait_for 'grep -q hang/t log'
sleep 0.3
kill -TERM $first
wait_for '[ "$(parts)" = 1 ]'
ok $? "asked to stop, a run puts on the disk what it has"
kill -TERM $first; wait $first 2>/dev/null
is $? 143 "before the second signal drops it"
fetch $BIG
same_picture "$U/hang/t.jpg" "/hang/t.jpg"
is "$? $(ranges /hang/t.jpg)" "0  bytes=25000- " "and the next run goes on from there"

# --- what must not be kept --------------------------------------------------------------------------------------------
piece() { picture "$1" >whole; head -c 20000 whole | tail -c 64 >needle; python3 - "$2" <<'P'
import os, sys
needle = open("needle", "rb").read()
print(sum(needle in open(os.path.join(d, f), "rb").read() for d, _, fs in os.walk(sys.argv[1]) for f in fs))
P
}
export FETCH_STORE=lists
printf '%s\n' "$U/cutonce/b1.jpg" "$U/cutonce/b2.jpg" >list
fetch
is "$(parts lists) $(piece /cutonce/b1.jpg lists)" "2 1" "without a list there are parts"
picture /cutonce/b1.jpg | md5sum | cut -d' ' -f1 >blocks
: >log
fetch --blocklist blocks --tries 2
is "$(outcome "$U/cutonce/b1.jpg") $(outcome "$U/cutonce/b2.jpg")" "blocked jpeg" "with one, a listed picture is blocked"
is "$(parts lists) $(piece /cutonce/b1.jpg lists) $(awk -F'\t' '$5 != ""' log | wc -l)" "0 0 0" "no part was used, and none is left"
printf '%s\n' "$U/cutonce/b3.jpg" >list
picture /cutonce/b3.jpg | sha1sum | cut -d' ' -f1 >>blocks
fetch --blocklist blocks
is "$(outcome "$U/cutonce/b3.jpg") $(parts lists) $(piece /cutonce/b3.jpg lists)" "truncated 0 0" "with a list no part touches the disk"
printf '%s\n' "$U/cutonce/b4.jpg" >list
picture /cutonce/b4.jpg | sha1sum | cut -d' ' -f1 >>blocks
fetch --blocklist blocks --partial-unchecked
is "$(outcome "$U/cutonce/b4.jpg") $(parts lists)" "truncated 1" "unless --partial-unchecked says so"
fetch --blocklist blocks --partial-unchecked
is "$(outcome "$U/cutonce/b4.jpg") $(parts lists) $(piece /cutonce/b4.jpg lists)" "blocked 0 0" "then it goes with the match"
printf '%s\n' "$U/cutonce/b5.jpg" "$U/cutonce/b6.jpg" >list
# A takedown costs all parts: by address, and by a hash that no part can be compared with.
fetch
is "$(parts lists)" 2 "two parts"
echo "$U/cutonce/b5.jpg" >down
$FETCH --store lists --takedown down 2>/dev/null
is "$? $(parts lists) $(piece /cutonce/b5.jpg lists)" "0 0 0" "a takedown by address leaves none"
printf '%s\n' "$U/cutonce/b7.jpg" >list
fetch
picture /cutonce/b7.jpg | sha256sum | cut -d' ' -f1 >down
$FETCH --store lists --takedown down 2>/dev/null
is "$? $(parts lists)" "1 0" "nor does one by hash, which matches no whole picture"
printf '%s\n' "$U/cutonce/b8.jpg" >list
fetch
is "$(parts lists)" 1 "a part that came later"
mkdir -p run
"$BIN/purge" --store lists --dry-run run | grep -c parts-removed >said
is "$(cat said) $(parts lists)" "1 1" "purge would remove it"
"$BIN/purge" --store lists run >done.tsv
is "$? $(grep -c parts-removed done.tsv) $(parts lists)" "0 1 0" "and does"
unset FETCH_STORE

# --- a full disk ------------------------------------------------------------------------------------------------------
bad=0 said=0
for fault in write:2 write:3 write:5 write:7 open:2 rename:1 alloc:40 alloc:60; do
    echo "$U/cutonce/d-$fault.jpg" >list
    rm -rf full out.tsv
    FETCH_STORE=full WINNOW_FAULT=$fault fetch
    status=$?
    grep -q 'cannot be kept for later' err && said=$((said + 1))
    { [ $status = 0 ] || { [ $status -ge 64 ] && [ $status -le 78 ] && [ ! -e out.tsv ]; }; } ||
        { bad=$((bad + 1)); echo "# $fault: $status $(cat err)"; }
    FETCH_STORE=full fetch
    { [ $? = 0 ] && same_picture "$U/cutonce/d-$fault.jpg" "/cutonce/d-$fault.jpg" || [ "$(outcome "$U/cutonce/d-$fault.jpg")" = truncated ]; } ||
        { bad=$((bad + 1)); echo "# after $fault: $(cat err)"; }
    [ -z "$(ls full/tmp)" ] || { bad=$((bad + 1)); echo "# after $fault: $(ls full/tmp)"; }
done
is $bad 0 "a call that fails while a part is written costs the part at most"
[ $said -ge 3 ]
ok $? "and is said aloud ($said times)"
done_testing
