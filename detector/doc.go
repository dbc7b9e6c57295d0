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
// computed earlier passes, is computed again (phiaccrual's Reaches), and has moved. Only a shorter interval, a lower
// threshold or a change of state brings a deadline forward. One goroutine with one timer does this for all peers.
//
// Peers are divided among a few shards by the hash of their id, each with a lock of its own, so that goroutines which report
// heartbeats of different peers seldom meet.
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
//   - A pause shorter than about three eighths of the shortest interval is not put right; it only puts judgement off for as
//     long. If a socket's buffer overflows in such a pause, its heartbeats count as lost.
//   - A suspended machine whose monotonic clock stands still needs nothing put right; one whose clock goes on is a pause.
//   - The detector cannot tell a peer that died from a network that fails between here and there, and believes every
//     heartbeat that it is told of: authenticate them before.
//   - Ids that are not equal to themselves (a NaN within) can be watched and never found again.
//
// # Cost
//
// Measured on 2 cores of an Intel Xeon (2 MB L2 each; 205 ns for a load from memory), shared with other work, as
// nanoseconds of processor time a heartbeat in the best and worst of three runs; ids are strings, their peers in
// random order:
//
//	peers                         10^3       10^5       10^6
//	HeartbeatSeq                80 … 87  340 … 460  930 … 980
//	HeartbeatSeq, 2 goroutines  71 … 105 370 … 390  840 … 900
//	Batch of 100                39 … 41  129 … 131  324 … 348
//	memory, bytes a peer          369        298        292
//
// Nothing is allocated. Among a million peers a single heartbeat waits for memory three times in a row, about one million
// a second on one core; a batch waits for many at once, three million a second. A heartbeat costs each of two goroutines
// on two cores what it costs one alone, so together they do twice as many. A million peers that beat every 10 s, in
// batches of a thousand, took 17 % of a core in all, deadlines included.
//
// Reproduce with go test ./detector -run '^$' -bench .
package detector
