#!/usr/bin/env bash
# Hugging Face datasets 5.0.1, load_dataset('imagefolder'): a folder for each class, where a class has a name such as "train" or "valid".
#
# Expected: bus/, car/ and train/ (three of the classes of COCO and Pascal VOC) are three labels of nine pictures, as bus/, car/ and tram/ are;
# whether folders are splits is settled by all of them together, or a doubt is an error.
# Seen: one folder named train, test or valid is taken for a split, and then the pictures of all other folders are left out and there is no
# label column: three pictures of nine, without a message; "train-station" is enough. A set with one class, or with a class one folder deeper
# than the others, keeps its pictures but has no label column either.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install datasets==5.0.1 pillow==13.0.0
cat >ask.py <<'P'
import os, tempfile
from PIL import Image
import datasets
datasets.disable_progress_bars()
os.environ['HF_HUB_OFFLINE'] = '1'
for classes in ('bus car tram', 'bus car train', 'bus train-station', 'valid expired', 'exam test', 'development drawing', 'bus', 'road/bus car'):
    top = tempfile.mkdtemp(dir='.')
    for k, name in enumerate(classes.split()):
        os.makedirs(f'{top}/{name}')
        for i in range(3):
            Image.new('RGB', (8, 8), (k * 20, i * 9, 0)).save(f'{top}/{name}/{i}.png')
    read = datasets.load_dataset('imagefolder', data_dir=top, cache_dir=f'{top}.cache')
    print(f'{classes}:', *(f"{split} {len(rows)} of {3 * len(classes.split())}, labels {rows.features['label'].names if 'label' in rows.features else 'none'}" for split, rows in read.items()))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
bus car tram: train 9 of 9, labels ['bus', 'car', 'tram']
bus car train: train 3 of 9, labels none
bus train-station: train 3 of 6, labels none
valid expired: validation 3 of 6, labels none
exam test: test 3 of 6, labels none
development drawing: train 6 of 6, labels ['development', 'drawing']
bus: train 3 of 3, labels none
road/bus car: train 6 of 6, labels none
SEEN
echo "as found: a class named like a split hides all other classes and the labels"
