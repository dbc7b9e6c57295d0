// Why the node thinks of a member what it does, in words.

import { calm, count, dayTime, millis, names, percent, phiText, plural, printable, reasonText, span } from "./text.js";

const seconds = (later, earlier) => (Date.parse(later) - earlier) / 1000;

// verdict is what a member was called down for: as the node explains it, or as the event told.
const verdict = (m, d) => d?.verdict ?? (m.last?.kind === "down" && m.last.by?.length ? m.last : undefined);

// because is a line for a member that is not well: what matters most.
export function because(m, d, now) {
  const parts = [];
  if (m.state === "down") {
    const v = verdict(m, d), exit = d?.verdict?.exit ?? (m.last?.kind === "down" ? m.last.detail : "");
    if (exit) parts.push(`its service ended: ${printable(exit)}`);
    else if (v?.by?.length) {
      parts.push(`φ ${phiText(v.phi)} of ${phiText(v.threshold)}`, `doubted by ${names(v.by)}`);
    } else if (m.last?.kind === "down") parts.push(reasonText(m.last.reason));
    if (!parts.length && d?.last_alive) parts.push(`last sign of life ${calm((now - Date.parse(d.last_alive)) / 1000)} ago`);
  } else if (m.state === "suspect") {
    const q = d?.inquiry;
    parts.push(`φ ${phiText(q?.phi ?? m.phi ?? 0)}` + (d?.threshold ? ` of ${phiText(d.threshold)}` : ""));
    if (q?.asked) parts.push(`asked ${plural(q.asked, "time")}, ${count(q.unanswered)} in vain`);
    else if (m.last?.kind === "suspect") parts.push(reasonText(m.last.reason));
  } else if (m.health === "wedged") parts.push("it beats, and its service fails its check");
  return parts.join(" · ");
}

// reasons are sentences, for the page of a member.
export function reasons(m, d, now) {
  const say = [];
  if (m.self) {
    say.push(`This is the node that was asked. ${d ? `${plural(d.observers.length, "member")} listen to it.` : ""}`);
    return say;
  }
  if (m.health === "wedged") say.push("It beats, so it is alive; and it says that the service beside it fails its check (wedged).");
  if (m.state === "left") say.push("It said goodbye to the others. That is final until it starts again.");
  if (m.state === "down") say.push(...downReasons(m, d));
  if (!d) return say;
  if (d.inquiry) say.push(...inquiryReasons(d, now));
  if (d.last_alive && m.state !== "up") {
    say.push(`The latest sign of life that anybody here knows of came ${calm((now - Date.parse(d.last_alive)) / 1000)} before now, at ` +
      `${dayTime(Date.parse(d.last_alive))}.`);
  }
  if (m.state === "up" || m.state === "suspect") say.push(...pathReasons(m, d, now));
  return say;
}

function downReasons(m, d) {
  const v = verdict(m, d);
  if (v?.exit) return [`It told the others itself that its service ended: ${printable(v.exit)}.`];
  if (v) {
    return [`It was called down as the doubts of ${names(v.by)} came to φ ${phiText(v.phi)}, and a verdict takes ${phiText(v.threshold)}.`];
  }
  if (m.last?.kind === "down") return [`It was called down: ${reasonText(m.last.reason)}.`];
  return ["It was called down. This node does not know on what grounds."];
}

function pathReasons(m, d, now) {
  const p = d.path;
  if (!p) {
    return [`This node does not listen to it. ${d.observers.length ? `${names(d.observers)} do, and would tell if it fell silent.` : ""}`];
  }
  const say = [];
  if (p.heartbeats) {
    say.push(`${plural(p.heartbeats, "heartbeat")} of it arrived here, ${count(p.lost)} did not; about ${percent(p.loss)} of packets are ` +
      `taken to be lost on the way.`);
  } else say.push("No heartbeat of it has arrived here yet.");
  if (m.state === "up" && p.reaches_threshold) {
    const left = seconds(p.reaches_threshold, now);
    if (left > 0) say.push(`If nothing more came, this node's own φ would reach ${phiText(d.threshold)} in about ${span(left)}.`);
  }
  return say;
}

function inquiryReasons(d, now) {
  const q = d.inquiry, say = [];
  if (q.asked) {
    say.push(`Its heartbeats are overdue, and it was asked ${plural(q.asked, "time")}` +
      `${q.since ? ` in the last ${span((now - Date.parse(q.since)) / 1000)}` : ""}; ` +
      `${q.unanswered ? `${plural(q.unanswered, "answer")} should be here by now` : "no answer is due yet"}.`);
  }
  if (q.doubts.length) {
    say.push(`The doubts of ${names(q.doubts.map(doubt => doubt.by))} add up to φ ${phiText(q.phi)} of the ${phiText(d.threshold)} that a ` +
      `verdict takes. φ ${phiText(q.before_stall)} of that no stall explains; ${phiText(d.stall_threshold)} have to be of that kind.`);
  }
  const excused = seconds(d.excused_until, now);
  if (excused > 0) say.push(`One stall would explain the silence for another ${span(excused)}: no verdict comes before.`);
  return say;
}

// facts are names and values about the way of a member's heartbeats to this node.
export function facts(m, d, now) {
  const p = d?.path;
  const ago = time => time ? `${calm((now - Date.parse(time)) / 1000)} ago` : "never";
  const rows = [["Address", printable(m.addr ?? "")], ["Boot", printable(m.boot ?? "")], ["Epoch", printable(String(m.epoch ?? ""))]];
  if (!p) return rows;
  rows.push(["Last heartbeat", ago(p.last_heartbeat)], ["Promised interval", millis(p.interval_ms)]);
  if (p.mean_ms) rows.push(["Measured", `${millis(p.mean_ms)} ± ${millis(p.deviation_ms)}`]);
  if (m.rtt_ms) rows.push(["Round trip", millis(m.rtt_ms)]);
  rows.push(["Loss", percent(p.loss)], ["Heartbeats", `${count(p.heartbeats)}, ${count(p.lost)} lost`]);
  return rows;
}
