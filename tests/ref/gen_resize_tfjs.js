// Writes resize_tfjs_vectors.tsv: tf.image.resizeBilinear with alignCorners, as nsfwjs calls it, on the picture of
// gen_resize.py. Columns as there; samples are 255 times the floats. usage: NODE_PATH=build/npm/node_modules node gen_resize_tfjs.js
const fs = require('fs');
const path = require('path');
const tf = require('@tensorflow/tfjs');
const cases = [[40, 30, 13, 11], [64, 48, 16, 12], [17, 50, 9, 9], [9, 7, 23, 31], [33, 21, 33, 10], [1, 1, 5, 4], [2, 90, 7, 3], [200, 3, 6, 3]];
function picture(w, h) {
  const out = new Int32Array(w * h * 3);
  for (let y = 0, i = 0; y < h; y++)
    for (let x = 0; x < w; x++)
      for (let c = 0; c < 3; c++, i++) out[i] = (x * 7 + y * 13 + c * 50 + ((x * x + 3 * y * y + x * y * (c + 1)) % 97) * 2) % 256;
  return tf.tensor3d(out, [h, w, 3], 'int32');
}
(async () => {
  await tf.setBackend('cpu');
  let text = '';
  for (const [w, h, W, H] of cases) {
    const v = tf.image.resizeBilinear(picture(w, h).toFloat().div(255), [H, W], true).dataSync();
    text += ['tfjs', w, h, W, H, Array.from(v, (x) => (x * 255).toFixed(3)).join(' ')].join('\t') + '\n';
  }
  fs.writeFileSync(path.join(__dirname, 'resize_tfjs_vectors.tsv'), text);
})();
