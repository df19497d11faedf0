// The script of all views. A view takes what all share and its own part, inside one function that leaves no name behind.
// Tokens and names only ever become text nodes and attributes of elements made here: nothing is parsed as markup.

// == shared ==
const SVG = ["svg", "g", "rect", "path", "line", "circle", "text"];
const FOCUSABLE = ["button", "input", "select", "summary"];

// An element with attributes, listeners (functions) and children (elements or texts).
function make(tag, given, ...children) {
  const element = SVG.includes(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(given || {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value != null) element.setAttribute(key, value);
  }
  // Typing here must not drive the notebook.
  if (FOCUSABLE.includes(tag) || (given && "tabindex" in given)) element.setAttribute("data-lm-suppress-shortcuts", "");
  element.append(...children.filter((child) => child != null));
  return element;
}

function fill(element, ...children) {
  element.replaceChildren(...children.filter((child) => child != null));
}

// A choice among a few, or a switch; the browser moves between radios by arrow keys.
function choice(root, title, names, picked, change) {
  const group = `${root.id}-${title.replace(/\W/g, "")}`;
  const radios = names.map((name, place) =>
    make("label", null, make("input", { type: "radio", name: group, checked: place === picked, change: () => change(place) }), name));
  return make("fieldset", { class: "gb-bar" }, make("legend", null, title), ...radios);
}

function toggle(name, change) {
  return make("label", null, make("input", { type: "checkbox", change: (event) => change(event.target.checked) }), name);
}

// Several cells of which one is in the tab order; the arrow keys move. rows: lists of cells, of which some may be null.
function rove(rows, pick, { start = [0, 0], hover = true } = {}) {
  let [row, column] = start, mouse = "";
  const cell = (r, c) => rows[r] && rows[r][c];
  function select(r, c, focus) {
    const old = cell(row, column);
    if (old) (old.setAttribute("tabindex", "-1"), old.setAttribute("aria-selected", "false"));
    [row, column] = [r, c];
    const now = cell(r, c);
    now.setAttribute("tabindex", "0");
    now.setAttribute("aria-selected", "true");
    if (focus) now.focus();
    pick(r, c, focus);
  }
  function step(down, right) {
    let [r, c] = [row + down, column + right];
    if (rows.length === 1 && down) [r, c] = [0, column + down];
    while (rows[r] && c >= 0 && c < rows[r].length && !cell(r, c)) (r += down), (c += right);
    if (cell(r, c)) select(r, c, true);
  }
  function end(last) {
    const places = rows[row].map((each, place) => (each ? place : -1)).filter((place) => place >= 0);
    select(row, last ? places[places.length - 1] : places[0], true);
  }
  const keys = {
    ArrowUp: () => step(-1, 0), ArrowDown: () => step(1, 0), ArrowLeft: () => step(0, -1), ArrowRight: () => step(0, 1),
    Home: () => end(false), End: () => end(true),
  };
  rows.forEach((cells, r) => cells.forEach((each, c) => {
    if (!each) return;
    each.setAttribute("tabindex", "-1");
    each.setAttribute("aria-selected", "false");
    each.setAttribute("data-lm-suppress-shortcuts", "");
    each.addEventListener("click", () => select(r, c, true));
    each.addEventListener("focus", () => (r === row && c === column) || select(r, c, false));
    // A box that the keyboard scrolls passes below a mouse at rest, and that picks nothing.
    if (hover) each.addEventListener("mousemove", (event) => {
      const there = `${event.screenX} ${event.screenY}`;
      if (there !== mouse && (r !== row || c !== column)) select(r, c, false);
      mouse = there;
    });
    each.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey || !keys[event.key]) return;
      event.preventDefault();
      event.stopPropagation();
      keys[event.key]();
    });
  }));
  select(row, column, false);
  return select;
}

function quoted(text) {
  return `'${text}'`;
}

function short(text, longest = 12) {
  const shown = text.trim() || "␣";
  return shown.length <= longest ? shown : `${shown.slice(0, longest - 1)}…`;
}

function signed(value) {
  return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}

function chance(share) {
  return share < 0.0005 && share > 0 ? "< 0.001" : share.toFixed(3);
}

// Small shares have to be seen beside large ones, so a colour's strength is the root of the share.
function wash(colour, share) {
  return `rgba(var(--gb-${colour}), ${Math.sqrt(Math.min(1, Math.max(0, share))).toFixed(3)})`;
}

function gauge(share, mark) {
  return make("span", { class: "gb-gauge" }, share > 0 ? make("i", { style: `width:${(100 * share).toFixed(2)}%` }) : null,
    mark == null ? null : make("b", { style: `left:calc(${(100 * mark).toFixed(2)}% - 1px)` }));
}

// A drawing shrinks to the room it has, but not below what can be read; then its box scrolls.
function fit(wide, high) {
  return { width: "100%", viewBox: `0 0 ${wide} ${high}`, style: `max-width:${wide}px;min-width:${Math.round(0.78 * wide)}px` };
}

// Draw the view in the tables' place; the tables go into a box that opens. If anything fails, they stay.
function start(id, draw) {
  for (const root of document.querySelectorAll(`[id="${id}"]`)) {
    if (root.dataset.drawn) continue;
    root.dataset.drawn = "yes";
    for (let number = 2; document.querySelectorAll(`[id="${root.id}"]`).length > 1; number++) root.id = `${id}-${number}`;
    const tables = [...root.querySelectorAll(":scope > .gb-scroll")];
    const say = make("p", { class: "gb-say", role: "status", "aria-live": "polite" });
    const body = make("div", { class: "gb-body" });
    try {
      draw(root, JSON.parse(root.querySelector('script[type="application/json"]').textContent), body, (text) => (say.textContent = text));
    } catch (error) {
      console.error(error);
      continue;
    }
    const box = make("details", null, make("summary", null, "The numbers as a table"));
    tables[0].before(body, say, box);
    box.append(...tables);
    for (const grid of body.querySelectorAll(".gb-grid")) grid.parentElement.scrollLeft = grid.offsetWidth;
  }
}

// == token_strip ==
function draw(root, data, body, say) {
  let unit = 0, method = 0, place = 0, pieces = [];
  const strip = make("div", { class: "gb-tokens", role: "listbox", "aria-label": "the text, with a score for each piece", "aria-orientation": "horizontal" });
  const heading = make("div", { class: "gb-note" });
  const legend = make("div", { class: "gb-note" });
  const scores = () => data.units[unit].scores[method];
  const largest = () => Math.max(...scores().map(Math.abs)) || 1;

  function tell() {
    const all = scores(), score = all[place], here = data.units[unit];
    const rank = 1 + all.filter((other) => other > score).length;
    const share = Math.round((100 * Math.abs(score)) / largest());
    const side = all.every((each) => each >= 0) ? "" : score < 0 ? ", against" : score > 0 ? ", for" : "";
    const known = here.marks.includes(place) ? ", part of the evidence" : "";
    say(`${quoted(here.pieces[place])}: ${signed(score)}${side}; rank ${rank} of ${all.length}, ${share} % of the largest${known}.`);
  }
  function paint() {
    const all = scores(), most = largest(), both = all.some((score) => score < 0);
    pieces.forEach((piece, number) => {
      const share = all[number] / most, base = both ? 10 : 19, size = share ? Math.max(1.6, Math.abs(share) * base) : 0;
      piece.firstChild.style.background = wash(share < 0 ? "against" : "for", Math.abs(share) ** 2);
      fill(piece.lastChild,
        make("rect", { x: 0, width: 10, y: share < 0 ? base : base - size, height: size, style: `fill:var(--gb-${share < 0 ? "less" : "mark"})` }),
        make("rect", { x: 0, width: 10, y: base, height: 1, style: "fill:var(--gb-line)" }));
      piece.setAttribute("aria-label", `${data.units[unit].pieces[number]} ${signed(all[number])}`);
    });
    heading.textContent = data.headings[method];
    const known = data.evidence ? " A double line above: the evidence." : "";
    legend.textContent = (both ? "Bar up, blue: speaks for it. Bar down, orange: against it." : "The higher the bar and the stronger the blue, the larger the score.") + known;
    tell();
  }
  function build() {
    pieces = data.units[unit].pieces.map((text, number) =>
      make("span", { class: data.units[unit].marks.includes(number) ? "gb-token gb-known" : "gb-token", role: "option" },
        make("span", null, text), make("svg", { viewBox: "0 0 10 20", preserveAspectRatio: "none", width: "100%", height: 22, style: "height:22px", "aria-hidden": "true" })));
    fill(strip, ...pieces);
    const all = scores();
    place = all.indexOf(Math.max(...all));
    rove([pieces], (_, number) => ((place = number), tell()), { start: [0, place] });
    paint();
  }
  body.append(
    data.names.length > 1 ? choice(root, "method", data.names, 0, (number) => ((method = number), paint())) : "",
    data.units.length > 1 ? make("div", { class: "gb-bar" }, toggle("whole words", (on) => ((unit = on ? 1 : 0), build()))) : "",
    heading, strip, legend);
  build();
}

// == attention ==
function draw(root, data, body, say) {
  const n = data.tokens.length, H = data.heads, L = data.layers.length;
  const read = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const codes = read(data.weights), norms = data.norms ? read(data.norms) : null;
  const each = data.causal ? (n * (n + 1)) / 2 : n * n;
  let [layer, head] = data.start, query = n - 1, key = null, normed = false;

  const weight = (l, h, q, k) => (codes[(l * H + h) * each + (data.causal ? (q * (q + 1)) / 2 : q * n) + k] / 255) ** 2;
  const value = (l, h, q, k) => weight(l, h, q, k) * (normed ? (norms[(l * H + h) * n + k] / 255) * data.longest : 1);
  const keys = (q) => (data.causal ? q + 1 : n);
  let most = 1;
  function measure() {
    most = 1;
    if (!normed) return;
    most = 0;
    for (let l = 0; l < L; l++) for (let h = 0; h < H; h++) for (let q = 0; q < n; q++) for (let k = 0; k < keys(q); k++) most = Math.max(most, value(l, h, q, k));
    most = most || 1;
  }
  const share = (q, k) => value(layer, head, q, k) / most;
  const name = (l, h) => `layer ${data.layers[l]}, head ${h}`;

  function tell() {
    const does = normed ? "brings" : "gives";
    const where = `${name(layer, head)[0].toUpperCase()}${name(layer, head).slice(1)}`;
    if (key != null) return say(`${where}: ${quoted(data.tokens[query])} ${normed ? "is brought" : "gives"} ${value(layer, head, query, key).toFixed(2)} ${normed ? "from" : "to"} ${quoted(data.tokens[key])}.`);
    const order = [...Array(keys(query)).keys()].sort((a, b) => value(layer, head, query, b) - value(layer, head, query, a)).slice(0, 3).filter((k, place) => !place || value(layer, head, query, k) >= 0.005);
    const list = order.map((k) => `${quoted(data.tokens[k])} ${value(layer, head, query, k).toFixed(2)}`).join(", ");
    say(`${where}: ${quoted(data.tokens[query])} ${normed ? "is brought most from" : "looks most at"} ${list}.`);
  }

  // All heads at a glance: a small map each, one path for all cells of nearly the same strength.
  const small = Math.max(24, Math.min(46, Math.floor(330 / H))), left = 22, top = 16;
  const glance = make("svg", { role: "grid", "aria-label": "all heads: a row for each layer, a column for each head", ...fit(left + H * small, top + L * small) });
  let heads = [];
  function thumb(l, h) {
    const size = (small - 4) / n, paths = ["", "", "", "", "", ""];
    for (let q = 0; q < n; q++) for (let k = 0; k < keys(q); k++) {
      const level = Math.round(Math.sqrt(value(l, h, q, k) / most) * 6);
      if (level) paths[level - 1] += `M${(k * size).toFixed(1)} ${(q * size).toFixed(1)}h${size.toFixed(1)}v${size.toFixed(1)}h-${size.toFixed(1)}z`;
    }
    return paths.map((d, level) => d && make("path", { d, style: `fill:var(--gb-mark);opacity:${((level + 1) / 6).toFixed(2)}` })).filter(Boolean);
  }
  function paintGlance() {
    heads.forEach((row, l) => row.forEach((cell, h) => fill(cell.firstChild, ...thumb(l, h))));
  }
  heads = data.layers.map((number, l) => [...Array(H).keys()].map((h) =>
    make("g", { class: "gb-cell", role: "gridcell", "aria-label": name(l, h), transform: `translate(${left + h * small + 2} ${top + l * small + 2})`, style: "cursor:pointer" },
      make("g", null), make("rect", { width: small - 4, height: small - 4, style: "fill:transparent;stroke:var(--gb-grid)" }),
      make("rect", { class: "gb-ring", x: -1, y: -1, width: small - 2, height: small - 2 }))));
  glance.append(
    make("g", { "aria-hidden": "true" },
      ...data.layers.map((number, l) => make("text", { class: "gb-faint", x: left - 4, y: top + (l + 0.5) * small + 4, "text-anchor": "end" }, `${number}`)),
      ...[...Array(H).keys()].map((h) => make("text", { class: "gb-faint", x: left + (h + 0.5) * small, y: 11, "text-anchor": "middle" }, `${h}`))),
    ...heads.map((row) => make("g", { role: "row" }, ...row)));

  // One head as lines: who looks, on the left; what is looked at, on the right.
  const high = 19, side = 104, middle = 120, wide = 2 * side + middle;
  const links = make("g", { "aria-hidden": "true" });
  const shades = make("g", { "aria-hidden": "true" });
  const askers = data.tokens.map((token, q) =>
    make("g", { class: "gb-cell", role: "option", "aria-label": `token ${q} ${short(token)}`, transform: `translate(0 ${q * high})`, style: "cursor:pointer" },
      make("rect", { width: side - 2, height: high, style: "fill:transparent" }), make("rect", { class: "gb-ring", x: 1, y: 1, width: side - 3, height: high - 2, rx: 3 }),
      make("text", { x: side - 8, y: 14, "text-anchor": "end" }, short(token))));
  const lines = make("svg", { width: wide, height: n * high + 2, viewBox: `0 0 ${wide} ${n * high + 2}`, style: "max-width:100%" },
    shades, links, make("g", { role: "listbox", "aria-label": "the token that looks" }, ...askers),
    make("g", { "aria-hidden": "true" }, ...data.tokens.map((token, k) => make("text", { x: side + middle + 6, y: k * high + 14 }, short(token)))));
  function paintLines() {
    const drawn = [];
    for (let q = 0; q < n; q++) for (let k = 0; k < keys(q); k++) {
      const strength = share(q, k), own = q === query;
      if (strength < (own ? 0.004 : 0.04)) continue;
      const line = make("line", { x1: side, y1: (q + 0.5) * high, x2: side + middle, y2: (k + 0.5) * high,
        style: own ? `stroke:var(--gb-mark);stroke-width:${(1 + 5 * strength).toFixed(1)};opacity:${(0.25 + 0.75 * Math.sqrt(strength)).toFixed(2)}` : `stroke:var(--gb-faint);stroke-width:1;opacity:${(0.35 * Math.sqrt(strength)).toFixed(2)}` });
      if (own) drawn.push(line); else drawn.unshift(line);
    }
    fill(links, ...drawn);
    fill(shades, ...[...Array(keys(query)).keys()].map((k) => make("rect", { x: side + middle, y: k * high, width: side, height: high, style: `fill:${wash("for", share(query, k))}` })));
  }

  // The same head as a matrix.
  const cell = Math.max(13, Math.min(24, Math.floor(300 / n))), names = 88, below = 74;
  const squares = data.tokens.map((_, q) => data.tokens.map((_, k) => (k >= keys(q) ? null :
    make("g", { class: "gb-cell", role: "gridcell", transform: `translate(${names + k * cell} ${q * cell})` },
      make("rect", { width: cell - 1, height: cell - 1, style: "fill:var(--gb-mark)" }), make("rect", { class: "gb-ring", x: 0.5, y: 0.5, width: cell - 2, height: cell - 2 })))));
  const across = names + n * cell + 8, down = n * cell + below;
  const matrix = make("svg", fit(across, down),
    make("g", { role: "grid", "aria-label": "the head as a matrix: a row for each token that looks, a column for each that is looked at" },
      ...squares.map((row) => make("g", { role: "row" }, ...row.filter(Boolean)))),
    make("g", { "aria-hidden": "true" },
      ...data.tokens.map((token, q) => make("text", { x: names - 5, y: (q + 0.5) * cell + 4, "text-anchor": "end" }, short(token, 11))),
      ...data.tokens.map((token, k) => make("text", { "text-anchor": "end", transform: `translate(${names + (k + 0.7) * cell} ${n * cell + 8}) rotate(-50)` }, short(token, 11)))));
  function paintMatrix() {
    squares.forEach((row, q) => row.forEach((square, k) => {
      if (!square) return;
      square.firstChild.style.opacity = Math.sqrt(share(q, k)).toFixed(3);
      square.setAttribute("aria-label", `${short(data.tokens[q], 40)} to ${short(data.tokens[k], 40)}: ${value(layer, head, q, k).toFixed(2)}`);
    }));
  }

  const shown = make("div", { class: "gb-head" }), again = make("div", { class: "gb-head" });
  function paint() {
    shown.textContent = again.textContent = `${name(layer, head)}: ${normed ? "weight × length" : "attention weight"}`;
    paintLines();
    paintMatrix();
    tell();
  }
  body.append(
    norms ? make("div", { class: "gb-bar" }, toggle("weigh by the length of what each token brings (value norms)", (on) => ((normed = on), measure(), paintGlance(), paint()))) : "",
    make("div", { class: "gb-columns" },
      make("div", null, make("div", { class: "gb-head" }, "all heads"), make("div", { class: "gb-note" }, "layers down, heads across; pick one"), make("div", { class: "gb-scroll" }, glance)),
      make("div", null, shown, make("div", { class: "gb-note" }, "left: looks; right: is looked at; pick one on the left"), lines),
      make("div", null, again, make("div", { class: "gb-note" }, "row: looks; column: is looked at"), make("div", { class: "gb-scroll" }, matrix))));
  let ready = false;
  const update = () => ready && paint();
  rove(heads, (l, h) => ((layer = l), (head = h), (key = null), update()), { start: [layer, head], hover: false });
  const ask = rove([askers], (_, q) => ((query = q), (key = null), ready && (paintLines(), tell())), { start: [0, query] });
  rove(squares, (q, k) => {
    if (!ready) return;
    if (q !== query) ask(0, q, false);
    key = k;
    tell();
  }, { start: [n - 1, 0] });
  ready = true;
  key = null;
  paintGlance();
  paint();
}

// == lens ==
function draw(root, data, body, say) {
  const L = data.layers.length, columns = data.tokens.length;
  let row = L - 1, column = columns - 1, word = -1; // -1: the model's own answer at each position
  const cells = data.layers.map((_, l) => data.tokens.map((_, c) => {
    const [words, chances] = data.cells[c][l];
    const share = chances[0];
    return make("td", { role: "gridcell", "aria-label": `layer ${data.layers[l]}, after ${short(data.tokens[c], 40)}: ${short(data.words[words[0]])} ${chance(share)}`,
      style: `background:linear-gradient(rgba(var(--gb-for), ${share}), rgba(var(--gb-for), ${share})), linear-gradient(to right, var(--gb-mark) ${100 * share}%, var(--gb-grid) 0) bottom / 100% 3px no-repeat` },
      short(data.words[words[0]]));
  }));
  const grid = make("table", { class: "gb-grid", role: "grid", "aria-label": "each layer's top word for what follows each token; the last layer on top" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, make("th", { role: "columnheader" }, "layer"), ...data.tokens.map((token) => make("th", { role: "columnheader" }, short(token))))),
    make("tbody", { role: "rowgroup" }, ...cells.map((each, l) => make("tr", { role: "row" }, make("th", { role: "rowheader" }, `${data.layers[l]}`), ...each)).reverse()));

  const best = make("div");
  const select = make("select", { change: (event) => ((word = Number(event.target.value)), paint()) });
  const plot = make("div", { class: "gb-scroll" });

  function followed() {
    const [here, ranks] = data.followed[column];
    const place = word === -1 ? 0 : Math.max(0, here.indexOf(word));
    return [here[place], ranks[place], here];
  }
  function paint() {
    const [words, chances] = data.cells[column][row];
    fill(best, make("div", { class: "gb-head" }, `layer ${data.layers[row]}, after ${quoted(data.tokens[column])}: the best ${words.length}`),
      ...words.map((number, place) => make("div", { class: "gb-row" }, make("span", null, data.words[number]), gauge(chances[place]), make("span", null, chance(chances[place])))));
    const [now, ranks, here] = followed();
    fill(select, make("option", { value: -1, selected: word === -1 || !here.includes(word) }, `the model's own answer: ${short(data.words[here[0]], 20)}`),
      ...here.slice(1).map((number) => make("option", { value: number, selected: number === word }, short(data.words[number], 20))));
    const wide = 300, high = 130, left = 40, top = 14, worst = Math.max(10, ...ranks);
    const x = (l) => left + (L > 1 ? (l * (wide - left - 24)) / (L - 1) : 0);
    const y = (rank) => top + ((high - top - 30) * Math.log(rank)) / Math.log(worst);
    const marks = [1, 10, 100, 1000, 10000, 100000].filter((mark) => mark <= worst);
    fill(plot, make("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Rank of ${quoted(data.words[now])} by layer: ${ranks.map((rank, l) => `layer ${data.layers[l]} ${rank}`).join(", ")}` },
      ...marks.map((mark) => make("line", { x1: left, x2: wide - 10, y1: y(mark), y2: y(mark), style: "stroke:var(--gb-grid)" })),
      ...marks.map((mark) => make("text", { class: "gb-faint", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, `${mark}`)),
      make("path", { d: ranks.map((rank, l) => `${l ? "L" : "M"}${x(l).toFixed(1)} ${y(rank).toFixed(1)}`).join(""), style: "fill:none;stroke:var(--gb-mark);stroke-width:2" }),
      ...ranks.map((rank, l) => make("circle", { cx: x(l), cy: y(rank), r: l === row ? 5 : 3, style: "fill:var(--gb-mark);stroke:var(--gb-ink);stroke-width:" + (l === row ? 1.5 : 0) })),
      ...data.layers.map((number, l) => make("text", { class: "gb-faint", x: x(l), y: high - 10, "text-anchor": "middle" }, L > 14 && l % 2 ? "" : `${number}`))));
    say(`Layer ${data.layers[row]}, after ${quoted(data.tokens[column])}: ${quoted(data.words[words[0]])} ${chance(chances[0])}. ${quoted(data.words[now])} has rank ${ranks[row]} here and ${ranks[L - 1]} at layer ${data.layers[L - 1]}.`);
  }
  body.append(
    make("div", { class: "gb-note" }, "Rows: layers, the last on top. Columns: the token after which the word is to come. The stronger the blue and the longer the line below a word, the more probable it is."),
    make("div", { class: "gb-scroll" }, grid),
    make("div", { class: "gb-columns" }, make("div", { class: "gb-grow" }, best),
      make("div", { class: "gb-grow" }, make("div", { class: "gb-head" }, "rank across the layers (1 is best)"), make("label", null, "word", select), plot)));
  let ready = false;
  rove([...cells].reverse(), (r, c) => ((row = L - 1 - r), (column = c), ready && paint()), { start: [0, columns - 1] });
  ready = true;
  paint();
}

// == generation ==
function draw(root, data, body, say) {
  let step = 0, all = false;
  const knobs = { temperature: 1, k: null, p: 1 };
  const count = data.vocabulary;
  const tokens = data.steps.map((each) => make("span", { class: "gb-token gb-new", role: "option" }, make("span", null, data.words[each.chosen[0]])));
  const text = make("div", { class: "gb-tokens" }, ...data.prompt.map((token) => make("span", { class: "gb-token", style: "cursor:auto" }, make("span", null, token))),
    make("div", { style: "display:contents", role: "listbox", "aria-label": "the words that were added", "aria-orientation": "horizontal" }, ...tokens));
  const bars = make("div"), kept = make("div", { class: "gb-note" });

  // Probabilities at this temperature, of the words by name; and how much the others hold, group by group.
  function spread(each, temperature) {
    if (temperature === 0) return [each.logits.map((_, place) => (place === 0 ? 1 : 0)), []];
    const powers = each.logits.map((logit) => Math.exp(logit / temperature));
    const groups = each.tail.map(([logit, number]) => [Math.exp(logit / temperature), number]);
    const sum = powers.reduce((a, b) => a + b, 0) + groups.reduce((a, [power, number]) => a + power * number, 0);
    return [powers.map((power) => power / sum), groups.map(([power, number]) => [power / sum, number])];
  }
  // A word is kept if it is among the k best, and if those before it have not reached p.
  function cut(chances, groups) {
    const k = knobs.k || count;
    let before = 0, mass = 0, number = 0;
    const keep = chances.map((share, place) => {
      const stays = place < k && (before < knobs.p || place === 0) && share > 0;
      before += share;
      if (stays) (mass += share), number++;
      return stays;
    });
    let place = chances.length;
    for (const [share, size] of groups) {
      const within = Math.min(size, Math.max(0, k - place), knobs.p >= 1 ? size : Math.max(0, Math.ceil((knobs.p - before) / share)));
      mass += within * share;
      number += within;
      before += size * share;
      place += size;
    }
    return [keep, mass, number];
  }
  function paint() {
    const each = data.steps[step], [plain] = spread(each, 1), [chances, groups] = spread(each, knobs.temperature);
    const [keep, mass, number] = cut(chances, groups);
    const after = chances.map((share, place) => (keep[place] ? share / mass : 0));
    const shown = all ? chances.length : Math.min(10, chances.length);
    const named = keep.filter(Boolean).length;
    const rest = 1 - after.reduce((a, b) => a + b, 0);
    const [word, , rank] = each.chosen;
    const rows = each.ids.slice(0, shown).map((id, place) => make("div", { class: `gb-row${keep[place] ? "" : " gb-cut"}${place === rank - 1 ? " gb-own" : ""}` },
      make("span", null, `${place === rank - 1 ? "▸" : " "}${data.words[id]}`), gauge(after[place], plain[place]), make("span", null, keep[place] ? chance(after[place]) : "cut off")));
    fill(bars, ...rows);
    kept.textContent = `▸ the word that was chosen. Upright mark: the probability at temperature 1, nothing cut off. ` +
      `${number} of ${count} words are kept${number > named ? `; those that have no row hold ${chance(Math.max(0, rest))}` : ""}.`;
    const now = rank <= after.length ? (keep[rank - 1] ? chance(after[rank - 1]) : "cut off") : `not among the ${after.length} best (rank ${rank})`;
    say(`Step ${step + 1} of ${data.steps.length}: ${quoted(data.words[word])}, ${now}. Most probable: ${quoted(data.words[each.ids[0]])} ${chance(after[0])}. ${number} of ${count} words are kept.`);
    back.disabled = step === 0;
    next.disabled = step === data.steps.length - 1;
  }
  // Sliders: what is set, in words, beside each.
  function slider(title, least, most, by, value, change) {
    const told = make("span", { style: "min-width:3.2em" });
    const input = make("input", { type: "range", min: least, max: most, step: by, value, input: () => set() });
    function set() {
      const words = change(Number(input.value));
      told.textContent = words;
      input.setAttribute("aria-valuetext", words);
      if (ready) paint();
    }
    set.to = (number) => ((input.value = number), set());
    const label = make("label", null, title, input, told);
    return [label, set];
  }
  let ready = false;
  const steps = data.steps[0].ids.length;
  const [temperature, setTemperature] = slider("temperature", 0, 5, 0.1, 1, (value) => ((knobs.temperature = value), value === 0 ? "0, greedy" : value.toFixed(1)));
  const [topK, setK] = slider("top-k", 1, steps + 1, 1, steps + 1, (value) => ((knobs.k = value > steps ? null : value), value > steps ? "all" : `${value}`));
  const [topP, setP] = slider("top-p", 0.05, 1, 0.05, 1, (value) => ((knobs.p = value), value >= 1 ? "all" : value.toFixed(2)));
  const select = rove([tokens], (_, number) => ((step = number), ready && paint()), { hover: false });
  const back = make("button", { class: "gb-button", type: "button", click: () => select(0, step - 1, false) }, "◂ back");
  const next = make("button", { class: "gb-button", type: "button", click: () => select(0, step + 1, false) }, "next ▸");
  const reset = make("button", { class: "gb-button", type: "button", click: () => (setTemperature.to(1), setK.to(steps + 1), setP.to(1)) }, "reset");
  for (const set of [setTemperature, setK, setP]) set();
  body.append(text, make("div", { class: "gb-bar" }, back, next),
    make("div", { class: "gb-bar" }, temperature, topK, topP, reset),
    bars, steps > 10 ? make("div", { class: "gb-bar" }, toggle(`show all ${steps} that have a name here`, (on) => ((all = on), paint()))) : "", kept);
  ready = true;
  paint();
}

// == steering ==
function draw(root, data, body, say) {
  const pushes = data.pushes, plain = pushes.reduce((best, each, place) => (Math.abs(each.strength) < Math.abs(pushes[best].strength) ? place : best), 0);
  let here = plain;
  const text = make("div", { class: "gb-tokens" }), told = make("span", { style: "min-width:3em" }), watched = make("div"), plot = make("div", { class: "gb-scroll" });
  const slider = make("input", { type: "range", class: "gb-wide", min: 0, max: pushes.length - 1, step: 1, value: here, input: () => ((here = Number(slider.value)), paint()) });
  const number = (value) => (value >= 10000 ? value.toExponential(1) : value >= 100 ? value.toFixed(0) : value.toFixed(1));
  const strength = (value) => `${value < 0 ? "−" : value > 0 ? "+" : ""}${Math.abs(value)}`;

  function curve() {
    const wide = 340, high = 150, left = 58, top = 12, bottom = 34;
    const strengths = pushes.map((push) => push.strength), logs = pushes.map((push) => Math.log10(push.perplexity));
    const low = Math.floor(Math.min(...logs)), up = Math.max(low + 1, Math.ceil(Math.max(...logs)));
    const x = (value) => left + ((wide - left - 14) * (value - strengths[0])) / (strengths[strengths.length - 1] - strengths[0] || 1);
    const y = (log) => top + ((high - top - bottom) * (up - log)) / (up - low);
    const every = Math.ceil((up - low) / 4), marks = [];
    for (let mark = low; mark <= up; mark += every) marks.push(mark);
    return make("svg", { width: wide, height: high, viewBox: `0 0 ${wide} ${high}`, role: "img", "aria-label": `Perplexity by strength: ${pushes.map((push) => `${strength(push.strength)} ${number(push.perplexity)}`).join(", ")}`, style: "max-width:100%" },
      ...marks.map((mark) => make("line", { x1: left, x2: wide - 8, y1: y(mark), y2: y(mark), style: "stroke:var(--gb-grid)" })),
      ...marks.map((mark) => make("text", { class: "gb-faint", x: left - 6, y: y(mark) + 4, "text-anchor": "end" }, mark > 4 || mark < 0 ? `1e${mark}` : `${10 ** mark}`)),
      make("path", { d: logs.map((log, place) => `${place ? "L" : "M"}${x(strengths[place]).toFixed(1)} ${y(log).toFixed(1)}`).join(""), style: "fill:none;stroke:var(--gb-mark);stroke-width:2" }),
      ...logs.map((log, place) => make("circle", { cx: x(strengths[place]), cy: y(log), r: place === here ? 6 : 3, style: `fill:var(--gb-mark);stroke:var(--gb-ink);stroke-width:${place === here ? 2 : 0}` })),
      ...[...new Set([0, plain, pushes.length - 1])].map((place) => make("text", { class: "gb-faint", x: x(strengths[place]), y: high - 16, "text-anchor": "middle" }, strength(strengths[place]))),
      make("text", { class: "gb-faint", x: (left + wide) / 2, y: high - 2, "text-anchor": "middle" }, "strength"));
  }
  function paint() {
    const push = pushes[here], usual = pushes[plain].tokens;
    fill(text, ...data.prompt.map((token) => make("span", { class: "gb-token", style: "cursor:auto" }, make("span", null, token))),
      ...push.tokens.map((token, place) => make("span", { class: `gb-token gb-new${token === usual[place] ? "" : " gb-changed"}`, style: "cursor:auto" }, make("span", null, token))));
    fill(plot, curve());
    fill(watched, ...(data.watch.length ? [make("div", { class: "gb-head" }, "probability of the next word")] : []),
      ...data.watch.map((word, place) => make("div", { class: "gb-row" }, make("span", null, word), gauge(push.chances[place], pushes[plain].chances[place]), make("span", null, chance(push.chances[place])))),
      data.watch.length ? make("div", { class: "gb-note" }, `Upright mark: at strength ${strength(pushes[plain].strength)}.`) : null);
    told.textContent = strength(push.strength);
    const changed = push.tokens.filter((token, place) => token !== usual[place]).length;
    slider.setAttribute("aria-valuetext", `strength ${strength(push.strength)}, perplexity ${number(push.perplexity)}`);
    say(`Strength ${strength(push.strength)}: ${quoted(push.tokens.join(""))}; perplexity ${number(push.perplexity)} to the model left alone; ${changed} of ${push.tokens.length} tokens differ from strength ${strength(pushes[plain].strength)}.`);
  }
  body.append(
    make("div", { class: "gb-bar" }, make("label", { style: "flex:1 1 100%;max-width:34em" }, "strength", slider, told)),
    make("div", { class: "gb-note" }, `In units of the ${data.unit}. On grey: what the model adds. Bold and underlined: other than at strength ${strength(pushes[plain].strength)}.`),
    text, make("div", { class: "gb-columns" }, make("div", null, make("div", { class: "gb-head" }, "perplexity of what was added, to the model left alone"), plot), make("div", { class: "gb-grow" }, watched)));
  paint();
}

// == architecture ==
function draw(root, data, body, say) {
  const whole = (number) => number.toLocaleString("en-GB");
  const shape = (part) => (part.shape ? `(${part.shape})` : "");
  const visible = () => [...tree.querySelectorAll("li[role=treeitem]")].filter((item) => !item.parentElement.closest('[aria-expanded="false"]'));
  const parts = new Map();
  let now = null;

  function tell(part, times) {
    const own = (part.own || []).map(([key, sizes, shared]) => `${key} (${sizes.join(", ")})${shared ? ", the same as above" : ""}`).join("; ");
    const more = part.shared ? ` ${whole(part.shared)} more were counted above: they are shared.` : "";
    const many = part.times ? `${part.times} alike, ${whole(part.count / part.times)} parameters each. ` : times > 1 ? `In each of ${times}. ` : "";
    say(`${part.path} (${part.kind}): ${whole(part.count)} parameters. ${many}${shape(part) ? `Gives ${shape(part)}. ` : ""}${part.stream ? "What it gives is added to the residual stream. " : ""}${part.unused ? "Took no part when the model ran. " : ""}${own ? `Holds ${own}.` : ""}${more}`);
  }
  function select(item, focus) {
    if (now) (now.setAttribute("tabindex", "-1"), now.setAttribute("aria-selected", "false"));
    now = item;
    now.setAttribute("tabindex", "0");
    now.setAttribute("aria-selected", "true");
    if (focus) now.focus();
    tell(...parts.get(item));
  }
  function open(item, on) {
    if (!item.hasAttribute("aria-expanded")) return;
    item.setAttribute("aria-expanded", String(on));
    item.lastChild.hidden = !on;
    item.firstChild.firstChild.textContent = on ? "▾" : "▸";
  }
  function keydown(event) {
    const item = event.currentTarget, items = visible(), place = items.indexOf(item), closed = item.getAttribute("aria-expanded");
    const up = item.parentElement.closest("li[role=treeitem]");
    const moves = {
      ArrowDown: () => items[place + 1], ArrowUp: () => items[place - 1], Home: () => items[0], End: () => items[items.length - 1],
      ArrowRight: () => (closed === "false" ? open(item, true) : closed === "true" ? items[place + 1] : null),
      ArrowLeft: () => (closed === "true" ? open(item, false) : up),
      Enter: () => open(item, closed === "false"), " ": () => open(item, closed === "false"),
    };
    if (event.target !== item || event.ctrlKey || event.altKey || event.metaKey || !moves[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    const to = moves[event.key]();
    if (to) select(to, true);
  }
  function box(part, times) {
    const count = times > 1 && !part.times ? `${times} × ${whole(part.count)}` : whole(part.count);
    const share = (part.count * (part.times ? 1 : times)) / data.count;
    const face = make("div", { class: `gb-box${part.times ? " gb-many" : ""}${part.unused ? " gb-unused" : ""}` },
      make("span", { "aria-hidden": "true" }, part.parts ? "▸" : ""),
      make("strong", null, part.times ? `${part.times} × ${part.kind}` : part.name), make("span", null, part.shared && !part.count ? "shared" : count), gauge(share),
      make("span", { class: "gb-note" }, [part.times ? part.path : part.kind, shape(part), part.stream ? "+ adds to the stream" : "", part.unused ? "not used" : ""].filter(Boolean).join(" · ")));
    const item = make("li", { role: "treeitem", tabindex: "-1", "aria-selected": "false", "aria-expanded": part.parts ? "false" : null, keydown,
      focus: (event) => event.target === item && item !== now && select(item, false) }, face);
    face.addEventListener("click", () => (open(item, item.getAttribute("aria-expanded") === "false"), select(item, true)));
    parts.set(item, [part, part.times ? 1 : times]);
    if (part.parts) item.append(make("ul", { class: "gb-parts", role: "group", hidden: true }, ...part.parts.map((inner) => box(inner, part.times ? times * part.times : times))));
    return item;
  }
  // What goes from one box to the next can be told by the shapes alone: what is given and what is taken.
  function passed(part, next) {
    if (!next) return `↓ prediction (${data.shape})`;
    if (next.takes === "numbers") return "+ beside it";
    return next.takes && next.takes !== part.shape ? `→ ${shape(part)}, used inside what follows` : `↓ ${shape(part)}`;
  }
  const flow = (text) => make("li", { class: "gb-flow", role: "none" }, text);
  const tree = make("ul", { class: "gb-map", role: "tree", "aria-label": "the model's parts, in the order in which they work" });
  const boxes = data.boxes.map((part) => box(part, 1));
  tree.append(flow("token ids (batch, seq)"), ...boxes.flatMap((item, place) => [item, flow(passed(data.boxes[place], data.boxes[place + 1]))]));
  body.append(make("div", { class: "gb-note" }, "Each bar: the share of all parameters. Open a box by click, Enter or the right arrow."), tree);
  select(boxes[0], false);
}
