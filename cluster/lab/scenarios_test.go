package lab

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// scenario is a story and the size that it has unless flags say otherwise.
type scenario struct {
	doc      string
	defaults func(*params)
	story    func(*world)
}

// scenarios is filled by init, as the stories look at themselves through params.
var scenarios map[string]scenario

func scenarioNames() []string { return slices.Sorted(maps.Keys(scenarios)) }

// wanDelay is one way, within a region, between neighbours, and between the outer two.
var wanDelay = []time.Duration{time.Millisecond, 40 * time.Millisecond, 150 * time.Millisecond}

func init() {
	scenarios = map[string]scenario{
		"crash": {
			"-kill members crash at one instant, half way through",
			func(p *params) { p.Kill = 1 }, crash,
		},
		"loss": {
			"nobody crashes; every path loses -loss of its packets",
			func(p *params) { p.Nodes, p.Minutes, p.Loss = 128, 60, 0.05 }, nothing,
		},
		"burst": {
			"nobody crashes; every path is out for -loss of the time, for -burst on average",
			func(p *params) { p.Nodes, p.Minutes, p.Loss, p.Burst = 128, 60, 0.05, time.Second }, nothing,
		},
		"block": {
			"-few members are blocked for -fault at the same time, then run for -between, again and again (Lifeguard's Interval experiment; -between=0: once, its Threshold experiment)",
			func(p *params) {
				p.Nodes, p.Minutes, p.Few, p.Fault, p.Between = 128, 2, 4, 2048*time.Millisecond, 256*time.Millisecond
			}, block,
		},
		"stall": {
			"every member stalls now and then (every -between on average), for -least to -fault, log-uniform; longer than pulsering's stall allowance excuses a down",
			func(p *params) {
				p.Nodes, p.Minutes, p.Fault, p.Between = 128, 60, 300*time.Millisecond, 30*time.Second
			}, stall,
		},
		"cut": {
			"half and half, or -few and the rest, for -fault, then healed",
			func(p *params) { p.Nodes, p.Fault = 36, time.Minute }, cut,
		},
		"isolate": {
			"-few members alone for -fault, each cut off from everybody",
			func(p *params) { p.Nodes, p.Minutes, p.Few, p.Fault = 50, 7, 1, 5*time.Minute }, isolate,
		},
		"oneway": {
			"nothing gets in to -few members for -fault, then all for -between, again and again (Rapid's flip-flop)",
			func(p *params) { p.Minutes, p.Fault, p.Between = 10, 20*time.Second, 20*time.Second }, oneway,
		},
		"lossy-few": {
			"-few members lose -few-loss of what they send and are sent",
			func(p *params) { p.Minutes, p.FewLoss = 10, 0.8 }, lossyFew,
		},
		"restart": {
			"-kill members (0: every one) crash one after the other and return after -fault, every second one at another address",
			func(p *params) {
				p.Nodes, p.Minutes, p.Kill, p.Fault, p.Between = 50, 5, 20, 500*time.Millisecond, 10*time.Second
			}, restart,
		},
		"join-storm": {
			"-nodes members join within 2 s; then -churn joins and as many leaves a minute",
			func(p *params) { p.Nodes, p.Minutes, p.Churn = 200, 10, 50 }, joinStorm,
		},
		"wan": {
			"three regions, 1 / 40 / 150 ms one way, -kill crashes half way through",
			func(p *params) { p.Nodes, p.Minutes, p.Kill = 60, 60, 1 }, wan,
		},
	}
}

func nothing(w *world) {
	w.form()
	w.begin()
	w.wait(w.p.length())
}

func crash(w *world) {
	w.form()
	w.begin()
	w.wait(w.p.length() / 2)
	w.moment()
	victims := w.victims()
	calm := w.counted()
	w.kill(victims...)
	w.ledger.ended(time.Now(), nil)
	w.aftermath(calm)
	w.wait(w.p.length())
}

// The window after a verdict in which the survivors are to send no more than before the crash.
const (
	quietFrom = 2 * time.Second
	quietTo   = 30 * time.Second
)

// aftermath compares what each survivor sends after a crash with what it had sent before, which is calm. The window begins
// when the last of them has been told; nothing is compared if the run ends before the window does.
func (w *world) aftermath(calm count) {
	for w.ledger.open() > 0 {
		if w.over(quietTo) {
			return
		}
		w.sleep(50 * time.Millisecond)
	}
	if w.over(quietTo) {
		return
	}
	w.sleep(quietFrom)
	begin := w.counted()
	w.sleep(quietTo - quietFrom)
	end := w.counted()
	w.after = &aftermath{}
	for i, n := range end.packets {
		rate := float64(n-begin.packets[i]) / (end.at - begin.at).Seconds()
		w.after.Calm += float64(calm.packets[i]) / calm.at.Seconds()
		w.after.Packets += rate
		w.after.Most = max(w.after.Most, rate)
	}
	survivors := float64(len(end.packets))
	w.after.Calm, w.after.Packets = *rounded(w.after.Calm / survivors), *rounded(w.after.Packets / survivors)
	w.after.Most = *rounded(w.after.Most)
}

// victims are those to be killed, the same in each system: where the observers of a member are to die with it, those that the
// first system tells, or nine members if that one cannot tell.
func (w *world) victims() []int {
	victims := w.pick(w.p.Kill)
	if !w.p.KillObservers {
		return victims
	}
	if w.shared.victims == nil {
		subject := w.pick(1)[0]
		w.shared.victims = []int{subject}
		for i, m := range w.members {
			if m != nil && m.node != nil && slices.Contains(m.node.observes(), name(subject)) {
				w.shared.victims = append(w.shared.victims, i)
			}
		}
		switch {
		case len(w.shared.victims) > 1:
		case w.system.name == "pulsering":
			w.t.Fatalf("nobody observes %s", name(subject))
		default:
			w.shared.victims = w.pick(9)
		}
	}
	return w.shared.victims
}

func block(w *world) {
	w.form()
	few := w.pick(w.p.few())
	for _, m := range few {
		w.ledger.anomaly(m)
	}
	w.begin()
	w.moment()
	for again := true; again && !w.over(w.p.Fault); again = w.p.Between > 0 {
		w.block(0, few...)
		for _, m := range few {
			w.ledger.awaitDown(time.Now(), m, nil)
		}
		w.sleep(w.p.Fault)
		w.unblock(few...)
		w.ledger.ended(time.Now(), few)
		w.sleep(w.p.Between)
	}
	w.wait(w.p.length())
}

// leastStall is the shortest stall; the design's stalls go from 50 ms to 2 s.
const leastStall = 50 * time.Millisecond

func stall(w *world) {
	w.form()
	w.begin()
	allowance := or(w.p.StallAllowance, cluster.DefaultStallAllowance)
	type event struct {
		at     time.Duration
		member int
		length time.Duration // 0: the end of one
	}
	// All are drawn ahead, so that each system gets the same.
	var events []event
	least := or(w.p.Least, min(leastStall, w.p.Fault))
	spread := float64(w.p.Fault) / float64(least)
	for m := range w.p.Nodes {
		for at := time.Duration(0); ; {
			at += time.Duration(w.rng.ExpFloat64() * float64(w.p.Between))
			length := time.Duration(float64(least) * math.Pow(spread, w.rng.Float64()))
			if at+length+2*rest > w.p.length() {
				break
			}
			events = append(events, event{at, m, length}, event{at + length, m, 0})
			at += length
		}
	}
	const comeOrGo = -1
	if w.p.Churn > 0 {
		apart := time.Minute / time.Duration(2*w.p.Churn)
		for at := apart; at+2*rest <= w.p.length(); at += apart {
			events = append(events, event{at: at, member: comeOrGo})
		}
	}
	slices.SortFunc(events, func(a, b event) int { return cmp.Compare(a.at, b.at) })
	next, oldest := w.p.Nodes, w.p.Nodes // of those that come and go
	for _, e := range events {
		w.wait(e.at)
		if e.member == comeOrGo {
			if gone := oldest; next > gone && w.runs(gone) {
				w.leave(gone)
				oldest++
			} else if next < len(w.members) {
				w.start(next, address(next, 0))
				next++
			}
			continue
		}
		if e.length == 0 {
			w.resume(e.member)
			w.ledger.ended(time.Now(), []int{e.member})
			continue
		}
		w.stall(allowance, e.member)
		if e.length > allowance {
			w.ledger.awaitDown(time.Now(), e.member, nil)
		}
	}
	w.wait(w.p.length())
}

func cut(w *world) {
	w.form()
	w.begin()
	w.sleep(rest)
	w.moment()
	members := w.pick(w.p.Nodes)
	near := members[:or(w.p.Few, len(members)/2)]
	far := members[len(near):]
	w.must(w.network.Split(w.addrs(near...), w.addrs(far...)))
	side := map[int]int{}
	for i, half := range [][]int{near, far} {
		for _, m := range half {
			side[m] = i + 1
			w.ledger.sided(time.Now(), m, i+1)
		}
	}
	for _, m := range members {
		w.ledger.awaitDown(time.Now(), m, func(o int) bool { return side[o] != side[m] })
	}
	w.sleep(w.p.Fault)
	w.must(w.network.Heal(w.addrs(near...), w.addrs(far...)))
	for _, m := range members {
		w.ledger.sided(time.Now(), m, 0)
	}
	w.ledger.ended(time.Now(), nil)
	w.wait(w.p.length())
}

func isolate(w *world) {
	w.form()
	w.begin()
	w.sleep(rest)
	w.moment()
	few := w.pick(w.p.few())
	for i, m := range few {
		w.must(w.network.Isolate(w.addrs(few[i])[0]))
		w.ledger.sick(time.Now(), m, 0)
	}
	for _, m := range few {
		w.ledger.awaitDown(time.Now(), m, nil)
	}
	w.sleep(w.p.Fault)
	w.must(w.network.Heal([]string{clustertest.Everyone}, []string{clustertest.Everyone}))
	for _, m := range few {
		w.ledger.well(time.Now(), m)
	}
	w.ledger.ended(time.Now(), nil)
	w.wait(w.p.length())
}

func oneway(w *world) {
	w.form()
	w.begin()
	w.sleep(rest)
	w.moment()
	few := w.pick(w.p.few())
	for _, m := range few {
		w.ledger.anomaly(m)
	}
	all := []string{clustertest.Everyone}
	for !w.over(w.p.Fault) {
		w.must(w.network.Cut(all, w.addrs(few...)))
		for _, m := range few {
			w.ledger.sick(time.Now(), m, 0) // for good: what is true about them while the way is open is nobody's to say
			w.ledger.awaitDown(time.Now(), m, nil)
		}
		w.sleep(w.p.Fault)
		w.must(w.network.Heal(all, w.addrs(few...)))
		w.ledger.ended(time.Now(), nil)
		w.sleep(w.p.Between)
	}
	w.wait(w.p.length())
}

func lossyFew(w *world) {
	w.form()
	w.begin()
	w.sleep(rest)
	w.moment()
	few := w.pick(w.p.few())
	bad := clustertest.Link{Loss: clustertest.Independent(w.p.FewLoss)}
	all := []string{clustertest.Everyone}
	w.must(w.network.SetLink(w.addrs(few...), all, bad))
	w.must(w.network.SetLink(all, w.addrs(few...), bad))
	for _, m := range few {
		w.ledger.anomaly(m)
		w.ledger.sick(time.Now(), m, 0)
	}
	for _, m := range few {
		w.ledger.awaitDown(time.Now(), m, nil)
	}
	w.wait(w.p.length()) // the fault has no end
}

func restart(w *world) {
	w.form()
	w.begin()
	w.sleep(rest)
	w.moment()
	turns := w.pick(or(w.p.Kill, w.p.Nodes))
	for i, m := range turns {
		if w.over(w.p.Fault + rest) {
			break
		}
		addr := w.members[m].addr
		w.kill(m)
		w.sleep(w.p.Fault)
		if i%2 == 1 {
			addr = address(m, 1)
		}
		w.ledger.awaitUp(time.Now(), m)
		joined := w.start(m, addr)
		<-joined
		w.ledger.ended(time.Now(), []int{m})
		w.sleep(w.p.Between)
		w.moment()
	}
	w.wait(w.p.length())
}

func joinStorm(w *world) {
	w.slow()
	<-w.start(0, address(0, 0))
	w.begin()
	apart := 2 * time.Second / time.Duration(w.p.Nodes)
	for i := 1; i < w.p.Nodes; i++ {
		w.start(i, address(i, 0))
		time.Sleep(apart)
	}
	w.starting.Wait()
	w.ledger.ended(time.Now(), nil)
	w.agree(w.p.length())
	w.sleep(rest)
	w.moment()
	w.meter.weigh(w.p.Nodes)
	next := w.p.Nodes
	for w.p.Churn > 0 && !w.over(2*rest) && next < len(w.members) {
		w.start(next, address(next, 0))
		next++
		w.sleep(time.Minute / time.Duration(2*w.p.Churn))
		w.leave(w.pick(1)[0])
		w.sleep(time.Minute / time.Duration(2*w.p.Churn))
	}
	w.starting.Wait()
	w.ledger.ended(time.Now(), nil)
	w.wait(w.p.length())
}

func wan(w *world) {
	// Addresses that are not in use yet may be named already: member i is in region i mod 3.
	regions := make([][]string, len(wanDelay))
	for i := range w.p.Nodes {
		regions[i%len(regions)] = append(regions[i%len(regions)], address(i, 0))
	}
	w.must(w.network.SetRegions(regions, func(i, j int) clustertest.Link {
		d := wanDelay[max(i-j, j-i)]
		return clustertest.Link{Delay: clustertest.Uniform(d*3/4, d*5/4), Loss: w.p.losses()}
	}))
	crash(w)
}
