#!/usr/bin/env bash
# What sites say about training: every signal in every place, one host each (tests/faultserver/rights_cases.tsv), as fetch obeys, records
# and ignores it; how often it asks; hosts that change their minds.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
cases=$TOP/tests/faultserver/rights_cases.tsv
cp "$cases" cases.tsv
python3 "$TOP/tests/faultserver/rightsserver.py" cases.tsv port log &
server=$!
trap 'kill $server 2>/dev/null' EXIT
wait_for '[ -f port ]'
port=$(cat port)
host() { echo "http://127.1.$(($1 / 256)).$(($1 % 256)):$port"; }
fetch() { "$BIN/fetch" --allow-address 127.0.0.0/8 --rate 0 --retry-wait 0.05 --label x -o out.tsv --rejects rejects.tsv "$@"; }
i=0
tail -n +2 cases.tsv | cut -f5 | while read -r path; do i=$((i + 1)); echo "$(host $i)$path"; done >list
[ "$(wc -l <list)" -ge 60 ]
ok $? "60 or more cases: $(wc -l <list)"

# compare MODE STORE: what became of each case, its columns, the journal's words and the requests, against the table
cat >compare.py <<'P'
import sys
mode, store = sys.argv[1:3]
def table(path):
    with open(path, encoding="utf-8") as f:
        rows = [l.rstrip("\n").split("\t") for l in f]
    return [dict(zip(rows[0], r)) for r in rows[1:]]
cases = table("cases.tsv")
urls = [l.strip() for l in open("list")]
kept = {r["url"]: r for r in table("out.tsv")}
rejected = {r["url"]: r for r in table("rejects.tsv")}
journal = {r["url"]: r["rights"] for r in table(store + "/journal.tsv") if r["url"]}
asked = {}
for l in open("log"):
    number, path = l.rstrip("\n").split("\t")
    asked.setdefault(int(number), []).append(path)
def reserves(w):
    return "=n@" in w or "=no@" in w or ":1@" in w
for n, (case, url) in enumerate(zip(cases, urls), 1):
    words = [w for w in case["signals"].split(",") if w]
    outcome, rights, files = case["outcome"], case["rights"], [w for w in words if not w.endswith("@header")]
    if mode == "ignore":
        words, rights = [], "unknown"
    if mode == "obey" and any(map(reserves, files)):
        outcome, words = "rights-reserved", files           # and the picture is not asked for
    if mode != "obey" and outcome == "rights-reserved":
        outcome = "jpeg"
    if mode == "record" and "x-robots-tag" in case["signals"]:
        outcome = "x-robots-tag"
    if mode == "ignore" and "x-robots-tag" in case["signals"]:
        outcome = "x-robots-tag"
    row = kept.get(url)
    got = row["format"] if row else rejected[url]["reject_reason"]
    told = [got, journal[url].split(",") if journal[url] else []]
    want = [outcome, words]
    if outcome == "robots-unreachable":
        told[1] = want[1] = []
    if row:
        told += [row["rights"], row["rights_signal"]]
        want += [rights, ",".join(words)]
    elif got == "rights-reserved":
        told.append(rejected[url]["reject_detail"])
        want.append(",".join(words))
    paths = asked.get(n, [])
    robots, tdmrep = paths.count("/robots.txt"), paths.count("/.well-known/tdmrep.json")
    told += [robots if got != "robots-unreachable" else 1, tdmrep <= 1 and (tdmrep == 1 or mode == "ignore" or got == "robots-unreachable")]
    want += [1, True]
    if mode == "obey" and any(map(reserves, files)) and "/to/" not in case["path"]:
        told.append(case["path"] in paths)
        want.append(False)
    print(("ok" if told == want else "no") + "\t" + mode + ": " + case["name"] + ("" if told == want else "\t%r, not %r" % (told, want)))
P
compare() {
    while IFS=$'\t' read -r verdict text said; do
        [ "$verdict" = ok ]
        ok $? "$text"
        [ -z "$said" ] || echo "#   $said"
    done < <(python3 compare.py "$1" "$2")
}
for mode in obey record ignore; do
    : >log
    fetch --store $mode --root . --rights $mode list 2>err
    is "$?" 0 "--rights $mode"
    compare $mode $mode
    cp out.tsv $mode.tsv
    : >log
    fetch --store $mode --root . --rights $mode list 2>err
    cmp -s out.tsv $mode.tsv && [ "$(grep -c jpg log)" = 0 ]
    ok $? "a rerun gives the same columns from the journal and asks for no picture"
done
fetch --store record --root . list 2>err
is "$(column out.tsv rights | grep -c reserve)" 0 "what --rights record took is not given to a run that obeys"
[ "$(column rejects.tsv reject_reason | grep -c rights-reserved)" -gt 30 ]
ok $? "and is rejected there, from the journal"
: >log
fetch --store robotless --root . --ignore-robots list 2>err
is "$(grep -cE 'robots.txt|tdmrep' log)" 0 "--ignore-robots asks for neither file"
is "$(column rejects.tsv reject_reason | sort | uniq -c | tr -s ' ' | tr '\n' ' ')" " $(cut -f8 cases.tsv | grep -cE '(=n|=no|:1)@header') rights-reserved " \
    "but obeys Content-Usage, Content-Signal and tdm-reservation in header fields"

# --- a host changes its mind -------------------------------------------------------------------------------------------
say() { printf 'name\trobots\ttdmrep\theaders\tpath\n'; for row; do printf 'x\t%s\t%s\t%s\t\n' "${row%%|*}" "$(cut -d'|' -f2 <<<"$row")" "${row##*|}"; done; }
say '||' '||' '||' >cases.tsv
printf '%s\n' "$(host 1)/a.jpg" "$(host 2)/b.jpg" "$(host 3)/c.jpg" >three
# What the run asked: "number path..." of each host. Pictures are told by their names.
asked() { sed 's,\t.*/,\t,' log | sort | awk -F'\t' '{ p[$1] = p[$1] " " $2 } END { for (h in p) print h p[h] }' | sort -n | tr '\n' ';'; }
fetch --store mind --root . --summary summary.tsv three 2>err
is "$(rows out.tsv) $(column out.tsv rights | sort -u)" "3 unknown" "three pictures of hosts that say nothing"
cp out.tsv first.tsv
no='User-agent: *\nContent-Signal: ai-train=no'
say "$no||" '||' '||' >cases.tsv
: >log
fetch --store mind --root . --summary summary.tsv three 2>err
cmp -s out.tsv first.tsv && [ ! -s log ] && [ ! -s err ]
ok $? "a run with nothing to ask asks nobody"
fetch --store mind --root . --recheck-rights --summary summary.tsv three 2>err
cmp -s out.tsv first.tsv
ok $? "--recheck-rights: a picture that is refused now is kept by default"
is "$(cat err)" "fetch: 1 pictures in the store are refused by their hosts now: kept (--rights-changed takedown removes them)" "and the run says so"
is "$(awk -F'\t' '$2 ~ /refused/ { print $2, $3 }' summary.tsv)" "ok-refused-now 1" "as does the summary"
is "$(asked)" "1 robots.txt tdmrep.json;2 b.jpg robots.txt tdmrep.json;3 c.jpg robots.txt tdmrep.json;" "with two requests a host, and one more about a picture where the files allow it"
is "$(awk -F'\t' '$5 == "rights-reserved" { print $2, $NF }' mind/journal.tsv)" "dead content-signal:ai-train=no@robots.txt" "the journal has what was said"
say "$no||" '||' '||tdm-reservation: 1' >cases.tsv
echo "$(host 1)/new.jpg" | cat three - >four
fetch --store mind --root . four 2>err
has "$(cat err)" "1 pictures in the store are refused" "a host that is asked for something else is heard, too"
is "$(outcome=$(cell rejects.tsv "$(host 1)/new.jpg" reject_reason); echo "$outcome")" rights-reserved "and what is new there is rejected"
fetch --store mind --root . --refresh --rights-changed takedown --summary summary.tsv three 2>err
is "$(head -1 err)" "fetch: 2 pictures in the store are refused by their hosts now: taken down; purge removes what was made from them" \
    "--rights-changed takedown: by the files of one host, and by the header fields of another in its answer to --refresh"
is "$(column rejects.tsv reject_reason | sort | uniq -c | tr -s ' ')" " 2 taken-down" "both are rejected as taken down"
is "$(find mind/objects -type f | wc -l) $(grep -c xxh128 mind/takedown.tsv) $(grep -c 'removed.rights' mind/audit.tsv)" "1 2 2" "removed, remembered and in the audit log"
say '||' '||' '||' >cases.tsv
fetch --store mind --root . --retry-dead --recheck-rights three 2>err
is "$(rows out.tsv) $(find mind/objects -type f | wc -l)" "1 1" "and stay away when the hosts change their minds again"

# --- header fields alone change: --recheck-rights asks about one picture of a host, and about the others only where that one is refused ---
for what in 'tdm-reservation: 1' 'X-Robots-Tag: noai' 'Content-Usage: train-ai=n'; do
    rm -rf field && : >log
    say '||' '||' >cases.tsv
    for i in 1 2 3 4 5; do printf '%s\n' "$(host 1)/a$i.jpg" "$(host 2)/b$i.jpg"; done >ten
    fetch --store field --root . ten 2>err
    is "$(sort log | uniq -c | awk '$3 !~ /jpg/ { n[$3] += $1 } END { print n["/robots.txt"], n["/.well-known/tdmrep.json"] }') $(wc -l <log)" "2 2 14" \
        "fetching ten pictures of two hosts costs each one request besides robots.txt"
    cp out.tsv first.tsv
    say '||' "||$what" >cases.tsv
    : >log
    fetch --store field --root . --recheck-rights --summary summary.tsv ten 2>err
    is "$(head -1 err)" "fetch: 5 pictures in the store are refused by their hosts now: kept (--rights-changed takedown removes them)" "$what: all five pictures, without --refresh"
    is "$(asked | sed "s/ a[1-5].jpg/ a1.jpg/")" "1 a1.jpg robots.txt tdmrep.json;2 b1.jpg b2.jpg b3.jpg b4.jpg b5.jpg robots.txt tdmrep.json;" "the other host is asked about one picture"
    is "$(awk -F'\t' '$2 ~ /refused/ { print $2, $3 }' summary.tsv)" "ok-refused-now 5" "the summary counts them as kept"
    cmp -s out.tsv first.tsv
    ok $? "the table stays"
    : >log
    fetch --store field --root . --recheck-rights ten 2>err
    has "$(cat err)" "5 pictures in the store are refused by their hosts now: kept" "the next run still says so"
    is "$(asked | tr ';' '\n' | awk '{ print $1, NF - 1 }' | tr '\n' ';')" "1 3;2 3;" "and asks about one picture a host again"
    fetch --store field --root . --rights-changed takedown --recheck-rights --summary summary.tsv ten 2>err
    is "$(head -1 err | cut -c1-80) $(rows out.tsv) $(find field/objects -type f | wc -l)" "fetch: 5 pictures in the store are refused by their hosts now: taken down; purge 5 5" "with takedown they leave"
    is "$(awk -F'\t' '$2 ~ /taken/ { print $2, $3 }' summary.tsv)" "taken-down 5" "as the summary says"
done
rm -rf field
fetch --store field --root . ten 2>err
is "$(rows out.tsv)" 5 "a host that refuses from the start gives none"
say '||' '||' >cases.tsv
rm -rf field && fetch --store field --root . ten 2>err
seen=
for _ in 1 2 3 4 5; do
    : >log
    sleep 1
    fetch --store field --root . --recheck-rights ten 2>err
    seen="$seen $(awk -F'\t' '$2 ~ /jpg/ { print $2 }' log | tr '\n' ' ')"
done
is "$(tr ' ' '\n' <<<"$seen" | grep . | sort | uniq -c | awk '{ print $1 }' | sort -u) $(tr ' ' '\n' <<<"$seen" | grep . | sort -u | wc -l)" "1 10" "five runs in turn ask about all five pictures of each host"
say '||!page\nX-Robots-Tag: noai\ntdm-reservation: 1' '||!page\ntdm-reservation: 1' >cases.tsv
: >log
fetch --store field --root . --recheck-rights --rights-changed takedown ten 2>err
is "$? $(rows out.tsv) $(grep -c jpg log) $(cat err)" "0 10 2 " "a login page in front of the pictures takes nothing down, and nothing more is asked"
say '||' 'User-agent: *\nDisallow: /||X-Robots-Tag: noai\ntdm-reservation: 1' >cases.tsv
: >log
fetch --store field --root . --recheck-rights --ignore-robots ten 2>err
is "$(grep -c -e robots -e tdmrep log) $(head -1 err | cut -c1-30)" "0 fetch: 5 pictures in the store" "with --ignore-robots the fields alone are asked for"
say '||' '!401||tdm-reservation: 1' >cases.tsv
fetch --store field --root . --recheck-rights --rights-changed takedown ten 2>err
is "$(find field/objects -type f | wc -l) $(head -1 err | cut -c1-30)" "5 fetch: 5 pictures in the store" "a robots.txt that is refused hides nothing"

# A host with many pictures: 1,000 besides the first in a run, the others in the next.
seq -f "$(host 1)/%g.jpg" 1100 >many
say '||' >cases.tsv
rm -rf field
fetch --store field --root . many 2>err
say '||tdm-reservation: 1' >cases.tsv
for most in 1001 1100; do
    : >log
    fetch --store field --root . --recheck-rights many 2>err
    is "$(cut -d' ' -f2 err | head -1) $(grep -c jpg log)" "$most $((most == 1001 ? 1001 : 99))" "$most of 1,100 pictures are known to be refused"
    sleep 1
done
# A store from before rights were recorded.
say '||' '||' '||' >cases.tsv
fetch --store old --root . three 2>err
cp out.tsv first.tsv
cut -f1-18 old/journal.tsv >j && mv j old/journal.tsv
fetch --store old --root . three 2>err
cmp -s out.tsv first.tsv && [ ! -s err ] && head -1 old/journal.tsv | grep -q 'due	rights$'
ok $? "a journal of 18 columns is read, and gets today's form"
is "$(awk -F'\t' '{ print NF }' old/journal.tsv | sort -u | tr '\n' ' ')" "19 " "with all its lines"
done_testing
