"use strict";
// Draws the neighbourhood of one node, whose number is in the address behind "#", so that links, the keys for back and
// forward, and bookmarks work. What names say only ever becomes text: nothing here makes markup of them.

const data = JSON.parse(document.getElementById("data").textContent);
const SHOWN = 50;  // members of a group that are listed at once
const DRAWN = 40, SIDE = 20, LEVELS = 3;  // nodes drawn to the right in so many levels, and to the left
const ROW = 34, HIGH = 27, CARD = 184, GAP = 72;  // pixels: from card to card, a card's height and width, between columns
const SVG = "http://www.w3.org/2000/svg";
const WORDS = [["made of", "part of"], ["instance of", "instances"], ["similar to", "similar from"]];

// out[i], into[i]: numbers of the edges that lead from and to node i.
const out = data.labels.map(() => []), into = data.labels.map(() => []);
data.sources.forEach((source, e) => { out[source].push(e); into[data.targets[e]].push(e); });

function make(parent, name, about = {}, text = null, space = null) {
  const made = space ? document.createElementNS(space, name) : document.createElement(name);
  for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function label(i, run) {  // an object's run is named where it is not at hand
  const owner = data.owners[i];
  return data.labels[i] + (owner >= 0 && owner !== run ? " of " + data.labels[owner] : "");
}

function cut(text, most) {
  const letters = Array.from(text);
  return letters.length > most ? letters.slice(0, most - 1).join("") + "…" : text;
}

function kind(i) { return data.nodes[data.kinds[i]]; }

function ownerOf(i) { return data.owners[i] >= 0 ? data.owners[i] : i; }

function said(e) {
  const value = data.values[e].toFixed(2);
  return [`weight ${value}`, `probability ${value}`, `contrast ${value}`][data.edgeKinds[e]];
}

function groups(i) {  // of edges with the node at their other end, by what they say
  const found = [];
  WORDS.forEach((words, k) => {
    [[out, data.targets], [into, data.sources]].forEach(([edges, ends], way) => {
      let members = edges[i].filter(e => data.edgeKinds[e] === k).map(e => [e, ends[e]]);
      if (k === 2 && way === 1) {  // those that are alike both ways are told once
        const told = new Set(out[i].map(e => data.targets[e]));
        members = members.filter(([, j]) => !told.has(j));
      }
      members.sort(([a], [b]) => k === 0 ? data.positions[a] - data.positions[b] : data.values[b] - data.values[a]);
      if (members.length) found.push([words[way], k, way, members]);
    });
  });
  return found;
}

// ------------------------------------------------------------ the list

function list(parent, i, depth) {
  for (const [words, k, way, members] of groups(i)) {
    const group = make(parent, "details", depth && words !== "made of" ? {} : {open: ""});
    make(group, "summary", {}, `${words} (${members.length})`);
    const items = make(group, "ul");
    more(items, members, 0, i, depth);
  }
}

function more(items, members, from, run, depth) {
  for (const [e, j] of members.slice(from, from + SHOWN)) item(items, e, j, run, depth);
  const left = members.length - from - SHOWN;
  if (left > 0) {
    const button = make(make(items, "li"), "button", {type: "button"}, `${Math.min(left, SHOWN)} more of ${left}`);
    button.addEventListener("click", () => {
      const place = button.parentNode;
      more(items, members, from + SHOWN, run, depth);
      const next = place.nextElementSibling && place.nextElementSibling.querySelector("summary, a");
      place.remove();
      if (next) next.focus();
    });
  }
}

function item(items, e, j, from, depth) {
  const row = make(items, "li"), box = make(row, "details"), head = make(box, "summary");
  const share = Math.min(1, Math.max(0, data.values[e]));
  make(head, "meter", {value: share.toFixed(3), title: said(e), "aria-hidden": "true"});
  make(head, "span", {class: kind(j)}, kind(j) + " ");
  make(head, "a", {href: "#" + j, title: data.names[j]}, label(j, ownerOf(from)));
  make(head, "small", {}, " " + said(e));
  box.addEventListener("toggle", () => {
    if (box.open && box.children.length === 1) list(box, j, depth + 1);
  });
}

// ------------------------------------------------------------ the drawing

function tree(i) {  // what a node leads to, level by level, as long as there is room
  const root = {i, e: -1, depth: 0, below: [], left: 0};
  let level = [root], count = 0;
  while (level.length && level[0].depth < LEVELS) {
    const next = [];
    for (const at of level) {
      for (const [, k, way, members] of groups(at.i)) {
        if (way || k === 2 || (k === 1 && at.depth)) continue;
        for (const [e, j] of members) {
          if (count >= DRAWN) { at.left += 1; continue; }
          const made = {i: j, e, depth: at.depth + 1, below: [], left: 0};
          at.below.push(made);
          next.push(made);
          count += 1;
        }
      }
    }
    level = next;
  }
  return root;
}

function leaves(at) { return at.below.length ? at.below.reduce((sum, child) => sum + leaves(child), 0) : 1; }

function place(at, row, high) {  // leaves one below the other, and their user in their middle, or by the first if it is high
  if (!at.below.length) { at.y = ROW * row; return row + 1; }
  for (const child of at.below) row = place(child, row, high);
  at.y = high ? at.below[0].y : (at.below[0].y + at.below[at.below.length - 1].y) / 2;
  return row;
}

function mark(parent, i, x, y) {  // what a node is, told by a shape as well as by a colour
  const shapes = {
    object: `M${x - 5} ${y - 5}h10v10h-10z`,
    module: `M${x} ${y - 7}l7 7l-7 7l-7 -7z`,
    concept: `M${x} ${y - 7}l6.6 5l-2.5 8h-8.2l-2.5 -8z`,
  };
  const shape = shapes[kind(i)];
  if (shape) make(parent, "path", {class: "mark", d: shape}, null, SVG);
  else make(parent, "circle", {class: "mark", cx: x, cy: y, r: 6}, null, SVG);
}

function card(svg, i, e, x, y, text, here) {  // y: its middle
  const value = here ? "" : data.values[e].toFixed(2);
  const about = here ? {class: `here ${kind(i)}`}
    : {href: "#" + i, class: kind(i), "aria-label": `${kind(i)} ${text}, ${said(e)}`};
  const node = make(svg, here ? "g" : "a", about, null, SVG);
  make(node, "title", {}, data.names[i] + (here ? "" : ", " + said(e)), SVG);
  make(node, "rect", {x, y: y - HIGH / 2, width: CARD, height: HIGH, rx: 6}, null, SVG);
  mark(node, i, x + 15, y);
  make(node, "text", {x: x + 28, y: y + 4}, cut(text, here ? 21 : 17), SVG);
  if (!here) make(node, "text", {class: "value", x: x + CARD - 7, y: y + 4}, value, SVG);
}

function edge(svg, e, x0, y0, x1, y1) {
  const half = (x0 + x1) / 2, k = data.edgeKinds[e];
  const width = (1 + 9 * Math.min(1, Math.max(0, data.values[e]))).toFixed(1);
  const d = `M${x0} ${y0}C${half} ${y0} ${half} ${y1} ${x1} ${y1}`;
  const path = make(svg, "path", {class: "edge " + data.edges[k], d, "stroke-width": width}, null, SVG);
  make(path, "title", {}, said(e), SVG);
}

function draw(parent, i) {
  const root = tree(i);
  const side = groups(i).filter(([, k, way]) => way || k === 2).flatMap(([, , , members]) => members);
  const shown = side.slice(0, SIDE), rows = leaves(root), high = rows > 16;
  place(root, 0, high);
  const height = HIGH + 4 + ROW * Math.max(rows - 1, shown.length - 1, 0), top = HIGH / 2 + 2;
  const shift = top + (high ? 0 : (height - HIGH - 4 - ROW * (rows - 1)) / 2);
  const first = top + (high ? 0 : (height - HIGH - 4 - ROW * (shown.length - 1)) / 2);
  let depth = 0;
  (function deep(one) { depth = Math.max(depth, one.depth); one.below.forEach(deep); })(root);
  const x = level => 2 + (CARD + GAP) * (level + (shown.length ? 1 : 0));
  const width = x(depth) + CARD + 2;
  const frame = make(parent, "div", {id: "frame", role: "region", "aria-label": "Drawing"});
  const words = `Drawing of ${label(i, -1)} and what it is connected with. The list below says the same.`;
  const svg = make(frame, "svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": words}, null, SVG);
  const at = root.y + shift, cards = [];
  shown.forEach(([e, j], n) => {
    const y = first + ROW * n;
    edge(svg, e, x(-1) + CARD, y, x(0), at);
    cards.push(() => card(svg, j, e, x(-1), y, label(j, ownerOf(i)), false));
  });
  cards.push(() => card(svg, i, -1, x(0), at, label(i, -1), true));
  (function down(one) {
    for (const child of one.below) {
      edge(svg, child.e, x(one.depth) + CARD, one.y + shift, x(child.depth), child.y + shift);
      cards.push(() => card(svg, child.i, child.e, x(child.depth), child.y + shift, label(child.i, ownerOf(i)), false));
      down(child);
    }
  })(root);
  for (const later of cards) later();  // above all edges
  svg.addEventListener("keydown", walk);
  frame.scrollTo(x(0) - 24, at - frame.clientHeight / 2);
  key(parent);
  const left = [];
  if (side.length > SIDE) left.push(`${side.length - SIDE} more to the left`);
  let hidden = 0;
  (function count(one) { hidden += one.left; one.below.forEach(count); })(root);
  if (hidden) left.push(`${hidden} more to the right`);
  if (left.length) make(parent, "p", {}, `Not drawn, but listed: ${left.join(", ")}.`);
}

function walk(event) {  // arrow keys lead to the nearest link that lies their way
  const ways = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  const from = event.target.closest("a"), way = ways[event.key];
  if (!from || !way) return;
  const middle = node => { const box = node.getBoundingClientRect(); return [box.left + box.width / 2, box.top + box.height / 2]; };
  const [x, y] = middle(from);
  let best = null, least = Infinity;
  for (const link of event.currentTarget.querySelectorAll("a")) {
    const [a, b] = middle(link), along = (a - x) * way[0] + (b - y) * way[1], aside = Math.abs((a - x) * way[1] + (b - y) * way[0]);
    if (along < 4 || (way[1] && aside > CARD / 2)) continue;
    if (along + 2 * aside < least) { least = along + 2 * aside; best = link; }
  }
  if (best) { best.focus(); best.scrollIntoView({block: "nearest", inline: "nearest"}); }
  event.preventDefault();
}

function key(parent) {
  const list = make(parent, "ul", {class: "key", "aria-label": "Legend"});
  const sample = () => make(make(list, "li"), "svg", {width: 26, height: 14, "aria-hidden": "true"}, null, SVG);
  data.nodes.forEach((name, k) => {
    const i = data.kinds.indexOf(k);
    if (i < 0) return;
    const svg = sample();
    mark(make(svg, "g", {class: name}, null, SVG), i, 13, 7);
    svg.after(name);
  });
  ["width: weight of an input", "dashes: instance of", "blue: alike, by its contrast"].forEach((words, k) => {
    if (!data.edgeKinds.includes(k)) return;
    const svg = sample();
    make(svg, "path", {class: "edge " + data.edges[k], d: "M0 7H26", "stroke-width": 4}, null, SVG);
    svg.after(words);
  });
}

// ------------------------------------------------------------ the page

const main = document.getElementById("main");

function show() {
  const asked = Number(location.hash.slice(1));
  const i = location.hash.length > 1 && Number.isInteger(asked) && asked >= 0 && asked < data.labels.length ? asked : data.first;
  main.replaceChildren();
  if (!data.labels.length) { make(main, "p", {}, "There is nothing in it."); return; }
  const head = make(main, "h2", {tabindex: "-1"});
  make(head, "span", {class: kind(i)}, kind(i) + " ");
  make(head, "span", {}, label(i, -1));
  document.title = `${label(i, -1)} – knowledge graph`;
  draw(main, i);
  make(main, "h2", {}, "All that it is connected with");
  const all = make(main, "div");
  list(all, i, 0);
  if (!all.children.length) make(all, "p", {}, "Nothing.");
  return head;
}

document.getElementById("about").textContent = data.about;
const find = document.getElementById("find"), found = document.getElementById("found");
const count = document.getElementById("count");
const texts = data.names.map((name, i) => (name + " " + label(i, -1)).toLowerCase());

function search() {
  found.replaceChildren();
  const words = find.value.toLowerCase().split(" ").filter(word => word);
  count.textContent = "";
  if (!words.length) return;
  const hits = [];
  texts.forEach((text, i) => { if (words.every(word => text.includes(word))) hits.push(i); });
  count.textContent = hits.length > SHOWN ? `${hits.length} found, the first ${SHOWN} are listed` : `${hits.length} found`;
  for (const i of hits.slice(0, SHOWN)) {
    const row = make(found, "li");
    make(row, "span", {class: kind(i)}, kind(i) + " ");
    make(row, "a", {href: "#" + i, title: data.names[i]}, label(i, -1));
  }
}

function close() { find.value = ""; search(); }

find.addEventListener("input", search);
find.form.addEventListener("submit", event => {
  event.preventDefault();
  const hit = found.querySelector("a");
  if (hit) hit.click();
});
find.form.addEventListener("keydown", event => {
  const links = [find, ...found.querySelectorAll("a")], at = links.indexOf(document.activeElement);
  if (event.key === "Escape") { close(); find.focus(); }
  else if (event.key === "ArrowDown" && at + 1 < links.length) links[at + 1].focus();
  else if (event.key === "ArrowUp" && at > 0) links[at - 1].focus();
  else return;
  event.preventDefault();
});
found.addEventListener("click", event => { if (event.target.closest("a")) setTimeout(close); });
document.addEventListener("keydown", event => {
  if (event.key === "/" && document.activeElement !== find && !event.ctrlKey && !event.metaKey && !event.altKey) {
    find.focus();
    event.preventDefault();
  }
});
addEventListener("hashchange", () => { const head = show(); if (head) head.focus(); });
show();
