"use strict";

// What survives a reload of the page, and is this tab's alone: the session with its secret, which
// event came last, what was said and is not acknowledged, and what is shown.
const kept = Object.assign(
  { name: "", session: "", secret: "", last: 0, seq: 0, out: [], log: [], people: [] },
  JSON.parse(sessionStorage.getItem("chat") || "{}"),
);
const keep = () => sessionStorage.setItem("chat", JSON.stringify(kept));

// Times in milliseconds. A wait before a try to connect is any time up to a bound that doubles
// ("full jitter"), so that a server that is back is not overrun by all its pages at once.
const firstRetry = 1000, lastRetry = 30000, helloTime = 10000;
const maxLog = 200;

let socket = null;     // the present connection
let welcome = false;   // the server has taken us in on it
let tries = 0;         // in a row that failed
let told = 0;          // when the server wants us back; 0: it did not say
let grace = 0;         // how long the server keeps our session
let lostAt = 0;        // since when there is no connection
let timer = 0;         // of the next try
let heardAt = 0;       // when anything came last
let every = 0;         // how often the server asks

const el = (id) => document.getElementById(id);

// --- the session ---------------------------------------------------------------------------------

function connect() {
  clearTimeout(timer);
  timer = 0;
  const s = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
  socket = s;
  welcome = false;
  heardAt = Date.now();
  s.onopen = () => send({
    type: "hello", v: 1, session: kept.session || kept.name, secret: kept.secret, last: kept.last, text: true,
  });
  s.onmessage = (m) => { if (s === socket) take(JSON.parse(m.data)); };
  s.onclose = (e) => { if (s === socket) lost(e.code, e.reason); };
  show();
}

const send = (message) => socket.send(JSON.stringify(message));

// take acts on a message of the protocol.
function take(m) {
  heardAt = Date.now();
  switch (m.type) {
  case "welcome":
    welcome = true;
    tries = 0;
    grace = m.grace_ms || 0;
    if (!m.resumed) { // a new session: both directions count from 1 again
      kept.last = 0;
      kept.seq = 0;
      kept.out = kept.out.map((o) => ({ seq: ++kept.seq, data: o.data }));
    }
    kept.session = m.session;
    kept.secret = m.secret;
    acknowledged(m.last || 0);
    kept.seq = Math.max(kept.seq, m.last || 0);
    kept.out.forEach((o) => send({ type: "event", ...o }));
    keep();
    show();
    break;
  case "event":
    if (m.seq <= kept.last) break; // it came before
    kept.last = m.seq;
    happened(JSON.parse(m.data));
    keep(); // before the server may forget the event
    send({ type: "ack", last: m.seq });
    break;
  case "ack":
    acknowledged(m.last);
    keep();
    break;
  case "retry":
    told = m.after_ms || 1;
    break;
  case "bye":
    over("The session is over.");
    break;
  }
}

const acknowledged = (last) => { kept.out = kept.out.filter((o) => o.seq > last); };

// tell sends a message of the application, now or when there is a connection again.
function tell(message) {
  const o = { seq: ++kept.seq, data: JSON.stringify(message) };
  kept.out.push(o);
  keep();
  if (welcome) send({ type: "event", ...o });
}

// lost acts on the end of a connection.
function lost(code, reason) {
  socket = null;
  if (welcome) lostAt = Date.now();
  welcome = false;
  switch (code) {
  case 1000: return over("");
  case 4001: return over(`Somebody else is called ${kept.name} here.`);
  case 4002: return over("This conversation goes on in another tab.");
  }
  let most = Math.min(firstRetry * 2 ** Math.min(tries, 10), lastRetry);
  if (grace && Date.now() - lostAt < grace) most = Math.min(most, Math.max(grace / 6, firstRetry));
  tries++;
  timer = setTimeout(connect, told || Math.random() * most);
  told = 0;
  show();
}

// drop ends a connection that may be dead: closing it properly could take for ever.
function drop() {
  const s = socket;
  socket = null;
  s.close();
  lost(0, "");
}

// Browsers answer the server's pings by themselves and tell no script. So the script knows of a
// dead path by the server's questions, which stay out. A look that is late itself judges nothing:
// the tab was frozen, or its timers throttled, and what came meanwhile waits behind this.
let lookedAt = Date.now();
setInterval(() => {
  const now = Date.now(), late = now - lookedAt > 3000;
  lookedAt = now;
  if (late) heardAt = Math.max(heardAt, now - 1000);
  const most = welcome ? Math.max(5 * every, helloTime) : helloTime;
  if (socket && now - heardAt > most) drop();
}, 1000);

// Where there is a network again, or somebody looks, there is no reason to wait.
const now = () => { if (timer) connect(); };
addEventListener("online", now);
document.addEventListener("visibilitychange", () => { if (!document.hidden) now(); });

// A page that is left may be kept for the Back button, with its connection, on which the browser goes
// on to answer: so the page ends it. Whoever comes back looks at it, and it connects.
addEventListener("pagehide", () => { if (socket) drop(); });

// over ends the session: whoever comes in next begins a new one.
function over(why) {
  const s = socket;
  socket = null;
  if (s) s.close(1000);
  clearTimeout(timer);
  timer = 0;
  welcome = false;
  Object.assign(kept, { session: "", secret: "", last: 0, seq: 0, out: [], log: [], people: [] });
  keep();
  el("refused").textContent = why;
  show();
}

// --- the conversation ----------------------------------------------------------------------------

// happened acts on an event of the room.
function happened(e) {
  switch (e.kind) {
  case "people":
    kept.people = e.people;
    showPeople();
    break;
  case "said":
    kept.log = [...kept.log, { from: e.from, text: e.text, at: e.at_ms }].slice(-maxLog);
    showLog();
    break;
  case "question":
    every = e.every_ms;
    tell({ here: true });
    showLink(e.rtt_ms);
    break;
  }
}

// --- the page ------------------------------------------------------------------------------------

const inside = () => socket !== null || timer !== 0;

function show() {
  el("door").hidden = inside();
  el("room").hidden = !inside();
  if (!inside()) {
    el("name").value = kept.name;
    el("name").focus();
    return;
  }
  el("me").textContent = kept.name;
  showLink(0);
  showPeople();
  showLog();
}

function showLink(rtt) {
  el("link").className = welcome ? "up" : "";
  el("link").textContent = !welcome ? "connecting…" : rtt ? `online, ${Math.max(rtt, 0.1).toFixed(1)} ms` : "online";
}

// face is a disc with a letter, in a colour of the name's own.
function face(name) {
  const f = document.createElement("span");
  let hue = 0;
  for (const c of name) hue = (hue * 31 + c.codePointAt(0)) % 360;
  f.className = "face";
  f.style.background = `hsl(${hue} 45% 45%)`;
  f.textContent = [...name][0].toUpperCase();
  f.setAttribute("aria-hidden", "true");
  return f;
}

const text = (tag, content) => Object.assign(document.createElement(tag), { textContent: content });

function showPeople() {
  const order = { online: 0, away: 1, offline: 2 };
  const sorted = [...kept.people].sort((a, b) => order[a.state] - order[b.state]);
  el("people").replaceChildren(...sorted.map((p) => {
    const li = document.createElement("li"), words = document.createElement("span");
    li.className = p.state;
    li.dataset.name = p.name;
    words.append(text("b", p.name === kept.session ? `${p.name} (you)` : p.name));
    words.append(text("small", p.why ? `${p.state}: ${p.why}` : p.state));
    li.append(face(p.name), words);
    return li;
  }));
}

function showLog() {
  el("log").replaceChildren(...kept.log.map((m) => {
    const li = document.createElement("li"), box = document.createElement("div");
    const at = new Date(m.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    li.className = m.from === kept.session ? "mine" : "";
    box.append(text("small", li.className ? at : `${m.from}, ${at}`), document.createElement("br"), m.text);
    li.append(face(m.from), box);
    return li;
  }));
  toEnd();
}

const toEnd = () => { el("log").scrollTop = el("log").scrollHeight; };
addEventListener("resize", toEnd); // the keyboard of a telephone comes up

el("door").addEventListener("submit", (e) => {
  e.preventDefault();
  kept.name = el("name").value.trim();
  if (!kept.name) return;
  el("refused").textContent = "";
  connect();
  el("text").focus();
});

el("composer").addEventListener("submit", (e) => {
  e.preventDefault();
  const say = el("text").value.trim();
  el("text").value = "";
  if (say) tell({ say });
});

el("leave").addEventListener("click", () => {
  if (welcome) send({ type: "bye" });
  over("");
});

if (kept.secret) connect();
else show();
