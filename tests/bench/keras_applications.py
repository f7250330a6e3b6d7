"""keras_applications.py BIN WORK [NAME...]: networks of keras.applications as the guide to transfer learning builds them: augmentation,
preprocess_input as operations, the base as one layer, a head; random weights, 96 pixels. Saved by Keras as .keras and .h5, scored by
classify; the largest difference of a probability to Keras (OpenVINO in float32). ConvNeXt cannot be saved with that backend.
"""
import os
import subprocess
import sys
import zlib

os.environ["KERAS_BACKEND"] = "openvino"
import keras
import numpy as np
import openvino

compile_model = openvino.compile_model  # which takes bfloat16 where the processor has it
openvino.compile_model = lambda model, device, config=None: compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})

binary, work, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
apps, layers, side = keras.applications, keras.layers, 96
networks = {"MobileNet": apps.mobilenet, "MobileNetV2": apps.mobilenet_v2, "MobileNetV3Small": None, "MobileNetV3Large": None, "EfficientNetB0": None,
            "EfficientNetV2B0": None, "EfficientNetV2S": None, "ResNet50": apps.resnet50, "ResNet50V2": apps.resnet_v2, "DenseNet121": apps.densenet,
            "NASNetMobile": apps.nasnet, "Xception": apps.xception, "InceptionV3": apps.inception_v3, "InceptionResNetV2": apps.inception_resnet_v2}
pictures = np.random.default_rng(0).integers(0, 256, (2, side, side, 3), dtype=np.uint8)
np.save(work + "/pictures.npy", pictures)
subprocess.run(["python3", "tests/tools/npy_pictures.py", work + "/pictures.npy", work + "/pictures"], check=True)


def fill(v):
    rng, kind, shape = np.random.default_rng(zlib.crc32(v.path.encode())), v.path.rsplit("/")[-1], tuple(v.shape)
    fan_in = np.prod(shape[:2] if "depthwise" in v.path else shape[:-1])
    draw = {"moving_variance": lambda: rng.uniform(0.7, 1.3, shape), "gamma": lambda: rng.uniform(0.8, 1.2, shape), "beta": lambda: rng.normal(0, 0.1, shape),
            "bias": lambda: rng.normal(0, 0.1, shape), "moving_mean": lambda: rng.normal(0, 0.1, shape)}
    v.assign(draw.get(kind, lambda: rng.normal(0, (1.3 / fan_in) ** 0.5, shape))().astype("float32"))


for name in wanted or networks:
    image = keras.Input((side, side, 3))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])(image)
    x = networks[name].preprocess_input(x) if networks[name] else x
    base = getattr(apps, name)(include_top=False, weights=None, input_shape=(side, side, 3))
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(base(x, training=False)))
    model = keras.Model(image, layers.Dense(4, activation="softmax")(x))
    for v in model.weights:
        if v.path.rsplit("/")[-1] not in ("mean", "variance", "count"):
            fill(v)
    want, line = np.asarray(model.predict(pictures.astype("float32"), verbose=0)), name
    for ending in (".keras", ".h5"):
        file = work + "/" + name + ending
        model.save(file)
        run = subprocess.run([binary + "/classify", "-q", "--no-sandbox", "--model", file, work + "/pictures"], capture_output=True, text=True)
        have = np.array([row.split("\t")[2:] for row in run.stdout.splitlines()[1:]], dtype="float64")
        line += f"\t{ending} {np.abs(have - want).max():.2g}" if have.shape == want.shape else f"\t{run.stderr.strip()}"
        os.unlink(file)
    print(line, flush=True)
