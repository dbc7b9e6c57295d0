// The page of one member: what it is taken for and why, its φ against the threshold, what its observers say.

import * as clock from "./clock.js";
import { Chart } from "./chart.js";
import { el, put, replace, reshape, say, shape, show } from "./dom.js";
import { eventItem } from "./feed.js";
import { calm, dayTime, phiText, plural, printable, tagText } from "./text.js";
import { facts, reasons } from "./why.js";
import { memberHash } from "./summary.js";
import { model, standing } from "./model.js";

const eventsShown = 20;

const section = (title, ...children) => el("section", { class: "card" }, el("h2", null, title), ...children);

export class MemberPage {
  #name = null;

  constructor(holder) {
    this.holder = holder;
    this.back = el("a", { class: "back", href: "#/" }, "← All members");
    this.shape = shape("unknown");
    this.name = el("h1", { id: "member-name", tabindex: -1 });
    this.state = el("p", { class: "member-state" });
    this.why = el("ul", { class: "why" });
    this.chart = new Chart();
    this.chartCard = section("φ, last minute", this.chart.node);
    this.observers = el("div");
    this.facts = el("dl", { class: "facts" });
    this.tags = el("div", { class: "tags" });
    this.events = el("ol", { class: "events" });
    this.eventsCard = section("Events since this page was opened", this.events);
    this.missing = el("div", { class: "card empty", hidden: true });
    this.body = el("div", { class: "member-columns" },
      el("div", null, section("Why", this.why), this.chartCard, this.eventsCard),
      el("div", null, section("Its observers", this.observers), section("Details", this.facts), section("Tags", this.tags)));
    holder.append(this.back, el("header", { class: "member-head" }, this.shape, el("div", null, this.name, this.state)), this.missing, this.body);
  }

  // open shows a member, and the way back to the table as it was.
  open(name, back) {
    this.#name = name;
    put(this.back, "href", back);
    say(this.name, printable(name));
    this.draw();
  }

  draw() {
    const name = this.#name, m = model.members.get(name), detail = model.details.get(name), d = detail?.value, now = clock.now();
    const known = Boolean(m) || model.at === null;
    show(this.body, Boolean(m));
    show(this.missing, !m);
    if (!m) {
      reshape(this.shape, "unknown");
      say(this.state, known ? "" : "not known here");
      say(this.missing, known ? "Asking the node …" : "This node knows no member of this name. It may have been forgotten since it went down or left.");
      return;
    }
    const state = standing(m);
    reshape(this.shape, state);
    replace(this.state, el("strong", { class: `is-${state}` }, state), m.since ? ` for ${calm((now - Date.parse(m.since)) / 1000)}, since ` +
      `${dayTime(Date.parse(m.since))}` : "", m.health ? ` · its service: ${printable(m.health)}` : "", m.self ? " · this node" : "");
    const sentences = reasons(m, d, now);
    if (!d) sentences.push(detail?.missing ? `More is not known: ${printable(detail.missing)}.` : "Asking the node …");
    replace(this.why, sentences.map(text => el("li", null, text)));
    show(this.chartCard, Boolean(m.observed || m.trail.length));
    this.chart.draw(m.trail, d?.threshold ?? model.threshold, now);
    this.#drawObservers(d, m);
    replace(this.facts, facts(m, d, now).map(([title, value]) => el("div", null, el("dt", null, title), el("dd", null, value))));
    const tags = Object.entries(m.tags ?? {}).sort(([a], [b]) => a < b ? -1 : 1);
    replace(this.tags, tags.length ? tags.map(tag => el("span", { class: "tag" }, el("bdi", null, tagText(tag)))) : el("p", { class: "hint" }, "None."));
    const events = model.events.filter(e => e.member === name).slice(0, eventsShown);
    replace(this.events, events.length ? events.map(e => eventItem(e, false)) : el("li", { class: "hint" }, "Nothing."));
  }

  #drawObservers(d, m) {
    if (!d) {
      replace(this.observers, el("p", { class: "hint" }, "Asking the node …"));
      return;
    }
    const doubts = new Map((m.state === "up" ? [] : d.inquiry?.doubts ?? []).map(doubt => [doubt.by, doubt]));
    const said = new Set(d.verdict?.by ?? []);
    const all = [...new Set([...d.observers, ...doubts.keys(), ...said])].sort();
    if (!all.length) {
      replace(this.observers, el("p", { class: "hint" }, m.state === "left" ? "Nobody any more." : "Nobody, as far as this node knows."));
      return;
    }
    replace(this.observers, el("table", { class: "opinions" },
      el("thead", null, el("tr", null, el("th", { scope: "col" }, "Member"), el("th", { scope: "col" }, "State"), el("th", { scope: "col" }, "What it says"))),
      el("tbody", null, all.map(by => {
        const other = model.members.get(by), doubt = doubts.get(by);
        const says = doubt ? el("span", { class: "opinion" }, el("meter", {
          min: 0, max: d.threshold, value: Math.min(doubt.phi ?? 0, d.threshold), "aria-label": `φ ${phiText(doubt.phi)} of ${phiText(d.threshold)}`,
        }), `φ ${phiText(doubt.phi)}`) : said.has(by) ? "doubted it" : by === model.self?.name && m.observed && m.state !== "left" ?
          `φ ${phiText(m.phi ?? 0)}` : el("span", { class: "muted" }, m.state === "up" ? "no doubt" : "no doubt known");
        const state = other ? standing(other) : "unknown";
        return el("tr", null, el("td", null, el("a", { href: memberHash(by) }, el("bdi", null, printable(by)))),
          el("td", { class: `is-${state}` }, shape(state), ` ${state}`), el("td", null, says));
      }))), el("p", { class: "hint" }, `A verdict takes doubts of φ ${phiText(d.threshold)} together. ${plural(all.length, "member")}.`));
  }
}
