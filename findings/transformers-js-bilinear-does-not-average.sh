#!/usr/bin/env bash
# @huggingface/transformers 4.3.2 in node: `resample` 2 and 3 of a preprocessor_config.json (Pillow 13.0.0 beside it).
#
# Expected: the numbers are Pillow's, and a preprocessor_config.json written by Python means the same there: bilinear and bicubic average
# all samples that fall into one when they shrink. Stripes of two black and two white columns, shrunk to a quarter, become grey.
# Seen: in node, RawImage.resize gives bilinear and bicubic to sharp as an affine map, which looks at the nearest two or four samples of the
# large picture alone. Each column falls between two black ones: the whole picture is black (0), where Pillow says 127 or 128. Lanczos (1)
# goes another way and is grey on average. Box (4) and hamming (5) are read as bilinear, with a warning. Models of most hubs ask for 2 or 3.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install pillow==13.0.0
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @huggingface/transformers@4.3.2 >npm.log
cat >stripes.mjs <<'J'
import { RawImage } from '@huggingface/transformers';
console.warn = () => {};
const n = 1024, m = 256;
const stripes = new Uint8ClampedArray(n * n * 3);
for (let i = 0; i < stripes.length; i++) stripes[i] = Math.floor(i / 3) % 4 < 2 ? 0 : 255;
for (const resample of [1, 2, 3, 4]) {
    const small = (await new RawImage(stripes, n, n, 3).resize(m, m, { resample })).data;
    console.log(resample, Math.round(small.reduce((sum, v) => sum + v, 0) / small.length));
}
J
cat >stripes.py <<'P'
from PIL import Image
row = b''.join(bytes([0, 0, 255, 255]) for _ in range(256))
stripes = Image.frombytes('L', (1024, 1024), row * 1024).convert('RGB')
for resample in 1, 2, 3, 4:
    small = stripes.resize((256, 256), Image.Resampling(resample)).tobytes()
    print(resample, round(sum(small) / len(small)))
P
node stripes.mjs >js
v/bin/python stripes.py >py
paste js py
[ "$(cat js)" = $'1 128\n2 0\n3 0\n4 0' ]
awk '$2 < 127 || $2 > 129 { exit 1 }' py
echo "as found: Transformers.js 4.3.2 shrinks stripes to black where Pillow 13.0.0 gives grey"
