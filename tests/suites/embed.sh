#!/usr/bin/env bash
# embed on made pictures and the tiny net: the folder it writes, the cache it shares with train, reductions and their fits, refusals.
. "$(dirname "$0")/../tap.sh"
cd "$TMPDIR" || exit 1
tiny=$TOP/tests/fixtures/tiny-net/tfjs-float32
embed() { "$BIN/embed" --device ref --base "$tiny" --size 16 --resize area "$@"; }
/usr/bin/python3 - <<'P' || { echo "Bail out! python3-pil is needed"; exit 1; }
import os, random
from PIL import Image
for i in range(48):
    r = random.Random(i)
    label = "cat dog fox".split()[i % 3]
    os.makedirs(label, exist_ok=True)
    im = Image.frombytes("RGB", (6, 6), r.randbytes(108)).resize((40, 30), Image.BICUBIC)
    im.paste(tuple(200 if c == i % 3 else 40 for c in range(3)), (4, 4, 24, 12))
    im.save("%s/%02d.png" % (label, i))
open("cat/bad.png", "w").write("<html>")
P
"$BIN/scan" cat dog fox >all.tsv
shape() { /usr/bin/python3 -c 'import re, sys; b = open(sys.argv[1], "rb").read(200); print(re.search(rb"<f\d.*\(\d+, \d+\)", b).group().decode().replace("\x27", ""))' "$1"; }
sums() { (cd "$1" && sha256sum features.npy rows.tsv info.tsv ./*.fit 2>/dev/null); }

out=$(embed --cache cache --rejects gone.tsv -o full all.tsv 2>&1)
is "$?:$out" "0:" "embed is silent and ends with 0"
is "$(ls full | tr '\n' ' ')" "features.npy info.tsv rows.tsv " "the folder holds what it says"
is "$(rows full/rows.tsv):$(column gone.tsv reject_reason)" "48:not-a-picture" "a row for each picture, and what is no picture is rejected"
is "$(column full/info.tsv value | tail -2 | tr '\n' ' ')" "48 $(shape full/features.npy | sed 's/.*, \([0-9]*\))/\1/') " "info.tsv has the shape"
embed --cache cache -o again all.tsv -v 2>again.err
has "$(cat again.err)" "48 pictures, 0 of them computed now" "a second run computes nothing"
is "$(sums again)" "$(sums full)" "and writes the same"

"$BIN/hash-dedup" full/rows.tsv | "$BIN/phash-dedup" --on-conflict keep-first --distance 0 --group-distance 0 | "$BIN/train-test-split" --val 0.2 --test 0.2 -o split.tsv
learned=$(column split.tsv split | grep -vc test)
"$BIN/pack" --size 16 --resize area -o shards split.tsv
out=$("$BIN/train" --device ref --threads 1 --shards shards --base "$tiny" --cache cache --folds 2 --fold-rows all --epochs 1 --out head -v 2>&1)
is "$(echo "$out" | grep -c ', 0 of them computed now')" 2 "phase head finds all features in embed's cache"
embed --cache both --boundary-cache f16 --unlock-from bn1 -o full2 all.tsv
is "$(sums full2)" "$(sums full)" "the boundary beside them changes no feature here"
out=$("$BIN/train" --device ref --threads 1 --shards shards --base "$tiny" --cache both --boundary-cache f16 --unlock-from bn1 --epochs 1 --out head2 -v 2>&1)
has "$out" "features and boundary cache: $learned pictures, 0 of them computed now" "nor does phase head compute the boundary again"
out=$("$BIN/train" --device ref --threads 1 --shards shards --base head2/model --phase fine-tune --cache both --boundary-cache f16 --unlock-from bn1 --epochs 1 --out fine -v 2>&1)
has "$out" "boundary cache: $learned pictures, 0 of them computed now" "nor does fine-tuning"
rm -rf other; "$BIN/train" --device ref --threads 1 --shards shards --base "$tiny" --cache other --epochs 1 --out head3
out=$(embed --cache other -o full3 all.tsv -v 2>&1)
has "$out" "48 pictures, $((48 - learned)) of them computed now" "and embed finds what phase head computed: all but the test split"
is "$(sums full3)" "$(sums full)" "with the same values"

# --- another feature layer, other numbers in
embed --cache cache --feature-layer bn1 -o early all.tsv
is "$(shape early/features.npy)" "<f2, fortran_order: False, shape: (48, 4)" "--feature-layer: the channels of an inner layer, averaged"
out=$("$BIN/train" --device ref --threads 1 --shards shards --base "$tiny" --feature-layer bn1 --cache cache --epochs 1 --out early-head -v 2>&1)
has "$out" "features: $learned pictures, 0 of them computed now" "phase head with the same layer finds them"
grep -q '"bn1"' early-head/model/model.json && ! grep -q '"gap"' early-head/model/model.json; ok $? "its model ends there"
embed --cache cache --input bytes -o bytes all.tsv; cmp -s bytes/features.npy full/features.npy; is $? 1 "--input: other numbers go in"
out=$("$BIN/train" --device ref --threads 1 --shards shards --base "$tiny" --input bytes --cache cache --epochs 1 --out bytes-head -v 2>&1)
has "$out" "features: $learned pictures, 0 of them computed now" "phase head with the same --input finds what embed computed"

# --- reductions
embed --cache cache --reduce sqrt,pca:3,whiten:0.5 -o small -j1 all.tsv; ok $? "a reduction"
is "$(shape small/features.npy)" "<f2, fortran_order: False, shape: (48, 3)" "has the components asked for"
embed --cache cache --reduce sqrt,pca:3,whiten:0.5 -o small4 -j4 all.tsv
is "$(sums small4)" "$(sums small)" "-j changes nothing"
{ head -1 all.tsv; tail -n +2 all.tsv | sort -R --random-source=all.tsv; } >mixed.tsv
embed --cache cache --reduce sqrt,pca:3,whiten:0.5 -o mixed mixed.tsv
cmp -s mixed/reduce.fit small/reduce.fit; ok $? "nor does the order of the rows change the fit"
embed --cache cache --fit small/reduce.fit -o fitted all.tsv
is "$(sums fitted)" "$(sums small)" "--fit with the fit just made gives the same"
head -11 all.tsv >part.tsv
embed --cache cache --fit small/reduce.fit -o part part.tsv; ok $? "--fit takes it for other pictures"
is "$(column part/info.tsv value | sed -n 4p)" "$(column small/info.tsv value | sed -n 4p)" "and info.tsv names it"
if "$TOP/build/py/bin/python" -c 'import numpy' 2>/dev/null; then python=$TOP/build/py/bin/python; else python=/usr/bin/python3; fi
if $python -c 'import numpy' 2>/dev/null; then
    $python - <<'P'
import numpy as np, sys
x, y = np.load("full/features.npy").astype(np.float64), np.load("small/features.npy").astype(np.float64)
x = np.sqrt(np.abs(x)) * np.sign(x)
x -= x.mean(0)
u, s, v = np.linalg.svd(x, full_matrices=False)
w = x @ v[:3].T / np.sqrt(s[:3] ** 2 / (len(x) - 1)) ** 0.5
w *= np.sign((w * y).sum(0))
# float16 in and out: 2^-11 of values up to 3
sys.exit(not np.allclose(w, y, atol=6e-3))
P
    ok $? "the components are those of NumPy's singular values"
else
    skip "the components beside NumPy" "no NumPy"
fi

# --- refusals
refuse() { out=$(eval "$1" 2>&1); has "$?:$out" "$2" "$3"; }
refuse 'embed -o x --reduce pca:0 all.tsv' "64:embed: --reduce: 'pca:0' is not [sqrt,]pca:N" "no components"
refuse 'embed -o x --reduce whiten:1,pca:3 all.tsv' "64:embed: --reduce" "whitening before components"
refuse 'embed -o x --reduce pca:3 --fit small/reduce.fit all.tsv' "64:embed: --reduce makes a fit and --fit takes" "two reductions"
refuse '"$BIN/embed" -o x all.tsv' "64:embed: --base is needed" "no base"
refuse 'embed all.tsv' "64:embed: --output is needed" "no folder"
refuse '"$BIN/embed" --base nobody -o x all.tsv' "66:embed: --base: no model 'nobody'" "no such base"
refuse 'embed -o x --feature-layer c9 all.tsv' "64:embed: --feature-layer: --base '$tiny': the network has no layer or block 'c9'" "no such layer"
refuse 'embed -o x --feature-layer gap all.tsv' "64:embed: --feature-layer: --base '$tiny': layer 'gap' gives no feature map" "a layer that gives no map"
refuse 'embed -o x --input interpolation=cubic all.tsv' "64:embed: --input: 'interpolation' is none of" "no such interpolation"
refuse 'embed --precision bf16 --device nothing -o x all.tsv' "embed: --device nothing" "no such device"
cp small/reduce.fit bent.fit; printf x | dd of=bent.fit bs=1 seek=200 conv=notrunc 2>/dev/null
refuse 'embed -o x --cache cache --fit bent.fit all.tsv' "65:embed: 'bent.fit' is damaged" "a damaged fit"
head -c 150 small/reduce.fit >cut.fit
refuse 'embed -o x --cache cache --fit cut.fit all.tsv' "65:embed: 'cut.fit' is cut off" "half a fit"
refuse 'embed -o x --cache cache --fit all.tsv all.tsv' "65:embed: 'all.tsv' is not a fit" "no fit at all"
refuse '"$BIN/embed" --device ref --base head2/model --size 16 --resize bilinear --batch 7 --orientation none --no-sandbox --allow-truncated -o x --cache cache --fit small/reduce.fit all.tsv' "0:" "a head that phase head put on the base is the same base"
head -1 all.tsv >none.tsv
embed --cache cache --reduce sqrt,pca:3 -o none none.tsv; is "$?:$(shape none/features.npy)" "0:<f2, fortran_order: False, shape: (0, 0)" "no rows make an empty table"
done_testing
