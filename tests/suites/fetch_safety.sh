#!/usr/bin/env bash
# What must not be kept is never on the disk; what is taken down stays down; one run at a time; signals; where input comes from.
. "$(dirname "$0")/../tap.sh"
. "$TOP/tests/faultserver/start.sh"

# --- block lists ------------------------------------------------------------------------------------------------------
for i in 1 2 3 4 5; do echo "$U/ok/b$i.jpg"; done >list
picture /ok/b1.jpg | md5sum | cut -d' ' -f1 | tr a-f A-F >blocks
{ echo "# made-up list"; echo "sha1:$(picture /ok/b2.jpg | sha1sum | cut -d' ' -f1), remark"; picture /ok/b3.jpg | sha256sum; } >>blocks
echo "pdq:f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22" >>blocks
# shellcheck disable=SC2086
$FETCH $QUICK -v --blocklist blocks list -o out.tsv --rejects rejects.tsv 2>err
is $? 0 "a run with a block list"
grep -q '1 pdq: line' err
ok $? "-v says which lines of the list it cannot use"
is "$(for i in 1 2 3 4 5; do outcome "$U/ok/b$i.jpg"; done | tr '\n' ' ')" "blocked blocked blocked jpeg jpeg " "MD5, SHA-1 and SHA-256 match"
grep -q '3 pictures matched a block list' err
ok $? "it is said aloud"
# No piece of a listed picture anywhere: neither whole nor in part, under no name.
for i in 1 2 3; do picture /ok/b$i.jpg >piece$i; done
found=$(python3 - piece1 piece2 piece3 <<'P'
import os, sys
needles = [open(p, "rb").read()[at:at + 24] for p in sys.argv[1:] for at in (1000, 25000, 40000)]
files = [os.path.join(d, f) for d, _, fs in os.walk("store") for f in fs]
print(sum(n in open(f, "rb").read() for f in files for n in needles))
P
)
is "$found" 0 "no byte run of a listed picture is in the store, its journal or its temporaries"
is "$(awk -F'\t' 'NR > 1 { print $2, $3, $4 }' store/audit.tsv | sort | tr '\n' ';')" \
    "not-kept blocklist md5;not-kept blocklist sha1;not-kept blocklist sha256;" "the audit log says what was not kept and by which list"
is "$(grep -c /ok/b1 store/audit.tsv)$(grep -c /ok/b1 store/journal.tsv)" "00" "neither audit log nor journal holds the address in clear"
is "$(awk -F'\t' 'NR == 2 { print $7 }' store/audit.tsv)" "127.0.0.1:$PLAIN" "but the host"
awk -F'\t' 'NR == 2 { print $6 }' store/audit.tsv >digest
u=$(awk -F'\t' 'NR == 2 { print $5 }' store/audit.tsv)
for i in 1 2 3; do
    [ "$(picture /ok/b$i.jpg | md5sum | cut -d' ' -f1)" = "$u" ] || [ "$(picture /ok/b$i.jpg | sha1sum | cut -d' ' -f1)" = "$u" ] ||
        [ "$(picture /ok/b$i.jpg | sha256sum | cut -d' ' -f1)" = "$u" ] || continue
    is "$( (cat store/audit.salt; printf %s "$U/ok/b$i.jpg") | sha256sum | cut -d' ' -f1)" "$(cat digest)" "and a salted digest that proves the address"
done
: >log
# shellcheck disable=SC2086
$FETCH $QUICK --blocklist blocks --retry-now --retry-dead list -o out.tsv --rejects rejects.tsv
is "$(wc -l <log)" 0 "a blocked address is never asked again"
# A list that came later is held against what is there already.
xxh=$(awk -F'\t' -v u="$U/ok/b4.jpg" '$1 == u { print $5 }' out.tsv)
cp "$(path "$U/ok/b5.jpg")" five
{ echo "xxh3:$xxh"; md5sum <five; } >later
# shellcheck disable=SC2086
$FETCH $QUICK --blocklist blocks --blocklist later list -o out.tsv --rejects rejects.tsv 2>err
is "$(outcome "$U/ok/b4.jpg") $(outcome "$U/ok/b5.jpg") $(find store/objects -type f | wc -l)" "taken-down taken-down 0" \
    "a later list removes what was kept, and it is not kept again"
echo "nonsense here" >bad
# shellcheck disable=SC2086
$FETCH $QUICK --blocklist bad list -o none.tsv 2>err
is "$? $(cat err)" "65 fetch: 'bad' line 1: not an MD5, SHA-1, SHA-256, XXH3-128 or pdq: hash" "a list that cannot be read stops the run"
[ ! -e none.tsv ]
ok $? "before anything is written"
echo "$U/ok/b6.jpg" >one; picture /ok/b6.jpg | md5sum >blocks6
# shellcheck disable=SC2086
$FETCH $QUICK --blocklist blocks6 --stop-on-match --audit-urls one -o out.tsv --rejects rejects.tsv 2>/dev/null
is "$?" 1 "--stop-on-match ends with the verdict no"
grep -q "/ok/b6.jpg" store/audit.tsv
ok $? "--audit-urls writes the address"

# --- takedowns --------------------------------------------------------------------------------------------------------
for i in 1 2 3 4; do echo "$U/ok/t$i.jpg"; done >list
echo "$U/to/ok/t1.jpg" >>list
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv)" 6 "five rows before the takedown"
echo "HTTP://127.0.0.1:$PLAIN/ok/t1.jpg#x" >down
md5sum <"$(path "$U/ok/t2.jpg")" | cut -d' ' -f1 >>down
gone1=$(path "$U/ok/t1.jpg") gone2=$(path "$U/ok/t2.jpg")
# shellcheck disable=SC2086
$FETCH $QUICK --takedown down 2>err
is "$?" 0 "a takedown by address and by hash"
[ ! -e "$gone1" ] && [ ! -e "$gone2" ]
ok $? "removes the objects"
is "$(awk -F'\t' '$2 == "removed" && $3 == "takedown"' store/audit.tsv | wc -l)" 2 "and leaves a proof line for each"
: >log
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv
is "$(for i in 1 2 3 4; do outcome "$U/ok/t$i.jpg"; done | tr '\n' ' ')$(outcome "$U/to/ok/t1.jpg")" "taken-down taken-down jpeg jpeg taken-down" \
    "rows of removed pictures leave as taken-down, whatever led to them"
is "$(asked /ok/t1.jpg)" 0 "a taken-down address is not asked again"
rm -rf store2
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store2} --takedown down list -o out.tsv --rejects rejects.tsv 2>/dev/null
is "$(for i in 1 2 3; do outcome "$U/ok/t$i.jpg"; done | tr '\n' ' ')" "taken-down taken-down jpeg " "in a fresh store the same list keeps them out"
before=$(sha256sum <store/takedown.tsv)
# shellcheck disable=SC2086
$FETCH $QUICK --takedown down
is "$(sha256sum <store/takedown.tsv)" "$before" "a takedown twice is a takedown once"

# However it is written.
printf '%s\n' "$U/ok/caf%C3%A9.jpg" "$U/ok/~joe,x.jpg?a=1" "http://localhost:$PLAIN/ok/dots.jpg" "$U/to/ok/end.jpg" "$U/ok/both.jpg" "$U/ok/md.jpg" >spelled
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store3} spelled -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv)" 7 "six pictures"
printf '%s\n' "$U/ok/caf%c3%a9.jpg" "$U/%6Fk/%7ejoe%2cx.jpg?%61=1" "https://LOCALHOST.:$PLAIN/x/../ok/./dots.jpg#top" "$U/ok/end.jpg" \
    "$U/ok/no-such.jpg" "$U/ok/both.jpg" d41d8cd98f00b204e9800998ecf8427e >down
sha1sum "$(path "$U/ok/md.jpg")" | cut -d' ' -f1 >>down; md5sum "$(path "$U/ok/md.jpg")" | cut -d' ' -f1 >>down
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store3} --takedown down >done.tsv 2>err
is "$? $(find store3/objects -type f | wc -l)" "1 0" "takedowns are found however they are written; one that is not makes the exit code 1"
is "$(tail -n +2 done.tsv | cut -f2,3 | tr '\t\n' ' ;')" \
    "1 taken-down;2 taken-down;3 taken-down;4 taken-down;5 no-match;6 taken-down;7 no-match;8 taken-down;9 taken-down;" "each line has its outcome"
is "$(grep -c "line 5 matches nothing that was ever asked for or stored: '$U/ok/no-such.jpg'" err)" 1 "and the lines that match nothing are named"
grep -v 'no-such\|d41d8' down >found
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store3} --takedown found -o done.tsv
is "$? $(tail -n +2 done.tsv | cut -f3 | sort | uniq -c | tr -s ' ')" "0  7 taken-down-before" "the same again is said, too"
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store3} --takedown down spelled - -o out.tsv --rejects rejects.tsv 2>err <<<"$U/%6fk/no-such.jpg"
is "$? $(wc -l <out.tsv) $(grep -c 'line 5' err)" "0 1 0" "an address that this run kept out has matched"
# A store of an earlier version has the hash of the address as it was asked for.
printf '%s' "$U/ok/old%c3%a9.jpg" >address; printf 'path\naddress\n' >address.tsv
# shellcheck disable=SC2086
echo "$U/ok/old%c3%a9.jpg" | $FETCH ${QUICK/--store store/--store store4} - -o out.tsv
printf 'time\tkind\tvalue\n2026-01-01T00:00:00Z\turl\t%s\n' "$("$BIN/hash-dedup" --hash-all address.tsv 2>/dev/null | tail -n +2 | grep -o '[0-9a-f]\{32\}' | head -1)" >store4/takedown.tsv
# shellcheck disable=SC2086
echo "$U/ok/old%c3%a9.jpg" | $FETCH ${QUICK/--store store/--store store4} - -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/ok/old%c3%a9.jpg")" taken-down "an earlier version's takedown holds"

# --- placeholders by list ---------------------------------------------------------------------------------------------
{ picture /ok/p1.jpg | sha1sum; echo "redirect http://127.0.0.1:*/ok/stub*"; } >stubs
printf '%s\n' "$U/ok/p1.jpg" "$U/ok/p2.jpg" "$U/to/ok/stub.jpg" >list
# shellcheck disable=SC2086
$FETCH $QUICK --placeholders stubs list -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/ok/p1.jpg") $(outcome "$U/ok/p2.jpg") $(outcome "$U/to/ok/stub.jpg")" "placeholder jpeg placeholder" "placeholders by hash and by redirect rule"

# --- one run at a time, signals, the network away ---------------------------------------------------------------------
echo "$U/stall/lock.jpg" >slow
# shellcheck disable=SC2086
$FETCH $QUICK --min-speed-time 30 --timeout 30 slow -o slow.tsv 2>/dev/null &
first=$!
for _ in $(seq 100); do grep -q /stall/lock log && break; sleep 0.1; done
# shellcheck disable=SC2086
$FETCH $QUICK list -o none.tsv 2>err
is "$? $(grep -c "held by pid $first" err)" "75 1" "a second run on the same store leaves with 75 and names the holder"
kill -TERM $first; sleep 0.3; kill -TERM $first
wait $first
is "$?" 143 "a second signal drops what is in flight"
[ ! -e slow.tsv ]
ok $? "no manifest is written then"
seq -f "$U/drip/%g" 3 >slow
seq -f "$U/ok/i%g.jpg" 400 >>slow
# shellcheck disable=SC2086
$FETCH $QUICK --rate 50/s --ignore-robots slow -o slow.tsv 2>err &
first=$!
for _ in $(seq 100); do grep -q /ok/i20 log && break; sleep 0.1; done
kill -TERM $first; wait $first
is "$?" 143 "one signal lets the transfers in flight end, then ends with that signal"
grep -q 'run again to continue' err && [ ! -e slow.tsv ]
ok $? "and says so"
got=$(grep -c '	ok	.*/ok/i' store/journal.tsv)
: >log
grep /ok/i slow >rest
# shellcheck disable=SC2086
$FETCH $QUICK --ignore-robots rest -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv) $(grep -c /ok/i log)" "401 $((400 - got))" "the next run asks for the other $((400 - got)) only"
python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])' >free
echo "http://127.0.0.1:$(cat free)/x.jpg" >away
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--store store3} away -o none.tsv 2>err
is "$? $(cat err)" "75 fetch: no host could be reached; is the network up?" "no network: try later"
[ ! -e none.tsv ]
ok $? "and no empty manifest"

# --- a journal that grew ----------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
$FETCH $QUICK rest -o out.tsv --rejects rejects.tsv
python3 - <<'P'
lines = open("store/journal.tsv").read().split("\n")
retries = [l.replace("\tok\t", "\tretry\t", 1) for l in lines if "\tok\t" in l and "/ok/i" in l]
open("store/journal.tsv", "w").write("\n".join(lines[:1] + retries * 40 + lines[1:]))
P
before=$(wc -l <store/journal.tsv); : >log
# shellcheck disable=SC2086
$FETCH $QUICK rest -o again.tsv --rejects rejects.tsv 2>err
after=$(wc -l <store/journal.tsv)
[ "$before" -gt 16000 ] && [ "$after" -lt 1500 ] && [ ! -s err ]
ok $? "a journal mostly of the past is compacted ($before lines, then $after)"
cmp -s again.tsv out.tsv && [ ! -s log ]
ok $? "and says the same as before"

# --- where the addresses come from ------------------------------------------------------------------------------------
mkdir -p scraper/raw_data/cat scraper/raw_data/dog scraper/source_urls lists
echo "$U/ok/s1.jpg" >scraper/raw_data/cat/urls_cat.txt
printf '\xef\xbb\xbf%s\r\n# remark\r\n\r\n' "$U/ok/s2.jpg" >scraper/raw_data/dog/urls_dog.txt
echo "http://127.0.0.1/pages" >scraper/source_urls/cat.txt
# shellcheck disable=SC2086
$FETCH ${QUICK/--label x/} scraper -o out.tsv --rejects rejects.tsv
is "$(cut -f1,2 out.tsv | tail -n +2 | tr '\t\n' '  ')" "$U/ok/s1.jpg cat $U/ok/s2.jpg dog " "the folders of nsfw_data_scraper are read as they are"
echo "$U/ok/s1.jpg" >lists/bird.txt; echo "$U/ok/s2.jpg" >lists/cow.txt; echo "$U/ok/s1.jpg" >>lists/cow.txt
# shellcheck disable=SC2086
$FETCH ${QUICK/--label x/} lists -o out.tsv
is "$(cut -f2 out.tsv | tail -n +2 | tr '\n' ' ')" "bird cow cow " "so is a folder with a list for each class, and a row stays a row"
printf 'id\turl\tnote\n7\t%s\ta\\tb\n8\t%s\t\n9\tnot an address\tz\n' "$U/ok/s1.jpg" "$U/ok/s1.jpg#again" |
    $FETCH $QUICK -o out.tsv --rejects rejects.tsv
is "$(cut -f1,3,4 out.tsv | tail -n +2 | tr '\t\n' '  ')" '7 a\tb x 8  x ' "a manifest's other columns pass through"
is "$(cut -f1,6 rejects.tsv | tail -n 1)" "9	bad-url" "a line that is not an address is rejected as bad-url"
mkdir -p root/sub
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--root root --store root\/sub\/s} lists/bird.txt -o out.tsv
is "$(awk -F'\t' 'NR == 2 { print substr($3, 1, 14) }' out.tsv)" "sub/s/objects/" "paths are relative to --root"
# shellcheck disable=SC2086
$FETCH ${QUICK/--store store/--root root --store store} lists/bird.txt -o none.tsv 2>err
is "$?" 64 "a store outside of --root is a mistake"
mkdir empty
# shellcheck disable=SC2086
$FETCH $QUICK empty 2>err
is "$? $(grep -c 'contains no lists' err)" "66 1" "so is a folder without lists"
# shellcheck disable=SC2086
$FETCH $QUICK --rate fast lists 2>err
is "$?" 64 "and a rate that is none"

# --- a full disk, a call that fails -----------------------------------------------------------------------------------
seq -f "$U/ok/f%g.jpg" 30 >list
bad=0
for fault in write:1 write:3 write:10 rename:1 rename:5 open:1 open:4 fsync:1 alloc:60; do
    rm -rf store4 f.tsv
    # shellcheck disable=SC2086
    WINNOW_FAULT=$fault $FETCH ${QUICK/--store store/--store store4} list -o f.tsv --rejects f.rejects 2>err
    status=$?
    { [ $status -ge 64 ] && [ $status -le 78 ] && [ ! -e f.tsv ] && [ -s err ]; } || [ $status -eq 0 ] ||
        { bad=$((bad + 1)); echo "# $fault: status $status: $(cat err)"; }
    # shellcheck disable=SC2086
    $FETCH ${QUICK/--store store/--store store4} list -o f.tsv --rejects f.rejects 2>err
    [ $? -eq 0 ] && [ "$(wc -l <f.tsv)" = 31 ] || { bad=$((bad + 1)); echo "# after $fault: $(cat err)"; }
done
is $bad 0 "after a failed call the exit code is one of sysexits, no manifest is there, and the next run completes"

done_testing
