#!/usr/bin/env bash
# hash-dedup with --delete, --quarantine, --hardlink and a manifest that brings hashes that are not, or no more, those of the files: no file goes
# that is not proven equal to the one that stays, each refusal says why (and the exit status 1 that there was one), and the rest of the work is done.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
yes abcdefg | head -c 300000 >bytes
fresh() { # a, b: the same bytes and their hash; the others claim that hash
    rm -rf p jail err out.tsv log.tsv
    mkdir p
    cp bytes p/a
    cp bytes p/b
    "$BIN/hash-dedup" --root p --hash-all -o hashed.tsv <(printf 'path\na\n')
    hash=$(cut -f3 hashed.tsv | tail -1)
    claims a b
}
claims() { # NAME...: a manifest in which all of them have a's hash and length
    printf 'path\tbytes\txxh128\n' >m.tsv
    for name; do printf '%s\t300000\t%s\n' "$name" "$hash"; done >>m.tsv
}
refused() { # WHY [ACTION...]: 'bad' is left alone for that reason, b goes; what the table and the log say
    local why=$1
    shift
    [ $# -gt 0 ] || set -- --delete
    "$BIN/hash-dedup" --root p "$@" --log log.tsv -o out.tsv m.tsv 2>err
    local status=$?
    grep -qF "hash-dedup: 'bad' is left alone: $why" err && [ $status = 1 ] && [ "$(cut -f1 out.tsv | tr '\n' ' ')" = "path a " ] && [ -e p/a ] &&
        awk -F'\t' -v why="$why" '$2 == "bad" { seen = $5 == why } $2 == "b" { other = $5 == "done" } END { exit !(seen && other) }' log.tsv
    ok $? "left alone: $why ($*)$(grep -F "'bad'" err | grep -vF "$why")"
}
fresh
claims a b bad
{ head -c 299999 bytes; printf '!'; } >p/bad
refused "its bytes differ from the copy that stays"
[ -e p/bad ] && [ ! -e p/b ] && [ "$(tail -c 1 p/bad)" = '!' ]
ok $? "and is still there, as it was"
fresh
claims a b bad
head -c 1000 bytes >p/bad
refused "its size changed"
fresh
claims a b bad
sed -i '2,$s/\t300000\t/\t\t/' m.tsv
head -c 1000 bytes >p/bad
refused "its size differs from the copy that stays"
fresh
claims a b bad
ln -s b p/bad
ln -s ../bytes p/bad2
mv p/bad2 p/bad
refused "a symbolic link"
[ -L p/bad ] && [ -e bytes ]
ok $? "neither the link nor what it points to is gone"
fresh
claims a b bad
mkfifo p/bad
refused "not a regular file"
fresh
claims a b bad
refused "No such file or directory"
fresh
claims a b bad
ln p/a p/bad
refused "the same file under another name"
[ "$(stat -c %h p/a)" = 2 ]
ok $? "a hard link to the copy that stays costs nothing, and stays"
# a hash that is of neither: equal to each other, but not what the manifest says they are
fresh
sed -i "2,\$s/$hash/$(echo "$hash" | tr '0-9a-f' '1-9a-f0')/" m.tsv
"$BIN/hash-dedup" --root p --delete -o out.tsv m.tsv 2>err
[ $? = 1 ] && [ -e p/a ] && [ -e p/b ] && grep -q "'b' is left alone: its bytes are not those of its hash" err
ok $? "left alone: its bytes are not those of its hash"
# --verify without an action: a row that is not proven equal has a reason of its own
fresh
claims a b bad
{ head -c 299999 bytes; printf '!'; } >p/bad
"$BIN/hash-dedup" --root p --verify --rejects rejects.tsv -o out.tsv m.tsv 2>err
status=$?
grep -q "'bad' is not proven equal to 'a': its bytes differ" err && awk -F'\t' 'NR > 1 { r[$1] = $5 } END { exit !(r["b"] == "duplicate-of" && r["bad"] != "duplicate-of" && r["bad"] != "") }' rejects.tsv
ok $? "--verify: $(awk -F'\t' '$1 == "bad" { print $5 }' rejects.tsv) (status $status)"
# --quarantine
fresh
claims a b bad
cp bytes p/bad
mkdir jail
echo mine >jail/bad
refused "the quarantine folder has a file of that name" --quarantine jail
[ "$(cat jail/bad)" = mine ] && cmp -s jail/b bytes && [ -e p/bad ] && [ ! -e p/b ]
ok $? "what lies there is not overwritten"
fresh
mkdir -p p/sub jail
mv p/b p/sub/b
claims a sub/b
echo >jail/sub
"$BIN/hash-dedup" --root p --quarantine jail -o out.tsv m.tsv 2>err
grep -q "'sub/b' is left alone: its place in the quarantine folder cannot be made" err && [ -e p/sub/b ]
ok $? "left alone: its place in the quarantine folder cannot be made"
# --hardlink: what is refused stays a file of its own
fresh
claims a b bad
{ head -c 299999 bytes; printf '!'; } >p/bad
refused "its bytes differ from the copy that stays" --hardlink
[ "$(stat -c %h p/a):$(stat -c %h p/bad)" = 2:1 ] && [ p/a -ef p/b ]
ok $? "the proven one is a link now"
fresh
"$BIN/hash-dedup" --root p --reflink -o out.tsv m.tsv 2>err
status=$?
cmp -s p/b bytes && [ "$(stat -c %h p/b)" = 1 ] && [ -z "$(ls p | grep -v '^[ab]$')" ] &&
    case $status in 0) grep -q "reflink 'b': the same bytes as 'a'" err ;; *) [ $status = 1 ] && grep -q "'b' is left alone: this file system has no reflinks" err ;; esac
ok $? "--reflink: done, or this file system cannot: $(cut -c1-80 err)"
# --dry-run checks the same and touches nothing
fresh
claims a b bad
head -c 1000 bytes >p/bad
"$BIN/hash-dedup" --root p --delete --dry-run -o out.tsv m.tsv 2>err
[ -e p/b ] && grep -q "would delete 'b'" err && grep -q "'bad' is left alone: its size changed" err
ok $? "--dry-run says the same and touches nothing"
# a log that cannot be written ends the work
fresh
"$BIN/hash-dedup" --root p --delete --log nowhere/log.tsv -o out.tsv m.tsv 2>err
[ $? = 73 ] && [ -e p/b ]
ok $? "no log, no deletion: $(cut -c1-80 err)"
done_testing
