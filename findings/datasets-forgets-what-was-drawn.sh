#!/usr/bin/env bash
# A picture changed in place before it goes into a data set: Hugging Face datasets 5.0.1, Pillow 13.0.0.
#
# Expected: whoever blacks out a part of an opened picture, or shrinks it with thumbnail(), and puts the picture object into a data set,
# finds in the data set what the object holds.
# Seen: datasets looks at the file name that Pillow keeps in an opened picture and stores that file: the part that was blacked out is
# there again, in full size, by from_dict and by map. A copy() of the object has no file name and is stored as it is.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
export HF_HOME=$PWD/home HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1
python3 -m venv v
v/bin/pip -q install datasets==5.0.1 pillow==13.0.0
cat >ask.py <<'P'
from datasets import Dataset, Features, Image as ImageFeature
from PIL import Image, ImageDraw
Image.new('RGB', (400, 300), 'white').save('p.png')
is_image = Features({'image': ImageFeature()})
def said(how, image): print(f'{how}: {image.size}, middle {image.getpixel((image.width // 2, image.height // 2))}')
def masked_and_small():
    image = Image.open('p.png')
    ImageDraw.Draw(image).rectangle((100, 100, 300, 200), fill='black')
    image.thumbnail((200, 200))
    return image
said('the object', masked_and_small())
said('from_dict', Dataset.from_dict({'image': [masked_and_small()]}, features=is_image)[0]['image'])
def mask(row):
    ImageDraw.Draw(row['image']).rectangle((100, 100, 300, 200), fill='black')
    row['image'].thumbnail((200, 200))
    return row
said('map', Dataset.from_dict({'image': ['p.png']}, features=is_image).map(mask)[0]['image'])
said('from_dict of a copy', Dataset.from_dict({'image': [masked_and_small().copy()]}, features=is_image)[0]['image'])
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
the object: (200, 150), middle (0, 0, 0)
from_dict: (400, 300), middle (255, 255, 255)
map: (400, 300), middle (255, 255, 255)
from_dict of a copy: (200, 150), middle (0, 0, 0)
SEEN
echo "as found: a picture changed in place is stored as the file that it was opened from"
