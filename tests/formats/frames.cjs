// The frames of animations as Chromium composes them, on white. usage: node frames.cjs FOLDER OUT
// Writes OUT/NAME/0.ppm, 1.ppm ...; a file that ImageDecoder does not know is left out.
const fs = require('fs'), path = require('path');
const { createRequire } = require('module');
const need = createRequire(path.resolve(process.env.NPM || 'build/npm', 'x.cjs'));
const { chromium } = need('playwright-core');
const [folder, out] = process.argv.slice(2);
const types = { '.gif': 'image/gif', '.png': 'image/png', '.webp': 'image/webp', '.avif': 'image/avif', '.jxl': 'image/jxl' };

(async () => {
  const b = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
  const page = await b.newPage();
  const server = require('http').createServer((q, r) => r.end('<!doctype html>')).listen(0, '127.0.0.1');
  await new Promise(r => server.once('listening', r));
  await page.goto('http://127.0.0.1:' + server.address().port);      // ImageDecoder is for secure contexts
  for (const name of fs.readdirSync(folder).sort()) {
    const frames = await page.evaluate(async ({ type, bytes }) => {
      if (!await ImageDecoder.isTypeSupported(type)) return null;
      const d = new ImageDecoder({ type, data: Uint8Array.from(atob(bytes), c => c.charCodeAt(0)), colorSpaceConversion: 'none' });
      await d.tracks.ready;
      await d.completed;
      const list = [];
      for (let i = 0; i < d.tracks.selectedTrack.frameCount; i++) {
        const { image } = await d.decode({ frameIndex: i }), canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
        const context = canvas.getContext('2d', { willReadFrequently: true });
        context.fillStyle = '#fff';
        context.fillRect(0, 0, canvas.width, canvas.height);
        context.drawImage(image, 0, 0);
        const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let s = '';
        for (let k = 0; k < data.length; k += 4) s += String.fromCharCode(data[k], data[k + 1], data[k + 2]);
        list.push({ width: canvas.width, height: canvas.height, rgb: btoa(s) });
      }
      return list;
    }, { type: types[path.extname(name)], bytes: fs.readFileSync(path.join(folder, name)).toString('base64') });
    if (!frames) continue;
    fs.mkdirSync(path.join(out, name), { recursive: true });
    frames.forEach((f, i) => fs.writeFileSync(path.join(out, name, i + '.ppm'),
      Buffer.concat([Buffer.from(`P6\n${f.width} ${f.height}\n255\n`), Buffer.from(f.rgb, 'base64')])));
  }
  await b.close();
  server.close();
})().catch(e => { console.error(String(e)); process.exit(1); });
