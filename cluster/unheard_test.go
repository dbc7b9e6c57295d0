package cluster_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// firewall lets streams through, and packets only where it does not say otherwise.
type firewall struct {
	*clustertest.Transport
	noOut   bool
	packets chan *memberlist.Packet
	done    chan struct{}
}

func behindFirewall(tr *clustertest.Transport, noIn, noOut bool) *firewall {
	f := &firewall{tr, noOut, make(chan *memberlist.Packet), make(chan struct{})}
	go func() {
		for {
			select {
			case p := <-tr.PacketCh():
				if noIn {
					continue
				}
				select {
				case f.packets <- p:
				case <-f.done:
					return
				}
			case <-f.done:
				return
			}
		}
	}()
	return f
}

func (f *firewall) PacketCh() <-chan *memberlist.Packet { return f.packets }

func (f *firewall) WriteToAddress(b []byte, to memberlist.Address) (time.Time, error) {
	if f.noOut {
		return time.Now(), nil
	}
	return f.Transport.WriteToAddress(b, to)
}

func (f *firewall) WriteTo(b []byte, to string) (time.Time, error) {
	return f.WriteToAddress(b, memberlist.Address{Addr: to})
}

func (f *firewall) Shutdown() error {
	close(f.done)
	return f.Transport.Shutdown()
}

// The packets of one member are lost from its start, and its streams are not: it is one thing to each of the others, and they
// say why. When it dies all know within seconds, however long it lived like that.
func TestOnlyStreamsCross(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, way := range []struct {
		name        string
		noIn, noOut bool
		reason      string // of the suspicion
		sizes       []int
	}{
		{"neither way", true, true, "unheard", []int{2, 3, 12}},
		{"nothing out", false, true, "unheard", []int{3, 5}},
		{"nothing in", true, false, "deaf", []int{3}},
	} {
		for _, size := range way.sizes {
			t.Run(fmt.Sprint(way.name, " ", size), func(t *testing.T) {
				inTown(t, clustertest.Options{Seed: uint64(size)}, func(t *testing.T, w *town) {
					w.startAll(size - 1)
					w.config = func(cfg *cluster.Config) {
						cfg.Transport = behindFirewall(cfg.Transport.(*clustertest.Transport), way.noIn, way.noOut)
					}
					w.forget()
					w.start("x", "")
					time.Sleep(10 * time.Minute)
					for name, n := range w.nodes {
						told := n.told("x")
						if name == "x" {
							continue
						}
						if len(told) > 3 {
							t.Errorf("%s was told %v", name, told)
						}
						if i := slices.IndexFunc(told, func(s string) bool { return s == "down/silent" || s == "down/verdict" }); i >= 0 {
							t.Errorf("%s was told %v of a member that lives", name, told)
						}
						if m, _ := n.Member("x"); m.State == cluster.StateSuspect && told[len(told)-1] != "suspect/"+way.reason {
							t.Errorf("%s was told %v, want suspect for %s", name, told, way.reason)
						}
					}
					if downs := w.nodes["x"].downs(); len(downs) > 0 {
						t.Errorf("x called %v down", downs)
					}
					w.forget()
					time.Sleep(15 * time.Minute)
					for name, n := range w.nodes {
						if told := n.told("x"); name != "x" && len(told) > 0 {
							t.Errorf("%s was told %v in the next 15 minutes", name, told)
						}
					}
					w.crash("x")
					took := w.within(20*time.Second, "down everywhere", w.everywhere("x", cluster.StateDown))
					t.Logf("its death is known everywhere after %v", took)
				})
			})
		}
	}
}
