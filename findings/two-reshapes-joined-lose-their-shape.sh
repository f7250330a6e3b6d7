#!/usr/bin/env bash
# Reshape after Reshape, the second with zeros ("this side as it comes in"): onnxoptimizer 0.4.2 with its default passes and OpenCV
# 5.0.0.93's dnn, each beside onnxruntime 1.32.0 with the same file.
#
# Expected: two Reshapes may become one if the second says all sides itself. A zero copies a side of the second one's input, which is gone
# when both are joined, so it has to be filled in first or the pair left alone (onnxslim 0.1.98 does this).
# Seen: both drop the first and keep the zeros, which now copy sides of the first one's input. The number of values is the same, so
# nothing fails: 1x2x3x4 seen as six groups of four becomes two groups of twelve, and a softmax or mean over the group is of other values.
# With a ReLU in between both are right. Zeros are how a file leaves the size of the batch open.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxoptimizer==0.4.2 onnxruntime==1.32.0 onnxslim==0.1.98 opencv-python-headless==5.0.0.93
cat >ask.py <<'P'
import numpy as np
import cv2
import onnx
import onnxoptimizer
import onnxruntime as ort
import onnxslim
from onnx import helper as h, numpy_helper, TensorProto as T
x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
constants = [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in (('groups', [1, 6, 2, 2]), ('flat', [0, 0, -1]))]
def model(between):
    nodes = [h.make_node('Reshape', ['x', 'groups'], ['a']), *([h.make_node('Relu', ['a'], ['b'])] if between else []),
        h.make_node('Reshape', ['b' if between else 'a', 'flat'], ['c']), h.make_node('Softmax', ['c'], ['p'], axis=-1), h.make_node('Flatten', ['p'], ['y'])]
    graph = h.make_graph(nodes, 'g', [h.make_tensor_value_info('x', T.FLOAT, x.shape)], [h.make_tensor_value_info('y', T.FLOAT, [1, 24])], constants)
    made = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made
def run(m): return ort.InferenceSession(m.SerializeToString()).run(None, {'x': x})[0]
def opencv(m, engine):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(m.SerializeToString(), np.uint8), engine)
    net.setInput(x)
    return net.forward()
for between in True, False:
    made = model(between)
    print('with a ReLU between' if between else 'Reshape after Reshape')
    for who, y in (('onnxruntime', run(made)), ('onnxslim', run(onnxslim.slim(made))), ('onnxoptimizer', run(onnxoptimizer.optimize(made))),
        ('OpenCV, new engine', opencv(made, cv2.dnn.ENGINE_NEW)), ('OpenCV, classic', opencv(made, cv2.dnn.ENGINE_CLASSIC))):
        print(f' {who}: sums to {y.sum():.0f}, first four', y.ravel()[:4].astype(float).round(3).tolist())
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
with a ReLU between
 onnxruntime: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 onnxslim: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 onnxoptimizer: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 OpenCV, new engine: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 OpenCV, classic: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
Reshape after Reshape
 onnxruntime: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 onnxslim: sums to 6, first four [0.032, 0.087, 0.237, 0.644]
 onnxoptimizer: sums to 2, first four [0.0, 0.0, 0.0, 0.0]
 OpenCV, new engine: sums to 2, first four [0.0, 0.0, 0.0, 0.0]
 OpenCV, classic: sums to 2, first four [0.0, 0.0, 0.0, 0.0]
SEEN
echo "as found: onnxoptimizer and OpenCV count the zeros of the second Reshape on the first one's input"
