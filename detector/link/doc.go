// Package link judges sessions on connections by their heartbeats: users of a chat, devices in the field, players of a game.
//
// Think of a harbour master with a thousand boats out at sea. Each calls in at its own rhythm. A boat that is overdue may have a
// weak radio, or be busy with a large catch, or be lost: so he looks at what the radio tells of the line, at whether the nets still
// move, and how unusual this silence is for this boat. A boat that comes back within the hour was never gone.
//
// # Use
//
// A [Server] is given connections, each by a call of Serve that reads it to its end: over WebSocket (package ws), framed TCP or lines of
// text (package tcp), or any [Transport] of one's own. It pings, judges the answers by φ (package detector), and tells of each session:
// Up, Suspect, Away, Gone, with a [Cause]. A [Client] stays connected: it connects again when a connection ends, and resumes.
//
// # Beats
//
// The server pings every session at a moment of its own, each time after 75 to 100 % of Config.Interval. Browsers answer pings by
// themselves, also in a hidden tab whose timers are throttled. The answers are the samples of φ. Anything else that comes resets the
// clock of the silence and is no sample: the times of messages say nothing of the rhythm of the beats. While messages go both
// ways no ping is sent. A client that beats one way (Config.OneWay) is not pinged: it promises with each beat when the next one comes.
//
// What is slow is not dead: a message that is still being written counts as life while it gets on, and long messages are written in
// pieces, between which pings go. The clock of an answer starts when its ping was written.
//
// # Sessions
//
// A session has a name, a secret and numbered messages in both directions, each kept until it is acknowledged, in a beat or at once
// after some. A connection that takes the place of another one begins with the name, the secret and the last number, so that no message
// is lost or comes twice. For Config.Grace after a connection ended its session is Away and waits; then it is Gone, and so it is at
// once after a goodbye. The time that the server's process itself stood still does not count.
//
// # Limits
//
//   - Names and secrets are sent as they are: use TLS.
//   - A client that is not heard is Away, whatever the reason. The cause is a hint: behind a proxy the kernel speaks of the proxy.
//   - Sessions are in memory: a server that restarts knows none.
//   - A message gets on when the other host acknowledges more of it (Linux), or the kernel takes more, which it does in steps of a
//     third of the socket's send buffer. Elsewhere, who takes less than that from one beat to the next is Suspect or Away, Slow.
//   - In TLS a record counts as come when it is whole: one who sends long messages at less than 16 KB from one beat to the next is
//     not heard meanwhile.
//
// docs/heartbeats.md in the repository explains heartbeats from the start.
package link
