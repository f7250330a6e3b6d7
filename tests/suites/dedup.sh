#!/usr/bin/env bash
# scan and hash-dedup: every row leaves by one door, one survivor a group, files of strangers and of the moment, actions that
# never take the last copy. No timing here.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
bytes() { python3 -c 'import random, sys; r = random.Random(int(sys.argv[1])); sys.stdout.buffer.write(r.randbytes(int(sys.argv[2])))' "$1" "$2"; }

# --- a corpus with known truth: sizes around the sampling borders, equal heads, equal tails, copies in three folders ------
python3 - <<'P'
import os, random
r = random.Random(7)
for d in ("one", "two", "three"):
    os.mkdir(d)
sizes = [1, 511, 4095, 4096, 4097, 8191, 8192, 8193, 70000, 262143, 262144, 262145, 1 << 20, (1 << 20) + 5]
truth = {}
names = []
def put(data, folder):
    name = "%s/%05d.jpg" % (folder, len(names))
    open(name, "wb").write(data)
    names.append(name)
    truth.setdefault(data, []).append(name)
for size in sizes:
    base = r.randbytes(size)
    variants = [base]
    if size > 600:
        for at in (0, size // 2, size - 1):         # the same but for one byte at the head, in the middle, at the tail
            v = bytearray(base); v[at] ^= 1; variants.append(bytes(v))
    variants.append(r.randbytes(size) if size > 4 else base)
    for v in variants:
        for _ in range(r.randrange(1, 4)):
            put(v, r.choice(["one", "two", "three"]))
extra = sum(len(v) - 1 for v in truth.values())
groups = sum(len(v) > 1 for v in truth.values())
cross = sum(len({x.split("/")[0] for x in v}) > 1 for v in truth.values())
in_cross = sum(len(v) for v in truth.values() if len({x.split("/")[0] for x in v}) > 1)
within = sum(len(v) - 1 for v in truth.values() if len({x.split("/")[0] for x in v}) == 1)
open("truth", "w").write("%d %d %d %d %d %d\n" % (len(names), extra, groups, cross, in_cross, within))
with open("groups", "w") as f:
    for v in truth.values():
        f.write("\t".join(sorted(v)) + "\n")
P
read -r files extra groups cross in_cross within <truth
scan one two three >all.tsv
[ "$(rows all.tsv)" = "$files" ]
ok $? "scan lists every file"
cut -f1 all.tsv >paths.tsv
hash-dedup -o kept.tsv --rejects gone.tsv paths.tsv
[ "$(rows gone.tsv)" = "$extra" ] && [ $(($(rows kept.tsv) + $(rows gone.tsv))) = "$files" ]
ok $? "without labels: exactly the $extra copies of $groups groups leave"
[ "$(cut -f1 kept.tsv | sort | comm -12 - <(tr '\t' '\n' <groups | sort) | wc -l)" = "$(wc -l <groups)" ] &&
    [ "$(awk -F'\t' 'NR == FNR { k[$1] = 1; next } { c = 0; for (i = 1; i <= NF; i++) c += $i in k; if (c != 1) print }' kept.tsv groups | wc -l)" = 0 ]
ok $? "one survivor of each content"
hash-dedup -o kept.tsv --rejects gone.tsv all.tsv
[ "$(grep -c label-conflict gone.tsv)" = "$in_cross" ] && [ "$(grep -c duplicate-of gone.tsv)" = "$within" ]
ok $? "with labels: the $in_cross copies of $cross contents in two classes leave as conflicts, $within as duplicates"
hash-dedup --on-conflict keep-first -o kept.tsv --rejects gone.tsv all.tsv
[ "$(rows gone.tsv)" = "$extra" ]
ok $? "keep-first keeps one of each conflict"
for option in "" "--on-conflict keep-first" "--hash-all"; do
    hash-dedup $option -o once.tsv all.tsv && hash-dedup $option -o twice.tsv once.tsv && cmp -s once.tsv twice.tsv
    ok $? "dedup twice is dedup once ${option:+($option)}"
done
hash-dedup -j1 -o j1.tsv --rejects r1.tsv all.tsv && hash-dedup -j8 -o j8.tsv --rejects r8.tsv all.tsv && cmp -s j1.tsv j8.tsv && cmp -s r1.tsv r8.tsv
ok $? "-j1 equals -j8"
(head -n 1 all.tsv; tail -n +2 all.tsv | shuf --random-source=<(yes)) >shuffled.tsv
hash-dedup --keep path shuffled.tsv | sort >a && hash-dedup --keep path all.tsv | sort >b && cmp -s a b
ok $? "the order of the rows does not matter"
hash-dedup <all.tsv >c.tsv && cat all.tsv | hash-dedup >d.tsv && hash-dedup -o e.tsv all.tsv && cmp -s c.tsv d.tsv && cmp -s c.tsv e.tsv
ok $? "a file, standard input and a pipe give the same"
hash-dedup --hash-all -o full.tsv paths.tsv
[ "$(awk -F'\t' 'NR > 1 && (length($3) != 32 || $3 ~ /[^0-9a-f]/)' full.tsv | wc -l)" = 0 ]
ok $? "--hash-all fills xxh128 everywhere"
(head -n 1 full.tsv; tail -n +2 full.tsv; tail -n +2 full.tsv | sed 's,^,moved/,') >hashed.tsv
must_fail 66 nonexistent-folder "a root that is not there is exit 66" hash-dedup --root /nonexistent-folder full.tsv
mkdir empty && hash-dedup --root empty -o h.tsv --rejects hr.tsv hashed.tsv
[ "$(rows h.tsv)" = "$(rows full.tsv)" ] && [ "$(rows hr.tsv)" = "$(rows full.tsv)" ]
ok $? "rows with hashes need no files at all"
(head -n 1 all.tsv; tail -n +2 all.tsv | head -n 5) >new.tsv
hash-dedup --against full.tsv --on-conflict keep-first -o against.tsv --rejects againstr.tsv new.tsv
[ "$(rows against.tsv)" = 0 ] && [ "$(rows againstr.tsv)" = 5 ]
ok $? "--against: what the old manifest has leaves the new one"

# --- rules -------------------------------------------------------------------------------------------------------------
mkdir -p rules/deep/er && bytes 1 5000 >rules/b.jpg && cp rules/b.jpg rules/deep/er/c.jpg && cp rules/b.jpg rules/aa.jpg
touch -d '2020-01-01' rules/deep/er/c.jpg && touch -d '2010-01-01' rules/aa.jpg && touch -d '2022-01-01' rules/b.jpg
printf 'path\nrules/b.jpg\nrules/deep/er/c.jpg\nrules/aa.jpg\n' >rules.tsv
for pair in first:rules/b.jpg last:rules/aa.jpg oldest:rules/aa.jpg newest:rules/b.jpg shortest-path:rules/b.jpg \
    longest-path:rules/deep/er/c.jpg path:rules/aa.jpg largest:rules/aa.jpg; do
    got=$(hash-dedup --keep "${pair%%:*}" rules.tsv | tail -n +2 | cut -f1)
    [ "$got" = "${pair#*:}" ]
    ok $? "--keep ${pair%%:*} keeps ${pair#*:}"
done
got=$(hash-dedup --prefer rules/deep --keep path rules.tsv | tail -n +2 | cut -f1)
[ "$got" = rules/deep/er/c.jpg ]
ok $? "--prefer wins over --keep"

# --- files that are not what they should be ----------------------------------------------------------------------------
mkdir bad && bytes 2 9000 >bad/a.jpg && cp bad/a.jpg bad/copy.jpg && : >bad/empty.jpg && mkfifo bad/fifo.jpg && mkdir bad/folder.jpg
ln bad/a.jpg bad/hard.jpg && ln -s a.jpg bad/0link.jpg && ln -s loop2 bad/loop1 && ln -s loop1 bad/loop2
printf 'path\tlabel\nbad/0link.jpg\tx\nbad/a.jpg\tx\nbad/hard.jpg\tx\nbad/copy.jpg\tx\nbad/a.jpg\tx\nbad/empty.jpg\tx\nbad/fifo.jpg\tx\nbad/folder.jpg\tx\nbad/gone.jpg\tx\nbad/loop1\tx\n../outside.jpg\tx\n/etc/passwd\tx\n' >bad.tsv
hash-dedup -o bkept.tsv --rejects bgone.tsv bad.tsv
ok $? "bad files do not end the run"
[ "$(tail -n +2 bkept.tsv | cut -f1)" = bad/a.jpg ]
ok $? "the target of a link stays, not the link"
check() { awk -F'\t' -v p="$1" -v r="$2" '$1 == p && $4 == r { f = 1 } END { exit !f }' bgone.tsv; ok $? "$1: $2"; }
check bad/0link.jpg same-file-as
check bad/hard.jpg same-file-as
check bad/copy.jpg duplicate-of
check bad/a.jpg duplicate-row
check bad/empty.jpg empty-file
check bad/fifo.jpg not-a-regular-file
check bad/folder.jpg not-a-regular-file
check bad/gone.jpg not-found
check bad/loop1 unreadable
check ../outside.jpg outside-root
check /etc/passwd outside-root
[ $(($(rows bkept.tsv) + $(rows bgone.tsv))) = "$(rows bad.tsv)" ]
ok $? "kept and rejected make what was read"
hash-dedup --max-rejects 3 bad.tsv >/dev/null 2>&1
[ $? = 1 ]
ok $? "--max-rejects makes it a verdict"
printf 'path\txxh128\na.jpg\t12xy\n' | hash-dedup --rejects bh.tsv >/dev/null && grep -q bad-hash bh.tsv
ok $? "a hash that is none is a reject"

# --- actions -----------------------------------------------------------------------------------------------------------
fresh() { rm -rf act && mkdir -p act/x act/y && bytes 3 9000 >act/x/1.jpg && cp act/x/1.jpg act/x/2.jpg && cp act/x/1.jpg act/y/3.jpg &&
    ln act/x/1.jpg act/x/hard.jpg && ln -s 1.jpg act/x/soft.jpg && bytes 4 9000 >act/x/other.jpg; scan --follow --label z act >act.tsv; }
fresh
hash-dedup --delete --dry-run act.tsv >/dev/null 2>err
[ -f act/x/2.jpg ] && [ -f act/y/3.jpg ] && grep -q "would delete 'act/x/2.jpg'" err
ok $? "--dry-run says and does nothing"
hash-dedup --delete -o k.tsv --log log.tsv act.tsv 2>err
[ ! -e act/x/2.jpg ] && [ ! -e act/y/3.jpg ] && [ -f act/x/1.jpg ] && [ -f act/x/hard.jpg ] && [ -L act/x/soft.jpg ] && [ -f act/x/other.jpg ]
ok $? "--delete takes the copies, not hard links, not links, not others"
[ "$(grep -c '^delete.*done$' log.tsv)" = 2 ]
ok $? "--log tells of each"
fresh
hash-dedup --quarantine jail act.tsv >k.tsv 2>err
[ ! -e act/x/2.jpg ] && [ -f jail/act/x/2.jpg ] && [ -f jail/act/y/3.jpg ]
ok $? "--quarantine moves them under their paths"
fresh
hash-dedup --hardlink act.tsv >k.tsv 2>err
[ act/x/2.jpg -ef act/x/1.jpg ] && [ act/y/3.jpg -ef act/x/1.jpg ] && [ -z "$(find act -name '*.tmp')" ]
ok $? "--hardlink leaves every name, one file"
fresh
ln act/x/1.jpg act/x/.2.jpg.00000000.tmp && echo mine >act/y/.3.jpg.00000000.tmp
hash-dedup --hardlink act.tsv >k.tsv 2>err
status=$?
[ act/x/2.jpg -ef act/x/1.jpg ] && [ "$(find act -name '*.tmp')" = act/y/.3.jpg.00000000.tmp ]
ok $? "a link that a killed run left is used up"
[ $status = 1 ] && [ "$(cat act/y/.3.jpg.00000000.tmp)" = mine ] && [ ! act/y/3.jpg -ef act/x/1.jpg ] && grep -q "'act/y/3.jpg' is left alone: File exists" err
ok $? "a file of the user's that has the name is not touched"
fresh
hash-dedup --reflink act.tsv >k.tsv 2>err
status=$?
[ -f act/x/2.jpg ] && cmp -s act/x/2.jpg act/x/1.jpg && { [ $status = 0 ] || grep -q 'no reflinks' err; } && [ -z "$(find act -name '*.tmp')" ]
ok $? "--reflink shares storage or says that it cannot"
fresh
hash-dedup --hash-all -o h.tsv act.tsv
printf X | dd of=act/x/2.jpg bs=1 seek=100 conv=notrunc status=none
hash-dedup --delete --keep path -o k.tsv <(sed "s/^act\/x\/2.jpg.*/$(grep '^act/x/1.jpg' h.tsv | head -1 | sed 's,1.jpg,2.jpg,; s,/,\\/,g')/; t; s/^act\/x\/1.jpg.*/$(grep '^act/x/1.jpg' h.tsv | sed 's,/,\\/,g')/" h.tsv; grep '^act/x/1.jpg' h.tsv | sed 's,1.jpg,2.jpg,') 2>err
status=$?
[ $status = 1 ] && [ -f act/x/2.jpg ] && grep -q "left alone" err
ok $? "a file whose bytes are not those of its hash any more is left alone, exit 1"
fresh
printf 'path\tlabel\nact/x/1.jpg\ta\nact/x/2.jpg\tb\n' >conf.tsv
hash-dedup --delete conf.tsv >/dev/null 2>err
[ -f act/x/1.jpg ] && [ -f act/x/2.jpg ]
ok $? "files of a conflict under review are not touched"
hash-dedup --on-conflict drop --delete conf.tsv >/dev/null 2>err
[ -f act/x/1.jpg ] && [ ! -e act/x/2.jpg ]
ok $? "under drop one file of them stays"
fresh
ln -s x act/alias
printf 'path\nact/x/1.jpg\nact/alias/1.jpg\n' >alias.tsv
hash-dedup --delete alias.tsv >/dev/null 2>err
[ -f act/x/1.jpg ]
ok $? "the same file through a linked folder is not deleted"
fresh
hash-dedup --delete -o /nonexistent-folder/k.tsv act.tsv 2>/dev/null
[ $? = 73 ] && [ -f act/x/2.jpg ]
ok $? "no manifest, no deletion"
hash-dedup --verify -o k.tsv --rejects r.tsv act.tsv && grep -q duplicate-of r.tsv && ! grep -q content-differs r.tsv
ok $? "--verify agrees"
hash-dedup --quarantine "" act.tsv >/dev/null 2>&1
[ $? = 64 ] && [ -f act/x/2.jpg ] && [ ! -e /act ]
ok $? "an empty quarantine folder is a usage error, not the top of the file system"
must_fail 64 . "two actions at once are a usage error" hash-dedup --delete --hardlink act.tsv

# --- scan ----------------------------------------------------------------------------------------------------------------
mkdir -p s/cat/sub s/dog && cd s || exit 1
: >cat/1.jpg; : >cat/sub/2.PNG; : >cat/notes.txt; : >cat/.hidden.jpg; : >dog/3.jpeg
: >$'dog/tab\there.jpg'; : >$'dog/line\nfeed.jpg'; : >'dog/back\slash.jpg'; : >$'dog/bad\xff\xfe.jpg'
mkfifo dog/f.jpg; ln -s ../cat dog/linked; ln -s 3.jpeg dog/l.jpg; ln -s . cat/sub/self
scan --rejects ../sr.tsv . >../so.tsv
ok $? "scan of odd names"
[ "$(rows ../so.tsv)" = 6 ] && grep -qF 'dog/tab\there.jpg' ../so.tsv && grep -qF 'dog/line\nfeed.jpg' ../so.tsv && grep -qF 'dog/back\\slash.jpg' ../so.tsv
ok $? "tabs, line feeds and backslashes are escaped"
grep -qF 'dog/bad\\xff\\xfe.jpg' ../sr.tsv && grep -q not-utf8 ../sr.tsv && grep -q not-a-regular-file ../sr.tsv && [ "$(grep -c symbolic-link ../sr.tsv)" = 3 ]
ok $? "what cannot be taken has its reason"
[ "$(cut -f1 ../so.tsv | tail -n +2)" = "$(cut -f1 ../so.tsv | tail -n +2 | LC_ALL=C sort)" ]
ok $? "rows are sorted by path"
[ "$(awk -F'\t' '$1 == "cat/sub/2.PNG" { print $2 }' ../so.tsv)" = cat ]
ok $? "the label is the first folder"
scan --follow . --rejects ../sr.tsv >../sf.tsv
[ $? = 0 ] && grep -q link-loop ../sr.tsv && grep -q '^dog/linked/1.jpg' ../sf.tsv
ok $? "--follow follows, and knows a loop"
scan . cat ./cat/ >../twice.tsv && [ "$(rows ../twice.tsv)" = 6 ]
ok $? "a folder given twice gives each file once"
must_fail 65 '\.\./s' "a folder outside the root is refused" scan ../s
must_fail 66 nowhere "a folder that is not there is exit 66" scan nowhere
cd ..
done_testing
