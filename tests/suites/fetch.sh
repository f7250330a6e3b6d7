#!/usr/bin/env bash
# fetch against a web server that misbehaves: every line of what goes wrong in wget, aria2 and curl, and what may be done to a
# downloader by its servers. One run asks for all of it at once; then each outcome is looked at.
. "$(dirname "$0")/../tap.sh"
. "$TOP/tests/faultserver/start.sh"

# --- everything at once -----------------------------------------------------------------------------------------------
rows="ok/a.jpg jpeg
ok/b.jpg?n=400000 jpeg
png/named.jpg png
modified/a.jpg jpeg
cut/a.jpg truncated
cutonce/a.jpg jpeg
cutonce-norange/a.jpg jpeg
weakcut/a.jpg jpeg
newversion/a.jpg jpeg
splice/a.jpg jpeg
wrongrange/a.jpg jpeg
chunked/a.jpg jpeg
chunkcut/a.jpg truncated
chunkgarbage/a.jpg truncated
closewhole/a.jpg jpeg
closecut/a.jpg truncated
endless/a.jpg too-large
announced/a.jpg too-large
empty/a.jpg empty
stall/a.jpg stalled
headstall/a.jpg stalled
drip/a.jpg stalled
reset/a.jpg truncated
resetearly/a.jpg reset
503s/a.jpg jpeg
429s/a.jpg jpeg
429d/a.jpg jpeg
503/a.jpg http-503
status/404/a.jpg http-404
status/410/a.jpg http-410
status/403/a.jpg http-403
status/500/a.jpg http-500
html/a.jpg html-page
htmljpeg/a.jpg html-page
avif/a.jpg avif
heic/a.jpg heic
tiff/a.jpg unsupported-format
gone/a.jpg placeholder
bomb/a.jpg too-large
coded/gzip/gzip/a.jpg jpeg
coded/x-gzip/gzip/b.jpg jpeg
coded/gzip/twice/c.jpg jpeg
coded/deflate/zlib/d.jpg jpeg
coded/deflate/raw/e.jpg jpeg
coded/gzip/plain/f.jpg jpeg
coded/aws-chunked/plain/g.jpg jpeg
coded/utf-8/plain/h.jpg jpeg
coded/gzip/cut/i.jpg content-encoding
coded/gzip/html/j.jpg html-page
coded/br/raw/k.jpg content-encoding
nonauth/a.jpg jpeg
bighead/a.jpg headers-too-large
garbage/a.jpg reset
to/ok/c.jpg jpeg
to/to/to/ok/d.jpg jpeg
loop/a redirect-limit
cookie/a.jpg jpeg
cookie/b.jpg jpeg
cookies/a/x.jpg jpeg
file/a.jpg redirect-refused
internal/a.jpg refused-address
internal6/a.jpg refused-address
credentials/a.jpg redirect-refused
tag/noai/a.jpg x-robots-tag
tag/NoImageAI/a.jpg x-robots-tag
tag/nofollow,%20noindex/a.jpg x-robots-tag
tag/otherbot:%20noai/a.jpg jpeg
tag/winnow:%20noai/a.jpg x-robots-tag
tag/otherbot:%20noai|noimageindex/a.jpg x-robots-tag
tag/max-snippet:%2020,%20noai/a.jpg x-robots-tag
tag/nofollow/a.jpg jpeg
ok/dir1/img.jpg jpeg
ok/dir2/img.jpg jpeg
ok/img.jpg?w=1 jpeg
ok/img.jpg?w=2 jpeg"
echo "$rows" | while read -r p _; do echo "$U/$p"; done >list
echo "http://localhost:$INTERNAL/ok/name.jpg" >>list
echo "http://127.0.0.2:$INTERNAL/ok/literal.jpg" >>list
echo "https://127.0.0.1:$TLS/ok/tls.jpg" >>list
echo "http://127.0.0.1:$TLS/ok/clear-to-tls.jpg" >>list
start=$(date +%s)
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv --summary summary.tsv 2>err
is $? 0 "a list full of trouble is worked through"
[ $(($(date +%s) - start)) -le 150 ]
ok $? "and nothing hangs"
has "$(cat err)" "rows were rejected (x-robots-tag 6" "one line says that more than half left, and why: $(cat err)"
is "$(wc -l <err)" 1 "and no other"
while read -r p wanted; do
    is "$(outcome "$U/$p")" "$wanted" "$p: $wanted"
done <<<"$rows"
is "$(outcome "http://localhost:$INTERNAL/ok/name.jpg")" connect "a name is tried where it leads, and only there"
is "$(outcome "http://127.0.0.2:$INTERNAL/ok/literal.jpg")" refused-address "a loopback literal that was not allowed is refused"
is "$(outcome "https://127.0.0.1:$TLS/ok/tls.jpg")" tls "a certificate that nobody signed is refused"
is "$(awk -F'\t' -v p="$INTERNAL" '$2 == p' log | wc -l)" 0 "no request ever reached the internal server"

for p in cutonce/a.jpg cutonce-norange/a.jpg weakcut/a.jpg wrongrange/a.jpg closewhole/a.jpg chunked/a.jpg 503s/a.jpg; do
    same_picture "$U/$p" "/$p"
    ok $? "$p is whole, byte for byte"
done
for p in coded/gzip/gzip/a.jpg coded/gzip/twice/c.jpg coded/deflate/zlib/d.jpg coded/deflate/raw/e.jpg coded/aws-chunked/plain/g.jpg; do
    same_picture "$U/$p" "/$p" 30000
    ok $? "$p: the bytes of the picture"
done
is "$(awk -F'\t' -v u="$U/nonauth/a.jpg" 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next } $1 == u { print $c["http_status"] }' out.tsv)" 203 "203 is an answer, and named"
for p in newversion splice; do
    same_picture "$U/$p/a.jpg" "/$p/a.jpgnew"
    ok $? "$p: the new version, and nothing of the old one"
done
awk -F'\t' '$4 == "/cutonce/a.jpg" && $5 == "bytes=25000-"' log | grep -q .
ok $? "a cut transfer goes on where it stopped"
awk -F'\t' '$4 == "/weakcut/a.jpg" && $5 != ""' log | grep -q .
is $? 1 "but not on the word of a weak validator"
is "$(path "$U/png/named.jpg" | sed 's/.*\.//')" png "the extension comes from the bytes, not from name or header"
[ "$(path "$U/ok/dir1/img.jpg")" != "$(path "$U/ok/dir2/img.jpg")" ] && [ "$(path "$U/ok/img.jpg?w=1")" != "$(path "$U/ok/img.jpg?w=2")" ]
ok $? "neither of equal names nor of queries one overwrites the other"
awk -F'\t' '$4 == "/429s/a.jpg" { if (last) exit !($1 - last >= 1.9); last = $1 }' log
ok $? "Retry-After in seconds is waited for"
awk -F'\t' '$4 == "/429d/a.jpg" { if (last) exit !($1 - last >= 1); last = $1 }' log
ok $? "Retry-After as a date is waited for"
is "$(asked /503/a.jpg)" 3 "a 503 storm gets three tries"
is "$(asked /status/404/a.jpg)" 1 "a 404 gets one"
is "$(asked /removed.png)" 0 "the placeholder is not even asked for"

# Nothing in the store but whole pictures under the hash of their bytes, none of them from a failed row, no temporaries.
python3 - <<'P'
import os, sys
bad = [f for d, _, fs in os.walk("store/tmp") for f in fs]
objects = {os.path.join(d, f) for d, _, fs in os.walk("store/objects") for f in fs}
named = {l.rstrip("\n").split("\t")[2] for l in open("out.tsv")} - {"path"}
sys.exit(bool(bad) or objects != named)
P
ok $? "the store holds the pictures of the manifest and nothing else"
is "$(($(wc -l <out.tsv) + $(wc -l <rejects.tsv) - 2))" "$(wc -l <list)" "kept and rejected rows are the rows read"
awk -F'\t' 'NR > 1 { s += $3 } END { print s }' summary.tsv >sum
is "$(cat sum)" "$(wc -l <list)" "the summary counts every address"

# On their own: what such a server sends too much may become the answer to the next question on that connection.
for row in "longer/a.jpg jpeg" "twolengths/a.jpg reset"; do
    # shellcheck disable=SC2086
    $FETCH $QUICK - -o out.tsv --rejects rejects.tsv <<<"$U/${row% *}"
    is "$(outcome "$U/${row% *}")" "${row#* }" "$row"
done
for row in "http://127.0.0.1:$TLS/ok/clear-to-tls.jpg reset" "https://127.0.0.1:$PLAIN/ok/tls-to-clear.jpg tls"; do
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots --retry-now --tries 1 - -o out.tsv --rejects rejects.tsv <<<"${row% *}"
    is "$(outcome "${row% *}")" "${row#* }" "clear text to a TLS port and the other way round: ${row#* }"
done
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv

# --- again ------------------------------------------------------------------------------------------------------------
cp out.tsv out1.tsv; cp rejects.tsv rejects1.tsv; : >log
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv
is "$(wc -l <log)" 0 "a rerun asks for nothing that is there, dead or not yet due"
cmp -s out.tsv out1.tsv && cmp -s rejects.tsv rejects1.tsv
ok $? "and writes the same bytes"
rm -f "$(path "$U/ok/a.jpg")"
# shellcheck disable=SC2086
$FETCH $QUICK list -o out.tsv --rejects rejects.tsv 2>err
is "$(asked /ok/a.jpg)" 1 "a picture that vanished from the store is fetched again"
grep -q '^fetch: 1 pictures' err
ok $? "and that is said"
: >log
# shellcheck disable=SC2086
$FETCH $QUICK --retry-now --tries 1 list -o out.tsv --rejects rejects.tsv
is "$(asked /503/a.jpg) $(asked /status/404/a.jpg) $(asked /ok/a.jpg)" "1 0 0" "--retry-now asks for failures, not for the dead"
: >log
# shellcheck disable=SC2086
$FETCH $QUICK --dead-for 0 list -o out.tsv --rejects rejects.tsv
is "$(asked /status/404/a.jpg)" 1 "the dead rise when their time is over"

# --- final or not: what a login page in front of the network, a quota or a bad day gives for everything -----------------
for mode in html 403 empty login inside loop json; do
    curl -s "$U/portal/$mode" >/dev/null
    seq -f "$U/ok/$mode%g.jpg" 6 >day
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots day -o out.tsv --rejects rejects.tsv 2>err
    is "$(wc -l <rejects.tsv) $(grep -c 'not one picture: all 6 responses' err)" "7 1" "everything is $mode: no picture, and that is said"
    curl -s "$U/portal/off" >/dev/null
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots day -o out.tsv --rejects rejects.tsv 2>err
    is "$(grep -c 'nothing was requested: 6 addresses that failed are not due before 20.*--retry-now' err)" 1 "$mode: a run that asks for nothing says why"
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots --retry-now day -o out.tsv --rejects rejects.tsv 2>err
    is "$(wc -l <out.tsv) $(cat err)" "7 " "$mode: --retry-now gets them the next day"
done
seq -f "$U/nothing-here/%g.jpg" 6 >day
# shellcheck disable=SC2086
$FETCH $QUICK --ignore-robots day -o out.tsv --rejects rejects.tsv 2>err
# shellcheck disable=SC2086
$FETCH $QUICK --ignore-robots --retry-now day -o out.tsv --rejects rejects.tsv 2>err
is "$(grep -c 'nothing was requested: 6 have a final response (--retry-dead requests them again)' err)" 1 "--retry-now on final responses alone names --retry-dead: $(head -n 1 err)"
curl -s "$U/portal/html" >/dev/null; echo "$U/ok/page.jpg" >day
for event in fail fail dead; do
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots --retry-failed 3d --retry-now day -o out.tsv --rejects rejects.tsv
    is "$(awk -F'\t' -v u="$(cat day)" '$3 == u { e = $2 } END { print e }' store/journal.tsv)" $event "a page that stays a page: $event"
done
# A clock that was ten years ahead wrote its lines; and a host may ask for patience, not for years.
echo "$U/ok/clock.jpg" >day
for times in 1 1-18; do
    curl -s "$U/portal/html" >/dev/null
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots --retry-now --retry-dead day -o out.tsv --rejects rejects.tsv
    curl -s "$U/portal/off" >/dev/null
    awk -F'\t' -v OFS='\t' -v u="$(cat day)" -v all="$times" \
        '$3 == u { $1 = $1 + 10 substr($1, 5); if (all != 1) { $2 = "dead"; $18 = "" } else $18 = $18 + 10 substr($18, 5) } { print }' store/journal.tsv >j && mv j store/journal.tsv
    # shellcheck disable=SC2086
    $FETCH $QUICK --ignore-robots day -o out.tsv --rejects rejects.tsv
    is "$(outcome "$(cat day)")" jpeg "a failure from 2036 is asked again today"
    sed -i "\\|$(cat day)|d" store/journal.tsv
done

# --- refresh ----------------------------------------------------------------------------------------------------------
printf '%s\n' "$U/ok/a.jpg" "$U/modified/a.jpg" "$U/changing/a.jpg" "$U/vanishing/a.jpg" >fresh
# shellcheck disable=SC2086
$FETCH $QUICK fresh -o out.tsv --rejects rejects.tsv
cp out.tsv out1.tsv; : >log
sleep 1
# shellcheck disable=SC2086
$FETCH $QUICK --refresh fresh -o out.tsv --rejects rejects.tsv
is "$(awk -F'\t' '$6 != ""' log | wc -l)" 4 "--refresh asks with the validators it was given"
is "$(grep -v changing out.tsv)" "$(grep -v changing out1.tsv)" "unchanged and vanished pictures keep their row and time"
[ "$(path "$U/changing/a.jpg")" != "$(awk -F'\t' '/changing/ { print $3 }' out1.tsv)" ]
ok $? "a changed picture gets a new row"
is "$(wc -l <rejects.tsv)" 1 "none is lost"
: >log
# shellcheck disable=SC2086
$FETCH $QUICK --refresh --refresh-after 1h fresh -o out.tsv --rejects rejects.tsv
is "$(wc -l <log)" 0 "--refresh-after spares what was asked for lately"

# --- politeness -------------------------------------------------------------------------------------------------------
curl -s "$U/robots/rules" >/dev/null
printf '%s\n' "$U/ok/r1.jpg" "$U/private/a.jpg" "$U/private/but/b.jpg" "$U/ok/x.secret" "$U/to/private/c.jpg" >robots
# shellcheck disable=SC2086
$FETCH $QUICK robots -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/private/a.jpg") $(outcome "$U/private/but/b.jpg") $(outcome "$U/ok/x.secret") $(outcome "$U/ok/r1.jpg") $(outcome "$U/to/private/c.jpg")" \
    "robots-txt jpeg robots-txt jpeg robots-txt" "robots.txt is honoured, for where redirects lead, too"
is "$(asked /private/a.jpg) $(asked /private/c.jpg)" "0 0" "what it forbids is not asked for"
# shellcheck disable=SC2086
$FETCH $QUICK --ignore-robots robots -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/private/a.jpg")" jpeg "--ignore-robots says otherwise on purpose"
curl -s "$U/robots/elsewhere" >/dev/null
printf '%s\n' "$U/private/e1.jpg" "$U/ok/e2.jpg" >robots
# shellcheck disable=SC2086
$FETCH $QUICK robots -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/private/e1.jpg") $(outcome "$U/ok/e2.jpg")" "robots-txt jpeg" "also one that a redirect to another name leads to"
curl -s "$U/robots/round" >/dev/null
# shellcheck disable=SC2086
$FETCH $QUICK - -o out.tsv --rejects rejects.tsv <<<"$U/private/e3.jpg"
is "$(outcome "$U/private/e3.jpg")" jpeg "one that only leads round is none"
curl -s "$U/robots/500" >/dev/null
echo "$U/ok/r2.jpg" >robots
# shellcheck disable=SC2086
$FETCH $QUICK robots -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/ok/r2.jpg") $(asked /ok/r2.jpg)" "robots-unreachable 0" "an unreachable robots.txt means no"
for mode in gzip silentgzip odd long longgzip broken br; do
    curl -s "$U/robots/$mode" >/dev/null
    printf '%s\n' "$U/private/$mode.jpg" "$U/ok/$mode.jpg" "$U/ok/../private/$mode-dots.jpg" "$U/ok/%2e./private/$mode-2e.jpg" >robots
    # shellcheck disable=SC2086
    $FETCH $QUICK robots -o out.tsv --rejects rejects.tsv
    case $mode in br | broken) no=robots-unreachable yes=$no ;; *) no=robots-txt yes=jpeg ;; esac
    is "$(while read -r u; do outcome "$u"; done <robots | tr '\n' ' ')$(grep -c "/private/$mode" log)" "$no $yes $no $no 0" \
        "robots.txt that comes $mode is read, or means no; dots hide nothing from it"
done
curl -s "$U/robots/none" >/dev/null
seq -f "$U/ok/rate%g.jpg" 12 >rate; : >log
# shellcheck disable=SC2086
$FETCH $QUICK --rate 10/s rate -o out.tsv --rejects rejects.tsv
awk -F'\t' '/rate/ { if (!first) first = $1; last = $1 } END { exit !(last - first >= 1.0) }' log
ok $? "--rate 10/s spreads twelve requests over more than a second"
seq -f "$U/crowd/%g.jpg" 40 >crowd
# shellcheck disable=SC2086
$FETCH $QUICK --per-host 3 crowd -o out.tsv --rejects rejects.tsv
most=$(curl -s "$U/most")
[ "$most" -ge 2 ] && [ "$most" -le 3 ] && [ "$(wc -l <out.tsv)" = 41 ]
ok $? "--per-host 3: three at once, never more ($most)"
seq -f "$U/429long/%g.jpg" 20 >long; : >log
# shellcheck disable=SC2086
$FETCH $QUICK --per-host 2 long -o out.tsv --rejects rejects.tsv
is "$(awk -F'\t' '{ print $(NF-1) }' rejects.tsv | sort | uniq -c | awk 'NR > 1 || $2 !~ /reject/ { printf "%s ", $2 }')" \
    "http-429 reject_reason retry-later " "a Retry-After of a day ends the host for this run"
[ "$(grep -c 429long log)" -le 2 ]
ok $? "nobody else of that host is asked"
: >log
# shellcheck disable=SC2086
$FETCH $QUICK --retry-failed 0 long -o out.tsv --rejects rejects.tsv
is "$(grep -c 429long log)" 0 "nor in the next run"
seq -f "$U/503/b%g.jpg" 60 >storm; : >log
# shellcheck disable=SC2086
$FETCH $QUICK --breaker 5 --per-host 4 storm -o out.tsv --rejects rejects.tsv
[ "$(grep -c /503/b log)" -le 30 ] && awk -F'\t' '{ print $(NF-1) }' rejects.tsv | grep -q host-down
ok $? "the breaker spares a host that only fails ($(grep -c /503/b log) requests for 60 addresses)"

# --- limits of a run --------------------------------------------------------------------------------------------------
seq -f "$U/same/%g.jpg" 8 >same
# shellcheck disable=SC2086
$FETCH $QUICK --max-same 7 same -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv) $(grep -c 'repeated-content.8 addresses gave ' rejects.tsv)" "1 8" "the same bytes from too many addresses are a placeholder"
# shellcheck disable=SC2086
$FETCH $QUICK --max-same 8 same -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv) $(cut -f3 out.tsv | sort -u | wc -l)" "9 2" "fewer are one file and many rows"
# shellcheck disable=SC2086
seq -f "$U/ok/mem%g.jpg?n=900000" 40 >mem
# shellcheck disable=SC2086
$FETCH $QUICK --memory 2M mem -o out.tsv --rejects rejects.tsv
is "$(wc -l <out.tsv)" 41 "a small memory budget slows down, and everything still comes"
# shellcheck disable=SC2086
$FETCH $QUICK --insecure --no-http2 - -o out.tsv --rejects rejects.tsv <<<"https://127.0.0.1:$TLS/ok/tls2.jpg"
is "$(wc -l <out.tsv)" 2 "--insecure takes any certificate"
# shellcheck disable=SC2086
$FETCH $QUICK --ca-file cert.pem - -o out.tsv --rejects rejects.tsv <<<"https://localhost:$TLS/ok/tls3.jpg"
is "$(wc -l <out.tsv)" 2 "--ca-file takes that one"

# --- names that change their address ----------------------------------------------------------------------------------
if ${CC:-cc} -shared -fPIC -o rebind.so "$TOP/tests/faultserver/rebind.c" 2>/dev/null; then
    echo "http://rebind.test:$PLAIN/ok/one.jpg" >name1
    echo "http://rebind.test:$INTERNAL/ok/two.jpg" >name2
    # shellcheck disable=SC2086
    if REBIND_TO=127.0.0.1 LD_PRELOAD=$PWD/rebind.so $FETCH $QUICK name1 -o out.tsv --rejects rejects.tsv 2>err; then
        is "$(outcome "http://rebind.test:$PLAIN/ok/one.jpg")" jpeg "a name that leads to an allowed address"
        # shellcheck disable=SC2086
        REBIND_TO=127.0.0.2 LD_PRELOAD=$PWD/rebind.so $FETCH $QUICK name2 -o out.tsv --rejects rejects.tsv
        is "$(outcome "http://rebind.test:$INTERNAL/ok/two.jpg")" refused-address "is refused when it leads elsewhere the next time"
        echo "http://rebind.test:$PLAIN/ok/three.jpg" >name3
        for to in 127.0.0.2 127.0.0.1; do
            # shellcheck disable=SC2086
            REBIND_TO=$to LD_PRELOAD=$PWD/rebind.so $FETCH $QUICK --retry-now name3 -o out.tsv --rejects rejects.tsv
            outcome "http://rebind.test:$PLAIN/ok/three.jpg"
        done >became
        is "$(tr '\n' ' ' <became)" "refused-address jpeg " "and is asked again when it leads back: a login page may have taken the name"
        # shellcheck disable=SC2086
        REBIND_TO=127.0.0.2 LD_PRELOAD=$PWD/rebind.so $FETCH $QUICK - -o out.tsv --rejects rejects.tsv <<<"$U/rebound/a.jpg"
        is "$(outcome "$U/rebound/a.jpg")" refused-address "also when a redirect names it"
        # shellcheck disable=SC2086
        REBIND_TO=127.0.0.1 LD_PRELOAD=$PWD/rebind.so $FETCH $QUICK --ca-file cert.pem - -o out.tsv --rejects rejects.tsv <<<"https://rebind.test:$TLS/ok/name.jpg"
        is "$(outcome "https://rebind.test:$TLS/ok/name.jpg")" tls "a certificate for another name is refused"
    else
        skip "rebinding" "the preloaded resolver does not work here"
    fi
else
    skip "rebinding" "no compiler"
fi
is "$(awk -F'\t' -v p="$INTERNAL" '$2 == p' log | wc -l)" 0 "and still nobody reached the internal server"
echo "$U/agent/Me/a.jpg" >agents
$FETCH $QUICK --ignore-robots --user-agent Me/1.0 agents -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/agent/Me/a.jpg")" jpeg "--user-agent is what the server sees"
echo "$U/agent/winnow/a.jpg" >agents
$FETCH $QUICK --ignore-robots --contact mailto:me@example.org agents -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/agent/winnow/a.jpg")" jpeg "--contact is added to the program's own"
curl -s "$U/most" >/dev/null
sed 's,crowd/,crowd/again,' crowd >crowd2
$FETCH $QUICK --per-address 2 crowd2 -o out.tsv --rejects rejects.tsv
most=$(curl -s "$U/most")
[ "$(wc -l <out.tsv)" = 41 ] && [ "$most" -ge 1 ] && [ "$most" -le 2 ]
ok $? "--per-address 2: at most two at once ($most)"
echo "$U/drip/slow.jpg" >drip
$FETCH $QUICK --min-speed 0 --timeout 4 --tries 1 drip -o out.tsv --rejects rejects.tsv
is "$(outcome "$U/drip/slow.jpg")" timeout "--min-speed 0: nothing is too slow but for --timeout"
$FETCH --store private --tries 1 list -o out.tsv --rejects rejects.tsv 2>err
is "$(tail -n +2 rejects.tsv | grep -vc refused-address)" 0 "without --allow-private no loopback address is asked at all"

done_testing
