#!/usr/bin/python3
"""A Keras layers model (TFJS folder) as a PyTorch module, node for node: the peer of the engine's training steps.

usage: engine_torch.py MODEL WHAT BATCH THREADS SECONDS     one line: best and median ms, CPU ms, pictures/s, peak RSS
       engine_torch.py MODEL onnx OUT.onnx                  the same net for onnxruntime (dynamic batch, opset 13)
WHAT: infer, head, phase2, phase2-cached, full. Synthetic pictures. A step: forward with the frozen layers in inference mode, softmax
cross-entropy, L2 of dense_1, backward, SGD with momentum 0.9. CHANNELS_LAST=0 for NCHW. Needs python3-torch and python3-numpy.

DEVICE=cuda runs on a GPU: each step then sends the pictures as bytes from pinned memory and scales them there, as winnow does, and clocks are
read after the device has finished. DTYPE=float32 (default), tf32 or bf16 (autocast). COMPILE=1 compiles the net (torch.compile), COMPILE=MODE
in that mode (reduce-overhead: CUDA graphs).
"""
import contextlib
import json
import os
import resource
import sys
import time

if len(sys.argv) > 4:
    os.environ["OMP_NUM_THREADS"] = sys.argv[4]
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

DTYPES = {"float32": "<f4", "float16": "<f2", "uint8": "u1", "uint16": "<u2"}


def read_weights(folder, manifest):
    out = {}
    for group in manifest:
        raw = b"".join(open(os.path.join(folder, p), "rb").read() for p in group["paths"])
        at = 0
        for w in group["weights"]:
            q = w.get("quantization")
            dtype = np.dtype(DTYPES[q["dtype"] if q else w["dtype"]])
            n = int(np.prod(w["shape"], dtype=np.int64))
            v = np.frombuffer(raw, dtype, n, at)
            at += n * dtype.itemsize
            if q and "scale" in q:
                v = v.astype(np.float64) * q["scale"] + q["min"]
            out[w["name"]] = v.astype(np.float32).reshape(w["shape"])
    return out


class Twin(nn.Module):
    def __init__(self, folder):
        super().__init__()
        model = json.load(open(os.path.join(folder, "model.json")))
        topology = model["modelTopology"]
        layers = topology.get("model_config", topology)["config"]["layers"]
        w = read_weights(folder, model["weightsManifest"])
        sizes, self.plan, self.mods = {}, [], nn.ModuleDict()
        for l in layers:
            name, kind, c = l["name"], l["class_name"], l["config"]
            src = [x[0] for x in l["inbound_nodes"][0]] if l["inbound_nodes"] else []
            m, act = nn.Identity(), None
            if kind == "InputLayer":
                self.side = c["batch_input_shape"][1]
                sizes[name] = (self.side, self.side)
            else:
                sizes[name] = sizes[src[0]]
            if kind in ("Conv2D", "MaxPooling2D", "AveragePooling2D"):
                k = c["kernel_size"] if kind == "Conv2D" else c["pool_size"]
                pads = []
                for size, kk, s in zip(sizes[src[0]], k, c["strides"]):
                    out = -(-size // s) if c["padding"] == "same" else (size - kk) // s + 1
                    total = max((out - 1) * s + kk - size, 0) if c["padding"] == "same" else 0
                    assert total % 2 == 0, name
                    pads.append((out, total // 2))
                sizes[name] = tuple(p[0] for p in pads)
                pad = tuple(p[1] for p in pads)
                if kind == "Conv2D":
                    kernel = w[name + "/kernel"]
                    assert not c["use_bias"]
                    m = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[:2], tuple(c["strides"]), pad, bias=False)
                    m.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
                elif kind == "MaxPooling2D":
                    m = nn.MaxPool2d(k, c["strides"], pad)
                else:
                    m = nn.AvgPool2d(k, c["strides"], pad, count_include_pad=False)
            elif kind == "BatchNormalization":
                beta = w[name + "/beta"]
                m = nn.BatchNorm2d(len(beta), eps=c["epsilon"], momentum=1 - c["momentum"])
                m.bias.data = torch.from_numpy(beta.copy())
                m.running_mean.data = torch.from_numpy(w[name + "/moving_mean"].copy())
                m.running_var.data = torch.from_numpy(w[name + "/moving_variance"].copy())
                m.fixed_gamma = not c["scale"]
            elif kind == "Activation":
                m = nn.ReLU() if c["activation"] == "relu" else nn.Identity()
            elif kind == "Dense":
                kernel = w[name + "/kernel"]
                m = nn.Linear(*kernel.shape)
                m.weight.data = torch.from_numpy(np.ascontiguousarray(kernel.T))
                m.bias.data = torch.from_numpy(w[name + "/bias"].copy())
                act = c["activation"]
            elif kind == "Dropout":
                m = nn.Dropout(c["rate"])
            elif kind == "Flatten":
                m = nn.Flatten()
            self.mods[name] = m
            self.plan.append((name, kind, src, act))
        self.order = [p[0] for p in self.plan]
        last = {s: i for i, p in enumerate(self.plan) for s in p[2]}
        self.drop = [[s for s, k in last.items() if k == i] for i in range(len(self.plan))]

    def run(self, values, first, last, keep=()):
        for i in range(first, last):
            name, kind, src, act = self.plan[i]
            if kind == "InputLayer":
                continue
            y = torch.cat([values[s] for s in src], 1) if kind == "Concatenate" else self.mods[name](values[src[0]])
            values[name] = F.relu(y) if act == "relu" else y
            for s in self.drop[i]:
                if s not in keep:
                    values.pop(s, None)
        return values

    def boundary(self, cut):
        made = set(self.order[:cut])
        return sorted({s for p in self.plan[cut:] for s in p[2] if s in made}, key=self.order.index)

    def forward(self, x):
        return torch.softmax(self.run({self.order[0]: x}, 0, len(self.plan))[self.order[-1]], 1)


def main():
    net = Twin(sys.argv[1])
    what = sys.argv[2]
    if what == "onnx":
        torch.onnx.export(net.eval(), torch.rand(1, 3, net.side, net.side), sys.argv[3], opset_version=13, input_names=["x"],
                          output_names=["p"], dynamic_axes={"x": {0: "n"}, "p": {0: "n"}})
        return
    batch, threads, seconds = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
    device, dtype, mode = (os.environ.get(*v) for v in (("DEVICE", "cpu"), ("DTYPE", "float32"), ("COMPILE", "0")))
    gpu = device.startswith("cuda")
    if dtype not in ("float32", "tf32", "bf16", "fp16"):
        sys.exit("engine_torch.py: DTYPE is float32, tf32, bf16 or fp16, not '%s'" % dtype)
    short = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(dtype)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = dtype == "tf32"
    memory_format = torch.contiguous_format if os.environ.get("CHANNELS_LAST", "1") == "0" else torch.channels_last
    net = net.to(device=device, memory_format=memory_format)
    x, y = torch.rand(batch, 3, net.side, net.side).contiguous(memory_format=memory_format), torch.randint(0, 5, (batch,)).to(device)
    pixels = torch.randint(0, 256, (batch, net.side, net.side, 3), dtype=torch.uint8)
    pixels = pixels.pin_memory() if gpu else pixels

    def pictures():
        if not gpu:
            return x
        sent = pixels.to(device, non_blocking=True).permute(0, 3, 1, 2)
        return sent.to(short or torch.float32, memory_format=memory_format) / 127.5 - 1

    def cast():
        return torch.autocast(device.split(":")[0], short) if short else contextlib.nullcontext()

    def compiled(function):
        return function if mode == "0" else torch.compile(function, mode=None if mode == "1" else mode)

    if what == "infer":
        net.eval()
        forward = compiled(net)

        def step():
            with torch.no_grad(), cast():
                return forward(pictures())
    else:
        start = {"head": "dense_1", "phase2": "conv2d_56", "phase2-cached": "conv2d_56", "full": net.order[1]}[what]
        cut = net.order.index(start)
        for i, name in enumerate(net.order):
            m = net.mods[name].train(i >= cut)
            for p in m.parameters():
                p.requires_grad_(i >= cut)
            if getattr(m, "fixed_gamma", False):
                m.weight.requires_grad_(False)
        kernel = net.mods["dense_1"].weight
        rest = [p for p in net.parameters() if p.requires_grad and p is not kernel]
        opt = torch.optim.SGD([{"params": [kernel], "weight_decay": 1e-3}, {"params": rest}], lr=1e-3, momentum=0.9)
        keep = net.boundary(cut)

        @compiled
        def frozen(x):
            return {k: v for k, v in net.run({net.order[0]: x}, 0, cut, keep=keep).items() if k in keep}

        @compiled
        def tail(values):
            return net.run(dict(values), cut, len(net.plan))[net.order[-1]]

        def prefix():
            if cut <= 1:
                return {net.order[0]: pictures()}
            with torch.no_grad(), cast():
                return frozen(pictures())

        cached = prefix() if what == "phase2-cached" else None

        def step():
            opt.zero_grad(set_to_none=True)
            with cast():
                logits = tail(cached or prefix())
            F.cross_entropy(logits.float(), y).backward()
            opt.step()
    for _ in range(5 if gpu else 2):
        step()
    wait = torch.cuda.synchronize if gpu else lambda: None
    # A wait after each step would keep the GPU idle while the next one is queued.
    steps = 5 if gpu else 1
    times, cpu, least = [], [], int(os.environ.get("MIN_RUNS", "3"))
    wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        a, c = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        wait()
        times.append((time.perf_counter() - a) * 1e3 / steps)
        cpu.append((time.process_time() - c) * 1e3 / steps)
    times.sort()
    median = times[len(times) // 2]
    row = ["pytorch", what, "batch=%d" % batch, "threads=%d" % threads]
    if gpu or dtype != "float32" or mode != "0":
        row += ["device=%s" % device, "dtype=%s" % dtype, "compile=%s" % mode]
    row += ["runs=%d" % len(times), "best_ms=%.2f" % times[0], "median_ms=%.2f" % median, "cpu_best_ms=%.2f" % min(cpu),
            "img_s_median=%.2f" % (batch * 1e3 / median), "maxrss_mb=%d" % (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)]
    print("\t".join(row), flush=True)


main()
