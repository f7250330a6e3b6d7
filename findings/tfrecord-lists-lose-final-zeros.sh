#!/usr/bin/env bash
# The PyPI package tfrecord 1.14.6 (reads TFRecord files without TensorFlow): a feature with several byte strings.
#
# Expected: a bytes_list is read back as the byte strings that were written: hashes, encoded masks, raw rows of samples, one for each object.
# Seen: one string comes back as bytes, several as a NumPy array of fixed width ('S16'), which takes the zeros at the end of each string for
# filling. Of 16-byte digests one in 256 or so comes back short, raw masks lose their dark end, and a string of zeros is empty.
# Nothing fails; the file itself is right, and the same string alone in its list is whole.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install tfrecord==1.14.6 numpy==2.4.6 protobuf==7.36.2 crc32c==2.9.post0
cat >ask.py <<'P'
import hashlib
import tfrecord
from tfrecord import example_pb2
digests = [hashlib.md5(b'%d' % i).digest() for i in range(4096)]
masks = [bytes([255] * 8 + [0] * 8), bytes(16)]
writer = tfrecord.TFRecordWriter('r.tfrecord')
writer.write({'digests': (digests, 'byte'), 'masks': (masks, 'byte'), 'alone': (masks[0], 'byte')})
writer.close()
inside = example_pb2.Example.FromString(open('r.tfrecord', 'rb').read()[12:-4]).features.feature
print('in the file', [len(m) for m in inside['masks'].bytes_list.value], 'digests that differ', sum(a != b for a, b in zip(digests, inside['digests'].bytes_list.value)))
row = next(iter(tfrecord.tfrecord_loader('r.tfrecord', None)))
print('as read', [len(m) for m in row['masks']], 'digests that differ', sum(a != bytes(b) for a, b in zip(digests, row['digests'])), 'of', len(digests), 'alone', len(row['alone']))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
in the file [16, 16] digests that differ 0
as read [8, 0] digests that differ 15 of 4096 alone 16
SEEN
echo "as found: the zeros at the end of a byte string are gone when it has company"
