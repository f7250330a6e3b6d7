#!/usr/bin/env bash
# TensorFlow.js 4.22.0: pooling whose output side is rounded up, on the backends cpu and wasm.
#
# Expected: avgPool and maxPool with dimRoundingMode 'ceil' give the same numbers on both, or wasm refuses what it lacks.
# Seen: wasm has the right shape, but fills it as if the side were rounded down: a 3x3 window with stride 2 over 4x4 gives 2x2, of which wasm
# computes one value, the first; the rest is what was left in its memory (zeros, or values of an earlier tensor). No error. Models that come from
# Caffe or PyTorch with ceil_mode (GoogLeNet, SqueezeNet, SE-ResNet) classify by noise there.
set -eu -o pipefail
cd "$(mktemp -d)"
trap 'rm -rf "$PWD"' EXIT
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @tensorflow/tfjs@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 >npm.log
cat >pool.cjs <<'J'
const tf = require('@tensorflow/tfjs');
require('@tensorflow/tfjs-backend-wasm');
(async () => {
    for (const backend of ['cpu', 'wasm']) {
        await tf.setBackend(backend);
        await tf.ready();
        const x = tf.tensor4d([...Array(16).keys()].map((v) => v + 1), [1, 4, 4, 1]);
        for (const [name, rounding] of [['maxPool', 'floor'], ['maxPool', 'ceil'], ['avgPool', 'ceil']]) {
            const y = tf[name](x, 3, 2, 0, rounding);
            console.log(backend, name, rounding, JSON.stringify(y.shape), JSON.stringify([...await y.data()]));
        }
    }
})();
J
node pool.cjs 2>/dev/null | tee seen
of() { sed -n "s/^$1 \[[0-9,]*\] \[\(.*\)\]/\1/p" seen; }
[ "$(of 'cpu maxPool floor')" = 11 ] && [ "$(of 'wasm maxPool floor')" = 11 ]
[ "$(of 'cpu maxPool ceil')" = 11,12,15,16 ] && [ "$(of 'cpu avgPool ceil')" = 6,7.5,12,13.5 ]
case $(of 'wasm maxPool ceil') in 11,12,15,16) exit 1 ;; 11,*) ;; *) exit 1 ;; esac
case $(of 'wasm avgPool ceil') in 6,7.5,12,13.5) exit 1 ;; 6,*) ;; *) exit 1 ;; esac
echo "as found: tfjs-backend-wasm 4.22.0 computes ceil pooling as floor and leaves the rest unwritten"
