package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// land holds nodes of several clusters on one network, under names that may be in more than one.
type land struct {
	t       *testing.T
	network *clustertest.Network

	mu  sync.Mutex
	all []*settler
}

type settler struct {
	*cluster.Node
	addr string
	log  *lines
}

// lines is a log that can be searched.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// warned tells whether a line of level WARN or above holds all parts.
func (l *lines) warned(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(strings.Split(l.text.String(), "\n"), func(line string) bool {
		return (strings.Contains(line, "[WARN]") || strings.Contains(line, "[ERROR]")) &&
			!slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(line, part) })
	})
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func inLand(t *testing.T, options clustertest.Options, story func(*testing.T, *land)) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(options)
		if err != nil {
			t.Fatal(err)
		}
		l := &land{t: t, network: network}
		defer func() {
			for _, s := range l.all {
				s.Close()
			}
			network.Close()
			time.Sleep(10 * time.Second) // memberlist's probes under way run out
		}()
		story(t, l)
	})
}

func (l *land) transport(addr string) *clustertest.Transport {
	l.t.Helper()
	tr, err := l.network.Transport(addr)
	if err != nil {
		l.t.Fatal(err)
	}
	return tr
}

func (l *land) start(name, addr string, seeds ...string) *settler {
	l.t.Helper()
	s, err := l.join(l.t.Context(), name, addr, l.transport(addr), seeds...)
	if err != nil {
		l.t.Fatalf("start %s: %v", name, err)
	}
	return s
}

func (l *land) join(ctx context.Context, name, addr string, tr memberlist.Transport, seeds ...string) (*settler, error) {
	log := &lines{}
	cfg := cluster.Config{
		Name: name, Transport: tr, Seeds: seeds,
		Logger: hclog.New(&hclog.LoggerOptions{Output: log, Level: hclog.Info, DisableTime: true}),
	}
	n, err := cluster.Join(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &settler{n, addr, log}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, s)
	return s, nil
}

// ring starts n members named prefix-0, prefix-1, … at 10.0.net.1 and on, each with the first of them for its seed.
func (l *land) ring(prefix string, net, n int) []*settler {
	l.t.Helper()
	var ring []*settler
	for i := range n {
		var seeds []string
		if i > 0 {
			seeds = []string{ring[0].addr}
		}
		ring = append(ring, l.start(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("10.0.%d.%d:7946", net, i+1), seeds...))
		time.Sleep(37 * time.Millisecond)
	}
	return ring
}

func (l *land) crash(s *settler) {
	l.t.Helper()
	if err := l.network.Kill(s.addr); err != nil {
		l.t.Fatal(err)
	}
	s.Close()
	l.all = slices.DeleteFunc(l.all, func(o *settler) bool { return o == s })
}

// sees tells whether s has a member at an address for up.
func (s *settler) sees(addr string) bool {
	return slices.ContainsFunc(s.Members(), func(m cluster.Member) bool { return m.Addr == addr && m.State == cluster.StateUp })
}

func (s *settler) ups() int {
	n := 0
	for _, m := range s.Members() {
		if m.State == cluster.StateUp {
			n++
		}
	}
	return n
}

// apart fails the test if a member of one ring has come to know an address of the other, or if anybody ended.
func apart(t *testing.T, one, other []*settler) {
	t.Helper()
	for _, pair := range [][2][]*settler{{one, other}, {other, one}} {
		for _, a := range pair[0] {
			if err := a.Err(); err != nil {
				t.Errorf("%s at %s ended: %v", a.Self().Name, a.addr, err)
			}
			if n := a.ups(); n != len(pair[0]) {
				t.Errorf("%s at %s sees %d members up, want %d", a.Self().Name, a.addr, n, len(pair[0]))
			}
			for _, b := range pair[1] {
				if a.sees(b.addr) {
					t.Errorf("%s at %s sees %s of another cluster at %s", a.Self().Name, a.addr, b.Self().Name, b.addr)
				}
			}
		}
	}
}

// The address of a dead member is given to a member of another cluster. Neither learns of the other: not by the knocks that bring
// partitions together, nor by memberlist's probes, gossip and exchanges, which go on for a while.
func TestReusedAddressMergesNobody(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, names := range []string{"other", "equal"} {
		for _, dead := range []string{"member", "seed", "moved"} {
			for _, gap := range []time.Duration{time.Second, time.Minute, time.Hour} {
				if gap == time.Hour && (names != "other" || dead != "member") {
					continue // it takes a while
				}
				t.Run(fmt.Sprintf("%s names, %s, %v", names, dead, gap), func(t *testing.T) {
					inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
						second := "billing"
						if names == "equal" {
							second = "orders"
						}
						orders := l.ring("orders", 0, 3)
						billing := l.ring(second, 1, 2)
						time.Sleep(10 * time.Second)
						victim := orders[2]
						if dead == "seed" {
							victim = orders[0]
						}
						name, addr := victim.Self().Name, victim.addr
						l.crash(victim)
						orders = slices.DeleteFunc(orders, func(s *settler) bool { return s == victim })
						if dead == "moved" { // it comes back elsewhere, and memberlist goes on talking to the old process
							orders = append(orders, l.start(name, "10.0.0.9:7946", orders[0].addr))
						}
						time.Sleep(gap)
						if names == "other" {
							name = "billing-2"
						}
						if names == "equal" && dead == "seed" {
							name = "orders-2" // its orders-0 lives
						}
						billing = append(billing, l.start(name, addr, billing[0].addr))
						for i := range 10 { // news for the gossip to carry
							if err := orders[1].SetTags(t.Context(), map[string]string{"n": fmt.Sprint(i)}); err != nil {
								t.Fatal(err)
							}
							time.Sleep(2 * time.Second)
						}
						time.Sleep(4 * time.Minute)
						apart(t, orders, billing)
						if dead == "seed" && !orders[0].log.warned("seed", addr) {
							t.Errorf("nothing was said of the stranger at the seed's address: %s", orders[0].log)
						}
					})
				})
			}
		}
	}
}

// The same with three clusters, whose dead members' addresses go round, and with a member in place of the first of the other cluster.
func TestReusedAddressesOfThree(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		rings := [][]*settler{l.ring("a", 0, 3), l.ring("b", 1, 3), l.ring("c", 2, 3)}
		time.Sleep(10 * time.Second)
		var free []string
		for i, ring := range rings {
			free = append(free, ring[2].addr)
			l.crash(ring[2])
			rings[i] = ring[:2]
		}
		time.Sleep(time.Second)
		for i, ring := range rings {
			rings[i] = append(ring, l.start(fmt.Sprintf("%c-3", 'a'+i), free[(i+1)%3], ring[0].addr))
		}
		time.Sleep(5 * time.Minute)
		apart(t, rings[0], rings[1])
		apart(t, rings[1], rings[2])
		apart(t, rings[2], rings[0])
	})
}

// plain members of another program at the address of a dead member.
func TestReusedAddressAndForeignRing(t *testing.T) {
	for _, gap := range []time.Duration{time.Second, time.Minute} {
		t.Run(fmt.Sprint(gap), func(t *testing.T) {
			inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
				orders := l.ring("orders", 0, 3)
				plain := func(name, addr string, seeds ...string) *memberlist.Memberlist {
					c := memberlist.DefaultLANConfig()
					c.Name, c.Transport, c.EnableCompression, c.LogOutput = name, l.transport(addr), false, io.Discard
					m, err := memberlist.Create(c)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.Join(seeds); err != nil {
						t.Fatal(err)
					}
					return m
				}
				first := plain("loki-0", "10.0.1.1:7946")
				defer first.Shutdown()
				time.Sleep(10 * time.Second)
				addr := orders[0].addr // everybody's seed
				l.crash(orders[0])
				orders = orders[1:]
				time.Sleep(gap)
				defer plain("loki-1", addr, "10.0.1.1:7946").Shutdown()
				for i := range 10 {
					if err := orders[1].SetTags(t.Context(), map[string]string{"n": fmt.Sprint(i)}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(2 * time.Second)
				}
				time.Sleep(4 * time.Minute)
				apart(t, orders, nil)
				if n := first.NumMembers(); n != 2 {
					t.Errorf("the foreign ring has %d members, want 2", n)
				}
			})
		})
	}
}

// The first member has no seeds, dies, and is started again as it was: those who joined through it bring it back, also where somebody
// has joined it meanwhile.
func TestFirstMemberStartedAgain(t *testing.T) {
	for _, company := range []bool{false, true} {
		t.Run(fmt.Sprint("company ", company), func(t *testing.T) {
			inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
				ring := l.ring("a", 0, 3)
				time.Sleep(10 * time.Second)
				l.crash(ring[0])
				time.Sleep(2 * time.Second)
				l.start("a-0", "10.0.0.1:7946")
				if company {
					l.start("a-3", "10.0.0.4:7946", "10.0.0.1:7946")
				}
				l.oneWithin(2 * time.Minute)
			})
		})
	}
}

// oneWithin waits until everybody sees everybody up.
func (l *land) oneWithin(d time.Duration) time.Duration {
	l.t.Helper()
	begin := time.Now()
	for {
		one := true
		for _, s := range l.all {
			one = one && s.ups() == len(l.all) && s.Err() == nil
		}
		if one {
			return time.Since(begin)
		}
		if time.Since(begin) > d {
			for _, s := range l.all {
				l.t.Errorf("%s at %s: %v, ended with %v; log:\n%s", s.Self().Name, s.addr, s.Members(), s.Err(), s.log)
			}
			l.t.Fatalf("not one cluster of %d within %v", len(l.all), d)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// Seeds are the operator's will: who names members of two clusters merges them, which is said. Where both have live members of one name
// it is refused, and said too, and nobody ends.
func TestMergeIsTheOperatorsWill(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		orders, billing := l.ring("orders", 0, 3), l.ring("billing", 1, 3)
		time.Sleep(10 * time.Second)
		l.network.Split([]string{"10.0.0.4:7946"}, []string{"10.0.1.1:7946"}) // so that it begins in one of them
		l.start("bridge", "10.0.0.4:7946", orders[0].addr, billing[0].addr)
		l.network.Heal([]string{"10.0.0.4:7946"}, []string{"10.0.1.1:7946"})
		t.Logf("one after %v", l.oneWithin(3*time.Minute))
		if !slices.ContainsFunc(l.all, func(s *settler) bool { return s.log.warned("another cluster", "members=") }) {
			t.Error("nobody said that two clusters are one")
		}
	})
}

func TestMergeEndsNobody(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		one, two := l.ring("node", 0, 3), l.ring("node", 1, 3)
		time.Sleep(10 * time.Second)
		l.network.Split([]string{"10.0.0.4:7946"}, []string{"10.0.1.1:7946"})
		one = append(one, l.start("bridge", "10.0.0.4:7946", one[0].addr, two[0].addr))
		l.network.Heal([]string{"10.0.0.4:7946"}, []string{"10.0.1.1:7946"})
		time.Sleep(5 * time.Minute)
		apart(t, one, two)
		for _, s := range []*settler{one[3], two[0]} {
			if !s.log.warned("another cluster was not merged", "node-") {
				t.Errorf("%s does not say why nothing was merged: %s", s.Self().Name, s.log)
			}
		}
	})
}

// Members that start at one instant, each with a list of all of them, are one cluster soon, in every order.
func TestColdStart(t *testing.T) {
	addrs := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}
	for _, apart := range []time.Duration{0, time.Millisecond, 100 * time.Millisecond, 3 * time.Second} {
		for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			t.Run(fmt.Sprint(apart, order), func(t *testing.T) {
				inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
					l.together(len(order), func(i int) (*settler, error) {
						time.Sleep(time.Duration(i) * apart)
						return l.join(t.Context(), fmt.Sprint("n", order[i]), addrs[order[i]], l.transport(addrs[order[i]]), addrs...)
					})
					if took := l.oneWithin(10 * time.Second); took > 5*time.Second {
						t.Logf("one after %v", took)
					}
				})
			})
		}
	}
}

// eventually gives the log's goroutine a moment.
func eventually(ok func() bool) bool {
	synctest.Wait()
	return ok()
}

// together runs n joins at one time.
func (l *land) together(n int, join func(i int) (*settler, error)) {
	l.t.Helper()
	errs := make(chan error)
	for i := range n {
		go func() {
			_, err := join(i)
			errs <- err
		}()
	}
	for range n {
		if err := <-errs; err != nil {
			l.t.Errorf("Join: %v", err)
		}
	}
}

// balanced is a transport whose host sends what goes to a virtual address to one of several, as a load balancer does: each stream to
// any, and every packet nowhere, as few forward UDP too.
type balanced struct {
	*clustertest.Transport
	virtual string
	pick    func() string
}

func (b *balanced) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	if addr == b.virtual {
		if addr = b.pick(); addr == "" {
			return nil, errors.New("no endpoints: connection refused")
		}
	}
	return b.Transport.DialTimeout(addr, timeout)
}

func (b *balanced) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return b.DialTimeout(a.Addr, timeout)
}

func (b *balanced) WriteTo(p []byte, addr string) (time.Time, error) {
	if addr == b.virtual {
		return time.Now(), nil
	}
	return b.Transport.WriteTo(p, addr)
}

func (b *balanced) WriteToAddress(p []byte, a memberlist.Address) (time.Time, error) {
	return b.WriteTo(p, a.Addr)
}

const virtualAddr = "10.96.0.10:7946"

// A node that its only seed, a load balancer, leads back to is no member yet. The first one begins alone after a few seconds; the
// others find it, and clusters that began apart are one when the balancer leads from one to the other.
func TestSeedBehindBalancer(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		addrs := []string{"10.0.0.1:7946"}
		pick := func() string { return addrs[rand.IntN(len(addrs))] }
		start := func(i int) (*settler, error) {
			addr := fmt.Sprintf("10.0.0.%d:7946", i+1)
			return l.join(t.Context(), fmt.Sprint("n", i), addr, &balanced{l.transport(addr), virtualAddr, pick}, virtualAddr)
		}
		begin := time.Now()
		first, err := start(0)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 2*time.Second || took > 10*time.Second {
			t.Errorf("the first one began alone after %v, want a few seconds", took)
		}
		if !eventually(func() bool { return first.log.warned("leads back to this node", virtualAddr) }) {
			t.Errorf("it does not say that it is alone: %s", first.log)
		}
		addrs = append(addrs, "10.0.0.2:7946", "10.0.0.3:7946")
		l.together(2, func(i int) (*settler, error) { return start(i + 1) })
		t.Logf("one after %v", l.oneWithin(time.Minute))
		for _, s := range l.all {
			if s.ups() != 3 {
				t.Errorf("%s sees %d", s.Self().Name, s.ups())
			}
		}
	})
}

// A balancer that leads each host to itself for a while, as one with sticky sessions does, splits the members from the start. They are
// one soon after it does not.
func TestSplitByBalancerHeals(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		sticky := true
		l.together(2, func(i int) (*settler, error) {
			addr := fmt.Sprintf("10.0.0.%d:7946", i+1)
			pick := func() string {
				if sticky {
					return addr
				}
				return fmt.Sprintf("10.0.0.%d:7946", 1+rand.IntN(2))
			}
			return l.join(t.Context(), fmt.Sprint("n", i), addr, &balanced{l.transport(addr), virtualAddr, pick}, virtualAddr)
		})
		time.Sleep(time.Minute)
		for _, s := range l.all {
			if s.ups() != 1 {
				t.Errorf("%s sees %d members", s.Self().Name, s.ups())
			}
		}
		sticky = false
		t.Logf("one after %v", l.oneWithin(5*time.Minute))
	})
}

// A seed that is this node under another address is no member: Join waits for the other seed.
func TestOwnSeedIsNobody(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		b := l.transport("10.0.0.2:7946")
		joined := make(chan error, 1)
		go func() {
			time.Sleep(20 * time.Second)
			_, err := l.join(t.Context(), "b", "10.0.0.2:7946", b)
			joined <- err
		}()
		begin := time.Now()
		tr := &balanced{l.transport("10.0.0.1:7946"), virtualAddr, func() string { return "10.0.0.1:7946" }}
		a, err := l.join(t.Context(), "a", "10.0.0.1:7946", tr, virtualAddr, "10.0.0.2:7946")
		if err := errors.Join(err, <-joined); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 30*time.Second || a.ups() != 2 {
			t.Errorf("joined after %v, sees %d members; want b, which starts after 20 s", took, a.ups())
		}
	})
}

// Members that advertise one address are told of, and one that is started in place of a dead one is not.
func TestTwoMembersWithOneAddress(t *testing.T) {
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		ring := l.ring("a", 0, 3)
		time.Sleep(5 * time.Second)
		l.crash(ring[2])
		ring[2] = l.start("heir", ring[2].addr, ring[0].addr)
		time.Sleep(2 * time.Minute)
		for _, s := range ring {
			if s.log.warned("one address") {
				t.Errorf("%s warns of the heir of an address: %s", s.Self().Name, s.log)
			}
		}
		t.Log("One more says that it is where the heir is.")
		l.mustJoin("twin", &liar{l.transport("10.0.0.9:7946"), ring[2].addr}, ring[0].addr)
		time.Sleep(time.Minute)
		if !ring[2].log.warned("one address", ring[2].addr, "heir", "twin", "Advertise") {
			t.Errorf("the heir says nothing of its twin: %s", ring[2].log)
		}
	})
}

func (l *land) mustJoin(name string, tr memberlist.Transport, seeds ...string) {
	l.t.Helper()
	if _, err := l.join(l.t.Context(), name, "", tr, seeds...); err != nil {
		l.t.Fatal(err)
	}
}

// liar is a transport that advertises another's address.
type liar struct {
	*clustertest.Transport
	addr string
}

func (l *liar) FinalAdvertiseAddr(string, int) (net.IP, int, error) {
	a, err := net.ResolveUDPAddr("udp", l.addr)
	return a.IP.To4(), a.Port, err
}
