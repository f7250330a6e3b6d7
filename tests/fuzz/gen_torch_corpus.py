#!/usr/bin/env python3
"""Writes the seed corpus of the torch_state fuzz target: PyTorch checkpoints of the form before 1.6, byte by byte and without
PyTorch, so that what must be refused can be written, too. usage: gen_torch_corpus.py [FOLDER]

Run once, the outputs are committed; tests/unit/net_torch_test.c says what each is for. `python3 -c 'import torch;
print(torch.load("ordinary.pth"))'` reads the good ones.
"""
import os, struct, sys

folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "corpus/torch_state")
os.makedirs(folder, exist_ok=True)
MARK = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."


def text(s):
    return b"X" + struct.pack("<I", len(s)) + s.encode()


def number(n):
    return b"J" + struct.pack("<i", n)


def pickle(body):
    return b"\x80\x02" + body + b"."


def name(module, what):
    return b"c" + module.encode() + b"\n" + what.encode() + b"\n"


ORDERED = name("collections", "OrderedDict") + b")R"
machine = lambda little=b"\x88": pickle(
    b"}q\x00(" + text("protocol_version") + b"M\xe9\x03" + text("little_endian") + little + text("type_sizes")
    + b"}(" + text("int") + b"K\x04uu")


def storage(key, n, kind="FloatStorage", view=b"N"):
    return b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + number(n) + view + b"tQ"


def tensor(key, n, offset, sizes, strides, kind="FloatStorage", view=b"N", rebuild="_rebuild_tensor_v2"):
    numbers = lambda l: b"(" + b"".join(number(i) for i in l) + b"t"
    return (name("torch._utils", rebuild) + b"(" + storage(key, n, kind, view) + number(offset) + numbers(sizes)
            + numbers(strides) + b"\x89" + ORDERED + b"tR")


def state(*items, end=b"u"):
    return pickle(ORDERED + b"q\x00(" + b"".join(text(k) + v for k, v in items) + end)


def data(*storages):
    keys = pickle(b"](" + b"".join(text(k) for k, _ in storages) + b"e")
    return keys + b"".join(struct.pack("<q", len(v)) + struct.pack(f"<{len(v)}{'q' if v and isinstance(v[0], int) else 'f'}", *v) for _, v in storages)


def put(file, *parts, head=MARK + pickle(b"M\xe9\x03") + machine()):
    with open(f"{folder}/{file}.pth", "wb") as f:
        f.write(head + b"".join(parts))


six = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
metadata = b"}" + text("_metadata") + ORDERED + text("") + b"}" + text("version") + b"K\x01sssb"
ordinary = state(("w", tensor("7", 6, 0, [2, 3], [1, 2])), ("b", tensor("8", 2, 0, [2], [1])),
                 ("n", tensor("9", 1, 0, [], [], "LongStorage")), end=b"u" + metadata)
values = data(("7", six), ("8", [0.5, -0.5]), ("9", [12]))
put("ordinary", ordinary, values)
put("shared", state(("a", tensor("7", 6, 0, [3], [1])), ("b", tensor("7", 6, 3, [3], [1]))), data(("7", six)))
put("cut", ordinary, values[:-5])
put("longer", ordinary, values, b"x")
put("outside", state(("w", tensor("7", 6, 1, [2, 3], [1, 2]))), data(("7", six)))
put("huge-stride", state(("w", tensor("7", 6, 0, [2, 3], [1, 2**31 - 1]))), data(("7", six)))
put("negative", state(("w", tensor("7", 6, -1, [2], [1]))), data(("7", six)))
put("other-size", state(("w", tensor("7", 6, 0, [6], [1]))), data(("7", six[:5])))
put("no-values", state(("w", tensor("7", 6, 0, [6], [1]))), data())
put("calls-system", pickle(name("posix", "system") + b"(" + text("true") + b"tR"), data())
put("calls-getattr", state(("w", name("builtins", "getattr"))), data())
put("half", state(("w", tensor("7", 6, 0, [6], [1], "HalfStorage"))), data(("7", six)))
put("parameter", state(("w", tensor("7", 6, 0, [6], [1], rebuild="_rebuild_parameter"))), data(("7", six)))
put("instance", pickle(b"(" + text("w") + b"i" + b"posix\nsystem\n"), data())
put("view", state(("w", tensor("7", 6, 0, [6], [1], view=b"(" + text("v") + b"K\x00K\x06t"))), data(("7", six)))
put("not-a-tensor", state(("epoch", b"K\x05"), ("w", tensor("7", 6, 0, [6], [1]))), data(("7", six)))
put("tensor-alone", pickle(tensor("7", 6, 0, [6], [1])), data(("7", six)))
put("no-operand", pickle(b"R"), data())
put("no-mark", pickle(b"}u"), data())
put("no-memo", pickle(b"h\x05"), data())
put("far-memo", pickle(b"}r\xff\xff\xff\xff"), data())
put("long", pickle(b"\x8a\x09" + b"\x01" * 9), data())
put("big-endian", ordinary, values, head=MARK + pickle(b"M\xe9\x03") + machine(b"\x89"))
put("protocol-4", b"\x80\x04N.", data())
