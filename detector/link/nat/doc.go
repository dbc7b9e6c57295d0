// Package nat finds out for how long the network lets a connection sleep, and keeps one open with
// the fewest beats.
//
// Think of the porter of a hotel who holds the door for guests that went out for a moment. He does
// not say for how long he remembers them, and who comes back too late is a stranger. So one sends a
// friend, who has nothing to lose, out for a minute, then for two, and so on; and comes back
// oneself in half the time that the friend was still known after.
//
// NATs, firewalls and load balancers are such porters. They forget a connection on which nothing
// was said for a while, and tell neither end. The friend is a spare connection, the guest the one
// that matters.
//
// # Use
//
// A [Search] tries many sleeps side by side: the command "pulsering nat" does that. A [Learner] is
// for a program that stays connected: it begins with a safe interval and tries longer ones on one
// spare connection at a time. Its interval goes up as they hold, and back to the safe one at once
// when the connection that matters is lost. A [Memory] keeps what was found, for each network.
//
// # Half
//
// The interval is at most half of the longest sleep that held, see [Half].
//
// # What is measured
//
// Nothing is said on a spare connection: the server neither pings nor judges it, and TCP keep-alive
// is off at both ends. After the sleep the server speaks first. That is the harder direction: many
// a NAT takes what its own side sends on a forgotten connection for a new one, and lets it through.
// A connection that was closed, reset or left in silence is only held for forgotten if a fresh one
// is answered by the same server process; otherwise nothing is known, and it is tried again.
//
// # Limits
//
//   - The server has to be a link.Server: an earlier one does not let a connection sleep
//     undisturbed, which is an error.
//   - A NAT that runs out of places forgets earlier than it does today. Hence half, and the way
//     back at a loss.
//   - Behind a balancer that spreads connections over several servers it may take some tries to
//     meet the same one again.
package nat
