package clustertest_test

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// header is what a packet adds to its bytes on a line.
const header = 28

// burst sends count packets of so many bytes on the line at once, numbered from first on.
func burst(t *testing.T, from *clustertest.Transport, to string, first, count, bytes int) {
	t.Helper()
	for i := range count {
		buf := make([]byte, bytes-header)
		buf[0] = byte(first + i)
		_, err := from.WriteTo(buf, to)
		check(t, err)
	}
}

// arrivals takes what comes to tr within d: "number@milliseconds since begin".
func arrivals(tr *clustertest.Transport, begin time.Time, d time.Duration) (got []string) {
	for end := time.After(d); ; {
		select {
		case p := <-tr.PacketCh():
			got = append(got, fmt.Sprintf("%d@%v", p.Buf[0], float64(p.Timestamp.Sub(begin))/1e6))
		case <-end:
			return got
		}
	}
}

func wantArrivals(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("arrived %q, want %q", got, want)
	}
}

func rate(bytesPerSecond, queue int) clustertest.Rate {
	return clustertest.Rate{BytesPerSecond: bytesPerSecond, Queue: queue}
}

var noLimit clustertest.Rate

func TestRate(t *testing.T) {
	for name, test := range map[string]struct {
		setUp func(n *clustertest.Network) error
		send  func(t *testing.T, a, b, c *clustertest.Transport)
		want  []string // at c
		tail  uint64
	}{
		"up: one after the other, then the path": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrA), rate(1000, 0), noLimit) },
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrC, 0, 3, 100)
				burst(t, b, addrC, 9, 1, 100)
				time.Sleep(250 * ms)
				burst(t, a, addrC, 3, 1, 50) // behind what is left: 50 ms
				time.Sleep(time.Second)
				burst(t, a, addrC, 4, 1, 200)
			},
			[]string{"9@10", "0@110", "1@210", "2@310", "3@360", "4@1460"}, 0,
		},
		"up: one line for all that it sends to": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrA), rate(1000, 0), noLimit) },
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrB, 0, 2, 100)
				burst(t, a, addrC, 2, 1, 100)
			},
			[]string{"2@310"}, 0,
		},
		"down: as they arrive, whoever sent them": {
			func(n *clustertest.Network) error {
				slow := clustertest.Link{Delay: clustertest.Constant(50 * ms)}
				if err := n.SetLink(only(addrA), only(addrC), slow); err != nil {
					return err
				}
				return n.SetRate(only(addrC), noLimit, rate(1000, 0))
			},
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrC, 0, 2, 100) // sent first, there last
				burst(t, b, addrC, 2, 1, 100)
			},
			[]string{"2@110", "0@210", "1@310"}, 0,
		},
		"both lines": {
			func(n *clustertest.Network) error {
				if err := n.SetRate(only(addrA), rate(2000, 0), noLimit); err != nil {
					return err
				}
				return n.SetRate(only(addrC), noLimit, rate(1000, 0))
			},
			func(t *testing.T, a, b, c *clustertest.Transport) { burst(t, a, addrC, 0, 3, 100) },
			[]string{"0@160", "1@260", "2@360"}, 0,
		},
		"the other direction is free": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrC), rate(1, 0), noLimit) },
			func(t *testing.T, a, b, c *clustertest.Transport) { burst(t, a, addrC, 0, 2, 100) },
			[]string{"0@10", "1@10"}, 0,
		},
		"to itself": {
			func(n *clustertest.Network) error { return n.SetRate(everyone, rate(1, 0), rate(1, 0)) },
			func(t *testing.T, a, b, c *clustertest.Transport) { burst(t, c, addrC, 0, 2, 100) },
			[]string{"0@10", "1@10"}, 0,
		},
		"no room to wait": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrA), rate(1000, 250), noLimit) },
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrC, 0, 4, 100) // 2 and 3 would make it 300
				time.Sleep(50 * ms)
				burst(t, a, addrC, 4, 1, 100) // 150 are left
				burst(t, a, addrC, 5, 1, 30)
			},
			[]string{"0@110", "1@210", "4@310"}, 3,
		},
		"no room to wait at the receiver": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrC), noLimit, rate(1000, 250)) },
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrC, 0, 2, 100)
				burst(t, b, addrC, 2, 2, 100)
			},
			[]string{"0@110", "1@210"}, 2,
		},
		"larger than the queue, on a free line": {
			func(n *clustertest.Network) error { return n.SetRate(only(addrA), rate(1000, 50), noLimit) },
			func(t *testing.T, a, b, c *clustertest.Transport) { burst(t, a, addrC, 0, 2, 500) },
			[]string{"0@510"}, 1,
		},
		"the default holds a second, or two full packets": {
			func(n *clustertest.Network) error {
				if err := n.SetRate(only(addrA), rate(1000, 0), noLimit); err != nil {
					return err
				}
				return n.SetRate(only(addrB), rate(6000, 0), noLimit)
			},
			func(t *testing.T, a, b, c *clustertest.Transport) {
				burst(t, a, addrC, 0, 3, 1500)
				burst(t, b, addrC, 10, 5, 1500)
			},
			[]string{"10@260", "11@510", "12@760", "13@1010", "0@1510", "1@3010"}, 2,
		},
		"the last call counts": {
			func(n *clustertest.Network) error {
				for _, addrs := range [][]string{everyone, only(addrA)} {
					if err := n.SetRate(addrs, rate(1, 0), rate(1, 0)); err != nil {
						return err
					}
				}
				return n.SetRate(everyone, rate(1000, 0), noLimit)
			},
			func(t *testing.T, a, b, c *clustertest.Transport) { burst(t, a, addrC, 0, 1, 100) },
			[]string{"0@110"}, 0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
				a, b, c := open(t, n, addrA), open(t, n, addrB), open(t, n, addrC)
				check(t, test.setUp(n))
				begin := time.Now()
				test.send(t, a, b, c)
				wantArrivals(t, arrivals(c, begin, time.Hour), test.want...)
				sum := n.Totals()
				if sum.Tail.Packets != test.tail {
					t.Errorf("%d packets found no room in a line, want %d", sum.Tail.Packets, test.tail)
				}
				received := sum.Received
				if got, want := received.Packets+sum.Dropped().Packets, sum.Sent.Packets; got != want {
					t.Errorf("%d packets received or dropped, %d sent: %+v", got, want, sum)
				}
			})
		})
	}
}

// What waits when a limit is lifted leaves as it would have, and what comes after does not overtake it.
func TestRateLifted(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, c := open(t, n, addrA), open(t, n, addrC)
		check(t, n.SetRate(everyone, rate(1000, 0), rate(1000, 0)))
		begin := time.Now()
		burst(t, a, addrC, 0, 2, 100) // at 100 and 200 on the path, at 210 and 310 there
		time.Sleep(50 * ms)
		check(t, n.SetRate(everyone, noLimit, noLimit))
		burst(t, a, addrC, 2, 1, 1000)
		wantArrivals(t, arrivals(c, begin, time.Minute), "0@110", "1@210", "2@210")
	})
}

// A line that is always full carries what it can, no more and no less, and nothing later than its queue is long.
func TestRateIsTheRate(t *testing.T) {
	inBubble(t, clustertest.Options{}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		check(t, n.SetRate(only(addrA), rate(2000, 1000), noLimit))
		got := flood(t, a, b, 10_000, ms) // 32 bytes each on the line: 32,000 a second for 10 s
		if want := 10*2000/32 + 1000/32; len(got) < want-1 || len(got) > want+1 {
			t.Errorf("%d packets arrived, want %d", len(got), want)
		}
		for i, p := range got {
			if p.delay > 501*ms {
				t.Fatalf("packet %d took %v, want half a second at most", p.seq, p.delay)
			}
			if i > 0 && p.seq <= got[i-1].seq {
				t.Fatalf("packet %d arrived after packet %d", p.seq, got[i-1].seq)
			}
		}
	})
}

// A stream takes as long as its line, up or down, and leaves room for packets.
func TestRateOfStreams(t *testing.T) {
	for name, end := range map[string]string{"up": addrA, "down": addrB} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
				a, b := open(t, n, addrA), open(t, n, addrB)
				if end == addrA {
					check(t, n.SetRate(only(end), rate(1500, 4500), noLimit))
				} else {
					check(t, n.SetRate(only(end), noLimit, rate(1500, 4500)))
				}
				dialled := time.Now()
				near, err := a.DialTimeout(addrB, time.Minute)
				check(t, err)
				far := <-b.StreamCh()
				// A SYN of 40 bytes: 26.67 ms, and 10 ms each way.
				if took := time.Since(dialled); took < 46*ms || took > 47*ms {
					t.Errorf("a dial took %v, want 46.67 ms", took)
				}
				begin := time.Now()
				_, err = near.Write(make([]byte, 20*1460))
				check(t, err)
				check(t, near.Close())
				time.Sleep(5 * time.Second)
				sent := time.Now()
				burst(t, a, addrB, 0, 1, 150) // behind one of the stream's, one second at most
				got, err := io.ReadAll(far)
				check(t, err)
				check(t, far.Close())
				// 20 packets of 1500 bytes, one of 150, the FIN of 40, and 10 ms.
				want := 20*time.Second + 100*ms + 26667*time.Microsecond + 10*ms
				if took := time.Since(begin); len(got) != 20*1460 || took < want-ms || took > want+ms {
					t.Errorf("%d bytes took %v, want %v", len(got), took, want)
				}
				p := <-b.PacketCh()
				if took := p.Timestamp.Sub(sent); took > 1200*ms {
					t.Errorf("a packet among a stream took %v, want 1.2 s at most", took)
				}
			})
		})
	}
}

func TestRateErrors(t *testing.T) {
	n := newNetwork(t, clustertest.Options{})
	for want, call := range map[string]func() error{
		"up.BytesPerSecond = -1: must be 0 (no limit) to 1000000000": func() error {
			return n.SetRate(everyone, rate(-1, 0), noLimit)
		},
		"down.BytesPerSecond = 1000000001: must be 0": func() error { return n.SetRate(everyone, noLimit, rate(1e9+1, 0)) },
		"down.Queue = -5: must be 0":                  func() error { return n.SetRate(everyone, noLimit, rate(1, -5)) },
		"up.Queue = 536870913: must be 0 (for what a second carries) to 536870912": func() error {
			return n.SetRate(everyone, rate(1, 1<<29+1), noLimit)
		},
		`address "b": must be`: func() error { return n.SetRate(only("b"), rate(1, 1), noLimit) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	// The slowest line there is, and the longest queue.
	check(t, n.SetRate(everyone, rate(1, 1<<29), rate(1e9, 1<<29)))
	a := open(t, n, addrA)
	for range 100 {
		_, err := a.WriteTo(make([]byte, 65507), addrB)
		check(t, err)
	}
	if c := n.Totals(); c.Tail.Packets > 0 {
		t.Errorf("%d packets found no room in the longest queue", c.Tail.Packets)
	}
}
