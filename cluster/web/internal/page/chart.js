// φ over time: a small line in a row, and the chart on a member's page.

import { el, svg, put } from "./dom.js";
import { phiText } from "./text.js";

const minute = 60_000;

// top is the φ at the upper edge: the threshold is always in sight, and a dead member's φ does not press all else to the ground.
function top(trail, threshold) {
  const high = trail.reduce((most, [, phi]) => Math.max(most, phi), 0);
  const least = (threshold ?? 5) * 1.2;
  return Math.max(least, Math.min(high * 1.1, least * 2.5));
}

function path(trail, now, width, height, most) {
  let d = "";
  for (const [time, phi] of trail) {
    const x = width * (1 - (now - time) / minute);
    if (x < 0) continue;
    const y = height * (1 - Math.min(phi, most) / most);
    d += `${d ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  }
  return d;
}

const sparkWidth = 88, sparkHeight = 22;

export function spark() {
  const node = svg("svg", { class: "spark", viewBox: `0 -1 ${sparkWidth} ${sparkHeight + 2}`, "aria-hidden": "true" },
    svg("line", { class: "limit", x1: 0, x2: sparkWidth }), svg("path", { class: "line" }));
  return node;
}

export function drawSpark(node, trail, threshold, now) {
  const most = top(trail, threshold);
  const [limit, line] = node.children;
  const y = sparkHeight * (1 - (threshold ?? most) / most);
  put(limit, "y1", y.toFixed(1));
  put(limit, "y2", y.toFixed(1));
  put(line, "d", path(trail, now, sparkWidth, sparkHeight, most) || null);
}

const left = 34, right = 12, upper = 14, lower = 24, high = 190;

// Chart draws φ of one member over the last minute against the threshold.
export class Chart {
  constructor() {
    this.node = el("figure", { class: "chart" });
    this.picture = svg("svg", { role: "img", height: high });
    this.node.append(this.picture);
    this.width = 0;
    new ResizeObserver(([entry]) => {
      this.width = Math.floor(entry.contentRect.width);
      this.again?.();
    }).observe(this.node);
  }

  draw(trail, threshold, now) {
    this.again = () => this.draw(trail, threshold, now);
    const width = this.width;
    if (width < 80) return;
    const most = top(trail, threshold);
    const w = width - left - right, h = high - upper - lower;
    const y = phi => upper + h * (1 - Math.min(phi, most) / most);
    put(this.picture, "width", width);
    put(this.picture, "viewBox", `0 0 ${width} ${high}`);
    const latest = trail.at(-1)?.[1], highest = trail.reduce((m, [, phi]) => Math.max(m, phi), 0);
    put(this.picture, "aria-label", trail.length === 0 ? "No φ of this member is known here" :
      `φ over the last minute: ${phiText(latest)} now, ${phiText(highest)} at its highest` +
      (threshold ? `; a verdict takes ${phiText(threshold)}` : ""));
    const parts = [];
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find(s => most / s <= 5) ?? most / 4;
    for (let i = 0; i <= most / step; i++) { // to add steps up would have no end where most is infinite
      const phi = i * step;
      parts.push(svg("line", { class: "grid", x1: left, x2: left + w, y1: y(phi), y2: y(phi) }),
        svg("text", { class: "tick", x: left - 8, y: y(phi) + 4, "text-anchor": "end" }, String(phi)));
    }
    for (const ago of width < 480 ? [60, 30, 0] : [60, 45, 30, 15, 0]) {
      parts.push(svg("text", {
        class: "tick", x: left + w * (1 - ago / 60), y: high - 6, "text-anchor": ago === 0 ? "end" : ago === 60 ? "start" : "middle",
      }, ago === 0 ? "now" : `${ago} s ago`));
    }
    if (threshold) {
      parts.push(svg("line", { class: "limit", x1: left, x2: left + w, y1: y(threshold), y2: y(threshold) }),
        svg("text", { class: "limit-name", x: left + 6, y: y(threshold) - 5 }, `φ ${phiText(threshold)}: what a verdict takes`));
    }
    const d = path(trail, now, w, h, most);
    if (d) {
      const first = /^M(\S+)/.exec(d)[1], last = /(\S+) \S+$/.exec(d)[1].replace(/^[ML]/, "").replace(/.*L/, "");
      parts.push(svg("g", { transform: `translate(${left} ${upper})` },
        svg("path", { class: "area", d: `${d}L${last} ${h}L${first} ${h}Z` }), svg("path", { class: "line", d })));
    } else {
      parts.push(svg("text", { class: "tick", x: left + w / 2, y: upper + h / 2, "text-anchor": "middle" }, "nothing measured here"));
    }
    if (highest > most) {
      parts.push(svg("text", { class: "limit-name", x: left + w, y: upper + 4, "text-anchor": "end" }, `↑ ${phiText(highest)}`));
    }
    this.picture.replaceChildren(...parts);
  }
}
