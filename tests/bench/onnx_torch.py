#!/usr/bin/env python3
"""Networks of torchvision and timm, exported by PyTorch, read by winnow: forward beside onnxruntime, gradients beside PyTorch.
usage: onnx_torch.py [NAME...]      needs torch, torchvision, timm, onnx, onnxscript and onnxruntime (pip), and a build

Weights are random, batch norms' statistics too. Prints for each network and exporter the largest difference over the largest
output, the same after `export --to onnx`, how many float32 weights came back with name, shape and bytes; and the largest
difference of a weight's gradient over its largest, with PyTorch in float64 (batch norms frozen, two pictures of 96 pixels).
"""
import os, subprocess, sys, tempfile, warnings
import numpy as np
import onnx, onnxruntime, timm, torch, torchvision
from onnx import numpy_helper

warnings.filterwarnings("ignore")
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("BUILD", "build/release")
WORK = tempfile.mkdtemp()
tv, tm = torchvision.models, lambda name: lambda: timm.create_model(name, pretrained=False)
MODELS = {
    "resnet50": (lambda: tv.resnet50(weights=None), 224), "hgnetv2_b4": (tm("hgnetv2_b4"), 224), "hgnetv2_b0": (tm("hgnetv2_b0"), 224),
    "mobilenetv4": (tm("mobilenetv4_conv_medium"), 256), "efficientnetv2_b0": (tm("tf_efficientnetv2_b0"), 192),
    "efficientnet_b0": (tm("efficientnet_b0"), 224), "mobilenetv3": (lambda: tv.mobilenet_v3_large(weights=None), 224),
    "regnetx": (lambda: tv.regnet_x_400mf(weights=None), 224), "repvgg": (tm("repvgg_a0"), 224),
    "densenet121": (lambda: tv.densenet121(weights=None), 224), "squeezenet": (lambda: tv.squeezenet1_1(weights=None), 224),
    "googlenet": (lambda: tv.googlenet(weights=None, aux_logits=False, init_weights=False), 224),
}


def build():
    areas = "onnx tensor tensor/ref tensor/cpu dist net hash io base".split()
    archives = ["%s/lib/%s/area.a" % (BUILD, a) for a in areas]
    subprocess.run(["make", "-s", "BUILD=" + BUILD] + archives, cwd=TOP, check=True)
    libs = subprocess.run("pkg-config --libs hdf5-serial libcjson libxxhash zlib libprotobuf-c", shell=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-Ilib", "-O2", "-o", WORK + "/onnx_run", "tests/bench/onnx_run.c", "-Wl,--start-group"] + archives +
                   ["-Wl,--end-group", "-ldl", "-ldnnl", "-fopenmp"] + libs + ["-lm", "-pthread"], cwd=TOP, check=True)


def make(name):
    torch.manual_seed(7)
    m, g = MODELS[name][0](), torch.Generator().manual_seed(1)
    for b in m.modules():
        if isinstance(b, torch.nn.BatchNorm2d):
            n = b.running_mean.shape
            b.running_mean.copy_(torch.randn(n, generator=g) * 0.1)
            b.running_var.copy_(torch.rand(n, generator=g) * 0.5 + 0.75)
    return m.eval()


def run(model, x, *more):
    x.permute(0, 2, 3, 1).contiguous().numpy().tofile(WORK + "/x")
    r = subprocess.run([WORK + "/onnx_run", model, WORK + "/x", WORK + "/y", *more], capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr.strip())
    return np.fromfile(WORK + "/y", np.float32).reshape(len(x), -1), r.stdout


def ort(model, x):
    s = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return s.run(None, {s.get_inputs()[0].name: x.numpy()})[0].reshape(len(x), -1)


def weights(model):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(model).graph.initializer if t.data_type == 1}


def forward(name, newer):
    path, back, side, m = "%s/%s.onnx" % (WORK, name), WORK + "/back.onnx", MODELS[name][1], make(name)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1
    if newer:
        torch.onnx.export(m, (x,), path, dynamo=True, external_data=False, verbose=False, dynamic_shapes=({0: torch.export.Dim("batch")},))
    else:
        torch.onnx.export(m, x, path, dynamo=False, opset_version=17, input_names=["input"], output_names=["output"], dynamic_axes={"input": {0: "batch"}})
    want = ort(path, x)
    have, _ = run(path, x)
    subprocess.run([TOP + "/bin/export", "--model", path, "--to", "onnx", "-o", back, "-q"], check=True)
    before, after = weights(path), weights(back)
    names = [k for k, v in before.items() if v.size > 1]
    same = sum(k in after and after[k].shape == before[k].shape and after[k].tobytes() == before[k].tobytes() for k in names)
    top = np.abs(want).max()
    print("%s\t%s\tdifference %.1e\twritten again %.1e\tweights %d of %d" %
          (name, "newer" if newer else "TorchScript", np.abs(have - want).max() / top, np.abs(ort(back, x) - want).max() / top, same, len(names)), flush=True)


def gradients(name):
    path, m = WORK + "/g.onnx", make(name)
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(3)) * 2 - 1
    torch.onnx.export(m, x, path, dynamo=False, opset_version=17, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    _, index = run(path, x, "0,37", WORK + "/g")
    g, m = np.fromfile(WORK + "/g", np.float32), m.double()
    torch.nn.functional.cross_entropy(m(x.double()), torch.tensor([0, 37])).backward()
    p, worst, n = dict(m.named_parameters()), 0, 0
    for line in index.splitlines():
        weight, offset, count, *dims = line.split("\t")
        layer, role = weight.rsplit("/", 1)
        t = p.get(layer + (".bias" if role == "bias" else ".weight"))
        if t is None or t.grad is None:
            continue
        a, t = g[int(offset):int(offset) + int(count)].reshape([int(d) for d in dims]), t.grad.numpy()
        a = a.transpose(3, 2, 0, 1) if role == "kernel" and a.ndim == 4 else a.transpose(2, 3, 0, 1) if role == "depthwise_kernel" else a.T
        worst, n = max(worst, np.abs(a.reshape(t.shape) - t).max() / np.abs(t).max()), n + 1
    print("%s\tgradients of %d weights\tdifference %.1e" % (name, n, worst), flush=True)


build()
for name in sys.argv[1:] or MODELS:
    for part in (lambda n: forward(n, False), lambda n: forward(n, True), gradients):
        try:
            part(name)
        except Exception as e:
            print("%s\tfailed: %s" % (name, str(e).splitlines()[0][:200]), flush=True)
