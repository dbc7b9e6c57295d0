// Package cluster tells a service which members of its cluster are alive.
//
// Think of neighbours who all have a key to each other's letterbox. Each morning the postman of one house, by turns, rings at
// another: a heartbeat. If he does not come one morning, the neighbour first knocks at his door, then asks the others on
// the street whether they saw him. One who heard nothing may have slept; if several of them say so, and nobody
// opens the door, the street knows it within the hour.
//
// [Join] makes a process a member; [Node.Events] tells what happens to the others: [Up], [Suspect], [Down], [Left], and
// [Isolated] when it is this node that is cut off. Members find each other and exchange addresses and tags through
// hashicorp/memberlist; who is alive they decide by heartbeats:
//
//   - Each member beats every Config.Beat to the next of its observers, its neighbours on a few hashed rings. Traffic and
//     detection time do not depend on the number of members.
//   - An observer that misses a heartbeat asks the member, then the others who listen to it. Their doubts add up to φ: φ = 9
//     means that one heartbeat in 10⁹ would leave all of them in such doubt. At the φ that keeps the promise of
//     Config.FalseAlarmEvery, and once the silence is longer than Config.StallAllowance, the member is down.
//   - The verdict goes from neighbour to neighbour. Whoever has later evidence answers with it, and the later evidence stands.
//
// # What one may rely on
//
// Every boot of a process that was up ends with one Down or Left before a higher boot of that name is up, for each
// subscriber, however slow. A living member that anybody was told to be down learns of it: [Accused], and an Epoch that with the
// Boot is a fencing token for the work that was handed to others meanwhile. A member that is alive and reachable is up again after any mistake. Names are held by one
// live process. All methods may be called from any goroutine; nothing but Join and Leave waits for the network.
//
// # Limits
//
// Nothing is agreed on: in a partition of four or more each side calls the other down, and two members that lose their link call
// each other down. One that is cut off alone from two or more others is [Isolated]. It calls nobody down for
// Config.IsolatedDownAfter, but those whose hosts refuse connections; then it shows the others as down to its own subscribers, and
// tells nobody else. Which side is right it cannot know. Without Config.Keys whoever can send packets can say what a member could
// say. A member that beats but hears nobody is suspect for those who observe it and up for the rest.
//
// docs/design.md in the repository has the messages, the states and what was tried.
package cluster
