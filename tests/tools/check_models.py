#!/usr/bin/env python3
"""Spellings of model.json: those that mean the same give the same probabilities, the others are refused in a sentence that names the layer and the
field. usage: check_models.py BIN TMP TOP; prints TAP. Standard library only."""
import copy
import json
import os
import shutil
import subprocess
import sys

from tap_tables import ok, plan

BIN, TMP, TOP = sys.argv[1:4]
os.chdir(TMP)
SOURCE = TOP + "/tests/fixtures/tiny-net/tfjs-float32"
PICTURE = TOP + "/tests/formats/pictures/a.png"
ORIGINAL = json.load(open(SOURCE + "/model.json"))


class Model:
    def __init__(self):
        self.json = copy.deepcopy(ORIGINAL)
        self.model = self.json["modelTopology"]["model_config"]
        self.layers = self.model["config"]["layers"]

    def __getitem__(self, name):
        return next(layer for layer in self.layers if layer["name"] == name)

    def config(self, layer, **values):
        for key, value in values.items():
            if value is None:
                self[layer]["config"].pop(key, None)
            else:
                self[layer]["config"][key] = value
        return self

    def add(self, before, class_name, name, reads, **config):
        """A layer before another one, which then reads it in place of `reads`."""
        at = self.layers.index(self[before])
        inputs = self[before]["inbound_nodes"][0]
        for i in inputs:
            if i[0] == reads:
                i[0] = name
        self.layers.insert(at, {"class_name": class_name, "name": name, "config": dict(config, name=name), "inbound_nodes": [[[reads, 0, 0, {}]]]})
        return self

    def write(self):
        shutil.rmtree("m", ignore_errors=True)
        shutil.copytree(SOURCE, "m")
        os.chmod("m", 0o755)
        os.unlink("m/model.json")
        with open("m/model.json", "w") as f:
            json.dump(self.json, f)

    def classify(self):
        self.write()
        return subprocess.run([BIN + "/classify", "--device", "ref", "--no-sandbox", "--format", "json", "--model", "m", PICTURE], capture_output=True, text=True)


def scores(run):
    """Every number of the answer but the model's own id, which is a hash of its files."""
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        return run.stderr or "no answer"
    return [v for k, v in sorted(answer.items()) if not k.startswith("model")]


def same(change, what, base=lambda m: m):
    one, other = base(Model()), base(Model())
    change(other)
    a, b = scores(one.classify()), scores(other.classify())
    ok(a == b and len(str(a)) > 40, "the same net: %s%s" % (what, "" if a == b else ": %s, %s" % (a, b)))


def refused(change, why, status=65, place="'m/model.json'"):
    m = Model()
    changed = change(m)
    if changed is not None and not isinstance(changed, Model):
        m.json = changed
    run = m.classify()
    ok(run.returncode == status and why in run.stderr and place in run.stderr, "refused: %s%s" % (why, "" if why in run.stderr else " but: " + run.stderr))


def layers_to(m, class_name):
    m.model["class_name"] = class_name


same(lambda m: m.config("c1", kernel_size=3, strides=2), "a number for a pair")
same(lambda m: m.config("c1", dilation_rate=[1, 1], groups=1), "defaults said")
same(lambda m: m.config("bn1", axis=[3]), "the axis in a list")
same(lambda m: m.config("bn1", axis=-1) and m.config("cat", axis=-1), "the axis from the end")
same(lambda m: layers_to(m, "Functional"), "Functional for Model")
same(lambda m: m.json.update(modelTopology=m.model), "without model_config")
small = lambda m: m["cat"].update(inbound_nodes=[[["p1", 0, 0], ["p1", 0, 0]]]) or m.config("p1", pool_size=[2, 2], strides=[2, 2], padding="valid")
same(lambda m: m.config("p1", strides=None), "a pool's strides are its size", small)
same(lambda m: m["a1"].update(class_name="ReLU", config={"name": "a1"}), "ReLU for Activation relu")
same(lambda m: m["a1"].update(class_name="ReLU", config={"name": "a1", "max_value": 1e6, "negative_slope": 0, "threshold": 0}), "ReLU with a limit that is not reached")
same(lambda m: (m.config("d1", activation="linear"), m.layers.append({"class_name": "Softmax", "name": "s", "config": {"name": "s"}, "inbound_nodes": [[["d1", 0, 0, {}]]]}),
                m.model["config"].update(output_layers=[["s", 0, 0]])), "Softmax as a layer")
same(lambda m: (m.config("d1", activation=None), m.layers.append({"class_name": "Activation", "name": "s", "config": {"name": "s", "activation": "softmax"}, "inbound_nodes": [[["d1", 0, 0, {}]]]}),
                m.model["config"].update(output_layers=["s", 0, 0])), "softmax as an Activation; output_layers as Keras 3 writes them")
same(lambda m: m.add("gap", "Activation", "again", "cat", activation="relu"), "relu once more")
same(lambda m: m.add("gap", "Activation", "nothing", "cat", activation="linear"), "a linear activation")
same(lambda m: m.add("d1", "Reshape", "back", "dr", target_shape=[8]).add("back", "Reshape", "two", "dr", target_shape=[2, 4]), "a vector reshaped and back")
same(lambda m: m.add("d1", "Reshape", "r", "dr", target_shape=[-1]), "reshape to what is left")
same(lambda m: m.add("d1", "Flatten", "f", "dr"), "a vector flattened")
same(lambda m: m.config("c1", padding="valid").add("c1", "ZeroPadding2D", "z", "in", padding=[[0, 1], [0, 1]]), "padding before the convolution for padding in it")
same(lambda m: m.add("p1", "ZeroPadding2D", "z", "a1", padding=1)["p1"].update(class_name="MaxPooling2D") or m.config("p1", padding="valid"), "zeros around a maximum of relu",
     lambda m: m["p1"].update(class_name="MaxPooling2D") or m)
same(lambda m: m.add("p1", "ZeroPadding2D", "z", "a1", padding=[1, 1])["p1"].update(class_name="MaxPooling2D") or m.config("p1", padding="valid"), "the same as a pair",
     lambda m: m["p1"].update(class_name="MaxPooling2D") or m)
same(lambda m: m.config("d1", kernel_regularizer={"class_name": "L2", "config": {"l2": 0.01}}), "a regularizer changes nothing here")
same(lambda m: m.config("c1", kernel_regularizer="l2", kernel_initializer={"class_name": "VarianceScaling", "config": {"scale": 2, "mode": "fan_in", "distribution": "normal"}}),
     "nor does its short form, or how a layer was begun")

same(lambda m: m.config("d1", kernel_regularizer={"class_name": "L1L2", "config": {"l1": 0.1}}), "nor does a regularizer that is not trained with")
same(lambda m: m["a1"].update(inbound_nodes=m["a1"]["inbound_nodes"] * 2), "a layer that is called twice")
same(lambda m: m.config("gap", keepdims=True).add("d1", "Flatten", "flat", "dr"), "a mean that keeps its dimensions")
for activation in ("softmax", "gelu"):
    same(lambda m: m.config("c1", activation=activation).config("after", activation="linear"), activation + " in a convolution",
         lambda m: m.add("bn1", "Activation", "after", "c1", activation=activation))
same(lambda m: m["a1"].update(class_name="LeakyReLU", config={"name": "a1", "alpha": 0.1}), "LeakyReLU for ReLU with a slope",
     lambda m: m["a1"].update(class_name="ReLU", config={"name": "a1", "negative_slope": 0.1}) or m)

same(lambda m: m.config("a1", activation="hard_sigmoid") and m.json["modelTopology"].update(keras_version="3.15.1"), "hard_sigmoid is x / 6 + 0.5 in a file of Keras 3",
     lambda m: m.config("a1", activation="winnow>hard_sigmoid"))
same(lambda m: m["act"].update(class_name="Activation", config={"name": "act", "activation": "hard_sigmoid"}) or m.config("a1", activation="linear"),
     "and 0.2 x + 0.5 in one of Keras 2", lambda m: m.add("a1", "Rescaling", "act", "bn1", scale=0.2, offset=0.5)["a1"].update(class_name="ReLU", config={"name": "a1", "max_value": 1}) or m)
same(lambda m: m.add("c1", "RandomFlip", "flip", "in", mode="horizontal").add("c1", "GaussianNoise", "noise", "flip", stddev=0.1), "augmentation does nothing")


def keras3(m):
    for layer in m.layers:
        for node in layer["inbound_nodes"][:1]:
            tensors = [{"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": [n[0], 0, 0]}} for n in node]
            layer["inbound_nodes"] = [{"args": [tensors] if len(tensors) > 1 else tensors, "kwargs": {}}]


same(keras3, "inbound_nodes as Keras 3 writes them")

refused(lambda m: m["bn1"].update(inbound_nodes=[[["c1", 0, 0, {"training": True}]]]), "layer 'bn1': was called with training=True")
refused(lambda m: m["a1"].update(class_name="Lambda"), "layer 'a1': is a 'Lambda': it holds Python code")
refused(lambda m: m.config("d1", dtype={"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}), "layer 'd1': is quantised (int8)")
refused(lambda m: {"modelTopology": {"node": []}, "weightsManifest": []}, "a TensorFlow graph model; only layers models can be read")
refused(lambda m: layers_to(m, "Ensemble"), "not a Keras model (Model, Functional or Sequential)")
refused(lambda m: m.model["config"].update(layers=[]), "the model has no layers")
refused(lambda m: m.layers[1]["config"].pop("name") and m.layers[1].pop("name") and None, "layer number 2 has no usable name")
refused(lambda m: m["c1"].pop("config") and None, "layer 'c1': has no class_name or config")
refused(lambda m: m["a1"].update(class_name="LSTM"), "layer 'a1': is a 'LSTM', a kind that is not supported")
refused(lambda m: m.layers.insert(3, m["bn1"]), "layer 'bn1': occurs twice")
refused(lambda m: m["a1"].update(inbound_nodes=[]), "layer 'a1': has no inbound_nodes (0)")
refused(lambda m: m["a1"].update(inbound_nodes="bn1"), "layer 'a1': 'inbound_nodes' must be a list")
refused(lambda m: m["a1"].update(inbound_nodes=[{}]), "layer 'a1': 'inbound_nodes' lists no inputs")
refused(lambda m: m["a1"].update(inbound_nodes=[["bn1"]]), "layer 'a1': 'inbound_nodes' must hold [layer, 0, 0]")
refused(lambda m: m["a1"].update(inbound_nodes=[[["d1", 0, 0]]]), "layer 'a1': takes its input from 'd1', which is not a layer before it")
refused(lambda m: m["a1"].update(inbound_nodes=[[["bn1", 0, 1]]]), "layer 'a1': takes another output than the only one of 'bn1'")
refused(lambda m: m["a1"].update(inbound_nodes=[[["bn1", 0, 0], ["c1", 0, 0]]]), "layer 'a1': is a 'Activation' with 2 inputs, which is not supported")
refused(lambda m: m["in"].update(inbound_nodes=[[["in", 0, 0]]]), "layer 'in': 'inbound_nodes' of an input layer must be empty")
refused(lambda m: m.config("in", batch_input_shape=None), "layer 'in': 'batch_input_shape' is missing")
refused(lambda m: m.config("in", batch_input_shape=[None, 16, 16, -1]), "layer 'in': 'batch_input_shape' does not say how many channels there are")
refused(lambda m: m.config("in", batch_input_shape=[None, 16, 0, 3]), "must hold sizes from 1 to")
refused(lambda m: m.config("in", batch_input_shape=[None]), "layer 'in': 'batch_input_shape' must be a list of at most")
refused(lambda m: m.layers.insert(1, dict(copy.deepcopy(m["in"]), name="in2", config=dict(m["in"]["config"], name="in2"))), "the model has 2 input layers; only networks with one are supported")
refused(lambda m: m.model["config"].update(input_layers=[["c1", 0, 0]]), "'input_layers' names 'c1', which is not an input layer")
refused(lambda m: m.model["config"].update(output_layers=[["d9", 0, 0]]), "'output_layers' names 'd9', which is not a layer")
refused(lambda m: m.model["config"].update(output_layers=[["d1", 0, 0], ["gap", 0, 0]]), "'output_layers' names 2 layers; only networks with one are supported")
refused(lambda m: m.model["config"].update(output_layers="d1"), "'output_layers' must be [[\"name\",0,0]]")
refused(lambda m: m.config("c1", kernel_size=None), "layer 'c1': 'kernel_size' is missing")
refused(lambda m: m.config("c1", kernel_size=[3, 3, 3]), "layer 'c1': 'kernel_size' must have two numbers")
refused(lambda m: m.config("c1", kernel_size=[3, 0]), "layer 'c1': 'kernel_size' must have numbers from 1 to 4096")
refused(lambda m: m.config("c1", filters=None), "layer 'c1': 'filters' is missing")
refused(lambda m: m.config("c1", filters=2.5), "must be a whole number from 1 to")
refused(lambda m: m.config("c1", groups=2), "layer 'c1': its channels do not divide into 2 groups")
refused(lambda m: m.config("c1", use_bias="no"), "layer 'c1': 'use_bias' must be true or false")
refused(lambda m: m.config("c1", padding="causal"), "layer 'c1': 'padding' must be \"same\" or \"valid\"")
refused(lambda m: m.config("c1", data_format="channels_first"), "layer 'c1': 'data_format' must be \"channels_last\"")
refused(lambda m: m.config("c1", activation=3), "layer 'c1': 'activation' must be a name")
refused(lambda m: m.config("c1", activation="wish"), "layer 'c1': activation 'wish' is not known")
refused(lambda m: m.config("c1", kernel_regularizer={"class_name": "L2", "config": {"l2": "x"}}), "layer 'c1': kernel_regularizer: 'l2' must be a number from 0 to 1e+06")
refused(lambda m: m.config("bn1", axis=2), "layer 'bn1': 'axis' must be the last one")
refused(lambda m: m.config("bn1", axis=1), "layer 'bn1': works on axis 1, which is not the channels")
refused(lambda m: m.config("bn1", epsilon=0), "layer 'bn1': 'epsilon' must be a number from 1e-12 to 1")
refused(lambda m: m.config("gap", keepdims=True), "the network's output is not a list of scores", place="'m'")
refused(lambda m: m["a1"].update(class_name="Softmax", config={"name": "a1", "axis": 1}), "layer 'a1': 'axis' must be the last one")
refused(lambda m: m.config("c1", padding="valid").add("c1", "ZeroPadding2D", "z", "in", padding=[[0, 1], "x"]), "layer 'z': 'padding' must be a number, a pair or two pairs from 0 to 4096")
refused(lambda m: m.add("d1", "Reshape", "r", "dr", target_shape=[3, 3]), "layer 'r': cannot reshape [8] to [3,3]")
refused(lambda m: m.add("d1", "Reshape", "r", "dr", target_shape=[]), "layer 'r': 'target_shape' must be a list of at most 4 sizes")
refused(lambda m: m.config("p1", padding="valid"), "layer 'cat': its inputs do not fit together: [8,8,4] from 'a1', [6,6,4] from 'p1'")
refused(lambda m: m["d1"].update(inbound_nodes=[[["cat", 0, 0]]]), "the network's output is not a list of scores", place="'m'")
sys.exit(plan())
