package clustertest_test

import (
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"
	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// Bubbles notice goroutines that outlive them by themselves; this is for the
// tests in real time.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	addrA = "10.0.0.1:7946"
	addrB = "10.0.0.2:7946"
	addrC = "10.0.0.3:7946"
)

var everyone = []string{clustertest.Everyone}

func only(addrs ...string) []string { return addrs }

// inBubble runs f in virtual time over a network that is closed afterwards.
func inBubble(t *testing.T, o clustertest.Options, f func(*testing.T, *clustertest.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f(t, newNetwork(t, o))
	})
}

func newNetwork(t *testing.T, o clustertest.Options) *clustertest.Network {
	t.Helper()
	n, err := clustertest.New(o)
	check(t, err)
	t.Cleanup(func() { check(t, n.Close()) })
	return n
}

func open(t *testing.T, n *clustertest.Network, addr string) *clustertest.Transport {
	t.Helper()
	tr, err := n.Transport(addr)
	check(t, err)
	return tr
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, from *clustertest.Transport, to string, text string) {
	t.Helper()
	_, err := from.WriteTo([]byte(text), to)
	check(t, err)
}

// received takes what waits at tr, in virtual time, and returns its texts.
func received(tr *clustertest.Transport) []string {
	synctest.Wait()
	var texts []string
	for {
		select {
		case p := <-tr.PacketCh():
			texts = append(texts, string(p.Buf))
		default:
			return texts
		}
	}
}

func wantReceived(t *testing.T, tr *clustertest.Transport, want ...string) {
	t.Helper()
	got := received(tr)
	if len(got) != len(want) {
		t.Fatalf("%s received %q, want %q", tr.Addr(), got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("%s received %q, want %q", tr.Addr(), got, want)
		}
	}
}

// arrival is one packet of a flood.
type arrival struct {
	seq   int
	delay time.Duration
	from  string
}

// flood sends count packets, one every gap, and returns what arrives, in its
// order, up to an hour later.
func flood(t *testing.T, from *clustertest.Transport, to *clustertest.Transport, count int, gap time.Duration) []arrival {
	t.Helper()
	var arrivals []arrival
	start := time.Now()
	take := func(p *memberlist.Packet) {
		seq := int(binary.BigEndian.Uint32(p.Buf))
		arrivals = append(arrivals, arrival{seq, p.Timestamp.Sub(start.Add(time.Duration(seq) * gap)), p.From.String()})
	}
	for seq := range count {
		buf := binary.BigEndian.AppendUint32(nil, uint32(seq))
		at, err := from.WriteTo(buf, to.Addr())
		check(t, err)
		if want := start.Add(time.Duration(seq) * gap); !at.Equal(want) {
			t.Fatalf("WriteTo at %v returned %v", want, at)
		}
		clear(buf) // the network has its own copy
		time.Sleep(gap)
		for len(to.PacketCh()) > 0 {
			take(<-to.PacketCh())
		}
	}
	for end := time.After(time.Hour + time.Second); ; {
		select {
		case p := <-to.PacketCh():
			take(p)
		case <-end:
			return arrivals
		}
	}
}
