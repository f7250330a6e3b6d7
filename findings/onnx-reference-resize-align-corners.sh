#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: Resize by a scale with align_corners, when the scaled side is no whole number (onnxruntime 1.32.0
# and OpenVINO 2026.4.1 beside it).
#
# Expected: align_corners maps the last sample of the output onto the last of the input: that is its purpose.
# Seen: the reference of the standard computes with the side before it is rounded down (4 x 0.6 = 2.4), so the last sample lies at 2.14
# instead of 3; both runtimes hit the corner. Whoever takes the reference as the truth for such a graph "finds" a fault in both runtimes.
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
from onnx.reference import ReferenceEvaluator
def by_reference(m, x): return ReferenceEvaluator(onnx.load_from_string(m)).run(None, {'x': x})[0]
x = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4)
for scale in 0.5, 0.6:
    m = model(h.make_node('Resize', ['x', '', 'by'], ['y'], mode='linear', coordinate_transformation_mode='align_corners'), x, 19,
              [('by', T.FLOAT, [4], [1, 1, 1, scale])])
    for by in by_onnxruntime, by_openvino, by_reference: print(scale, by.__name__, by(m, x).ravel().astype(float).round(2).tolist())
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
0.5 by_onnxruntime [0.0, 3.0]
0.5 by_openvino [0.0, 3.0]
0.5 by_reference [0.0, 3.0]
0.6 by_onnxruntime [0.0, 3.0]
0.6 by_openvino [0.0, 3.0]
0.6 by_reference [0.0, 2.14]
SEEN
echo "as found: the reference evaluator misses the corner that align_corners names"
