#!/usr/bin/env bash
# LogSoftmax and ReduceLogSumExp of an ONNX file in OpenCV 5.0.0.93's dnn, tract 0.23.9 and onnx 1.23.2's reference (onnxruntime 1.32.0 beside).
#
# Expected: both subtract the largest value first, as every training library does: that is why they are operators of their own and not
# Log(Softmax(x)) and Log(Sum(Exp(x))).
# Seen: for two logits 110 apart LogSoftmax is minus infinity in all three, and ReduceLogSumExp of a logit of 100 is infinite in OpenCV and
# tract (the reference subtracts here). A net that is too sure of itself on a wrong label is exactly what a search for label errors looks
# for: by log probabilities or energy its worst rows all get the same infinite score, and a mean over the set becomes infinite.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93 tract==0.23.9
cat >ask.py <<'P'
import numpy as np
import cv2
import onnx
import onnxruntime as ort
import tract
from onnx import helper as h, TensorProto as T
from onnx.reference import ReferenceEvaluator
def ask(op, x, out, **attributes):
    graph = h.make_graph([h.make_node(op, ['x'], ['y'], **attributes)], 'g', [h.make_tensor_value_info('x', T.FLOAT, x.shape)],
        [h.make_tensor_value_info('y', T.FLOAT, out)])
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    raw = model.SerializeToString()
    onnx.save(model, 'm.onnx')
    said = {'onnxruntime': ort.InferenceSession(raw).run(None, {'x': x})[0], 'reference': ReferenceEvaluator(model).run(None, {'x': x})[0]}
    for name, engine in ('OpenCV new', cv2.dnn.ENGINE_NEW), ('OpenCV classic', cv2.dnn.ENGINE_CLASSIC):
        net = cv2.dnn.readNetFromONNX(np.frombuffer(raw, np.uint8), engine)
        net.setInput(x)
        said[name] = net.forward()
    read = tract.onnx().load('m.onnx')
    read.set_input_fact(0, ','.join(map(str, x.shape)) + ',f32')
    said['tract'] = read.into_model().into_runnable().run([x])[0].to_numpy()
    print(op, x.ravel().tolist())
    for name, y in said.items(): print('', name, y.ravel().round(2).tolist())
for gap in 80, 110: ask('LogSoftmax', np.array([[0, gap]], np.float32), [1, 2], axis=1)
for level in 80, 100: ask('ReduceLogSumExp', np.array([[0, level]], np.float32), [1, 1], axes=[1])
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
LogSoftmax [0.0, 80.0]
 onnxruntime [-80.0, 0.0]
 reference [-80.0, 0.0]
 OpenCV new [-80.0, 0.0]
 OpenCV classic [-80.0, 0.0]
 tract [-80.0, 0.0]
LogSoftmax [0.0, 110.0]
 onnxruntime [-110.0, 0.0]
 reference [-inf, 0.0]
 OpenCV new [-inf, 0.0]
 OpenCV classic [-inf, 0.0]
 tract [-inf, 0.0]
ReduceLogSumExp [0.0, 80.0]
 onnxruntime [80.0]
 reference [80.0]
 OpenCV new [80.0]
 OpenCV classic [80.0]
 tract [80.0]
ReduceLogSumExp [0.0, 100.0]
 onnxruntime [100.0]
 reference [100.0]
 OpenCV new [inf]
 OpenCV classic [inf]
 tract [inf]
SEEN
echo "as found: LogSoftmax and ReduceLogSumExp are infinite where their answers are 110 and 100"
