"""keras_weights.py BIN WORK: InceptionV3 of Keras with a head, made by export --weights-only into a file of its base, in keras.applications.

Random weights, 75 pixels. Prints how many layers the file has, and whether Keras' base has the same weights then, to the bit.
"""
import os
import subprocess
import sys

os.environ["KERAS_BACKEND"] = "openvino"
import h5py
import keras
import numpy as np

binary, work = sys.argv[1], sys.argv[2]
base = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))
rng = np.random.default_rng(1)
for v in base.weights:
    v.assign(rng.uniform(0.5, 1.5, v.shape).astype("float32"))
x = keras.layers.GlobalAveragePooling2D()(base.output)
keras.Model(base.input, keras.layers.Dense(3, activation="softmax")(x)).save(work + "/headed.keras")
subprocess.run([binary + "/export", "-q", "--model", work + "/headed.keras", "--to", "keras", "--weights-only", "-o", work + "/notop.h5"], check=True)
with h5py.File(work + "/notop.h5") as f:
    n = sum(len(f[name].attrs["weight_names"]) > 0 for name in f.attrs["layer_names"])
again = keras.applications.InceptionV3(include_top=False, weights=work + "/notop.h5", input_shape=(75, 75, 3))
equal = all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(base.weights, again.weights))
print(f"InceptionV3: {n} layers with weights in the file; keras.applications takes it, the weights {'the same' if equal else 'differ'}")
back = subprocess.run([binary + "/export", "-q", "--model", work + "/notop.h5", "--to", "tfjs", "-o", work + "/back"], capture_output=True, text=True)
print("winnow reads it back" if back.returncode == 0 else back.stderr.strip())
