"""Whether two programs see the same pictures: compare_pictures.py MANIFEST LEVELS FOLDER [SUFFIX]. MANIFEST: augment's, of PNG copies of
whole pictures (columns path, source); FOLDER/NAME+SUFFIX: what the other made of NAME; both absent is agreement. Prints how many there
are, and those that differ: names, and by how many levels or which sizes. Names on standard input are the ones to look at."""
import os, sys
import numpy as np
from PIL import Image

manifest, levels, folder = sys.argv[1:4]
suffix = sys.argv[4] if len(sys.argv) > 4 else ""
lines = [line.rstrip("\n").split("\t") for line in open(manifest)]
rows = [dict(zip(lines[0], line)) for line in lines[1:]]
made = {os.path.basename(r["source"]): r["path"] for r in rows if r["source"]}
n, odd = 0, []
for name in sys.stdin.read().split():
    theirs = os.path.join(folder, name + suffix)
    if (name in made) != os.path.exists(theirs):
        odd.append(name + (": ours alone" if name in made else ": theirs alone"))
        continue
    n += 1
    if name not in made:
        continue
    a, b = (np.asarray(Image.open(p).convert("RGB")).astype(int) for p in (made[name], theirs))
    if a.shape != b.shape:
        odd.append("%s: %dx%d, theirs %dx%d" % (name, a.shape[1], a.shape[0], b.shape[1], b.shape[0]))
    elif np.abs(a - b).max() > int(levels):
        odd.append("%s: %d levels" % (name, np.abs(a - b).max()))
print(n, " alike", *("; " + o for o in odd[:12]), " ..." if len(odd) > 12 else "", sep="")
sys.exit(bool(odd) or n == 0)
