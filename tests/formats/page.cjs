// Drives the demo page in Chromium as a person with a keyboard would. usage: node page.cjs SITE PICTURES OUT
// Prints TAP. SITE is served from here on a free port of the loopback, as any static server would.
const fs = require('fs'), path = require('path'), http = require('http');
const { createRequire } = require('module');
const need = createRequire(path.resolve(process.env.NPM || 'build/npm', 'x.cjs'));
const { chromium } = need('playwright-core');
const [site, pictures, out] = process.argv.slice(2);
let n = 0, bad = 0;
const ok = (good, what) => { console.log(`${good ? 'ok' : 'not ok'} ${++n} - ${what}`); if (!good) bad++; };
const types = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml', '.bin': 'application/octet-stream', '.md': 'text/markdown' };

const server = http.createServer((request, response) => {
  const name = decodeURIComponent(new URL(request.url, 'http://x').pathname), file = path.join(site, name === '/' ? 'index.html' : name);
  fs.readFile(file, (error, bytes) => {
    response.writeHead(error ? 404 : 200, { 'content-type': types[path.extname(file)] || 'application/octet-stream' });
    response.end(error ? '' : bytes);
  });
});

(async () => {
  await new Promise(r => server.listen(0, '127.0.0.1', r));
  const origin = 'http://127.0.0.1:' + server.address().port;
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'] });
  const context = await browser.newContext({ acceptDownloads: true, permissions: ['camera'], viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  const errors = [], outside = [];
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') errors.push(m.text()); });
  page.on('pageerror', e => errors.push(String(e)));
  page.on('request', r => { if (!r.url().startsWith(origin) && !r.url().startsWith('blob:' + origin)) outside.push(r.url()); });
  page.on('requestfailed', r => errors.push('failed: ' + r.url()));
  await page.goto(origin + '/');
  await page.waitForSelector('html[data-ready=yes]', { timeout: 60000 });
  ok(true, 'the model loads');
  ok((await page.textContent('#facts')).includes(JSON.parse(fs.readFileSync(path.join(site, 'info.json'))).model_id), 'the page names the model');

  // The first Tab stop is the picker; its label is what is seen.
  await page.keyboard.press('Tab');
  ok(await page.evaluate(() => document.activeElement.id) === 'pick', 'Tab reaches the picker');
  const files = fs.readdirSync(pictures).sort().slice(0, 3).map(f => path.join(pictures, f));
  // Three pictures dropped.
  const data = await page.evaluateHandle(list => {
    const t = new DataTransfer();
    for (const f of list) t.items.add(new File([Uint8Array.from(atob(f.bytes), c => c.charCodeAt(0))], f.name, { type: f.type }));
    return t;
  }, files.map(f => ({ name: path.basename(f), type: f.endsWith('.png') ? 'image/png' : 'image/jpeg', bytes: fs.readFileSync(f).toString('base64') })));
  await page.dispatchEvent('#drop', 'drop', { dataTransfer: data });
  await page.waitForFunction(() => document.querySelectorAll('li[data-state=done]').length === 3, null, { timeout: 120000 });
  ok(true, 'three dropped pictures get scores');
  const shown = await page.evaluate(() => Array.from(document.querySelectorAll('li.result'), li => ({
    name: li.querySelector('.name').textContent, blurred: li.querySelector('.picture').classList.contains('blurred'),
    p: Array.from(li.querySelectorAll('td.number'), td => Number(td.dataset.p)), verdict: li.querySelector('.verdict').textContent,
    bars: Array.from(li.querySelectorAll('td.bar rect'), r => Number(r.getAttribute('width'))) })));
  ok(shown.every(s => s.blurred), 'pictures are blurred until asked');
  ok(shown.every(s => Math.abs(s.p.reduce((a, v) => a + v, 0) - 1) < 1e-5), 'scores add up to one');
  ok(shown.every(s => s.p.every((v, i) => Math.abs(100 * v - s.bars[i]) < 0.01)), 'bars are as long as the scores');
  fs.writeFileSync(path.join(out, 'page-scores.json'), JSON.stringify(Object.fromEntries(shown.map(s => [s.name, s.p]))));

  // By keyboard to the first "Show", then to "This is wrong", the form, and the download.
  const tabTo = async wanted => {
    for (let i = 0; i < 60; i++) {
      if (await page.evaluate(s => document.activeElement.matches(s), wanted)) return true;
      await page.keyboard.press('Tab');
    }
    return false;
  };
  ok(await tabTo('li.result .show'), 'Tab reaches a picture\'s Show button');
  await page.keyboard.press('Enter');
  ok(await page.evaluate(() => !document.querySelector('li.result .picture').classList.contains('blurred') &&
    document.activeElement.getAttribute('aria-pressed') === 'true'), 'Enter shows the picture');
  ok(await tabTo('li.result .disagree'), 'Tab reaches "This is wrong"');
  const name = await page.evaluate(() => document.activeElement.closest('li').querySelector('.name').textContent);
  await page.keyboard.press('Enter');
  ok(await page.evaluate(() => document.getElementById('wrong').open), 'it opens a dialog');
  await page.keyboard.press('Escape');
  ok(await page.evaluate(() => !document.getElementById('wrong').open && document.activeElement.matches('.disagree')), 'Escape closes it and focus returns');
  await page.keyboard.press('Enter');
  ok(await tabTo('#claim input'), 'Tab reaches the classes');
  await page.keyboard.press('Space');
  await page.keyboard.press('ArrowDown');
  const claimed = await page.evaluate(() => document.activeElement.value);
  ok(await tabTo('#slices input'), 'Tab reaches the slices');
  await page.keyboard.press('Space');
  const slice = await page.evaluate(() => document.activeElement.value);
  ok(await tabTo('#save'), 'Tab reaches Save');
  const [download] = await Promise.all([page.waitForEvent('download', { timeout: 60000 }), page.keyboard.press('Enter')]);
  const report = path.join(out, 'report.tsv');
  await download.saveAs(report);
  const [heads, row, rest] = fs.readFileSync(report, 'utf8').split('\n').map(l => l.split('\t'));
  const field = Object.fromEntries(heads.map((h, i) => [h, row[i]]));
  ok(field.claimed_label === claimed && field.slice === slice && rest.length === 1 && rest[0] === '', 'the report holds the claim and the slice');
  ok(/^[0-9a-f]{32}$/.test(field.id) && /^[0-9a-f]{64}$/.test(field.pdq), 'and the hashes');
  fs.writeFileSync(path.join(out, 'report-of.txt'), name);
  ok(fs.statSync(report).size < 2000, 'and no picture');

  // What is no picture, the camera, remove all.
  await page.setInputFiles('#pick', { name: 'broken.jpg', mimeType: 'image/jpeg', buffer: Buffer.from('not a picture') });
  await page.waitForSelector('li[data-state=failed]', { timeout: 20000 });
  ok((await page.textContent('li[data-state=failed] .verdict')).includes('cannot be read'), 'a broken file is said to be one');
  await page.focus('#camera');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#viewfinder:not([hidden])', { timeout: 20000 });
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('li[data-state=done]').length === 4, null, { timeout: 60000 });
  ok(true, 'a picture from the camera gets scores');
  await page.keyboard.press('Escape');
  ok(await page.evaluate(() => document.getElementById('viewfinder').hidden), 'Escape closes the camera');
  await page.focus('#clear');
  await page.keyboard.press('Enter');
  ok(await page.evaluate(() => document.querySelectorAll('li.result').length === 0), 'Remove all removes all');

  // Names for a screen reader, and room on a phone.
  const nameless = await page.evaluate(() => Array.from(document.querySelectorAll('button, input, a, video, canvas'), e => e)
    .filter(e => !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length))).map(e => e.outerHTML));
  ok(nameless.length === 0, 'every control has a name ' + nameless.join(' '));
  ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than a phone');
  ok(outside.length === 0, 'no request leaves the folder ' + outside.join(' '));
  ok(errors.length === 0, 'no console error ' + errors.join(' | '));
  console.log(`1..${n}`);
  await browser.close();
  server.close();
  process.exit(bad ? 1 : 0);
})().catch(e => { console.log(`not ok ${++n} - ${String(e).split('\n')[0]}`); console.log(`1..${n}`); process.exit(1); });
