// Package web serves what a node knows over HTTP: an API in JSON, a stream of events and a dashboard.
//
//	node, err := cluster.Join(ctx, cfg)
//	…
//	http.Serve(listener, web.Handler(node, web.Options{}))
//
// Think of the board in the hall of a station. Whoever is in the hall may read it, and no reader holds up a train. Who wants to
// change a departure needs the key of the office behind it.
//
//	GET  /                          the dashboard
//	GET  /v1/self                   this node
//	GET  /v1/members                all members by name; ?state=suspect,down and ?tag=zone=a choose among them
//	GET  /v1/members/{name}         why this node thinks of a member what it does, and its φ of the last minute
//	GET  /v1/events                 everybody's present state, then what changes: Server-Sent Events, or JSON lines
//	GET  /v1/stats                  counters since the start
//	GET  /v1/openapi.json           all of this for programs
//	GET  /livez, /readyz            200, or 503 and why: the process, and the node's place in the cluster; ?verbose
//	GET  /metrics                   Options.Metrics
//	POST /v1/leave                  says goodbye to the others
//	POST /v1/members/{name}/forget  has all members forget one that is down or has left
//	POST /v1/members/{name}/ping    asks a member whether it is there
//	GET  /v1/keys                   who has which key, by their identifiers
//	POST /v1/keys                   {"action":"add","key":"…"}: add, use or remove
//	GET  /v1/log-level, PUT         {"level":"debug"}
//
// Errors are {"error":"…"}. Fields and paths are only ever added under /v1.
//
// # Who may do what
//
// Those who reach the server on a loopback address, or on a Unix socket, may read. So may those who reach it on
// another address, unless there is a token (Options.Token): then they have to bring it, in Authorization: Bearer. The page,
// /livez, /readyz and /v1/openapi.json say nothing about members, and take no token. What changes something, and the keys, take the token
// wherever they are asked for, and cannot be had where there is none. [Server.Control] asks for none: it is for a socket
// that nobody but the node's owner can open.
//
// A program on the same machine that passes on what it gets from others, such as a reverse proxy, comes from a loopback address:
// it has to ask for a token itself.
//
// A page of another origin can neither read nor change anything. A browser names the page's origin and whether it is another
// one (Origin, Sec-Fetch-Site), and the server as its user wrote it (Host): names that are neither localhost nor in
// Options.Hosts are refused without the token, since whoever owns one can have it lead here. An address is nobody's name, and may
// be any.
//
// # Events
//
// An event is encoded once, for all streams. A stream is a place in the history of the last 1,024 events, and costs no more
// however slow its reader is. One that falls further behind is told so by an event of kind "gap", with the number of
// those that it misses in "folded", followed by everybody's present state. A reader that takes nothing for ten seconds is cut off.
//
// Each Server-Sent Event has an id, and who comes back with the last one (Last-Event-ID) gets what came after it, or a gap where that
// is not known: the history is too short, or it is another process. The present states have none of
// their own: after the last one comes the id that all of them belong to, by itself. Their time is when this node learnt of the state. A comment
// every 15 s shows that the connection lives. JSON lines (Accept: application/x-ndjson) have neither ids nor comments.
//
// # Cost
//
// Members are read from the node every 50 ms at most, and at once after an event, however many clients ask. φ of those that this node
// observes itself is kept twice a second, for a minute: 2 KB for each of 128 members at most.
package web
