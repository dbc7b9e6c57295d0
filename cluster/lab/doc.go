// Package lab is where the claims about package cluster are measured: whole clusters of the real code, over the network in
// memory of package clustertest, in virtual time, with plain memberlist in the same run as the control. It holds tests
// only.
//
// Think of a wind tunnel. The aircraft is the real one, at full size; the wind is ours, so the same gust can be blown at
// another aircraft too. One run blows one scenario at three systems, one after the other, with the same victims and the same
// faults at the same times:
//
//   - pulsering: cluster.Join with its default configuration, or what the flags say,
//   - memberlist: hashicorp/memberlist with DefaultLANConfig,
//   - memberlist-tuned: the same, tuned to detect as fast; its configuration is part of the result.
//
// A question of your own is one command; -list shows the scenarios, and what each flag is when it is not given:
//
//	go test ./cluster/lab -run '^TestLab$' -timeout 0 -v -args -scenario=crash -nodes=128 -kill=5 -loss=0.05 -minutes=10 -seed=7 -out=$PWD/result.json
//
// Without -scenario, TestLab runs a small version of every scenario against generous bounds. With -series it runs the whole
// series behind docs/results/lab.md, each run in a process of its own. It can be stopped and started again: runs that are
// there, made by the same code, are not made again; -only and -seeds make a part of it. Comments, tests of the instrument
// and the report do not count as code. A run under way ends in a file in lab/runs; when a series is through, they go into one archive, lab/runs.jsonl.gz.
//
// With -shortlist (make lab-short) it runs one seed of a part of the series and of cases beyond it, pulsering alone, and shows
// them beside the series and, with -against, beside another folder of such runs. That is for before and after a change:
// what is above all that was measured before is marked.
//
// # What is measured
//
// A member's view of another is what its last event said. Views of members that are blocked, cut off or otherwise made
// ill are left out of all judgements about views for as long as that lasts.
//
//   - detect_s: seconds from the fault to each survivor's first Down, over all pairs of victim and survivor. first, median,
//     p99 and max are over the pairs that were told, and null where there are none; never counts the others.
//   - false_down: Down events about members that live and are not blocked, and Left events about members that run and never
//     said goodbye, at all members and at unblocked ones. Downs of a member's former boot, and of a member that the fault hides
//     from the observer, or did until a second ago, are none of these, nor are those for the reason isolated at a member that
//     the fault is about. In the block scenario the blocked members do not count while they run either, as in the Lifeguard
//     paper (section V: an event "about an agent outside the anomalous set"); events about them are in resumed.
//   - member_hours: the sum of the virtual times that members ran. No event in h hours bounds the rate at 3.0/h with 95 %
//     confidence (-ln 0.05, the Poisson distribution; for more events see per_hour_95).
//   - packets_per_node_s, bytes_per_node_s: what the transport is given in packets, unencrypted and without headers.
//     Streams (memberlist's push/pull, whose size grows with the cluster) are in stream_bytes_per_node_s.
//     On lines with a -rate, dropped_line is how many packets found no room; dropped_full are those of all other queues.
//   - after_verdict: packets a second that survivors of a crash send from 2 to 30 s after the last of them was told; calm is
//     what they sent before it.
//   - isolated_healthy: Isolated events of members that no fault is about, such as the survivors where most of a cluster dies;
//     isolated_healthy_most is those of one member.
//   - agree_s: seconds from the fault's end until all views agree, and do so for a second: with the truth about members that
//     run and that do not, and with each other about those that the fault makes ill. Suspect counts as up. After several
//     faults it is the longest; null if they never agree before the run ends.
//     A fault that lasts to the end of the run has no agree_s (lossy-few): apart_s is the longest that views about one member
//     differed at a stretch, in all of the run.
//   - changes_per_ill_member: how often a healthy member saw an ill one go down, or up again, over pairs of the two. Suspect
//     counts as up; suspects is the number of all Suspect events, also of those at ill members about healthy ones.
//
// # Limits
//
// A process that stands still stops its timers as well. In one process with one clock that cannot be. A stalled member here
// is one of [clustertest.Network.Stall], whose goroutines wait where they send, and to which nothing comes in: it beats, probes, gossips, asks and answers
// nothing, and wakes with a backlog, as after SIGSTOP. But the timers of suspicions and of φ go on, so that it wakes with alarms
// that were raised on time, and cannot find out about its own pause from a timer that fires late: harsher than life. A
// blocked member is one behind Network.Block, as in the Lifeguard paper: all of it goes on, and what it sends comes out late.
// Real pauses (SIGSTOP) are for the tests with real processes.
//
// memberlist draws from the global source of randomness, so that a seed fixes faults and victims, not the whole run.
package lab
