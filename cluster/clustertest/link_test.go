package clustertest_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

const (
	ms = time.Millisecond
	us = time.Microsecond
)

// delays floods a path with delay d and returns the sorted delays.
func delays(t *testing.T, seed uint64, d clustertest.Delay, count int) (sorted []time.Duration) {
	inBubble(t, clustertest.Options{Seed: seed, Link: clustertest.Link{Delay: d}}, func(t *testing.T, n *clustertest.Network) {
		for _, a := range flood(t, open(t, n, addrA), open(t, n, addrB), count, ms) {
			sorted = append(sorted, a.delay)
		}
	})
	if len(sorted) != count {
		t.Fatalf("%d of %d packets arrived", len(sorted), count)
	}
	slices.Sort(sorted)
	return sorted
}

func TestDelaysFollowTheirDistribution(t *testing.T) {
	// The quantile functions, from the tails in the documentation.
	uniform := func(least, most time.Duration) func(float64) float64 {
		return func(q float64) float64 { return float64(least) + q*float64(most-least) }
	}
	tests := []struct {
		name     string
		delay    clustertest.Delay
		quantile func(q float64) float64
	}{
		{"zero", clustertest.Delay{}, uniform(150*us, 250*us)},
		{"constant", clustertest.Constant(3 * ms), uniform(3*ms, 3*ms)},
		{"none", clustertest.Constant(0), uniform(0, 0)},
		{"uniform", clustertest.Uniform(ms, 9*ms), uniform(ms, 9*ms)},
		{"exponential", clustertest.Exponential(2*ms, 5*ms), func(q float64) float64 {
			return float64(2*ms) - float64(5*ms)*math.Log(1-q)
		}},
		{"pareto", clustertest.Pareto(2*ms, 5*ms, 1.5), func(q float64) float64 {
			return float64(2*ms) + float64(5*ms)*(math.Pow(1-q, -1/1.5)-1)
		}},
		{"func", clustertest.DelayFunc(func(r *rand.Rand) time.Duration { return time.Duration(r.IntN(8)-2) * ms }), func(q float64) float64 {
			return math.Max(0, math.Floor(q*8)-2) * float64(ms) // negative ones become 0
		}},
	}
	const count = 5_000
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range uint64(2) {
				got := delays(t, seed, tt.delay, count)
				// The share of samples below the true quantile q is q ± 4 standard deviations.
				for _, q := range []float64{0.05, 0.35, 0.65, 0.95, 0.999} {
					slack := 4 * math.Sqrt(q*(1-q)/count)
					lo, hi := tt.quantile(max(0, q-slack)), tt.quantile(min(q+slack, 1-1e-9))
					if d := float64(got[int(q*count)]); d < lo-1 || d > hi+1 {
						t.Errorf("seed %d: quantile %v = %v, want %v to %v", seed, q, time.Duration(d), time.Duration(lo), time.Duration(hi))
					}
				}
				if least := tt.quantile(0); float64(got[0]) < least {
					t.Errorf("seed %d: least delay %v is below %v", seed, got[0], time.Duration(least))
				}
			}
		})
	}
}

func TestDelaysStayWithinAnHour(t *testing.T) {
	got := delays(t, 1, clustertest.Pareto(0, time.Hour, 0.01), 1000)
	if got[0] < 0 || got[len(got)-1] != time.Hour {
		t.Errorf("delays from %v to %v, want 0 to 1h", got[0], got[len(got)-1])
	}
}

// An extra without scale is none, however heavy its tail.
func TestParetoWithoutScale(t *testing.T) {
	least := 100 * ms
	o := clustertest.Options{Link: clustertest.Link{Delay: clustertest.Pareto(least, 0, 0.01)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		early := 0
		for _, x := range flood(t, a, b, 10_000, ms) {
			if x.delay < least {
				early++
			}
		}
		if early > 0 {
			t.Errorf("%d of 10000 packets arrived before the least delay of %v", early, least)
		}
	})
}

func TestSpreadReordersAndConstantDoesNot(t *testing.T) {
	for _, tt := range []struct {
		delay   clustertest.Delay
		reorder bool
	}{{clustertest.Uniform(ms, 10*ms), true}, {clustertest.Constant(5 * ms), false}} {
		for _, gap := range []time.Duration{0, ms} {
			inBubble(t, clustertest.Options{Link: clustertest.Link{Delay: tt.delay}}, func(t *testing.T, n *clustertest.Network) {
				got := flood(t, open(t, n, addrA), open(t, n, addrB), 200, gap)
				if len(got) != 200 {
					t.Errorf("%d of 200 packets arrived", len(got))
				}
				sorted := slices.IsSortedFunc(got, func(a, b arrival) int { return a.seq - b.seq })
				if sorted == tt.reorder {
					t.Errorf("%+v, gap %v: in order: %v, want %v", tt.delay, gap, sorted, !tt.reorder)
				}
			})
		}
	}
}

// losses floods one path with loss l and says for each packet whether it was lost.
func losses(t *testing.T, seed uint64, l clustertest.Loss, count int, gap time.Duration) []bool {
	lost := make([]bool, count)
	for i := range lost {
		lost[i] = true
	}
	o := clustertest.Options{Seed: seed, Queue: count, Link: clustertest.Link{Loss: l, Delay: clustertest.Constant(ms)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		for _, a := range flood(t, open(t, n, addrA), open(t, n, addrB), count, gap) {
			lost[a.seq] = false
		}
		c, err := n.Counters(addrA)
		check(t, err)
		if want := count - int(c.Lost.Packets); want != count-countTrue(lost) {
			t.Errorf("Lost = %d, but %d did not arrive", c.Lost.Packets, countTrue(lost))
		}
	})
	return lost
}

func countTrue(bs []bool) (n int) {
	for _, b := range bs {
		if b {
			n++
		}
	}
	return n
}

// runs returns the number and the mean length of the runs of losses.
func runs(lost []bool) (count int, mean float64) {
	for i, l := range lost {
		if l && (i == 0 || !lost[i-1]) {
			count++
		}
	}
	return count, float64(countTrue(lost)) / float64(max(count, 1))
}

func near(t *testing.T, what string, got, want, slack float64) {
	t.Helper()
	if !(math.Abs(got-want) <= slack) {
		t.Errorf("%s = %.4g, want %.4g ± %.2g", what, got, want, slack)
	}
}

func TestIndependentLoss(t *testing.T) {
	const count = 20_000
	for _, p := range []float64{0, 0.01, 0.05, 0.2, 0.8, 1} {
		for seed := range uint64(2) {
			lost := losses(t, seed, clustertest.Independent(p), count, 0)
			near(t, "loss", float64(countTrue(lost))/count, p, 4*math.Sqrt(p*(1-p)/count))
			if n, mean := runs(lost); n > 100 && p < 1 {
				// Runs are geometric: mean 1/(1−p), variance p/(1−p)².
				near(t, "run of losses", mean, 1/(1-p), 4*math.Sqrt(p/float64(n))/(1-p))
			}
		}
	}
}

func TestGilbertElliottLoss(t *testing.T) {
	const count = 50_000
	for _, tt := range []struct{ p, r, good, bad float64 }{
		{0.01, 0.25, 0, 1},
		{0.005, 0.05, 0, 1},
		{0.02, 0.1, 0.01, 0.6},
		{0, 1, 0.1, 1},   // always good
		{1, 0, 0, 0.9},   // always bad
		{1, 1, 0.2, 0.4}, // alternating
	} {
		for seed := range uint64(2) {
			lost := losses(t, seed, clustertest.GilbertElliott(tt.p, tt.r, tt.good, tt.bad), count, 0)
			share := tt.p / (tt.p + tt.r)
			rate := (1-share)*tt.good + share*tt.bad
			// The sum over a chain with correlation ρ from packet to packet varies
			// (1+ρ)/(1−ρ) times as much as independent losses.
			ρ := 1 - tt.p - tt.r
			vary := rate * (1 - rate) / count * max(1, (1+ρ)/(1-ρ))
			near(t, "loss", float64(countTrue(lost))/count, rate, 4*math.Sqrt(vary))
			if tt.good == 0 && tt.bad == 1 {
				n, mean := runs(lost)
				near(t, "burst", mean, 1/tt.r, 4/tt.r/math.Sqrt(float64(n)))
			}
		}
	}
}

func TestOutagesLastSomeTimeHoweverLittleIsSent(t *testing.T) {
	const share, mean, gap = 0.4, 50 * ms, 5 * ms
	for seed := range uint64(2) {
		// Seen every 5 ms the path is out for runs of about 50 ms. Of the time
		// that is not an outage's, a share of 0.4 is out too, hence
		// P(still out after gap) = share + (1−share)·exp(−gap/((1−share)·mean)).
		const count = 40_000
		lost := losses(t, seed, clustertest.Outages(share, mean), count, gap)
		stay := share + (1-share)*math.Exp(-float64(gap)/((1-share)*float64(mean)))
		want := count * share * (1 - stay)
		n, length := runs(lost)
		near(t, "outages", float64(n), want, 4*math.Sqrt(want))
		near(t, "their mean length", length, 1/(1-stay), 4/(1-stay)/math.Sqrt(want))
		// Seen once a second it shows the share alone, without any memory.
		const seldom = 5_000
		lost = losses(t, seed, clustertest.Outages(share, mean), seldom, time.Second)
		near(t, "loss", float64(countTrue(lost))/seldom, share, 4*math.Sqrt(share*(1-share)/seldom))
		n, length = runs(lost)
		near(t, "run of losses", length, 1/(1-share), 4*math.Sqrt(share/float64(n))/(1-share))
	}
}

// A new Loss has nothing of the old one's state, here an outage of an hour or so.
func TestNewLossBeginsAnew(t *testing.T) {
	inBubble(t, clustertest.Options{Seed: 1}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		check(t, n.SetLink(everyone, everyone, clustertest.Link{Loss: clustertest.Outages(0.999, time.Hour)}))
		for range 100 {
			send(t, a, addrB, "x")
			time.Sleep(ms)
		}
		received(b)
		check(t, n.SetLink(everyone, everyone, clustertest.Link{Loss: clustertest.Outages(0, time.Hour)}))
		for range 100 {
			send(t, a, addrB, "x")
			time.Sleep(ms)
		}
		if lost := 100 - len(received(b)); lost > 0 {
			t.Errorf("%d of 100 lost on a path that is never out", lost)
		}
	})
}

// With one state for all paths, what goes to C would shorten the bursts to B.
func TestEachPathHasItsOwnBursts(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Loss: clustertest.GilbertElliott(0.01, 0.1, 0, 1)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		lost := make([]bool, 10_000)
		for i := range lost {
			for range 3 {
				send(t, a, addrC, "chaff")
			}
			send(t, a, addrB, "x")
			time.Sleep(ms)
			lost[i] = len(received(b)) == 0
		}
		bursts, mean := runs(lost)
		near(t, "burst", mean, 10, 40/math.Sqrt(float64(bursts)))
	})
}

func TestDuplicatesAreIndependentCopies(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{Duplicate: 0.25, Delay: clustertest.Uniform(ms, 2*ms)}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		got := flood(t, open(t, n, addrA), open(t, n, addrB), 10_000, 10*ms)
		near(t, "arrivals", float64(len(got)), 12_500, 4*math.Sqrt(10_000*0.25*0.75))
		seen := make(map[int]time.Duration)
		for _, a := range got {
			if first, again := seen[a.seq]; again && first == a.delay {
				t.Errorf("packet %d came twice after the same %v", a.seq, first)
			}
			seen[a.seq] = a.delay
		}
	})
	inBubble(t, clustertest.Options{Link: clustertest.Link{Duplicate: 1}}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		send(t, a, addrB, "x")
		first, second := <-b.PacketCh(), <-b.PacketCh()
		first.Buf[0] = 'y'
		if string(second.Buf) != "x" {
			t.Error("the two copies share their bytes")
		}
	})
}

func TestSetLinkLatestRuleCounts(t *testing.T) {
	inBubble(t, clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(ms)}}, func(t *testing.T, n *clustertest.Network) {
		nodes := map[string]*clustertest.Transport{addrA: open(t, n, addrA), addrB: open(t, n, addrB), addrC: open(t, n, addrC)}
		want := func(from, to string, d time.Duration) {
			t.Helper()
			start := time.Now()
			send(t, nodes[from], to, "x")
			if p := <-nodes[to].PacketCh(); p.Timestamp.Sub(start) != d {
				t.Errorf("%s to %s took %v, want %v", from, to, p.Timestamp.Sub(start), d)
			}
		}
		set := func(from, to []string, d time.Duration) {
			t.Helper()
			check(t, n.SetLink(from, to, clustertest.Link{Delay: clustertest.Constant(d)}))
		}
		want(addrA, addrB, ms)
		set(only(addrA), everyone, 2*ms)
		want(addrA, addrB, 2*ms)
		want(addrA, addrC, 2*ms)
		want(addrB, addrA, ms) // one way
		set(only(addrA, addrC), only(addrB), 3*ms)
		want(addrA, addrB, 3*ms)
		want(addrC, addrB, 3*ms)
		want(addrA, addrC, 2*ms)
		set(only(addrA), everyone, 4*ms)
		want(addrA, addrB, 4*ms)
		want(addrC, addrB, 3*ms)
		set(nil, everyone, 5*ms) // nobody
		want(addrA, addrB, 4*ms)
		set(everyone, everyone, 6*ms)
		want(addrA, addrB, 6*ms)
		want(addrB, addrA, 6*ms)
	})
}

func TestRegions(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		var regions [][]string
		var nodes []*clustertest.Transport
		for range 3 {
			var region []string
			for range 2 {
				nodes = append(nodes, open(t, n, ""))
				region = append(region, nodes[len(nodes)-1].Addr())
			}
			regions = append(regions, region)
		}
		oneWay := [3][3]time.Duration{{ms, 40 * ms, 150 * ms}, {41 * ms, 2 * ms, 90 * ms}, {151 * ms, 91 * ms, 3 * ms}}
		check(t, n.SetRegions(regions, func(i, j int) clustertest.Link {
			return clustertest.Link{Delay: clustertest.Constant(oneWay[i][j])}
		}))
		for i, from := range nodes {
			for j, to := range nodes {
				start := time.Now()
				send(t, from, to.Addr(), "x")
				want := oneWay[i/2][j/2]
				if p := <-to.PacketCh(); p.Timestamp.Sub(start) != want {
					t.Errorf("node %d to %d took %v, want %v", i, j, p.Timestamp.Sub(start), want)
				}
			}
		}
	})
}

// What one node sends does not change the luck of another.
func TestSeedFixesEachSendersLuck(t *testing.T) {
	run := func(seed uint64, sender string, chaff bool) (got []arrival) {
		o := clustertest.Options{Seed: seed, Link: clustertest.Link{Loss: clustertest.Independent(0.3)}}
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			if chaff {
				for range 100 {
					send(t, open(t, n, ""), addrB, "chaff")
				}
			}
			got = flood(t, open(t, n, sender), open(t, n, "10.1.1.2:1"), 500, ms)
		})
		return got
	}
	luck := func(as []arrival) (seqs []int) {
		for _, a := range as {
			seqs = append(seqs, a.seq)
		}
		return seqs
	}
	want := run(1, "10.1.1.1:1", false)
	if got := run(1, "10.1.1.1:1", true); !slices.Equal(got, want) {
		t.Error("the same seed gave other arrivals once others sent too")
	}
	if got := run(2, "10.1.1.1:1", false); slices.Equal(luck(got), luck(want)) {
		t.Error("another seed gave the same losses")
	}
	if got := run(1, "10.1.1.3:1", false); slices.Equal(luck(got), luck(want)) {
		t.Error("another sender had the same losses")
	}
}
