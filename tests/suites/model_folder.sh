#!/usr/bin/env bash
# Where a model is written: a new folder takes the old one's place in one step, what else lies in the old one stays, what a killed writer left goes.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export_to() { "$BIN/export" --model "$TOP/tests/fixtures/tiny-net/tfjs-float32" --to tfjs -o "$1" 2>err; }
dead=$(bash -c 'echo $$')           # a process that is no more
mkdir -p here/.out.new-"$dead"/deep here/.out.new-$$ here/.out.new-x here/.other.new-"$dead"
touch here/.out.new-"$dead"/{a,deep/b} here/.out.new-$$/keep
export_to here/out
[ $? = 0 ] && [ -s here/out/model.json ] && [ ! -e here/.out.new-"$dead" ] && [ -e here/.out.new-$$/keep ] && [ -d here/.out.new-x ] && [ -d here/.other.new-"$dead" ]
ok $? "what a dead writer of this folder left goes, that of a living one and of others stays $(head -c 100 err)"
rm -rf here
export_to deep/er/out/ && [ -s deep/er/out/model.json ] && [ "$(ls -A deep/er)" = out ]
ok $? "folders above are made, a slash at the end is none"
mkdir -p deep/er/out/sub
echo mine >deep/er/out/sub/letter
echo mine >deep/er/out/notes.txt
echo old >deep/er/out/group9-shard1of1.bin
before=$(stat -c %i deep/er/out)
export_to deep/er/out && [ "$(cat deep/er/out/sub/letter deep/er/out/notes.txt)" = "$(printf 'mine\nmine')" ] && [ ! -e deep/er/out/group9-shard1of1.bin ] && [ "$(stat -c %i deep/er/out)" != "$before" ]
ok $? "another folder is there now: with what was not of a model, without the old model's parts"
ln -s deep/er/out link
export_to link && [ -L link ] && [ -s link/model.json ] && [ "$(cat link/notes.txt)" = mine ]
ok $? "through a link the folder it points to is replaced, not the link"
ln -s nowhere/at/all dangling
export_to dangling
status=$?
[ -L dangling ] && { [ $status = 73 ] || [ -s dangling/model.json ]; }
ok $? "a link to nothing is still a link: status $status $(head -c 100 err)"
echo >file
export_to file
[ $? = 73 ] && grep -q "'file'" err && [ -f file ]
ok $? "a file is not a folder: $(head -c 100 err)"
export_to file/below
[ $? = 73 ] && [ -f file ]
ok $? "nor has it one below: $(head -c 100 err)"
long=$(printf 'n%.0s' $(seq 220))
export_to "$long"
[ $? = 73 ] && [ ! -e "$long" ] && grep -q "an unusable name" err
ok $? "a name that leaves no room for the one beside it"
[ -z "$(find . -name '*.new-*' -o -name '*.old*')" ]
ok $? "nothing is left beside them"
done_testing
