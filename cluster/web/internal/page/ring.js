// The ring: all members in a circle, and between them lines for who listens to whom, the stronger the higher the φ.

import { el, put, replace, say, shape, show, svg } from "./dom.js";
import { count, phiText, plural, printable } from "./text.js";
import { memberHash, problems } from "./summary.js";
import { model, standing, tally } from "./model.js";

const namedUpTo = 36;      // so many members all have their names beside them
const enlargedUpTo = 24;   // so many that are not well stand out of a ring of many
const apart = 18;          // pixels between two of them
const outward = 11;        // and from the ring to them
const laneWidth = 6;
const labelHeight = 15;
const labelRoom = 92;      // pixels for a name
const near = 18;           // pixels around the pointer

const unwell = state => state === "down" || state === "suspect" || state === "wedged" || state === "unknown";

// strength is the class of a line by the part of the threshold that φ has reached.
function strength(phi) {
  const part = phi / (model.threshold ?? 8);
  return part >= 1 ? "phi-3" : part >= 0.5 ? "phi-2" : part >= 0.2 ? "phi-1" : "phi-0";
}

// lines are who listens to whom as far as it is known, by both names; the strongest φ counts.
function lines(names) {
  const all = new Map();
  const add = (from, to, phi, kind) => {
    if (from === to || !names.has(from) || !names.has(to)) return;
    const key = JSON.stringify(from < to ? [from, to] : [to, from]);
    const old = all.get(key);
    if (!old || phi > old.phi || (kind === "own" && old.kind !== "own")) {
      all.set(key, { from, to, phi: Math.max(phi, old?.phi ?? 0), kind: old?.kind === "own" ? "own" : kind });
    }
  };
  for (const [name, { value }] of model.details) {
    for (const by of value?.observers ?? []) add(by, name, 0, "other");
    if (model.members.get(name)?.state === "up") continue;
    for (const doubt of value?.inquiry?.doubts ?? []) add(doubt.by, name, doubt.phi ?? 0, "other");
    for (const by of value?.verdict?.by ?? []) add(by, name, value.verdict.threshold, "other");
  }
  const self = model.self?.name;
  for (const m of model.members.values()) if (m.observed) add(self, m.name, m.phi ?? 0, "own");
  return all;
}

// spreadOut moves those apart that are closer than a gap: [name, angle] in their order around a
// circle on which they have room. Later ones go on, and back again what would meet the first from
// behind. To search for free places instead would have no end where there are none.
function spreadOut(angles, gap) {
  const all = angles.map(([, angle]) => angle);
  for (let i = 1; i < all.length; i++) all[i] = Math.max(all[i], all[i - 1] + gap);
  let end = all[0] + 2 * Math.PI;
  for (let i = all.length - 1; i > 0; i--) end = all[i] = Math.min(all[i], end - gap);
  return new Map(angles.map(([name], i) => [name, all[i]]));
}

// Ring draws into a holder, and keeps a picture that is only changed where it differs.
export class Ring {
  #nodes = new Map();   // name → {node, shape, x, y, angle, size, state}
  #edges = new Map();
  #laidOut = "";
  #hover = null;

  constructor(holder, hint) {
    this.hint = hint;
    this.edges = svg("g", { class: "edges" });
    this.lit = svg("g", { class: "lit" });
    this.dots = svg("g");
    this.labels = svg("g", { class: "labels" });
    this.picture = svg("svg", { role: "img" }, this.edges, this.lit, this.dots, this.labels);
    this.tip = el("div", { class: "tip", hidden: true, "aria-hidden": "true" });
    this.holder = holder;
    holder.classList.add("ring-holder");
    holder.append(this.picture, this.tip);
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      if (model.members.size) this.draw();
    }).observe(holder);
    holder.addEventListener("pointermove", e => this.#point(e));
    holder.addEventListener("pointerleave", () => this.#light(null));
    holder.addEventListener("click", e => {
      this.#point(e);
      if (this.#hover !== null && e.pointerType !== "touch") location.hash = memberHash(this.#hover);
    });
  }

  // hovered is the member under the pointer, or null.
  get hovered() { return this.#hover; }

  draw() {
    if (!this.width || this.width < 100) return;
    const names = [...model.members.keys()].sort((a, b) => a < b ? -1 : 1);
    const bad = new Set(problems().map(m => m.name));
    this.#layOut(names, bad);
    const known = new Set(names);
    for (const [name, entry] of this.#nodes) {
      if (!known.has(name)) {
        entry.node.remove();
        this.#nodes.delete(name);
        continue;
      }
      const state = standing(model.members.get(name));
      if (entry.state === state) continue;
      entry.state = state;
      put(entry.node, "class", `dot is-${state}`);
      entry.shape.replaceChildren(...parts(state));
    }
    this.#drawEdges(known);
    this.#drawLabels(names);
    const n = tally();
    put(this.picture, "aria-label", `The ring of ${plural(names.length, "member")}: ` +
      `${Object.entries(n).filter(([, k]) => k).map(([state, k]) => `${count(k)} ${state}`).join(", ")}. The table says the same in words.`);
    say(this.hint, names.length < 2 ? "" : names.length <= namedUpTo ?
      "A line: one listens to the other. The stronger, the higher φ." :
      `Lines show ${count(this.#edges.size)} pairs: those around this node and around what is not well. Point at a member for its own.`);
    if (this.#hover !== null) this.#light(this.#hover);
  }

  // layOut gives each member its place: this node on top, the others by name; in lanes where a circle is too short.
  #layOut(names, bad) {
    const self = model.self?.name ?? names[0];
    const enlarged = names.length > namedUpTo && bad.size <= enlargedUpTo ? [...bad].sort() : [];
    const want = JSON.stringify([this.width, self, enlarged, names]);
    if (want === this.#laidOut) return;
    this.#laidOut = want;
    const n = names.length, width = this.width, small = n > namedUpTo;
    const first = Math.max(0, names.indexOf(self));
    const angleOf = i => 2 * Math.PI * ((i - first + n) % n) / n - Math.PI / 2;
    // What names leave of a narrow page is too little for a circle, or less than nothing.
    const radiusBeside = large => Math.max(width / 5, Math.min(width * 0.36, 160, ...names.map((name, i) => {
      const label = small && !large.has(name) ? 0 : Math.min(labelRoom, widthOf(printable(name)));
      return (width / 2 - (small ? 32 : 26) - label) / Math.max(0.2, Math.abs(Math.cos(angleOf(i))));
    })));
    const gapAt = radius => 2 * Math.asin(apart / 2 / (radius + outward));
    let large = new Set(enlarged), radius = radiusBeside(large);
    if ((large.size + 1) * gapAt(radius) > 2 * Math.PI) { // all or none: else some would look well
      large = new Set();
      radius = radiusBeside(large);
    }
    const outside = spreadOut(names.map((name, i) => [name, angleOf(i)])
      .filter(([name]) => small && (large.has(name) || name === self))
      .sort(([, a], [, b]) => a - b), gapAt(radius));
    const lanes = !small ? 1 :
      Math.min(Math.ceil(n * 6 / (2 * Math.PI * radius)), Math.max(1, Math.floor(radius * 0.8 / laneWidth)));
    const size = small ? Math.max(1.8, Math.min(4.5, 2 * Math.PI * radius * lanes / n * 0.3)) :
      Math.max(6, Math.min(10, 2 * Math.PI * radius / n * 0.3));
    names.forEach((name, i) => {
      const out = outside.has(name), angle = out ? outside.get(name) : angleOf(i);
      const r = out ? radius + outward : radius - (i % lanes) * laneWidth;
      const x = r * Math.cos(angle), y = r * Math.sin(angle);
      let entry = this.#nodes.get(name);
      if (!entry) {
        const shape = svg("g"), node = svg("g", { class: "dot" }, shape); // its parts come with its state
        this.#nodes.set(name, entry = { node, shape });
        this.dots.append(node);
      }
      Object.assign(entry, { angle, x, y, out });
      entry.size = out ? 6.5 : size;
      put(entry.node, "transform", `translate(${entry.x.toFixed(1)} ${entry.y.toFixed(1)}) scale(${(entry.size / 7).toFixed(3)})`);
      if (name === self && !entry.halo) entry.node.append(entry.halo = svg("circle", { class: "halo", r: 11.5 }));
      if (name !== self && entry.halo) {
        entry.halo.remove();
        delete entry.halo;
      }
      if (out) this.dots.append(entry.node); // above the others
    });
    const all = [...this.#nodes.values()];
    this.top = Math.min(...all.map(entry => entry.y)) - 34;
    this.bottom = Math.max(...all.map(entry => entry.y)) + 34;
    put(this.picture, "viewBox", `${-width / 2} ${this.top} ${width} ${this.bottom - this.top}`);
    put(this.picture, "width", width);
    put(this.picture, "height", this.bottom - this.top);
  }

  #drawEdges(names) {
    const want = lines(names);
    for (const [key, edge] of this.#edges) {
      if (want.has(key)) continue;
      edge.remove();
      this.#edges.delete(key);
    }
    const many = names.size > namedUpTo;
    for (const [key, { from, to, phi, kind }] of want) {
      let edge = this.#edges.get(key);
      if (!edge) {
        this.#edges.set(key, edge = svg("line"));
        this.edges.append(edge);
      }
      const gone = [from, to].some(name => model.members.get(name)?.state === "left");
      put(edge, "class", `edge ${kind} ${gone ? "phi-0" : strength(phi)}${many && kind === "other" ? " faint" : ""}`);
      this.#place(edge, from, to);
    }
  }

  #place(edge, from, to) {
    const a = this.#nodes.get(from), b = this.#nodes.get(to);
    put(edge, "x1", a.x.toFixed(1));
    put(edge, "y1", a.y.toFixed(1));
    put(edge, "x2", b.x.toFixed(1));
    put(edge, "y2", b.y.toFixed(1));
  }

  #drawLabels(names) {
    const many = names.length > namedUpTo;
    const named = many ? names.filter(name => this.#nodes.get(name).out) : names;
    const labels = named.map(name => {
      const entry = this.#nodes.get(name), m = model.members.get(name), state = standing(m);
      const r = Math.hypot(entry.x, entry.y) + entry.size + (entry.halo ? 14 : 8);
      return { name, state, entry, x: r * Math.cos(entry.angle), y: r * Math.sin(entry.angle), phi: state === "suspect" ? m.phi : 0 };
    });
    for (const l of labels) l.side = !many && Math.abs(l.x) < 14 ? 0 : l.x < 0 ? -1 : 1;
    this.#spread(labels);
    const parts = labels.flatMap(l => {
      const end = ["end", "middle", "start"][l.side + 1];
      const room = l.side === 0 ? this.width * 0.6 : this.width / 2 - Math.abs(l.x) - 2;
      const name = fit(printable(l.name), room), more = l.phi > 0 ? ` φ ${phiText(l.phi)}` : "";
      const text = svg("text", { class: `label is-${l.state}`, x: l.x.toFixed(1), y: (l.y + 4).toFixed(1), "text-anchor": end },
        widthOf(name + more) <= room ? name + more : name);
      const lead = many && Math.abs(l.y - l.entry.y) > labelHeight &&
        svg("line", { class: "lead", x1: l.entry.x.toFixed(1), y1: l.entry.y.toFixed(1), x2: (l.x - Math.sign(l.x) * 3).toFixed(1), y2: l.y.toFixed(1) });
      return lead ? [lead, text] : [text];
    });
    replaceIn(this.labels, parts);
  }

  // spread moves labels apart that would lie on each other, on either side from the top down; those that do not fit are left out.
  #spread(labels) {
    for (const side of [labels.filter(l => l.side > 0), labels.filter(l => l.side < 0)]) {
      side.sort((a, b) => a.y - b.y);
      let above = this.top - 4;
      for (const l of side) above = l.y = Math.max(l.y, above + labelHeight);
      let below = this.bottom - 6 + labelHeight;
      for (const l of side.reverse()) below = l.y = Math.min(l.y, below - labelHeight);
      for (const l of side) if (l.y < this.top + 8) labels.splice(labels.indexOf(l), 1);
    }
  }

  #point(e) {
    const box = this.picture.getBoundingClientRect();
    const x = e.clientX - box.left - box.width / 2, y = e.clientY - box.top + this.top;
    let best = null, least = near;
    for (const [name, entry] of this.#nodes) {
      const d = Math.hypot(entry.x - x, entry.y - y) - (entry.size > 5 ? 4 : 0);
      if (d < least) [best, least] = [name, d];
    }
    this.#light(best);
  }

  // light shows one member's name, state and observers.
  #light(name) {
    const entry = name === null ? null : this.#nodes.get(name), m = entry && model.members.get(name);
    this.#hover = m ? name : null;
    this.holder.classList.toggle("pointing", Boolean(m));
    show(this.tip, Boolean(m));
    if (!m) {
      this.lit.replaceChildren();
      return;
    }
    const observers = model.details.get(name)?.value?.observers;
    replaceIn(this.lit, (observers ?? []).filter(by => this.#nodes.has(by)).map(by => {
      const edge = svg("line", { class: "edge" });
      this.#place(edge, by, name);
      return edge;
    }));
    replace(this.tip, el("strong", null, el("bdi", null, printable(name))), el("br"), `${standing(m)}${m.observed ? ` · φ ${phiText(m.phi ?? 0)}` : ""}`,
      el("br"), observers ? `${plural(observers.length, "member")} listen to it` : "…");
    const left = entry.x + this.width / 2, top = entry.y - this.top;
    this.tip.style.left = `${Math.max(0, Math.min(this.width - 180, left - 90))}px`;
    this.tip.style.top = `${top > 90 ? top - 74 : top + 16}px`;
  }
}

// parts are those of a symbol. A use of it would do, and costs a browser several times as much with 500 of them.
function parts(state) {
  return [...document.getElementById(`shape-${state}`).children].map(part => part.cloneNode(true));
}

function replaceIn(group, parts) {
  const text = parts.map(part => part.outerHTML).join("");
  if (group.drawn === text) return;
  group.drawn = text;
  group.replaceChildren(...parts);
}

const measure = document.createElement("canvas").getContext("2d");

function widthOf(text) {
  measure.font = "600 12px system-ui, sans-serif";
  return measure.measureText(text).width;
}

// fit cuts a text that is longer than so many pixels.
function fit(text, room) {
  if (widthOf(text) <= room) return text;
  const letters = [...new Intl.Segmenter("en").segment(text)].map(s => s.segment);
  while (letters.length > 1 && widthOf(letters.join("") + "…") > room) letters.pop();
  return letters.join("") + "…";
}

// legend is the shapes of the states, for the help.
export const legend = () => [
  ["up", "up: it beats, or somebody vouches for it"], ["suspect", "suspect: overdue here, and nobody asked has heard from it"],
  ["down", "down: taken for dead"], ["left", "left: it said goodbye"], ["wedged", "wedged: it beats, and its service fails its check"],
].map(([state, text]) => el("div", { class: `is-${state}` }, el("dt", null, shape(state)), el("dd", null, text)));
