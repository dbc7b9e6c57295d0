// What the page knows of the cluster. This file is the only one that changes it; the others read it when they draw.

import * as api from "./api.js";
import * as clock from "./clock.js";

const trailFor = 60_000;  // φ is kept for so long
const eventsKept = 300;
const detailEvery = 400;  // one member is asked about at a time
const detailFor = 4_000;  // and not again before, unless its page is open,
const badFor = 1_500;     // or it is not well

export const model = {
  members: new Map(),     // by name, as the node marshals them, and: self, trail of [time, φ], last (its latest event)
  self: null,             // the member that was asked
  isolated: false,
  threshold: null,        // φ that a verdict takes
  details: new Map(),     // by name: {at, value} or {at, missing}, as /v1/members/NAME told
  events: [],             // the latest first
  eventCount: 0,          // since the page was opened
  opened: Date.now(),
  link: { state: "connecting", since: Date.now(), why: "", retryAt: 0 }, // connecting, joining, live, lost, token
  at: null,               // the node's time of its last answer
  stream: { open: false, why: "" },
};

const severity = { down: 0, suspect: 1, unknown: 2, wedged: 3, up: 4, left: 5 };

// standing is what a member is shown and counted as: its state, or wedged where it is up and its
// service is not. A state of a later version, for which there is neither shape nor rank, is unknown.
export const standing = m => m.state === "up" && m.health === "wedged" ? "wedged" :
  Object.hasOwn(severity, m.state) ? m.state : "unknown";
export const rank = m => severity[standing(m)];

export function tally() {
  const n = { up: 0, suspect: 0, down: 0, left: 0, wedged: 0, unknown: 0 };
  for (const m of model.members.values()) n[standing(m)]++;
  return n;
}

const listeners = [];
// onChange calls a function after each change: of "members", "events", "details", or "link".
export const onChange = listener => listeners.push(listener);
const changed = (what, value) => listeners.forEach(listener => listener(what, value));

// wanted are names of members that a view shows details of, the most pressing first; set by whoever draws.
let wanted = [];
let opened = null; // the member whose page is open
export function want(names, open) {
  wanted = names;
  if (open !== opened && open !== null) model.details.delete(open);
  opened = open;
}

function setLink(state, why = "", retryAt = 0) {
  const link = model.link;
  if (link.state !== state) Object.assign(link, { state, since: Date.now() });
  Object.assign(link, { why, retryAt });
  clock.freeze(state === "live" ? null : model.at);
  changed("link");
}

// A sleep that can be ended early.
class Pause {
  #end = () => {};
  sleep(ms) {
    return new Promise(end => {
      const timer = setTimeout(end, ms);
      this.#end = () => { clearTimeout(timer); end(); };
    });
  }
  end() { this.#end(); }
}
const pollPause = new Pause(), streamPause = new Pause();

// A node is asked for all members once a second, more seldom where they are many, and soon after an event.
const calmGap = () => document.hidden ? 15_000 : Math.max(1_000, 2 * model.members.size);
const pressedGap = () => Math.max(300, model.members.size);
let pressed = false;
let failures = 0;

function press() {
  pressed = true;
  pollPause.end();
}

// retry asks now what would be asked later.
export function retry() {
  failures = 0;
  press();
  streamPause.end();
}

async function poll() {
  for (;;) {
    const begun = performance.now();
    pressed = false;
    try {
      const { value, date } = await api.get("v1/members");
      if (!Array.isArray(value)) throw new Error("the answer is no list of members");
      clock.seen(date);
      takeMembers(value, begun);
      failures = 0;
      if (model.link.state !== "live") {
        setLink("live");
        streamPause.end();
      }
    } catch (error) {
      failures++;
      if (failures === 1 && model.link.state === "live" && !(error instanceof api.Refused)) { // the network has changed, maybe
        await pollPause.sleep(250);
        continue;
      }
      const wait = Math.min(5_000, 500 * 2 ** Math.min(failures - 1, 4)) * (0.8 + 0.4 * Math.random());
      const state = error.status === 401 ? "token" : error.joining ? "joining" : "lost";
      setLink(state, api.why(error), Date.now() + wait);
      await pollPause.sleep(state === "token" ? 1e9 : wait);
      continue;
    }
    if (!pressed) await pollPause.sleep(calmGap());
    const left = pressedGap() - (performance.now() - begun);
    if (left > 0) await new Pause().sleep(left);
  }
}

// takeMembers makes the members those of an answer to a question asked at begun. What an event told since then is newer.
function takeMembers(all, begun) {
  const before = model.members;
  const next = new Map();
  const now = clock.now();
  for (const m of all) {
    const old = before.get(m.name);
    if (old?.told > begun) {
      next.set(m.name, old);
      continue;
    }
    clock.seen(Date.parse(m.last_heard));
    m.trail = old?.trail ?? [];
    m.last = old?.last;
    m.told = 0;
    if (m.observed) addSample(m.trail, now, m.phi ?? 0);
    next.set(m.name, m);
    if (m.self) {
      model.self = m;
      model.isolated = Boolean(m.isolated);
    }
  }
  for (const [name, old] of before) { // an event told of it, and the answer is older
    if (!next.has(name) && old.told > begun) next.set(name, old);
  }
  for (const name of model.details.keys()) if (!next.has(name)) model.details.delete(name);
  model.members = next;
  model.at = clock.now();
  changed("members");
}

function addSample(trail, time, phi) {
  trail.push([time, phi]);
  let old = 0;
  while (old < trail.length && trail[old][0] < time - trailFor) old++;
  if (old) trail.splice(0, old);
}

const states = new Set(["up", "suspect", "down", "left"]); // and the kinds of events that tell of them

function takeEvent(e) {
  clock.seen(Date.parse(e.time));
  if (e.kind === "isolated" || e.kind === "connected") model.isolated = e.kind === "isolated";
  if (states.has(e.kind) || e.kind === "updated") {
    let m = model.members.get(e.member);
    if (!m) model.members.set(e.member, m = { name: e.member, observed: false, phi: 0, trail: [], state: "unknown" });
    m.told = performance.now();
    if (e.reason !== "present") m.last = e;
    if (states.has(e.kind) && m.state !== e.kind) Object.assign(m, { state: e.kind, since: e.time });
    Object.assign(m, { addr: e.addr, boot: e.boot, epoch: e.epoch, tags: e.tags ?? {}, health: e.health });
    if (e.kind === "suspect") m.phi = e.phi;
    stale(e.member);
  }
  if (e.reason === "present") {
    changed("members");
    return;
  }
  model.eventCount++;
  model.events.unshift({ ...e, number: model.eventCount });
  model.events.length = Math.min(model.events.length, eventsKept);
  changed("events", e);
  press();
}

// stale has a member asked about soon.
function stale(name) {
  const d = model.details.get(name);
  if (d) d.at = -Infinity;
}

async function stream() {
  let lastID = "";
  for (;;) {
    let wait = 1_000;
    try {
      await api.follow(lastID, {
        open() {
          model.stream = { open: true, why: "" };
          changed("link");
        },
        id: id => { lastID = id; },
        event: takeEvent,
      });
      model.stream = { open: false, why: "the node ended the stream" };
    } catch (error) {
      model.stream = { open: false, why: api.why(error) };
      if (error instanceof api.Refused) wait = 5_000;
    }
    changed("link");
    press(); // to learn at once whether the node is there
    await streamPause.sleep(wait);
  }
}

async function detail() {
  for (;;) {
    await new Pause().sleep(detailEvery);
    if (model.link.state !== "live" || document.hidden) continue;
    const name = nextDetail();
    if (name === undefined) continue;
    const known = model.details.get(name);
    try {
      const { value } = await api.get(api.memberPath(name));
      takeDetail(name, value);
    } catch (error) {
      model.details.set(name, { at: performance.now(), value: known?.value, missing: api.why(error) });
    }
    changed("details", name);
  }
}

// nextDetail is the member to ask about: that of the open page, or of those wanted that were not asked about lately the one that
// waits longest.
function nextDetail() {
  const now = performance.now();
  const age = name => now - (model.details.get(name)?.at ?? -Infinity);
  if (opened !== null && age(opened) > 900) return opened;
  let next, longest = 0;
  for (const name of wanted) {
    const m = model.members.get(name);
    const overdue = m ? age(name) - (rank(m) < 3 ? badFor : detailFor) : 0;
    if (overdue > longest) [next, longest] = [name, overdue];
  }
  return next;
}

function takeDetail(name, value) {
  model.threshold = value.threshold || model.threshold;
  model.details.set(name, { at: performance.now(), value });
  const samples = (value.phi_history ?? []).map(s => [Date.parse(s.time), s.phi ?? 0]).filter(([t]) => Number.isFinite(t));
  if (!samples.length) return;
  const end = samples.at(-1)[0];
  clock.seen(end);
  const m = model.members.get(name);
  if (m) m.trail = [...samples, ...m.trail.filter(([t]) => t > end)];
}

export function start() {
  poll();
  stream();
  detail();
  addEventListener("online", retry);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) retry(); });
}
