#!/usr/bin/env bash
# purge: what is left of a picture after its takedown, in tables, made pictures, shard sets, caches and pages of a run.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 2
A=aa11111111111111111111111111111a B=bb22222222222222222222222222222b C=cc33333333333333333333333333333c
make_run() {    # a run as the pipeline leaves it, with pictures A, B, C
    rm -rf run; mkdir -p run/store/objects/aa run/store/objects/bb run/store/objects/cc run/r1/shards run/r1/other run/augmented/aa run/augmented/bb run/cache run/r1/head/model
    for h in $A $B $C; do
        echo "picture $h" >"run/store/objects/${h:0:2}/${h:2}.jpg"
    done
    {
        printf 'url\tlabel\tpath\txxh128\n'
        printf 'http://h.test/%s.jpg\tcat\tstore/objects/%s/%s.jpg\t%s\n' a aa ${A:2} $A b bb ${B:2} $B c cc ${C:2} $C
    } >run/fetched.tsv
    sleep 0.02
    {
        printf 'url\tlabel\tpath\txxh128\tgroup\tsource\n'
        printf 'http://h.test/%s.jpg\tcat\tstore/objects/%s/%s.jpg\t%s\t%s\t\n' a aa ${A:2} $A $A b bb ${B:2} $B $A c cc ${C:2} $C $C
        printf '\tcat\taugmented/aa/%s-1-77.jpg\tdd44444444444444444444444444444d\t%s\tstore/objects/aa/%s.jpg\n' $A $A ${A:2}
        printf '\tcat\taugmented/bb/%s-1-77.jpg\tee55555555555555555555555555555e\t%s\tstore/objects/bb/%s.jpg\n' $B $B ${B:2}
    } >run/r1/augmented.tsv
    echo x >run/augmented/aa/$A-1-77.jpg; echo x >run/augmented/bb/$B-1-77.jpg
    printf 'id\tlabel\tp_cat\n%s\tcat\t0.5\n%s\tcat\t0.5\n' $A $B >run/r1/predictions.tsv
    printf 'path\txxh128\treject_detail\nstore/objects/cc/%s.jpg\t%s\tnear %s\n' ${C:2} $C $A >run/r1/rejects.tsv
    printf 'metric\tvalue\naccuracy\t0.9\n' >run/r1/metrics.tsv
    printf 'key\tvalue\n' >run/r1/shards/index.tsv; printf 'path\txxh128\nstore/x\t%s\n' $A >run/r1/shards/shard-00000.tsv
    echo bytes >run/r1/shards/shard-00000.bin
    printf 'key\tvalue\n' >run/r1/other/index.tsv; printf 'path\txxh128\nstore/x\t%s\n' $C >run/r1/other/shard-00000.tsv
    echo bytes >run/r1/other/shard-00000.bin
    echo c >run/cache/features-1.cache; echo h >run/r1/report.html; echo '{}' >run/r1/head/model/model.json
    ln run/fetched.tsv run/a.tsv # two names of one file, as make leaves them
}
make_run
echo $A >down
"$BIN/fetch" --store run/store --takedown down 2>err
is "$?" 0 "fetch takes a picture down"
cp -r run before
"$BIN/purge" --store run/store --dry-run run >said
is "$? $(diff -r -x lock run before | wc -l)" "0 0" "a dry run changes nothing"
"$BIN/purge" --store run/store run >report.tsv 2>err
is "$? $(cat err)" "0 " "purge"
cut -f1,3 report.tsv | tail -n +2 | sort >did; cut -f1,3 said | tail -n +2 | sort | diff - did >/dev/null
ok $? "did what the dry run said"
is "$(tail -n +2 report.tsv | cut -f1 | sort | uniq -c | awk '{ printf "%s %s;", $1, $2 }')" \
    "1 cache-removed;1 file-removed;1 model-trained-with-it;1 page-removed;4 rows-removed;3 shard-set-removed;" "and says what it did"
is "$(grep -rl "$A\|${A:2}" run --include='*' | grep -v 'takedown.tsv\|audit.tsv\|augmented.tsv\|rejects.tsv' | wc -l)" 0 "the hash is nowhere but where it must be remembered"
is "$(wc -l <run/fetched.tsv) $(wc -l <run/r1/augmented.tsv) $(wc -l <run/r1/predictions.tsv)" "3 4 2" "rows about it are gone from every table"
grep -q "$B	$A" run/r1/augmented.tsv && grep -q "near $A" run/r1/rejects.tsv
ok $? "rows that only mention it stay"
[ ! -e run/augmented/aa/$A-1-77.jpg ] && [ -e run/augmented/bb/$B-1-77.jpg ]
ok $? "the picture made from it is gone, another's is there"
[ ! -e run/r1/shards/index.tsv ] && [ ! -e run/r1/shards/shard-00000.bin ] && [ -e run/r1/other/index.tsv ]
ok $? "its shard set is gone, another is there"
[ run/r1/augmented.tsv -nt run/fetched.tsv ]
ok $? "tables keep their order of age"
[ ! run/a.tsv -nt run/fetched.tsv ] && [ ! run/fetched.tsv -nt run/a.tsv ] && cmp -s run/a.tsv run/fetched.tsv
ok $? "and two names of one table stay of one age"
"$BIN/purge" --store run/store run >again.tsv
is "$(wc -l <again.tsv)" 1 "a second time there is nothing to do"
make_run
md5sum <run/store/objects/bb/${B:2}.jpg >down
cp run/store/objects/bb/${B:2}.jpg copy
"$BIN/fetch" --store run/store --takedown down 2>/dev/null
"$BIN/purge" --store run/store run >/dev/null
is "$(grep -c "$B" run/fetched.tsv)" 0 "a takedown by MD5 is found by its content's own hash"
make_run
echo http://H.test:80/c.jpg >down
"$BIN/fetch" --store run/store --takedown down 2>/dev/null
"$BIN/purge" --store run/store run >/dev/null
is "$(grep -c "c.jpg" run/fetched.tsv)" 0 "one by address takes the rows with that address"
make_run
echo https://h.test:443/x/../%63.jpg#top >down
"$BIN/fetch" --store run/store --takedown down 2>/dev/null
"$BIN/purge" --store run/store run >/dev/null
is "$(grep -c "c.jpg" run/fetched.tsv)" 0 "however it is written"
make_run
echo "some bytes" >run/r1/copied.jpg
cp run/r1/copied.jpg run/r1/twin.jpg; printf 'path\ncopied.jpg\ntwin.jpg\n' >m.tsv
h=$(column <("$BIN/hash-dedup" --root run/r1 m.tsv 2>/dev/null) xxh128 | head -1)
if [ -n "$h" ]; then
    echo "$h" >down
    "$BIN/fetch" --store run/store --takedown down 2>/dev/null
    "$BIN/purge" --store run/store --deep run >/dev/null
    [ ! -e run/r1/copied.jpg ]
    ok $? "--deep finds a copy under another name"
else
    skip "deep" "no hash-dedup here"
fi
# What killed programs left: half a shard set, half a page, in whichever nobody can tell whose pictures are. What a live one makes stays.
make_run
true & gone=$!
wait $gone
mkdir -p run/r1/shards.new-$gone run/r1/.model.new-$gone/inner run/r1/live.new-$$
for f in run/r1/shards.new-$gone/shard-00000.bin run/r1/.model.new-$gone/inner/x run/r1/.report.html.0123abcd.tmp run/r1/live.new-$$/shard-00000.bin run/r1/notes.tmp run/r1/x.new-12a; do
    echo "pixels of $A" >$f
done
echo $A >down; "$BIN/fetch" --store run/store --takedown down 2>/dev/null
"$BIN/purge" --store run/store run >report.tsv
is "$(grep -c '^leftover-removed' report.tsv) $(ls -dA run/r1/*.new-* run/r1/.*.new-* run/r1/.*.tmp run/r1/*.tmp 2>/dev/null | sed "s/$$/PID/" | tr '\n' ' ')" \
    "3 run/r1/live.new-PID run/r1/notes.tmp run/r1/x.new-12a " "what killed programs left goes, and nothing else"
# Tars: the one that has the picture.
make_run
mkdir tree && (cd tree && echo jpeg >00000000.jpg && echo jpeg >00000001.jpg &&
    printf '{"path": "store/objects/aa/%s.jpg", "xxh128": ""}\n' ${A:2} >00000000.json && printf '{"path": "p", "xxh128": "%s"}\n' $B >00000001.json)
mkdir run/r1/tars; tar -C tree --format=ustar -cf run/r1/tars/train-00000.tar 00000001.jpg 00000001.json 00000000.jpg 00000000.json
tar -C tree --format=ustar -cf run/r1/tars/train-00001.tar 00000001.jpg 00000001.json
echo $A >down; "$BIN/fetch" --store run/store --takedown down 2>/dev/null
"$BIN/purge" --store run/store run/r1/tars >report.tsv
is "$(grep -c '^tar-removed' report.tsv) $(ls run/r1/tars)" "1 train-00001.tar" "the tar that has the picture goes, another stays"
make_run
echo $A >down; "$BIN/fetch" --store run/store --takedown down 2>/dev/null
printf 'path\txxh128\ntorn' >run/r1/torn.tsv
"$BIN/purge" --store run/store run >/dev/null 2>err
is "$? $(grep -c torn.tsv err)" "65 1" "a table that cannot be read is named, and the exit says so"
is "$(wc -l <run/fetched.tsv)" 3 "the others are done all the same"
"$BIN/purge" run >/dev/null 2>&1
is "$?" 64 "no store: a mistake"
(exec 9>run/store/lock; flock 9; "$BIN/purge" --store run/store run >/dev/null 2>&1)
is "$?" 75 "not while fetch runs"
done_testing
