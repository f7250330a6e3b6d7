#!/usr/bin/env bash
# OpenVINO 2026.4.1: AveragePool with pads, ceil_mode=1 and count_include_pad=1 (onnxruntime 1.32.0 and onnx 1.23.2's reference beside it).
#
# Expected: one answer. Padding counts, but what lies beyond the padding, where ceil_mode lets the last window hang over, does not
# (this is how PyTorch, which writes such files, divides).
# Seen: OpenVINO divides each window by its full size: on 4x4 with a 3x3 window, stride 2 and pads of 1, the last column and row come out
# a third, the corner 5/9 smaller than elsewhere (4 instead of 6, 1.78 instead of 4). With pads of 0 all agree.
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
x = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
for pads in [0] * 4, [1] * 4:
    m = model(h.make_node('AveragePool', ['x'], ['y'], kernel_shape=[3, 3], strides=[2, 2], pads=pads, ceil_mode=1, count_include_pad=1), x, 19)
    for by in by_onnxruntime, by_reference, by_openvino: print(pads[0], by.__name__, by(m, x)[0, 0].astype(float).round(2).tolist())
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
0 by_onnxruntime [[6.0, 7.5], [12.0, 13.5]]
0 by_reference [[6.0, 7.5], [12.0, 13.5]]
0 by_openvino [[6.0, 7.5], [12.0, 13.5]]
1 by_onnxruntime [[1.56, 3.33, 2.0], [6.33, 11.0, 6.0], [4.5, 7.5, 4.0]]
1 by_reference [[1.56, 3.33, 2.0], [6.33, 11.0, 6.0], [4.5, 7.5, 4.0]]
1 by_openvino [[1.56, 3.33, 1.33], [6.33, 11.0, 4.0], [3.0, 5.0, 1.78]]
SEEN
echo "as found: OpenVINO divides pooling windows beyond the padding by their full size"
