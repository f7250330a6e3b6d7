#!/usr/bin/env bash
# img2dataset 1.47.0 (OpenCV 4.14.0.94): PNG files of 16 bits a sample, as scanners, microscopes and render programs write them.
#
# Expected: what it stores as JPEG shows the picture that a browser shows: the upper eight bits of each sample. Else the row is marked as failed.
# Seen: it reads the file with all 16 bits, resizes it, and hands it to OpenCV's JPEG writer, which cuts off at 255 instead of scaling: all
# that is brighter than 0.4 % is 255. Grey and colour pictures alike become a white square, and the row says "success". What hangs on the
# row (caption, label, hash) then belongs to a white square, and all of them are near copies of each other.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'kill "$server" 2>/dev/null || :; rm -rf "$PWD"' EXIT
export NO_ALBUMENTATIONS_UPDATE=1
python3 -m venv v
v/bin/pip -q install img2dataset==1.47.0 opencv-python-headless==4.14.0.94 albumentations==1.4.24 numpy==2.4.6 pillow==13.0.0
mkdir www
v/bin/python - <<'P'
import cv2
import numpy as np
ramp = np.tile(np.linspace(0, 255, 400).astype(np.uint8), (200, 1))
colour = np.dstack([ramp, ramp[:, ::-1], ramp])
cv2.imwrite('www/8-grey.png', ramp)
cv2.imwrite('www/16-grey.png', ramp.astype(np.uint16) * 257)
cv2.imwrite('www/16-colour.png', colour.astype(np.uint16) * 257)
P
cat >serve.py <<'P'
import functools, http.server
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory='www')
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
open('port', 'w').write(str(server.server_port))
server.serve_forever()
P
v/bin/python serve.py 2>/dev/null &
server=$!
until [ -s port ]; do sleep 0.1; done
for name in 8-grey 16-grey 16-colour; do echo "http://127.0.0.1:$(cat port)/$name.png"; done >urls.txt
v/bin/img2dataset --url_list=urls.txt --output_folder=out --output_format=files --processes_count=1 --thread_count=1 --image_size=100 \
    --resize_mode=keep_ratio >log 2>&1
cat >ask.py <<'P'
import glob, json
import numpy as np
from PIL import Image
for file in sorted(glob.glob('out/00000/*.json')):
    row = json.load(open(file))
    image = np.asarray(Image.open(file[:-4] + 'jpg').convert('RGB')).astype(int)
    print(row['url'].rsplit('/', 1)[1], row['status'], 'mean', image.mean().round().astype(int), 'of it white', f'{(image > 250).all(2).mean():.2f}')
P
v/bin/python ask.py | tee seen
diff seen - <<'SEEN'
8-grey.png success mean 127 of it white 0.02
16-grey.png success mean 254 of it white 0.99
16-colour.png success mean 253 of it white 0.97
SEEN
echo "as found: img2dataset turns 16-bit pictures white and calls it success"
