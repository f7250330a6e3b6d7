#!/usr/bin/env bash
# onnxslim 0.1.98: a convolution and a product with one number for each column of its map, onnxruntime 1.32.0 before and after.
#
# Expected: a factor for each channel (C x 1 x 1) can be put into the convolution's weights; one for each column (W) or row (H x 1), by which
# nets weigh places of a map, cannot. ONNX broadcasts from the last axis, so the shapes tell them apart.
# Seen: onnxslim takes any constant with one long side for a factor of channels, if that side is as long as there are channels: in a map
# of 16 x 16 with 16 channels, columns and rows become channels. Shape and size fit, and the command ends with success. Its fusion of Add,
# in the file beside it, does look at the axis: the same constant added is left alone.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98
cat >ask.py <<'P'
import subprocess
import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper as h, numpy_helper, TensorProto as T
rng = np.random.default_rng(0)
x = rng.normal(size=(1, 3, 16, 16)).astype(np.float32)
def run(file): return ort.InferenceSession(file).run(None, {'x': x})[0]
def ask(op, name, shape):
    constants = [numpy_helper.from_array(rng.normal(size=(16, 3, 3, 3)).astype(np.float32), 'w'),
        numpy_helper.from_array(np.linspace(0, 1, 16, dtype=np.float32).reshape(shape), 'k')]
    nodes = [h.make_node('Conv', ['x', 'w'], ['c'], pads=[1, 1, 1, 1]), h.make_node(op, ['c', 'k'], ['y'])]
    graph = h.make_graph(nodes, 'g', [h.make_tensor_value_info('x', T.FLOAT, x.shape)], [h.make_tensor_value_info('y', T.FLOAT, [1, 16, 16, 16])], constants)
    model = h.make_model(graph, opset_imports=[h.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, 'm.onnx')
    subprocess.run(['v/bin/onnxslim', 'm.onnx', 's.onnx'], check=True, capture_output=True)
    same = np.allclose(run('m.onnx'), run('s.onnx'), atol=1e-4)
    print(op, 'by', name, [n.op_type for n in onnx.load('s.onnx').graph.node], 'as before' if same else 'other values')
for op in 'Mul', 'Add':
    ask(op, 'channel', (16, 1, 1))
    ask(op, 'row', (16, 1))
    ask(op, 'column', (16,))
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
Mul by channel ['Conv'] as before
Mul by row ['Conv'] other values
Mul by column ['Conv'] other values
Add by channel ['Conv'] as before
Add by row ['Conv', 'Add'] as before
Add by column ['Conv', 'Add'] as before
SEEN
echo "as found: onnxslim multiplies channels by what belongs to rows or columns"
