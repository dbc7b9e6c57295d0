// The head of the page: which node this is and whether it is heard, what is wrong with the whole, how many members are how.

import * as clock from "./clock.js";
import { because } from "./why.js";
import { arrange, el, put, replace, reshape, say, shape, show } from "./dom.js";
import { calm, clockTime, count, plural, printable } from "./text.js";
import { model, rank, retry, standing, tally } from "./model.js";

const byId = id => document.getElementById(id);
const problemsShown = 6;

export const stateNames = ["up", "suspect", "down", "left", "wedged"];

// headline is the whole in one sentence.
export function headline(n, total) {
  if (total === 0) return { connecting: "Asking the node …", joining: "Waiting for this node" }[model.link.state] ?? "Nothing is known yet";
  if (model.isolated) return `Cut off from ${plural(total - 1 - n.left, "other member")}`;
  const wrong = ["down", "suspect", "wedged", "unknown"].map(state => [state, n[state]]).filter(([, k]) => k);
  const gone = n.left ? `, ${n.left} left` : "";
  if (!wrong.length) {
    const here = total - n.left;
    return here === 1 ? `One member, and it is up${gone}` : `All ${count(here)} members are up${gone}`;
  }
  return `${wrong.map(([state, k]) => `${count(k)} ${state}`).join(", ")} of ${plural(total, "member")}`;
}

export class Summary {
  #counts = new Map();
  #problems = new Map();

  // toggle is called with the state whose button was pressed, showAll with nothing.
  constructor(toggle, showProblems) {
    for (const state of stateNames) {
      const number = el("b"), button = el("button", { type: "button", class: `count is-${state}`, "aria-pressed": "false" },
        shape(state), number, " ", el("span", null, state));
      button.addEventListener("click", () => toggle(state));
      this.#counts.set(state, { button, number });
      byId("counts").append(button);
    }
    this.showProblems = showProblems;
  }

  draw(chosen) {
    const n = tally(), total = model.members.size, now = clock.now();
    say(byId("headline"), headline(n, total));
    for (const [state, { button, number }] of this.#counts) {
      say(number, count(n[state]));
      put(button, "aria-pressed", String(chosen.has(state)));
      button.classList.toggle("none", n[state] === 0);
      show(button, n[state] > 0 || chosen.has(state) || state === "up" || state === "suspect" || state === "down");
    }
    this.#drawProblems(now, total);
    drawNode();
    drawLink();
    drawBanners(now);
  }

  #drawProblems(now, total) {
    const wrong = problems();
    const shown = wrong.slice(0, problemsShown);
    byId("attention").classList.toggle("well", wrong.length === 0);
    arrange(byId("attention-list"), this.#problems, shown.map(m => m.name), makeProblem, (item, name) => {
      const m = model.members.get(name), state = standing(m);
      const [icon, text] = item.children, [link, what, reason] = text.children;
      reshape(icon, state);
      put(item, "class", `is-${state}`);
      say(link, printable(name));
      const since = state !== "wedged" ? m.since : m.last?.reason === "health" ? m.last.time : "";
      say(what, ` ${state}${since ? ` for ${calm((now - Date.parse(since)) / 1000)}` : ""}`);
      say(reason, because(m, model.details.get(name)?.value, now));
    });
    const more = byId("attention-more");
    if (wrong.length > shown.length) {
      const all = el("button", { type: "button", class: "text-button" }, `and ${count(wrong.length - shown.length)} more`);
      if (more.firstChild?.textContent !== all.textContent || more.firstChild.localName !== "button") {
        all.addEventListener("click", this.showProblems);
        more.replaceChildren(all);
      }
    } else if (wrong.length) more.replaceChildren();
    else if (total === 1) {
      replace(more, "This node knows no other member. Start another one with ",
        el("code", null, `pulsering node --join ${printable(model.self?.addr ?? "ADDRESS")}`));
    } else if (model.isolated) say(more, "Not known: this node hears nobody. What is below is from before.");
    else say(more, total ? "Nothing. Every member beats, and those that are checked pass." : "");
  }
}

// problems are the members that are not well, the worst first, then the latest.
export function problems() {
  return [...model.members.values()].filter(m => rank(m) < 4)
    .sort((a, b) => rank(a) - rank(b) || Date.parse(b.since) - Date.parse(a.since) || (a.name < b.name ? -1 : 1));
}

function makeProblem(name) {
  return el("li", null, shape("down"),
    el("div", null, el("a", { href: memberHash(name), dir: "auto" }), el("span", { class: "what" }), el("span", { class: "reason" })));
}

export const memberHash = name => `#/member/${encodeURIComponent(name.toWellFormed?.() ?? name)}`;

function drawNode() {
  const self = model.self;
  if (!self) return;
  replace(byId("node"), "as seen by ", el("bdi", null, printable(self.name)),
    el("span", { class: "addr" }, ` ${printable(self.addr ?? "")}${self.version ? ` · ${printable(self.version)}` : ""}`));
}

function drawLink() {
  const { state } = model.link;
  put(byId("link"), "class", `link link-${state}`);
  say(byId("link-text"), {
    connecting: "Connecting …", joining: "Joining", token: "Token wanted", lost: "Not connected",
    live: model.stream.open ? "Live" : "Live, by polling",
  }[state]);
}

function banner(kind, title, ...text) {
  return el("div", { class: `banner is-${kind}` }, shape({ lost: "down", isolated: "suspect" }[kind] ?? "event"), el("div", null, el("strong", null, title), " ", ...text));
}

let shown = "";
function drawBanners(now) {
  const { link, stream } = model;
  const all = [];
  const holder = byId("banners");
  document.body.classList.toggle("stale", link.state === "lost" || link.state === "joining");
  document.body.classList.toggle("cut-off", link.state === "live" && model.isolated);
  if (link.state === "joining") {
    all.push(banner("note", "This node is still joining.", model.at ? "What you see is what it knew before." : "It knows nobody yet.",
      " The page shows the members as soon as it does."));
  } else if (link.state === "lost") {
    const retrying = Math.max(0, Math.ceil((link.retryAt - Date.now()) / 1000));
    const button = el("button", { type: "button", class: "button" }, "Try now");
    button.addEventListener("click", retry);
    all.push(banner("lost", "The connection to this node is lost.",
      model.at ? `What you see is what it knew at ${clockTime(model.at)}, ${calm((Date.now() - link.since) / 1000)} ago.` : "",
      ` Why: ${printable(link.why)}. `, el("span", { "aria-hidden": "true" }, retrying ? `Next try in ${retrying} s. ` : "Trying … "), button));
  } else if (link.state === "live") {
    if (model.self?.state === "left") all.push(banner("note", "This node has left the cluster.", "It learns of no changes any more."));
    if (model.isolated) {
      const names = [...model.members.values()].filter(m => m.observed && m.last_heard);
      const last = Math.max(...names.map(m => Date.parse(m.last_heard)));
      all.push(banner("isolated", "This node is isolated: it hears none of the others.",
        Number.isFinite(last) ? `It heard somebody ${calm((now - last) / 1000)} ago for the last time. ` : "",
        "Whether they died or it was cut off cannot be known here, so what it says of them is old. It tells nobody else."));
    }
    if (!stream.open && stream.why && Date.now() - link.since > 2_000) {
      all.push(banner("note", "Changes come by polling, up to a second late.", `The stream of events is not open: ${printable(stream.why)}.`));
    }
  }
  const text = all.map(node => node.outerHTML).join("");
  if (text === shown) return;
  shown = text;
  const focused = holder.contains(document.activeElement);
  holder.replaceChildren(...all);
  if (focused) holder.querySelector("button")?.focus();
}
