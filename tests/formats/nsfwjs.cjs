// A model folder as it stands in nsfwjs in Chromium, end to end from JPEG files that the browser itself wrote.
// usage: node nsfwjs.cjs MODEL_FOLDER SIDE PNG_FOLDER OUT [PACKAGE]     writes OUT/*.jpg and OUT/nsfwjs.tsv (file, five probabilities)
// PACKAGE: the folder of another version of nsfwjs below node_modules.
const fs = require('fs'), path = require('path'), http = require('http');
const { createRequire } = require('module');
const npm = path.resolve(process.env.NPM || 'build/npm');
const need = createRequire(path.join(npm, 'x.cjs'));
const { chromium } = need('playwright-core');
const [model, side, pngs, out, pack = 'nsfwjs'] = process.argv.slice(2);
const files = { '/tf.js': npm + '/node_modules/@tensorflow/tfjs/dist/tf.min.js', '/nsfwjs.js': npm + '/node_modules/' + pack + '/dist/browser/nsfwjs.min.js' };
const server = http.createServer((request, response) => {
  const name = new URL(request.url, 'http://x').pathname;
  if (name === '/') { response.setHeader('content-type', 'text/html'); return response.end('<!doctype html><meta charset=utf-8><script src=tf.js></script><script src=nsfwjs.js></script>'); }
  const file = files[name] || (name.startsWith('/model/') ? path.join(model, name.slice(7)) : path.join(out, name.slice(1)));
  fs.readFile(file, (e, bytes) => { response.writeHead(e ? 404 : 200, { 'content-type': name.endsWith('.js') ? 'text/javascript' : name.endsWith('.json') ? 'application/json' : 'application/octet-stream' }); response.end(bytes); });
});
(async () => {
  await new Promise(r => server.listen(0, '127.0.0.1', r));
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const page = await browser.newPage();
  await page.goto('http://127.0.0.1:' + server.address().port + '/');
  const lines = ['file\tdrawings\thentai\tneutral\tporn\tsexy'];
  for (const f of fs.readdirSync(pngs).filter(f => f.endsWith('.png')).sort().slice(0, 3)) {
    const jpeg = await page.evaluate(async b => {
      const bitmap = await createImageBitmap(await (await fetch('data:image/png;base64,' + b)).blob()), c = document.createElement('canvas');
      c.width = bitmap.width + 141;             // another size and shape than the model's
      c.height = bitmap.height + 60;
      c.getContext('2d').drawImage(bitmap, 0, 0, c.width, c.height);
      return c.toDataURL('image/jpeg', 0.9).split(',')[1];
    }, fs.readFileSync(path.join(pngs, f)).toString('base64'));
    const name = f.replace(/png$/, 'jpg');
    fs.writeFileSync(path.join(out, name), Buffer.from(jpeg, 'base64'));
    const said = await page.evaluate(async ([name, side]) => {
      await tf.setBackend('cpu');
      globalThis.net = globalThis.net || await nsfwjs.load('/model/', { size: side });
      const image = new Image();
      image.src = name;
      await image.decode();
      return Object.fromEntries((await net.classify(image)).map(x => [x.className, x.probability]));
    }, [name, Number(side)]);
    lines.push([name, said.Drawing, said.Hentai, said.Neutral, said.Porn, said.Sexy].join('\t'));
  }
  fs.writeFileSync(path.join(out, 'nsfwjs.tsv'), lines.join('\n') + '\n');
  await browser.close();
  server.close();
})().catch(e => { console.log(String(e && e.stack || e)); process.exit(1); });
