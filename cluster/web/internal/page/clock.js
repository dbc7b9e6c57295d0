// The node's time, as ages are told by its clock and not by the browser's.

// Whatever time an answer shows, the node's clock had come to it before the answer came. So each is a lower bound of how far that
// clock is ahead of ours, and the largest of the last minute is the best there is.
const windowLength = 30_000;
let windowBegin = 0, current = -Infinity, previous = -Infinity;
let frozen = null;

const ahead = () => Math.max(current, previous);

// seen notes a time of the node's (milliseconds since 1970) in an answer that has just come.
export function seen(time) {
  if (!Number.isFinite(time)) return;
  const now = Date.now();
  if (Math.abs(now - windowBegin) > windowLength) [windowBegin, previous, current] = [now, current, -Infinity];
  current = Math.max(current, time - now);
}

// now is the time at the node, or that of its last answer while it is frozen.
export function now() {
  return frozen ?? Date.now() + (Number.isFinite(ahead()) ? ahead() : 0);
}

// freeze stops the clock at a time, that of the last answer, and goes on with null: ages do not grow while nothing is heard.
export function freeze(time) { frozen = time; }
