"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
const n = data.n, places = new Uint16Array(bytes(data.points));
const rows = data.rows ? new Uint32Array(bytes(data.rows)) : null;
const neighbors = data.neighbors ? new Uint32Array(bytes(data.neighbors.data)) : null;
const NONE = 4294967295, MISSING = 255, SIZE = 65535;
const VIRIDIS = ["#440154", "#481a6c", "#472f7d", "#414487", "#39568c", "#31688e", "#2a788e",
  "#23888e", "#1f988b", "#22a884", "#35b779", "#54c568", "#7ad151", "#a5db36", "#d2e21b", "#fde725"];
for (const layer of data.layers) layer.codes = new Uint8Array(bytes(layer.codes));

const stage = document.querySelector(".stage"), canvas = $("map"), lines = $("lines");
const context = canvas.getContext("2d"), tip = $("tip");
const dark = matchMedia("(prefers-color-scheme: dark)");
const view = { x: SIZE / 2, y: SIZE / 2, scale: 1, whole: 1 };
let layer = data.layers[0] || null, isShown = new Uint8Array(n).fill(1), filter = {};
let chosen = -1, walked = -1, isPrinting = false, frame = 0;
const rowOf = (i) => (rows ? rows[i] : i);
const pointOf = (row) => {
  if (!rows) return row < n ? row : -1;
  let low = 0, high = n - 1;
  while (low < high) { const middle = (low + high) >> 1; if (rows[middle] < row) low = middle + 1; else high = middle; }
  return rows[low] === row ? low : -1;
};

// Points are drawn in a shuffled order, the same each time, so that no class hides another.
const order = new Uint32Array(n);
{
  let state = 1;
  for (let i = 0; i < n; i++) order[i] = i;
  for (let i = n - 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = Math.floor(state / 4294967296 * (i + 1)), t = order[i];
    order[i] = order[j]; order[j] = t;
  }
}

// Which points lie in each cell of a grid, to find the one under the pointer.
const CELLS = 128, starts = new Uint32Array(CELLS * CELLS + 1), members = new Uint32Array(n);
{
  const cell = (i) => (places[2 * i + 1] * CELLS >> 16) * CELLS + (places[2 * i] * CELLS >> 16);
  for (let i = 0; i < n; i++) starts[cell(i) + 1]++;
  for (let c = 0; c < CELLS * CELLS; c++) starts[c + 1] += starts[c];
  const next = starts.slice();
  for (let i = 0; i < n; i++) members[next[cell(i)]++] = i;
}

function el(name, attributes = {}, ...children) {
  const found = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in found && key !== "list") found[key] = value; else found.setAttribute(key, value);
  }
  found.append(...children);
  return found;
}
const number = (value) => value.toLocaleString("en");
const short = (value) => (value !== 0 && (Math.abs(value) < 0.01 || Math.abs(value) >= 1e5)
  ? value.toExponential(1) : String(+value.toPrecision(2)));

function rgb(hex) { return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)); }
const isDark = () => dark.matches && !isPrinting;
function lighter([r, g, b]) {
  const light = (0.3 * r + 0.6 * g + 0.1 * b) / 255, share = light < 0.45 ? 0.45 - light : 0;
  return [r, g, b].map((c) => Math.round(c + (255 - c) * share));
}
function colors() {
  const table = new Array(256), missing = isDark() ? [84, 92, 100] : [196, 200, 204];
  table.fill(missing);
  if (!layer) return table.fill(rgb("#0072b2"));
  if (layer.kind === "classes") {
    layer.colors.forEach((hex, i) => { if (hex) table[i] = isDark() ? lighter(rgb(hex)) : rgb(hex); });
  } else {
    const knots = VIRIDIS.map(rgb), last = knots.length - 1;
    for (let i = 0; i < 255; i++) {
      const t = i / 254 * last, k = Math.min(Math.floor(t), last - 1), f = t - k;
      table[i] = knots[k].map((c, j) => Math.round(c + (knots[k + 1][j] - c) * f));
    }
  }
  return table;
}
const css = (c) => `rgb(${c.join(" ")})`;

function screenX(i) { return (places[2 * i] - view.x) * view.scale + stage.clientWidth / 2; }
function screenY(i) { return stage.clientHeight / 2 - (places[2 * i + 1] - view.y) * view.scale; }

function draw() {
  frame = 0;
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const width = Math.round(stage.clientWidth * ratio), height = Math.round(stage.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const image = context.createImageData(width, height), pixels = image.data;
  const ground = isDark() ? [20, 23, 26] : [255, 255, 255];
  for (let p = 0; p < pixels.length; p += 4) {
    pixels[p] = ground[0]; pixels[p + 1] = ground[1]; pixels[p + 2] = ground[2]; pixels[p + 3] = 255;
  }
  const zoom = view.scale / view.whole;
  const usual = Math.sqrt(stage.clientWidth * stage.clientHeight / Math.max(n, 1)) * 0.22;
  const radius = Math.min(Math.max(usual, 1.1), 5) * Math.min(Math.max(zoom, 1) ** 0.4, 3) * ratio;
  const alpha = Math.min(1, Math.max(0.45, 1.1 - n / 150000 + Math.log2(Math.max(zoom, 1)) * 0.1));
  const mask = disc(radius, alpha), table = colors(), codes = layer ? layer.codes : null;
  const reach = mask.reach, side = 2 * reach + 1, cover = mask.cover, scale = view.scale * ratio;
  for (const i of order) {
    if (!isShown[i]) continue;
    const x = Math.round((places[2 * i] - view.x) * scale + width / 2) - reach;
    const y = Math.round(height / 2 - (places[2 * i + 1] - view.y) * scale) - reach;
    if (x < 0 || y < 0 || x + side > width || y + side > height) continue;
    const [r, g, b] = table[codes ? codes[i] : 0];
    for (let v = 0, m = 0; v < side; v++) {
      for (let u = 0, p = 4 * ((y + v) * width + x); u < side; u++, m++, p += 4) {
        const a = cover[m];
        if (a === 0) continue;
        pixels[p] += (r - pixels[p]) * a; pixels[p + 1] += (g - pixels[p + 1]) * a;
        pixels[p + 2] += (b - pixels[p + 2]) * a;
      }
    }
  }
  context.putImageData(image, 0, 0);
  drawLines();
}
function disc(radius, alpha) {
  const reach = Math.ceil(radius), side = 2 * reach + 1, cover = new Float32Array(side * side);
  for (let v = 0; v < side; v++) for (let u = 0; u < side; u++) {
    const edge = radius + 0.5 - Math.hypot(u - reach, v - reach);
    cover[v * side + u] = alpha * Math.min(Math.max(edge, 0), 1);
  }
  return { reach, cover };
}
function redraw() { if (!frame) frame = requestAnimationFrame(draw); }

function drawLines() {
  const parts = [], add = (name, attributes) => {
    const part = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) part.setAttribute(key, value);
    parts.push(part);
  };
  if (chosen >= 0) {
    const x = screenX(chosen), y = screenY(chosen);
    for (const j of neighborsOf(chosen)) {
      const x2 = screenX(j), y2 = screenY(j);
      add("line", { x1: x, y1: y, x2, y2 });
      add("circle", { cx: x2, cy: y2, r: 4, class: "near" });
    }
    add("circle", { cx: x, cy: y, r: 7 });
  }
  if (document.activeElement === canvas && canvas.matches(":focus-visible")) {
    const x = stage.clientWidth / 2, y = stage.clientHeight / 2;
    add("path", { d: `M${x - 8} ${y}h16M${x} ${y - 8}v16` });
  }
  lines.replaceChildren(...parts);
}
function neighborsOf(i) {
  if (!neighbors) return [];
  const k = data.neighbors.k;
  return [...neighbors.subarray(i * k, (i + 1) * k)].filter((j) => j !== NONE);
}

function showAll() {
  let low = [SIZE, SIZE], high = [0, 0];
  for (let i = 0; i < n; i++) for (const c of [0, 1]) {
    low[c] = Math.min(low[c], places[2 * i + c]); high[c] = Math.max(high[c], places[2 * i + c]);
  }
  view.x = (low[0] + high[0]) / 2; view.y = (low[1] + high[1]) / 2;
  const room = Math.min(24, stage.clientWidth / 12);
  view.scale = view.whole = Math.min(
    (stage.clientWidth - 2 * room) / Math.max(high[0] - low[0], 1),
    (stage.clientHeight - 2 * room) / Math.max(high[1] - low[1], 1));
  redraw();
}
function zoomBy(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const scale = Math.min(Math.max(view.scale * factor, view.whole / 2), view.whole * 400);
  const dx = x - stage.clientWidth / 2, dy = stage.clientHeight / 2 - y;
  view.x += dx / view.scale - dx / scale; view.y += dy / view.scale - dy / scale;
  view.scale = scale;
  tip.hidden = true;
  redraw();
}
function moveBy(dx, dy) { view.x -= dx / view.scale; view.y += dy / view.scale; redraw(); }
function pointNear(x, y, within) {
  const px = (x - stage.clientWidth / 2) / view.scale + view.x;
  const py = (stage.clientHeight / 2 - y) / view.scale + view.y;
  const reach = within / view.scale, cellOf = (v) => Math.min(Math.max(Math.floor(v * CELLS / 65536), 0), CELLS - 1);
  let best = -1, nearest = reach * reach;
  for (let cy = cellOf(py - reach); cy <= cellOf(py + reach); cy++) {
    for (let cx = cellOf(px - reach); cx <= cellOf(px + reach); cx++) {
      for (let m = starts[cy * CELLS + cx]; m < starts[cy * CELLS + cx + 1]; m++) {
        const i = members[m], d = (places[2 * i] - px) ** 2 + (places[2 * i + 1] - py) ** 2;
        if (isShown[i] && d < nearest) { nearest = d; best = i; }
      }
    }
  }
  return best;
}

function valueText(each, i) {
  const code = each.codes[i];
  if (each.kind === "classes") return each.texts[code] ?? "missing";
  if (code === MISSING) return "not in the sample";
  const t = code / 254;
  return short(each.isLog ? each.low * (each.high / each.low) ** t : each.low + (each.high - each.low) * t);
}
function choose(i) {
  chosen = i; walked = -1;
  const detail = $("detail");
  if (i < 0) { detail.replaceChildren(hint()); redraw(); return; }
  const list = el("dl");
  for (const each of data.layers) list.append(el("dt", {}, each.title), el("dd", {}, valueText(each, i)));
  const near = neighborsOf(i);
  const buttons = el("div", { className: "buttons" }, ...near.map((j) =>
    el("button", { type: "button", onclick: () => { choose(j); show(j); } }, number(rowOf(j)))));
  detail.replaceChildren(
    el("h2", {}, `Row ${number(rowOf(i))}`), list,
    el("p", { className: "small" }, near.length ? "Its strongest neighbours in the data:"
      : neighbors ? "None of its neighbours is shown." : "Its neighbours in the data are not known."),
    buttons);
  redraw();
}
function hint() {
  return el("p", { className: "small screen" }, "Click on a point, or type the number of its row, from 0: lines go to its neighbours in the data.");
}
function show(i) {
  const x = screenX(i), y = screenY(i);
  if (x < 20 || y < 20 || x > stage.clientWidth - 20 || y > stage.clientHeight - 20) {
    view.x = places[2 * i]; view.y = places[2 * i + 1]; redraw();
  }
}

function applyFilter() {
  let count = 0;
  for (let i = 0; i < n; i++) {
    const code = layer ? layer.codes[i] : 0;
    const is = !layer || (layer.kind === "classes" ? !filter.hidden.has(code)
      : code === MISSING ? filter.missing : code >= filter.low && code <= filter.high);
    isShown[i] = is; count += is;
  }
  $("status").textContent = `${number(count)} of ${number(n)} points shown`;
  redraw();
}
function setLayer(name, hidden = []) {
  layer = data.layers.find((each) => each.name === name) || layer;
  filter = { hidden: new Set(hidden), low: 0, high: 254, missing: true };
  if (layer) $("layer").value = layer.name;
  showLegend();
  applyFilter();
}
function showLegend() {
  const legend = $("legend");
  if (!layer) { legend.replaceChildren(); return; }
  const table = colors(), parts = [el("h2", {}, layer.title)];
  const count = new Uint32Array(256);
  for (const code of layer.codes) count[code]++;
  if (layer.kind === "classes") {
    const list = el("ul", { className: "classes" });
    layer.texts.forEach((text, code) => {
      if (!count[code]) return;
      const box = el("input", { type: "checkbox", checked: !filter.hidden.has(code) });
      box.onchange = () => { filter.hidden[box.checked ? "delete" : "add"](code); applyFilter(); };
      const swatch = el("span", { className: "swatch" });
      swatch.style.background = css(table[code]);
      list.append(el("li", {}, el("label", {}, box, swatch, el("span", {}, text),
        el("span", { className: "count" }, number(count[code])))));
    });
    const set = (hidden) => { filter.hidden = new Set(hidden); showLegend(); applyFilter(); };
    parts.push(list, el("div", { className: "buttons" },
      el("button", { type: "button", onclick: () => set([]) }, "Show all"),
      el("button", { type: "button", onclick: () => set(layer.texts.keys()) }, "Hide all")));
  } else {
    const ramp = el("div", { className: "ramp" });
    ramp.style.background = `linear-gradient(to right, ${VIRIDIS.join(",")})`;
    const value = (code) => { const t = code / 254; return short(layer.isLog
      ? layer.low * (layer.high / layer.low) ** t : layer.low + (layer.high - layer.low) * t); };
    const ends = el("div", { className: "ends" });
    const slider = (end, label) => {
      const input = el("input", { type: "range", min: 0, max: 254, value: filter[end], "aria-label": label });
      input.oninput = () => {
        filter[end] = +input.value; filter.missing = filter.low === 0 && filter.high === 254;
        update(); applyFilter();
      };
      return input;
    };
    const low = slider("low", "Lowest value shown"), high = slider("high", "Highest value shown");
    const update = () => {
      ends.replaceChildren(el("span", {}, value(filter.low)), el("span", {}, value(filter.high)));
      low.setAttribute("aria-valuetext", value(filter.low)); high.setAttribute("aria-valuetext", value(filter.high));
    };
    update();
    parts.push(ramp, ends, el("p", { className: "small screen" }, "Show values from … to …"), low, high);
    if (count[MISSING]) parts.push(el("p", { className: "small" },
      `${number(count[MISSING])} points, grey, are not in the sample.`));
  }
  legend.replaceChildren(...parts);
}

// Pointers: one drags, two pinch, a click chooses; a finger that moves up or down scrolls the page.
const pointers = new Map();
let moved = 0, spread = 0;
const at = (event) => { const box = canvas.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, at(event));
  moved = pointers.size > 1 ? Infinity : 0; spread = 0;
});
canvas.addEventListener("pointermove", (event) => {
  const [x, y] = at(event), before = pointers.get(event.pointerId);
  if (!before) { hover(x, y); return; }
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size === 2) {
    const [a, b] = [...pointers.values()], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (spread) zoomBy(apart / spread, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    spread = apart;
    return;
  }
  moved += Math.abs(x - before[0]) + Math.abs(y - before[1]);
  if (moved > 4) { tip.hidden = true; moveBy(x - before[0], y - before[1]); }
});
const release = (event) => {
  const place = pointers.get(event.pointerId);
  pointers.delete(event.pointerId);
  if (place && event.type === "pointerup" && moved <= 4) choose(pointNear(...place, 14));
};
canvas.addEventListener("pointerup", release);
canvas.addEventListener("pointercancel", release);
canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoomBy(Math.exp(-Math.max(Math.min(event.deltaY, 200), -200) / 300), ...at(event));
}, { passive: false });
function hover(x, y) {
  const i = pointNear(x, y, 12);
  tip.hidden = i < 0;
  if (i < 0) return;
  const texts = [`Row ${number(rowOf(i))}`];
  const label = data.layers.find((each) => each.name === "label");
  for (const each of new Set([label, layer])) if (each) texts.push(`${each.title}: ${valueText(each, i)}`);
  tip.replaceChildren(...texts.map((text) => el("div", {}, text)));
  tip.style.left = `${Math.max(Math.min(x + 14, stage.clientWidth - tip.offsetWidth - 6), 6)}px`;
  tip.style.top = `${y + 18 + tip.offsetHeight > stage.clientHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
}
canvas.addEventListener("keydown", (event) => {
  const step = 60, keys = {
    ArrowLeft: () => moveBy(step, 0), ArrowRight: () => moveBy(-step, 0),
    ArrowUp: () => moveBy(0, step), ArrowDown: () => moveBy(0, -step),
    "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: showAll,
    Enter: () => choose(pointNear(stage.clientWidth / 2, stage.clientHeight / 2, 200)),
    Escape: () => choose(-1),
    n: () => {
      const near = chosen < 0 ? [] : neighborsOf(chosen);
      if (near.length) { walked = (walked + 1) % near.length; const to = near[walked]; choose(to); show(to); }
    },
  };
  const act = keys[event.key] || keys[event.key.toLowerCase()];
  if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
});
canvas.addEventListener("focus", redraw);
canvas.addEventListener("blur", redraw);
$("zoom-in").onclick = () => zoomBy(1.5);
$("zoom-out").onclick = () => zoomBy(1 / 1.5);
$("zoom-all").onclick = showAll;
$("layer").onchange = (event) => setLayer(event.target.value);
$("row").onchange = (event) => {
  const i = event.target.value === "" ? -1 : pointOf(+event.target.value);
  choose(i);
  if (i >= 0) show(i);
  else if (event.target.value !== "") $("status").textContent = `Row ${event.target.value} is not shown`;
};
for (const button of document.querySelectorAll("[data-finding]")) {
  button.onclick = () => {
    const wanted = +button.dataset.finding, found = data.layers.find((each) => each.name === "finding");
    setLayer("finding", [...found.texts.keys()].filter((code) => code !== wanted));
    stage.scrollIntoView({ block: "center" });
    canvas.focus({ preventScroll: true });
  };
}
dark.addEventListener("change", () => { showLegend(); redraw(); });
for (const [name, is] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(name, () => {
    isPrinting = is;
    for (const each of document.querySelectorAll("details")) each.open = is;
    cancelAnimationFrame(frame);
    draw();
  });
}
let wasWide = 0;
new ResizeObserver(() => {
  const isWhole = view.scale === view.whole, first = !wasWide;
  wasWide = stage.clientWidth;
  if (isWhole || first) showAll(); else redraw();
}).observe(stage);

$("layer").replaceChildren(...data.layers.map((each) => el("option", { value: each.name }, each.title)));
choose(-1);
setLayer(layer && layer.name);
showAll();
cancelAnimationFrame(frame);
draw();
document.documentElement.dataset.ready = String(Math.round(performance.now()));
})();
