#!/usr/bin/env bash
# onnx.version_converter of onnx 1.23.2 on nets of one node, each run by onnxruntime 1.32.0 before and after.
#
# Expected: the converter says what it cannot convert, and what it does convert answers as before. Where an operator's meaning changed
# between two opsets (Resize in 11, the axis of Softmax and Hardmax in 13) it adds the attribute or the nodes that keep the old meaning.
# Seen: it does so for Softmax and LogSoftmax on the way up, and for nothing else of them. Resize 10 and Upsample 9 become a Resize with
# the new default (half pixels instead of asymmetric), Hardmax gets the new number and no more, and Softmax 13 goes down as it stands.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cat >ask.py <<'P'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper as h, numpy_helper, TensorProto as T
x = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
def ask(op, from_opset, to_opset, scales=None, **attributes):
    inputs, constants = ['x'], []
    if scales:
        inputs.append('scales')
        constants.append(numpy_helper.from_array(np.array(scales, np.float32), 'scales'))
    graph = h.make_graph([h.make_node(op, inputs, ['y'], **attributes)], 'g', [h.make_tensor_value_info('x', T.FLOAT, x.shape)],
        [h.make_tensor_value_info('y', T.FLOAT, [None] * 4)], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', from_opset)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    run = lambda m: ort.InferenceSession(m.SerializeToString()).run(None, {'x': x})[0]
    before, after = run(model), run(onnx.version_converter.convert_version(model, to_opset))
    print(op, f'{from_opset} -> {to_opset}', 'as before' if np.allclose(before, after, atol=1e-6) else f'differs by up to {np.abs(before - after).max():.3f}')
ask('Softmax', 11, 13, axis=1)
ask('LogSoftmax', 11, 13, axis=1)
ask('Hardmax', 11, 13, axis=1)
ask('Softmax', 13, 11, axis=1)
ask('Upsample', 9, 11, [1, 1, 2, 2], mode='linear')
ask('Resize', 10, 11, [1, 1, 2, 2], mode='linear')
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
Softmax 11 -> 13 as before
LogSoftmax 11 -> 13 as before
Hardmax 11 -> 13 differs by up to 1.000
Softmax 13 -> 11 differs by up to 0.951
Upsample 9 -> 11 differs by up to 0.750
Resize 10 -> 11 differs by up to 0.750
SEEN
echo "as found: the version converter changes what Resize, Upsample, Hardmax and a lowered Softmax answer"
