"use strict";
/*
 * The review page. Data comes in one JSON block; decisions go to localStorage, one small entry each (a decision among ten thousand
 * costs the same as the first), and out as decisions.tsv. The list holds only the rows that can be seen: every
 * key press moves a few dozen elements whatever the length. Text reaches the page through textContent alone.
 */
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = id => document.getElementById(id);
const KINDS = {keep: "\u2713", relabel: "\u2192", drop: "\u2715", unsure: "?"};
const FILTERS = ["all", "undecided", "decided", "unsure", "disagreements"];
const ROW_PX = 28, SPARE_ROWS = 6;
const K = data.classes.length;
const SUSPECT = 0, OFF_TOPIC = 1, CONFLICT = 2;
const suspected = new Set(data.rows.filter(r => r[10] !== CONFLICT).map(r => r[0]));
const rows = data.rows.filter(r => r[10] !== CONFLICT || !suspected.has(r[0]))      /* one row for a picture */
  .map(r => ({id: r[0], path: r[1], given: r[2], suggested: r[3], score: r[4], methods: r[5], note: r[6], p: r[7], group: r[8], alike: r[9], kind: r[10], mine: null}));
const byId = new Map(rows.map((r, i) => [r.id, i]));

/* --- decisions ------------------------------------------------------------------------------------------------- */
const others = new Map();           /* reviewer -> Map(id -> decision), from imports */
const PREFIX = "winnow-review|" + data.set + "|";
let reviewer = "", storageFails = false;

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(key); else localStorage.setItem(key, value);
  } catch (e) {
    if (!storageFails) say("This browser keeps nothing (" + e.name + "): export before you close the page.");
    storageFails = true;
  }
}
function load(key) { try { return localStorage.getItem(key); } catch (e) { return null; } }

const keyOf = id => PREFIX + "d|" + reviewer + "|" + id;
function parseDecision(text) {
  const [kind, label, date] = text.split("\t");
  return Object.hasOwn(KINDS, kind) ? {kind, label: label || "", date: date || ""} : null;
}
let n = {keep: 0, relabel: 0, drop: 0, unsure: 0};
function count(d, by) { if (d) n[d.kind] += by; }

function setDecision(r, d, fromStorage) {
  count(r.mine, -1);
  r.mine = d;
  count(d, 1);
  if (!fromStorage) store(keyOf(r.id), d ? d.kind + "\t" + d.label + "\t" + d.date : null);
}
function loadReviewer(name) {
  reviewer = name;
  store(PREFIX + "reviewer", name);
  n = {keep: 0, relabel: 0, drop: 0, unsure: 0};
  for (const r of rows) {
    r.mine = null;
    const text = load(keyOf(r.id));
    if (text) setDecision(r, parseDecision(text), true);
  }
  $("reviewer").textContent = name ? "Reviewer: " + name : "Reviewer";
}

/* --- the list: pairs of classes, largest first, suspects of a pair in the order of the miner; then what has
   several labels; last, what is off topic --- */
/* Suspects that are alike are one item, at the place of the first, unless it was opened. `current` is its first row then. */
let shown = [];                     /* the row of each item, in order */
let items = [];                     /* {heading, count}, {row: index} or {row: index, members: indices} */
const hasGroups = rows.some(r => r.alike), opened = new Set();
let together = hasGroups;
let current = 0, filter = 0, itemOf = new Int32Array(rows.length).fill(-1);

function disagree(r) {
  if (!r.mine) return false;
  for (const said of others.values()) {
    const d = said.get(r.id);
    if (d && (d.kind !== r.mine.kind || (d.kind === "relabel" && d.label !== r.mine.label))) return true;
  }
  return false;
}
function wanted(r) {
  switch (FILTERS[filter]) {
  case "undecided": return !r.mine;
  case "decided": return !!r.mine;
  case "unsure": return r.mine !== null && r.mine.kind === "unsure";
  case "disagreements": return disagree(r);
  default: return true;
  }
}
function addItems(list) {
  const alike = new Map();
  if (together) for (const i of list) {
    const g = rows[i].alike;
    if (!g) continue;
    if (!alike.has(g)) alike.set(g, []);
    alike.get(g).push(i);
  }
  for (const i of list) {
    const members = alike.get(rows[i].alike) || [i];
    if (members[0] !== i) continue;
    const whole = members.length > 1 && !opened.has(rows[i].alike);
    for (const m of members) {
      itemOf[m] = items.length;
      if (whole) continue;
      items.push({row: m});
      shown.push(m);
    }
    if (!whole) continue;
    items.push({row: i, members});
    shown.push(i);
  }
}
const membersOf = i => itemOf[i] >= 0 && items[itemOf[i]].members || null;
function buildList() {
  const pairs = new Map();
  rows.forEach((r, i) => {
    const pair = r.kind === SUSPECT ? r.given * K + r.suggested : K * K + r.kind;
    if (!pairs.has(pair)) pairs.set(pair, {kind: r.kind, total: 0, list: []});
    const p = pairs.get(pair);
    p.total++;
    if (wanted(r)) p.list.push(i);
  });
  items = []; shown = []; itemOf.fill(-1);
  let many = 0;
  const place = p => [0, 2, 1][p.kind];
  for (const [pair, p] of [...pairs].sort((a, b) => place(a[1]) - place(b[1]) || b[1].total - a[1].total || a[0] - b[0])) {
    if (!p.list.length) continue;
    const heading = p.kind === OFF_TOPIC ? "off topic: like no other picture" : p.kind === CONFLICT ? "copies under several labels" : data.classes[Math.floor(pair / K)] + " \u2192 " + data.classes[pair % K];
    items.push({heading, count: p.list.length, row: -1});
    many += p.list.length;
    addItems(p.list);
  }
  $("rows").style.height = items.length * ROW_PX + "px";
  $("filter").textContent = "Show: " + FILTERS[filter] + " (" + many + ")";
  pool.forEach(e => { e.at = -1; });
}

const pool = [];                    /* elements, reused by position modulo their number */
function element(slot) {
  if (!pool[slot]) {
    const node = document.createElement("div"), mark = document.createElement("span"), name = document.createElement("span"), score = document.createElement("span");
    node.append(mark, name, score);
    node.addEventListener("mousedown", e => { const it = items[pool[slot].at]; if (it && it.row >= 0) { e.preventDefault(); select(it.row); } });
    $("rows").append(node);
    pool[slot] = {node, mark, name, score, at: -1};
  }
  return pool[slot];
}
function drawRow(e, at) {
  const it = items[at];
  e.at = at;
  e.node.style.transform = "translateY(" + at * ROW_PX + "px)";
  e.node.hidden = false;
  if (it.row < 0) {
    e.node.className = "pair";
    e.mark.className = "";
    e.mark.textContent = it.heading;
    e.name.className = ""; e.name.textContent = "";
    e.score.className = ""; e.score.textContent = it.count;
    return;
  }
  const r = rows[it.row], d = it.members ? common(it.members) : r.mine;
  e.node.className = it.row === current ? "row current" : "row";
  e.mark.className = "mark " + (d ? d.kind : "");
  e.mark.textContent = d ? KINDS[d.kind] : "";
  e.name.className = "name";
  const many = it.members ? it.members.length + " alike: " : "";
  e.name.textContent = (d && d.kind === "relabel" ? d.label + "  " : "") + many + nameOf(r);
  e.score.className = "score";
  const left = it.members && !d ? it.members.filter(i => rows[i].mine).length : 0;
  e.score.textContent = left ? left + " of " + it.members.length : r.kind === CONFLICT ? "" : r.score.toFixed(3);
}
/* The decision that all of them have, or null. */
function common(members) {
  const d = rows[members[0]].mine;
  return d && members.every(i => rows[i].mine && rows[i].mine.kind === d.kind && (d.kind !== "relabel" || rows[i].mine.label === d.label)) ? d : null;
}
function nameOf(r) { return r.path ? r.path.slice(r.path.lastIndexOf("/") + 1) : r.id; }
let viewPx = 600, topPx = 0;
function drawList(all) {
  const first = Math.max(0, Math.floor(topPx / ROW_PX) - SPARE_ROWS);
  const many = Math.ceil(viewPx / ROW_PX) + 2 * SPARE_ROWS, last = Math.min(items.length, first + many);
  for (let at = first; at < last; at++) {
    const e = element(at % many);
    if (all || e.at !== at) drawRow(e, at);
  }
  for (let slot = 0; slot < pool.length; slot++)
    if (pool[slot] && (pool[slot].at < first || pool[slot].at >= last)) { pool[slot].node.hidden = true; pool[slot].at = -1; }
}
function redrawRow(i) {
  for (const e of pool) if (e && e.at >= 0 && e.at === itemOf[i]) drawRow(e, e.at);
}
function scrollTo(at) {
  const y = at * ROW_PX, margin = 3 * ROW_PX;
  let to = topPx;
  if (y < topPx + margin) to = y - margin;
  else if (y + ROW_PX > topPx + viewPx - margin) to = y + ROW_PX - viewPx + margin;
  to = Math.max(0, Math.min(to, items.length * ROW_PX - viewPx));
  if (to !== topPx) { topPx = to; $("list").scrollTop = to; }
}

/* --- the picture -------------------------------------------------------------------------------------------------- */
/* Paths are relative to the page; where it was moved or linked to another folder, shorter prefixes are tried in turn. */
let prefix = 0;
const ahead = [];
function address(r, step) { return data.prefixes[(prefix + step) % data.prefixes.length] + r.path.split("/").map(encodeURIComponent).join("/"); }
let tries = 0;
function showPicture(r) {
  const img = $("picture"), frame = $("frame");
  frame.hidden = false;
  $("alike").hidden = true;
  frame.classList.remove("shown");
  frame.classList.toggle("missing", !r.path);
  $("veil").textContent = "";
  if (!r.path) { $("veil").textContent = "no path known (mine-errors --manifest adds it)"; img.removeAttribute("src"); return; }
  const key = document.createElement("kbd");
  key.textContent = "Space";
  $("veil").append("hold ", key, " to see");
  tries = 0;
  smears++;
  pencil.clearRect(0, 0, SMEAR_PX, SMEAR_PX);
  img.src = address(r, 0);
}
/* Decoded and shrunk beside the page's own thread; a CSS blur of a large picture would cost more than all the rest of a key press. */
const SMEAR_PX = 10, pencil = $("blurred").getContext("2d");
let smears = 0;
function smear(img, pencil) {
  const turn = smears;
  createImageBitmap(img, {resizeWidth: SMEAR_PX, resizeHeight: SMEAR_PX, resizeQuality: "medium"}).then(small => {
    if (turn !== smears) return;
    pencil.globalCompositeOperation = "copy";
    pencil.drawImage(small, 0, 0);
    pencil.globalCompositeOperation = "saturation";     /* grey */
    pencil.fillStyle = "#808080";
    pencil.fillRect(0, 0, SMEAR_PX, SMEAR_PX);
    pencil.globalCompositeOperation = "source-over";
  }, () => {});
}
$("picture").addEventListener("error", () => {
  const r = rows[current];
  if (!r.path) return;
  if (++tries < data.prefixes.length) { $("picture").src = address(r, tries); return; }
  $("frame").classList.add("missing");
  $("veil").textContent = "not found: " + r.path;
});
$("picture").addEventListener("load", () => { prefix = (prefix + tries) % data.prefixes.length; tries = 0; smear($("picture"), pencil); });
function fetchAhead() {
  const at = shown.indexOf(current);
  let n = 0;
  for (let i = 1; i <= 3 && at >= 0 && at + i < shown.length; i++)
    for (const m of membersOf(shown[at + i]) || [shown[at + i]]) {
      if (!rows[m].path) continue;
      const img = ahead[n] || (ahead[n] = new Image());
      n++;
      img.decoding = "async";
      img.src = address(rows[m], 0);
    }
}
function reveal(on) {
  $("frame").classList.toggle("shown", on && !$("frame").classList.contains("missing"));
  $("alike").classList.toggle("shown", on);
  noteSeen();
}

/* --- pictures that are alike: all of them at once, so that one key can decide them ------------------------------------- */
const tiles = [], seen = new Set(); /* numbers of groups that were shown whole */
const unseenText = "Hold Space first, until all of them are on the screen: one key decides what was seen whole.";
let picked = -1;                    /* which of the members the keys mean; -1: all that have no decision */
function makeTile(k) {
  const node = document.createElement("div"), canvas = document.createElement("canvas"), img = document.createElement("img"), mark = document.createElement("span");
  canvas.width = canvas.height = SMEAR_PX;
  img.decoding = "async";
  img.alt = "";
  node.className = "tile";
  node.append(canvas, img, mark);
  node.addEventListener("mousedown", e => { e.preventDefault(); pick(picked === k ? -1 : k); });
  const t = tiles[k] = {node, img, mark, pencil: canvas.getContext("2d"), row: -1, tries: 0, ready: false};
  img.addEventListener("load", () => { prefix = (prefix + t.tries) % data.prefixes.length; t.tries = 0; t.ready = true; smear(img, t.pencil); noteSeen(); });
  img.addEventListener("error", () => {
    if (t.row < 0 || !rows[t.row].path) return;
    if (++t.tries < data.prefixes.length) { img.src = address(rows[t.row], t.tries); return; }
    t.ready = true;
    node.classList.add("missing");
    noteSeen();
  });
  $("alike").append(node);
  return t;
}
function showAlike(members) {
  const box = $("alike");
  smears++;
  $("frame").hidden = true;
  box.hidden = false;
  box.style.setProperty("--columns", Math.ceil(Math.sqrt(1.4 * members.length)));
  box.classList.remove("shown");
  for (let k = 0; k < Math.max(members.length, tiles.length); k++) {
    const t = tiles[k] || makeTile(k), r = k < members.length ? rows[members[k]] : null;
    t.node.hidden = !r;
    t.row = r ? members[k] : -1;
    t.tries = 0;
    t.pencil.clearRect(0, 0, SMEAR_PX, SMEAR_PX);
    t.node.classList.toggle("missing", !!r && !r.path);
    t.ready = !r || !r.path;
    t.img.removeAttribute("src");
  }
  drawTiles();
  /* Not in the same frame, and not for a group that is only passed by. */
  clearTimeout(loading);
  loading = setTimeout(() => { for (const t of tiles) if (t.row >= 0 && rows[t.row].path) t.img.src = address(rows[t.row], 0); }, 20);
}
let loading = 0;
function drawTiles() {
  for (let k = 0; k < tiles.length; k++) {
    const t = tiles[k], d = t.row < 0 ? null : rows[t.row].mine;
    t.node.classList.toggle("picked", k === picked);
    t.mark.className = d ? "mark " + d.kind : "";
    t.mark.textContent = d ? KINDS[d.kind] : "";
  }
}
function noteSeen() {
  const members = membersOf(current);
  if (members && $("alike").classList.contains("shown") && tiles.every(t => t.ready || (t.img.complete && t.img.naturalWidth))) seen.add(rows[current].alike);
}
function pick(k) {
  const members = membersOf(current);
  if (!members) return;
  picked = Math.max(-1, Math.min(members.length - 1, k));
  drawTiles();
  drawFacts();
}
function openAlike() {
  const g = rows[current].alike, members = membersOf(current);
  if (!g || !together) return;
  if (members && picked >= 0) current = members[picked];
  if (opened.has(g)) opened.delete(g); else opened.add(g);
  refresh();
}
function toggleTogether() {
  if (!hasGroups) return say("There are no groups: mine-errors --features makes them.");
  const members = membersOf(current);
  if (members && picked >= 0) current = members[picked];
  together = !together;
  opened.clear();
  refresh();
}

/* --- the facts beside it --------------------------------------------------------------------------------------------- */
const classItems = [];
function buildClasses() {
  for (let k = 0; k < Math.min(K, 40); k++) {
    const li = document.createElement("li"), bar = document.createElement("i"), key = document.createElement("kbd"), name = document.createElement("span"), p = document.createElement("span");
    key.textContent = k < 9 ? k + 1 : "";
    if (k >= 9) key.style.visibility = "hidden";
    name.textContent = data.classes[k];
    li.append(bar, key, name, p);
    li.addEventListener("mousedown", e => { e.preventDefault(); decideClass(k); });
    $("classes").append(li);
    classItems.push({li, bar, p});
  }
  for (const c of data.classes) { const o = document.createElement("option"); o.value = c; $("names").append(o); }
}
function drawClasses(p, given, suggested) {
  classItems.forEach((c, k) => {
    c.bar.style.transform = "scaleX(" + (p.length ? p[k] : 0) + ")";
    c.p.textContent = p.length ? (100 * p[k]).toFixed(1) + " %" : "";
    c.li.className = k === given ? "given" : k === suggested ? "suggested" : "";
  });
}
/* The means of the members; given and suggested where they are the same for all. */
function drawFactsOfAll(members) {
  const first = rows[members[0]], q = $("question"), b = document.createElement("b"), list = $("details");
  const same = members.every(i => rows[i].given === first.given), suggested = members.every(i => rows[i].suggested === first.suggested);
  b.textContent = same ? data.classes[first.given] : [...new Set(members.map(i => data.classes[rows[i].given]))].join(", ");
  const conflict = first.kind === CONFLICT;
  q.textContent = members.length + (conflict ? " copies, given as " : " alike, given as ");
  q.append(b, conflict ? ". Which is right?" : ". Are they?");
  drawClasses(conflict ? [] : data.classes.map((c, k) => members.reduce((sum, i) => sum + rows[i].p[k], 0) / members.length), same ? first.given : -1, suggested ? first.suggested : -1);
  list.textContent = "";
  detail(list, "keys", "decide those that have no decision yet; \u2190 \u2192 pick one, Enter opens the group");
  if (!conflict) detail(list, "score", first.score + " to " + rows[members[members.length - 1]].score);
  const tests = members.filter(i => rows[i].note === "test").length;
  if (tests) detail(list, "note", tests + " test pictures: mark them, never let the model under test choose its own test set");
  drawVerdict();
}
function detail(list, term, text) {
  if (!text) return;
  const dt = document.createElement("dt"), dd = document.createElement("dd");
  dt.textContent = term; dd.textContent = text;
  list.append(dt, dd);
}
function drawFacts() {
  const members = membersOf(current);
  if (members && picked < 0) return drawFactsOfAll(members);
  const i = members ? members[picked] : current, r = rows[i], q = $("question"), b = document.createElement("b");
  b.textContent = data.classes[r.given];
  q.textContent = "Given as ";
  if (r.kind === CONFLICT) {
    const other = document.createElement("b");
    other.textContent = data.classes[r.suggested];
    q.append(b, ", and a copy of it as ", other, ". Which is right?");
  } else q.append(b, ". Is it?");
  drawClasses(r.p, r.given, r.suggested);
  const list = $("details");
  list.textContent = "";
  detail(list, "found by", r.methods);
  if (r.kind !== CONFLICT) detail(list, "score", String(r.score));
  detail(list, "file", r.path);
  detail(list, "id", r.id);
  detail(list, "group", r.group);
  detail(list, "note", r.note === "test" ? "test picture: mark it, never let the model under test choose its own test set" : r.note);
  if (r.mine) for (const [who, said] of others) {       /* blind until one's own decision is made */
    const d = said.get(r.id);
    if (d) detail(list, who, d.kind + (d.kind === "relabel" ? " to " + d.label : ""));
  }
  drawVerdict();
}
function drawVerdict() {
  const members = membersOf(current), v = $("verdict");
  const d = !members ? rows[current].mine : picked >= 0 ? rows[members[picked]].mine : common(members);
  v.className = d ? d.kind : "";
  if (members && picked < 0 && !d) {
    const done = members.filter(i => rows[i].mine).length;
    v.textContent = done ? done + " of " + members.length + " decided" : "";
    return;
  }
  v.textContent = !d ? "" : d.kind === "relabel" ? "relabel to " + d.label : d.kind;
}
function drawCounts() {
  const done = n.keep + n.relabel + n.drop + n.unsure, share = rows.length ? done / rows.length : 0;
  $("bar").style.transform = "scaleX(" + share + ")";
  $("progress").setAttribute("aria-valuenow", Math.round(100 * share));
  $("counts").textContent = done + " of " + rows.length + ": " + n.relabel + " relabelled, " + n.keep + " kept, " + n.drop + " dropped, " + n.unsure + " unsure" + paceText();
}
/* How fast it goes: pauses of more than a minute are not counted. */
let paced = 0, pacedMs = 0, lastAt = 0;
function pace(many) {
  const now = performance.now();
  if (lastAt && now - lastAt < 60000) { paced += many; pacedMs += now - lastAt; }
  lastAt = now;
}
function paceText() { return pacedMs < 2000 ? "" : ", " + Math.round(60000 * paced / pacedMs) + " a minute"; }
function say(text) { const p = $("notice"); p.textContent = text; p.hidden = !text; }

let later = 0;
function select(i) {
  const before = current, members = membersOf(i);
  current = i;
  picked = -1;
  scrollTo(itemOf[i]);
  drawList(false);
  redrawRow(before);
  redrawRow(i);
  if (members) showAlike(members); else showPicture(rows[i]);
  drawFacts();
  clearTimeout(later);
  later = setTimeout(() => { fetchAhead(); store(PREFIX + "at", rows[current].id); }, 60);
}
function move(by) {
  if (!shown.length) return;
  const at = shown.indexOf(current);
  select(shown[Math.max(0, Math.min(shown.length - 1, at < 0 ? 0 : at + by))]);
}
function nextUndecided() {
  const at = Math.max(0, shown.indexOf(current));
  for (let i = 1; i <= shown.length; i++) {
    const r = shown[(at + i) % shown.length];
    if ((membersOf(r) || [r]).some(m => !rows[m].mine)) return select(r);
  }
  say("Every suspect shown has a decision.");
}
function nextPair() {
  for (let at = itemOf[current] + 1; at < items.length; at++) if (items[at].row < 0) return select(items[at + 1].row);
  if (items.length) select(items[1].row);
}

/* --- deciding --------------------------------------------------------------------------------------------------------- */
let history = [];
const severalText = "They have several labels: press the number of the one that is right for all.";
/* To keep a label is to say that the copies of other labels are wrong; the same bytes have one decision, which so changes them, too. */
const inConflict = (r, d) => r.kind === CONFLICT && d[0] === "keep" ? ["relabel", d[1]] : d;
/* what(row): [kind, label]. Of a group it decides the picked member, or else all that have no decision, once they were seen. */
function decide(what) {
  if (!reviewer) return askReviewer(() => decide(what));
  if (!shown.length) return;
  const members = membersOf(current), all = members && picked < 0;
  if (all && !seen.has(rows[current].alike)) return say(unseenText);
  const open = all ? members.filter(i => !rows[i].mine) : [];
  const those = !members ? [current] : !all ? [members[picked]] : open.length ? open : members;
  const date = new Date().toISOString().slice(0, 19) + "Z", said = those.map(i => inConflict(rows[i], what(rows[i])));
  if (rows[current].kind === CONFLICT && said.some(d => d[1] !== said[0][1])) return say(severalText);
  those.forEach((i, at) => setDecision(rows[i], {kind: said[at][0], label: said[at][1], date}));
  history.push(those);
  pace(those.length);
  drawCounts();
  if (FILTERS[filter] === "disagreements" && those.some(i => disagree(rows[i]))) { redrawRow(current); drawTiles(); drawFacts(); return; }
  if (members && !all && members.some(i => !rows[i].mine)) {
    redrawRow(current);
    pick(picked + 1 < members.length ? picked + 1 : -1);
    return;
  }
  if ([unseenText, severalText].includes($("notice").textContent)) say("");
  const at = shown.indexOf(current);
  if (at + 1 < shown.length) select(shown[at + 1]); else { redrawRow(current); drawFacts(); say("That was the last one shown. Export with E."); }
}
function decideClass(k) { decide(r => [k === r.given ? "keep" : "relabel", data.classes[k]]); }
function decideSuggested() { decide(r => [r.suggested === r.given ? "keep" : "relabel", data.classes[r.suggested]]); }
function takeBack() {
  const members = membersOf(current), decided = list => list.filter(i => rows[i].mine);
  let those = decided(!members ? [current] : picked >= 0 ? [members[picked]] : members);
  while (!those.length && history.length) those = decided(history.pop());
  if (!those.length) return;
  for (const i of those) setDecision(rows[i], null);
  drawCounts();
  const at = itemOf[those[0]], stay = picked;
  if (at < 0) return;
  if (items[at].row !== current || !members) return select(items[at].row);
  redrawRow(current);
  pick(stay);
}

/* --- asking ---------------------------------------------------------------------------------------------------------------- */
/* Answered at once and not by the dialog's close event, which comes later: keys pressed meanwhile must find the answer taken. */
let answered = null;
function ask(question, value, useNames, then) {
  const input = $("answer");
  $("asklabel").textContent = question;
  input.value = value;
  if (useNames) input.setAttribute("list", "names"); else input.removeAttribute("list");
  answered = then;
  $("ask").showModal();
  input.select();
}
function finishAsk(taken) {
  const then = answered, value = $("answer").value.trim();
  answered = null;
  $("ask").close();
  if (taken && then) then(value);
}
$("answer").addEventListener("keydown", e => { if (e.key === "Enter") { e.preventDefault(); e.stopPropagation(); finishAsk(true); } });
$("ask").addEventListener("submit", e => { e.preventDefault(); finishAsk(e.submitter === $("askok")); });
function askReviewer(then) {
  ask("Your name, as it goes into decisions.tsv", reviewer, false, name => {
    name = name.replace(/[\u0000-\u001f|]/g, " ").trim();
    if (!name) return;
    loadReviewer(name);
    refresh();
    if (then) then();
  });
}
function askClass() {
  ask("Relabel to class", "", true, name => {
    const k = data.classes.indexOf(name);
    if (k >= 0) decideClass(k); else say("There is no class '" + name + "'.");
  });
}

/* --- files ------------------------------------------------------------------------------------------------------------------ */
const escapeField = s => s.replace(/\\/g, "\\\\").replace(/\t/g, "\\t").replace(/\n/g, "\\n").replace(/\r/g, "\\r");
const unescapeField = s => s.replace(/\\(.)/g, (all, c) => ({t: "\t", n: "\n", r: "\r", "\\": "\\"})[c] ?? all);
function exportText() {
  const lines = ["id\tdecision\tlabel\treviewer\tdate"];
  for (const r of rows) if (r.mine)
    lines.push([r.id, r.mine.kind, r.mine.kind === "keep" ? data.classes[r.given] : r.mine.label, reviewer, r.mine.date].map(escapeField).join("\t"));
  return lines.join("\n") + "\n";
}
function exportFile() {
  const a = document.createElement("a");
  a.href = URL.createObjectURL(new Blob([exportText()], {type: "text/tab-separated-values"}));
  a.download = "decisions.tsv";
  a.click();
  setTimeout(() => URL.revokeObjectURL(a.href), 10000);
  say("Saved decisions.tsv with " + (n.keep + n.relabel + n.drop + n.unsure) + " decisions of " + (reviewer || "nobody") + ".");
}
function importText(text, name) {
  const lines = text.split("\n"), head = lines[0].split("\t"), at = {};
  head.forEach((h, i) => { at[h] = i; });
  if (at.id === undefined || at.decision === undefined) return say(name + ": no decisions file (it needs the columns id and decision).");
  let mine = 0, theirs = 0, elsewhere = 0, bad = 0;
  for (let i = 1; i < lines.length; i++) {
    if (!lines[i]) continue;
    const f = lines[i].split("\t").map(unescapeField), field = c => at[c] === undefined ? "" : f[at[c]] ?? "";
    const who = field("reviewer"), d = parseDecision(field("decision") + "\t" + field("label").replace(/[\t\n]/g, " ") + "\t" + field("date"));
    if (f.length !== head.length || !d) { bad++; continue; }
    if (!byId.has(field("id"))) { elsewhere++; continue; }
    if (who === reviewer) {
      const r = rows[byId.get(field("id"))];
      if (!r.mine || r.mine.date <= d.date) setDecision(r, d);
      mine++;
    } else {
      if (!others.has(who)) others.set(who, new Map());
      others.get(who).set(field("id"), d);
      theirs++;
    }
  }
  refresh();
  const parts = [mine + " of yours", theirs + " of other reviewers"];
  if (elsewhere) parts.push(elsewhere + " about pictures that are not here");
  if (bad) parts.push(bad + " lines that cannot be read");
  say(name + ": " + parts.join(", ") + "." + agreementText());
}
/* Cohen's kappa between this reviewer and each other one over the pictures that both decided. */
function kappa(said) {
  const table = new Map(), a = new Map(), b = new Map();
  let total = 0, equal = 0;
  const category = d => d.kind === "relabel" ? "relabel " + d.label : d.kind;
  for (const [id, d] of said) {
    const mine = rows[byId.get(id)].mine;
    if (!mine) continue;
    const x = category(mine), y = category(d);
    total++;
    if (x === y) equal++;
    a.set(x, (a.get(x) || 0) + 1);
    b.set(y, (b.get(y) || 0) + 1);
    table.set(x + "\n" + y, 1);
  }
  let expected = 0;
  for (const [c, m] of a) expected += m * (b.get(c) || 0);
  expected /= total || 1;
  return {total, equal, kappa: total === 0 || expected === total ? NaN : (equal - expected) / (total - expected)};
}
function agreementText() {
  let text = "";
  for (const [who, said] of others) {
    const k = kappa(said);
    if (k.total) text += " With " + (who || "(nobody)") + ": " + k.equal + " of " + k.total + " equal, kappa " + (isNaN(k.kappa) ? "undefined" : k.kappa.toFixed(3)) + ".";
  }
  return text;
}
$("file").addEventListener("change", async () => {
  for (const f of $("file").files) importText(await f.text(), f.name);
  $("file").value = "";
});

/* --- keys ---------------------------------------------------------------------------------------------------------------------- */
function refresh() {
  buildList();
  if (shown.length) current = itemOf[current] < 0 ? shown[0] : items[itemOf[current]].row;
  $("together").textContent = together ? "Alike: together" : "Alike: one by one";
  drawCounts();
  if (shown.length) select(current); else { drawList(true); drawFacts(); }
}
function cycleFilter() { filter = (filter + 1) % FILTERS.length; say(FILTERS[filter] === "disagreements" ? agreementText().trim() : ""); refresh(); }
function page() { return Math.max(1, Math.floor(viewPx / ROW_PX) - 2); }
const actions = {
  k: () => decide(r => ["keep", data.classes[r.given]]), d: () => decide(() => ["drop", ""]), u: () => decide(() => ["unsure", ""]),
  a: decideSuggested, ArrowLeft: () => pick(picked - 1), ArrowRight: () => pick(picked + 1), Escape: () => pick(-1), Enter: openAlike, c: toggleTogether, ArrowDown: () => move(1), ArrowUp: () => move(-1), j: () => move(1), PageDown: () => move(page()), PageUp: () => move(-page()),
  Home: () => move(-rows.length), End: () => move(rows.length), n: nextUndecided, g: nextPair, f: cycleFilter, r: () => askReviewer(),
  e: exportFile, i: () => $("file").click(), Backspace: takeBack, z: takeBack, 0: askClass, "?": () => $("keys").showModal(),
};
addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
  if (e.key === " ") { e.preventDefault(); if (!e.repeat) reveal(true); return; }
  if (e.target instanceof HTMLButtonElement && (e.key === "Enter" || e.key === "Tab")) return;
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key;
  if (key >= "1" && key <= "9" && key.length === 1) { e.preventDefault(); if (+key <= K) decideClass(+key - 1); return; }
  if (Object.hasOwn(actions, key)) { e.preventDefault(); actions[key](); }
});
addEventListener("keyup", e => { if (e.key === " ") { e.preventDefault(); reveal(false); } });
addEventListener("blur", () => reveal(false));
document.addEventListener("visibilitychange", () => reveal(false));
$("list").addEventListener("scroll", () => { topPx = $("list").scrollTop; drawList(false); }, {passive: true});
new ResizeObserver(() => { viewPx = $("list").clientHeight; pool.forEach(e => { e.node.hidden = true; e.at = -1; }); drawList(true); }).observe($("list"));
$("together").onclick = toggleTogether;
$("together").hidden = !hasGroups;
$("filter").onclick = cycleFilter;
$("reviewer").onclick = () => askReviewer();
$("import").onclick = () => $("file").click();
$("export").onclick = exportFile;
$("help").onclick = () => $("keys").showModal();
for (const b of document.querySelectorAll("nav button")) b.addEventListener("click", () => b.blur());
/* Another tab of the same page: take its decisions over. */
addEventListener("storage", e => {
  const start = PREFIX + "d|" + reviewer + "|";
  if (!e.key || !e.key.startsWith(start)) return;
  const i = byId.get(e.key.slice(start.length));
  if (i === undefined) return;
  setDecision(rows[i], e.newValue ? parseDecision(e.newValue) : null, true);
  redrawRow(i);
  drawCounts();
  drawTiles();
  if (itemOf[i] >= 0 && items[itemOf[i]].row === current) drawVerdict();
});

if (!rows.length) {
  say("No suspects: nothing to review.");
  for (const part of ["stage", "list", "filter", "reviewer", "import", "export", "together"]) $(part).hidden = true;
  drawCounts();
} else {
  viewPx = $("list").clientHeight;
  buildClasses();
  loadReviewer(load(PREFIX + "reviewer") || "");
  const at = byId.get(load(PREFIX + "at") || "");
  buildList();
  current = at !== undefined ? at : shown[0];
  refresh();
}
})();
