#!/usr/bin/env bash
# pack --append, each call of each kind failing once: the set is the old one or the new one, whole, and the same command puts it right.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
cp "$TOP"/tests/formats/pictures/[abc].png .
printf 'path\tlabel\na.png\tcat\nb.png\tdog\n' >old.tsv
printf 'path\tlabel\na.png\tcat\nb.png\tdog\nc.png\tfox\n' >new.tsv
pack() { "$BIN/pack" --no-sandbox -j1 --size 128 --shard-size 64k --rejects rejects.tsv "$@"; }
pack -o old old.tsv && cp -r old new && pack --append -o new new.tsv
[ "$(ls old/*.bin | wc -l):$(ls new/*.bin | wc -l)" = 2:3 ]
ok $? "a shard for each picture"
cp -r old work && WINNOW_FAULT_COUNT=$PWD/counts pack --append -o work new.tsv && diff -r work new >/dev/null
ok $? "the same set again"
for kind in alloc open read write fsync rename; do
    wrong='' calls=$(awk -v k=$kind '$1 == k { print $2 }' counts)
    for at in $(seq "$calls"); do
        rm -rf work
        cp -r old work
        WINNOW_FAULT=$kind:$at pack --append -o work new.tsv 2>err
        status=$?
        index=new
        cmp -s work/index.tsv old/index.tsv && index=old
        # 0 with the old set: the memory of one picture, which costs that picture
        [ $status = 0 ] && { [ $index = new ] || grep -q decode-memory rejects.tsv; } || case $status:$(wc -l <err) in 7[134]:1 | 6[56]:1) ;; *) wrong="$wrong $at: status $status;" ;; esac
        for f in "$index"/*; do cmp -s "$f" "work/${f#*/}" || wrong="$wrong $at: ${f#*/} of the $index set;"; done
        pack --append -o work new.tsv 2>>err && diff -r work new >>err || wrong="$wrong $at: again: $(tail -1 err);"
    done
    [ "${calls:-0}" -gt 0 ] && [ -z "$wrong" ]
    ok $? "$kind: $calls calls failed, one at a time$(echo "${wrong:+:$wrong}" | head -c 300)"
done
[ -z "$(find . -name '*.tmp' -o -name '*.new-*' -o -name '*.old-*')" ]
ok $? "nothing is left beside the set"
done_testing
