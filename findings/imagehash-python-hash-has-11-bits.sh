#!/usr/bin/env bash
# ImageHash 4.3.2 (what CleanVision and many duplicate finders use): its hashes as keys of a dict or members of a set.
#
# Expected: `hash(h)` of a 64-bit perceptual hash spreads like any other key, so a dict finds exact copies among n pictures in O(n).
# Seen: `__hash__` adds up 2 to the power (i % 8) over the set bits, so it never exceeds 8 * 255 = 2040: 20,000 different hashes share some
# 1,200 values, around 1,000 for the most part. Each look-up compares the whole bucket, array by array: a set of n pictures takes O(n * n).
# str(h) as the key does not.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install ImageHash==4.3.2
v/bin/python - <<'P'
import imagehash, numpy as np
rng = np.random.default_rng(0)
hashes = [imagehash.ImageHash(rng.random((8, 8)) < 0.5) for _ in range(20000)]
texts, keys = {str(h) for h in hashes}, {hash(h) for h in hashes}
print(len(texts), 'different hashes,', len(keys), 'values of hash(), the largest', max(keys))
assert len(texts) == 20000 and len(keys) < 1300 and max(keys) <= 2040
class Counted(imagehash.ImageHash):
    compared = 0
    def __eq__(self, other):
        Counted.compared += 1
        return super().__eq__(other)
    __hash__ = imagehash.ImageHash.__hash__
for n in 1000, 2000, 4000:
    Counted.compared = 0
    set(Counted(h.hash) for h in hashes[:n])
    print(n, 'into a set:', Counted.compared, 'comparisons')
assert Counted.compared > 8000
P
echo "as found: ImageHash 4.3.2: hash() of a 64-bit hash has about 1,200 values"
