#!/usr/bin/env bash
# Pictures that are on disk already: scan's train/val/test folders, import's three ways, and PICTURES in the settings.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
python3 "$TOP/tests/tools/make_pictures.py" p 8 3
echo '<html>no picture</html>' >p/noise/page.jpg
: >p/noise/empty.png
cp p/noise/000.png "p/noise/A B.PNG"
echo text >p/noise/notes.txt

# --- scan
scan p >m.tsv 2>err
is "$(wc -l <m.tsv) $(head -n 1 m.tsv)" "28 path	label" "a folder of classes: path and label"
has "$(cat err)" "1 file was left out because of its extension (the first: .txt)" "files with other endings are counted: $(cat err)"
is "$(scan -q p 2>&1 >/dev/null)" "" "unless --quiet"
mkdir -p set/train set/Validation set/test
for kind in stripes discs; do for split in train Validation test; do mkdir -p set/$split/$kind; done; done
for i in 0 1 2 3 4 5; do for kind in stripes discs; do cp p/$kind/00$i.png set/train/$kind/; done; done
cp p/stripes/006.png set/Validation/stripes/; cp p/discs/006.png set/Validation/discs/; cp p/stripes/007.png set/test/stripes/; cp p/discs/007.png set/test/discs/
scan set >s.tsv
is "$(cut -f2,3 s.tsv | sort | uniq -c | sed 's/^ *//' | paste -sd'|')" "1 discs	test|6 discs	train|1 discs	val|1 label	given_split|1 stripes	test|6 stripes	train|1 stripes	val" \
    "train, Validation and test above the classes: label and given_split"
mkdir odd; cp -r p/stripes odd/test; cp -r p/discs odd/drawings
is "$(scan odd | cut -f2 | sort -u | paste -sd'|')" "drawings|label|test" "a class that is called test stays a class"
train-test-split --group-by path --val 0.3 --test 0.3 s.tsv >split.tsv
is "$(awk -F'\t' 'NR > 1 && $3 != $4' split.tsv | wc -l)" 0 "the split is the folders'"
sed '2s/test\|train\|val/dev/3' s.tsv | awk -F'\t' -v OFS='\t' 'NR == 2 { $3 = "dev" } { print }' >bad.tsv
must_fail 65 "given_split is 'dev', not train, val or test" "another word there is refused with its row" train-test-split --group-by path bad.tsv

# --- import
for by in copy link leave; do
    mkdir $by
    import --root $by --by $by --rejects $by/rejects.tsv -o $by/i.tsv m.tsv
    is "$?:$(wc -l <$by/i.tsv):$(cut -f4 $by/rejects.tsv | sort | paste -sd'|')" "0:26:empty-file|not-a-picture|reject_reason" "--by $by: 25 rows, two rejects"
    is "$(cut -f1-4 $by/i.tsv)" "$(cut -f1-4 copy/i.tsv)" "the rows are the same as by copy"
    (cd $by && tail -n +2 i.tsv | while IFS=$'\t' read -r path _ bytes _ source; do cmp -s "$path" "../$source" && [ "$(stat -Lc %s "$path")" = "$bytes" ] || echo "$path"; done) >wrong
    is "$(cat wrong)" "" "every object is the picture it came from"
    validate -q --root $by --min-bytes 100 $by/i.tsv | hash-dedup -q --root $by --rejects $by/dups.tsv | phash-dedup -q --root $by -o $by/distinct.tsv
    is "$(wc -l <$by/dups.tsv)" 2 "the stages after it read it, and find the copy"
    find $by/store -type f -o -type l | sort >before
    import --root $by --by $by -o $by/again.tsv m.tsv
    find $by/store -type f -o -type l | sort | cmp -s - before && cmp -s $by/i.tsv $by/again.tsv
    ok $? "a second time nothing is made, and the manifest is the same"
done
o=$(sed -n 2p link/i.tsv | cut -f1)
is "$(stat -c %h "link/$o") $(stat -c %h "copy/$o") $(test -L "leave/$o" && echo link)" "2 1 link" "hard links, files, symbolic links"
hash=$(sed -n 2p copy/i.tsv | cut -f4)
echo "$hash" >gone.txt
fetch -q --store copy/store --root copy --takedown gone.txt >/dev/null 2>&1
import --root copy --rejects rej.tsv -o copy/third.tsv m.tsv
is "$(grep -c taken-down rej.tsv) $(grep -c "$hash" copy/third.tsv)" "1 0" "what was taken down from the store stays out"
echo "xxh128:$hash" >block.txt
mkdir blocked; import --root blocked --blocklist block.txt --rejects rej.tsv -o blocked/i.tsv m.tsv
is "$(grep -c "blocked" rej.tsv)" 1 "--blocklist"
printf 'path\tlabel\n../p/noise/000.png\tx\np/gone.png\tx\np\tx\n' | import --root blocked --from "$PWD" --rejects rej.tsv >/dev/null
is "$(tail -n +2 rej.tsv | cut -f4 | paste -sd'|')" "outside-root|not-found|unreadable" "paths outside, missing files, folders"
must_fail 66 "no-such" "a manifest that is not there" import --root blocked no-such.tsv
must_fail 64 "outside --root" "a store outside the root" import --root blocked --store elsewhere m.tsv
(flock 9; import --root link m.tsv >/dev/null 2>err; echo $? >status) 9>link/store/lock
is "$(cat status)" 75 "a store that another program holds"

# --- the pipeline
settings() { # FILE LINES
    printf 'include $(PIPELINES)/default.conf\nNAME = disk\nRUN = %s/run\nVALIDATE_FLAGS = --min-bytes 100\nAUGMENT_VARIANTS = 0\nSIDE = 16\nSPLIT_FLAGS = --val 0.2 --test 0.2\n%s\n' "$PWD" "$2" >"$1"
}
flow() { (cd "$TOP" && env -u MAKEFLAGS -u MAKELEVEL make -s --no-print-directory BUILD="$BUILD" BIN="$BIN" SETTINGS="$here/a.conf" "$@") >log 2>&1; }
here=$PWD
mkdir 'my photos'; cp -r p/stripes p/discs 'my photos'
settings a.conf "PICTURES = $PWD/my photos
PICTURES_BY = link"
flow dataset
ok $? "PICTURES alone, a folder with a blank in its name: $(tail -n 1 log)"
is "$(rows run/round-1/split.tsv) $(grep -c $'^class\t' run/round-1/shards/index.tsv)" "16 2" "all of them are packed, in two classes"
before=$(stat -c %Y.%y run/fetched.tsv)
flow dataset
is "$(stat -c %Y.%y run/fetched.tsv)" "$before" "nothing changed: nothing is made anew"
cp p/noise/003.png 'my photos/discs/new.png'
flow dataset
is "$(rows run/round-1/split.tsv)" 17 "a picture more"
rm 'my photos/discs/new.png' 'my photos/stripes/000.png'
flow dataset
is "$(rows run/round-1/split.tsv)" 15 "two pictures less"
rm -rf run
settings a.conf "PICTURES = $PWD/set"
flow dataset
is "$?:$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; next } { print $at["given_split"] == $at["split"] }' run/round-1/split.tsv | sort -u)" "0:1" "train, val and test folders stay the splits"
settings a.conf "PICTURES = $PWD/nowhere"
flow dataset
has "$(cat log)" "PICTURES names no folder: '$PWD/nowhere'" "a folder that is not there: $(head -n 1 log)"
done_testing
