#!/usr/bin/env bash
# OpenVINO 2026.4.1: an ONNX Resize (opset 19) with antialias, exclude_outside or keep_aspect_ratio_policy (onnxruntime 1.32.0 beside it).
#
# Expected: an attribute that the importer cannot map is refused, as it refuses half_pixel_symmetric; else both runtimes agree.
# Seen: all three are dropped without a word. antialias=1 gives the same samples as antialias=0; exclude_outside=1 the same as 0; and with
# keep_aspect_ratio_policy="not_larger" 4x6 into 3x3 becomes 3x3, stretched, where onnxruntime gives 2x3: another shape. A net with its
# resize inside the graph (as preprocessing exporters write it) gets aliased or distorted pictures.
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
same = lambda a, b: a.shape == b.shape and np.allclose(a, b, atol=1e-5)
r = np.random.default_rng(1).random((1, 1, 9, 9), dtype=np.float32)
small = [('to', T.INT64, [4], [1, 1, 4, 4])]
def resize(mode, **more): return model(h.make_node('Resize', ['x', '', '', 'to'], ['y'], mode=mode, **more), r, 19, small)
for name, mode, value in ('antialias', 'linear', 1), ('antialias', 'cubic', 1), ('exclude_outside', 'cubic', 1):
    plain, asked = resize(mode), resize(mode, **{name: value})
    print(name, mode, 'onnxruntime obeys:', not same(by_onnxruntime(plain, r), by_onnxruntime(asked, r)),
          'openvino obeys:', not same(by_openvino(plain, r), by_openvino(asked, r)))
wide = np.zeros((1, 1, 4, 6), np.float32)
kept = model(h.make_node('Resize', ['x', '', '', 'to'], ['y'], mode='linear', axes=[2, 3], keep_aspect_ratio_policy='not_larger'),
             wide, 19, [('to', T.INT64, [2], [3, 3])])
print('not_larger', by_onnxruntime(kept, wide).shape[2:], by_openvino(kept, wide).shape[2:])
P
v/bin/python ask.py 2>/dev/null | tee seen
diff seen - <<'SEEN'
antialias linear onnxruntime obeys: True openvino obeys: False
antialias cubic onnxruntime obeys: True openvino obeys: False
exclude_outside cubic onnxruntime obeys: True openvino obeys: False
not_larger (2, 3) (3, 3)
SEEN
echo "as found: OpenVINO drops antialias, exclude_outside and keep_aspect_ratio_policy of Resize without a word"
