package cluster_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// mangler is a transport that does something to the packets that it sends; nil: the packet is lost.
type mangler struct {
	*clustertest.Transport
	mangle func(b []byte) []byte
}

func (m mangler) WriteTo(b []byte, addr string) (time.Time, error) {
	if b = m.mangle(b); b == nil {
		return time.Now(), nil
	}
	return m.Transport.WriteTo(b, addr)
}

func (m mangler) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	return m.WriteTo(b, a.Addr)
}

// bitFlips turns one bit over in a share of all packets, which UDP's checksum then says is right.
func bitFlips(seed uint64, share float64) func([]byte) []byte {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 1))
	return func(b []byte) []byte {
		mu.Lock()
		defer mu.Unlock()
		if r.Float64() < share {
			b = append([]byte(nil), b...)
			i := r.IntN(len(b) * 8)
			b[i/8] ^= 1 << (i % 8)
		}
		return b
	}
}

func TestWrongBitsAreNoNews(t *testing.T) {
	t.Parallel() // one of the long ones
	for seed := range uint64(4) {
		inTown(t, clustertest.Options{Seed: seed}, func(t *testing.T, w *town) {
			flip := bitFlips(seed, 0.02)
			w.config = func(cfg *cluster.Config) {
				cfg.Transport = mangler{cfg.Transport.(*clustertest.Transport), flip}
				cfg.Tags = map[string]string{"zone": "a"}
			}
			w.startAll(12)
			w.forget()
			for i := range 12 { // news of all kinds, so that what carries them is damaged too
				time.Sleep(10 * time.Second)
				w.nodes["n00"].SetTags(t.Context(), map[string]string{"round": strings.Repeat("x", i)})
			}
			time.Sleep(5 * time.Second)
			counted := uint64(0)
			for name, n := range w.nodes {
				if downs := n.downs(); len(downs) > 0 {
					t.Errorf("%s called down %v", name, downs)
				}
				if got := len(n.Members()); got != 12 {
					t.Errorf("%s knows %d members", name, got)
				}
				counted += n.Stats().Dropped["wrong checksum"]
			}
			if counted < 100 {
				t.Errorf("%d packets counted for a wrong checksum", counted)
			}
		})
	}
}

// A path of 1280 bytes, as through a tunnel that drops what is larger: the largest tags and the longest names, and many news at once.
func TestNarrowPath(t *testing.T) {
	t.Parallel() // one of the long ones
	const ipv6, udp = 40, 8
	for _, story := range []struct {
		name string
		keys [][]byte
		from string // where the addresses begin
	}{
		{"plain", nil, "10.0.0.1:7946"},
		{"encrypted, IPv6", [][]byte{make([]byte, 32)}, "[fd00:1234:5678:9abc:def0:1234:5678:1]:7946"},
	} {
		t.Run(story.name, func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				tooLarge := 0
				var mu sync.Mutex
				narrow := func(b []byte) []byte {
					if len(b) > 1280-ipv6-udp {
						mu.Lock()
						tooLarge++
						mu.Unlock()
						return nil
					}
					return b
				}
				large := func(what string) map[string]string { return map[string]string{"k": strings.Repeat(what, 470)} }
				w.config = func(cfg *cluster.Config) {
					cfg.Transport = mangler{cfg.Transport.(*clustertest.Transport), narrow}
					cfg.Keys, cfg.Label, cfg.Tags = story.keys, strings.Repeat("l", 64), large("a")
				}
				at := netip.MustParseAddrPort(story.from)
				var names []string
				for i := range 24 {
					name := strings.Repeat("n", 126) + string([]byte{'a' + byte(i/10), '0' + byte(i%10)})
					names = append(names, name)
					w.start(name, at.String())
					at = netip.AddrPortFrom(at.Addr().Next(), at.Port())
					time.Sleep(time.Second)
				}
				w.within(5*time.Second, "all up everywhere", w.allUp)
				time.Sleep(5 * time.Second)
				for _, name := range names {
					w.nodes[name].SetTags(t.Context(), large("b"))
					w.within(3*time.Second, "new tags everywhere", func() bool {
						for _, n := range w.nodes {
							i := slices.IndexFunc(n.Members(), func(m cluster.Member) bool { return m.Name == name })
							if !strings.HasPrefix(n.Members()[i].Tags["k"], "b") {
								return false
							}
						}
						return true
					})
				}
				w.forget()
				var dead []string
				for _, name := range names[:10] {
					dead = append(dead, w.nodes[name].transport.Addr())
				}
				if err := w.network.Kill(dead...); err != nil {
					t.Fatal(err)
				}
				for _, name := range names[:10] {
					w.close(name)
				}
				w.within(3*time.Second, "the dead down everywhere", func() bool {
					for _, name := range names[:10] {
						if !w.everywhere(name, cluster.StateDown)() {
							return false
						}
					}
					return true
				})
				w.quiet(names[:10]...)
				if tooLarge > 0 {
					t.Errorf("%d packets did not fit", tooLarge)
				}
			})
		})
	}
}
