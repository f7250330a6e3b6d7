// The review page by keyboard in Chromium; prints TAP. usage: NODE_PATH=... BROWSER=/usr/bin/chromium node review_page.js FOLDER
// FOLDER/run/round-1/review.html has 10,000 suspects, FOLDER/s.tsv the same in a table.
'use strict';
const { chromium } = require('playwright-core');
const fs = require('fs');
const { execFileSync } = require('child_process');
const tmp = process.argv[2];
let n = 0, bad = 0;
const ok = (good, text, why) => { n++; if (!good) bad++; console.log(`${good ? 'ok' : 'not ok'} ${n} - ${text}${good || why === undefined ? '' : ': ' + why}`); };
const tsv = text => { const [head, ...rows] = text.replace(/\n$/, '').split('\n').map(l => l.split('\t')); return rows.map(r => Object.fromEntries(head.map((h, i) => [h, r[i]]))); };

(async () => {
  const browser = await chromium.launch({ executablePath: process.env.BROWSER, args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true });
  const page = await context.newPage();
  const problems = [];
  page.on('pageerror', e => problems.push(e.message));
  page.on('console', m => { if (m.type() === 'error' || m.type() === 'warning') problems.push(m.text()); });
  page.on('request', r => { if (!/^(file|data|blob):/.test(r.url())) problems.push('request ' + r.url()); });
  const text = id => page.textContent('#' + id);
  const seen = () => page.evaluate(() => ['picture', 'blurred'].map(id => { const s = getComputedStyle(document.getElementById(id)); return s.display !== 'none' && s.visibility !== 'hidden'; }).join());
  const currentRow = () => page.evaluate(() => document.querySelector('.row.current .name').textContent);
  const press = key => page.keyboard.press(key);
  await page.goto('file://' + tmp + '/run/round-1/review.html');
  const suspects = tsv(fs.readFileSync(tmp + '/s.tsv', 'utf8'));
  ok(suspects.length === 10000, '10,000 suspects', suspects.length);
  ok((await page.title()) === 'Round <1>', 'the title is text');
  ok((await page.evaluate(() => document.querySelectorAll('#rows > div').length)) < 100, 'the list holds only what can be seen');
  ok(/of 10000/.test(await text('counts')), 'the counts are there', await text('counts'));
  ok((await page.evaluate(() => document.querySelectorAll('#rows b, #facts b b').length)) === 0, 'class names are text');

  // Pictures: grey and blurred until the space bar is held, and again afterwards.
  await page.waitForFunction(() => document.getElementById('picture').naturalWidth === 64);
  ok(true, 'the picture is found through a path with blanks, & and #');
  ok((await seen()) === 'false,true' && (await page.evaluate(() => document.getElementById('blurred').width)) <= 16, 'only a smear of a few samples is drawn', await seen());
  await page.keyboard.down(' ');
  ok((await seen()) === 'true,false', 'clear while Space is held');
  await page.keyboard.up(' ');
  ok((await seen()) === 'false,true', 'blurred when it is let go');
  await page.keyboard.down(' ');
  await page.evaluate(() => window.dispatchEvent(new Event('blur')));
  ok((await seen()) === 'false,true', 'blurred when the window loses the focus');
  await page.keyboard.up(' ');

  // Deciding: the first key asks who one is.
  await press('k');
  ok(await page.evaluate(() => document.getElementById('ask').open), 'the first decision asks for a name');
  await page.keyboard.type('ann');
  await press('Enter');
  ok(/^1 of 10000: 0 relabelled, 1 kept/.test(await text('counts')), 'and is then made', await text('counts'));
  for (const key of ['a', 'd', 'u', '1', '2', '3']) await press(key);
  ok(/^7 of 10000/.test(await text('counts')), 'a decision a key', await text('counts'));
  await press('Backspace');
  await press('Backspace');
  ok(/^5 of 10000/.test(await text('counts')), 'Backspace takes the last two back', await text('counts'));
  const before = await currentRow();
  await press('ArrowDown'); await press('ArrowUp');
  ok((await currentRow()) === before, 'arrows move');
  await press('End');
  ok((await page.evaluate(() => document.getElementById('list').scrollTop)) > 200000, 'End goes to the end of the list');
  await press('Home'); await press('n');
  ok((await text('verdict')) === '', 'N goes to an undecided one');
  const pair = () => page.evaluate(() => document.getElementById('question').textContent + document.querySelector('#classes .suggested').textContent);
  const first = await pair();
  await press('g');
  ok((await pair()).replace(/[\d.]+ %/, '') !== first.replace(/[\d.]+ %/, ''), 'G goes to the next pair of classes', first);
  
  await press('f'); await press('f');
  ok(/decided \(5\)/.test(await text('filter')), 'F filters', await text('filter'));
  await press('f'); await press('f'); await press('f');

  // Export is what relabel reads.
  const save = async () => { const [d] = await Promise.all([page.waitForEvent('download'), press('e')]); return fs.readFileSync(await d.path(), 'utf8'); };
  const exported = await save(), decisions = tsv(exported);
  ok(decisions.length === 5 && decisions.every(d => d.reviewer === 'ann' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(d.date)), 'exports decisions.tsv', exported);
  const byId = new Map(suspects.map(s => [s.id, s]));
  ok(decisions.every(d => d.decision !== 'keep' || d.label === byId.get(d.id).label), 'keep carries the label that was shown');
  fs.writeFileSync(tmp + '/decisions.tsv', exported);
  execFileSync(process.env.BIN + '/relabel', ['--decisions', tmp + '/decisions.tsv', '-o', tmp + '/relabelled.tsv', '--rejects', tmp + '/dropped.tsv', tmp + '/P.tsv']);
  const changed = tsv(fs.readFileSync(tmp + '/relabelled.tsv', 'utf8')).filter(r => r.label_given), wanted = decisions.filter(d => d.decision === 'relabel');
  ok(changed.length === wanted.length && wanted.every(d => changed.some(r => r.id === d.id && r.label === d.label)), 'relabel applies them', changed.length);
  ok(tsv(fs.readFileSync(tmp + '/dropped.tsv', 'utf8')).length === 1, 'the dropped one is among the rejects');

  // Progress survives.
  await page.reload();
  ok(/^5 of 10000/.test(await text('counts')), 'decisions are there after a reload', await text('counts'));

  // A second reviewer starts blind, and agreement is counted.
  await press('r');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('bob');
  await press('Enter');
  ok(/^0 of 10000/.test(await text('counts')), 'a second reviewer starts blind', await text('counts'));
  await press('Home');
  await press('k');
  await press('d');
  await page.setInputFiles('#file', tmp + '/decisions.tsv');
  await page.waitForFunction(() => /kappa/.test(document.getElementById('notice').textContent));
  ok(/5 of other reviewers.*With ann: 1 of 2 equal, kappa/.test(await text('notice')), 'kappa with the first', await text('notice'));
  await press('f'); await press('f'); await press('f'); await press('f');
  ok(/disagreements \(1\)/.test(await text('filter')), 'disagreements can be seen alone', await text('filter'));
  await press('f');
  await page.setInputFiles('#file', { name: 'broken.tsv', mimeType: 'text/plain', buffer: Buffer.from('id\tdecision\n\x00\tburn\nx\n') });
  await page.waitForFunction(() => /broken/.test(document.getElementById('notice').textContent));
  ok(/2 lines that cannot be read/.test(await text('notice')), 'a broken file is said to be one', await text('notice'));

  // From a folder above, through a link: prefixes are tried in turn.
  const linked = await context.newPage();
  await linked.goto('file://' + tmp + '/run/linked.html');
  ok(await linked.waitForFunction(() => document.getElementById('picture').naturalWidth === 64, null, { timeout: 5000 }).then(() => true, () => false), 'the page works through a link in the folder above');
  await linked.close();

  // Suspects that are alike: one item, one key, once all of them were seen.
  const alike = tsv(fs.readFileSync(tmp + '/alike.tsv', 'utf8')), groups = new Map();
  for (const s of alike) if (s.alike) groups.set(s.alike, [...(groups.get(s.alike) || []), s]);
  ok(groups.size > 100 && [...groups.values()].every(g => g.length > 1 && g.length <= 24 && (g[0].method.includes('off-topic') || g.every(s => s.label === g[0].label && s.suggested === g[0].suggested))),
    'groups have one label and one suggestion, and 2 to 24 members', groups.size);
  const off = alike.slice(10000);
  const few = new Map();
  for (const s of tsv(fs.readFileSync(tmp + '/few.tsv', 'utf8'))) if (s.alike) few.set(s.alike, (few.get(s.alike) || 0) + 1);
  ok(few.size > 100 && Math.max(...few.values()) === 3, '--group-size is the most', Math.max(...few.values()));
  const odd = new Set([...Array(20).keys()].map(i => require('crypto').createHash('md5').update(String(1000 * i + 7)).digest('hex')));
  ok(off.length <= 300 && off.slice(0, 20).every(s => odd.has(s.id)) && off.every(s => s.method.includes('off-topic')) && alike.length === 10000 + off.length && alike.slice(0, 10000).every(s => !s.method.includes('off-topic') && !odd.has(s.id)),
    'the 20 pictures that are like none come last, and take no place of the budget', off.length);
  const whole = await context.newPage();
  whole.on('pageerror', e => problems.push(e.message));
  await whole.goto('file://' + tmp + '/run/round-1/alike.html');
  await whole.evaluate(() => localStorage.clear());
  await whole.reload();
  const say = id => whole.textContent('#' + id), key = k => whole.keyboard.press(k);
  const tiles = () => whole.evaluate(() => [...document.querySelectorAll('.tile')].filter(t => t.offsetParent).map(t => getComputedStyle(t.querySelector('img')).visibility));
  const single = () => whole.evaluate(() => document.getElementById('alike').hidden);
  const loaded = () => whole.waitForFunction(() => [...document.querySelectorAll('.tile')].every(t => !t.offsetParent || (t.querySelector('img').complete && t.querySelector('img').naturalWidth === 64)));
  const look = async () => { await loaded(); await whole.keyboard.down(' '); const s = await tiles(); await whole.keyboard.up(' '); return s; };
  const done = async () => +(await say('counts')).match(/^\d+/)[0];
  await loaded();
  const size = (await tiles()).length;
  ok(size > 5 && size <= 24 && (await tiles()).every(v => v === 'hidden'), 'all pictures of a group are there, and none is drawn', size);
  ok(new RegExp('^' + size + ' alike, given as').test(await say('question')), 'the question is about all', await say('question'));
  await key('r'); await whole.keyboard.type('cy'); await key('Enter');
  await key('k');
  ok((await done()) === 0 && /Hold Space/.test(await say('notice')), 'what was not seen whole is not decided', await say('notice'));
  ok((await look()).every(v => v === 'visible') && (await tiles()).every(v => v === 'hidden'), 'all are shown while Space is held');
  ok(await whole.evaluate(() => { const a = document.getElementById('alike').getBoundingClientRect(); return [...document.querySelectorAll('.tile')].filter(t => t.offsetParent).every(t => { const b = t.getBoundingClientRect(); return b.bottom <= a.bottom + 1 && b.right <= a.right + 1 && b.width > 40 && b.height > 40; }); }), 'and each is large enough and on the screen');
  await key('k');
  ok((await done()) === size && (await say('notice')) === '', 'one key decides the group', await say('counts'));
  await key('Backspace');
  ok((await done()) === 0, 'Backspace takes the whole group back', await say('counts'));
  await key('ArrowRight'); await key('ArrowRight'); await key('d');
  ok((await done()) === 1 && /1 dropped/.test(await say('counts')), 'a picked one is decided alone', await say('counts'));
  await key('Escape'); await key('k');
  ok((await done()) === size && (await say('counts')).includes(`${size - 1} kept, 1 dropped`), 'and the others without it', await say('counts'));
  await whole.waitForTimeout(2100);
  await key('ArrowUp'); await key('Enter');
  ok(await single(), 'Enter opens a group: one picture at a time');
  await key('u');
  ok((await done()) === size && /1 unsure, \d+ a minute/.test(await say('counts')), 'decisions a minute are counted', await say('counts'));
  await key('ArrowUp'); await key('Enter');
  ok(!(await single()), 'Enter closes it again');
  await key('c');
  ok((await single()) && (await say('together')) === 'Alike: one by one', 'C: one by one', await say('together'));
  await key('c');
  const headings = () => whole.evaluate(() => [...document.querySelectorAll('.pair')].filter(n => !n.hidden).map(n => n.textContent).join());
  await key('Home');
  for (let i = 0; i < 6; i++) await key('g');
  ok((await headings()).includes('off topic'), 'what is off topic stands after the six pairs of classes', await headings());
  await key('g');
  ok(!(await headings()).includes('off topic'), 'and nothing after it', await headings());

  // Copies under several labels stand behind the suspects, and are decided by the same keys.
  ok(fs.readFileSync(tmp + '/beside.tsv', 'utf8') === fs.readFileSync(tmp + '/alike.tsv', 'utf8'), '--conflicts changes no suspect');
  ok(/1 conflict rows? are not on the page/.test(fs.readFileSync(tmp + '/beside.err', 'utf8')), 'a label that is no class is said', fs.readFileSync(tmp + '/beside.err', 'utf8'));
  await whole.goto('file://' + tmp + '/run/round-1/conflicts.html');
  await whole.evaluate(() => localStorage.clear());
  await whole.reload();
  await key('r'); await whole.keyboard.type('cy'); await key('Enter'); await key('Home');
  for (let i = 0; i < 6; i++) await key('g');
  ok((await headings()).includes('copies under several labels3'), 'copies under several labels stand after the pairs: each picture once', await headings());
  ok(/^2 copies, given as cat, <b>owl<\/b>. Which is right/.test(await say('question')), 'two copies are one question', await say('question'));
  await look();
  await key('k');
  ok((await done()) === 0 && /several labels/.test(await say('notice')), 'one key cannot keep two labels', await say('notice'));
  await key('1');
  ok((await done()) === 2 && (await say('notice')) === '', 'one key gives both the same label', await say('counts'));
  ok(/^Given as dog, and a copy of it as cat/.test(await say('question')), 'equal bytes are one question, too', await say('question'));
  await key('k');
  const [conflictFile] = await Promise.all([whole.waitForEvent('download'), key('e')]);
  const told = tsv(fs.readFileSync(await conflictFile.path(), 'utf8')).map(d => [d.id, d.decision, d.label].join()).sort().join(' ');
  const md5 = t => require('crypto').createHash('md5').update(t).digest('hex');
  ok(told === [[md5('a'), 'relabel', 'cat'], [md5('b'), 'relabel', 'cat'], [md5('bytes'), 'relabel', 'dog']].map(d => d.join()).sort().join(' '), 'and the file says so for each', told);
  await whole.goto('file://' + tmp + '/run/round-1/alike.html');

  // A reviewer who has another answer for one in eight goes through the first groups of the first pair: every answer is right, with less than half the keys.
  await whole.evaluate(() => localStorage.clear());
  await whole.reload();
  await key('r'); await whole.keyboard.type('cy'); await key('Enter'); await key('Home');
  const pairs = new Map(), answer = s => s.id[0] === '7' ? 'd' : s.id[0] === '8' ? 'k' : 'a';
  for (const s of alike.slice(0, 10000)) { const p = s.label + '>' + s.suggested; pairs.set(p, [...(pairs.get(p) || []), s]); }
  const longest = Math.max(...[...pairs.values()].map(l => l.length)), largest = [...pairs.values()].filter(l => l.length === longest)[0];
  const stops = [];
  for (const s of largest) { const g = s.alike ? groups.get(s.alike) : [s]; if (g[0] === s) stops.push(g); }
  const right = new Map();
  let keys = 0;
  for (const g of stops.slice(0, 15)) {
    await look();
    keys++;
    if (g.length === 1) { await key(answer(g[0])); keys++; right.set(g[0].id, answer(g[0])); continue; }
    const usual = g.filter(s => answer(s) === 'a').length * 2 >= g.length ? 'a' : 'k';
    let at = -1, left = g.length;
    for (let i = 0; i < g.length; i++) {
      right.set(g[i].id, answer(g[i]));
      if (answer(g[i]) === usual) continue;
      for (; at < i; at++, keys++) await key('ArrowRight');
      await key(answer(g[i]));
      keys++;
      left--;
      at = at + 1 < g.length ? at + 1 : -1;
    }
    if (at >= 0) { await key('Escape'); keys++; }
    const before = await done();
    if (left) { await key(usual); keys++; }
    /* A busy machine: not all were on the screen when Space was let go, which the page says. */
    for (let again = 0; left && again < 3 && (await done()) === before; again++) { await look(); await key(usual); }
  }
  const [saved] = await Promise.all([whole.waitForEvent('download'), key('e')]), said = tsv(fs.readFileSync(await saved.path(), 'utf8'));
  ok(said.length === right.size && said.every(d => ({ relabel: 'a', keep: 'k', drop: 'd' })[d.decision] === right.get(d.id)), 'every decision is the one that was meant', said.length + ' of ' + right.size + ', group sizes ' + stops.slice(0, 15).map(g => g.filter(x => said.some(d => d.id === x.id)).length + '/' + g.length).join(' ') + ', wrong ' + said.filter(d => ({ relabel: 'a', keep: 'k', drop: 'd' })[d.decision] !== right.get(d.id)).length);
  ok(right.size > 60 && 2 * keys < 2 * right.size, `${keys} keys for ${right.size} pictures, which one by one take ${2 * right.size}`);
  await whole.close();

  // Measured, not tested: the time from key to picture on the screen (tests/bench/review.sh prints it).
  ok(problems.filter(p => !/ERR_FILE_NOT_FOUND/.test(p)).length === 0, 'no error, no request but to the disk', problems.join('; '));
  if (process.env.MEASURE) {
    // The same keys over an empty page first: what the machine itself takes at this moment.
    const empty = await context.newPage();
    await empty.setContent('<p id=p>0</p>');
    await empty.evaluate(() => addEventListener('keydown', () => { document.getElementById('p').textContent++; }));
    const time = async (target, what) => {
      await target.bringToFront();
      await target.evaluate(() => {
        window.times = [];
        new PerformanceObserver(l => { for (const e of l.getEntries()) if (e.name === 'keydown') window.times.push(e.duration); }).observe({ type: 'event', durationThreshold: 16 });
      });
      const keys = ['k', '1', '2', 'd', 'u', 'ArrowDown', 'PageDown', 'g'];
      for (let i = 0; i < 200; i++) { await target.keyboard.press(keys[i % keys.length]); await target.waitForTimeout(25); }
      await target.waitForTimeout(300);
      const slow = await target.evaluate(() => window.times), t = [...Array(200 - Math.min(200, slow.length)).fill(8), ...slow].sort((x, y) => x - y);
      console.log(`# ${what}, 200 keys, from the key to the next frame (8 ms steps): median ${t[t.length >> 1]} ms, 95 % ${t[Math.floor(t.length * .95)]} ms, worst ${t[t.length - 1]} ms`);
    };
    await time(empty, 'empty page');
    await time(page, 'review page of 10,000 rows');
    const grouped = await context.newPage();
    await grouped.goto('file://' + tmp + '/run/round-1/alike.html');
    await time(grouped, 'review page of 10,000 rows in groups');
    await time(empty, 'empty page');
  }
  await browser.close();
  console.log('1..' + n);
  process.exit(bad ? 1 : 0);
})().catch(e => { console.log(`not ok ${n + 1} - ${e.message.split('\n')[0]}`); console.log('1..' + (n + 1)); process.exit(1); });
