#!/usr/bin/env bash
# Keras 3.15.1 from PyPI with KERAS_BACKEND=numpy.
#
# Expected: the NumPy backend is the light way to run a .keras file for inference where no framework is wanted: `pip install keras` brings
# NumPy, so `import keras` works.
# Seen: it imports scipy (ModuleNotFoundError), and with scipy there its math module imports Keras' JAX backend (its fft), so without jax
# `import keras` fails: No module named 'jax'. Neither is among the package's requirements, nor is there an extra that names them.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
python3 -m venv v
v/bin/pip -q install keras==3.15.1
missing() { KERAS_BACKEND=numpy v/bin/python -c 'import keras' 2>&1 | sed -n "s/^ModuleNotFoundError: No module named '\(.*\)'/\1/p"; }
[ "$(missing)" = scipy ]
v/bin/pip -q install scipy==1.17.1
[ "$(missing)" = jax ]
v/bin/python - <<'P'
from importlib.metadata import metadata
needs = metadata('keras').get_all('Requires-Dist')
assert not any(n.lower().startswith(('jax', 'scipy')) for n in needs), needs
P
echo "as found: keras 3.15.1: the NumPy backend wants scipy, then jax; neither is required by the package"
