#!/usr/bin/env bash
# Zeros around a map, then a max pool: onnxoptimizer 0.4.2 with its default passes, onnxruntime 1.32.0 before and after.
#
# Expected: an optimizer keeps a net's answers. Zeros that a Pad node puts around a map take part in the maximum, while a pool's own
# padding never does, so the two are not the same unless all values are positive.
# Seen: the default passes make them one (fuse_pad_into_pool), without a look at the values: wherever a window at the border holds
# negative values only, its answer changes from 0 to the largest of them. Keras' ResNet50V2 has
# this pair of nodes, on a convolution's output of both signs.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxoptimizer==0.4.2 onnxruntime==1.32.0
cat >ask.py <<'P'
import numpy as np
import onnx
import onnxoptimizer
import onnxruntime as ort
from onnx import helper as h, numpy_helper, TensorProto as T
x = -np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)
nodes = [h.make_node('Pad', ['x', 'pads', 'zero'], ['padded']), h.make_node('MaxPool', ['padded'], ['y'], kernel_shape=[3, 3], strides=[2, 2])]
constants = [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), 'pads'), numpy_helper.from_array(np.array(0, np.float32), 'zero')]
graph = h.make_graph(nodes, 'g', [h.make_tensor_value_info('x', T.FLOAT, x.shape)], [h.make_tensor_value_info('y', T.FLOAT, [None] * 4)], constants)
model = h.make_model(graph, opset_imports=[h.make_opsetid('', 13)], ir_version=8)
onnx.checker.check_model(model, full_check=True)
def said(how, m):
    y = ort.InferenceSession(m.SerializeToString()).run(None, {'x': x})[0]
    print(how, [n.op_type for n in m.graph.node], y.ravel().tolist())
said('before', model)
said('after', onnxoptimizer.optimize(model))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
before ['Pad', 'MaxPool'] [0.0, 0.0, 0.0, -6.0]
after ['MaxPool'] [-1.0, -2.0, -5.0, -6.0]
SEEN
echo "as found: onnxoptimizer folds zeros into a max pool, which knows none"
