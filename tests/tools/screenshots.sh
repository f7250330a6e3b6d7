#!/usr/bin/env bash
# screenshots.sh: makes the pictures of README.md anew: docs/report.png and docs/review.png.
# A small real run over drawn pictures, every twelfth of them under a wrong label: scan, clean, split, pack, train with folds, eval, mine-errors;
# then Chromium takes the pages. Two minutes. Needs what ./bootstrap check installs.
# usage: tests/tools/screenshots.sh [OUT]      OUT: folder of the two files (default: docs)
set -eu -o pipefail
cd "$(dirname "$0")/../.."
top=$PWD out=$(realpath "${1:-docs}")
export PATH=$top/bin:$PATH NODE_PATH=$top/build/npm/node_modules
browser=$(command -v chromium || command -v chromium-browser)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

/usr/bin/python3 "$top/tests/tools/make_scenes.py" pictures 250 1
winnow scan pictures | winnow validate | winnow hash-dedup | winnow phash-dedup --distance 15 -o clean.tsv
awk -F'\t' -v OFS='\t' 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "label") c = i; next_of["charts"] = "shapes"; next_of["shapes"] = "landscapes"; next_of["landscapes"] = "charts" }
    NR > 1 && NR % 12 == 0 { $c = next_of[$c] } 1' clean.tsv >labelled.tsv
winnow train-test-split --val 0.15 --test 0.35 labelled.tsv -o split.tsv
winnow pack --size 224 split.tsv -o shards
winnow train --shards shards --base "$top/models/base/mobilenet_v2" --phase head --folds 5 --fold-rows all --optimizer adam --lr 0.003 --epochs 20 --head-l2 0 --out run
winnow eval --model run/model --shards shards --split test --log run/log.tsv --title 'Charts, landscapes, shapes' --out eval
winnow mine-errors --predictions run/oof.tsv --margins run/margins.tsv --manifest split.tsv --review review.html -o suspects.tsv

cat >shoot.js <<'JS'
const { chromium } = require('playwright-core');
const [browser, work, out] = process.argv.slice(2);
(async () => {
  const b = await chromium.launch({ executablePath: browser, args: ['--no-sandbox'] });
  const page = await b.newPage({ viewport: { width: 1000, height: 760 }, colorScheme: 'light' });
  await page.goto(`file://${work}/eval/report.html`);
  await page.screenshot({ path: `${out}/report.png` });
  await page.goto(`file://${work}/review.html`);
  await page.waitForFunction(() => document.getElementById('picture').naturalWidth > 0);
  await page.keyboard.down(' ');      // shows the picture
  await page.screenshot({ path: `${out}/review.png` });
  await b.close();
})();
JS
node shoot.js "$browser" "$work" "$work"
# 256 colours are enough, and a third of the size.
/usr/bin/python3 -c 'import sys
from PIL import Image
for source, to in zip(sys.argv[1::2], sys.argv[2::2]):
    Image.open(source).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(to, optimize=True)' report.png "$out/report.png" review.png "$out/review.png"
ls -l "$out/report.png" "$out/review.png"
