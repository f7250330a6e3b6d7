#!/usr/bin/env bash
# OpenVINO 2026.4.1: MaxPool with pads and ceil_mode=1, where the last window would begin in the padding behind the picture (onnxruntime
# 1.32.0 and onnx 1.23.2's reference and shape inference beside it).
#
# Expected: such a window is left out, as PyTorch does, and as AveragePool's does in OpenVINO itself.
# Seen: OpenVINO's MaxPool keeps it: the output is one column longer than in onnxruntime and the reference, and that column is -inf or the least float, by shape. onnx's
# own shape inference promises the longer output for opset 12 and the shorter one for 22, so a graph with declared shapes fits one of them.
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
x = np.arange(5, dtype=np.float32).reshape(1, 1, 1, 5)
for opset in 12, 22:
    m = model(h.make_node('MaxPool', ['x'], ['y'], kernel_shape=[1, 3], strides=[1, 3], pads=[0, 1, 0, 1], ceil_mode=1), x, opset)
    shape = onnx.shape_inference.infer_shapes(onnx.load_from_string(m)).graph.output[0].type.tensor_type.shape
    print(opset, 'inferred', shape.dim[3].dim_value)
    for by in by_onnxruntime, by_reference, by_openvino: print(opset, by.__name__, [v if v > -1e38 else 'least' for v in by(m, x).ravel().tolist()])
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
12 inferred 3
12 by_onnxruntime [1.0, 4.0]
12 by_reference [1.0, 4.0]
12 by_openvino [1.0, 4.0, 'least']
22 inferred 2
22 by_onnxruntime [1.0, 4.0]
22 by_reference [1.0, 4.0]
22 by_openvino [1.0, 4.0, 'least']
SEEN
echo "as found: OpenVINO's MaxPool gives a value for a window without a pixel"
