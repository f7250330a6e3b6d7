#!/usr/bin/env bash
# Odd but valid pictures: what winnow, Chromium, the demo page, Pillow and sharp make of each is what docs/odd-pictures.md says.
. "$(dirname "$0")/../tap.sh"
cd "$TOP" || exit 1
T=$TMPDIR python=/usr/bin/python3
export NPM=$TOP/build/npm
"$python" tests/tools/make_odd.py "$T/odd" >"$T/names" 2>"$T/err"
code=$?
ok $code "the files can be made (python3-pil, libjpeg-turbo-progs, libavif-bin, libheif-examples, libjxl-tools) $(tail -n 1 "$T/err")"
[ $code = 0 ] || done_testing
[ "$(wc -l <"$T/names")" -ge 77 ]
ok $? "$(wc -l <"$T/names") files"
mkdir -p "$T/others/chromium" "$T/others/page" "$T/others/sharp"
if [ -d "$NPM/node_modules/playwright-core" ] && [ -x "${CHROMIUM:-/usr/bin/chromium}" ]; then
    timeout 120 node tests/formats/odd.cjs "$T/odd" "$T/others" >"$T/versions" 2>"$T/err"
    ok $? "they go through $(tr '\n' ' ' <"$T/versions")$(head -n 1 "$T/err")"
else
    skip "Chromium" "no npm packages or no Chromium: ./bootstrap check"
fi
(printf 'path\tlabel\n'; sed 's/$/\tx/' "$T/names") >"$T/in.tsv"
"$BIN/augment" --root "$T/odd" --allow-outside --spec none --format png --out "$T/made" --rejects "$T/rejects.tsv" -o "$T/plain.tsv" "$T/in.tsv" 2>"$T/err"
ok $? "and through winnow's decoders $(head -n 1 "$T/err")"
"$python" tests/tools/odd_table.py "$T/odd" "$T/names" "$T/others" "$T/plain.tsv" "$T/rejects.tsv" >"$T/table" 2>"$T/err"
ok $? "the table is made $(tail -n 1 "$T/err")"
sed -n 's/^| `\(.*\)` | /\1 | /p' docs/odd-pictures.md | awk -F' [|] ' -v OFS='\t' '{ print $1, $2, $3, $4, $5, $6 }' >"$T/written"
cmp -s <(cut -f1 "$T/table") <(cut -f1 "$T/written")
ok $? "docs/odd-pictures.md lists these files, in this order"
while IFS=$'\t' read -r name winnow chromium page pillow sharp; do
    want=$(awk -F'\t' -v n="$name" '$1 == n' "$T/written")
    got=$(printf '%s\t' "$name" "$winnow" "$chromium" "$page" "$pillow" "$sharp")
    # What was not measured here is not compared.
    match=$(paste <(tr '\t' '\n' <<<"${got%$'\t'}") <(tr '\t' '\n' <<<"$want") | awk -F'\t' '$1 != "?" && $1 != $2 { printf "%s, written %s; ", $1, $2 }')
    [ -z "$match" ]
    ok $? "$name: ${match:-as written}"
done <"$T/table"
# --color srgb: where the colours are described, what Chromium shows.
"$BIN/augment" --color srgb --root "$T/odd" --allow-outside --spec none --format png --out "$T/shown" -o "$T/shown.tsv" "$T/in.tsv" 2>"$T/err"
if [ -n "$(ls "$T/others/chromium")" ]; then
    "$python" - "$T/others/chromium" "$T/shown.tsv" >"$T/why" 2>&1 <<'P'
import sys
import numpy as np
from PIL import Image
rows, bad, n = [line.rstrip("\n").split("\t") for line in open(sys.argv[2])], 0, 0
for path, _, _, source, *_ in rows[1:]:
    if source in ("profile-p3.jpg", "profile-p3.png", "profile-p3.webp", "gamma-1.png", "cicp-p3.png", "nclx-p3.avif", "exif-6.jpg"):
        a, b = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (path, sys.argv[1] + "/" + source))
        n += 1
        if abs(a - b).max() > 1:
            bad += 1
            print(source, abs(a - b).max())
print(n, "files")
sys.exit(bad or n != 7)
P
    ok $? "--color srgb gives Chromium's colours, to one level: $(tr '\n' ' ' <"$T/why")"
    for pair in "cmyk-profile.jpg sharp 0" "cmyk-profile.jpg chromium 4"; do
        read -r name who levels <<<"$pair"
        [ -n "$(ls "$T/others/$who")" ] || continue
        why=$(echo "$name" | "$python" tests/tools/compare_pictures.py "$T/shown.tsv" "$levels" "$T/others/$who" 2>&1)
        ok $? "--color srgb, $name: inks by their profile as $who, to $levels levels ($why)"
    done
fi
plain() { awk -F'\t' -v n="$1" '$4 == n { print $1 }' "$2"; }
for name in pq.png hlg.png profile-broken.jpg cmyk.jpg ycck.jpg; do
    cmp -s "$(plain "$name" "$T/plain.tsv")" "$(plain "$name" "$T/shown.tsv")"
    ok $? "--color srgb leaves the samples of $name as they are"
done
! cmp -s "$(plain cmyk-profile.jpg "$T/plain.tsv")" "$(plain cmyk-profile.jpg "$T/shown.tsv")"
ok $? "and changes those of cmyk-profile.jpg"
# validate --icc: those whose colours are described as other than sRGB.
"$BIN/validate" --icc --min-bytes 0 --root "$T/odd" -o "$T/icc.tsv" --rejects "$T/rejects.tsv" "$T/in.tsv" 2>"$T/err"
is "$(awk -F'\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "icc") at = i } NR > 1 && $at == 1 { print $1 }' "$T/icc.tsv" | sort | tr '\n' ' ')" \
    "cicp-p3.png cmyk-profile.jpg gamma-1.png hlg.png nclx-p3.avif pq.png profile-broken.jpg profile-p3.jpg profile-p3.png profile-p3.webp " "validate --icc: profiles, gAMA, cICP and nclx $(head -n 1 "$T/err")"
done_testing
