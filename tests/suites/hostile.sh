#!/usr/bin/env bash
# Hostile and odd pictures (tests/tools/make_hostile.py): each gives its documented outcome, memory stays under the limit, a run
# with one worker and with three says the same, and augment and pack refuse the same files.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
python=/usr/bin/python3
work=$TMPDIR/hostile
if ! "$python" tests/tools/make_hostile.py "$work/in" >"$TMPDIR/expected" 2>"$TMPDIR/why"; then
    echo "# $(tail -1 "$TMPDIR/why")"
    ok 1 "the files can be made (python3-pil, python3-numpy, libjpeg-turbo-progs, libavif-bin, libheif-examples, libjxl-tools)"
    done_testing
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
grep -v -e largest -e rows-200m -e 65500x1 "$TMPDIR/in.tsv" >"$TMPDIR/smaller.tsv"
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
# What the largest pictures cost a worker.
"$python" - "$work/rows.png" <<'P'
import struct, sys, zlib
side, packer, chunk = 14142, zlib.compressobj(1), lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
rows = [bytes([0]) + bytes([shade, 255 - shade, 7]) * side for shade in (50, 60)]
data = b"".join(packer.compress(rows[y * 2 // side]) for y in range(side)) + packer.flush()
with open(sys.argv[1], "wb") as f:
    f.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)) + chunk(b"IDAT", data) + chunk(b"IEND", b""))
P
cp tests/fixtures/100-megapixels.avif "$work/"
cost() { # FILE MIB WHAT: pack takes no more memory for it than that
    printf 'path\tlabel\n%s\tx\n' "$1" >"$TMPDIR/one.tsv"
    rm -rf "$work/one"
    "$python" - "$BIN/pack" --root "$work" --size 64 -j1 -o "$work/one" "$TMPDIR/one.tsv" >"$TMPDIR/rss" 2>"$TMPDIR/err" <<'P'
import resource, subprocess, sys
rc = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)
sys.exit(rc)
P
    local code=$?
    if nm "$BIN/pack" 2>/dev/null | grep -qE '__(a|t)san_init'; then
        skip "$3: memory" "sanitizers need their own"
        return
    fi
    [ $code = 0 ] && [ "$(cat "$TMPDIR/rss")" -le "$2" ]
    ok $? "$3 take $(cat "$TMPDIR/rss") MiB, at most $2 $(head -n 1 "$TMPDIR/err")"
}
cost rows.png 64 "200 megapixels of a PNG"
[ "$("$python" -c 'import sys; b = open(sys.argv[1], "rb").read(); at = int(sys.argv[2]); print(*b[at:at + 3], *b[at + 12285:at + 12288])' "$work/one/shard-00000.bin" "$(column "$work/one/shard-00000.tsv" offset)")" = "50 205 7 60 195 7" ]
ok $? "and have their colours"
cost 100-megapixels.avif 520 "100 megapixels of an AVIF"
# JPEG XL without loss: in groups of pixels, as cjxl writes it; "responsive" (cjxl -R 1) needs all planes at once.
cp tests/fixtures/100-megapixels-groups.jxl "$work/groups.jxl"
cp tests/fixtures/100-megapixels-squeezed.jxl "$work/squeezed.jxl"
cost groups.jxl 360 "100 megapixels of a lossless JPEG XL"
if nm "$BIN/validate" 2>/dev/null | grep -qE '__(a|t)san_init'; then
    skip "100 megapixels of a responsive one" "sanitizers need their own memory"
else
    printf 'path\nsqueezed.jxl\n' >"$TMPDIR/one.tsv"
    "$BIN/validate" --root "$work" --min-bytes 0 --rejects "$TMPDIR/why" -o /dev/null "$TMPDIR/one.tsv" 2>/dev/null
    is "$(tail -n 1 "$TMPDIR/why" | cut -f3)" decode-memory "100 megapixels of a responsive one are refused for their memory"
fi
rm -rf "$work/rows.png" "$work/one"
# What is kept decodes as in Pillow, to one level: orientation, CMYK, YCCK, 16 bits, palettes, alpha on white, first frames.
grep -v -e cut -e no-end -e largest -e rows-200m -e 65500x1 -e bomb -e damaged.avif "$TMPDIR/out.tsv" | cut -f1 >"$TMPDIR/kept.tsv"
as_pillow() { # ROOT MANIFEST LEAST: what is in the manifest decodes as in Pillow; at least LEAST files
    "$BIN/augment" --root "$1" --allow-outside --spec none --format png --out "$TMPDIR/plain" -o "$TMPDIR/plain.tsv" "$2" && "$python" - "$1" "$TMPDIR/plain.tsv" "$3" >"$TMPDIR/why" 2>"$TMPDIR/err" <<'P'
import os, sys
import numpy as np
from PIL import Image, ImageOps
top, least, n, bad = sys.argv[1], int(sys.argv[3]), 0, 0
twins = os.path.join(top, "twins.tsv")
twin = dict(line.rstrip("\n").split("\t") for line in open(twins)) if os.path.exists(twins) else {}
for line in open(sys.argv[2]):
    path, variant, source, params = line.rstrip("\n").split("\t")
    if not source or source == "source":
        continue
    im = ImageOps.exif_transpose(Image.open(os.path.join(top, twin.get(source, source))))
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
sys.exit(int(bad > 0 or n < least))
P
}
as_pillow "$work/in" "$TMPDIR/kept.tsv" 40
ok $? "what is kept decodes as in Pillow: $(tr "\n" " " <"$TMPDIR/why")"

# Go's own picture tests, from Debian's golang-1.19-src: baseline and progressive in every subsampling, CMYK, RGB-coded, pngsuite. An outcome
# for each stands in go_pictures.tsv: a damaged CRC is refused; a picture whose pixels are all there is kept, even without its trailer
# (invalid-noend, invalid-trunc), with a wrong Adler-32 (invalid-zlib) or with fewer scans than its encoder planned, but its end marker (progressive.truncated).
go=${GO_PICTURES:-/usr/share/go-1.19/src/image}
if [ -d "$go/testdata" ]; then
    cut -f1 tests/tools/go_pictures.tsv >"$TMPDIR/go.tsv"
    "$BIN/validate" --root "$go" --min-bytes 0 -o "$TMPDIR/go-kept.tsv" --rejects "$TMPDIR/go-rejects.tsv" "$TMPDIR/go.tsv"
    {
        printf 'path\toutcome\tformat\twidth\theight\torientation\tframes\tmode\n'
        {
            awk -F'\t' -v OFS='\t' 'NR > 1 { print $1, "kept", $2, $3, $4, $5, $6, $7 }' "$TMPDIR/go-kept.tsv"
            awk -F'\t' 'NR > 1 { printf "%s\t%s\t\t\t\t\t\t\n", $1, $3 }' "$TMPDIR/go-rejects.tsv"
        } | LC_ALL=C sort
    } >"$TMPDIR/go-said.tsv"
    cmp -s "$TMPDIR/go-said.tsv" tests/tools/go_pictures.tsv
    ok $? "$(($(wc -l <"$TMPDIR/go.tsv") - 1)) pictures of Go's tests: each as written down$(diff "$TMPDIR/go-said.tsv" tests/tools/go_pictures.tsv | head -2 | tr '\n' ' ')"
    # Pillow refuses what has no trailer, and takes a palette index beyond the palette's end for another colour.
    grep -v -e invalid- "$TMPDIR/go-kept.tsv" | cut -f1 >"$TMPDIR/go-kept-paths.tsv"
    as_pillow "$go" "$TMPDIR/go-kept-paths.tsv" 70
    ok $? "and what is kept of them decodes as in Pillow: $(tr "\n" " " <"$TMPDIR/why")"
else
    skip "Go's picture tests" "golang-1.19-src is not installed"
fi
done_testing
