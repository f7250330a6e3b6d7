#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: BatchNormalization of opset 9 with one output (onnxruntime 1.32.0 beside it).
#
# Expected: opsets 9 to 13 have no training_mode; one output means inference, so the stored mean and variance are used as they are.
# Seen: the evaluator moves both towards the batch's first, by momentum (0.9 of the stored, 0.1 of the batch's), and normalises with that:
# three pictures of 10 with a stored mean of 0 and variance of 1 give 9.487 instead of 10. With opset 15 it gives 10. Files of 2018 to
# 2020 (PyTorch's exporter of that time) hold this opset.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install onnx==1.23.2 onnxruntime==1.32.0
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
from onnx.reference import ReferenceEvaluator
def by_reference(m, x): return ReferenceEvaluator(onnx.load_from_string(m)).run(None, {'x': x})[0]
x = np.full((3, 1, 1, 2), 10, np.float32)
statistics = [(n, T.FLOAT, [1], [v]) for n, v in (('scale', 1.0), ('shift', 0.0), ('mean', 0.0), ('variance', 1.0))]
for opset in 9, 15:
    m = model(h.make_node('BatchNormalization', ['x', 'scale', 'shift', 'mean', 'variance'], ['y'], epsilon=1e-9), x, opset, statistics)
    for by in by_onnxruntime, by_reference: print(opset, by.__name__, by(m, x).ravel()[0].round(3))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
9 by_onnxruntime 10.0
9 by_reference 9.487
15 by_onnxruntime 10.0
15 by_reference 10.0
SEEN
echo "as found: the reference evaluator learns in BatchNormalization of opset 9"
