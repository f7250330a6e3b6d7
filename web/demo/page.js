/*
 * page.js: pictures in by drop, paste, file or camera; scores as bars; a report when they are wrong. The model runs in
 * worker.js. Nothing is fetched but this folder's own files, and nothing is sent.
 */
'use strict';
(() => {
  const $ = id => document.getElementById(id);
  const worker = new Worker('worker.js');
  const waiting = new Map();                  // id -> {resolve, reject}
  const queue = [];
  let info = null, ready = false, busy = false, count = 0, nextMessage = 1, stream = null;

  const say = text => { $('status').textContent = text; };
  const percent = p => (100 * p).toFixed(1) + ' %';

  // --- the worker -------------------------------------------------------------------------------------------------------

  function ask(message, transfer) {
    const id = nextMessage++;
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.postMessage({ ...message, id }, transfer);
    });
  }

  worker.onmessage = event => {
    const m = event.data;
    if (m.kind === 'progress') $('loading').value = m.share;
    else if (m.kind === 'ready') {
      ready = true;
      $('loading').hidden = true;
      document.documentElement.dataset.ready = 'yes';
      say(queue.length ? '' : 'Ready.');
      work();
    } else if (m.kind === 'failed' && m.what === 'load') {
      $('loading').hidden = true;
      say('The model cannot be loaded: ' + m.text);
    } else {
      const w = waiting.get(m.id);
      waiting.delete(m.id);
      if (w) m.kind === 'failed' ? w.reject(new Error(m.text)) : w.resolve(m);
    }
  };
  worker.onerror = event => { event.preventDefault(); say('The model cannot be loaded: ' + (event.message || 'a script is missing')); };

  // --- reading pictures ---------------------------------------------------------------------------------------------------

  const decode = blob => openPicture(blob, info);

  function add(files) {
    const pictures = Array.from(files).filter(f => f.type === '' || f.type.startsWith('image/'));
    if (files.length && !pictures.length) say('That is no picture.');
    for (const file of pictures) {
      const item = { file, number: ++count, name: file.name || 'picture ' + count };
      item.element = show(item);
      queue.push(item);
    }
    $('clear').hidden = !$('results').children.length;
    if (pictures.length && !ready) say('Loading the model… your pictures wait.');
    work();
  }

  async function work() {
    if (!ready || busy) return;
    busy = true;
    let done = 0;
    for (let item; (item = queue.shift());) {
      if (!item.element.isConnected) continue;
      say('Looking at ' + item.name + (queue.length ? ', ' + queue.length + ' more' : '') + '…');
      try {
        const { canvas, data } = await decode(item.file);
        thumbnail(item, canvas);
        const { width, height } = data;
        const answer = await ask({ kind: 'classify', width, height, rgba: data.data.buffer }, [data.data.buffer]);
        scores(item, answer.p);
        done++;
      } catch (e) {
        item.element.querySelector('.verdict').textContent = 'This file cannot be read as a picture (' + e.message + ').';
        item.element.dataset.state = 'failed';
      }
    }
    busy = false;
    const last = $('results').querySelector('li[data-state=done] .verdict');
    say(done === 1 && last ? 'Done: ' + last.textContent : done + (done === 1 ? ' picture done.' : ' pictures done.'));
  }

  // --- results ------------------------------------------------------------------------------------------------------------

  function show(item) {
    const element = $('result').content.firstElementChild.cloneNode(true), find = s => element.querySelector(s);
    find('.name').textContent = item.name;
    find('.verdict').textContent = 'Waiting…';
    find('.disagree').hidden = true;
    find('.disagree').setAttribute('aria-label', 'This is wrong: ' + item.name);
    find('.remove').setAttribute('aria-label', 'Remove ' + item.name);
    find('.remove').onclick = () => {
      const next = element.nextElementSibling || element.previousElementSibling;
      element.remove();
      $('clear').hidden = !$('results').children.length;
      (next ? next.querySelector('.remove') : $('pick')).focus();
    };
    find('.disagree').onclick = () => openReport(item);
    const button = find('.show');
    button.hidden = true;
    button.onclick = () => blurOne(element, !element.querySelector('.picture').classList.contains('blurred'));
    $('results').prepend(element);
    return element;
  }

  function blurOne(element, blurred) {
    const button = element.querySelector('.show');
    element.querySelector('.picture').classList.toggle('blurred', blurred);
    button.setAttribute('aria-pressed', String(!blurred));
    button.textContent = blurred ? 'Show' : 'Hide';
  }

  function thumbnail(item, from) {
    const canvas = item.element.querySelector('canvas'), scale = Math.min(1, 384 / Math.max(from.width, from.height));
    canvas.width = Math.max(1, Math.round(from.width * scale));
    canvas.height = Math.max(1, Math.round(from.height * scale));
    canvas.getContext('2d').drawImage(from, 0, 0, canvas.width, canvas.height);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', item.name);
    item.element.querySelector('.show').hidden = false;
    item.element.querySelector('.show').setAttribute('aria-label', 'Show ' + item.name);
    blurOne(item.element, $('blur').checked);
  }

  function bar(p) {
    const ns = 'http://www.w3.org/2000/svg', svg = document.createElementNS(ns, 'svg'), rect = document.createElementNS(ns, 'rect');
    svg.setAttribute('viewBox', '0 0 100 1');
    svg.setAttribute('preserveAspectRatio', 'none');
    svg.setAttribute('aria-hidden', 'true');
    rect.setAttribute('width', (100 * p).toFixed(3));
    rect.setAttribute('height', '1');
    svg.append(rect);
    return svg;
  }

  // What the model's thresholds say, as classify does: the strictest view decides; scores have nine digits.
  function decide(p) {
    let strictest = 0, by = '';
    for (const v of info.decisions.views) {
      const sum = v.classes.reduce((s, k) => s + p[k], 1e-9);
      const own = v.block !== null && sum >= v.block ? 2 : sum >= v.review ? 1 : 0;
      if (own > strictest) { strictest = own; by = ' (' + v.name + ')'; }
    }
    return ['allow', 'review', 'block'][strictest] + by;
  }

  function scores(item, p) {
    const body = item.element.querySelector('tbody'), best = p.indexOf(Math.max(...p));
    item.p = p;
    body.replaceChildren(...info.classes.map((name, i) => {
      const row = document.createElement('tr'), head = document.createElement('th'), number = document.createElement('td'), cell = document.createElement('td');
      head.scope = 'row';
      head.textContent = name;
      number.className = 'number';
      number.textContent = percent(p[i]);
      number.dataset.p = p[i];
      cell.className = 'bar';
      cell.append(bar(p[i]));
      row.classList.toggle('best', i === best);
      row.append(head, number, cell);
      return row;
    }));
    item.element.querySelector('.verdict').textContent = info.classes[best] + ', ' + percent(p[best]) + (info.decisions ? ': ' + decide(p) : '');
    if (info.decisions) item.element.dataset.decision = decide(p);
    item.element.querySelector('.disagree').hidden = false;
    item.element.dataset.state = 'done';
  }

  // --- reports ------------------------------------------------------------------------------------------------------------

  let reported = null;

  function choice(type, name, value, text) {
    const label = document.createElement('label'), input = document.createElement('input');
    input.type = type;
    input.name = name;
    input.value = value;
    input.required = type === 'radio';
    label.append(input, text);
    return label;
  }

  function openReport(item) {
    reported = item;
    $('report').reset();
    $('wrong-what').textContent = item.name + ' was taken for ' + item.element.querySelector('.verdict').textContent + '.';
    $('wrong').showModal();
  }

  async function saveReport(item, claimed, slices) {
    say('Making the report…');
    const { data } = await decode(item.file), file = await item.file.arrayBuffer();
    const d = await ask({ kind: 'describe', width: data.width, height: data.height, rgba: data.data.buffer, file }, [data.data.buffer, file]);
    const best = info.classes[item.p.indexOf(Math.max(...item.p))];
    const columns = ['id', 'pdq', 'pdq_quality', 'model_id', 'pred', ...info.classes.map(c => 'p_' + c), 'claimed_label', 'slice'];
    // One row for each slice, so that `eval --slices` reads reports as they are. Without one it is just "reported".
    const rows = (slices.length ? slices : ['reported']).map(slice => [d.xxh128, d.pdq, d.quality, info.model_id, best,
      ...item.p.map(v => Number(v.toPrecision(9)).toString()), claimed, slice]);
    const text = [columns, ...rows].map(r => r.map(picture.tsv).join('\t') + '\n').join('');
    const link = document.createElement('a'), url = URL.createObjectURL(new Blob([text], { type: 'text/tab-separated-values' }));
    link.href = url;
    link.download = 'report-' + (d.xxh128 || d.pdq).slice(0, 8) + '.tsv';
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
    say('Saved ' + link.download + '. Please send it to whoever gave you this page.');
  }

  $('cancel').onclick = () => $('wrong').close('cancel');
  $('report').onsubmit = () => {
    const form = new FormData($('report')), item = reported;
    saveReport(item, form.get('claim'), form.getAll('slice')).catch(e => say('The report cannot be made: ' + e.message));
  };

  // --- ways in ------------------------------------------------------------------------------------------------------------

  $('pick').onchange = () => { add($('pick').files); $('pick').value = ''; };
  $('clear').onclick = () => { queue.length = 0; $('results').replaceChildren(); $('clear').hidden = true; say('Removed.'); $('pick').focus(); };
  $('blur').onchange = () => { for (const e of $('results').children) blurOne(e, $('blur').checked); };
  addEventListener('paste', event => {
    const files = Array.from(event.clipboardData ? event.clipboardData.files : []);
    if (files.length) { event.preventDefault(); add(files); }
  });
  let depth = 0;
  addEventListener('dragenter', event => { event.preventDefault(); depth++; $('drop').classList.add('over'); });
  addEventListener('dragleave', () => { if (--depth <= 0) $('drop').classList.remove('over'); });
  addEventListener('dragover', event => event.preventDefault());
  addEventListener('drop', event => {
    event.preventDefault();
    depth = 0;
    $('drop').classList.remove('over');
    add(event.dataTransfer.files);
  });

  function stopCamera() {
    if (stream) for (const track of stream.getTracks()) track.stop();
    stream = null;
    $('video').srcObject = null;
    $('viewfinder').hidden = true;
    $('camera').focus();
  }
  if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) $('camera').hidden = true;
  $('camera').onclick = async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment', width: { ideal: 1280 } } });
      $('video').srcObject = stream;
      await $('video').play();
      $('viewfinder').hidden = false;
      $('shoot').focus();
    } catch (e) {
      say('The camera cannot be used (' + e.name + ').');
    }
  };
  $('stop').onclick = stopCamera;
  $('shoot').onclick = () => {
    const canvas = document.createElement('canvas');
    canvas.width = $('video').videoWidth;
    canvas.height = $('video').videoHeight;
    canvas.getContext('2d').drawImage($('video'), 0, 0);
    canvas.toBlob(blob => { if (blob) add([new File([blob], 'camera ' + (count + 1), { type: 'image/png' })]); }, 'image/png');
  };
  addEventListener('keydown', event => { if (event.key === 'Escape' && stream) stopCamera(); });

  // --- about ---------------------------------------------------------------------------------------------------------------

  function table(title, heads, rows) {
    const t = document.createElement('table'), caption = document.createElement('caption'), head = t.createTHead().insertRow(), body = t.createTBody();
    caption.textContent = title;
    t.prepend(caption);
    for (const h of heads) {
      const th = document.createElement('th');
      th.scope = 'col';
      th.textContent = h;
      head.append(th);
    }
    for (const r of rows) {
      const row = body.insertRow();
      r.forEach((cell, i) => {
        const c = document.createElement(i ? 'td' : 'th');
        if (!i) c.scope = 'row';
        c.textContent = cell;
        row.append(c);
      });
    }
    return t;
  }

  const rate = (v, digits = 1) => v === null ? 'not defined' : (100 * v).toFixed(digits) + ' %';
  const range = r => r.low === null || r.high === null ? '' : rate(r.low) + ' to ' + rate(r.high);

  function about() {
    document.title = info.title;
    $('title').textContent = info.title;
    const facts = [['Model', info.model_id], ['Date', info.date], ['Classes', info.classes.join(', ')],
      ['Reads', info.size + '×' + info.size + ' pixels, the whole picture stretched'], ['Weights', info.weights]];
    $('facts').replaceChildren(...facts.flatMap(([name, value]) => {
      const dt = document.createElement('dt'), dd = document.createElement('dd');
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }));
    const note = text => { const p = document.createElement('p'); p.textContent = text; return p; };
    $('figures').replaceChildren(info.figures.length
      ? table('Test figures', ['Measure', 'Value', '95 % interval', 'Pictures'], info.figures.map(f => [f.name, rate(f.value), range(f), f.n]))
      : note('It was not tested, or nobody said how it did.'));
    $('weak').replaceChildren(!info.slices_measured ? note('Nobody measured on which kinds of pictures it is weak.')
      : !info.weak.length ? note('No kind of picture that was measured is worse than the rest beyond chance.')
      : table('Known weak spots', ['Pictures', 'Measure', 'Value', '95 % interval', 'Pictures'],
        info.weak.map(w => [w.slice, w.rate.replace(/_/g, ' '), rate(w.value), range(w), w.n])));
    if (info.decisions)
      $('decisions').replaceChildren(
        table('Decisions, chosen ' + info.decisions.date.slice(0, 10), ['View', 'Classes', 'Review from', 'Block from', 'Promise'],
          info.decisions.views.map(v => [v.name, v.classes.map(k => info.classes[k]).join(' + '), v.review.toPrecision(4),
            v.block === null ? 'never' : v.block.toPrecision(4),
            v.max_miss === undefined ? 'none' : 'at most ' + rate(v.max_miss) + ' missed, with ' + rate(v.confidence, 0) + ' confidence'])),
        note('Below the first threshold a picture is allowed, from the second on it is blocked, between them a person looks.'
          + (info.decisions.exact ? '' : ' They were chosen for the weights that the ones of this page are rounded from: here they show, and promise nothing.')));
    for (const c of info.classes) $('claim').append(choice('radio', 'claim', c, c));
    $('claim').append(choice('radio', 'claim', '', 'none of these'));
    for (const s of info.slices) $('slices').append(choice('checkbox', 'slice', s.name, s.text));
    $('slices').hidden = !info.slices.length;
  }

  fetch('info.json').then(r => { if (!r.ok) throw new Error('info.json: ' + r.status); return r.json(); }).then(i => {
    info = i;
    about();
    worker.postMessage({ kind: 'load', info });
  }).catch(e => { $('loading').hidden = true; say('The page cannot be loaded: ' + e.message + '. It has to come from a web server, not from a file.'); });
})();
