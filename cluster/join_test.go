package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// deadEnds is a transport for which the network 10.9 is of hosts that are gone: nothing comes back from there.
type deadEnds struct {
	*clustertest.Transport
	now, most, all atomic.Int32 // dials under way, the most of them, and all
}

func (d *deadEnds) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	d.all.Add(1)
	now := d.now.Add(1)
	defer d.now.Add(-1)
	for most := d.most.Load(); now > most && !d.most.CompareAndSwap(most, now); most = d.most.Load() {
	}
	if strings.HasPrefix(addr, "10.9.") {
		time.Sleep(timeout)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ETIMEDOUT}
	}
	return d.Transport.DialTimeout(addr, timeout)
}

func (d *deadEnds) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	return d.DialTimeout(a.Addr, timeout)
}

// A name that stands for dead addresses and one live one: they are tried side by side, wherever the live one is among them.
func TestDeadAddressesDoNotHoldUpJoin(t *testing.T) {
	live := netip.MustParseAddr("10.0.0.1")
	for _, tt := range []struct {
		dead   int
		within time.Duration
	}{{1, 2 * time.Second}, {6, 2 * time.Second}, {15, 2 * time.Second}, {40, 8 * time.Second}, {200, 30 * time.Second}} {
		t.Run(fmt.Sprint(tt.dead), func(t *testing.T) {
			cluster.SetResolver(t, func(host string) []netip.Addr {
				if host != "cluster.example" {
					return nil
				}
				var addrs []netip.Addr
				for i := range tt.dead {
					addrs = append(addrs, netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}))
				}
				return append(addrs, live)
			})
			inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
				l.start("a", "10.0.0.1:7946")
				for i := range 10 { // the order is drawn
					addr := fmt.Sprintf("10.0.1.%d:7946", i+1)
					tr := &deadEnds{Transport: l.transport(addr)}
					begin := time.Now()
					if _, err := l.join(t.Context(), fmt.Sprint("b", i), addr, tr, "cluster.example:7946"); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(begin); took > tt.within {
						t.Errorf("joined after %v, want %v at most", took, tt.within)
					}
					if most := tr.most.Load(); most > 16+2 { // and memberlist's own
						t.Errorf("%d dials at a time, want 16 at most", most)
					}
				}
			})
		})
	}
}

// Dead addresses that nobody answers at, of a name and on their own: Join says so when its context ends, and nothing is left.
func TestJoinAmongTheDead(t *testing.T) {
	cluster.SetResolver(t, func(string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")}
	})
	inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := l.join(ctx, "a", "10.0.0.1:7946", &deadEnds{Transport: l.transport("10.0.0.1:7946")}, "gone.example:7946", "10.9.0.3:7946")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "seed gone.example:7946") || !strings.Contains(err.Error(), "10.9.0.1:7946") ||
			!strings.Contains(err.Error(), "10.9.0.2:7946") {
			t.Errorf("Join: %v, want the deadline's error, the seed and its addresses", err)
		}
	})
}

// What memberlist says with EOF, or in terms of its own, Join says in terms of Config.
func TestJoinSaysWhatDiffers(t *testing.T) {
	key, other := []byte("0123456789abcdef"), []byte("fedcba9876543210")
	for name, tt := range map[string]struct {
		there, here cluster.Config
		want        string
	}{
		"label":        {cluster.Config{Label: "orders"}, cluster.Config{Label: "billing"}, `Label of the member there is probably not "billing"`},
		"label there":  {cluster.Config{Label: "orders"}, cluster.Config{}, `Label of the member there is probably not ""`},
		"label here":   {cluster.Config{}, cluster.Config{Label: "billing"}, `Label of the member there is probably not "billing"`},
		"keys":         {cluster.Config{Keys: [][]byte{key}}, cluster.Config{Keys: [][]byte{other}}, "Keys: the member there has others"},
		"keys there":   {cluster.Config{Keys: [][]byte{key}}, cluster.Config{}, "Keys: the member there has some"},
		"keys here":    {cluster.Config{}, cluster.Config{Keys: [][]byte{key}}, "Keys: the member there has none"},
		"both, labels": {cluster.Config{Keys: [][]byte{key}, Label: "x"}, cluster.Config{Keys: [][]byte{key}}, "Label"},
	} {
		t.Run(name, func(t *testing.T) {
			inLand(t, clustertest.Options{}, func(t *testing.T, l *land) {
				tt.there.Name, tt.there.Transport = "a", l.transport("10.0.0.1:7946")
				a, err := cluster.Join(t.Context(), tt.there)
				if err != nil {
					t.Fatal(err)
				}
				defer a.Close()
				ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
				defer cancel()
				tt.here.Name, tt.here.Transport, tt.here.Seeds = "b", l.transport("10.0.0.2:7946"), []string{"10.0.0.1:7946"}
				_, err = cluster.Join(ctx, tt.here)
				if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "seed 10.0.0.1:7946") {
					t.Errorf("Join: %v, want the seed and %q", err, tt.want)
				}
			})
		})
	}
}

// A seed of a family that the sockets do not speak.
func TestJoinSaysThatTheFamilyDiffers(t *testing.T) {
	for bind, seed := range map[string]string{"127.0.0.1:0": "[2001:db8::1]:7946", "[::1]:0": "192.0.2.1:7946"} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := cluster.Join(ctx, cluster.Config{Name: "a", Bind: bind, Seeds: []string{seed}})
		if errors.Is(err, syscall.EADDRNOTAVAIL) || err != nil && strings.Contains(err.Error(), "cannot listen") {
			t.Skip("no IPv6 here: ", err)
		}
		if err == nil || !strings.Contains(err.Error(), "seed "+seed) || !strings.Contains(err.Error(), "Bind") {
			t.Errorf("Join: %v, want the seed and the field", err)
		}
	}
}
