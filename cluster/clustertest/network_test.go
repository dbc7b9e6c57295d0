package clustertest_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

func TestBadInputIsNamed(t *testing.T) {
	nan := math.NaN()
	loss := func(l clustertest.Loss) clustertest.Options {
		return clustertest.Options{Link: clustertest.Link{Loss: l}}
	}
	delay := func(d clustertest.Delay) clustertest.Options {
		return clustertest.Options{Link: clustertest.Link{Delay: d}}
	}
	for _, tt := range []struct {
		options clustertest.Options
		want    string // all its words
	}{
		{clustertest.Options{Queue: -1}, "Queue -1 1048576"},
		{clustertest.Options{Queue: 1<<20 + 1}, "Queue 1048577 1048576"},
		{clustertest.Options{Link: clustertest.Link{Duplicate: 1.5}}, "Duplicate 1.5"},
		{clustertest.Options{Link: clustertest.Link{Duplicate: nan}}, "Duplicate NaN"},
		{delay(clustertest.Constant(-ms)), "Delay -1ms 1h"},
		{delay(clustertest.Constant(2 * time.Hour)), "Delay 2h0m0s 1h"},
		{delay(clustertest.Uniform(2*ms, ms)), "Delay most 1ms 2ms"},
		{delay(clustertest.Exponential(ms, -ms)), "Delay -1ms 1h"},
		{delay(clustertest.Pareto(ms, ms, 0)), "Delay shape 0 100"},
		{delay(clustertest.Pareto(ms, ms, nan)), "Delay shape NaN 100"},
		{delay(clustertest.DelayFunc(nil)), "Delay DelayFunc(nil)"},
		{loss(clustertest.Independent(-0.1)), "Loss p -0.1"},
		{loss(clustertest.Independent(nan)), "Loss p NaN"},
		{loss(clustertest.GilbertElliott(0, 0, 0, 1)), "Loss p + r"},
		{loss(clustertest.GilbertElliott(0.1, 2, 0, 1)), "Loss r 2"},
		{loss(clustertest.GilbertElliott(0.1, 0.1, -1, 1)), "Loss good -1"},
		{loss(clustertest.GilbertElliott(0.1, 0.1, 0, nan)), "Loss bad NaN"},
		{loss(clustertest.Outages(1, ms)), "Loss share 1"},
		{loss(clustertest.Outages(0.1, 0)), "Loss mean 0s 1h"},
	} {
		wantWords(t, func() error { _, err := clustertest.New(tt.options); return err }(), tt.want)
		if tt.options.Queue == 0 {
			n := newNetwork(t, clustertest.Options{})
			wantWords(t, n.SetLink(everyone, everyone, tt.options.Link), tt.want)
		}
	}

	n := newNetwork(t, clustertest.Options{})
	a := open(t, n, addrA)
	for _, addr := range []string{"host:1", "10.0.0.1", "10.0.0.1:0", "0.0.0.0:1", "[::]:1", "[fe80::1%eth0]:1", "10.0.0.1:65536"} {
		for name, call := range map[string]func() error{
			"Transport":   func() error { _, err := n.Transport(addr); return err },
			"WriteTo":     func() error { _, err := a.WriteTo(nil, addr); return err },
			"DialTimeout": func() error { _, err := a.DialTimeout(addr, time.Second); return err },
			"Counters":    func() error { _, err := n.Counters(addr); return err },
			"SetLink":     func() error { return n.SetLink(only(addr), everyone, clustertest.Link{}) },
			"Cut":         func() error { return n.Cut(everyone, only(addr)) },
			"Kill":        func() error { return n.Kill(addr) },
			"Unblock":     func() error { return n.Unblock(addr) },
		} {
			if err := call(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", addr)) {
				t.Errorf("%s(%q): %v, want an error that names the address", name, addr, err)
			}
		}
	}
	if _, err := a.WriteTo(make([]byte, 65508), addrB); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("65508 bytes: %v, want EMSGSIZE", err)
	}
	if _, err := a.WriteTo(make([]byte, 65507), addrB); err != nil {
		t.Errorf("65507 bytes: %v", err)
	}
}

func wantWords(t *testing.T, err error, words string) {
	t.Helper()
	for _, w := range strings.Fields(words) {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("error %v, want one with %q", err, w)
		}
	}
}

func TestAddresses(t *testing.T) {
	n := newNetwork(t, clustertest.Options{})
	open(t, n, "10.0.0.2:7946")
	check(t, n.Cut(only("10.0.0.4:7946"), nil)) // mentioned, hence not free
	for _, want := range []string{"10.0.0.1:7946", "10.0.0.3:7946", "10.0.0.5:7946"} {
		if got := open(t, n, "").Addr(); got != want {
			t.Errorf("next free address %s, want %s", got, want)
		}
	}
	var last string
	for range 300 {
		last = open(t, n, "").Addr()
	}
	if last != "10.0.1.51:7946" { // without 10.0.0.0, 10.0.0.255 and 10.0.1.0
		t.Errorf("the 305th address is %s, want 10.0.1.51:7946", last)
	}
	for addr, want := range map[string]net.IP{
		"192.168.1.2:77":          {192, 168, 1, 2},
		"[::ffff:192.168.1.3]:77": {192, 168, 1, 3},
		"[2001:db8::1]:77":        net.ParseIP("2001:db8::1"),
	} {
		ip, port, err := open(t, n, addr).FinalAdvertiseAddr("1.2.3.4", 5)
		if string(ip) != string(want) || port != 77 || err != nil {
			t.Errorf("%s advertises %v (%d bytes), port %d, %v", addr, ip, len(ip), port, err)
		}
	}
	if _, err := n.Transport("192.168.1.3:77"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("the same address in another spelling: %v, want EADDRINUSE", err)
	}
}

func TestPacketNamesItsSender(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		send(t, a, addrB, "x")
		p := <-b.PacketCh()
		if from, ok := p.From.(*net.UDPAddr); !ok || from.String() != addrA {
			t.Errorf("packet from %v (%T), want the *net.UDPAddr %s", p.From, p.From, addrA)
		}
		if !p.Timestamp.Equal(time.Now()) {
			t.Errorf("received at %v, want now, %v", p.Timestamp, time.Now())
		}
	})
}

// Many senders, all faults at once: every packet is accounted for.
func TestCountersAddUp(t *testing.T) {
	for seed := range uint64(3) {
		o := clustertest.Options{Seed: seed, Queue: 20, Link: clustertest.Link{
			Delay: clustertest.Pareto(ms, 5*ms, 1.2), Loss: clustertest.GilbertElliott(0.05, 0.3, 0.01, 0.9), Duplicate: 0.05,
		}}
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			var nodes []*clustertest.Transport
			for range 8 {
				nodes = append(nodes, open(t, n, ""))
			}
			var wg sync.WaitGroup
			var read [8]clustertest.Traffic
			stop := make(chan struct{})
			for i, from := range nodes {
				rng := rand.New(rand.NewPCG(seed, uint64(i)))
				wg.Go(func() {
					for range 500 {
						to := nodes[rng.IntN(len(nodes))].Addr()
						if rng.IntN(50) == 0 {
							to = "10.7.7.7:7" // nobody
						}
						send(t, from, to, strings.Repeat("x", 1+rng.IntN(100)))
						time.Sleep(time.Duration(rng.IntN(5)) * ms)
					}
				})
				wg.Go(func() {
					for {
						select {
						case p := <-from.PacketCh():
							read[i].Packets++
							read[i].Bytes += uint64(len(p.Buf))
						case <-stop:
							return
						}
					}
				})
			}
			check(t, n.Split(only(nodes[0].Addr()), only(nodes[1].Addr(), nodes[2].Addr())))
			time.Sleep(200 * ms)
			check(t, n.Block(nodes[3].Addr(), nodes[4].Addr()))
			time.Sleep(200 * ms)
			check(t, n.Unblock(nodes[3].Addr()))
			check(t, n.Kill(nodes[4].Addr(), nodes[5].Addr()))
			time.Sleep(2 * time.Hour)
			close(stop)
			wg.Wait()

			var sum, c clustertest.Counters
			for i, tr := range nodes {
				c, _ = n.Counters(tr.Addr())
				if c.Received != read[i] {
					t.Errorf("%s: %+v received, but %+v read", tr.Addr(), c.Received, read[i])
				}
				if c.Sent.Packets != 500 {
					t.Errorf("%s: %d sent, want 500", tr.Addr(), c.Sent.Packets)
				}
			}
			sum = n.Totals()
			for what, x := range map[string]func(clustertest.Traffic) uint64{
				"packets": func(t clustertest.Traffic) uint64 { return t.Packets },
				"bytes":   func(t clustertest.Traffic) uint64 { return t.Bytes },
			} {
				in, out := x(sum.Sent)+x(sum.Duplicated), x(sum.Received)+x(sum.Dropped())
				if in != out {
					t.Errorf("%s: %d in, %d out: %+v", what, in, out, sum)
				}
				for cause, v := range map[string]clustertest.Traffic{
					"Duplicated": sum.Duplicated, "Lost": sum.Lost, "Cut": sum.Cut, "Full": sum.Full, "Dead": sum.Dead,
				} {
					if x(v) == 0 {
						t.Errorf("%s: %s = 0: the test does not exercise it", what, cause)
					}
				}
			}
			n.ResetCounters()
			if n.Totals() != (clustertest.Counters{}) {
				t.Error("not all counters are zero after a reset")
			}
		})
	}
}

// The same network in real time: nothing is left running after Close.
func TestRealTimeAndClose(t *testing.T) {
	n, err := clustertest.New(clustertest.Options{})
	check(t, err)
	a, b := open(t, n, addrA), open(t, n, addrB)
	send(t, a, addrB, "hello")
	if p := <-b.PacketCh(); string(p.Buf) != "hello" {
		t.Errorf("received %q", p.Buf)
	}
	near, far := stream(t, a, b)
	near.Write([]byte("hello"))
	wantRead(t, far, "hello")

	// Something of everything is pending: packets and stream data in flight or
	// cut or held back, reads, writes and dials that wait.
	check(t, n.SetLink(only(addrA), only(addrB), clustertest.Link{Delay: clustertest.Constant(time.Hour)}))
	send(t, a, addrB, "late")
	near.Write(make([]byte, 256<<10))
	check(t, n.Block(addrB))
	send(t, b, addrA, "held")
	check(t, n.Cut(only(addrA), only(addrC)))
	open(t, n, addrC)
	var wg sync.WaitGroup
	wg.Go(func() { wantReadError(t, far, net.ErrClosed) })
	wg.Go(func() { wantReadError(t, near, net.ErrClosed) })
	wg.Go(func() {
		if _, err := near.Write([]byte("x")); err == nil {
			t.Error("a write that waited went through")
		}
	})
	wg.Go(func() {
		if _, err := a.DialTimeout(addrC, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial: %v, want net.ErrClosed", err)
		}
	})
	check(t, n.Close())
	check(t, n.Close())
	wg.Wait()

	if _, err := n.Transport(""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("transport of a closed network: %v, want net.ErrClosed", err)
	}
	if _, err := a.WriteTo([]byte("x"), addrB); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write to a closed network: %v, want net.ErrClosed", err)
	}
}

// After Close no timer of the network runs: the bubble's clock has nothing to
// wait for but the test's own.
func TestCloseStopsTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls int
		delay := clustertest.DelayFunc(func(*rand.Rand) time.Duration { calls++; return ms })
		n, err := clustertest.New(clustertest.Options{Link: clustertest.Link{Delay: delay}})
		check(t, err)
		a, b := open(t, n, addrA), open(t, n, addrB)
		near, _ := stream(t, a, b)
		dead := open(t, n, addrC)
		toDead, _ := stream(t, a, dead)
		closed, _ := stream(t, a, dead)
		closed.Write([]byte("in flight to the dead"))
		check(t, closed.Close())
		check(t, n.SetLink(everyone, everyone, clustertest.Link{Delay: delay, Loss: clustertest.Independent(1)}))
		near.Write([]byte("tried again and again"))
		check(t, n.Kill(addrC))
		toDead.Write([]byte("here too"))
		check(t, n.SetLink(everyone, everyone, clustertest.Link{Delay: delay}))
		check(t, n.Close())
		before := calls
		time.Sleep(time.Hour)
		if calls != before {
			t.Errorf("%d delays drawn after Close", calls-before)
		}
		if _, err := io.ReadAll(near); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v, want net.ErrClosed", err)
		}
	})
}
