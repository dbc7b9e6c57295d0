package cluster_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// After an isolation heartbeats bring everybody up before anybody knocks. Memberlist must meet again all the same, or tags, newcomers and
// restarts would not cross any more though everybody is up everywhere.
func TestMemberlistMeetsAgain(t *testing.T) {
	for _, cut := range []time.Duration{61 * time.Second, 175 * time.Second} {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				w.startAll(3)
				time.Sleep(time.Minute)
				everyone := []string{clustertest.Everyone}
				w.network.Isolate("10.0.0.1:7946")
				time.Sleep(cut)
				w.network.Heal(everyone, everyone)
				w.within(time.Minute, "all up", w.allUp)
				time.Sleep(3 * time.Minute) // a few knocks
				if err := w.nodes["n01"].SetTags(t.Context(), map[string]string{"zone": "b"}); err != nil {
					t.Fatal(err)
				}
				w.config = func(cfg *cluster.Config) { cfg.Seeds = []string{"10.0.0.2:7946"} }
				w.start("late", "")
				time.Sleep(time.Minute)
				for _, m := range w.nodes["n00"].Members() {
					if m.Name == "n01" && m.Tags["zone"] != "b" {
						t.Error("n00 does not see the tags that n01 has had for a minute")
					}
				}
				if got := w.nodes["n00"].state("late"); got != cluster.StateUp {
					t.Errorf("a member that joined through n01 a minute ago is %v to n00", got)
				}
			})
		})
	}
}

// Of members that come and go some are known to one other only when they die, as memberlist's gossip is wasted on the lately dead.
// They are found dead all the same, with memberlist's word for the second opinion that nobody else has.
func TestShortLivesLeaveNoGhosts(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		names := w.startAll(2)
		w.config = func(cfg *cluster.Config) { cfg.Seeds = []string{"10.0.0.1:7946"} }
		for i := range 100 {
			name := fmt.Sprintf("job%03d", i)
			w.start(name, "")
			time.Sleep(100 * time.Millisecond)
			w.crash(name)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		for _, n := range names {
			ghosts := map[cluster.State]int{}
			for _, m := range w.nodes[n].Members() {
				if w.nodes[m.Name] == nil && m.State != cluster.StateDown {
					ghosts[m.State]++
				}
			}
			if len(ghosts) > 0 {
				t.Errorf("%s holds members that died ten minutes ago for %v", n, ghosts)
			}
		}
	})
}

// What a path lost while one of its ends was cut off or stood still says nothing of questions on it when it is listened to no more:
// n00 would hold n02's silence for loss, and n02 for suspect, for 41 minutes.
func TestOutagesHideNoDeath(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		time.Sleep(time.Minute)
		everyone := []string{clustertest.Everyone}
		n00, n01, n02 := w.nodes["n00"].transport.Addr(), w.nodes["n01"].transport.Addr(), w.nodes["n02"].transport.Addr()
		w.network.Split([]string{n01}, []string{n00, n02})
		time.Sleep(5 * time.Second)
		w.network.Stall(n00)
		time.Sleep(110 * time.Second)
		w.crash("n02")
		w.network.Resume(n00)
		w.network.Heal(everyone, everyone)
		w.within(10*time.Second, "n02 down everywhere", w.everywhere("n02", cluster.StateDown))
	})
}

// A node is cut off before it has heard one of the others: it says Isolated all the same, and believes nothing of what memberlist said
// meanwhile when the first packet comes through again.
func TestCutOffBeforeTheFirstHeartbeat(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, story := range []struct {
		size int
		beat time.Duration // a member goes unheard for as long as a round takes
		cut  time.Duration
	}{{2, cluster.DefaultBeat, 15 * time.Second}, {2, cluster.DefaultBeat, 40 * time.Second}, {2, 4 * time.Second, 43 * time.Second}, {6, 10 * time.Second, 2 * time.Minute}} {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(story, seed), func(t *testing.T) {
				link := clustertest.Link{Delay: clustertest.Uniform(time.Millisecond, 20*time.Millisecond)}
				inTown(t, clustertest.Options{Seed: seed, Link: link}, func(t *testing.T, w *town) {
					w.config = func(cfg *cluster.Config) { cfg.Beat = story.beat }
					w.startAll(story.size)
					w.start("late", "")
					w.within(time.Second, "late up at n00", func() bool { return w.nodes["n00"].state("late") == cluster.StateUp })
					w.forget()
					everyone := []string{clustertest.Everyone}
					w.network.Isolate(w.nodes["n00"].transport.Addr())
					time.Sleep(story.cut)
					w.network.Heal(everyone, everyone)
					time.Sleep(2 * time.Minute)
					if d := w.nodes["n00"].downs(); len(d) > 0 {
						t.Errorf("n00, which was cut off, called %v down", d)
					}
				})
			})
		}
	}
}

// A node that hears one other and is heard by nobody condemns nobody: nobody could deny to it what memberlist says.
func TestMuteNodeCondemnsNobody(t *testing.T) {
	for _, size := range []int{3, 4, 6} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				names := w.startAll(size)
				time.Sleep(time.Minute)
				w.forget()
				mute := []string{w.nodes["n00"].transport.Addr()}
				w.network.Cut(mute, []string{clustertest.Everyone})
				for _, name := range names[2:] {
					w.network.Cut([]string{w.nodes[name].transport.Addr()}, mute)
				}
				time.Sleep(2 * time.Minute)
				if d := w.nodes["n00"].downs(); len(d) > 0 {
					t.Errorf("n00 called %v down", d)
				}
			})
		})
	}
}
