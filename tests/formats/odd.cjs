// What Chromium, the demo page and sharp make of pictures. usage: node odd.cjs FOLDER OUT [RULES]
// RULES (JSON): what the page is told, as a model says it; then Chromium and sharp are left out.
// Writes OUT/chromium/NAME, OUT/page/NAME and OUT/sharp/NAME: "P6" pictures on white, or nothing where the file is refused.
const fs = require('fs'), path = require('path');
const { createRequire } = require('module');
const need = createRequire(path.resolve(process.env.NPM || 'build/npm', 'x.cjs'));
const [folder, out, rules] = process.argv.slice(2);
const files = fs.readdirSync(folder).sort();
const keep = (who, name, width, height, rgb) =>
  fs.writeFileSync(path.join(out, who, name), Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), rgb]));

async function browser() {
  const { chromium } = need('playwright-core');
  const b = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const page = await b.newPage();
  const server = require('http').createServer((q, r) => r.end('<!doctype html>')).listen(0, '127.0.0.1');
  await new Promise(r => server.once('listening', r));
  await page.goto('http://127.0.0.1:' + server.address().port);      // ImageDecoder is for secure contexts
  for (const name of ['turn.js', 'open.js']) await page.addScriptTag({ path: path.join(__dirname, '../../web/demo', name) });
  const both = await page.evaluate(async ({ list, rules }) => {
    const rgb = d => { let s = ''; for (let i = 0; i < d.data.length; i += 4) s += String.fromCharCode(d.data[i], d.data[i + 1], d.data[i + 2]); return btoa(s); };
    const asShown = async blob => {
      const image = new Image();
      image.src = URL.createObjectURL(blob);
      await image.decode();
      const bitmap = await createImageBitmap(blob), canvas = document.createElement('canvas');     // an <img> also shows halves of files
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      const context = canvas.getContext('2d', { willReadFrequently: true });
      context.fillStyle = '#fff';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(image, 0, 0);
      return context.getImageData(0, 0, canvas.width, canvas.height);
    };
    const results = [];
    for (const f of list) {
      const blob = new Blob([Uint8Array.from(atob(f.bytes), c => c.charCodeAt(0))]), r = { name: f.name };
      for (const [who, how] of [['chromium', asShown], ['page', async x => (await openPicture(x, rules)).data]]) {
        if (rules && who === 'chromium') continue;
        try {
          const d = await how(blob);
          r[who] = { width: d.width, height: d.height, rgb: rgb(d) };
        } catch (e) { r[who + 'Says'] = e.message; }
      }
      results.push(r);
    }
    return results;
  }, { list: files.map(name => ({ name, bytes: fs.readFileSync(path.join(folder, name)).toString('base64') })), rules: rules && JSON.parse(rules) });
  fs.writeFileSync(path.join(out, 'page-says'), both.filter(r => r.pageSays).map(r => r.name + '\t' + r.pageSays + '\n').join(''));
  for (const r of both)
    for (const who of ['chromium', 'page'])
      if (r[who]) keep(who, r.name, r[who].width, r[who].height, Buffer.from(r[who].rgb, 'base64'));
  console.log('chromium ' + b.version());
  await b.close();
  server.close();
}

async function sharpen() {
  let sharp;
  try { sharp = need('sharp'); } catch (e) { return; }
  for (const name of files) {
    try {
      const r = await sharp(path.join(folder, name)).autoOrient().flatten({ background: '#fff' }).toColourspace('srgb').raw().toBuffer({ resolveWithObject: true });
      const { width, height, channels } = r.info, rgb = Buffer.alloc(width * height * 3);
      for (let i = 0; i < width * height; i++) for (let c = 0; c < 3; c++) rgb[3 * i + c] = r.data[i * channels + (channels < 3 ? 0 : c)];
      keep('sharp', name, width, height, rgb);
    } catch (e) { /* refused */ }
  }
  console.log('sharp ' + sharp.versions.sharp);
}

for (const who of ['chromium', 'page', 'sharp']) fs.mkdirSync(path.join(out, who), { recursive: true });
browser().then(() => rules || sharpen()).catch(e => { console.error(String(e)); process.exit(1); });
