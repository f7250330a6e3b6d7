// The page's own resizing (web/demo/picture.js), then TensorFlow.js: classify --resize METHOD must have said the same.
// usage: node resize.cjs SCORES.tsv TFJS_FOLDER METHOD
const fs = require('fs'), path = require('path');
const { createRequire } = require('module');
const need = createRequire(path.resolve(process.env.NPM || 'build/npm', 'x.cjs'));
const png = require('./png.cjs'), picture = require('../../web/demo/picture.js');
const [scores, folder, method] = process.argv.slice(2);
const lines = fs.readFileSync(scores, 'utf8').trimEnd().split('\n').map(l => l.split('\t')), heads = lines.shift();
const first = heads.findIndex(h => h.startsWith('p_'));
(async () => {
  const tf = need('@tensorflow/tfjs');
  await tf.setBackend('cpu');
  const json = JSON.parse(fs.readFileSync(path.join(folder, 'model.json')));
  const model = await tf.loadLayersModel({ load: async () => ({ modelTopology: json.modelTopology, weightSpecs: json.weightsManifest[0].weights,
    weightData: (b => b.buffer.slice(b.byteOffset, b.byteOffset + b.length))(Buffer.concat(json.weightsManifest[0].paths.map(p => fs.readFileSync(path.join(folder, p))))) }) });
  const side = model.inputs[0].shape[1];
  let most = 0;
  for (const l of lines) {
    const { w, h, rgb } = png.read(fs.readFileSync(l[heads.indexOf('path')]));
    const x = Float32Array.from(picture.resize(rgb, w, h, side, method), v => v / 255);
    const p = model.predict(tf.tensor4d(x, [1, side, side, 3])).dataSync();
    p.forEach((v, k) => { most = Math.max(most, Math.abs(v - Number(l[first + k]))); });
  }
  console.log(`${lines.length} pictures, largest difference ${most.toExponential(2)}`);
  process.exit(lines.length && most <= 2e-6 ? 0 : 1);      // the same bytes: one level more or less would show as 1e-5
})();
