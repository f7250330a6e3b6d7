// Transformers.js on a folder of `export --to transformers`; it must give classify's probabilities.
// usage: NPM=DIR node transformers.cjs SCORES.tsv FOLDER TOLERANCE [TOP1]
// SCORES.tsv is classify's output. Prints the number of pictures, the largest difference, and how many first classes agree; with TOP1,
// which many have to, the differences are only printed: pictures of another size are resized by sharp there.
const fs = require('fs'), path = require('path');
const { createRequire } = require('module');
const need = createRequire(path.resolve(process.env.NPM || 'build/npm', 'x.cjs'));
const [scores, folder, tolerance, top1] = process.argv.slice(2);
const lines = fs.readFileSync(scores, 'utf8').trimEnd().split('\n').map(l => l.split('\t')), heads = lines.shift();
const names = heads.filter(h => h.startsWith('p_')).map(h => h.slice(2)), first = heads.indexOf('p_' + names[0]);

(async () => {
  const { pipeline, env } = await import(need.resolve('@huggingface/transformers'));
  Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: path.dirname(path.resolve(folder)) });
  const classify = await pipeline('image-classification', path.basename(folder), { dtype: 'fp32' });
  let most = 0, agree = 0, sum = 0;
  for (const line of lines) {
    const said = await classify(line[heads.indexOf('path')], { top_k: names.length });
    const wanted = names.map((name, i) => ({ name, p: Number(line[first + i]) }));
    if (said.length !== names.length) throw new Error(`${said.length} classes`);
    for (const { name, p } of wanted) {
      const d = Math.abs(said.find(s => s.label === name).score - p);
      most = Math.max(most, d);
      sum += d / names.length;
    }
    agree += said[0].label === wanted.reduce((a, b) => (b.p > a.p ? b : a)).name;
  }
  console.log(`${lines.length} pictures, largest difference ${most.toExponential(2)}, mean ${(sum / lines.length).toExponential(2)}, same first class ${agree}`);
  process.exitCode = lines.length > 0 && (top1 ? agree >= Number(top1) : most <= Number(tolerance)) ? 0 : 1;
})().catch(e => { console.log(String(e).slice(0, 300)); process.exitCode = 2; });
