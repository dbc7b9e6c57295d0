// Package detector watches many peers by their heartbeats and says when one falls silent, and when it is back.
//
// Think of a night watchman with a thousand lamps to keep an eye on, each of which blinks in its own rhythm. He does not
// stare at them in turn. For each he knows when a missing blink will be strange, and when it will be a reason to
// go and see; he sets one alarm clock for the first of those times, and when it rings, he mostly finds that the lamp
// has blinked since and sets it anew. And if he nods off himself, he does not believe on waking that all lamps are out.
//
// # Use
//
// A [Detector] is fed by anyone: whoever receives a heartbeat calls [Detector.Heartbeat] or one of its kin. How unusual a
// silence is, is φ, computed by an estimator for each peer (package phiaccrual): φ = 4 means that one heartbeat in
// 10^4 is as late as this. Where φ crosses [Config].SuspectPhi and DownPhi, the peer's [State] changes, and
// everyone who ranges over [Detector.Events] is told. Instead of the levels, Config can state what they are for: at most one
// false alarm per peer in so long a time.
//
// # How it works
//
// A heartbeat updates its peer's estimator, and that is all. It does not compute a deadline. The one that was
// computed earlier passes, is computed again (phiaccrual's Reaches), and has moved. A shorter interval, a lower
// threshold or a change of state brings a deadline forward at once. What heartbeats teach may do so too; then the peer is
// found when the old deadline passes, and never later. One goroutine with one timer does this for all peers.
//
// A heartbeat of a peer that is Up takes no lock but the peer's own, and finds it in an index that is read without one, so
// goroutines which report heartbeats of different peers do not meet. All else, the index and the deadlines, is divided
// among eight shards by the hash of the peers' ids, each under one lock.
//
// # Pauses of this process
//
// When this process is stopped (SIGSTOP, a paused VM, a machine with too much to do), all peers look silent at its
// end. The detector measures that it was late, forgives each peer the heartbeats that were due meanwhile, learns
// nothing from those that waited in queues, and judges only after listening again for a while. A peer that died during the
// pause is found within an ordinary detection time after it. See the ear type for how, and the tests for
// what that was measured on: a real process stopped for 10 s among 1,000 peers calls none of them suspect.
//
// # Limits
//
//   - A pause shorter than about three eighths of the shortest interval, or than about 15 ms where that is more, is not put
//     right; it puts judgement off for as long, unless it is shorter than 10 ms. If a socket's buffer overflows in such a
//     pause, its heartbeats count as lost. So at intervals of a few milliseconds live peers may be called down for one: at
//     1 ms, for a pause of 4 or 8 ms.
//   - A suspended machine whose monotonic clock stands still needs nothing put right; one whose clock goes on is a pause.
//   - The detector cannot tell a peer that died from a network that fails between here and there, and believes every
//     heartbeat that it is told of: authenticate them before.
//
// # Cost
//
// A heartbeat and a look at a peer take constant work, however many peers there are; what grows is the time that they wait
// for memory. Nothing is allocated by a heartbeat. Peers are found by ids of any kind; ids that are strings of up to 36
// bytes are found with one wait less. Beyond some thirty thousand peers, huge pages of memory are asked for where the system
// leaves that to the program (Linux: madvise). The design document says what each of these brings.
//
// Measured on 2 cores of an Intel Xeon (2 MB L2 each; 205 ns for a load from memory), free of other work, as nanoseconds a
// heartbeat on one core, medians of five runs (looks: three). Ids are strings out of a packet, not those that were
// watched. Arrival: in the order in which the peers were watched, give or take a hundredth of the interval. Random: in
// none.
//
//	peers                      10^3   10^5   10^6
//	Heartbeat, arrival           76    237    388
//	           random            75    308    473
//	Batch of 100, arrival        45     65     87
//	              random         45     76    108
//	a look at a peer            560    783    907
//	memory, bytes a peer        419    384    369
//
// Among a million peers a single heartbeat waits for memory twice in a row: 2.1 to 2.6 million a second on one core. A
// batch asks for the memory of all its heartbeats first, and then waits for all at once: 9 to 11 million.
//
// Two goroutines on two cores do twice the work of one: 1.9 times at 10^3 peers, 2.0 and more at 10^5 and 10^6, where
// the second core also brings its caches (BenchmarkTwoGoroutines in the order of arrival). Only among few peers whose
// memory lies mixed (10^3, random order) is it 1.15 times.
//
// Reproduce with go test ./detector -run '^$' -bench .
package detector
