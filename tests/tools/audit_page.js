// The page of audit by keyboard and mouse in Chromium; prints TAP. usage: NODE_PATH=... BROWSER=/usr/bin/chromium node audit_page.js FOLDER
// FOLDER/run/audit.html has 3,000 points in clusters. MEASURE=1 prints how long 300,000 points take.
'use strict';
const { chromium } = require('playwright-core');
const fs = require('fs');
const tmp = process.argv[2];
let n = 0, bad = 0;
const ok = (good, text, why) => { n++; if (!good) bad++; console.log(`${good ? 'ok' : 'not ok'} ${n} - ${text}${good || why === undefined ? '' : ': ' + why}`); };

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.BROWSER, args: ['--no-sandbox'] });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const problems = [];
  page.on('pageerror', e => problems.push(e.message));
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') if (!/willReadFrequently/.test(m.text())) problems.push(m.text()); });
  page.on('request', r => { if (!/^(file|data|blob):/.test(r.url())) problems.push('request ' + r.url()); });
  const text = id => page.textContent('#' + id), press = key => page.keyboard.press(key), frame = () => page.evaluate(() => new Promise(f => requestAnimationFrame(() => requestAnimationFrame(f))));
  const shown = () => page.evaluate(() => ['findings', 'map', 'clusters'].filter(v => !document.getElementById(v).hidden).join());
  const filters = () => page.evaluate(() => [...document.querySelectorAll('.thumb img')].filter(i => i.offsetParent).map(i => getComputedStyle(i).filter));
  // Pixels of the map that have another colour than the ground.
  const inked = () => page.evaluate(() => { const c = document.getElementById('canvas'), d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer); let k = 0; for (const p of d) if (p !== d[0]) k++; return k; });
  await page.goto('file://' + tmp + '/run/audit.html');
  ok((await shown()) === 'findings' && /weak cluster1off topic\d\d/.test(await text('checks')), 'findings come first, those of the set above', await text('checks'));
  ok(/^\d\d findings; 3000 pictures in \d+ clusters; the model is right about 9\d/.test(await text('summary')), 'a summary', await text('summary'));
  ok(/dog ?.*most_often=dog><b>owl<\/b>:\d+/.test(await text('items')) && (await page.evaluate(() => document.querySelectorAll('b b, li b').length)) === 0, 'the weak cluster is named, and names are text', await text('items'));
  ok((await filters()).length === 12 && (await filters()).every(f => /blur/.test(f)), 'with twelve of its pictures, blurred', (await filters()).length);
  await page.keyboard.down(' ');
  ok((await filters()).every(f => f === 'none'), 'clear while Space is held');
  await page.keyboard.up(' ');
  ok((await filters()).every(f => /blur/.test(f)), 'blurred when it is let go');
  await press('ArrowDown');
  ok(/^off topic: \d\d$/.test(await text('foundName')) && (await filters()).length >= 12, 'the next check with its pictures', await text('foundName'));
  await page.waitForFunction(() => [...document.querySelectorAll('#items img')].every(i => i.naturalWidth === 64));
  ok(true, 'pictures are found through a path with blanks, & and #');
  await page.evaluate(() => document.querySelector('#items .thumb').focus());
  ok((await filters()).filter(f => f === 'none').length === 1, 'the one that has the focus is clear');
  await page.evaluate(() => document.activeElement.blur());
  await press('s');
  ok((await filters()).every(f => f === 'none') && (await page.getAttribute('#show', 'aria-pressed')) === 'true', 'S keeps them clear');
  await press('s');

  await press('m'); await frame();
  ok((await shown()) === 'map' && /off topic: \d+ marked/.test(await text('tip')), 'M marks them on the map', await text('tip'));
  const all = await inked();
  ok(all > 3000, 'the map is drawn', all);
  ok(/cat1000.*dog1000|dog1000.*cat1000/.test(await text('legend')), 'the legend counts the classes', await text('legend'));
  await page.click('#legend li'); await frame();
  ok((await inked()) < all * 0.9, 'a class can be taken away', await inked());
  await page.click('#legend li'); await frame();
  await press('n');
  ok((await page.evaluate(() => document.querySelectorAll('#point figure').length)) === 1 && /Cluster \d+/.test(await text('point')), 'N goes to a marked picture', await text('point'));
  ok((await filters()).every(f => /blur/.test(f)), 'which is blurred');
  const before = await page.evaluate(() => document.getElementById('canvas').toDataURL());
  await press('+'); await frame();
  const closer = await page.evaluate(() => document.getElementById('canvas').toDataURL());
  await press('ArrowLeft'); await frame();
  ok(before !== closer && closer !== await page.evaluate(() => document.getElementById('canvas').toDataURL()), 'keys move it');
  await press('0'); await press('c'); await frame();
  ok(/by cluster/.test(await text('colour')), 'C: by cluster');
  await press('c');
  ok(/what the model says/.test(await text('colour')) && /another class\d+/.test(await text('legend')), 'and by what the model says', await text('legend'));
  await page.evaluate(() => { document.getElementById('point').textContent = ''; });
  const box = await (await page.$('#canvas')).boundingBox();
  let hit = false;
  for (let y = 0.2; y < 0.9 && !hit; y += 0.05) for (let x = 0.2; x < 0.9 && !hit; x += 0.05) {
    await page.mouse.move(box.x + x * box.width, box.y + y * box.height);
    hit = /Cluster/.test(await text('point'));
  }
  ok(hit, 'the picture under the mouse is told');
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  const still = await page.evaluate(() => document.getElementById('canvas').toDataURL());
  await page.mouse.down(); await page.mouse.move(box.x + box.width / 2 + 60, box.y + box.height / 2 + 20, { steps: 3 }); await page.mouse.up(); await frame();
  const moved = await page.evaluate(() => document.getElementById('canvas').toDataURL());
  await page.mouse.wheel(0, -300); await frame();
  ok(still !== moved && moved !== await page.evaluate(() => document.getElementById('canvas').toDataURL()), 'dragging and the wheel move it');

  await press('3'); await frame();
  ok((await shown()) === 'clusters' && /weak: 9\d\.\d % of all; dog → <b>owl<\/b> \d+ times/.test(await page.textContent('article')), 'clusters, the weak one first', await page.textContent('article h2'));
  ok((await page.evaluate(() => document.querySelector('article').querySelectorAll('figure').length)) === 12, 'with its most typical pictures');
  await press('Enter');
  ok((await page.evaluate(() => document.querySelector('article').querySelectorAll('figure').length)) > 60, 'Enter: all of them');
  await press('ArrowDown');
  ok(await page.evaluate(() => document.querySelectorAll('article')[1].className === 'current'), 'arrows go to the next');
  ok(problems.length === 0, 'no error, no request but to the disk', problems.join('; '));

  if (process.env.MEASURE) {
    const N = 300000, html = fs.readFileSync(tmp + '/run/audit.html', 'utf8'), r = Buffer.alloc(9 * N), d = JSON.parse(/id="data">([^]*?)<\/script>/.exec(html)[1]);
    for (let i = 0; i < 9 * N; i++) r[i] = Math.random() * 256;
    for (let i = 0; i < N; i++) { r.writeUInt16LE(i % 3, 4 * N + 2 * i); r.writeUInt16LE(i % d.map.clusters.length, 6 * N + 2 * i); r[8 * N + i] = i % 3; }
    Object.assign(d.map, { n: N, points: r.toString('base64'), paths: Array.from({ length: N }, (_, i) => 'objects/' + i.toString(16).padStart(32, '0') + '.jpg') });
    fs.writeFileSync(tmp + '/run/large.html', html.replace(/(id="data">)[^]*?(<\/script>)/, (all, a, b) => a + JSON.stringify(d) + b));
    const began = Date.now();
    await page.goto('file://' + tmp + '/run/large.html');
    await press('2'); await frame();
    console.log(`# 300,000 points, ${(fs.statSync(tmp + '/run/large.html').size / 1e6).toFixed(1)} MB: ${Date.now() - began} ms from opening to the drawn map`);
    const times = await page.evaluate(async () => {
      const t = [], c = document.getElementById('canvas'), box = c.getBoundingClientRect();
      for (let i = 0; i < 60; i++) {
        const start = performance.now();
        c.dispatchEvent(new WheelEvent('wheel', { deltaY: i % 2 ? 90 : -100, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, cancelable: true }));
        await new Promise(f => requestAnimationFrame(() => { const m = new MessageChannel(); m.port1.onmessage = f; m.port2.postMessage(0); }));
        t.push(performance.now() - start);
      }
      return t.sort((a, b) => a - b);
    });
    console.log(`# from a turn of the wheel to the drawn map, 60 times: median ${times[30].toFixed(1)} ms, worst ${times[59].toFixed(1)} ms`);
  }
  await browser.close();
  console.log('1..' + n);
  process.exit(bad ? 1 : 0);
})().catch(e => { console.log(`not ok ${n + 1} - ${e.message.split('\n')[0]}`); console.log('1..' + (n + 1)); process.exit(1); });
