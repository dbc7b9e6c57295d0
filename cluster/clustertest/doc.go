// Package clustertest is a network in memory for whole clusters: every node
// gets a memberlist.Transport from one [Network], which delays, loses, holds
// back and cuts what they send to each other, and counts it.
//
// Think of a model railway. The trains are real — unchanged memberlist, or
// anything built on it — and only the tracks are ours, so we decide where a
// signal fails. And since nothing on the tracks needs a socket, the clock can be
// ours too: inside a testing/synctest bubble a cluster lives through an hour in
// seconds, and outside of one everything runs in real time, unchanged.
//
//	synctest.Test(t, func(t *testing.T) {
//		network, err := clustertest.New(clustertest.Options{Seed: 7}) // inside the bubble
//		...
//		transport, err := network.Transport("10.0.0.7:7946")
//		config := memberlist.DefaultLANConfig()
//		config.Transport = transport
//		...
//		network.SetLink(few, all, clustertest.Link{Loss: clustertest.Independent(0.8)})
//		network.Kill("10.0.0.7:7946")
//		time.Sleep(time.Minute) // of virtual time
//	})
//
// # The model
//
// A node is an address with a transport. A packet to it is sent at once and
// never blocks; its [Link] draws whether it is lost, and when it arrives; it
// then waits in the queue of the address until the node reads it. Streams
// arrive whole and in order, and pay for loss with time, as TCP does.
//
// Faults come in layers, which do not mix:
//
//   - [Network.SetLink] and [Network.SetRegions] set delay, loss and
//     duplication, for any two sets of addresses.
//   - [Network.SetRate] gives an address a slow line, with a queue that has an
//     end.
//   - [Network.Cut], [Network.Split], [Network.Isolate] and [Network.Heal]
//     lose everything between sets of addresses, one way or both.
//   - [Network.Block] and [Network.Unblock] hold everything back at a node, and
//     let it go; [Network.Stall] and [Network.Resume] stop the node's senders too.
//   - [Network.Kill] crashes a node; [Network.Transport] at the same address
//     is its restart.
//
// A fault concerns what is sent from then on; what is in flight arrives.
//
// # Limits
//
// All randomness of the network comes from Options.Seed, but goroutines run in
// whatever order the scheduler likes, and memberlist draws from the global
// random source. So a seed gives the same luck, not the same run: assert
// bounds, and repeat.
//
// Processing takes no virtual time, and packets take none but where
// [Network.SetRate] limits a line. Nodes share one clock, so a node that stands still has timers that do not:
// see [Network.Stall].
//
// For memberlist in virtual time: turn EnableCompression off (half of all
// garbage), create nodes some 37 ms apart (otherwise all their tickers beat at
// the same instants for ever), never block in its callbacks (its mutex does not
// let the virtual clock go on), and after shutting all nodes down sleep longer
// than ProbeInterval × AwarenessMaxMultiplier, so that probes under way end
// before the bubble does.
package clustertest
