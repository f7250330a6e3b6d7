"use strict";
/*
 * The page of audit: findings, a map of the set, its clusters. Data comes in one JSON block, and what each point of the map needs as
 * arrays of numbers in base64. The map is drawn pixel by pixel into a bitmap: 300,000 points take a few milliseconds, so that dragging
 * and the wheel follow the hand. Text reaches the page through textContent alone.
 */
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
document.getElementById("data").remove();
const $ = id => document.getElementById(id);
const map = data.map, N = map ? map.n : 0, NONE = 65535;
const element = (name, className, text) => { const e = document.createElement(name); if (className) e.className = className; if (text !== undefined) e.textContent = text; return e; };
const labelName = k => k >= 0 && k < data.labels.length ? data.labels[k] : "no label";
const percent = x => (100 * x).toFixed(1) + " %";

/* --- the points ------------------------------------------------------------------------------------------------------- */
const bytes = map ? Uint8Array.from(atob(map.points), c => c.charCodeAt(0)) : new Uint8Array(0);
const column = k => new Uint16Array(bytes.buffer, 2 * k * N, N);
const X = column(0), Y = column(1), LABEL = column(2), CLUSTER = column(3), ANSWER = new Uint8Array(bytes.buffer, 8 * N, N);
let placeOf = null;                 /* path -> point, made when it is first needed */
function pointAt(path) {
  if (!placeOf) placeOf = new Map(map.paths.map((p, i) => [p, i]));
  return placeOf.get(path) ?? -1;
}

/* --- pictures: blurred until they are asked for -------------------------------------------------------------------------- */
const address = path => path.startsWith("/") ? "file://" + path.split("/").map(encodeURIComponent).join("/") : data.way + path.split("/").map(encodeURIComponent).join("/");
function picture(path, small) {
  const figure = element("figure", small ? "small" : ""), box = element("div", "thumb"), img = element("img");
  box.tabIndex = 0;
  img.loading = "lazy";
  img.decoding = "async";
  img.alt = "";
  img.addEventListener("error", () => box.classList.add("missing"));
  img.src = address(path);
  box.addEventListener("mousedown", e => { e.preventDefault(); box.classList.toggle("clear"); });
  box.append(img);
  figure.append(box);
  return figure;
}
/* A point of the map; what differs from the label of its cluster is said. */
function pictureOf(i, usual) {
  const f = picture(map.paths[i], true);
  if (LABEL[i] !== usual || ANSWER[i] === 2) f.append(element("figcaption", "", labelName(LABEL[i]) + (ANSWER[i] === 2 ? " (model: other)" : "")));
  return f;
}
let kept = false, held = false;
function setShown() {
  document.body.classList.toggle("clear", kept || held);
  $("show").setAttribute("aria-pressed", kept);
}

/* Pictures without a label, as one more list. */
if (map && data.next.n) data.checks.push({
  name: "label_next", n: data.next.n, says: "Pictures without a label, in the order in which to label them: the most typical of each cluster first, doubtful ones where labels are many.",
  items: data.next.items.map(([i, doubt]) => [map.paths[i], "cluster " + (CLUSTER[i] + 1), null, doubt ? "doubtful" : "typical"]),
});

/* --- findings ------------------------------------------------------------------------------------------------------------ */
const FIRST = 60;                   /* figures that are made at once; the rest follow when one scrolls */
let check = 0, filled = 0;
const rowsOfChecks = data.checks.map((c, k) => {
  const row = element("div", "", c.name.replaceAll("_", " "));
  row.setAttribute("role", "option");
  row.append(element("span", "", c.n));
  row.addEventListener("mousedown", e => { e.preventDefault(); selectCheck(k); });
  $("checks").append(row);
  return row;
});
function fillItems(many) {
  const c = data.checks[check], end = Math.min(c.items.length, filled + many);
  for (; filled < end; filled++) {
    const [path, label, score, measure] = c.items[filled];
    if (!path) {
      const p = element("div", "fact"), cluster = /^cluster=(\d+)/.exec(measure);
      p.append(element("b", "", label || "the set"), measure);
      if (cluster) {
        const go = element("button", "", "Cluster " + cluster[1]), tiles = element("div", "tiles");
        go.addEventListener("click", () => openCluster(cluster[1] - 1));
        for (const i of map.clusters[cluster[1] - 1].shown) tiles.append(pictureOf(i, map.clusters[cluster[1] - 1].label));
        p.append(" ", go, tiles);
      }
      $("items").append(p);
      continue;
    }
    const f = picture(path, false), caption = element("figcaption");
    caption.append(element("b", "", score === null ? filled + 1 : score.toFixed(3)), " " + label, element("br"), measure, element("small", "", path));
    f.append(caption);
    $("items").append(f);
  }
}
function selectCheck(k) {
  if (!data.checks.length) return;
  check = Math.max(0, Math.min(data.checks.length - 1, k));
  const c = data.checks[check];
  rowsOfChecks.forEach((row, i) => row.setAttribute("aria-selected", i === check));
  rowsOfChecks[check].scrollIntoView({block: "nearest"});
  $("foundName").textContent = c.name.replaceAll("_", " ") + ": " + c.n;
  $("foundSays").textContent = c.says + (c.items.length < c.n ? " Shown are the first " + c.items.length + "." : "");
  $("items").textContent = "";
  $("found").scrollTop = 0;
  filled = 0;
  fillItems(FIRST);
}
$("found").addEventListener("scroll", () => { const f = $("found"); if (f.scrollTop + 2 * f.clientHeight > f.scrollHeight) fillItems(FIRST); }, {passive: true});

/* --- the map ---------------------------------------------------------------------------------------------------------------- */
/* Colours that people with any colour vision tell apart (Okabe and Ito), then turns of the colour wheel. */
const OKABE = [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [150, 130, 20]];
const GREY = [150, 150, 150], MARK = [225, 0, 60];
function turned(k) {
  const h = k * 137.508 % 360 / 60, l = k % 2 ? 0.42 : 0.56, c = 0.55 * (1 - Math.abs(2 * l - 1)), x = c * (1 - Math.abs(h % 2 - 1)), m = l - c / 2;
  const rgb = h < 1 ? [c, x, 0] : h < 2 ? [x, c, 0] : h < 3 ? [0, c, x] : h < 4 ? [0, x, c] : h < 5 ? [x, 0, c] : [c, 0, x];
  return rgb.map(v => Math.round(255 * (v + m)));
}
const colourOf = k => k < OKABE.length ? OKABE[k] : turned(k);
const asked = map && map.accuracy !== null;
const modes = [{
  name: "class", of: i => LABEL[i] === NONE ? data.labels.length : LABEL[i], kinds: () => [...data.labels, "no label"], colour: k => k < data.labels.length ? colourOf(k) : GREY,
}, {
  name: "cluster", of: i => CLUSTER[i], kinds: () => map.clusters.map((c, k) => k + 1 + ": " + labelName(c.label)), colour: k => turned(k),
}];
if (asked) modes.push({
  name: "what the model says", of: i => ANSWER[i], kinds: () => ["not asked", "as the label", "another class"], colour: k => [GREY, OKABE[0], OKABE[5]][k],
});
let mode = 0, kindOf = new Uint16Array(N), hidden = new Set(), colours = new Uint32Array(1);
let scale = 1, left = 0, top = 0;   /* of the map's unit square on the screen, in pixels of the bitmap */
let marked = [], at = -1;
const canvas = $("canvas"), pencil = canvas.getContext("2d", {alpha: false});
let bitmap = null, pixels = null;

function setMode(k) {
  mode = k;
  hidden = new Set();
  const m = modes[mode], names = m.kinds(), counts = new Uint32Array(names.length);
  for (let i = 0; i < N; i++) counts[kindOf[i] = m.of(i)]++;
  colours = Uint32Array.from(names, (_, j) => packed(m.colour(j)));
  $("colour").textContent = "Colour: by " + m.name + " (C)";
  $("legend").textContent = "";
  names.map((name, j) => [name, j]).filter(([, j]) => counts[j]).sort((a, b) => counts[b[1]] - counts[a[1]]).slice(0, 40).forEach(([name, j]) => {
    const li = element("li"), box = element("i");
    box.style.background = "rgb(" + m.colour(j).join() + ")";
    li.append(box, name, element("span", "", counts[j]));
    li.addEventListener("click", () => { if (hidden.has(j)) hidden.delete(j); else hidden.add(j); li.classList.toggle("off", hidden.has(j)); drawSoon(); });
    $("legend").append(li);
  });
  drawSoon();
}
const packed = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
function whole() {
  scale = Math.min(canvas.width, canvas.height) * 0.94;
  let high = 0, wide = 0;
  for (let i = 0; i < N; i++) { if (X[i] > wide) wide = X[i]; if (Y[i] > high) high = Y[i]; }
  left = (canvas.width - scale * wide / 65535) / 2;
  top = (canvas.height - scale * high / 65535) / 2;
  drawSoon();
}
let waiting = false;
function drawSoon() {
  if (waiting || $("map").hidden) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
}
function square(x, y, side, colour) {
  const w = canvas.width, h = canvas.height, from = side >> 1;
  x -= from; y -= from;
  if (x < 0 || y < 0 || x + side > w || y + side > h) return;
  for (let v = y; v < y + side; v++) for (let u = x; u < x + side; u++) pixels[v * w + u] = colour;
}
function draw() {
  const w = canvas.width, h = canvas.height;
  if (!w || !h || !N) return;
  if (!bitmap || bitmap.width !== w || bitmap.height !== h) { bitmap = new ImageData(w, h); pixels = new Uint32Array(bitmap.data.buffer); }
  const ground = getComputedStyle($("plane")).backgroundColor.match(/\d+/g).map(Number);
  pixels.fill(packed(ground));
  const unit = scale / 65535, across = scale / Math.min(w, h), side = Math.max(2, Math.min(9, Math.round((N > 50000 ? 1.5 : N > 5000 ? 2.5 : 4) * Math.sqrt(across) * (devicePixelRatio || 1))));
  const off = new Uint8Array(colours.length);
  for (const k of hidden) off[k] = 1;
  for (let i = 0; i < N; i++) {
    const k = kindOf[i];
    if (off[k]) continue;
    square(Math.round(left + unit * X[i]), Math.round(top + unit * Y[i]), side, colours[k]);
  }
  const mark = packed(MARK), ink = packed(ground.map(v => 255 - v));
  for (const i of marked) { const x = Math.round(left + unit * X[i]), y = Math.round(top + unit * Y[i]); square(x, y, side + 6, mark); square(x, y, side, colours[kindOf[i]]); }
  if (at >= 0) { const x = Math.round(left + unit * X[at]), y = Math.round(top + unit * Y[at]); square(x, y, side + 10, ink); square(x, y, side + 2, colours[kindOf[at]]); }
  pencil.putImageData(bitmap, 0, 0);

}
/* Points by cells of the map, so that the one under the hand is found without looking at all. */
const CELLS = 256;
let cellStart = null, cellItems = null;
const cellOf = i => (Y[i] >> 8) * CELLS + (X[i] >> 8);
function makeCells() {
  cellStart = new Uint32Array(CELLS * CELLS + 1);
  cellItems = new Uint32Array(N);
  for (let i = 0; i < N; i++) cellStart[cellOf(i) + 1]++;
  for (let c = 0; c < CELLS * CELLS; c++) cellStart[c + 1] += cellStart[c];
  const next = cellStart.slice();
  for (let i = 0; i < N; i++) cellItems[next[cellOf(i)]++] = i;
}
function nearest(px, py, within) {
  if (!cellStart) makeCells();
  const x = (px - left) / scale * 65535, y = (py - top) / scale * 65535, reach = within / scale * 65535;
  let best = -1, least = reach * reach;
  for (let v = Math.max(0, Math.floor((y - reach) / 256)); v <= Math.min(CELLS - 1, Math.floor((y + reach) / 256)); v++)
    for (let u = Math.max(0, Math.floor((x - reach) / 256)); u <= Math.min(CELLS - 1, Math.floor((x + reach) / 256)); u++)
      for (let k = cellStart[v * CELLS + u]; k < cellStart[v * CELLS + u + 1]; k++) {
        const i = cellItems[k], d = (X[i] - x) ** 2 + (Y[i] - y) ** 2;
        if (d < least && !hidden.has(kindOf[i])) { least = d; best = i; }
      }
  return best;
}
function selectPoint(i, centre) {
  if (i === at) return;
  at = i;
  const box = $("point");
  box.textContent = "";
  if (i >= 0) {
    const f = picture(map.paths[i], false), caption = element("figcaption"), go = element("button", "", "Cluster " + (CLUSTER[i] + 1));
    go.addEventListener("click", () => openCluster(CLUSTER[i]));
    caption.append(element("b", "", labelName(LABEL[i])), ANSWER[i] === 2 ? " (the model says another class)" : "", element("br"), go, element("small", "", map.paths[i]));
    f.append(caption);
    box.append(f);
    if (centre) { left = canvas.width / 2 - scale * X[i] / 65535; top = canvas.height / 2 - scale * Y[i] / 65535; }
  }
  drawSoon();
}
function markPoints(points, what) {
  marked = points;
  at = -1;
  $("point").textContent = "";
  $("tip").textContent = points.length ? what + ": " + points.length + " marked; N and P go through them, M takes the marks off" : "";
  setView("map");
  drawSoon();
}
function stepMarked(by) {
  if (!marked.length) return;
  const k = marked.indexOf(at);
  selectPoint(marked[(k < 0 ? (by > 0 ? 0 : marked.length - 1) : k + by + marked.length) % marked.length], true);
}
function zoom(by, px, py) {
  const to = Math.max(50, Math.min(scale * by, 400 * Math.max(canvas.width, canvas.height)));
  left = px - (px - left) * to / scale;
  top = py - (py - top) * to / scale;
  scale = to;
  drawSoon();
}
const onCanvas = e => { const r = canvas.getBoundingClientRect(), d = canvas.width / r.width; return [(e.clientX - r.left) * d, (e.clientY - r.top) * d]; };
let grabbed = null;
canvas.addEventListener("pointerdown", e => { canvas.setPointerCapture(e.pointerId); grabbed = [...onCanvas(e), left, top, false]; });
canvas.addEventListener("pointermove", e => {
  const [x, y] = onCanvas(e);
  if (!grabbed) return selectPoint(nearest(x, y, 14), false);
  if (Math.hypot(x - grabbed[0], y - grabbed[1]) > 4) grabbed[4] = true;
  if (!grabbed[4]) return;
  left = grabbed[2] + x - grabbed[0];
  top = grabbed[3] + y - grabbed[1];
  drawSoon();
});
canvas.addEventListener("pointerup", () => { grabbed = null; });
canvas.addEventListener("wheel", e => { e.preventDefault(); zoom(Math.exp(-e.deltaY / 400), ...onCanvas(e)); }, {passive: false});
new ResizeObserver(() => {
  const r = $("plane").getBoundingClientRect(), d = devicePixelRatio || 1, first = !canvas.width || scale === 1;
  if (!r.width) return;
  canvas.width = Math.round(r.width * d);
  canvas.height = Math.round(r.height * d);
  if (first) whole(); else drawSoon();
}).observe($("plane"));

/* --- clusters --------------------------------------------------------------------------------------------------------------- */
const MOST_OPEN = 300;
const order = map ? map.clusters.map((c, k) => k).sort((a, b) => map.clusters[b].weak - map.clusters[a].weak || a - b) : [];
let cluster = 0;                    /* its place in the order */
const articles = order.map(k => {
  const c = map.clusters[k], a = element("article"), h = element("h2", "", "Cluster " + (k + 1) + ": " + labelName(c.label)), tiles = element("div", "tiles");
  h.append(element("span", "", c.n + " pictures" + (c.label >= 0 ? ", " + percent(c.of / c.n) + " of them with this label" : "")));
  if (c.asked) h.append(element("span", "", "the model is right about " + percent(c.right / c.asked)));
  if (c.weak) h.append(element("em", "", "weak: " + percent(map.accuracy) + " of all" + (c.confused[2] ? "; " + labelName(c.confused[0]) + " \u2192 " + labelName(c.confused[1]) + " " + c.confused[2] + " times" : "")));
  a.append(h, tiles);
  a.addEventListener("mousedown", () => selectCluster(order.indexOf(k), false));
  $("clusters").append(a);
  return {a, tiles, k, many: 0};
});
function fillCluster(at, all) {
  const to = articles[at], c = map.clusters[to.k];
  const points = all ? pointsOfCluster(to.k).slice(0, MOST_OPEN) : c.shown;
  to.many = points.length;
  to.tiles.textContent = "";
  to.tiles.append(...points.map(i => pictureOf(i, c.label)));
}
/* The typical ones first, the others in the order of the map's points. */
function pointsOfCluster(k) {
  const first = new Set(map.clusters[k].shown), rest = [];
  for (let i = 0; i < N; i++) if (CLUSTER[i] === k && !first.has(i)) rest.push(i);
  return [...first, ...rest];
}
const inSight = new IntersectionObserver(entries => {
  for (const e of entries) {
    if (!e.isIntersecting) continue;
    const at = articles.findIndex(x => x.a === e.target);
    if (articles[at].many === 0) fillCluster(at, false);
    inSight.unobserve(e.target);
  }
}, {rootMargin: "600px"});
articles.forEach(x => inSight.observe(x.a));
function selectCluster(at, scroll) {
  if (!articles.length) return;
  articles[cluster].a.classList.remove("current");
  cluster = Math.max(0, Math.min(articles.length - 1, at));
  articles[cluster].a.classList.add("current");
  if (scroll) articles[cluster].a.scrollIntoView({block: "nearest"});
}
function openCluster(k) {
  setView("clusters");
  selectCluster(order.indexOf(k), true);
  if (articles[cluster].many <= map.clusters[k].shown.length) fillCluster(cluster, true);
}
function toggleCluster() {
  const x = articles[cluster];
  if (x) fillCluster(cluster, x.many <= map.clusters[x.k].shown.length);
}

/* --- views and keys ----------------------------------------------------------------------------------------------------------- */
const VIEWS = ["findings", "map", "clusters"];
let view = "findings";
function setView(name) {
  if (name !== "findings" && !map) return;
  view = name;
  for (const v of VIEWS) $(v).hidden = v !== view;
  for (const b of document.querySelectorAll("#views button")) if (b.dataset.view === view) b.setAttribute("aria-current", "page"); else b.removeAttribute("aria-current");
  drawSoon();
}
function mark() {
  if (!map) return;
  if (view === "map") return markPoints([], "");
  if (view === "clusters") return articles.length && markPoints(pointsOfCluster(articles[cluster].k), "cluster " + (articles[cluster].k + 1));
  const c = data.checks[check];
  if (c) markPoints(c.items.map(f => f[0] ? pointAt(f[0]) : -1).filter(i => i >= 0), c.name.replaceAll("_", " "));
}
function step(by) { if (view === "findings") selectCheck(check + by); else if (view === "clusters") selectCluster(cluster + by, true); }
function pan(x, y) { left += x * canvas.width / 8; top += y * canvas.height / 8; drawSoon(); }
const onMap = {
  ArrowLeft: () => pan(1, 0), ArrowRight: () => pan(-1, 0), ArrowUp: () => pan(0, 1), ArrowDown: () => pan(0, -1),
  "+": () => zoom(1.5, canvas.width / 2, canvas.height / 2), "-": () => zoom(1 / 1.5, canvas.width / 2, canvas.height / 2), 0: whole,
  c: () => setMode((mode + 1) % modes.length), n: () => stepMarked(1), p: () => stepMarked(-1),
};
onMap["="] = onMap["+"];
const anywhere = {
  1: () => setView("findings"), 2: () => setView("map"), 3: () => setView("clusters"), s: () => { kept = !kept; setShown(); }, m: mark,
  ArrowDown: () => step(1), ArrowUp: () => step(-1), j: () => step(1), k: () => step(-1), Enter: () => { if (view === "clusters") toggleCluster(); }, "?": () => $("keys").showModal(),
};
addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey || document.querySelector("dialog[open]")) return;
  if (e.key === " ") { e.preventDefault(); held = true; setShown(); return; }
  if (e.target instanceof HTMLButtonElement && e.key === "Enter") return;
  const key = e.key.length === 1 ? e.key.toLowerCase() : e.key, now = view === "map" && Object.hasOwn(onMap, key) ? onMap : anywhere;
  if (Object.hasOwn(now, key)) { e.preventDefault(); now[key](); }
});
addEventListener("keyup", e => { if (e.key === " ") { e.preventDefault(); held = false; setShown(); } });
addEventListener("blur", () => { held = false; setShown(); });
for (const b of document.querySelectorAll("#views button")) b.addEventListener("click", () => { setView(b.dataset.view); b.blur(); });
$("show").addEventListener("click", () => { kept = !kept; setShown(); $("show").blur(); });
$("colour").addEventListener("click", () => { setMode((mode + 1) % modes.length); $("colour").blur(); });
$("help").addEventListener("click", () => $("keys").showModal());

const found = data.checks.reduce((sum, c) => sum + (c.name === "label_next" ? 0 : c.n), 0);
$("summary").textContent = (found === 1 ? "1 finding" : found + " findings") + (map ? "; " + N + " pictures in " + map.clusters.length + " clusters" : "") + (asked ? "; the model is right about " + percent(map.accuracy) : "");
if (!map) $("views").hidden = true;
if (!data.checks.length) { $("foundName").textContent = "Nothing was found."; $("checks").hidden = true; }
if (map) { setMode(0); selectCluster(0, false); }
selectCheck(0);
setView("findings");
})();
