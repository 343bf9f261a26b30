// Curves over time (or over a number), drawn by uPlot from what `data-plot` holds; the same figures as a table below.
// Colours are the page's own tokens, so that a plot follows light and dark.

/**
 * @typedef {object} Data
 * @property {number[]} at seconds since 1970, or numbers where `x` is "number"
 * @property {{label: string, values: (number | null)[]}[]} lines
 * @property {string} [unit] "share" shows 0.25 as 25 %, "%" shows 25 as 25 %, anything else stands behind the number
 * @property {"time" | "number"} [x]
 * @property {number} [window] seconds that a live plot keeps; without it as many points as it began with
 */
/** @typedef {{at: number, values: (number | null)[]}} Point */
/** @typedef {{figure: HTMLElement, data: Data, plot: UPlot | null, words: DOMStringMap}} Drawn */

const LANGUAGE = document.documentElement.lang || "en";
const ROWS = 200;
/** @type {Map<HTMLElement, Drawn>} */
const drawn = new Map();

/** Draw every plot below `root` that is not drawn yet. @param {ParentNode} root @param {DOMStringMap} words */
export function drawPlots(root, words) {
  for (const figure of drawn.keys()) if (!figure.isConnected) forget(figure);
  for (const element of root.querySelectorAll("[data-plot]")) {
    const figure = /** @type {HTMLElement} */ (element);
    if (drawn.has(figure)) continue;
    const one = { figure, data: JSON.parse(figure.dataset["plot"] ?? "{}"), plot: null, words };
    drawn.set(figure, one);
    draw(one);
    figure.querySelector("details")?.addEventListener("toggle", () => tabulate(one));
    widths.observe(canvasOf(figure));
  }
}

/** @param {HTMLElement} figure */
const canvasOf = (figure) => /** @type {HTMLElement} */ (figure.querySelector(".canvas"));

/** @param {HTMLElement} figure */
function forget(figure) {
  drawn.get(figure)?.plot?.destroy();
  drawn.delete(figure);
}

/** @param {Drawn} one */
function draw(one) {
  const canvas = canvasOf(one.figure);
  one.plot?.destroy();
  one.plot = null;
  canvas.replaceChildren();
  if (!one.data.at.length || !window.uPlot) {
    const nothing = document.createElement("p");
    nothing.className = "nothing";
    nothing.textContent = one.words["empty"] ?? "";
    canvas.append(nothing);
    return;
  }
  one.plot = new window.uPlot(options(one, canvas), columns(one.data), canvas);
}

/** @param {Data} data */
const columns = (data) => [data.at, ...data.lines.map((line) => line.values)];

/** @param {Drawn} one @param {HTMLElement} canvas */
function options(one, canvas) {
  const { data } = one;
  const quiet = colour("--quiet");
  const grid = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: quiet, font: "11px system-ui, sans-serif", grid, ticks: { ...grid, size: 4 } };
  const label = /** @param {number | null} value */ (value) => (value === null ? "–" : figure(value, data.unit));
  const over = data.x === "number";
  return {
    ...size(canvas),
    tzDate: /** @param {number} at */ (at) => window.uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
    scales: { x: { time: !over }, y: { range: range } },
    cursor: { drag: { x: true, y: false }, points: { size: 6 } },
    series: [
      { label: over ? "" : one.words["time"], value: /** @param {unknown} _ @param {number | null} at */ (_, at) => (at === null ? "–" : over ? figure(at) : moment(at)) },
      ...data.lines.map((line, place) => series(line.label, place, data, label)),
    ],
    axes: [
      { ...axis, size: 30, values: /** @param {unknown} _ @param {number[]} splits @param {number} __ @param {number} ___ @param {number} step */ (_, splits, __, ___, step) => splits.map((at) => (over ? figure(at) : tick(at, step))) },
      { ...axis, values: /** @param {unknown} _ @param {number[]} splits */ (_, splits) => splits.map((value) => figure(value, data.unit)), size: wide },
    ],
  };
}

/** @param {string} name @param {number} place @param {Data} data @param {(value: number | null) => string} label */
function series(name, place, data, label) {
  const stroke = colour(`--series-${(place % 6) + 1}`);
  const dash = place < 6 ? undefined : [6, 4];
  const fill = data.lines.length === 1 ? stroke.replace("rgb(", "rgba(").replace(")", ", 0.12)") : undefined;
  const alone = data.at.length < 3;
  return { label: name, stroke, width: 1.75, dash, fill, spanGaps: false, points: { show: alone, size: 6 }, value: /** @param {unknown} _ @param {number | null} value */ (_, value) => label(value) };
}

/** From nothing upwards, unless something is below; never of no height. @param {unknown} _ @param {number | null} low @param {number | null} high */
function range(_, low, high) {
  const top = Math.max(high ?? 0, 0);
  const bottom = Math.min(low ?? 0, 0);
  const room = (top - bottom || 1) * 0.08;
  if (!top && !bottom) return [0, 1];
  return [bottom < 0 ? bottom - room : 0, top > 0 ? top + room : 0];
}

/** Room for the longest number of an axis. @param {unknown} _ @param {string[] | null} values */
function wide(_, values) {
  return Math.max(34, 16 + 6.6 * Math.max(0, ...(values ?? []).map((value) => value.length)));
}

/** @param {HTMLElement} canvas */
const size = (canvas) => ({ width: Math.max(200, canvas.clientWidth), height: canvas.closest(".low") ? 110 : 190 });

// --- words and numbers ---

/** @param {number} value @param {string} [unit] */
function figure(value, unit = "") {
  if (unit === "share") return new Intl.NumberFormat(LANGUAGE, { style: "percent", maximumFractionDigits: 2 }).format(value);
  const notation = Math.abs(value) >= 100_000 ? "compact" : "standard";
  const text = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 1, notation }).format(value);
  return unit ? `${text} ${unit}` : text;
}

const DAY = new Intl.DateTimeFormat(LANGUAGE, { day: "numeric", month: "short", timeZone: "UTC" });
const MINUTE = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" });
const SECOND = new Intl.DateTimeFormat(LANGUAGE, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: "UTC" });

/** @param {number} at */
const moment = (at) => `${DAY.format(at * 1000)}, ${(at % 60 ? SECOND : MINUTE).format(at * 1000)}`;

/** @param {number} at @param {number} step */
const tick = (at, step) => (step >= 86_400 || (at % 86_400 === 0 && step >= 3600) ? DAY : step >= 60 ? MINUTE : SECOND).format(at * 1000);

/** What a token comes to in this theme. @param {string} token */
function colour(token) {
  const probe = document.createElement("span");
  probe.style.color = `var(${token})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// --- the same as a table, newest first ---

/** @param {Drawn} one */
function tabulate({ figure: where, data, words }) {
  const details = where.querySelector("details");
  const box = details?.querySelector(".wide");
  if (!details?.open || !box) return;
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  const over = data.x === "number";
  for (const [place, text] of [over ? "" : (words["time"] ?? ""), ...data.lines.map((line) => line.label)].entries()) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = place ? "number" : "";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  for (let row = data.at.length - 1; row >= Math.max(0, data.at.length - ROWS); row--) {
    const line = body.insertRow();
    const at = data.at[row] ?? 0;
    line.insertCell().textContent = over ? figure(at) : moment(at);
    for (const { values } of data.lines) {
      const cell = line.insertCell();
      const value = values[row] ?? null;
      cell.className = "number";
      cell.textContent = value === null ? "–" : figure(value, data.unit);
    }
  }
  box.replaceChildren(table);
}

// --- what changes: width, theme, and what comes live ---

const widths = new ResizeObserver((boxes) => {
  for (const { target } of boxes) {
    const one = drawn.get(/** @type {HTMLElement} */ (target.closest("[data-plot]")));
    const wanted = size(/** @type {HTMLElement} */ (target));
    if (one?.plot && one.plot.width !== wanted.width) one.plot.setSize(wanted);
  }
});

const redraw = () => {
  for (const one of drawn.values()) draw(one);
};
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });

/** Add a point to a plot that stands in the page; older ones leave at the other end. @param {string} id @param {Point} point */
function append(id, point) {
  const one = drawn.get(/** @type {HTMLElement} */ (document.getElementById(id)));
  if (!one) return;
  const { data } = one;
  const last = data.at.at(-1);
  if (last !== undefined && point.at <= last) return;
  const keep = Math.max(data.at.length, 60);
  data.at.push(point.at);
  data.lines.forEach((line, place) => line.values.push(point.values[place] ?? null));
  const old = data.window ? data.at.findIndex((at) => at > point.at - (data.window ?? 0)) : data.at.length - keep;
  for (const column of columns(data)) column.splice(0, Math.max(0, old));
  if (one.plot && data.at.length > 3) one.plot.setData(columns(data));
  else draw(one);
}

window.cashwrapPlots = { append };
