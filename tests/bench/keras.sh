#!/usr/bin/env bash
# What winnow writes for Keras, opened by the real Keras of build/py (./bootstrap bench brings it): .keras files beside those
# that they were made of, weights alone in keras.applications, and nets of Keras' guides
# that winnow has not seen.
set -u
BIN=${BIN:-bin}
python=build/py/bin/python
"$python" -c 'import keras, openvino' 2>/dev/null || { echo "no Keras and OpenVINO in build/py: ./bootstrap bench"; exit 0; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
export TF_CPP_MIN_LOG_LEVEL=3
"$python" tests/bench/keras_files.py "$BIN" tests/fixtures/keras3 "$T" 2>/dev/null
"$python" tests/bench/keras_weights.py "$BIN" "$T" 2>/dev/null
"$python" tests/bench/keras_applications.py "$BIN" "$T" 2>/dev/null
"$python" tests/bench/keras_guides.py "$BIN" "$T" 2>/dev/null
