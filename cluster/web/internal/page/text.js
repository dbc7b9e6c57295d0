// What is shown as words and numbers.

// odd is what could play with the page or cannot be seen: controls, marks that change the direction, joiners, spaces of other
// kinds, letters that are blank. A joiner within an emoji is part of it.
const odd = new RegExp(
  "(?<![\\p{Extended_Pictographic}\\u{FE0F}\\u{1F3FB}-\\u{1F3FF}])\\u200D|\\u200D(?!\\p{Extended_Pictographic})" +
  "|(?!\\u200D)[\\p{C}\\p{Zl}\\p{Zp}]|(?! )\\p{Zs}|[\\u115F\\u1160\\u2800\\u3164\\uFFA0]", "gu");

// printable is a text from another machine with its odd characters written out, such as \u{202e}.
export function printable(text) {
  const plain = text.replace(odd, c => `\\u{${c.codePointAt(0).toString(16)}}`);
  return plain === "" || plain !== plain.trim() ? `"${plain}"` : plain;
}

export const tagText = ([key, value]) => `${printable(key)}=${value === "" ? "" : printable(value)}`;

// phiText is a level as people read it: two digits are plenty.
export function phiText(phi) {
  if (phi == null) return "?";
  if (phi < 100) return phi.toFixed(1);
  return phi < 1e5 ? count(Math.round(phi)) : "> 99,999";
}

const numbers = new Intl.NumberFormat("en");
export const count = n => numbers.format(n);

// span is a duration in seconds.
export function span(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.floor(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86400)} d`;
}

// calm is a span for a page that is drawn once a second: tenths would only flicker.
export const calm = seconds => seconds < 1 ? "< 1 s" : seconds < 60 ? `${Math.floor(seconds)} s` : span(seconds);

export const millis = ms => ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : span(ms / 1000);

export const percent = share => share < 0.0995 ? `${(share * 100).toFixed(1)} %` : `${Math.round(share * 100)} %`;

const clockFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const clockTime = ms => clockFormat.format(ms);
export const dayTime = ms => Number.isFinite(ms) ? dayFormat.format(ms) : "";

export const plural = (n, one, more = one + "s") => `${count(n)} ${n === 1 ? one : more}`;

// list is "a, b and c".
export function list(words, most = 8) {
  if (words.length > most) words = [...words.slice(0, most), `${words.length - most} more`];
  return words.length < 2 ? words.join("") : words.slice(0, -1).join(", ") + " and " + words.at(-1);
}

export const names = all => list(all.map(printable));

const reasonTexts = new Map(Object.entries({
  joined: "joined", present: "", silent: "silent, and nobody asked has heard from it", deaf: "it says that it hears nobody",
  verdict: "another member's verdict", memberlist: "by memberlist's word", restarted: "restarted", heard: "heard again",
  left: "said goodbye", tags: "other tags", health: "its service", exited: "its service ended", isolated: "this node hears nobody",
  refused: "its host refuses connections: no process is there", unheard: "reached by TCP only, no UDP packet arrives",
}));

// reasonText says what an event's reason means; one that is not known here is shown as it came.
export const reasonText = reason => reasonTexts.get(reason) ?? printable(reason ?? "");

// eventText is what happened, without the member's name.
export function eventText(e) {
  const parts = [];
  switch (e.kind) {
  case "isolated": return "hears none of the others";
  case "connected": return "hears others again";
  case "accused": return `was called down wrongly; its epoch is ${printable(String(e.epoch))} now`;
  case "gap": return [e.folded ? `${plural(e.folded, "event")} missed` : "", printable(e.reason ?? "")].filter(Boolean).join(" · ");
  case "updated": parts.push(e.reason === "health" ? `its service is ${e.health || "not checked any more"}` : reasonText(e.reason)); break;
  default: parts.push(reasonText(e.reason));
  }
  if (e.detail) parts.push(printable(e.detail));
  if (e.phi > 0 && (e.kind === "down" || e.kind === "suspect")) {
    parts.push(`φ ${phiText(e.phi)}` + (e.threshold ? ` of ${phiText(e.threshold)}` : ""));
  }
  if (e.by?.length) parts.push(`doubted by ${names(e.by)}`);
  if (e.folded) parts.push(`${plural(e.folded, "earlier change")} left out`);
  return parts.filter(Boolean).join(" · ");
}
