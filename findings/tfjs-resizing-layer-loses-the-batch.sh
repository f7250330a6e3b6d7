#!/usr/bin/env bash
# TensorFlow.js 4.22.0: tf.layers.resizing inside a model, as Keras puts it in front of a base (centerCrop beside it).
#
# Expected: the layer takes [batch, height, width, channels] and says so: after resizing to 4x4 the next layer meets [null, 4, 4, 3].
# Seen: the shape it promises is [4, 4, 8]: no batch, and the input's width as the channels. The tensors themselves come out right, with four
# dimensions, but a model is built from the promise: any layer behind it refuses ("expected ndim=4, found ndim=3"). So no net with a Resizing
# layer that is not its last one can be opened, while centerCrop, in the same file of the library, keeps the batch.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @tensorflow/tfjs@4.22.0 >npm.log
cat >resizing.cjs <<'J'
const tf = require('@tensorflow/tfjs');
for (const name of ['resizing', 'centerCrop']) {
    const layer = tf.layers[name]({ height: 4, width: 4 });
    const input = tf.input({ shape: [8, 8, 3] }), output = layer.apply(input);
    let after = 'fits';
    try {
        tf.layers.conv2d({ filters: 2, kernelSize: 3 }).apply(output);
    } catch (e) {
        after = e.message.replace(/^Input 0 is incompatible with layer \w+: /, '');
    }
    console.log(name, JSON.stringify(output.shape), JSON.stringify(layer.apply(tf.ones([1, 8, 8, 3])).shape), after);
}
J
node resizing.cjs 2>/dev/null | tee seen
diff seen - <<'SEEN'
resizing [4,4,8] [1,4,4,3] expected ndim=4, found ndim=3
centerCrop [null,4,4,3] [1,4,4,3] fits
SEEN
echo "as found: the Resizing layer of TensorFlow.js 4.22.0 promises a shape without a batch"
