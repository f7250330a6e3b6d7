#!/usr/bin/env bash
# OpenVINO 2026.4.1: a NaN at a ReLU or a Clip (onnxruntime 1.32.0 beside it).
#
# Expected: a net whose weights went NaN (a diverged training) says so in its output: NaN goes through ReLU, as in PyTorch, TensorFlow and
# onnxruntime, so that a check of the probabilities finds it.
# Seen: Relu and Clip(0, 6) make 0 of it on the CPU. The scores behind look like scores.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cat >ask.py <<'P'
import numpy as np
import onnx
from onnx import helper as h, TensorProto as T
def model(node, x, opset, constants=()):
    given = [h.make_tensor_value_info('x', T.FLOAT, x.shape)]
    graph = h.make_graph([node], 'g', given, [h.make_tensor_value_info('y', T.FLOAT, [None] * x.ndim)], [h.make_tensor(*c) for c in constants])
    made = h.make_model(graph, opset_imports=[h.make_opsetid('', opset)], ir_version=8)
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(made))
    return made.SerializeToString()
import onnxruntime as ort
def by_onnxruntime(m, x): return ort.InferenceSession(m).run(None, {'x': x})[0]
import openvino as ov
core = ov.Core()
def by_openvino(m, x): return core.compile_model(core.read_model(m), 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})(x)[0]
x = np.array([[np.nan, -1, 2]], np.float32)
relu = model(h.make_node('Relu', ['x'], ['y']), x, 13)
clip = model(h.make_node('Clip', ['x', 'lo', 'hi'], ['y']), x, 13, [('lo', T.FLOAT, [], [0.0]), ('hi', T.FLOAT, [], [6.0])])
for name, m in ('Relu', relu), ('Clip', clip): print(name, by_onnxruntime(m, x)[0].tolist(), by_openvino(m, x)[0].tolist())
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
Relu [nan, 0.0, 2.0] [0.0, 0.0, 2.0]
Clip [nan, 0.0, 2.0] [0.0, 0.0, 2.0]
SEEN
echo "as found: OpenVINO turns NaN into 0 at Relu and Clip"
