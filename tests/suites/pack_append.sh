#!/usr/bin/env bash
# pack --append and --reuse, each call of each kind failing once: the set is the old one or the new one, whole, and the same command puts it right.
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

# --reuse: a file of which a third is dead, so that its living records move, and one that is linked.
cp a.png d.png && printf x >>d.png
pack() { "$BIN/pack" --no-sandbox -j1 --size 64 --rejects rejects.tsv "$@"; }
rm -rf old new work
printf 'path\tlabel\na.png\tcat\nb.png\tdog\nc.png\tcat\n' >old.tsv
printf 'path\tlabel\na.png\tcat\nb.png\tdog\nc.png\tcat\nd.png\tcat\n' >both.tsv
printf 'path\tlabel\nd.png\tfox\na.png\tcat\nc.png\tcat\n' >new.tsv
pack -o old old.tsv && pack --append -o old both.tsv && pack -v --reuse old -o new new.tsv 2>err && grep -q '1 shard files taken over, 0 copied (no links there), 2 records moved' err && pack --check new
ok $? "one file is linked, the records of the other move"
pack -o whole new.tsv && cmp -s <(grep '^data_hash' whole/index.tsv) <(grep '^data_hash' new/index.tsv)
ok $? "the same data as one go"
cp -r old work && WINNOW_FAULT_COUNT=$PWD/counts-reuse pack --reuse work -o work new.tsv && cmp -s work/index.tsv new/index.tsv
ok $? "in its own place, too"
for kind in alloc open read write fsync rename; do
    wrong='' calls=$(awk -v k=$kind '$1 == k { print $2 }' counts-reuse)
    for at in $(seq "$calls"); do
        rm -rf work
        cp -r old work
        WINNOW_FAULT=$kind:$at pack --reuse work -o work new.tsv 2>err
        status=$?
        want=whole
        # the rejects are written after the set is in its place
        [ $status = 0 ] || cmp -s work/index.tsv new/index.tsv || want=old
        [ $status = 0 ] && grep -q decode-memory rejects.tsv && continue
        case $status:$(grep -vc 'every picture is decoded\|the disk has no room' err) in 0:0 | 7[134]:1 | 6[56]:1) ;; *) wrong="$wrong $at: status $status;" ;; esac
        cmp -s <(grep '^data_hash\|^class' $want/index.tsv) <(grep '^data_hash\|^class' work/index.tsv) && pack --check work 2>>err || wrong="$wrong $at: not the $want set: $(tail -1 err);"
    done
    [ "${calls:-0}" -gt 0 ] && [ -z "$wrong" ]
    ok $? "--reuse: $kind: $calls calls failed, one at a time$(echo "${wrong:+:$wrong}" | head -c 300)"
done
[ -z "$(find . -name '*.tmp' -o -name '*.new-*' -o -name '*.old-*')" ]
ok $? "nothing is left beside the set"
done_testing
