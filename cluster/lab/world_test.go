package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// world is one system under test in a bubble of virtual time. Scenarios are stories told in its verbs: form, begin, kill,
// block, wait, … Its methods are for the goroutine that tells the story.
type world struct {
	t       *testing.T
	p       params
	system  system
	network *clustertest.Network
	ledger  *ledger
	rng     *rand.Rand // of faults and victims: the same for each system, so nothing else may draw from it
	luck    *rand.Rand // of all else
	shared  *shared
	index   map[string]int
	meter   meter
	formed  *float64 // seconds from the last member's start until all views agreed
	began   time.Time
	after   *aftermath

	starting sync.WaitGroup
	closing  sync.WaitGroup
	mu       sync.Mutex
	members  []*member // nil: not there yet
	dropped  uint64    // by members that are gone
}

type member struct {
	index int
	name  string
	addr  string
	tr    *clustertest.Transport
	node  node // nil while it joins
	gone  bool
}

// shared is what the systems of a run have in common beyond the seed: victims that the first one names, progress.
type shared struct {
	victims []int
	at      atomic.Int64 // virtual nanoseconds since the measurement began
	away    atomic.Int64 // members about whom views disagree
}

// rest is what stories leave before their first fault and after their last.
const rest = 10 * time.Second

// run tells p's story about one system and measures it.
func run(t *testing.T, p params, sys system, sh *shared) (r *systemResult) {
	story := scenarios[p.Scenario].story
	synctest.Test(t, func(t *testing.T) {
		capacity := p.Nodes + int(float64(p.Churn)*p.Minutes) + p.Churn
		w := &world{
			t: t, p: p, system: sys, shared: sh,
			ledger:  newLedger(capacity, time.Now()),
			rng:     rand.New(rand.NewPCG(p.Seed, 1)),
			luck:    rand.New(rand.NewPCG(p.Seed, 2)),
			index:   map[string]int{},
			members: make([]*member, capacity),
		}
		for i := range capacity {
			w.index[name(i)] = i
		}
		link := clustertest.Link{Loss: p.losses()}
		if p.Delay > 0 {
			link.Delay = clustertest.Uniform(p.Delay*3/4, p.Delay*5/4)
		}
		var err error
		if w.network, err = clustertest.New(clustertest.Options{Seed: p.Seed, Link: link}); err != nil {
			t.Fatal(err)
		}
		defer w.finish()
		w.meter.baseline()
		story(w)
		r = w.result()
	})
	return r
}

func (p params) losses() clustertest.Loss {
	switch {
	case p.Loss == 0:
		return clustertest.Loss{}
	case p.Burst > 0:
		return clustertest.Outages(p.Loss, p.Burst)
	}
	return clustertest.Independent(p.Loss)
}

func name(i int) string { return fmt.Sprintf("m%04d", i) }

// finish ends all that is left, and lets what memberlist has under way run out.
func (w *world) finish() {
	w.starting.Wait()
	for _, m := range w.members {
		if m != nil && !m.gone {
			w.end(m)
		}
	}
	w.closing.Wait()
	w.network.Close()
	time.Sleep(time.Minute)
}

// end closes a member in its own time. Its node is read by nobody else any more.
func (w *world) end(m *member) {
	w.mu.Lock()
	m.gone = true
	w.mu.Unlock()
	if m.node == nil {
		return
	}
	w.closing.Go(func() {
		m.node.close()
		w.mu.Lock()
		w.dropped += m.node.dropped()
		w.mu.Unlock()
	})
}

// told and lonely are what members say.
func (w *world) told(observer int, name string, v view, boot uint64, addr, reason string) {
	if subject, ok := w.index[name]; ok {
		w.ledger.told(news{time.Now(), observer, subject, v, boot, addr, reason})
	}
}

func (w *world) lonely(observer int) { w.ledger.lonely(time.Now(), observer) }

// address is where member i starts; a life counts its returns to another address.
func address(i, life int) string { return fmt.Sprintf("10.%d.%d.%d:7946", life, i/250, i%250+1) }

// start makes member i run at addr. The returned channel is closed once it has joined.
func (w *world) start(i int, addr string) <-chan struct{} {
	w.t.Helper()
	tr, err := w.network.Transport(addr)
	if err != nil {
		w.t.Fatal(err)
	}
	m := &member{index: i, name: name(i), addr: tr.Addr(), tr: tr}
	seeds := w.seeds(i)
	w.mu.Lock()
	w.members[i] = m
	w.mu.Unlock()
	w.ledger.started(time.Now(), i, m.addr)
	joined := make(chan struct{})
	w.starting.Go(func() {
		defer close(joined)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		n, err := w.system.start(ctx, i, m.name, m.tr, seeds, w)
		if err != nil {
			w.t.Errorf("%s: %s does not join: %v", w.system.name, m.name, err)
			return
		}
		w.mu.Lock()
		m.node = n
		w.mu.Unlock()
	})
	return joined
}

// seeds picks three members that have joined.
func (w *world) seeds(but int) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var addrs []string
	for _, m := range w.members {
		if m != nil && m.node != nil && !m.gone && m.index != but {
			addrs = append(addrs, m.addr)
		}
	}
	w.luck.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
	return addrs[:min(3, len(addrs))]
}

// form starts p.Nodes members 37 ms apart, so that their tickers beat apart too, and waits until all see all.
func (w *world) form() { w.formEvery(37 * time.Millisecond) }

func (w *world) formEvery(apart time.Duration) {
	<-w.start(0, address(0, 0))
	for i := 1; i < w.p.Nodes; i++ {
		w.start(i, address(i, 0))
		time.Sleep(apart)
	}
	w.starting.Wait()
	w.agree(10 * time.Minute)
	w.slow()
	time.Sleep(w.p.Settle)
	w.meter.weigh(w.p.Nodes)
}

// slow gives each member a line of p.Rate, if that is one.
func (w *world) slow() {
	if w.p.Rate > 0 {
		line := clustertest.Rate{BytesPerSecond: w.p.Rate * 1000 / 8}
		w.must(w.network.SetRate([]string{clustertest.Everyone}, line, line))
	}
}

// agree waits until all views agree, at most so long.
func (w *world) agree(most time.Duration) {
	begin := time.Now()
	for w.ledger.disagreements() > 0 {
		if time.Since(begin) >= most {
			w.t.Logf("%s: after %v views of %d members do not agree", w.system.name, most, w.ledger.disagreements())
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.formed = rounded(time.Since(begin).Seconds())
}

// begin starts the measurement.
func (w *world) begin() {
	synctest.Wait()
	w.began = time.Now()
	w.network.ResetCounters()
	w.ledger.begin(w.began)
	w.meter.begin(w)
}

// wait lets time pass until d after begin, watched.
func (w *world) wait(d time.Duration) {
	for until := w.began.Add(d); time.Now().Before(until); {
		time.Sleep(min(time.Second, time.Until(until)))
		w.shared.at.Store(int64(time.Since(w.began)))
		w.shared.away.Store(int64(w.ledger.disagreements()))
	}
}

// sleep lets d pass.
func (w *world) sleep(d time.Duration) { w.wait(time.Since(w.began) + d) }

// moment waits for less than two seconds, so that no fault always meets the same phase of the members' tickers.
func (w *world) moment() { w.sleep(time.Duration(w.rng.Int64N(int64(2 * time.Second)))) }

// over tells whether there is not so much left of the measured time.
func (w *world) over(left time.Duration) bool { return time.Since(w.began)+left >= w.p.length() }

// pick chooses k members that run, by luck.
func (w *world) pick(k int) []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []int
	for i, m := range w.members {
		if m != nil && m.node != nil && !m.gone {
			all = append(all, i)
		}
	}
	w.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(k, len(all))]
}

// runs tells whether a member has joined and not ended.
func (w *world) runs(i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.members[i]
	return m != nil && m.node != nil && !m.gone
}

// count is how many packets each member that runs has sent since the measurement began.
type count struct {
	at      time.Duration
	packets map[int]uint64
}

func (w *world) counted() count {
	c := count{time.Since(w.began), map[int]uint64{}}
	for i := range w.members {
		if w.runs(i) {
			sum, err := w.network.Counters(w.members[i].addr)
			w.must(err)
			c.packets[i] = sum.Sent.Packets
		}
	}
	return c
}

func (w *world) addrs(members ...int) []string {
	addrs := make([]string, len(members))
	for i, m := range members {
		addrs[i] = w.members[m].addr
	}
	return addrs
}

// must ends the story on an error of the network, which means that the story is wrong.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// kill crashes members at one instant.
func (w *world) kill(victims ...int) {
	synctest.Wait()
	now := time.Now()
	for _, v := range victims {
		w.ledger.stopped(now, v, w.members[v].node.boot(), false)
	}
	w.must(w.network.Kill(w.addrs(victims...)...))
	for _, v := range victims {
		w.ledger.awaitDown(now, v, nil)
		w.end(w.members[v])
	}
}

// leave lets a member say goodbye and end, in its own time.
func (w *world) leave(i int) {
	m := w.members[i]
	w.ledger.stopped(time.Now(), i, m.node.boot(), true)
	w.mu.Lock()
	m.gone = true
	w.mu.Unlock()
	w.closing.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		m.node.leave(ctx)
		time.Sleep(time.Second) // as serf does, so that the last packets are passed on
		m.node.close()
		w.mu.Lock()
		w.dropped += m.node.dropped()
		w.mu.Unlock()
	})
}

// block and unblock hold back what goes in and out of members. Others may call them down once it has lasted longer than excuse.
func (w *world) block(excuse time.Duration, members ...int) {
	w.must(w.network.Block(w.addrs(members...)...))
	for _, m := range members {
		w.ledger.sick(time.Now(), m, excuse)
	}
}

func (w *world) unblock(members ...int) {
	w.must(w.network.Unblock(w.addrs(members...)...))
	for _, m := range members {
		w.ledger.well(time.Now(), m)
	}
}

// stall makes a member stand still until resume. Others may call it down once that has lasted longer than excuse.
func (w *world) stall(excuse time.Duration, member int) {
	w.must(w.network.Stall(w.addrs(member)...))
	w.ledger.sick(time.Now(), member, excuse)
}

func (w *world) resume(member int) {
	w.must(w.network.Resume(w.addrs(member)...))
	w.ledger.well(time.Now(), member)
}

// check compares what the ledger believes of the members' views with what they answer when asked, and returns the number of
// pairs that differ.
func (w *world) check() (differ int) {
	synctest.Wait()
	for o, m := range w.members {
		if m == nil || m.node == nil || m.gone {
			continue
		}
		up := m.node.up()
		for s := range w.members {
			w.ledger.mu.Lock()
			said := w.ledger.view(o, s).up()
			w.ledger.mu.Unlock()
			if s != o && up[name(s)] != said {
				differ++
				if differ <= 3 {
					w.t.Logf("%s: %s sees %s up: %v, and said %v", w.system.name, m.name, name(s), up[name(s)], said)
				}
			}
		}
	}
	return differ
}

// meter measures what a run costs.
type meter struct {
	idleMemory     uint64
	idleGoroutines int
	memory         uint64 // for each member
	goroutines     float64
	cpu            time.Duration // at begin
	peak           uint64        // packets that one member sent in a second
	stop           chan struct{}
	stopped        sync.WaitGroup
}

// inUse is the memory of heap objects and stacks, after a collection.
func inUse() uint64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc + s.StackInuse
}

// baseline is for before anything is there, weigh for when so many members are.
func (m *meter) baseline() { m.idleMemory, m.idleGoroutines = inUse(), runtime.NumGoroutine() }

func (m *meter) weigh(members int) {
	m.memory = (max(inUse(), m.idleMemory) - m.idleMemory) / uint64(members)
	m.goroutines = float64(runtime.NumGoroutine()-m.idleGoroutines) / float64(members)
}

// begin starts counting. Once a second it looks at what each member has sent.
func (m *meter) begin(w *world) {
	m.cpu = cpuTime()
	m.stop = make(chan struct{})
	m.stopped.Go(func() {
		last := map[string]uint64{}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-m.stop:
				return
			case <-tick.C:
			}
			w.mu.Lock()
			for _, member := range w.members {
				if member == nil || member.gone {
					continue
				}
				if c, err := w.network.Counters(member.addr); err == nil {
					m.peak = max(m.peak, c.Sent.Packets-last[member.addr])
					last[member.addr] = c.Sent.Packets
				}
			}
			w.mu.Unlock()
		}
	})
}

// end returns the CPU time since begin.
func (m *meter) end() time.Duration {
	cpu := cpuTime() - m.cpu
	close(m.stop)
	m.stopped.Wait()
	return cpu
}
