// The table of members. Only the rows in sight, and some beside them, are in the document: 500 or 5,000 members cost the same.

import * as clock from "./clock.js";
import { arrange, el, put, reshape, say, shape, show } from "./dom.js";
import { calm, count, dayTime, millis, percent, phiText, printable, tagText } from "./text.js";
import { drawSpark, spark } from "./chart.js";
import { memberHash } from "./summary.js";
import { model, rank, standing } from "./model.js";

const allUpTo = 60;    // so many rows are always there
const beside = 12;     // rows above and below those in sight
const restFor = 2_000; // rows do not change places under a pointer more often

const time = text => text ? Date.parse(text) : undefined;
const loss = m => m.observed ? model.details.get(m.name)?.value?.path?.loss : undefined;

// columns: what they are called, and what they are sorted by; down says that the largest comes first at first.
export const columns = {
  state: { title: "State", key: rank },
  name: { title: "Member", key: m => m.name },
  phi: { title: "φ, last minute", key: m => m.observed ? m.phi : undefined, down: true },
  since: { title: "Since", key: m => time(m.since), down: true },
  heard: { title: "Heard", key: m => m.observed ? time(m.last_heard) : undefined },
  rtt: { title: "RTT", key: m => m.rtt_ms, down: true },
  loss: { title: "Loss", key: loss, down: true },
  health: { title: "Health", key: m => ({ wedged: 0, passing: 1 })[m.health] },
  tags: { title: "Tags", key: m => Object.entries(m.tags ?? {}).map(tagText).sort().join(" ") || undefined },
};

// order sorts by a column, written with a "-" where it goes down. What has no value comes last, and equals are sorted by name.
function order(members, sort) {
  const down = sort.startsWith("-"), { key } = columns[down ? sort.slice(1) : sort];
  const keyed = members.map(m => [key(m), m]);
  return keyed.sort(([x, a], [y, b]) => {
    if (x === undefined || y === undefined) {
      if (x !== y) return x === undefined ? 1 : -1;
    } else if (x !== y) return (x < y ? -1 : 1) * (down ? -1 : 1);
    return a.name < b.name ? -1 : 1;
  }).map(([, m]) => m.name);
}

// filter tells whether a member is one of those looked for: KEY=VALUE is a tag, any other word a part of the name or address.
// A word with spaces stands in quotes.
function filter(query, states) {
  const words = [...query.toLowerCase().matchAll(/"([^"]*)"?|[^\s"]+/g)].map(([word, inner]) => inner ?? word).filter(Boolean);
  return m => {
    if (states.size && !states.has(standing(m))) return false;
    return words.every(word => m.name.toLowerCase().includes(word) || (m.addr ?? "").includes(word) ||
      Object.entries(m.tags ?? {}).some(([k, v]) => word.includes("=") && `${k}=${v}`.toLowerCase().startsWith(word)));
  };
}

export class Table {
  #rows = new Map();
  #order = [];
  #orderFor = "";
  #orderedAt = 0;
  #moved = -Infinity; // when the pointer last moved over the rows

  constructor(holder, { sortBy, filterBy, clear }) {
    this.sortBy = sortBy;
    this.filterBy = filterBy;
    this.head = {};
    const heads = Object.entries(columns).map(([name, { title }]) => {
      const button = el("button", { type: "button" }, title, el("span", { class: "arrow", "aria-hidden": "true" }));
      button.addEventListener("click", () => sortBy(name));
      return this.head[name] = el("th", { role: "columnheader", scope: "col", class: `c-${name}` }, button);
    });
    this.above = el("tr", { class: "space", "aria-hidden": "true", role: "presentation" }, el("td", { colspan: heads.length }));
    this.below = this.above.cloneNode(true);
    this.body = el("tbody", { role: "rowgroup" }, this.above, this.below);
    this.table = el("table", { role: "table", "aria-labelledby": "members-title" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row", "aria-rowindex": 1 }, heads)), this.body);
    this.none = el("div", { class: "empty", hidden: true });
    const button = el("button", { type: "button", class: "button" }, "Show all members");
    button.addEventListener("click", clear);
    this.none.append(el("p", null, "No member is like that."), button);
    this.title = document.getElementById("members-title");
    holder.append(this.table, this.none);
    this.body.addEventListener("pointermove", () => { this.#moved = Date.now(); });
    this.body.addEventListener("click", e => this.#click(e));
  }

  #click(e) {
    const tag = e.target.closest("[data-tag]");
    if (tag) this.filterBy(tag.dataset.tag);
    else if (!e.target.closest("a, button") && getSelection().isCollapsed) e.target.closest("tr")?.querySelector("a")?.click();
  }

  // draw shows what view asks for: {query, states, sort}.
  draw(view) {
    const members = [...model.members.values()].filter(filter(view.query, view.states));
    this.#arrange(members, view);
    for (const [name, head] of Object.entries(this.head)) {
      put(head, "aria-sort", view.sort === name ? "ascending" : view.sort === "-" + name ? "descending" : null);
    }
    const n = this.#order.length, all = model.members.size;
    say(this.title, all === n ? (all ? `${count(all)} ${all === 1 ? "member" : "members"}` : "Members") : `${count(n)} of ${count(all)} members`);
    show(this.table, n > 0);
    show(this.none, n === 0 && all > 0);
    put(this.table, "aria-rowcount", n + 1);
    put(this.table, "aria-colcount", Object.keys(columns).length);
    this.#drawRows();
  }

  // measure notes where the rows are. It is cheap as long as nothing was changed since the last picture.
  measure() { this.top = this.body.getBoundingClientRect().top; }

  // scrolled draws the rows that are in sight now.
  scrolled() {
    this.measure();
    this.#drawRows();
  }

  #arrange(members, view) {
    const want = JSON.stringify([view.query, [...view.states], view.sort]), now = Date.now();
    const same = want === this.#orderFor;
    if (same && now - this.#moved < restFor && now - this.#orderedAt < restFor) {
      const there = new Set(members.map(m => m.name)), had = new Set(this.#order);
      this.#order = this.#order.filter(name => there.has(name)).concat(members.map(m => m.name).filter(name => !had.has(name)));
      return;
    }
    this.#order = order(members, view.sort);
    this.#orderFor = want;
    this.#orderedAt = now;
  }

  #drawRows() {
    const n = this.#order.length;
    if (n === 0) return;
    let from = 0, to = n;
    const height = this.#rowHeight();
    if (n > allUpTo) {
      const { top } = this;
      from = Math.max(0, Math.min(n - 1, Math.floor(-top / height) - beside));
      to = Math.min(n, Math.ceil((innerHeight - top) / height) + beside);
      to = Math.max(to, Math.min(n, from + 1));
    }
    this.shown = this.#order.slice(from, to);
    this.above.firstChild.style.height = `${from * height}px`;
    this.below.firstChild.style.height = `${(n - to) * height}px`;
    show(this.above, from > 0);
    show(this.below, to < n);
    const now = clock.now();
    let index = from + 2; // the head is the first
    arrange(this.body, this.#rows, this.shown, makeRow, (row, name) => {
      put(row, "aria-rowindex", index++);
      const m = model.members.get(name);
      if (m) drawRow(row, m, now);
    }, this.above);
  }

  #rowHeight() {
    this.wide ??= matchMedia("(min-width: 720px)");
    return this.wide.matches ? 44 : 92; // --row in style.css
  }

  // move puts the focus on the next row, or another one.
  move(by) {
    const focused = document.activeElement.closest?.("tbody tr")?.dataset.name;
    const at = this.#order.indexOf(focused);
    const to = at < 0 ? 0 : Math.max(0, Math.min(this.#order.length - 1, at + by));
    const name = this.#order[to];
    if (name === undefined) return;
    const row = this.#rows.get(name);
    if (row) row.querySelector("a").focus();
    else this.table.scrollIntoView();
  }
}

function makeRow(name) {
  const cells = Object.fromEntries(Object.keys(columns).map(column =>
    [column, el("td", { role: "cell", class: `c-${column}`, "data-title": columns[column].title })]));
  const row = el("tr", { role: "row", "data-name": name }, Object.values(cells));
  const part = row.parts = {
    shape: shape("up"), state: el("span"), link: el("a", { href: memberHash(name), title: printable(name) }, el("bdi", null, printable(name))),
    addr: el("div", { class: "addr" }), spark: spark(), phi: el("span", { class: "number" }),
    since: el("time"), heard: el("time"), rtt: cells.rtt, loss: cells.loss, health: el("span"), tags: cells.tags,
  };
  cells.state.append(part.shape, part.state);
  cells.name.append(part.link, part.addr);
  cells.phi.append(part.spark, part.phi);
  cells.since.append(part.since);
  cells.heard.append(part.heard);
  cells.health.append(part.health);
  return row;
}

const dash = "–";

function drawRow(row, m, now) {
  const part = row.parts, state = standing(m);
  put(row, "class", `is-${state}`);
  if (part.drawn !== state) reshape(part.shape, part.drawn = state);
  say(part.state, state);
  say(part.addr, printable(m.addr ?? ""));
  part.spark.classList.toggle("blank", !m.observed);
  drawSpark(part.spark, m.observed ? m.trail : [], model.threshold, now);
  say(part.phi, m.observed ? phiText(m.phi ?? 0) : m.self ? "this node" : dash);
  part.phi.classList.toggle("self", Boolean(m.self));
  drawAge(part.since, m.since, now, "");
  drawAge(part.heard, m.observed ? m.last_heard : "", model.at ?? now, " ago"); // as it was answered: between answers it is not older
  part.heard.parentNode.classList.toggle("blank", !m.observed);
  say(part.rtt, m.rtt_ms ? millis(m.rtt_ms) : dash);
  const share = loss(m);
  say(part.loss, share === undefined ? dash : percent(share));
  say(part.health, m.health ? printable(m.health) : dash);
  put(part.health, "class", m.health === "wedged" ? "is-wedged strong" : null);
  drawTags(part, m.tags ?? {});
}

function drawAge(node, text, now, suffix) {
  const at = time(text);
  say(node, at ? calm((now - at) / 1000) + suffix : dash);
  if (node.at === at) return;
  node.at = at;
  put(node, "datetime", text);
  put(node, "title", at ? dayTime(at) : null);
}

function drawTags(part, tags) {
  const all = Object.entries(tags).sort(([a], [b]) => a < b ? -1 : 1);
  const text = JSON.stringify(all);
  if (part.tagged === text) return;
  part.tagged = text;
  put(part.tags, "title", all.map(tagText).join("\n") || null);
  if (!all.length) {
    part.tags.replaceChildren(dash);
    return;
  }
  part.tags.replaceChildren(el("div", { class: "tags" }, all.map(tag => el("button", {
    type: "button", class: "tag", tabindex: -1, "data-tag": `${tag[0]}=${tag[1]}`,
  }, el("bdi", null, tagText(tag))))));
}
