"""keras_files.py BIN FIXTURES WORK: what winnow writes as .keras, opened by the real Keras (build/py, OpenVINO as its backend).

For each fixture: Keras' outputs for the file as Keras saved it, and for the file that winnow made of it. They are the same to
the last bit where the graph is the same; where winnow writes a layer in other words (a separable convolution as two, a PReLU
as ReLUs, a Normalization as a Rescaling) the largest difference is printed.
"""
import os
import pathlib
import subprocess
import sys

os.environ["KERAS_BACKEND"] = "openvino"
import keras
import numpy as np
import openvino

compile_model = openvino.compile_model  # which takes bfloat16 where the processor has it
openvino.compile_model = lambda model, device, config=None: compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})

binary, fixtures, work = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
rows = [line.split("\t") for line in (fixtures / "expected.tsv").read_text().splitlines()[1:]]
same = close = failed = skipped = tensorflow = 0
for row in rows:
    file, net, given, fed = row[:4]
    if not file.endswith(".keras") or net.startswith("int"):
        continue
    ours = work / f"{net}.keras"
    run = subprocess.run([binary + "/export", "-q", "--model", fixtures / file, "--to", "keras", "-o", ours], capture_output=True, text=True)
    if run.returncode:
        print(f"{net}: not written: {run.stderr.strip()}")
        failed += 1
        continue
    x = np.load(fixtures / given)
    x = x.astype("float32") / np.float32(255) if "255" in fed else x.astype("float32")
    try:
        b = np.asarray(keras.saving.load_model(ours, compile=False).predict(x, verbose=0))
    except Exception as e:
        print(f"{net}: Keras does not open it: {type(e).__name__}: {str(e).splitlines()[0][:150]}")
        failed += 1
        continue
    try:
        a = np.asarray(keras.saving.load_model(fixtures / file, compile=False).predict(x, verbose=0))
    except Exception as e:  # OpenVINO lacks some operations of the original
        a = np.load(fixtures / row[4])
        print(f"{net}: against TensorFlow's outputs: {np.abs(a - b).max():.2g} ({type(e).__name__} in OpenVINO)")
        skipped += 1
        continue
    difference = np.abs(a.astype("float64") - b).max()
    tensorflow = max(tensorflow, np.abs(np.load(fixtures / row[4]) - b).max() if "float16" not in net else 0)
    if a.tobytes() == b.tobytes():
        same += 1
    else:
        close += 1
        print(f"{net}: differs by {difference:.2g}")
print(f"{same} the same to the last bit, {close} differ, {skipped} compared with TensorFlow, {failed} failed; Keras {keras.__version__}")
print(f"largest difference of the rewritten files to TensorFlow's outputs: {tensorflow:.2g}")
sys.exit(failed > 0)
