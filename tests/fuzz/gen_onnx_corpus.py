#!/usr/bin/python3
"""Writes the seed corpus of the onnx fuzz target: small networks as exporters write them, and files that must be refused.
usage: gen_onnx_corpus.py [FOLDER]

Run once with python3-onnx 1.12, the outputs are committed; tests/unit/onnx_read_test.c says what each is for.
"""
import os, sys
import numpy as np
from onnx import TensorProto, helper as h, numpy_helper

folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus/onnx")
os.makedirs(folder, exist_ok=True)
dice = np.random.RandomState(3)


def w(name, *shape):
    return numpy_helper.from_array((dice.rand(*shape) - 0.5).astype(np.float32), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def save(name, nodes, initializers, shape=("N", 3, 8, 8), out=("N", 4), opset=17, outputs=None, domain="", **model):
    x = h.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    y = outputs or [h.make_tensor_value_info("y", TensorProto.FLOAT, out)]
    g = h.make_graph(nodes, "g", [x], y, initializers)
    m = h.make_model(g, opset_imports=[h.make_opsetid(domain, opset)], producer_name=model.get("producer", "test"))
    with open(os.path.join(folder, name + ".onnx"), "wb") as f:
        f.write(m.SerializeToString())


def n(op, ins, outs, **attributes):
    return h.make_node(op, ins.split(","), outs.split(","), name="n_" + outs.split(",")[0], **attributes)


head = [n("GlobalAveragePool", "h", "p"), n("Flatten", "p", "f"), n("Gemm", "f,fc.weight,fc.bias", "y", transB=1)]
fc = [w("fc.weight", 4, 6), w("fc.bias", 4)]
conv = n("Conv", "x,c.weight,c.bias", "c", pads=[1, 1, 1, 1])
cw = [w("c.weight", 6, 3, 3, 3), w("c.bias", 6)]

save("plain", [conv, n("Relu", "c", "h"), *head], [*cw, *fc])
save("norm", [n("Conv", "x,c.weight", "c", strides=[2, 2], pads=[1, 1, 1, 1]), n("BatchNormalization", "c,b.weight,b.bias,b.mean,b.var", "b"),
              n("HardSwish", "b", "h"), *head],
     [cw[0], w("b.weight", 6), w("b.bias", 6), w("b.mean", 6), numpy_helper.from_array(np.ones(6, np.float32), "b.var"), *fc])
save("gate", [conv, n("Sigmoid", "c", "cs"), n("Mul", "c,cs", "s"), n("ReduceMean", "s", "m", axes=[2, 3]), n("Conv", "m,r.weight,r.bias", "r"), n("HardSigmoid", "r", "e"),
              n("Mul", "s,e", "h"), *head], [*cw, w("r.weight", 6, 6, 1, 1), w("r.bias", 6), *fc])
save("groups", [n("Conv", "x,d.weight", "d", group=3), n("Clip", "d,lo,hi", "k"), n("Conv", "k,c.weight", "g", group=3), n("Concat", "g,g", "h", axis=1),
                n("ReduceMean", "h", "f", axes=[-1, -2], keepdims=0), n("MatMul", "f,fc.weight", "mm"), n("Add", "mm,fc.bias", "a"), n("Softmax", "a", "y")],
     [w("d.weight", 3, 1, 3, 3), w("c.weight", 6, 1, 1, 1), numpy_helper.from_array(np.float32(0), "lo"), numpy_helper.from_array(np.float32(6), "hi"), w("fc.weight", 12, 4), w("fc.bias", 4)])
# TensorFlow's: pictures in NHWC, weights transposed by a node, shapes computed
save("nhwc", [n("Transpose", "x", "t", perm=[0, 3, 1, 2]), n("Transpose", "kernel", "k", perm=[3, 2, 0, 1]), n("Conv", "t,k", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
              n("Mul", "c,one", "s"), n("Add", "s,shift", "h"), n("GlobalAveragePool", "h", "p"), n("Shape", "p", "sh"), n("Gather", "sh,zero", "bs"),
              n("Concat", "bs,minus", "to", axis=0), n("Reshape", "p,to", "f"), n("Gemm", "f,fc.weight,fc.bias", "y", transB=1)],
     [w("kernel", 3, 3, 3, 6), w("one", 1), w("shift", 1, 6, 1, 1), ints("zero", 0), ints("minus", -1), *fc], shape=(1, 8, 8, 3))
save("flat", [conv, n("MaxPool", "c", "h", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1), n("Flatten", "h", "f"), n("Gemm", "f,fc.weight,fc.bias", "y", transB=1)],
     [*cw, w("fc.weight", 4, 6 * 25), w("fc.bias", 4)])
save("old", [n("Pad", "x", "q", pads=[0, 0, 1, 0, 0, 0, 1, 2], mode="constant"), n("Conv", "q,c.weight,c.bias", "c"), n("Clip", "c", "k", min=0.0, max=6.0),
             n("AveragePool", "k", "v", kernel_shape=[2, 2], count_include_pad=1, pads=[1, 1, 0, 0]), n("Dropout", "v", "h", ratio=0.3), n("GlobalAveragePool", "h", "p"),
             n("Squeeze", "p", "f", axes=[2, 3]), n("Gemm", "f,fc.weight,fc.bias", "y", transB=1)], [*cw, *fc], opset=7)
save("headless", [conv, n("Relu", "c", "y")], cw, out=("N", 6, 8, 8))

# equal weights are stored once: three layers read them
dice = np.random.RandomState(4)
shared = [conv] + [n("Conv", "%s,s.weight,c.bias" % a, b) for a, b in (("c", "c1"), ("c1", "c2"), ("c2", "h"))]
save("shared", [*shared, *head], [*cw, w("s.weight", 6, 6, 1, 1), *fc])

# parts of the channels and of the picture, channels in another order, other sizes
kept, dice = dice, np.random.RandomState(5)
up = dict(mode="nearest", nearest_mode="floor", coordinate_transformation_mode="asymmetric")
save("parts", [n("Split", "x,three", "x1,x2", axis=1), n("Concat", "x1,x2", "xx", axis=1), conv, n("Reshape", "c,to5", "c5"), n("Transpose", "c5", "t5", perm=[0, 2, 1, 3, 4]),
               n("Reshape", "t5,to4", "s"), n("Slice", "s,two,six,one", "s1"), n("Slice", "s,zeros,ends,axes,steps", "s2"), n("Gather", "s1,back", "s3", axis=1),
               n("Shape", "s2", "sh"), n("Slice", "sh,zero,two", "nc"), n("Concat", "nc,five", "to", axis=0), n("Resize", "s2,,,to", "r", **up), n("Resize", "s2,,twice", "u", **up), n("Slice", "u,zero2,five2,axes2", "u5"), n("Slice", "s3,zero2,five2,axes2", "s5"),
               n("Concat", "r,u5,s5", "h", axis=1), *head],
     [*cw, ints("three", 1, 2), ints("to5", 0, 2, 3, 8, 8), ints("to4", 0, -1, 8, 8), ints("two", 2), ints("six", 6), ints("one", 1), ints("zeros", 0, 1, -5), ints("ends", 4, 2**62, 8),
      ints("axes", 1, 2, 3), ints("steps", 1, 3, 2), ints("back", 3, -2, 1, 0), ints("five", 5, 5), ints("zero", 0), numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"),
      ints("zero2", 0, 0), ints("five2", 5, 5), ints("axes2", 2, 3), w("fc.weight", 4, 12), w("fc.bias", 4)])

# GELU in pieces, a gate along the channels (ECA), pads below every number, pads that cut off
number = lambda name, v: numpy_helper.from_array(np.float32(v), name)
save("pieces", [conv, n("Div", "c,root", "e1"), n("Erf", "e1", "e2"), n("Add", "e2,uno", "e3"), n("Mul", "c,e3", "e4"), n("Mul", "e4,half", "g"),
                n("GlobalAveragePool", "g", "q"), n("Reshape", "q,line", "q1"), n("Conv", "q1,k.weight", "q2", pads=[1, 1]), n("Sigmoid", "q2", "q3"), n("Reshape", "q3,point", "q4"),
                n("Shape", "g", "sh"), n("Expand", "q4,sh", "q5"), n("Mul", "g,q5", "s"), n("Pad", "s,around,low", "p1"), n("MaxPool", "p1", "p2", kernel_shape=[3, 3], strides=[2, 2]),
                n("Pad", "p2,shift", "h"), *head],
     [*cw, number("root", 2 ** 0.5), number("uno", 1), number("half", 0.5), number("low", -np.inf), ints("line", -1, 1, 6), ints("point", -1, 6, 1, 1), w("k.weight", 1, 1, 3),
      ints("around", 0, 0, 0, 1, 0, 0, 1, 0), ints("shift", 0, 0, -1, 1, 0, 0, 1, -1), *fc])
dice = kept

# --- to be refused ---
save("bad-erf", [conv, n("Erf", "c", "h"), *head], [*cw, *fc])
save("bad-groups", [conv, n("Reshape", "c,to5", "c5"), n("Relu", "c5", "r5"), n("Reshape", "r5,to4", "h"), *head], [*cw, ints("to5", 0, 2, 3, 8, 8), ints("to4", 0, 6, 8, 8), *fc])
save("bad-split", [conv, n("Split", "c,parts", "h,i", axis=1), *head], [*cw, ints("parts", 5, 2), *fc])
save("bad-resize", [conv, n("Resize", "c,,twice", "h", mode="cubic"), *head], [*cw, numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"), *fc])
save("bad-operator", [conv, n("LayerNormalization", "c,fc.bias", "h"), *head], [*cw, *fc])
save("bad-domain", [conv, h.make_node("Relu", ["c"], ["h"], name="n_h", domain="com.microsoft"), *head], [*cw, *fc])
save("bad-attribute", [conv, n("Relu", "c", "h", speed=3), *head], [*cw, *fc])
save("bad-cycle", [n("Add", "c,h", "a"), n("Relu", "a", "h"), conv, *head], [*cw, *fc])
save("bad-shape", [conv, n("Relu", "c", "h"), *head], [cw[0], w("c.bias", 5), *fc])
save("bad-opset", [conv, n("Relu", "c", "h"), *head], [*cw, *fc], opset=99)
save("bad-attention", [conv, n("Relu", "c", "h"), n("GlobalAveragePool", "h", "p"), n("Flatten", "p", "f"), n("MatMul", "f,f", "y")], [*cw])
save("bad-training", [conv, n("BatchNormalization", "c,b.weight,b.bias,b.mean,b.var", "h", training_mode=1), *head],
     [*cw, w("b.weight", 6), w("b.bias", 6), w("b.mean", 6), w("b.var", 6), *fc])
save("bad-boxes", [conv, n("Reshape", "c,to", "y")], [*cw, ints("to", 0, 96, 4)], out=("N", 96, 4))
boxes = [h.make_tensor_value_info(k, TensorProto.FLOAT, ("N", 96, 4)) for k in ("y", "h")]
save("bad-outputs", [conv, n("Relu", "c", "h"), n("Relu", "h", "y")], cw, outputs=boxes)
huge = TensorProto(name="c.weight", data_type=1, dims=[6, 3, 8192, 8192], raw_data=b"1234")
save("bad-huge", [conv, n("Relu", "c", "h"), *head], [huge, cw[1], *fc])
for name, location in (("outside", "../data.bin"), ("absolute", "/etc/hostname"), ("link", "link.bin"), ("missing", "data.bin")):
    t = TensorProto(name="c.weight", data_type=1, dims=[6, 3, 3, 3], data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", "648")):
        t.external_data.add(key=key, value=value)
    save("external-" + name, [conv, n("Relu", "c", "h"), *head], [t, cw[1], *fc])
deep = b""
for _ in range(40):  # attribute.g of a node of a graph of an attribute ...
    node = b"\x2a" + bytes([0x80 | len(deep) & 0x7f, len(deep) >> 7]) + deep  # NodeProto.attribute
    graph = b"\x0a" + bytes([0x80 | len(node) & 0x7f, len(node) >> 7]) + node  # GraphProto.node
    deep = b"\x32" + bytes([0x80 | len(graph) & 0x7f, len(graph) >> 7]) + graph  # AttributeProto.g
node = b"\x2a" + bytes([0x80 | len(deep) & 0x7f, len(deep) >> 7]) + deep
graph = b"\x0a" + bytes([0x80 | len(node) & 0x7f, len(node) >> 7]) + node
with open(os.path.join(folder, "bad-deep.onnx"), "wb") as f:
    f.write(b"\x08\x08\x3a" + bytes([0x80 | len(graph) & 0x7f, len(graph) >> 7]) + graph)
