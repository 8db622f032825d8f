"use strict";
// Makes drawings walkable by keys: Tab reaches one object of each, arrows go on from it, Enter leads to its place in the
// list, Escape leaves. Without it all is there to read; nothing here makes markup of a name.

for (const root of document.querySelectorAll(".recsketch")) {
  const svg = root.querySelector(".frame svg");
  if (!svg) continue;
  const nodes = [...svg.querySelectorAll(".n")], edges = [...svg.querySelectorAll("[data-e]")];
  const frame = svg.parentNode, told = document.createElement("p");
  told.className = "told";
  if (root === document.querySelector(".recsketch")) told.textContent = "Tab and the arrow keys walk through the drawing; Enter finds an object in the list.";
  frame.after(told);
  frame.removeAttribute("tabindex");  // its objects can be reached, and scroll it
  svg.setAttribute("role", "group");
  const boxes = new Map();
  for (const box of svg.querySelectorAll(".box")) boxes.set(box.dataset.b, box);
  const boxOf = node => node.closest(".box").dataset.b;
  const links = edges.map(edge => [edge, ...edge.dataset.e.split(" ")]);
  const title = node => node.querySelector("title").textContent;

  function enter(node) {
    for (const other of nodes) other.setAttribute("tabindex", other === node ? "0" : "-1");
  }

  function show(node) {
    const here = boxOf(node), near = new Set([here]);
    for (const [edge, u, v] of links) {
      const on = u === here || v === here;
      edge.classList.toggle("near", on);
      if (on) near.add(u).add(v);
    }
    for (const [name, box] of boxes) box.classList.toggle("near", near.has(name));
    svg.classList.add("dim");
    const row = find(node);
    const numbers = row && row.querySelector("small");
    told.textContent = title(node) + (numbers ? " " + numbers.textContent.split("(")[0] : "");
  }

  function rest() { svg.classList.remove("dim"); }

  function find(node) { return root.querySelector(`li[data-n="${node.dataset.n}"]`); }

  function centre(node) {
    const box = node.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }

  function next(node, key) {  // along lines to the sides, else to what is nearest above or below
    const here = boxOf(node), [x, y] = centre(node), across = key === "ArrowLeft" || key === "ArrowRight";
    const way = key === "ArrowRight" || key === "ArrowDown" ? 1 : -1;
    let among = nodes.filter(other => other !== node);
    if (across) {
      const beside = among.filter(other => boxOf(other) === here
        && Math.abs(centre(other)[1] - y) < 4 && (centre(other)[0] - x) * way > 0);
      const linked = new Set(links.filter(([, u, v]) => (way > 0 ? u : v) === here).map(([, u, v]) => way > 0 ? v : u));
      among = beside.length ? beside : among.filter(other => linked.has(boxOf(other)));
    }
    let best = null, least = Infinity;
    for (const other of among) {
      const [a, b] = centre(other), along = across ? (a - x) * way : (b - y) * way, aside = across ? b - y : a - x;
      if (along < 2 || (!across && Math.abs(aside) > 120)) continue;
      const far = along + 2 * Math.abs(aside);
      if (far < least) { least = far; best = other; }
    }
    return best;
  }

  for (const node of nodes) {
    node.setAttribute("role", "button");
    node.setAttribute("aria-label", title(node));
    node.addEventListener("focus", () => { enter(node); show(node); });
    node.addEventListener("blur", rest);
    node.addEventListener("pointerenter", () => show(node));
    node.addEventListener("pointerleave", rest);
    node.addEventListener("click", () => node.focus());
  }
  if (nodes.length) enter(nodes[0]);
  svg.addEventListener("keydown", event => {
    const node = event.target.closest(".n");
    if (!node) return;
    if (event.key.startsWith("Arrow")) {
      const to = next(node, event.key);
      if (to) { to.focus(); to.scrollIntoView({block: "nearest", inline: "nearest"}); }
    } else if (event.key === "Escape") {
      node.blur();
    } else if (event.key === "Enter" || event.key === " ") {
      const row = find(node);
      if (!row) return;
      for (let at = row; at !== root; at = at.parentNode) if (at.tagName === "DETAILS") at.open = true;
      const target = row.querySelector("summary") || row;
      if (target === row) row.setAttribute("tabindex", "-1");
      target.focus();
    } else return;
    event.preventDefault();
  });
}
