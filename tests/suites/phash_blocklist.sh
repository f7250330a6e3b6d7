#!/usr/bin/env bash
# phash-dedup --blocklist --delete-blocked: what is listed is off the disk, by looks as well as by bytes; a line in the audit log each;
# purge then finds what was made from it. And what it does not touch: links, files that changed, anything while the log cannot be written.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
/usr/bin/python3 - <<'P' || { echo "Bail out! python3-pil is needed"; exit 1; }
import os, random
from PIL import Image, ImageDraw
def photo(seed, size=(320, 240)):
    q = random.Random(seed)
    im = Image.new("RGB", size)
    for k, weight in ((3, 1.0), (7, 0.5), (17, 0.35), (41, 0.25)):
        im = Image.blend(im, Image.frombytes("RGB", (k, k), q.randbytes(k * k * 3)).resize(size, Image.BICUBIC), weight)
    d = ImageDraw.Draw(im)
    for _ in range(6):
        x, y = q.randrange(size[0]), q.randrange(size[1])
        d.ellipse((x, y, x + q.randrange(20, 160), y + q.randrange(20, 160)), fill=tuple(q.randrange(256) for _ in range(3)))
    return im
os.makedirs("in/cat"); os.mkdir("like")
for i, name in enumerate("abcdef"):
    photo(i).save(f"in/cat/{name}.jpg", quality=92, comment=b"marker-" + name.encode() * 8)
photo(0).resize((160, 120), Image.LANCZOS).save("like/a.jpg", quality=60)      # what the list knows of a
data = open("in/cat/f.jpg", "rb").read()
open("in/cat/f.jpg", "wb").write(data[:len(data) // 2])                         # cannot be decoded, and is listed
P
scan --label x like | phash-dedup --hash-only >like.tsv
PDQ=$(column like.tsv pdq | head -1)
scan in | hash-dedup --hash-all >hashed.tsv
hash_of() { cell hashed.tsv "in/cat/$1.jpg" xxh128; }
fresh() { # a run as the pipeline leaves it: a store of objects, their rows with addresses
    rm -rf run && mkdir -p run/store
    printf 'url\tlabel\tpath\txxh128\n' >run/unique.tsv
    for p in a b c d e f; do
        h=$(hash_of $p)
        mkdir -p "run/store/objects/${h:0:2}" && cp in/cat/$p.jpg "run/store/objects/${h:0:2}/${h:2}.jpg"
        printf 'http://host.test/secret/%s.jpg\tcat\tstore/objects/%s/%s.jpg\t%s\n' $p "${h:0:2}" "${h:2}" "$h" >>run/unique.tsv
    done
}
object() { h=$(hash_of "$1"); echo "run/store/objects/${h:0:2}/${h:2}.jpg"; }
{
    echo "# a list as it comes"
    echo "pdq:$PDQ, seen elsewhere"
    md5sum <in/cat/b.jpg | cut -c1-32
    hash_of c
    echo "sha1:$(sha1sum <in/cat/f.jpg | cut -c1-40)"
} >list
block() { phash-dedup --root run --blocklist list --delete-blocked run/store --rejects rejects.tsv -o kept.tsv "$@" run/unique.tsv 2>err; }

fresh
phash-dedup --root run --blocklist list --rejects rejects.tsv -o kept.tsv run/unique.tsv 2>err
is "$? $(grep -c blocklisted rejects.tsv) $(find run/store/objects -type f | wc -l) $(grep -c 'still there' err)" "0 4 6 1" "without --delete-blocked rows leave, files stay, and it is said"
phash-dedup --root run --blocklist list --block-distance 0 --rejects rejects.tsv -o kept.tsv run/unique.tsv 2>err
is "$(grep -c blocklisted rejects.tsv)" 3 "--block-distance 0: what is only near to a listed hash stays"
block --index pdq.tsv
is "$?" 0 "with it"
is "$(grep -rl 'marker-[abcf]' run | wc -l) $(grep -rl 'marker-[de]' run | wc -l)" "0 2" "the listed pictures are nowhere below the run, the others are"
is "$(grep -c blocklisted rejects.tsv) $(tail -n +2 kept.tsv | wc -l)" "4 2" "their rows have left"
is "$(awk -F'\t' 'NR > 1 { print $2, $3, $4 }' run/store/audit.tsv | sort | tr '\n' ';')" \
    "removed blocklist md5;removed blocklist pdq;removed blocklist sha1;removed blocklist xxh128;" "the audit log has a line for each"
is "$(cut -f7 run/store/audit.tsv | tail -n +2 | sort -u) $(grep -rc secret run/store/audit.tsv)" "host.test 0" "with the host, not the address"
line=$(awk -F'\t' '$4 == "xxh128"' run/store/audit.tsv)
is "$( (cat run/store/audit.salt; printf %s http://host.test/secret/c.jpg) | sha256sum | cut -d' ' -f1)" "$(echo "$line" | cut -f6)" "and a salted digest that proves it"
is "$(awk -F'\t' '$2 == "xxh128" { print $3 }' run/store/takedown.tsv | sort | tr '\n' ' ')" "$(for p in a b c f; do hash_of $p; done | sort | tr '\n' ' ')" "takedown.tsv names their contents"
is "$(stat -c %a run/store/audit.tsv run/store/takedown.tsv run/store/audit.salt | sort -u)" 600 "for the owner's eyes"
is "$(grep -c -f <(for p in a b c f; do hash_of $p; done) pdq.tsv) $(tail -n +2 pdq.tsv | wc -l)" "0 2" "the index of hashes forgets them"
before=$(cat run/store/audit.tsv run/store/takedown.tsv | md5sum)
block
is "$? $(cat run/store/audit.tsv run/store/takedown.tsv | md5sum)" "0 $before" "a second run finds nothing more to do"

# --- what was made from them ------------------------------------------------------------------------------------------------
fresh
augment --root run --variants 1 --out augmented --size 64 -o run/augmented.tsv run/unique.tsv 2>/dev/null
pack --root run --size 32 -o run/shards run/augmented.tsv 2>/dev/null
is "$(ls run/augmented/*/* | grep -c "$(hash_of a)")" 1 "a made picture carries its source's hash in its name"
block
purge --store run/store run >did.tsv
is "$? $(ls run/augmented/*/* | grep -c "$(hash_of a)") $(pack --check run/shards && column run/shards/shard-rows.tsv path | wc -l) $(grep -rl "$(hash_of a)" run | tr '\n' ' ')" \
    "0 0 4 run/store/takedown.tsv " "purge removes what was made from them: pictures, rows, records of shard sets"

# --- what it leaves alone ---------------------------------------------------------------------------------------------------
fresh
o=$(object c) && cp "$(object d)" "$o"
block
is "$? $([ -f "$o" ] && echo there)" "1 there" "a file whose bytes are not those of its hash is left alone, exit 1"
grep -q 'not those that' err
ok $? "and said"
fresh
o=$(object c) && mv "$o" elsewhere.jpg && ln -s "$PWD/elsewhere.jpg" "$o"
block
is "$? $([ -L "$o" ] && [ -f elsewhere.jpg ] && echo there) $(grep -c 'symbolic link' err)" "1 there 1" "a link is left alone, exit 1"
fresh
ln "$(object c)" other-name.jpg
block
is "$? $(grep -c 'hard links' err) $([ -e "$(object c)" ] || echo gone)" "1 1 gone" "a file with another name goes, the other name is said, exit 1"
fresh
printf 'path\n%s\n' "${o#run/}" >protected.tsv
block --protect protected.tsv
is "$? $([ -e "$o" ] || echo gone)" "0 gone" "--protect protects from duplicates, not from the list"
fresh
mkdir run/store/audit.tsv
block
is "$? $(find run/store/objects -type f | wc -l)" "73 6" "no file goes while the log cannot be written"
fresh
(flock 9; block; echo $? >status) 9>run/store/lock
is "$(cat status) $(find run/store/objects -type f | wc -l)" "75 6" "a store in use: exit 75"
fresh
block -o /nonexistent-folder/kept.tsv
is "$? $(find run/store/objects -type f | wc -l)" "73 6" "no manifest, no removal"
printf 'url\tlabel\tpath\n' >run/unique.tsv && block
is "$?" 0 "an empty manifest"

# Whatever fails, and wherever: what is gone has its lines, and a run without failure afterwards finishes the work.
unlogged=0 unfinished=0 n_runs=0
for kind in write open fsync rename; do
    for at in $(seq 30); do
        fresh
        WINNOW_FAULT=$kind:$at block -j1
        status=$?
        n_runs=$((n_runs + 1))
        for p in a b c f; do
            [ -e "$(object $p)" ] || { [ "$(grep -c "$(hash_of $p)" run/store/takedown.tsv)" -ge 1 ] && [ "$(grep -c removed run/store/audit.tsv)" -ge 1 ]; } || unlogged=$((unlogged + 1))
        done
        gone=$((6 - $(find run/store/objects -type f | wc -l)))
        [ $gone = 0 ] || [ "$(grep -c removed run/store/audit.tsv)" -ge $gone ] || unlogged=$((unlogged + 1))
        [ $status = 0 ] && [ $gone = 4 ] && break
        block && [ "$(find run/store/objects -type f | wc -l)" = 2 ] || { unfinished=$((unfinished + 1)); echo "# $kind:$at $(cat err)"; }
    done
done
is "$unlogged $unfinished" "0 0" "$n_runs runs, each with one failing call: nothing goes without its lines, and the next run finishes"

# --- a folder of one's own, rows that bring hashes --------------------------------------------------------------------------
phash-dedup -o own.tsv <(printf 'path\nin/cat/a.jpg\nin/cat/d.jpg\n')
awk -F'\t' -v OFS='\t' 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; a = at["pdq"]; b = at["pdq_quality"]; print "path", "pdq", "pdq_quality"; next } { print $1, $a, $b }' own.tsv >bare.tsv
cp -r in in2 && cp in/cat/d.jpg in2/cat/a.jpg
phash-dedup --root in2/.. --blocklist list --delete-blocked folder bare.tsv >/dev/null 2>err
sed 's,^in/,in2/,' bare.tsv >stale.tsv
phash-dedup --blocklist list --delete-blocked folder2 stale.tsv >/dev/null 2>err2
is "$([ -e in/cat/a.jpg ] || echo gone) $([ -e in2/cat/a.jpg ] && echo there) $(grep -c removed folder/audit.tsv)" "gone there 1" "a pdq without a content hash is not believed: the picture is decoded again"
cp in2/cat/b.jpg in/cat/a.jpg
phash-dedup -o old.tsv <(printf 'path\nin2/cat/b.jpg\nin2/cat/c.jpg\n')
printf 'path\nin2/cat/e.jpg\n' | phash-dedup --against old.tsv --blocklist list >/dev/null 2>err
grep -q "1 pictures of 'old.tsv' match" err
ok $? "pictures of the older manifest that are listed are said"
for mode in --hash-only --check-leak; do
    printf 'path\tsplit\nin2/cat/e.jpg\ttrain\n' | phash-dedup $mode --blocklist list >/dev/null 2>err
    is "$?" 64 "$mode with --blocklist: a list is never passed over in silence"
done
phash-dedup --delete-blocked folder own.tsv >/dev/null 2>&1
is "$?" 64 "--delete-blocked without a list: usage"
# The tools that make lists do not turn a picture by EXIF and do not blend what is transparent: a file counts as they see it, too.
/usr/bin/python3 - <<'P'
import os, random
from PIL import Image
os.makedirs("odd/x"); os.mkdir("seen")
picture = Image.open("in/cat/d.jpg").convert("RGB")
exif = Image.Exif(); exif[274] = 6
picture.save("odd/x/turned.jpg", quality=92, exif=exif)
picture.save("seen/turned.jpg", quality=92)
other = Image.open("in/cat/e.jpg").convert("RGB")
mask = Image.new("L", other.size, 0)
mask.paste(255, (0, 0, 160, 240))
clear = other.copy(); clear.putalpha(mask)
clear.save("odd/x/clear.png"); clear.save("odd/x/clear.webp", lossless=True, exact=True)
other.save("seen/clear.png")
Image.open("in/cat/a.jpg").save("odd/x/plain.jpg", quality=90)
P
scan --label x seen | phash-dedup --hash-only | column /dev/stdin pdq | tail -n +1 | sed 's/^/pdq:/' >list
for columns in "without validate's columns" "with them"; do
    if [ "$columns" = "with them" ]; then scan odd | validate --with pdq >odd.tsv; else scan odd >odd.tsv; fi
    phash-dedup --blocklist list --rejects rejects.tsv -o kept.tsv odd.tsv 2>err
    is "$? $(column rejects.tsv path | sort | tr '\n' ' ')$(column kept.tsv path)" "0 odd/x/clear.png odd/x/clear.webp odd/x/turned.jpg odd/x/plain.jpg" \
        "turned and transparent pictures match as the list's makers read them, $columns"
done
done_testing
