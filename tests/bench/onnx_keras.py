#!/usr/bin/env python3
"""Networks of keras.applications as Keras exports them to ONNX, read by winnow: the largest difference from onnxruntime's and Keras' answers.
usage: ONNX_RUN=PROGRAM onnx_keras.py [NAME...]      needs keras, tensorflow-cpu, tf2onnx, onnxruntime (pip); PROGRAM is tests/bench/onnx_run.c
                                                     as onnx_torch.py builds it

Weights are random, batch norms' statistics too; two made pictures. Prints for each the largest difference over the largest output, or why it is refused.
"""
import os, subprocess, sys, tempfile
os.environ.update(KERAS_BACKEND="tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
import keras, numpy as np, onnxruntime

A, WORK = keras.applications, tempfile.mkdtemp()
NETS = {"MobileNet": 96, "MobileNetV2": 96, "MobileNetV3Small": 96, "MobileNetV3Large": 96, "ResNet50": 96, "ResNet50V2": 96, "DenseNet121": 96, "Xception": 96,
        "EfficientNetV2B0": 96, "EfficientNetB0": 96, "InceptionV3": 128, "NASNetMobile": 96}
for name in sys.argv[1:] or NETS:
    side, dice = NETS[name], np.random.RandomState(5)
    keras.utils.set_random_seed(1)
    more = {"include_preprocessing": False} if name.startswith(("EfficientNetV2", "MobileNetV3")) else {}
    m = getattr(A, name)(weights=None, input_shape=(side, side, 3), **more)
    for w in m.weights:
        if "moving_mean" in w.path:
            w.assign(dice.randn(*w.shape) * 0.1)
        if "moving_variance" in w.path:
            w.assign(dice.rand(*w.shape) * 0.5 + 0.75)
    x, path = dice.rand(2, side, side, 3).astype(np.float32) * 2 - 1, WORK + "/net.onnx"
    keras_says = np.asarray(m(x, training=False))
    try:
        m.export(path, format="onnx", verbose=False)
        o = onnxruntime.SessionOptions()
        o.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
        s = onnxruntime.InferenceSession(path, o)
        want = s.run(None, {s.get_inputs()[0].name: x})[0]
        x.tofile(WORK + "/x")
        r = subprocess.run([os.environ["ONNX_RUN"], path, WORK + "/x", WORK + "/y"], capture_output=True, text=True)
        if r.returncode:
            raise RuntimeError(r.stderr.strip().replace(WORK, ""))
        have, top = np.fromfile(WORK + "/y", np.float32).reshape(2, -1), np.abs(want).max()
        print("%s\tdifference %.1e\tfrom Keras %.1e (onnxruntime's %.1e)" % (name, np.abs(have - want).max() / top, np.abs(have - keras_says).max() / top,
                                                                         np.abs(want - keras_says).max() / top), flush=True)
    except Exception as e:
        print("%s\tfailed: %s" % (name, str(e).splitlines()[0][:200]), flush=True)
