#!/usr/bin/env bash
# Softmax of opset 11 on a map that is not flat yet: onnxruntime 1.32.0, OpenVINO 2026.4.1, onnx 1.23.2's reference evaluator.
#
# Expected: before opset 13 the axis (default 1) says where to fold the tensor into a matrix, and each row of that matrix sums to 1: a
# (1, 2, 2, 2) map has eight values that sum to 1. Three maintained readers of old files agree on that.
# Seen: only onnxruntime. The reference takes opset 13's meaning and its default, the last axis (four pairs that sum to 1); OpenVINO takes
# softmax along axis 1 alone (four other pairs), although its LogSoftmax and Hardmax of the same opset do fold.
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
x = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
for op in 'Softmax', 'LogSoftmax':
    m = model(h.make_node(op, ['x'], ['y']), x, 11)
    for by in by_onnxruntime, by_reference, by_openvino:
        y = by(m, x).astype(np.float64)
        print(op, by.__name__, 'sum', round((np.exp(y) if op == 'LogSoftmax' else y).sum()), 'last', y.ravel()[-1].round(3))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
Softmax by_onnxruntime sum 1 last 0.632
Softmax by_reference sum 4 last 0.731
Softmax by_openvino sum 4 last 0.982
LogSoftmax by_onnxruntime sum 1 last -0.458
LogSoftmax by_reference sum 4 last -0.313
LogSoftmax by_openvino sum 1 last -0.458
SEEN
echo "as found: Softmax of opset 11 on four axes has three answers"
