"""keras_guides.py BIN WORK [NAME...]: nets as Keras' guides and examples build them, none of them among the fixtures, with random weights. Saved
by the real Keras (OpenVINO in float32) as .keras and .h5 and scored by classify: the largest difference of a probability, or why it is
refused. A net that has to be refused has the words beside it, for both kinds of file or for one. Status 1: a difference over 2e-6, or another verdict.
"""
import os
import re
import subprocess
import sys
import zlib

os.environ["KERAS_BACKEND"] = "openvino"
import keras
import numpy as np
import openvino
from keras import layers, ops

compile_model = openvino.compile_model  # which takes bfloat16 where the processor has it
openvino.compile_model = lambda model, device, config=None: compile_model(model, device, {"INFERENCE_PRECISION_HINT": "f32"})
binary, work, wanted = sys.argv[1], sys.argv[2], sys.argv[3:]
side = 32
pictures = np.random.default_rng(7).integers(0, 256, (4, side, side, 3), dtype=np.uint8)
np.save(work + "/guides.npy", pictures)
subprocess.run(["python3", "tests/tools/npy_pictures.py", work + "/guides.npy", work + "/guides"], check=True)
nets = {}


def net(name, refused=None):
    return lambda make: nets.__setitem__(name, (make, refused))


def head(x, n=4):
    return layers.Dense(n, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def whole(body, scale=True, **options):
    image = keras.Input((side, side, 3), **options)
    return keras.Model(image, body(layers.Rescaling(1 / 255)(image) if scale else image))


def conv(x, n=8, k=3, act="relu", **more):
    return layers.Conv2D(n, k, padding="same", activation=act, **more)(x)


@net("from scratch, with augmentation")
def _():
    def body(x):
        for layer in (layers.RandomFlip("horizontal"), layers.RandomRotation(0.1), layers.RandomZoom(0.2), layers.RandomContrast(0.2),
                      layers.RandomTranslation(0.1, 0.1), layers.RandomBrightness(0.2)):
            x = layer(x)
        x = layers.Rescaling(1 / 255)(x)
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(x)))
        before = x
        for n in (12, 16):
            for _ in range(2):
                x = layers.BatchNormalization()(layers.SeparableConv2D(n, 3, padding="same")(layers.Activation("relu")(x)))
            x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
            before = x = layers.add([x, layers.Conv2D(n, 1, strides=2, padding="same")(before)])
        return layers.Dense(4, activation="softmax")(layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x)))
    return whole(body, scale=False)


@net("Normalization that adapted")
def _():
    layer = layers.Normalization()
    layer.adapt(np.random.default_rng(3).uniform(0, 255, (64, side, side, 3)).astype("float32"))
    return whole(lambda x: head(conv(layer(x))), scale=False)


@net("Normalization over everything")
def _():
    return whole(lambda x: head(conv(layers.Normalization(axis=None, mean=120.0, variance=3000.0)(x))), scale=False)


@net("Normalization that inverts")
def _():
    return whole(lambda x: head(conv(layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[1.0, 2.0, 3.0], invert=True)(x))))


@net("toy ResNet")
def _():
    def body(x):
        x = before = layers.MaxPooling2D(3)(layers.Conv2D(12, 3, activation="relu")(layers.Conv2D(8, 3, activation="relu")(x)))
        for _ in range(2):
            before = x = layers.add([conv(conv(x, 12), 12), before])
        return layers.Dense(10, activation="softmax")(layers.Dropout(0.5)(layers.Dense(16, activation="relu")(layers.GlobalAveragePooling2D()(layers.Conv2D(12, 3, activation="relu")(x)))))
    return whole(body)


@net("branches")
def _():
    def body(x):
        towers = [conv(x, 6, 1), conv(conv(x, 6, 1), 6, 5), conv(layers.AveragePooling2D(3, strides=1, padding="same")(x), 6, 1), conv(x, 6, 3, dilation_rate=2)]
        x = layers.concatenate(towers)
        a, b = conv(x), conv(x, act="tanh")
        return head(layers.Concatenate()([layers.Average()([a, b]), layers.Multiply()([a, b]), layers.Subtract()([a, b])]))
    return whole(body)


@net("Maximum and Minimum of branches", "Maximum|Minimum")
def _():
    return whole(lambda x: head(layers.Concatenate()([layers.Maximum()([conv(x), conv(x, act="tanh")]), layers.Minimum()([conv(x), conv(x)])])))


@net("a layer called twice")
def _():
    def body(x):
        shared = layers.Conv2D(6, 3, padding="same", activation="relu")
        return head(layers.Concatenate()([shared(x), shared(layers.Rescaling(0.5)(x))]))
    return whole(body)


@net("models in models")
def _():
    inner = keras.Sequential([keras.Input((16, 16, 6)), layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization()], name="inner")
    mid_in = keras.Input((side, side, 3))
    mid = keras.Model(mid_in, inner(layers.MaxPooling2D()(conv(mid_in, 6))), name="mid")
    return keras.Sequential([keras.Input((side, side, 3)), layers.Rescaling(1 / 127.5, offset=-1), mid, layers.GlobalAveragePooling2D(),
                             keras.Sequential([layers.Dense(8, activation="gelu"), layers.Dropout(0.1), layers.Dense(5)]), layers.Softmax()])


@net("a model called twice")
def _():
    inner_in = keras.Input((side, side, 3))
    inner = keras.Model(inner_in, layers.GlobalAveragePooling2D()(layers.BatchNormalization()(conv(inner_in))))
    return whole(lambda x: layers.Dense(3, activation="softmax")(layers.Average()([inner(x), inner(layers.Rescaling(2.0, offset=-1)(x))])))


@net("a layer shared between nested models", {".keras": "cannot open such a file either"})
def _():
    shared = layers.Conv2D(6, 3, padding="same", activation="relu")
    a, b = keras.Input((side, side, 3)), keras.Input((side, side, 3))
    first = keras.Model(a, layers.GlobalAveragePooling2D()(shared(a)), name="first")
    second = keras.Model(b, layers.GlobalMaxPooling2D()(conv(shared(b), 5)), name="second")
    return whole(lambda x: layers.Dense(4, activation="softmax")(layers.Concatenate()([first(x), second(x)])))


@net("a layer shared with a nested model", {".keras": "cannot open such a file either"})
def _():
    shared = layers.Conv2D(6, 3, padding="same", activation="relu", name="both")
    a = keras.Input((side, side, 3))
    inner = keras.Model(a, layers.GlobalAveragePooling2D()(shared(a)), name="inner")
    return whole(lambda x: layers.Dense(4, activation="softmax")(layers.Concatenate()([inner(x), layers.GlobalMaxPooling2D()(shared(x))])))


@net("squeeze and excite")
def _():
    def body(x):
        x = conv(x, 8)
        s = layers.Dense(8, activation="sigmoid")(layers.Dense(4, activation="silu")(layers.GlobalAveragePooling2D(keepdims=True)(x)))
        t = layers.Reshape((1, 1, 8))(layers.GlobalMaxPooling2D()(x))
        return head(layers.Multiply()([layers.Multiply()([x, s]), layers.Conv2D(8, 1, activation="hard_sigmoid")(t)]))
    return whole(body)


@net("activations as layers")
def _():
    def body(x):
        for layer in (layers.LeakyReLU(negative_slope=0.1), layers.ReLU(max_value=6), layers.ELU(alpha=0.7), layers.PReLU(shared_axes=[1, 2]), layers.Activation("mish"),
                      layers.Activation(keras.activations.gelu)):
            x = layer(layers.BatchNormalization()(conv(x, act=None)))
        return head(x)
    return whole(body)


@net("padding, cropping, growing")
def _():
    return whole(lambda x: head(conv(layers.UpSampling2D(2)(layers.Cropping2D(((1, 2), (3, 4)))(layers.ZeroPadding2D((2, 3))(layers.MaxPooling2D(3, 2)(x)))))))


@net("convolutions of all kinds")
def _():
    def body(x):
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=2, activation="relu6")(x)
        x = layers.Conv2D(12, 3, groups=3, padding="same", use_bias=False)(x)
        x = layers.SeparableConv2D(8, 5, depth_multiplier=2, activation="swish")(x)
        return head(layers.Conv2D(8, (1, 7), padding="same", activation="selu")(layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(x)))
    return whole(body)


@net("operations of keras.ops")
def _():
    def body(x):
        x = conv(x * 2.0 - 1.0)
        x = ops.relu(x) + 0.5
        y = ops.mean(x, axis=[1, 2])
        z = ops.max(ops.silu(x), axis=(1, 2))
        return ops.softmax(layers.Dense(4)(ops.concatenate([y, z], axis=-1)))
    return whole(body)


@net("regularizers, constraints, initializers")
def _():
    return whole(lambda x: head(conv(conv(x, kernel_regularizer=keras.regularizers.L1L2(), kernel_constraint="max_norm", kernel_initializer="he_normal"), bias_regularizer="l2", activity_regularizer=keras.regularizers.L2(0.01))))


@net("noise and dropout")
def _():
    return whole(lambda x: head(layers.SpatialDropout2D(0.2)(layers.GaussianDropout(0.1)(layers.AlphaDropout(0.1)(layers.ActivityRegularization(0.1)(conv(layers.GaussianNoise(0.1)(x))))))))


@net("flat, as for digits")
def _():
    return keras.Sequential([keras.Input((side, side, 3)), layers.Rescaling(1 / 255), layers.Conv2D(6, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5), layers.Dense(24, activation="relu"), layers.Dense(10, activation="softmax")])


@net("newer augmentation")
def _():
    new = [getattr(layers, n) for n in ("RandomShear", "RandomHue", "RandomSaturation", "RandomSharpness", "RandomGrayscale", "RandomColorJitter", "RandomColorDegeneration", "RandomErasing",
                                        "RandomGaussianBlur", "RandomInvert", "RandomPerspective", "RandomPosterization", "RandomElasticTransform") if hasattr(layers, n)]
    def body(x):
        for kind in new:
            x = (kind(3) if kind.__name__ == "RandomPosterization" else kind(0.1, value_range=(0, 255)) if kind.__name__ in ("RandomHue", "RandomSaturation", "RandomSharpness", "RandomColorDegeneration") else kind())(x)
        return head(conv(layers.Rescaling(1 / 255)(x)))
    return whole(body, scale=False)


@net("Resizing that crops", "crop_to_aspect_ratio|antialias|Resizing")
def _():
    return whole(lambda x: head(conv(layers.Resizing(20, 28, crop_to_aspect_ratio=True)(x))))


@net("a model with its top, in part frozen")
def _():
    model = keras.applications.MobileNetV2(weights=None, input_shape=(side, side, 3), classes=6, alpha=0.35)
    for layer in model.layers[:40]:
        layer.trainable = False
    return whole(lambda x: model(x * 2.0 - 1.0))


for kind, make in {"RandomCrop": lambda x: layers.RandomCrop(7, 7)(x), "LayerNormalization": lambda x: layers.LayerNormalization()(x), "GroupNormalization": lambda x: layers.GroupNormalization(2)(x), "UnitNormalization": lambda x: layers.UnitNormalization()(x),
                   "RMSNormalization": lambda x: layers.RMSNormalization()(x), "Conv2DTranspose": lambda x: layers.Conv2DTranspose(4, 3)(x), "Permute": lambda x: layers.Permute((2, 1, 3))(x),
                   "SpectralNormalization": lambda x: layers.SpectralNormalization(layers.Conv2D(4, 3))(x), "AutoContrast": lambda x: layers.AutoContrast(value_range=(0, 1))(x),
                   "Equalization": lambda x: layers.Equalization(value_range=(0, 1))(x), "Solarization": lambda x: layers.Solarization(0.3, value_range=(0, 1))(x),
                   "MultiHeadAttention": lambda x: layers.Reshape((8, 8, 8))(layers.MultiHeadAttention(2, 4)(layers.Reshape((64, 8))(x), layers.Reshape((64, 8))(x))),
                   "Lambda": lambda x: layers.Lambda(lambda t: t * 2.0)(x)}.items():
    nets[kind] = (lambda make=make: whole(lambda x: head(make(layers.MaxPooling2D(4)(conv(x)))))), kind


@keras.saving.register_keras_serializable(package="mine")
class Doubled(layers.Layer):
    def call(self, x):
        return x * 2.0


@net("a layer of one's own", "Doubled")
def _():
    return whole(lambda x: head(Doubled()(conv(x))))


@net("two outputs", "output")
def _():
    image = keras.Input((side, side, 3))
    x = conv(image)
    return keras.Model(image, [head(x), head(x, 2)])


@net("two inputs", "input")
def _():
    a, b = keras.Input((side, side, 3)), keras.Input((side, side, 3))
    return keras.Model([a, b], head(layers.Concatenate()([conv(a), conv(b)])))


@net("one channel", "RGB")
def _():
    image = keras.Input((28, 28, 1))
    return keras.Model(image, head(conv(image)))


def fill(v):
    rng, kind, shape = np.random.default_rng(zlib.crc32(v.path.encode())), v.path.rsplit("/")[-1], tuple(v.shape)
    fan_in = np.prod(shape[:2] if "depthwise" in v.path else shape[:-1])
    draw = {"moving_variance": lambda: rng.uniform(0.7, 1.3, shape), "gamma": lambda: rng.uniform(0.8, 1.2, shape), "beta": lambda: rng.normal(0, 0.1, shape),
            "bias": lambda: rng.normal(0, 0.1, shape), "moving_mean": lambda: rng.normal(0, 0.1, shape), "alpha": lambda: rng.uniform(0.1, 0.3, shape)}
    v.assign(draw.get(kind, lambda: rng.normal(0, (1.5 / max(fan_in, 1)) ** 0.5, shape))().astype("float32"))


counts = {"read": 0, "refused": 0, "wrong": 0}
for name in wanted or nets:
    make, refused = nets[name]
    line = name
    try:
        model = make()
        for v in model.weights:
            if v.path.rsplit("/")[-1] not in ("mean", "variance", "count", "seed_generator_state"):
                fill(v)
        refusals = refused if isinstance(refused, dict) else {".keras": refused, ".h5": refused} if refused else {}
        want = None if len(refusals) == 2 else np.asarray(model.predict(pictures.astype("float32"), verbose=0))
    except Exception as e:
        print(f"{name}\tKeras does not make it: {type(e).__name__}: {str(e).splitlines()[0][:120]}", flush=True)
        continue
    for ending in (".keras", ".h5"):
        file = work + "/guide" + ending
        try:
            model.save(file)
        except Exception as e:
            line += f"\t{ending}: Keras does not save it: {type(e).__name__}"
            continue
        run = subprocess.run([binary + "/classify", "-q", "--no-sandbox", "--model", file, work + "/guides"], capture_output=True, text=True)
        have = np.array([row.split("\t")[2:] for row in run.stdout.splitlines()[1:]], dtype="float64")
        said = run.stderr.strip().replace(work, "W")
        if ending in refusals:
            good = run.returncode == 65 and re.search(refusals[ending], said)
            line += f"\t{ending} {said}" + ("" if good else " (WRONG)")
            counts["refused" if good else "wrong"] += 1
        else:
            most = np.abs(have - want).max() if have.shape == want.shape else 9
            line += f"\t{ending} {most:.2g}" if most < 9 else f"\t{ending} {said}"
            line += "" if most <= 2e-6 else " (WRONG)"
            counts["read" if most <= 2e-6 else "wrong"] += 1
        os.unlink(file)
    print(line, flush=True)
print(*(f"{n} {k}" for k, n in counts.items()), f"Keras {keras.__version__}")
sys.exit(counts["wrong"] > 0)
