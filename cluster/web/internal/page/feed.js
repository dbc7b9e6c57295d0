// The feed: what happens, as it comes, the latest first. It is quiet for a screen reader, to which the announcer tells the sum.

import { arrange, el, put, say, shape, show } from "./dom.js";
import { clockTime, eventText, plural, printable } from "./text.js";
import { headline, memberHash } from "./summary.js";
import { model, tally } from "./model.js";

const shown = 100;
const tellEvery = 4_000;

const shapes = new Set(["up", "suspect", "down", "left"]);
const shapeOf = kind => shapes.has(kind) ? kind : kind === "isolated" || kind === "gap" ? "suspect" : "event";

export function eventItem(e, withName = true) {
  const time = new Date(e.time);
  return el("li", { class: `event is-${shapeOf(e.kind)}` },
    el("time", { datetime: e.time, title: e.time }, Number.isNaN(+time) ? "" : clockTime(+time)), shape(shapeOf(e.kind)),
    el("div", null, withName && el("a", { href: memberHash(e.member), dir: "auto" }, printable(e.member)), " ",
      el("span", { class: "what" }, e.kind), " ", el("span", { class: "reason" }, eventText(e))));
}

export class Feed {
  #kept = new Map();
  #held = null; // how many events there were when it was held
  #scrolled = false; // somebody reads what is further down
  #told = 0;
  #toTell = [];
  #timer = 0;

  constructor() {
    this.list = document.getElementById("feed");
    this.button = document.getElementById("feed-hold");
    this.empty = document.getElementById("feed-empty");
    this.announcer = document.getElementById("announcer");
    this.button.addEventListener("click", () => this.hold());
    this.list.addEventListener("scroll", () => { this.#scrolled = this.list.scrollTop > 4; }, { passive: true });
  }

  hold() {
    this.#held = this.#held === null ? model.eventCount : null;
    put(this.button, "aria-pressed", String(this.#held !== null));
    this.draw();
  }

  draw() {
    const held = this.#held ?? Infinity;
    const events = model.events.filter(e => e.number <= held).slice(0, shown);
    const before = this.#scrolled ? this.list.scrollHeight : 0;
    const byNumber = new Map(events.map(e => [e.number, e]));
    arrange(this.list, this.#kept, [...byNumber.keys()], number => eventItem(byNumber.get(number)), () => {});
    if (this.#scrolled) this.list.scrollTop += this.list.scrollHeight - before; // what is being read stays where it is
    const waiting = model.eventCount - held;
    say(this.button, this.#held === null ? "Hold" : waiting > 0 ? `Show ${plural(waiting, "new event")}` : "Held");
    show(this.list, events.length > 0);
    show(this.empty, events.length === 0);
    say(this.empty, `Nothing has changed since this page was opened at ${clockTime(model.opened)}. Changes appear here as they come.`);
  }

  // tell announces an event, and those that come soon after it together.
  tell(e) {
    this.#toTell.push(e);
    this.#schedule();
  }

  // announce tells a text, after what waits.
  announce(text) {
    this.#toTell.push(text);
    this.#schedule();
  }

  #schedule() {
    if (this.#timer) return;
    const wait = Math.max(200, this.#told + tellEvery - Date.now());
    this.#timer = setTimeout(() => {
      this.#timer = 0;
      this.#told = Date.now();
      const all = this.#toTell.splice(0);
      const texts = all.filter(e => typeof e === "string"), events = all.filter(e => typeof e !== "string");
      const sum = events.length > 3 ? [`${plural(events.length, "change")}. ${headline(tally(), model.members.size)}.`] :
        events.map(e => `${printable(e.member)} ${e.kind}.`);
      this.announcer.textContent = [...texts, ...sum].join(" ");
    }, wait);
  }
}
