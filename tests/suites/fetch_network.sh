#!/usr/bin/env bash
# The network as it is: many names on one address, a network that goes away, a proxy in between.
# shellcheck disable=SC2086
. "$(dirname "$0")/../tap.sh"
. "$TOP/tests/faultserver/start.sh"
events() { awk -F'\t' 'NR > 1 { n[$2]++ } END { for (e in n) if (e != "sync") printf "%s %d ", e, n[e] }' "$1/journal.tsv"; }
preloads=
# A sanitizer build needs its library in front: SANITIZER_PRELOAD=$(gcc -print-file-name=libasan.so)
PRELOAD="${SANITIZER_PRELOAD:+$SANITIZER_PRELOAD }$PWD/net.so"
if ${CC:-cc} -shared -fPIC -o net.so "$TOP/tests/faultserver/rebind.c" 2>/dev/null; then
    echo "http://one.many.test:$PLAIN/ok/one.jpg" >list
    LD_PRELOAD="$PRELOAD" $FETCH $QUICK list -o out.tsv 2>err && [ "$(wc -l <out.tsv)" = 2 ] && preloads=1
fi
with() { env LD_PRELOAD="$PRELOAD" "$@"; }

# --- many names, one address ------------------------------------------------------------------------------------------
if [ -n "$preloads" ]; then
    for i in $(seq 60); do echo "http://n$i.many.test:$PLAIN/crowd/a$i.jpg"; echo "http://n$i.many.test:$PLAIN/crowd/b$i.jpg"; done >list
    with $FETCH $QUICK --per-host 2 --per-address 5 --store many list -o out.tsv --rejects rejects.tsv 2>err
    is "$? $(wc -l <out.tsv) $(cat err)" "0 121 " "sixty names on one address: all is fetched"
    most=$(curl -s "$U/most")
    [ "$most" -ge 2 ] && [ "$most" -le 5 ]
    ok $? "--per-address 5: never more than five at once ($most)"
    is "$(events many)" "ok 120 " "and nobody who had to wait counts as having failed"
    is "$(awk -F'\t' '$4 ~ /crowd/ { print $4 }' log | sort | uniq -d | wc -l)" 0 "nor is asked twice"
    with $FETCH $QUICK --per-host 2 --store many2 list -o out.tsv --rejects rejects.tsv
    most=$(curl -s "$U/most")
    [ "$most" -ge 2 ] && [ "$most" -le 16 ]
    ok $? "without the option sixteen ($most)"
    with $FETCH $QUICK --per-host 1 --per-address 1 --ignore-robots --store many3 list -o out.tsv --rejects rejects.tsv
    is "$? $(wc -l <out.tsv) $(curl -s "$U/most")" "0 121 1" "one at a time: nobody is forgotten in the line"
    # Hosts that wait for other things while they hold a place in that line: the rate, a Retry-After, a breaker, a redirect to a neighbour.
    for i in $(seq 12); do
        echo "http://s$i.many.test:$PLAIN/503s/$i.jpg"; echo "http://s$i.many.test:$PLAIN/crowd/c$i.jpg"; echo "http://s$i.many.test:$PLAIN/503/$i.jpg"
        echo "http://s$i.many.test:$PLAIN/cutonce/$i.jpg"; echo "http://s$i.many.test:$PLAIN/resetearly/$i.jpg"
    done >list
    curl -s "$U/most" >/dev/null
    timeout 100 env LD_PRELOAD="$PRELOAD" $FETCH $QUICK --per-address 2 --rate 20/s --breaker 3 --store many4 list -o out.tsv --rejects rejects.tsv
    is "$? $(($(wc -l <out.tsv) + $(wc -l <rejects.tsv)))" "0 62" "hosts that fail, wait and come back share two places without end or loss"
    [ "$(curl -s "$U/most")" -le 2 ]
    ok $? "never more than two"
else
    skip "many names on one address" "no preloaded resolver here"
fi

# --- the network goes away --------------------------------------------------------------------------------------------
if [ -n "$preloads" ]; then
    away() { env LD_PRELOAD="$PRELOAD" NETWORK_AWAY="$PWD/away" "$@"; }
    for i in $(seq 150); do echo "http://w$i.many.test:$PLAIN/crowd/w$i.jpg"; done >list
    : >log
    ( exec env LD_PRELOAD="$PRELOAD" NETWORK_AWAY="$PWD/away" $FETCH ${QUICK/--parallel 200/--parallel 4} --tries 1 --store gone list -o out.tsv --rejects rejects.tsv 2>err ) & first=$!
    wait_for '[ "$(grep -c crowd/w log)" -ge 20 ]'
    : >away
    wait_for 'grep -q "network is down" err'
    ok $? "a network that goes away is noticed"
    before=$(grep -c crowd/w log)
    sleep 1
    is "$(grep -c crowd/w log)" "$before" "then nothing is asked"
    rm away
    wait $first
    is "$? $(wc -l <out.tsv) $(wc -l <rejects.tsv)" "0 151 1" "when it is back the run goes on, and nothing is missing"
    is "$(events gone)" "ok 150 " "nothing counted as an attempt, though each address had one try only"
    grep -q "it is back after" err
    ok $? "and that it is back is said"
    : >log; rm -f out.tsv
    ( exec env LD_PRELOAD="$PRELOAD" NETWORK_AWAY="$PWD/away" $FETCH ${QUICK/--parallel 200/--parallel 4} --tries 1 --network-wait 2 --store gone2 list -o out.tsv --rejects rejects.tsv 2>err ) & first=$!
    wait_for '[ "$(grep -c crowd/w log)" -ge 20 ]'
    : >away
    wait $first
    is "$? $(grep -c 'run again when it is back' err)" "75 1" "after --network-wait the run ends with 75"
    [ ! -e out.tsv ]
    ok $? "without a manifest"
    got=$(grep -c '	ok	' gone2/journal.tsv)
    is "$(events gone2)" "ok $got " "no address is marked as failed"
    away $FETCH $QUICK --tries 1 --network-wait 1 --store gone2 list -o out.tsv 2>err
    is "$? $(events gone2)" "75 ok $got " "nor by a run that begins without a network"
    rm away; : >log
    away $FETCH $QUICK --tries 1 --store gone2 list -o out.tsv --rejects rejects.tsv
    is "$? $(wc -l <out.tsv) $(grep -c crowd/w log)" "0 151 $((150 - got))" "the next run asks for the rest"
    # A list that ends in dead names is no such case.
    { for i in $(seq 30); do echo "http://d$i.dead.test:$PLAIN/ok/d$i.jpg"; done; echo "$U/ok/alive.jpg"; } >list
    with $FETCH $QUICK --store dead list -o out.tsv --rejects rejects.tsv 2>err
    is "$? $(wc -l <out.tsv) $(grep -c '	dns	' rejects.tsv) $(grep -v 'rows were rejected' err)" "0 2 30 " "names that do not exist are dead, not the network"
    with $FETCH $QUICK --retry-now --store dead list -o out.tsv --rejects rejects.tsv 2>err
    is "$? $(grep -c '	dns	' rejects.tsv) $(grep -v 'rows were rejected' err)" "0 30 " "also when nothing else is left to ask"
    # Asked to stop while it waits.
    echo "http://w1.many.test:$PLAIN/ok/stop.jpg" >list
    : >away
    ( exec env LD_PRELOAD="$PRELOAD" NETWORK_AWAY="$PWD/away" $FETCH $QUICK --store gone3 list -o out.tsv 2>err ) & first=$!
    wait_for 'grep -q "network is down" err'
    kill -TERM $first; wait $first
    is "$? $(events gone3)" "143 " "a run that waits can be stopped"
    rm away
else
    skip "the network goes away" "no preloaded resolver here"
fi
if unshare -rn true 2>/dev/null; then
    printf '%s\n' "http://127.0.0.1:$PLAIN/ok/u.jpg" "http://name.example/u.jpg" >list
    unshare -rn $FETCH $QUICK --network-wait 1 --store alone list -o alone.tsv 2>err
    is "$? $(events alone)" "75 " "in a network namespace of its own: 75, and nothing marked"
    $FETCH $QUICK --store alone - -o alone.tsv <<<"http://127.0.0.1:$PLAIN/ok/u.jpg"
    is "$? $(wc -l <alone.tsv)" "0 2" "outside it is fetched"
else
    skip "no network at all" "no unshare -n here"
fi

# --- a proxy ----------------------------------------------------------------------------------------------------------
python3 "$TOP/tests/faultserver/proxy.py" open.port open.log &
p1=$!
python3 "$TOP/tests/faultserver/proxy.py" closed.port closed.log me:geheim7 &
p2=$!
trap 'kill $server $p1 $p2 2>/dev/null' EXIT
wait_for '[ -f open.port ] && [ -f closed.port ]'
OPEN=http://127.0.0.1:$(cat open.port) CLOSED=127.0.0.1:$(cat closed.port)
PROXIED=${QUICK/--allow-address 127.0.0.1/--proxy-resolves}
echo "http://pictures.example.org:$PLAIN/ok/p1.jpg" >list
$FETCH ${QUICK/--allow-address 127.0.0.1/} --proxy "http://me:geheim7@$CLOSED" list -o out.tsv 2>err
is "$? $(grep -c -- --proxy-resolves err) $(grep -c geheim err)" "64 1 0" "--proxy alone is refused: who checks the addresses?"
cat >list <<L
http://pictures.example.org:$PLAIN/ok/p1.jpg
https://pictures.example.org:$TLS/ok/p2.jpg
http://pictures.example.org:$PLAIN/to/ok/p3.jpg
http://unreachable.example.org:$PLAIN/ok/p4.jpg
https://unreachable.example.org:$TLS/ok/p5.jpg
http://pictures.example.org:$PLAIN/status/404/p6.jpg
L
no_proxy='*' NO_PROXY='*' $FETCH $PROXIED --insecure --proxy "$OPEN" --store proxied list -o out.tsv --rejects rejects.tsv 2>err
is "$? $(cat err)" "0 " "a run through a proxy"
is "$(while read -r u; do outcome "$u"; done <list | tr '\n' ' ')" "jpeg jpeg jpeg robots-unreachable connect http-404 " "plain, TLS and redirects; what the proxy cannot reach; a 404"
is "$(grep -c "^GET	http://pictures.example.org:$PLAIN/ok/p1.jpg" open.log) $(grep -c "^CONNECT	pictures.example.org:$TLS" open.log)" "1 1" \
    "it was asked by GET and by CONNECT, whatever no_proxy says"
http_proxy=http://127.0.0.1:1 all_proxy=http://127.0.0.1:1 $FETCH $QUICK --store direct - -o out.tsv <<<"$U/ok/direct.jpg"
is "$? $(wc -l <out.tsv)" "0 2" "a proxy that only the environment names is not used"
# What a proxy must not be asked for.
cat >list <<L
http://127.0.0.1:$INTERNAL/ok/x1.jpg
http://127.1:$INTERNAL/ok/x2.jpg
http://2130706433:$INTERNAL/ok/x3.jpg
http://0x7f000001:$INTERNAL/ok/x4.jpg
http://[::1]:$INTERNAL/ok/x5.jpg
http://169.254.169.254/latest/meta-data
http://localhost:$INTERNAL/ok/x6.jpg
http://intranet:$INTERNAL/ok/x7.jpg
http://metadata.google.internal:$INTERNAL/ok/x8.jpg
http://pictures.example.org:$PLAIN/internal/x9.jpg
http://pictures.example.org:$PLAIN/internal6/x10.jpg
L
: >open.log
$FETCH $PROXIED --proxy "$OPEN" --store refused list -o out.tsv --rejects rejects.tsv
is "$? $(tail -n +2 rejects.tsv | grep -c 'refused-address') $(awk '$2 !~ /pictures/' open.log | wc -l) $(awk -F'\t' -v p="$INTERNAL" '$2 == p' log | wc -l)" "0 11 0 0" \
    "addresses and names that are not public are refused before the proxy hears of them, by redirects too"
$FETCH ${PROXIED/--proxy-resolves/--allow-private} --proxy "$OPEN" --store allowed - -o out.tsv <<<"http://intranet:$PLAIN/ok/x11.jpg"
is "$? $(wc -l <out.tsv)" "0 2" "--allow-private asks it for anything"
# Passwords.
echo "http://pictures.example.org:$PLAIN/hang/q.jpg" >list
( exec $FETCH $PROXIED --min-speed-time 30 --timeout 30 --proxy "http://me:geheim7@$CLOSED" --store secret list -o out.tsv 2>err ) & first=$!
wait_for 'grep -q hang/q log'
is "$(tr '\0' ' ' <"/proc/$first/cmdline" | grep -c geheim7)" 0 "the password is gone from the command line"
kill -9 $first; wait $first 2>/dev/null
$FETCH $PROXIED -v --proxy "http://me:geheim7@$CLOSED" --store secret list -o out.tsv --rejects rejects.tsv --summary summary.tsv 2>err
is "$? $(wc -l <out.tsv) $(grep -rl geheim7 secret out.tsv rejects.tsv summary.tsv err | wc -l)" "0 2 0" "with its password the proxy serves, and nobody writes it down"
grep -q "Basic $(printf me:geheim7 | base64)" closed.log
ok $? "it was sent to the proxy"
for u in "http://pictures.example.org:$PLAIN" "https://pictures.example.org:$TLS"; do
    rm -rf wrong
    $FETCH $PROXIED --insecure --proxy "http://me:geheim8@$CLOSED" --store wrong - -o none.tsv 2>err <<<"$u/ok/w.jpg"
    is "$? $(grep -c 407 err) $(grep -c geheim err) $(events wrong)" "75 1 0 " "${u%%:*}: a wrong one ends the run, and no address is marked as failed"
done
# A proxy that is not there is as a network that is not there.
$FETCH $PROXIED --tries 1 --network-wait 1 --proxy http://127.0.0.1:1 --store noproxy - -o none.tsv 2>err <<<"http://pictures.example.org/n.jpg"
is "$? $(events noproxy) $(grep -c 'the proxy cannot be reached' err)" "75  2" "a proxy that is away: 75, and nothing marked"
# Through a proxy all connections go to one address, and that is not a reason for them to wait for each other.
for i in $(seq 30); do echo "http://h$i.example.org:$PLAIN/crowd/h$i.jpg"; done >list
curl -s "$U/most" >/dev/null
$FETCH $PROXIED --per-host 2 --proxy "$OPEN" --store crowd list -o out.tsv --rejects rejects.tsv
most=$(curl -s "$U/most")
[ "$(wc -l <out.tsv)" = 31 ] && [ "$most" -ge 3 ]
ok $? "thirty hosts through one proxy do not wait for each other ($most at once)"
done_testing
