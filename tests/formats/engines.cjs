// The same pixels through other engines; each must give classify's probabilities.
// usage: node engines.cjs SCORES.tsv TFJS_FOLDER NHWC.onnx NCHW.onnx N_NSFWJS TOLERANCE     (a file "-" is left out)
// SCORES.tsv is classify's output over PNG files that have the model's size. Prints one line an engine: name, pictures, largest difference.
const fs = require('fs'), path = require('path');
const { createRequire } = require('module');
const npm = path.resolve(process.env.NPM || 'build/npm'), need = createRequire(path.join(npm, 'x.cjs'));
const png = require('./png.cjs');
const [scores, tfjsFolder, nhwc, nchw, nNsfwjs, tolerance] = process.argv.slice(2);
const lines = fs.readFileSync(scores, 'utf8').trimEnd().split('\n').map(l => l.split('\t')), heads = lines.shift();
const first = heads.findIndex(h => h.startsWith('p_'));
const rows = lines.map(l => ({ file: l[heads.indexOf('path')], p: l.slice(first).map(Number) }));
let bad = 0;

function report(name, got) {
  let most = 0, where = '';
  got.forEach((p, i) => p.forEach((v, k) => {
    const d = Math.abs(v - rows[i].p[k]);
    if (!(d <= most)) { most = d; where = rows[i].file; }
  }));
  if (!(most <= Number(tolerance)) || !got.length) bad++;
  console.log(`${name}\t${got.length}\t${most.toExponential(2)}${most > Number(tolerance) ? '\t' + where : ''}`);
}

(async () => {
  const tf = need('@tensorflow/tfjs'), wasm = need('@tensorflow/tfjs-backend-wasm');
  wasm.setWasmPaths(path.dirname(need.resolve('@tensorflow/tfjs-backend-wasm')) + '/');
  await tf.setBackend('wasm');
  await tf.ready();
  const pictures = rows.map(r => png.read(fs.readFileSync(r.file)));
  const json = JSON.parse(fs.readFileSync(path.join(tfjsFolder, 'model.json'))), meta = json.userDefinedMetadata || {};
  const scale = meta.input ? meta.input.scale : 1 / 255, offset = meta.input ? meta.input.offset : 0;
  const inputs = pictures.map(p => Float32Array.from(p.rgb, v => v * scale + offset));
  // As a page loads it: model.json and shards by name.
  const handler = { load: async () => ({ modelTopology: json.modelTopology, format: json.format, weightSpecs: json.weightsManifest.flatMap(g => g.weights),
    weightData: (b => b.buffer.slice(b.byteOffset, b.byteOffset + b.length))(Buffer.concat(json.weightsManifest.flatMap(g => g.paths).map(p => fs.readFileSync(path.join(tfjsFolder, p))))) }) };
  const model = await tf.loadLayersModel(handler);
  report('tfjs', inputs.map((x, i) => tf.tidy(() => Array.from(model.predict(tf.tensor4d(x, [1, pictures[i].h, pictures[i].w, 3])).dataSync()))));
  if (Number(nNsfwjs) > 0) {
    for (const version of ['nsfwjs', 'nsfwjs-4.4']) {
      if (!fs.existsSync(path.join(npm, 'node_modules', version))) continue;
      const nsfwjs = need(version), net = await nsfwjs.load(handler, { size: pictures[0].w });
      const order = ['Drawing', 'Hentai', 'Neutral', 'Porn', 'Sexy'], got = [];
      for (const p of pictures.slice(0, Number(nNsfwjs))) {
        const t = tf.tensor3d(Int32Array.from(p.rgb), [p.h, p.w, 3], 'int32'), said = await net.classify(t);
        t.dispose();
        got.push(order.map(name => said.find(s => s.className === name).probability));
      }
      report(version, got);
    }
  }
  if (nhwc !== '-' || nchw !== '-') {
    const ort = need('onnxruntime-web');
    ort.env.wasm.numThreads = 1;
    for (const [file, layout] of [[nhwc, 'nhwc'], [nchw, 'nchw']]) {
      if (file === '-') continue;
      const session = await ort.InferenceSession.create(fs.readFileSync(file)), got = [];
      for (const [i, x] of inputs.entries()) {
        const { w, h } = pictures[i];
        let data = x;
        if (layout === 'nchw') {
          data = new Float32Array(x.length);
          for (let k = 0; k < w * h; k++) for (let c = 0; c < 3; c++) data[c * w * h + k] = x[k * 3 + c];
        }
        const out = await session.run({ image: new ort.Tensor('float32', data, layout === 'nchw' ? [1, 3, h, w] : [1, h, w, 3]) });
        got.push(Array.from(out.probs.data));
      }
      report('onnxruntime-' + layout, got);
      await session.release();
    }
  }
  process.exit(bad ? 1 : 0);
})().catch(e => { console.log('failed: ' + (e && e.stack || e)); process.exit(1); });
