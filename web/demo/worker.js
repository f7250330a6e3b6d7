/*
 * worker.js: the model, beside the page so that it stays quick. Messages: {kind: 'load', info}, {kind: 'classify', id, width,
 * height, rgba}, {kind: 'describe', id, width, height, rgba, file}; answers carry the same id.
 */
'use strict';
importScripts('vendor/tf.min.js', 'vendor/tf-backend-wasm.min.js', 'picture.js');

let model = null, info = null;

async function load(given) {
  info = given;
  tf.wasm.setWasmPaths('vendor/');
  // The wasm backend computes in float32 everywhere; a phone's GPU may compute in half precision and show other numbers.
  await tf.setBackend('wasm');
  await tf.ready();
  model = await tf.loadLayersModel('model/model.json', { onProgress: share => postMessage({ kind: 'progress', share }) });
  tf.tidy(() => model.predict(tf.zeros([1, info.size, info.size, 3])));
  postMessage({ kind: 'ready', backend: tf.getBackend() });
}

async function classify(m) {
  const pixels = picture.resize(picture.rgbOf(new Uint8ClampedArray(m.rgba)), m.width, m.height, info.size, info.resize);
  const x = Float32Array.from(pixels, v => v * info.scale + info.offset);
  const started = performance.now();
  const input = tf.tensor4d(x, [1, info.size, info.size, 3]), output = model.predict(input), p = await output.data();
  tf.dispose([input, output]);
  postMessage({ kind: 'scores', id: m.id, p: picture.withTemperature(p, info.temperature), ms: performance.now() - started });
}

function describe(m) {
  const hash = picture.pdq(picture.rgbOf(new Uint8ClampedArray(m.rgba)), m.width, m.height);
  postMessage({ kind: 'description', id: m.id, pdq: hash.hash, quality: hash.quality, xxh128: picture.xxh128(new Uint8Array(m.file)) });
}

onmessage = async event => {
  const m = event.data;
  try {
    if (m.kind === 'load') await load(m.info);
    else if (m.kind === 'classify') await classify(m);
    else describe(m);
  } catch (e) {
    postMessage({ kind: 'failed', id: m.id, what: m.kind, text: String(e && e.message || e) });
  }
};
