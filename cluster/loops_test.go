package cluster_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// crashLoop is a process that dies and is started again.
type crashLoop struct {
	name  func(i int) string
	addr  func(i int) string
	lives time.Duration // from the call of Join
	pause time.Duration
}

// loop runs a crash loop until the returned function is called, or the story ends. It leaves the last boot dead and returns its name.
func (w *town) loop(l crashLoop) (stop func() string) {
	stopping, done := make(chan struct{}), make(chan string)
	var seeds []string
	for _, n := range w.nodes {
		seeds = append(seeds, n.transport.Addr())
	}
	slices.Sort(seeds)
	seeds = seeds[:min(2, len(seeds))]
	config := w.config
	go func() {
		last := ""
		for i := 0; ; i++ {
			select {
			case <-stopping:
				done <- last
				return
			default:
			}
			addr := l.addr(i)
			tr, err := w.network.Transport(addr)
			if err != nil {
				w.t.Error(err)
				done <- last
				return
			}
			cfg := cluster.Config{Name: l.name(i), Transport: tr, Seeds: seeds}
			config(&cfg)
			begin := time.Now()
			ctx, cancel := context.WithTimeout(context.Background(), l.lives)
			n, err := cluster.Join(ctx, cfg)
			cancel()
			if err == nil {
				last = cfg.Name
				time.Sleep(time.Until(begin.Add(l.lives)))
				w.network.Kill(addr)
				n.Close()
			}
			time.Sleep(l.pause)
		}
	}()
	stop = sync.OnceValue(func() string { close(stopping); return <-done })
	w.loops = append(w.loops, stop)
	return stop
}

// A process that dies and is started again and again, whatever its name and wherever it is: memberlist's table stays small, the news of
// others travel as ever, its last death is told, and in the end nothing is left of it. Eight new names a second, each dead before its
// first heartbeat, are listed for the 0.8 s that a verdict takes: where those are more than the members, most gossip is wasted on
// them, and some of it has to wait for the next exchange of tables.
func TestCrashLoops(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, story := range []struct {
		name         string
		size, loops  int
		lives, pause time.Duration
		moving, anew bool // to another address, under another name
	}{
		{"one name", 3, 1, 500 * time.Millisecond, 100 * time.Millisecond, false, false},
		{"encrypted", 3, 1, 500 * time.Millisecond, 100 * time.Millisecond, false, false},
		{"three names", 8, 3, 500 * time.Millisecond, 100 * time.Millisecond, false, false},
		{"one name, fast", 3, 1, 100 * time.Millisecond, 20 * time.Millisecond, false, false},
		{"one name that moves", 3, 1, 500 * time.Millisecond, 100 * time.Millisecond, true, false},
		{"one that never gets through Join", 3, 1, 20 * time.Millisecond, 200 * time.Millisecond, true, false},
		{"new names", 3, 1, 600 * time.Millisecond, 100 * time.Millisecond, true, true},
		{"new names, fast", 3, 1, 100 * time.Millisecond, 20 * time.Millisecond, true, true},
		{"new names, fast, beside more", 8, 1, 100 * time.Millisecond, 20 * time.Millisecond, true, true},
		{"new names, slow", 8, 2, 5 * time.Second, 100 * time.Millisecond, true, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			inTown(t, clustertest.Options{Seed: 1}, func(t *testing.T, w *town) {
				w.config = func(cfg *cluster.Config) {
					if story.name == "encrypted" {
						cfg.Keys, cfg.Label = [][]byte{make([]byte, 32)}, "label"
					}
				}
				config := w.config
				names := w.startAll(story.size)
				var stops []func() string
				for l := range story.loops {
					c := crashLoop{
						name:  func(int) string { return fmt.Sprintf("loop%d", l) },
						addr:  func(int) string { return fmt.Sprintf("10.7.0.%d:7946", l+1) },
						lives: story.lives, pause: story.pause,
					}
					if story.moving {
						c.addr = func(i int) string { return fmt.Sprintf("10.%d.%d.%d:7946", 7+l, i/250, 1+i%250) }
					}
					if story.anew {
						c.name = func(i int) string { return fmt.Sprintf("loop%d-%x", l, i*7919) }
					}
					stops = append(stops, w.loop(c))
				}
				listed := 0
				for range 60 {
					time.Sleep(500 * time.Millisecond)
					listed = max(listed, w.nodes["n00"].GossipMembers())
				}
				fleeting := story.anew && story.lives < 125*time.Millisecond // a heartbeat
				most, soon := 2*story.size+8, 2*time.Second
				if fleeting {
					most, soon = story.size+60, 40*time.Second // of 240 that died meanwhile
				}
				if listed > most {
					t.Errorf("memberlist lists %d members: want at most %d", listed, most)
				}
				all := func(ok func(n *citizen) bool) func() bool {
					return func() bool {
						return !slices.ContainsFunc(names, func(name string) bool { return !ok(w.nodes[name]) })
					}
				}
				var tags, joins, crashes time.Duration
				for i := range 3 {
					from, version := names[i%story.size], fmt.Sprint(i)
					w.nodes[from].SetTags(t.Context(), map[string]string{"v": version})
					tags = max(tags, w.within(soon, "a tag everywhere", all(func(n *citizen) bool {
						members := n.Members()
						i := slices.IndexFunc(members, func(m cluster.Member) bool { return m.Name == from })
						return members[i].Tags["v"] == version
					})))
					fresh := "fresh" + version
					w.config = func(cfg *cluster.Config) {
						config(cfg)
						cfg.Seeds = []string{w.nodes["n00"].transport.Addr()}
					}
					w.start(fresh, "")
					joins = max(joins, w.within(soon, "a newcomer everywhere", all(func(n *citizen) bool { return n.state(fresh) == cluster.StateUp })))
					time.Sleep(2 * time.Second)
					w.crash(fresh)
					crashes = max(crashes, w.within(soon, "its crash everywhere", all(func(n *citizen) bool { return n.state(fresh) == cluster.StateDown })))
				}
				var lasts []string
				for _, stop := range stops {
					lasts = append(lasts, stop())
				}
				last := w.within(soon, "the last death everywhere", all(func(n *citizen) bool {
					return !slices.ContainsFunc(lasts, func(last string) bool {
						state := n.state(last)
						unheard := last == "" || story.anew && state == cluster.StateUnknown // too short a life to be told of
						return state != cluster.StateDown && !unheard
					})
				}))
				time.Sleep(max(15*time.Second, soon)) // memberlist finds those whom nobody else ever heard of
				if got := w.nodes["n00"].GossipMembers(); got != story.size {
					t.Errorf("memberlist lists %d members in the end", got)
				}
				t.Logf("memberlist lists up to %d; a tag took %v, a newcomer %v, a crash %v, the last death %v", listed, tags, joins, crashes, last)
			})
		})
	}
}
