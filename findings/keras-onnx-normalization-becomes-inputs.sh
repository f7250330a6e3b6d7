#!/usr/bin/env bash
# Keras 3.15.1 with TensorFlow 2.21.0 and tf2onnx 1.17.0, onnxruntime 1.32.0, all from PyPI.
#
# Expected: model.export('net.onnx', format='onnx') writes a file with the model's one input.
# Seen: the mean and the deviation of a Normalization layer become two more inputs of the graph, and their numbers are nowhere in the file;
# export says nothing, and onnxruntime refuses to run it. keras.applications' EfficientNetB0 and EfficientNetV2B0 have such a layer. A model
# that was not called before is refused ("never called"), though its layers know all their shapes.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install keras==3.15.1 tensorflow-cpu==2.21.0 tf2onnx==1.17.0 onnxruntime==1.32.0
KERAS_BACKEND=tensorflow CUDA_VISIBLE_DEVICES=-1 TF_CPP_MIN_LOG_LEVEL=3 v/bin/python - <<'P' 2>/dev/null
import keras, numpy as np, onnxruntime as ort
x, pixels = keras.Input((4, 4, 3)), np.zeros((1, 4, 4, 3), np.float32)
m = keras.Model(x, keras.layers.GlobalAveragePooling2D()(keras.layers.Normalization(mean=[1., 2., 3.], variance=[4., 9., 16.])(x)))
try:
    m.export("n.onnx", format="onnx", verbose=False)
    raise SystemExit("exported without a call")
except ValueError as e:
    assert "never called" in str(e), e
m(pixels)
m.export("n.onnx", format="onnx", verbose=False)
s = ort.InferenceSession("n.onnx")
names = [i.name for i in s.get_inputs()]
assert len(names) == 3 and "Sub" in names[1] and "Sqrt" in names[2], names
try:
    s.run(None, {names[0]: pixels})
    raise SystemExit("it runs")
except ValueError as e:
    assert "missing from input feed" in str(e), e
P
echo "as found: keras 3.15.1, tf2onnx 1.17.0: Normalization's numbers become inputs of the ONNX graph"
