"use strict";
(() => {
  const make = (tag, className, text) => {
    const found = document.createElement(tag);
    if (className) found.className = className;
    if (text !== undefined) found.textContent = text;
    return found;
  };
  for (const controls of document.querySelectorAll("[data-controls]")) controls.hidden = false;

  // Explanations and values, where a pointer, a finger or the keyboard is.
  const tip = make("div", "tip");
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  const place = (text, x, y) => {
    tip.textContent = text;
    tip.classList.add("shown");
    const box = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(x - box.width / 2, document.documentElement.clientWidth - box.width - 8));
    tip.style.left = `${left + scrollX}px`;
    tip.style.top = `${(y - box.height - 10 < 4 ? y + 18 : y - box.height - 10) + scrollY}px`;
  };
  const hide = () => tip.classList.remove("shown");
  const over = (event) => {
    const told = event.target.closest?.("[data-tip]");
    const lines = event.target.closest?.("svg.lines");
    if (told) {
      const box = told.getBoundingClientRect();
      place(told.dataset.tip, box.left + box.width / 2, box.top);
    } else if (lines) {
      const dots = [...lines.querySelectorAll(".dot")].map((dot) => [dot, dot.getBoundingClientRect()]);
      if (!dots.length) return hide();
      const away = ([, box]) => Math.abs(box.left + box.width / 2 - event.clientX);
      const near = dots.reduce((one, other) => (away(other) < away(one) ? other : one));
      const at = near[0].dataset.at;
      const there = dots.filter(([dot]) => dot.dataset.at === at).slice(0, 12);
      const named = lines.querySelectorAll(".series").length > 1;
      const told = there.map(([dot]) => (named ? `${dot.parentNode.dataset.name}: ` : "") + dot.dataset.is);
      const top = Math.min(...there.map(([, box]) => box.top));
      place([at, ...told].join("\n"), near[1].left + near[1].width / 2, top);
    } else hide();
  };
  for (const kind of ["pointermove", "pointerdown", "focusin"]) document.addEventListener(kind, over);
  document.addEventListener("focusout", hide);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // A legend's entry brings out its line.
  for (const entry of document.querySelectorAll("[data-series]")) {
    const series = entry.closest("figure").querySelectorAll(".series");
    entry.tabIndex = 0;
    const only = (on) => {
      for (const one of series) one.classList.toggle("dim", on && one.dataset.name !== entry.dataset.series);
    };
    for (const kind of ["pointerenter", "focus"]) entry.addEventListener(kind, () => only(true));
    for (const kind of ["pointerleave", "blur"]) entry.addEventListener(kind, () => only(false));
  }

  const holds = (words, text) => words.every((word) => text.includes(word));
  const wordsOf = (field) => field.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const field of document.querySelectorAll("[data-filter]")) {
    field.addEventListener("input", () => {
      for (const row of document.querySelectorAll(field.dataset.filter)) {
        row.hidden = !holds(wordsOf(field), row.textContent.toLowerCase());
      }
    });
  }

  // One metric's charts at a time.
  for (const select of document.querySelectorAll("[data-shows]")) {
    select.addEventListener("change", () => {
      for (const figure of document.querySelectorAll(`#${select.dataset.shows} [data-metric]`)) {
        figure.hidden = select.value ? figure.dataset.metric !== select.value : !("told" in figure.dataset);
      }
    });
  }

  // A link to something folded opens it.
  const open = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.tagName === "DETAILS") target.open = true;
  };
  addEventListener("hashchange", open);
  open();

  // Numbers to the places that their interval supports: see pipeline/report/numbers.py.
  const fixed = (value, at) =>
    value.toLocaleString("en-US", { minimumFractionDigits: at, maximumFractionDigits: at });
  const places = (low, high) => {
    const half = (high - low) / 2;
    if (low == null || high == null || !(half > 0)) return null;
    const exponent = Math.floor(Math.log10(half));
    return Math.min(8, Math.max(0, -exponent + (half / 10 ** exponent < 3 ? 1 : 0)));
  };
  const metricText = (value, low, high) => {
    const at = places(low, high);
    if (at !== null) return fixed(value, at);
    const size = Math.abs(value);
    return fixed(value, size < 10 ? 4 : size < 1000 ? 2 : 0);
  };
  const signed = (value, at) => {
    const text = fixed(Math.abs(value), at);
    return (Number(text.replaceAll(",", "")) ? (value > 0 ? "+" : "−") : "±") + text;
  };
  const differencePlaces = (low, high) => {
    let at = places(low, high);
    if (at !== null && low * high > 0) {
      const least = Math.min(Math.abs(low), Math.abs(high));
      while (at < 8 && !Number(least.toFixed(at))) at += 1;
    }
    return at;
  };

  const block = document.getElementById("slice-data");
  if (!block) return;
  const data = JSON.parse(block.textContent);
  const byId = (id) => document.getElementById(`slice-${id}`);
  const [task, metric, feature, order, find] = ["task", "metric", "feature", "order", "find"].map(byId);
  const [table, more, count] = ["table", "more", "count"].map(byId);
  const HEADLINE = "", ALL = "", STEP = innerWidth < 700 ? 10 : 25;
  let shown = STEP;
  const options = (select, entries) => {
    const chosen = select.value;
    select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
    if (entries.some(([value]) => value === chosen)) select.value = chosen;
  };
  const names = Object.keys(data.tasks);
  options(task, [...(names.length > 1 ? [[ALL, "All tasks"]] : []), ...names.map((name) => [name, name])]);
  const metrics = () => {
    const among = task.value ? Object.keys(data.tasks[task.value].cells) : Object.keys(data.metrics);
    const named = among.map((name) => [name, data.metrics[name][0]]);
    options(metric, task.value ? named : [[HEADLINE, "What each is told by"], ...named]);
    if (task.value && !metric.dataset.chosen) metric.value = data.tasks[task.value].headline;
  };
  const features = new Set(names.flatMap((name) => data.tasks[name].slices.map((slice) => slice[0])));
  options(feature, [[ALL, "All features"], ...[...features].map((name) => [name, name])]);

  const numbersOf = (cells, at) => {
    const cell = cells ? cells[at] : 0;
    if (!Array.isArray(cell)) return cell ? { note: cell } : null;
    const [value, low = null, high = null, baseline = null, diffLow = null, diffHigh = null] = cell;
    return { value, low, high, baseline, diffLow, diffHigh };
  };
  const some = (place) => names.some((name) => Object.values(data.tasks[name].cells).some((cells) =>
    cells.some((cell) => Array.isArray(cell) && cell[place] != null)));
  // How bad a slice is, by the better end of its interval: below the value of all rows, below serving. One too
  // small for an interval comes after those that have one.
  const unsure = some(1) ? 1e9 : 0;
  const off = (value, direction, best) => (direction ? (best - value) * direction : Math.abs(value - 1));
  const judge = (row) => {
    const { direction, overall, value, low, high, baseline, diffLow, diffHigh } = row;
    if (value === undefined) return { ...row, below: -Infinity, lost: -Infinity, verdict: "" };
    const scale = Math.abs(overall || 1) || 1;
    let best = value;
    if (low !== null) {
      if (direction > 0) best = high;
      else if (direction < 0) best = low;
      else best = low > 1 ? low : high < 1 ? high : 1;
    }
    const below = off(best, direction, overall ?? 0) / scale - (low === null ? unsure : 0);
    const found = { ...row, below, lost: -Infinity, verdict: "" };
    if (baseline !== null) {
      const difference = value - baseline;
      found.difference = difference;
      if (!direction) found.lost = Math.abs(value - 1) - Math.abs(baseline - 1);
      else found.lost = -direction * (diffLow === null ? difference : direction > 0 ? diffHigh : diffLow) / scale;
      if (diffLow === null) found.lost -= unsure;
      found.verdict = "unclear";
      if (direction && diffLow !== null) {
        if (diffLow * direction > 0 && diffHigh * direction > 0) found.verdict = "better";
        if (diffLow * direction < 0 && diffHigh * direction < 0) found.verdict = "worse";
      }
    }
    return found;
  };
  const collect = () => {
    const rows = [];
    for (const name of task.value ? [task.value] : names) {
      const of = data.tasks[name];
      const chosen = metric.value || of.headline;
      if (!of.cells[chosen]) continue;
      const direction = data.metrics[chosen][1];
      of.slices.forEach(([column, value, examples], at) => {
        const numbers = numbersOf(of.cells[chosen], at);
        if (!numbers || (feature.value && column !== feature.value)) return;
        const overall = of.overall[chosen];
        rows.push(judge({ task: name, metric: chosen, column, is: value, examples, direction, overall, ...numbers }));
      });
    }
    return rows;
  };
  const SORTS = {
    lost: ["Worst against serving", (a, b) => b.lost - a.lost || b.below - a.below],
    below: ["Worst value", (a, b) => b.below - a.below],
    examples: ["Most rows", (a, b) => b.examples - a.examples],
    name: ["By name", (a, b) => a.column.localeCompare(b.column) || a.is.localeCompare(b.is, "en", { numeric: true })],
  };
  const served = some(3);
  const sorts = Object.entries(SORTS).filter(([key]) => served || key !== "lost");
  options(order, sorts.map(([key, [text]]) => [key, text]));

  const cell = (label, className, ...children) => {
    const found = make("td", className);
    if (label) found.dataset.label = label;
    found.append(...children);
    return found;
  };
  const plot = (row, range) => {
    const box = make("div", "span");
    const [low, high] = range;
    const at = (value) => `${((100 * (value - low)) / (high - low)).toFixed(2)}%`;
    const mark = (className, left, width) => {
      const found = make("i", className);
      found.style.left = left;
      if (width !== undefined) found.style.width = width;
      box.append(found);
      return found;
    };
    const delta = row.difference !== undefined;
    const center = delta ? 0 : row.overall;
    if (center != null) mark("at", at(center)).dataset.tip = delta ? "no difference" : "over all rows";
    const [from, to] = delta ? [row.diffLow, row.diffHigh] : [row.low, row.high];
    if (from !== null) mark("between", at(from), `${((100 * (to - from)) / (high - low)).toFixed(2)}%`);
    mark("value", at(delta ? row.difference : row.value));
    return box;
  };
  const ranges = (rows) => {
    const found = new Map();
    for (const row of rows) {
      if (row.value === undefined) continue;
      const delta = row.difference !== undefined;
      const key = `${row.metric} ${delta}`;
      const held = delta ? [0, row.difference, row.diffLow, row.diffHigh] : [row.overall, row.value, row.low, row.high];
      const known = [...held.filter((v) => v != null), ...(found.get(key) || [])];
      found.set(key, [Math.min(...known), Math.max(...known)]);
    }
    for (const [key, [low, high]] of found) {
      const room = (high - low) * 0.04 || 1;
      found.set(key, [low - room, high + room]);
    }
    return (row) => found.get(`${row.metric} ${row.difference !== undefined}`);
  };
  const line = (row, range) => {
    const found = make("tr");
    const named = make("span", "name", row.is || "(empty)");
    found.append(cell("", "first", named, make("br"), make("span", "small", row.column)));
    if (!task.value) found.append(cell("Task", "", row.task));
    if (!task.value && !metric.value) found.append(cell("Metric", "", data.metrics[row.metric][0]));
    found.append(cell("Rows", "n", row.examples.toLocaleString("en-US")));
    if (row.value === undefined) {
      found.append(cell("Value", "n small", row.note));
      if (served) found.append(cell("Difference", "n", "–"));
      found.append(cell("", "plotted"));
      return found;
    }
    const value = [make("b", "", metricText(row.value, row.low, row.high))];
    if (places(row.low, row.high) !== null) {
      const ends = `${metricText(row.low, row.low, row.high)} to ${metricText(row.high, row.low, row.high)}`;
      value.push(make("br"), make("span", "small", ends));
    }
    found.append(cell("Value", "n", ...value));
    if (served) {
      const at = differencePlaces(row.diffLow, row.diffHigh);
      const difference = row.difference === undefined ? "–" : signed(row.difference, at ?? 4);
      const parts = [make("b", row.verdict, difference)];
      if (row.difference !== undefined && at !== null) {
        const ends = `${signed(row.diffLow, at)} to ${signed(row.diffHigh, at)}`;
        parts.push(make("br"), make("span", "small", ends));
      }
      found.append(cell("Difference", "n", ...parts));
    }
    const end = [plot(row, range(row))];
    if (row.verdict === "better" || row.verdict === "worse") end.push(make("span", `chip ${row.verdict}`, row.verdict));
    found.append(cell("", "plotted", ...end));
    return found;
  };
  const draw = () => {
    const words = wordsOf(find);
    const rows = collect().filter((row) => holds(words, `${row.task} ${row.column} ${row.is}`.toLowerCase()));
    rows.sort(SORTS[order.value][1]);
    const head = make("tr");
    const title = (text, className) => head.append(make("th", className, text));
    title("Slice", "");
    if (!task.value) title("Task", "");
    if (!task.value && !metric.value) title("Metric", "");
    title("Rows", "n");
    title(metric.value ? data.metrics[metric.value][0] : "Value", "n");
    if (served) title("Against serving", "n");
    title(served ? "Difference, 95 % interval" : "Beside all rows, 95 % interval", "plotted");
    table.tHead.replaceChildren(head);
    const range = ranges(rows);
    table.tBodies[0].replaceChildren(...rows.slice(0, shown).map((row) => line(row, range)));
    const said = (n) => n.toLocaleString("en-US");
    count.textContent = `${said(Math.min(shown, rows.length))} of ${said(rows.length)} slices`;
    more.hidden = rows.length <= shown;
  };
  const again = () => { shown = STEP; draw(); };
  metrics();
  task.addEventListener("change", () => { metrics(); again(); });
  metric.addEventListener("change", () => { metric.dataset.chosen = "1"; again(); });
  for (const field of [feature, order]) field.addEventListener("change", again);
  find.addEventListener("input", again);
  more.addEventListener("click", () => { shown += 4 * STEP; draw(); });
  draw();
})();
