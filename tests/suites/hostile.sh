#!/usr/bin/env bash
# Hostile and odd pictures (tests/tools/make_hostile.py): each gives its documented outcome, memory stays under the limit, a run
# with one worker and with three says the same, and augment and pack refuse the same files.
set -u
cd "$TOP" || exit 1
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
python=/usr/bin/python3
work=$TMPDIR/hostile
if ! "$python" tests/tools/make_hostile.py "$work/in" >"$TMPDIR/expected" 2>"$TMPDIR/why"; then
    echo "# $(tail -1 "$TMPDIR/why")"
    ok 1 "the files can be made (python3-pil, python3-numpy, libjpeg-turbo-progs)"
    echo "1..$n"
    exit 1
fi
(printf 'path\tlabel\n'; cut -f1 "$TMPDIR/expected" | sed 's/$/\tx/') >"$TMPDIR/in.tsv"
# ru_maxrss of the largest process below, in KiB.
"$python" - "$BIN/validate" --root "$work/in" --min-bytes 0 -j1 -o "$TMPDIR/out.tsv" --rejects "$TMPDIR/rejects.tsv" "$TMPDIR/in.tsv" >"$TMPDIR/rss" 2>"$TMPDIR/err" <<'P'
import resource, subprocess, sys
rc = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(rc)
P
ok $? "validate runs to the end$(sed 's/^/ # /' "$TMPDIR/err" | head -1)"
rss=$(cat "$TMPDIR/rss")
[ "$rss" -lt 700000 ]
ok $? "the largest process took $((rss / 1024)) MiB; a picture of 100 megapixels is among them"
while IFS=$'\t' read -r path outcome format width height orientation frames mode; do
    row=$(awk -F'\t' -v p="$path" '$1 == p { print "kept\t" $3 "\t" $4 "\t" $5 "\t" $6 "\t" $7 "\t" $8 }' "$TMPDIR/out.tsv")
    [ -n "$row" ] || row=$(awk -F'\t' -v p="$path" '$1 == p { print $4 "\t" $5 }' "$TMPDIR/rejects.tsv")
    want=$outcome
    [ -n "$format" ] && want="$outcome	$format	$width	$height	$orientation	$frames	$mode"
    case $row in
    "$want" | "$want	"*) ok 0 "$path: $(echo "$row" | tr '\t' ' ')" ;;
    *) [ -n "$row" ] && { [ -z "$outcome" ] || { [ -z "$mode" ] && [ -n "$format" ] && [ "${row%	*}" = "${want%	*}" ]; }; }
        ok $? "$path: $(echo "$row" | tr '\t' ' ') (expected: $(echo "$want" | tr '\t' ' '))" ;;
    esac
done <"$TMPDIR/expected"
[ "$(($(wc -l <"$TMPDIR/out.tsv") + $(wc -l <"$TMPDIR/rejects.tsv") - 2))" = "$(wc -l <"$TMPDIR/expected")" ]
ok $? "kept and rejected are all"
"$BIN/validate" --root "$work/in" --min-bytes 0 -j3 -o "$TMPDIR/out3.tsv" --rejects "$TMPDIR/rejects3.tsv" "$TMPDIR/in.tsv" &&
    cmp -s "$TMPDIR/out.tsv" "$TMPDIR/out3.tsv" && cmp -s "$TMPDIR/rejects.tsv" "$TMPDIR/rejects3.tsv"
ok $? "three workers say what one says"
"$BIN/validate" --root "$work/in" --min-bytes 0 --no-sandbox -o "$TMPDIR/out3.tsv" --rejects "$TMPDIR/rejects3.tsv" "$TMPDIR/in.tsv" &&
    cmp -s "$TMPDIR/out.tsv" "$TMPDIR/out3.tsv" && cmp -s "$TMPDIR/rejects.tsv" "$TMPDIR/rejects3.tsv"
ok $? "and so does the decoder without a sandbox"
grep -v -e largest -e 65500x1 "$TMPDIR/in.tsv" >"$TMPDIR/smaller.tsv"
"$BIN/pack" --root "$work/in" --size 32 --rejects "$TMPDIR/pack.tsv" -o "$work/set" "$TMPDIR/smaller.tsv"
cut -f1,4 "$TMPDIR/pack.tsv" | tail -n +2 | sort >"$TMPDIR/a"
cut -f1,4 "$TMPDIR/rejects.tsv" | tail -n +2 | sort >"$TMPDIR/b"
cmp -s "$TMPDIR/a" "$TMPDIR/b" && "$BIN/pack" --check "$work/set"
ok $? "pack refuses the same files for the same reasons$(diff "$TMPDIR/a" "$TMPDIR/b" | head -2 | tr '\n' ' ')"
"$BIN/augment" --root "$work/in" --size 32 --out made --rejects "$TMPDIR/augment.tsv" -o "$TMPDIR/made.tsv" "$TMPDIR/smaller.tsv"
cut -f1,4 "$TMPDIR/augment.tsv" | tail -n +2 | sort >"$TMPDIR/a"
cmp -s "$TMPDIR/a" "$TMPDIR/b"
ok $? "and so does augment"
"$BIN/validate" --root "$work/in" --min-bytes 0 --allow-truncated --rejects "$TMPDIR/rejects3.tsv" "$TMPDIR/in.tsv" |
    cut -f1 | grep -c '^cut[.-]' >"$TMPDIR/n"
[ "$(cat "$TMPDIR/n")" -ge 3 ]
ok $? "--allow-truncated keeps $(cat "$TMPDIR/n") of the cut files"
# What is kept decodes as in Pillow, to one level: orientation, CMYK, YCCK, 16 bits, palettes, alpha on white, first frames.
grep -v -e cut -e no-end -e largest -e 65500x1 -e bomb "$TMPDIR/out.tsv" | cut -f1 >"$TMPDIR/kept.tsv"
"$BIN/augment" --root "$work/in" --spec none --format png --out plain -o "$TMPDIR/plain.tsv" "$TMPDIR/kept.tsv" && "$python" - "$work/in" "$TMPDIR/plain.tsv" >"$TMPDIR/why" 2>"$TMPDIR/err" <<'P'
import os, sys
import numpy as np
from PIL import Image, ImageOps
top, n, bad = sys.argv[1], 0, 0
for line in open(sys.argv[2]):
    path, variant, source, params = line.rstrip("\n").split("\t")
    if not source or source == "source":
        continue
    im = ImageOps.exif_transpose(Image.open(os.path.join(top, source)))
    if im.mode in ("I", "I;16"):
        want = np.repeat(np.rint(np.asarray(im).astype(float) / 257)[..., None], 3, 2)
    else:
        im = im.convert("RGBA")
        white = Image.new("RGBA", im.size, "white")
        white.alpha_composite(im)
        want = np.asarray(white.convert("RGB")).astype(float)
    got = np.asarray(Image.open(os.path.join(top, path))).astype(float)
    n += 1
    if got.shape != want.shape or abs(got - want).max() > 1:
        bad += 1
        print(source, got.shape, want.shape)
print(n, "files")
sys.exit(int(bad > 0 or n < 40))
P
ok $? "what is kept decodes as in Pillow: $(tr "\n" " " <"$TMPDIR/why")"
echo "1..$n"
exit $bad
