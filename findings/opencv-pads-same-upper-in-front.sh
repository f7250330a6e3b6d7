#!/usr/bin/env bash
# OpenCV 5.0.0.93's dnn: Conv and pools of an ONNX file with auto_pad, where the padding is an odd number (onnxruntime 1.32.0 beside it).
#
# Expected: SAME_UPPER is TensorFlow's "same": of one row of padding nothing goes in front and the row behind. SAME_LOWER is the opposite.
# The layers have both lists of paddings, so OpenCV either computes them or refuses.
# Seen: both engines (the new one is the default) read SAME_UPPER as SAME_LOWER: a window of 3 with stride 2 over an even side, which is
# the first layer of Keras' MobileNets and each halving of Xception, starts one pixel early, by Conv, MaxPool and AveragePool alike. The
# shapes fit, the scores are other ones. The same file with its paddings written out is computed right. A window of 2 with stride 1 in Conv
# is the other way round: there SAME_LOWER is read as SAME_UPPER. tf2onnx and keras2onnx write auto_pad where the size of the picture is
# left open.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93
cat >ask.py <<'P'
import numpy as np
import cv2
import onnx
import onnxruntime as ort
from onnx import helper as h, numpy_helper, TensorProto as T
x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
def ask(side, stride, op, **padding):
    window = dict(kernel_shape=[side, side], strides=[stride, stride])
    corner = np.zeros((1, 1, side, side), np.float32)
    corner[0, 0, 0, 0] = 1  # the convolution hands on the first sample of each window
    out = 4 // stride
    graph = h.make_graph([h.make_node(op, ['x', 'w'][:1 + (op == 'Conv')], ['y'], **window, **padding)], 'g',
        [h.make_tensor_value_info('x', T.FLOAT, x.shape)], [h.make_tensor_value_info('y', T.FLOAT, [1, 1, out, out])],
        [numpy_helper.from_array(corner, 'w')] if op == 'Conv' else [])
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    raw = model.SerializeToString()
    right = ort.InferenceSession(raw).run(None, {'x': x})[0]
    said = []
    for engine in cv2.dnn.ENGINE_AUTO, cv2.dnn.ENGINE_CLASSIC:
        net = cv2.dnn.readNetFromONNX(np.frombuffer(raw, np.uint8), engine)
        net.setInput(x)
        y = net.forward()
        said.append('equal' if np.allclose(y, right) else f'{y[0, 0, 0, :2].tolist()} instead of {right[0, 0, 0, :2].tolist()}')
    print(f'{op} {side}/{stride}', *padding.values(), '|', *said, sep=' ')
for op in 'Conv', 'MaxPool', 'AveragePool':
    for padding in 'SAME_UPPER', 'SAME_LOWER': ask(3, 2, op, auto_pad=padding)
    ask(3, 2, op, pads=[0, 0, 1, 1])
for padding in 'SAME_UPPER', 'SAME_LOWER': ask(2, 1, 'Conv', auto_pad=padding)
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
Conv 3/2 SAME_UPPER | [0.0, 0.0] instead of [0.0, 2.0] [0.0, 0.0] instead of [0.0, 2.0]
Conv 3/2 SAME_LOWER | equal equal
Conv 3/2 [0, 0, 1, 1] | equal equal
MaxPool 3/2 SAME_UPPER | [5.0, 7.0] instead of [10.0, 11.0] [5.0, 7.0] instead of [10.0, 11.0]
MaxPool 3/2 SAME_LOWER | equal equal
MaxPool 3/2 [0, 0, 1, 1] | equal equal
AveragePool 3/2 SAME_UPPER | [2.5, 4.0] instead of [5.0, 6.5] [2.5, 4.0] instead of [5.0, 6.5]
AveragePool 3/2 SAME_LOWER | equal equal
AveragePool 3/2 [0, 0, 1, 1] | equal equal
Conv 2/1 SAME_UPPER | equal equal
Conv 2/1 SAME_LOWER | [0.0, 1.0] instead of [0.0, 0.0] [0.0, 1.0] instead of [0.0, 0.0]
SEEN
echo "as found: OpenCV puts the odd row of SAME_UPPER in front"
