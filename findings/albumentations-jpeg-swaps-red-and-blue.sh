#!/usr/bin/env bash
# albumentations 2.0.8: ImageCompression beside Pillow 13.0.0's JPEG and WebP of the same picture and quality.
#
# Expected: albumentations works on RGB, so its compression gives what a JPEG file of that quality would: the loss of the pictures that the
# model will meet. JPEG keeps red (0.3 of the luma) better than blue (0.11), which mostly goes with the halved, coarser colour planes.
# Seen: the RGB array goes into OpenCV's encoder as BGR and comes out the same way, so nothing looks turned round, but the codec takes
# red for blue: the loss is that of a picture whose red and blue were exchanged, to the bit. Of red stripes one pixel wide a JPEG file of
# quality 30 keeps 0.39 of the contrast, ImageCompression half of that; of blue ones it keeps twice what the file does. A model that was
# hardened by it (or a detector of forgeries and re-encoded copies) has learned a loss that no file on the web has.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
export NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 pillow==13.0.0 albumentations==2.0.8 opencv-python-headless==5.0.0.93
cat >ask.py <<'P'
import io
import numpy as np
import albumentations as A
from PIL import Image
stripes = np.where(np.arange(64) % 2, 200, 60).astype(np.uint8)  # one column dark, one light
def picture(channel):
    image = np.full((64, 64, 3), 128, np.uint8)
    image[..., channel] = stripes
    return image
def file_of(image, kind):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, quality=30, subsampling='4:2:0') if kind == 'jpeg' else Image.fromarray(image).save(file, kind, quality=30)
    return np.asarray(Image.open(file))
def contrast(image, channel): return round(float(image[..., channel].astype(float).std()) / picture(channel)[..., channel].std(), 2)
for kind in 'jpeg', 'webp':
    augment = A.ImageCompression(compression_type=kind, quality_range=(30, 30), p=1)
    for name, channel in ('red', 0), ('blue', 2):
        image = picture(channel)
        seen = augment(image=image)['image']
        exchanged = file_of(np.ascontiguousarray(image[..., ::-1]), kind)[..., ::-1]
        print(f'{kind}: of {name} stripes a file keeps {contrast(file_of(image, kind), channel)}, ImageCompression {contrast(seen, channel)};',
            'a file of the exchanged picture is the same' if np.array_equal(seen, exchanged) else f'exchanged {contrast(exchanged, channel)}')
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
jpeg: of red stripes a file keeps 0.39, ImageCompression 0.19; a file of the exchanged picture is the same
jpeg: of blue stripes a file keeps 0.19, ImageCompression 0.39; a file of the exchanged picture is the same
webp: of red stripes a file keeps 0.29, ImageCompression 0.14; a file of the exchanged picture is the same
webp: of blue stripes a file keeps 0.14, ImageCompression 0.29; a file of the exchanged picture is the same
SEEN
echo "as found: ImageCompression loses in red what a file loses in blue"
