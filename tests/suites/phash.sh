#!/usr/bin/env bash
# phash-dedup on pictures made here: what leaves, what is grouped, conflicts, orientation, the index, lists, leaks, the sheet;
# and the properties that hold for any input.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
export PATH=$BIN:$PATH
/usr/bin/python3 - <<'P' || { echo "Bail out! python3-pil is needed"; exit 1; }
import os, random
from PIL import Image, ImageDraw, ImageOps
r = random.Random(23)
def photo(seed, size=(480, 320)):
    """Clouds of several scales with hard shapes: about as rich in frequencies as a photograph."""
    q = random.Random(seed)
    im = Image.new("RGB", size)
    for k, weight in ((3, 1.0), (7, 0.5), (17, 0.35), (41, 0.25)):
        layer = Image.frombytes("RGB", (k, k), q.randbytes(k * k * 3)).resize(size, Image.BICUBIC)
        im = Image.blend(im, layer, weight)
    d = ImageDraw.Draw(im)
    for _ in range(6):
        x, y = q.randrange(size[0]), q.randrange(size[1])
        d.ellipse((x, y, x + q.randrange(20, 160), y + q.randrange(20, 160)), fill=tuple(q.randrange(256) for _ in range(3)))
    return im
for d in ("cat", "dog"):
    os.mkdir(d)
for i in range(24):
    photo(i).save("cat/base%02d.jpg" % i, quality=92)
for i in range(24, 30):
    photo(i).save("dog/base%02d.jpg" % i, quality=92)
for i in range(6):
    photo(i).resize((240, 160), Image.LANCZOS).save("cat/half%02d.jpg" % i, quality=85)
for i in range(6, 9):
    photo(i).save("cat/poor%02d.jpg" % i, quality=20)
for i in range(9, 12):
    photo(i).save("dog/other%02d.jpg" % i, quality=60)
for i in range(12, 15):
    ImageOps.mirror(photo(i)).save("cat/mirror%02d.png" % i)
for i in range(15, 18):                                 # the same picture, stored turned, with the EXIF note that says so
    e = Image.Exif(); e[0x112] = 6
    photo(i).transpose(Image.ROTATE_90).save("cat/exif%02d.jpg" % i, quality=92, exif=e.tobytes())
for i in range(18, 22):                                 # 2.5 % off every edge: beyond 31 bits, within the group distance
    im = photo(i); w, h = im.size
    im.crop((int(w * .025), int(h * .025), int(w * .975), int(h * .975))).save("cat/crop%02d.jpg" % i, quality=90)
for c in ("white", "blue", "black"):
    Image.new("RGB", (200, 200), c).save("cat/flat-%s.png" % c)
data = open("cat/base00.jpg", "rb").read()
open("cat/cut.jpg", "wb").write(data[:len(data) // 2])
open("dog/page.jpg", "w").write("<!doctype html><html></html>")
open("dog/empty.jpg", "w").close()
os.rename("cat/base23.jpg", 'cat/b"<&>%# 23.jpg')
P
scan cat dog >all.tsv
phash-dedup -o kept.tsv --rejects gone.tsv all.tsv
ok $? "runs over good and bad pictures"
[ $(($(rows kept.tsv) + $(rows gone.tsv))) = "$(rows all.tsv)" ]
ok $? "kept and rejected make what was read"
for i in 0 1 2 3 4 5; do
    awk -F'\t' -v p="cat/half0$i.jpg" -v k="cat/base0$i.jpg" '$1 == p && $4 == "near-duplicate-of" { split($5, d, " "); f = d[2] == k && d[1] <= 31 } END { exit !f }' gone.tsv
    ok $? "half0$i leaves for the larger picture"
done
[ "$(grep -c '^cat/poor.*near-duplicate-of' gone.tsv)" = 3 ]
ok $? "poorer copies of the same size leave"
[ "$(grep -c label-conflict gone.tsv)" = 6 ] && grep -q '^cat/base09.jpg.*label-conflict.*dog: dog/other09.jpg' gone.tsv && grep -q '^dog/other09.jpg.*label-conflict.*cat: cat/base09.jpg' gone.tsv
ok $? "near copies under two labels all leave, each naming the other"
[ "$(grep -cE '^cat/(exif|base)1[567].*near-duplicate-of' gone.tsv)" = 3 ]
ok $? "EXIF orientation is applied"
[ "$(grep -c '^cat/flat' kept.tsv)" = 3 ] && [ "$(awk -F'\t' '/^cat.flat/ { print $8 }' kept.tsv | sort -u | wc -l)" = 3 ]
ok $? "flat pictures are not compared, each is its own group"
[ "$(grep -c '^cat/mirror' kept.tsv)" = 3 ]
ok $? "mirrored copies stay without --dihedral"
same=0
phash-dedup --group-distance 63 -o wide.tsv all.tsv
for i in 18 19 20 21; do
    [ -n "$(cell wide.tsv "cat/crop$i.jpg" group)" ] && [ "$(cell wide.tsv "cat/crop$i.jpg" group)" = "$(cell wide.tsv "cat/base$i.jpg" group)" ] && same=$((same + 1))
done
[ $same = 4 ] && cut -f1 wide.tsv | cmp -s - <(cut -f1 kept.tsv)
ok $? "crops beyond the distance share the group of their picture ($same of 4)"
grep -q '^cat/cut.jpg.*decode-truncated' gone.tsv
ok $? "what is cut off has its reason"
phash-dedup --hash-only --allow-truncated --rejects gone2.tsv -o cut.tsv <(printf 'path\ncat/cut.jpg\n') && [ -n "$(cell cut.tsv cat/cut.jpg pdq)" ]
ok $? "or, with --allow-truncated, the hash of what there is"
grep -q '^dog/page.jpg.*not-a-picture' gone.tsv && grep -q '^dog/empty.jpg.*empty-file' gone.tsv
ok $? "what is not a picture has its reason"

# --- properties ------------------------------------------------------------------------------------------------------------
phash-dedup -o again.tsv --rejects none.tsv kept.tsv && cmp -s kept.tsv again.tsv && [ "$(rows none.tsv)" = 0 ]
ok $? "dedup twice is dedup once"
cut -f1-4 kept.tsv | phash-dedup | cut -f1-8 | cmp -s - kept.tsv
ok $? "the same without the hashes that it wrote"
phash-dedup -j1 -o j1.tsv --rejects r1.tsv all.tsv && phash-dedup -j8 -o j8.tsv --rejects r8.tsv all.tsv && cmp -s j1.tsv j8.tsv && cmp -s r1.tsv r8.tsv && cmp -s j1.tsv kept.tsv
ok $? "-j1 equals -j8"
(head -n 1 all.tsv; tail -n +2 all.tsv | shuf --random-source=<(yes)) >shuffled.tsv
phash-dedup --rejects sr.tsv shuffled.tsv | sort | cmp -s - <(sort kept.tsv) && sort sr.tsv | cmp -s - <(sort gone.tsv)
ok $? "the order of the rows does not matter"
for d in 0 16 31 47; do
    phash-dedup --distance $d --group-distance $d --on-conflict keep-first --rejects dr.tsv all.tsv >dk.tsv
    python3 - $d <<'P'
import sys
d = int(sys.argv[1])
head, *lines = [l.rstrip("\n").split("\t") for l in open("dk.tsv")]
pdq, quality = head.index("pdq"), head.index("pdq_quality")
h = [int(l[pdq], 16) for l in lines if int(l[quality]) >= 50]
near = [(i, j) for i in range(len(h)) for j in range(i) if bin(h[i] ^ h[j]).count("1") <= d]
sys.exit(len(near) > 0)
P
    ok $? "what stays is pairwise further apart than $d"
done

# --- options ---------------------------------------------------------------------------------------------------------------
phash-dedup --dihedral --rejects r.tsv all.tsv >k.tsv
[ "$(grep -c '^cat/mirror.*near-duplicate-of' r.tsv)" = 3 ] || [ "$(grep -cE '^cat/(mirror|base)1[234].*near-duplicate-of' r.tsv)" = 3 ]
ok $? "--dihedral finds mirrored copies"
phash-dedup --orientation none --rejects r.tsv all.tsv >k.tsv
[ "$(grep -c '^cat/exif' k.tsv)" = 3 ]
ok $? "--orientation none leaves turned pictures apart"
phash-dedup --on-conflict keep-first --prefer-label dog --rejects r.tsv all.tsv >k.tsv
[ "$(grep -c '^dog/other' k.tsv)" = 3 ] && [ "$(grep -c '^cat/base.*label-conflict' r.tsv)" = 3 ]
ok $? "--prefer-label decides a conflict"
printf 'path\ncat/half00.jpg\ncat/base09.jpg\n' >protected.tsv
phash-dedup --protect protected.tsv --rejects r.tsv all.tsv >k.tsv
grep -q '^cat/half00.jpg' k.tsv && grep -q '^cat/base00.jpg.*near-duplicate-of.*cat/half00.jpg' r.tsv && grep -q '^cat/base09.jpg' k.tsv && grep -q '^dog/other09.jpg.*label-conflict' r.tsv
ok $? "--protect: others leave for them"
phash-dedup --mark --rejects r.tsv all.tsv >k.tsv
[ "$(rows r.tsv)" = 3 ] && [ "$(cell k.tsv cat/half01.jpg keeper)" = cat/base01.jpg ] && [ "$(cell k.tsv cat/base09.jpg near_reason)" = label-conflict ]
ok $? "--mark lets them stay and says why they would not"
(head -n 1 all.tsv; grep -E '^cat/(half|crop)' all.tsv) >new.tsv
(head -n 1 kept.tsv; grep -E '^cat/base' kept.tsv | awk -F'\t' -v OFS='\t' '{ $8 = "old-" NR; print }') >old.tsv
phash-dedup --group-distance 63 --against old.tsv --rejects r.tsv new.tsv >k.tsv
[ "$(grep -c '^cat/half.*near-duplicate-of.*cat/base' r.tsv)" = 6 ] && [ "$(tail -n +2 k.tsv | grep -c 'old-')" = "$(rows k.tsv)" ]
ok $? "--against: copies of old pictures leave, looser ones take the old group's name"
hash-dedup --hash-all --on-conflict keep-first all.tsv 2>/dev/null >named.tsv
phash-dedup --index index.tsv --rejects i1.tsv -o n1.tsv named.tsv && phash-dedup -v --index index.tsv --rejects i2.tsv -o n2.tsv named.tsv 2>err
cmp -s n1.tsv n2.tsv && cmp -s i1.tsv i2.tsv && grep -q '^phash-dedup: 0 pictures decoded' err
ok $? "--index: nothing is decoded twice"
mkdir moved && cp -r cat dog moved/ && sed '2,$s,^,moved/,' named.tsv >moved.tsv && phash-dedup -v --index index.tsv moved.tsv 2>err >/dev/null
grep -q '^phash-dedup: 0 pictures decoded' err
ok $? "--index goes by content, not by path"
cut -f1 index.tsv | head -n 2 >broken.tsv
must_fail 65 broken.tsv "a broken index is refused" phash-dedup --index broken.tsv all.tsv
(printf '# a list\nsha1:%s, a remark\n' "$(sha1sum <cat/base19.jpg | cut -c1-40)"; md5sum <cat/base18.jpg | cut -c1-32; cell kept.tsv cat/base20.jpg pdq; echo "pdq:$(cell kept.tsv dog/base24.jpg pdq)"; cell kept.tsv cat/base21.jpg xxh128) >list
phash-dedup --blocklist list --rejects r.tsv all.tsv >k.tsv 2>err
grep -q '^cat/base20.jpg.*blocklisted' r.tsv && grep -q '^cat/base19.jpg.*blocklisted' r.tsv && grep -q '^cat/base18.jpg.*blocklisted' r.tsv && grep -q '^dog/base24.jpg.*blocklisted' r.tsv && grep -q '^cat/base21.jpg.*blocklisted' r.tsv && ! grep -q '^cat/base2[01].jpg' k.tsv && grep -q 'block list' err
ok $? "--blocklist: listed pictures leave, by PDQ and by content"
echo nonsense >>list
must_fail 65 'line 7' "a block list that is not understood is an error" phash-dedup --blocklist list all.tsv
phash-dedup --mark all.tsv | cut -f1,2,5-6 | awk -F'\t' -v OFS='\t' 'NR == 1 { print $0, "split" } NR > 1 { print $0, NR % 2 ? "train" : "test" }' >sides.tsv
phash-dedup --check-leak sides.tsv >leaks.tsv 2>err
[ $? = 1 ] && [ "$(rows leaks.tsv)" -gt 0 ] && grep -q 'near copy in another split' err && [ "$(awk -F'\t' 'NR > 1 && ($3 == $6 || $7 > 31)' leaks.tsv | wc -l)" = 0 ]
ok $? "--check-leak finds near copies across splits, exit 1"
cp leaks.tsv leaks1.tsv
phash-dedup --check-leak -v sides.tsv 2>err >/dev/null
grep -q "^phash-dedup: $(rows sides.tsv) pictures read, .* $(rows leaks1.tsv) with a near copy" err
ok $? "--check-leak -v counts pictures"
(cat sides.tsv; printf 'cat/gone.jpg\tcat\t\t\ttrain\n') >more.tsv
phash-dedup --check-leak more.tsv 2>err >/dev/null
[ $? = 1 ] && grep -q '1 pictures could not be read and were not checked' err
ok $? "and says what it could not check"
train-test-split kept.tsv | phash-dedup --check-leak --distance 47 >leaks.tsv
[ $? = 0 ] && [ "$(rows leaks.tsv)" = 0 ]
ok $? "after train-test-split there is none, also at the group distance"
phash-dedup --hash-only --pdq full --rejects r.tsv all.tsv >full.tsv && phash-dedup --hash-only --pdq nn512 all.tsv >nn.tsv && phash-dedup --hash-only --pdq fast all.tsv >fast.tsv
[ "$(rows full.tsv)" = $(($(rows all.tsv) - 3)) ] && [ "$(head -n 1 full.tsv)" = "$(printf 'path\tlabel\tpdq\tpdq_quality\tpdq_family')" ] && [ "$(cut -f5 fast.tsv | sort -u | tr '\n' ' ')" = "fast pdq_family " ]
ok $? "--hash-only passes every readable row and names the family"
cut -f3,4 full.tsv | cmp -s - <(cut -f3,4 nn.tsv)
ok $? "below 512 pixels the two families agree"
phash-dedup full.tsv | cut -f1 | cmp -s - <(cut -f1 kept.tsv)
ok $? "hashes that a row brings give the same answer"
phash-dedup --pdq nn512 -v full.tsv 2>err >/dev/null
grep -q ' 0 hashes reused' err
ok $? "hashes of another family are not used"

# --- the sheet ---------------------------------------------------------------------------------------------------------------
mkdir out
phash-dedup --sheet out/sheet.html all.tsv >/dev/null
grep -q "Content-Security-Policy" out/sheet.html && grep -q 'filter:blur' out/sheet.html && ! grep -qi '<script' out/sheet.html && grep -q 'src="../cat/base00.jpg"' out/sheet.html
ok $? "the sheet: blurred, no script, relative paths"
[ "$(grep -c 'src="../dog/other09.jpg"' out/sheet.html)" = 1 ] && [ "$(grep -c 'src="../cat/base09.jpg"' out/sheet.html)" = 1 ] && grep -q 'Label conflicts: 3<' out/sheet.html
ok $? "a conflict is shown once, with both its sides"
! grep -q "$TMPDIR" out/sheet.html
ok $? "no absolute path in it"
printf 'path\tlabel\n%s\t%s\ncat/base22.jpg\tx\n' 'cat/b"<&>%# 23.jpg' '<b>"x"</b>' >odd.tsv
cp 'cat/b"<&>%# 23.jpg' cat/copy23.jpg && printf 'cat/copy23.jpg\tz\n' >>odd.tsv
phash-dedup --sheet odd.html odd.tsv >/dev/null
grep -q 'b%22%3C%26%3E%25%23%2023.jpg' odd.html && grep -q '&lt;b&gt;&quot;x&quot;&lt;/b&gt;' odd.html && ! grep -q '<b>"x"' odd.html
ok $? "names and labels are escaped"

# --- near pairs that are kept ---
same_as_whole() { cmp -s near.tsv kept.tsv && cmp -s near-gone.tsv gone.tsv; }
head -n 20 all.tsv | phash-dedup --near-pairs near.cache --rejects r.tsv >near.tsv
phash-dedup -v --near-pairs near.cache --rejects near-gone.tsv all.tsv >near.tsv 2>err && same_as_whole && grep -q 'phash-dedup: [1-9][0-9]* of [1-9][0-9]* hashes are new' err
ok $? "--near-pairs: what is new is compared, with the result of a whole run ($(grep 'are new' err))"
phash-dedup -v --near-pairs near.cache --rejects near-gone.tsv all.tsv >near.tsv 2>err && same_as_whole && grep -q 'phash-dedup: 0 of' err
ok $? "a second time nothing is compared"
truncate -s -1 near.cache && phash-dedup --near-pairs near.cache --rejects near-gone.tsv all.tsv >near.tsv 2>err && same_as_whole && grep -q "all pictures are compared: 'near.cache' is damaged" err
ok $? "a damaged file is not used, which is said"
for with in "--against kept.tsv" --dihedral --hash-only; do
    # shellcheck disable=SC2086
    must_fail 64 "--near-pairs does nothing with" "--near-pairs with ${with%% *} is a mistake" phash-dedup --near-pairs near.cache $with all.tsv
done

# --- hashed by validate, in the decode that it needs anyway ---
validate --min-bytes 0 -o plain.tsv --rejects r.tsv all.tsv && phash-dedup -o two-decodes.tsv --rejects two-decodes-gone.tsv plain.tsv
validate --min-bytes 0 --with pdq -o hashed.tsv --rejects r1.tsv all.tsv && phash-dedup -v -o one-decode.tsv --rejects one-decode-gone.tsv hashed.tsv 2>said
[ "$(rows two-decodes.tsv)" -gt 20 ] && cmp -s r.tsv r1.tsv && grep -q '^phash-dedup: 0 pictures decoded' said
ok $? "after validate --with pdq no picture is decoded again ($(grep decoded said))"
cmp -s two-decodes.tsv one-decode.tsv && cmp -s <(awk -F'\t' '{ print $1, $(NF - 1), $NF }' two-decodes-gone.tsv) <(awk -F'\t' '{ print $1, $(NF - 1), $NF }' one-decode-gone.tsv)
ok $? "hashes, groups and rejects are those of two decodes: EXIF orientation, grey, alpha, flat pictures included"
done_testing
