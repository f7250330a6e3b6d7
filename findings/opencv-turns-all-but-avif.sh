#!/usr/bin/env bash
# One picture that is to be shown turned by a quarter, in four formats: OpenCV 5.0.0.93's imread beside Pillow 13.0.0, which wrote them.
#
# Expected: imread turns what browsers turn: JPEG by EXIF, PNG by eXIf, AVIF by its irot (which the format's rules oblige a reader to
# apply); and, as it documents an orientation flag, perhaps WebP by EXIF too, which browsers do not.
# Seen: JPEG, PNG and WebP are turned, AVIF is not, and not by its EXIF either: a phone's picture saved as AVIF lies on its side in a
# set that OpenCV reads, beside JPEGs that stand.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 pillow==13.0.0 opencv-python-headless==5.0.0.93
cat >ask.py <<'P'
import cv2
from PIL import Image, ImageOps
stored = Image.new('RGB', (80, 40), 'white')
turned = Image.Exif()
turned[0x0112] = 6
for kind in 'jpeg', 'png', 'webp', 'avif':
    stored.save(f'p.{kind}', exif=turned)
    seen = cv2.imread(f'p.{kind}')
    print(kind, 'OpenCV', (seen.shape[1], seen.shape[0]), 'Pillow', ImageOps.exif_transpose(Image.open(f'p.{kind}')).size,
        'irot' if b'irot' in open(f'p.{kind}', 'rb').read() else 'EXIF')
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
jpeg OpenCV (40, 80) Pillow (40, 80) EXIF
png OpenCV (40, 80) Pillow (40, 80) EXIF
webp OpenCV (40, 80) Pillow (40, 80) EXIF
avif OpenCV (80, 40) Pillow (40, 80) irot
SEEN
echo "as found: OpenCV turns JPEG, PNG and WebP, and leaves AVIF lying"
