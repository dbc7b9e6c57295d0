// What the page asks of the node it came from.

const tokenKey = "pulsering-token";
const answerWithin = 5_000;
const silentFor = 40_000; // the node writes to each stream every 15 s

// Refused is an answer that is not what was asked for. joining: as the node is no member yet.
export class Refused extends Error {
  constructor(status, text, joining = false) {
    super(text);
    Object.assign(this, { status, joining });
  }
}

export function setToken(token) {
  sessionStorage.setItem(tokenKey, token);
}

function headers(more) {
  const token = sessionStorage.getItem(tokenKey);
  return token ? { ...more, Authorization: `Bearer ${token}` } : more;
}

async function ask(path, more, signal) {
  const response = await fetch(path, { headers: headers(more), cache: "no-store", signal });
  if (!response.ok) {
    const text = await response.text();
    let told = null;
    try { told = JSON.parse(text); } catch { /* not the node's own answer */ }
    throw new Refused(response.status, told?.error || `the node answers ${response.status}`, told?.status === "joining");
  }
  return response;
}

// get is an answer, and the time that the node said it was.
export async function get(path) {
  const response = await ask(path, { Accept: "application/json" }, AbortSignal.timeout(answerWithin));
  return { value: await response.json(), date: Date.parse(response.headers.get("Date")) };
}

// memberPath is where a member is told about. "." and ".." have none: they mean something else in a path.
export function memberPath(name) {
  if (name === "." || name === "..") throw new Refused(404, "a member of this name cannot be asked about over HTTP");
  return `v1/members/${encodeURIComponent(name.toWellFormed?.() ?? name)}`;
}

// why tells what became of a question.
export function why(error) {
  if (error instanceof Refused) return error.message;
  if (error.name === "TimeoutError") return `no answer within ${answerWithin / 1000} s`;
  return error instanceof TypeError ? "it cannot be reached" : error.message;
}

// follow calls on.event for each event until the stream ends, and on.open once it is there. It returns at the end, or throws.
// It is fetch and not EventSource, which can neither send a token nor say why it was refused.
export async function follow(lastID, on) {
  const silence = new AbortController();
  const alive = () => {
    clearTimeout(alive.timer);
    alive.timer = setTimeout(() => silence.abort(), silentFor);
  };
  alive();
  try {
    const more = { Accept: "text/event-stream" };
    if (lastID) more["Last-Event-ID"] = lastID;
    const response = await ask("v1/events", more, silence.signal);
    on.open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = parser(on);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      alive();
      feed(value);
    }
  } finally {
    clearTimeout(alive.timer);
    silence.abort();
  }
}

// parser takes a stream in pieces as they come: Server-Sent Events whose lines end with \n or \r\n.
export function parser(on) {
  let rest = "", data = [], id = null;
  return piece => {
    const lines = (rest + piece).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const text = line.endsWith("\r") ? line.slice(0, -1) : line;
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/s.exec(text);
      if (text === "") {
        if (id !== null) on.id(id);
        if (data.length) on.event(JSON.parse(data.join("\n")));
        [data, id] = [[], null];
      } else if (field === "data") data.push(value ?? "");
      else if (field === "id") id = value ?? "";
    }
  };
}
