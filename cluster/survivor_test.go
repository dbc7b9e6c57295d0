package cluster_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// Two of three die at once, or are cut off: the third says so to its own application, at once where their hosts refuse
// connections, and after IsolatedDownAfter where nobody can know.
func TestLoneSurvivor(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, story := range []struct {
		name   string
		silent bool // hosts that are dead too
		after  time.Duration
		reason string
		soon   time.Duration // when both are down at the latest; zero: never
		late   time.Duration // and at the earliest
	}{
		{"processes die", false, 0, "down/refused", 5 * time.Second, 0},
		{"hosts die", true, 0, "down/isolated", 33 * time.Second, 29 * time.Second},
		{"hosts die, five seconds", true, 5 * time.Second, "down/isolated", 8 * time.Second, 5 * time.Second},
		{"hosts die, never", true, -1, "", 0, 0},
	} {
		t.Run(story.name, func(t *testing.T) {
			inTown(t, clustertest.Options{SilentDead: story.silent}, func(t *testing.T, w *town) {
				w.config = func(cfg *cluster.Config) { cfg.IsolatedDownAfter, cfg.ForgetAfter = story.after, 2*time.Minute }
				w.startAll(3)
				n := w.nodes["n00"]
				n01, n02 := w.nodes["n01"].transport.Addr(), w.nodes["n02"].transport.Addr()
				w.network.Kill(n01, n02)
				w.close("n01")
				w.close("n02")
				if story.soon == 0 {
					time.Sleep(10 * time.Minute)
					if n.state("n01") == cluster.StateDown || n.state("n02") == cluster.StateDown || !n.Isolated() {
						t.Errorf("isolated: %v\n%s", n.Isolated(), w.describe())
					}
					return
				}
				both := func() bool { return n.state("n01") == cluster.StateDown && n.state("n02") == cluster.StateDown }
				if took := w.within(story.soon, "both down", both); took < story.late {
					t.Errorf("down after %v, want %v at least", took, story.late)
				}
				if told := n.told("n01"); told[len(told)-1] != story.reason {
					t.Errorf("told %v, want %s in the end", told, story.reason)
				}
				if !n.Isolated() {
					t.Error("not isolated")
				}
				first := true
				for e := range n.Events(context.Background()) {
					if first && e.Kind != cluster.Isolated {
						t.Errorf("a late subscriber is told %v first, want isolated", e.Kind)
					}
					if first = false; e.Member.Name == "n02" {
						break
					}
				}
				time.Sleep(3 * time.Minute)
				if got := n.state("n01"); got != cluster.StateUnknown {
					t.Errorf("n01 is %v after ForgetAfter", got)
				}
			})
		})
	}
}

// Whoever was cut off for long shows the others as down; when it hears them again they are up, and learn what they were held for.
func TestCutOffForLong(t *testing.T) {
	t.Parallel() // one of the long ones
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		names := w.startAll(12)
		n := w.nodes["n05"]
		w.network.Isolate(n.transport.Addr())
		w.within(40*time.Second, "all down at n05", func() bool {
			return !slices.ContainsFunc(names, func(name string) bool { return name != "n05" && n.state(name) != cluster.StateDown })
		})
		everyone := []string{clustertest.Everyone}
		w.network.Heal(everyone, everyone)
		w.within(20*time.Second, "all up again", w.allUp)
		time.Sleep(5 * time.Second)
		for _, name := range names {
			if got := w.nodes[name].told(name); !slices.Contains(got, "accused/verdict") {
				t.Errorf("%s was told %v of itself, and that it was called down is missing", name, got)
			}
		}
	})
}

// All members stand still and go on in any order within two seconds, as on a host that was suspended: nobody is called down for
// it, again and again, and whoever dies a while after is missed as fast as ever.
func TestEverybodyWakesAtOnce(t *testing.T) {
	t.Parallel() // one of the long ones
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		names := w.startAll(10)
		dice := rand.New(rand.NewPCG(1, 1))
		w.forget()
		for range 8 {
			var addrs []string
			for _, name := range names {
				addrs = append(addrs, w.nodes[name].transport.Addr())
			}
			w.network.Stall(addrs...)
			time.Sleep(time.Duration(3+dice.IntN(30)) * time.Second)
			dice.Shuffle(len(addrs), func(i, j int) { addrs[i], addrs[j] = addrs[j], addrs[i] })
			for _, addr := range addrs {
				w.network.Resume(addr)
				time.Sleep(200 * time.Millisecond)
			}
			time.Sleep(20 * time.Second)
		}
		for name, n := range w.nodes {
			if downs := n.downs(); len(downs) > 0 {
				t.Errorf("%s called %v down", name, downs)
			}
		}
		w.crash("n03")
		if took := w.within(2*time.Second, "down everywhere", w.everywhere("n03", cluster.StateDown)); took > time.Second {
			t.Errorf("a death after that is known after %v", took)
		}
	})
}

// Most of a cluster dies at one instant, also without a trace: the few who are left find each other, and know within ten seconds.
func TestFewAreLeft(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, silent := range []bool{false, true} {
		for _, left := range []int{2, 3} {
			inTown(t, clustertest.Options{SilentDead: silent}, func(t *testing.T, w *town) {
				names := w.startAll(24)
				var addrs []string
				for _, name := range names[left:] {
					addrs = append(addrs, w.nodes[name].transport.Addr())
				}
				w.network.Kill(addrs...)
				for _, name := range names[left:] {
					w.close(name)
				}
				took := w.within(10*time.Second, "all others down", func() bool {
					for _, n := range w.nodes {
						for _, m := range n.Members() {
							if w.nodes[m.Name] == nil && m.State != cluster.StateDown {
								return false
							}
						}
					}
					return true
				})
				for name, n := range w.nodes {
					isolated := 0
					for _, what := range n.told(name) {
						if what == "isolated/silent" {
							isolated++
						}
					}
					if isolated > 1 {
						t.Errorf("%s was told %d times that it is isolated", name, isolated)
					}
					for _, down := range n.downs() {
						if w.nodes[down] != nil {
							t.Errorf("%s called %s down, which lives", name, down)
						}
					}
				}
				t.Logf("%d of 24 left, silent %v: all known after %v", left, silent, took)
			})
		}
	}
}
