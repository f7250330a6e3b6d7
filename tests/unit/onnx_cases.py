#!/usr/bin/python3
"""The cases of Debian's libonnx-testdata as onnx_cases_test.c takes them: every input but the first becomes an initializer.
usage: onnx_cases.py OUT

Writes OUT/NAME.onnx, NAME.x and NAME.y (float32) and OUT/index.tsv: name, operator, dimensions of x, numbers in y. Cases whose
first input or first output is not float32 are left out. Where an operator works number by number, x of 1, 3 or 5 dimensions is
laid out as rows.
"""
import glob, os, sys
import numpy as np
import onnx
from onnx import helper, numpy_helper

CASES = "/usr/share/libonnx-testdata/data/node"
BY_NUMBER = "Relu Sigmoid Tanh HardSwish HardSigmoid Elu Selu Celu LeakyRelu Softplus Softsign Exp Clip Neg Identity Dropout Max Min Add Sub Mul Div Sum".split()


def tensor(path):
    with open(path, "rb") as f:
        t = onnx.TensorProto()
        t.ParseFromString(f.read())
        return numpy_helper.to_array(t)


out = sys.argv[1]
with open(os.path.join(out, "index.tsv"), "w") as index:
    for folder in sorted(glob.glob(CASES + "/test_*")):
        name, data = os.path.basename(folder)[5:], folder + "/test_data_set_0"
        model = onnx.load(folder + "/model.onnx")
        g = model.graph
        try:
            ins = [tensor("%s/input_%d.pb" % (data, i)) for i in range(len(g.input))]
            y = tensor(data + "/output_0.pb")
        except Exception:  # sequences, maps, optionals
            continue
        if not ins or ins[0].dtype != np.float32 or y.dtype != np.float32 or not ins[0].size:
            continue
        x, op = ins[0], g.node[-1].op_type
        if x.ndim not in (2, 4) and len(g.node) == 1 and op in BY_NUMBER and all(i.size == 1 for i in ins[1:]) and y.shape == x.shape:
            x = x.reshape(x.shape[0] if x.ndim > 1 else 1, -1)
        for o in model.opset_import:  # a case is of the set that last changed its operator: the same in those that are read
            if o.domain == "":
                o.version = max(o.version, 7)
        del g.initializer[:]
        g.initializer.extend(numpy_helper.from_array(v, i.name) for i, v in list(zip(g.input, ins))[1:])
        first = helper.make_tensor_value_info(g.input[0].name, onnx.TensorProto.FLOAT, x.shape)
        del g.input[:]
        g.input.append(first)
        with open("%s/%s.onnx" % (out, name), "wb") as f:
            f.write(model.SerializeToString())
        x.transpose((0, 2, 3, 1)).tofile("%s/%s.x" % (out, name)) if x.ndim == 4 else x.tofile("%s/%s.x" % (out, name))
        (y.transpose((0, 2, 3, 1)) if y.ndim == 4 else y).astype(np.float32).tofile("%s/%s.y" % (out, name))
        index.write("%s\t%s\t%s\t%d\n" % (name, op, "x".join(map(str, x.shape)), y.size))
