// The page as a whole: what the address asks for, the keys, and when to draw.

import * as api from "./api.js";
import { el, replace, say, show } from "./dom.js";
import { Feed } from "./feed.js";
import { MemberPage } from "./member.js";
import { headline, problems, stateNames, Summary } from "./summary.js";
import { legend, Ring } from "./ring.js";
import { columns, Table } from "./table.js";
import { printable } from "./text.js";
import { model, onChange, retry, start, tally, want } from "./model.js";

const byId = id => document.getElementById(id);
const drawGap = 100; // milliseconds at least between two pictures
const drawnObservers = 40; // members whose observers are drawn in the ring, beside those in sight

// view is what the address says: the part behind "#" is #/?state=down,suspect&q=zone%3Da&sort=-phi or #/member/NAME.
const view = { member: null, query: "", states: new Set(), sort: "state" };

function readAddress() {
  const [path, search] = location.hash.slice(1).split("?");
  const member = /^\/member\/(.+)$/.exec(path);
  if (member) {
    try { view.member = decodeURIComponent(member[1]); } catch { view.member = member[1]; }
    return;
  }
  view.member = null;
  const asked = new URLSearchParams(search);
  view.query = asked.get("q") ?? "";
  view.states = new Set((asked.get("state") ?? "").split(",").filter(state => stateNames.includes(state)));
  const sort = asked.get("sort") ?? "";
  view.sort = Object.hasOwn(columns, sort.replace(/^-/, "")) ? sort : "state";
}

function tableAddress() {
  const asked = new URLSearchParams();
  if (view.states.size) asked.set("state", [...view.states].join(","));
  if (view.query) asked.set("q", view.query);
  if (view.sort !== "state") asked.set("sort", view.sort);
  return asked.size ? `#/?${asked}` : "#/";
}

// look changes what the table shows, and the address with it.
function look(change) {
  change(view);
  history.replaceState(null, "", tableAddress());
  draw();
}

const sortBy = name => look(v => {
  const first = columns[name].down ? "-" + name : name;
  v.sort = v.sort !== first ? first : first.startsWith("-") ? name : "-" + name;
});
const clear = () => look(v => {
  v.states.clear();
  byId("filter").value = v.query = "";
});
const quoted = word => /\s/.test(word) ? `"${word.split('"')[0]}"` : word;

const summary = new Summary(
  state => look(v => { if (!v.states.delete(state)) v.states.add(state); }),
  () => {
    look(v => { v.states = new Set(["down", "suspect", "wedged"]); });
    byId("members-title").scrollIntoView();
  });
const ring = new Ring(byId("ring"), byId("ring-hint"));
const feed = new Feed();
const table = new Table(byId("table"), { sortBy, clear, filterBy: tag => {
  byId("filter").value = quoted(tag);
  look(v => { v.query = byId("filter").value; });
} });
const memberPage = new MemberPage(byId("member"));

let tried = false; // a token
// draw brings the page up to date, now.
let drawnAt = 0, waiting = 0, frame = 0;
function draw() {
  clearTimeout(waiting);
  cancelAnimationFrame(frame);
  waiting = frame = 0;
  drawnAt = performance.now();
  if (view.member === null) table.measure();
  const token = model.link.state === "token", empty = model.members.size === 0;
  show(byId("gate"), token);
  show(byId("overview"), !token && view.member === null);
  show(byId("member"), !token && view.member !== null);
  document.body.classList.toggle("nothing", empty);
  show(byId("gate-why"), tried);
  if (token) say(byId("gate-why"), `${printable(model.link.why)}.`);
  summary.draw(view.states);
  if (view.member === null) {
    table.draw(view);
    ring.draw();
    feed.draw();
    wantDetails();
  } else memberPage.draw();
  title();
}

// soon draws with the next frame, and not more than ten times a second.
function soon() {
  title();
  if (waiting || frame) return;
  waiting = setTimeout(() => {
    waiting = 0;
    frame = requestAnimationFrame(draw);
  }, Math.max(0, drawnAt + drawGap - performance.now()));
}

function title() {
  const n = tally(), who = model.self ? printable(model.self.name) : "Pulsering";
  const wrong = model.link.state === "lost" ? "not connected" : model.isolated ? "isolated" : n.down ? `${n.down} down` :
    n.suspect ? `${n.suspect} suspect` : "";
  const about = view.member === null ? who : printable(view.member);
  const text = `${wrong ? `(${wrong}) ` : ""}${about} – Pulsering`;
  if (document.title !== text) document.title = text;
}

// wantDetails names the members whose observers and losses are shown: what is pointed at, what is not well, what this node hears.
function wantDetails() {
  const all = new Set();
  if (ring.hovered !== null) all.add(ring.hovered);
  if (model.self) all.add(model.self.name);
  for (const m of problems().slice(0, 12)) all.add(m.name);
  for (const m of model.members.values()) if (m.observed) all.add(m.name);
  if (model.members.size <= drawnObservers) for (const name of model.members.keys()) all.add(name);
  want([...all], null);
}

let lastTable = "#/";
let lastRow = null, lastScroll = 0;
function route(first) {
  if (view.member === null && !first) [lastTable, lastScroll] = [tableAddress(), scrollY];
  const before = view.member;
  readAddress();
  if (view.member !== null) {
    want([], view.member);
    memberPage.open(view.member, lastTable);
    lastRow = view.member;
  } else byId("filter").value = view.query;
  draw();
  if (first || before === view.member) return;
  if (view.member !== null) {
    scrollTo(0, 0);
    byId("member-name").focus({ preventScroll: true });
  } else {
    scrollTo(0, lastScroll);
    table.scrolled();
    const link = [...document.querySelectorAll("tbody tr")].find(row => row.dataset.name === lastRow)?.querySelector("a");
    (link ?? byId("headline")).focus({ preventScroll: true });
  }
}

// The keys.
const keys = {
  "/": ["Look for a member", () => byId("filter").focus()],
  j: ["Next member", () => table.move(1)],
  k: ["Member before", () => table.move(-1)],
  w: ["Only what is not well, and back", () => look(v => {
    v.states = v.states.size ? new Set() : new Set(["down", "suspect", "wedged"]);
  })],
  p: ["Hold the events, and go on", () => feed.hold()],
  "?": ["This help", openHelp],
};
const keysOff = "pulsering-keys-off";
const singleKeys = () => localStorage.getItem(keysOff) === null;

function onKey(e) {
  if (e.ctrlKey || e.metaKey || e.altKey || byId("help").open) return;
  const typing = e.target.matches("input:not([type=checkbox]), select, textarea");
  if (e.key === "Escape") {
    if (view.member !== null) location.hash = lastTable;
    else if (e.target === byId("filter") && !e.target.value) e.target.blur();
    else if (view.query || view.states.size) clear();
    return;
  }
  if (typing && e.target === byId("filter") && (e.key === "Enter" || e.key === "ArrowDown")) {
    e.preventDefault();
    table.move(0);
    return;
  }
  if (typing || !singleKeys()) return;
  const overview = view.member === null;
  if (overview && e.target.closest("tbody") && (e.key === "ArrowDown" || e.key === "ArrowUp")) {
    e.preventDefault();
    table.move(e.key === "ArrowDown" ? 1 : -1);
  } else if (keys[e.key] && (overview || e.key === "?")) {
    e.preventDefault();
    keys[e.key][1]();
  }
}

function openHelp() {
  byId("keys-on").checked = singleKeys();
  byId("help").showModal();
}

function setUp() {
  const pick = byId("sort-by");
  for (const [name, { title: text, down }] of Object.entries(columns)) pick.append(el("option", { value: down ? "-" + name : name }, text));
  pick.addEventListener("change", () => look(v => { v.sort = pick.value; }));
  byId("filter").addEventListener("input", () => look(v => { v.query = byId("filter").value; }));
  byId("help-button").addEventListener("click", openHelp);
  byId("help-close").addEventListener("click", () => byId("help").close());
  byId("keys-on").addEventListener("change", e => {
    if (e.target.checked) localStorage.removeItem(keysOff);
    else localStorage.setItem(keysOff, "1");
  });
  byId("legend").append(...legend());
  replace(byId("keys"), [...Object.entries(keys).map(([key, [text]]) => [key, text]),
    ["↑ ↓", "From row to row"], ["Enter", "Open a member"], ["Esc", "Back, or show all"]]
    .map(([key, text]) => el("div", null, el("dt", null, el("kbd", null, key)), el("dd", null, text))));
  byId("gate").addEventListener("submit", e => {
    e.preventDefault();
    api.setToken(byId("token").value.trim());
    byId("token").value = "";
    tried = true;
    retry();
  });
  document.querySelector(".skip").addEventListener("click", e => { // the address is ours
    e.preventDefault();
    byId("members-title").scrollIntoView();
    table.move(0);
  });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", () => route(false));
  addEventListener("scroll", () => { if (view.member === null) requestAnimationFrame(() => table.scrolled()); }, { passive: true });
  addEventListener("resize", soon);
}

let linkWas = "connecting";
onChange((what, e) => {
  if (what === "events") feed.tell(e);
  if (what === "link" && model.link.state !== linkWas) {
    if (model.link.state === "lost") feed.announce("The connection to this node is lost.");
    else if (model.link.state === "live") {
      feed.announce(linkWas === "lost" ? `Connected again. ${headline(tally(), model.members.size)}.` : `${headline(tally(), model.members.size)}.`);
    }
    linkWas = model.link.state;
  }
  soon();
});
setInterval(soon, 1_000); // ages

setUp();
route(true);
start();
