package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

func TestMembersFindEachOther(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		names := w.startAll(5)
		for _, name := range names {
			n := w.nodes[name]
			var got []string
			for _, m := range n.Members() {
				got = append(got, m.Name)
				switch {
				case m.Name == name:
					if self := n.Self(); m.Boot != self.Boot || m.Addr != self.Addr || m.Observed || m.Phi != 0 {
						t.Errorf("%s sees itself as %+v, Self says %+v", name, m, self)
					}
				case !m.Observed || m.RTT <= 0 || m.RTT > 5*time.Millisecond || time.Since(m.LastHeard) > time.Second:
					t.Errorf("%s sees %+v, want it observed, heard within a second, RTT below 5 ms", name, m)
				}
			}
			if !slices.Equal(got, names) {
				t.Errorf("%s sees %v, want %v", name, got, names)
			}
			for _, other := range names {
				if other == name {
					continue
				}
				told := n.told(other)
				if len(told) != 1 || told[0] != "up/joined" && told[0] != "up/present" {
					t.Errorf("%s told %v of %s, want one up", name, told, other)
				}
			}
		}
		w.forget()
		time.Sleep(time.Minute)
		w.quiet()
	})
}

func TestCrashIsDownEverywhereOnce(t *testing.T) {
	for _, size := range []int{2, 3, 5, 12, 30} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inTown(t, clustertest.Options{Seed: uint64(size)}, func(t *testing.T, w *town) {
				names := w.startAll(size)
				time.Sleep(20 * time.Second)
				w.forget()
				victim := names[size/2]
				w.crash(victim)
				took := w.within(3*time.Second, "down everywhere", w.everywhere(victim, cluster.StateDown))
				t.Logf("%d members: down everywhere after %v", size, took)
				time.Sleep(30 * time.Second)
				w.quiet(victim)
				for name, n := range w.nodes {
					told := slices.DeleteFunc(n.told(victim), func(s string) bool { return s == "suspect/silent" })
					if len(told) != 1 || !strings.HasPrefix(told[0], "down/") {
						t.Errorf("%s told %v of %s, want one down", name, told, victim)
					}
				}
			})
		})
	}
}

// Nobody dies unseen: not a member that dies before its first heartbeat, nor one that dies together with all who listened to it.
func TestUnheardMemberIsFoundDead(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(12)
		w.start("brief", "")
		w.within(time.Second, "up everywhere", w.everywhere("brief", cluster.StateUp))
		w.crash("brief")
		took := w.within(3*time.Second, "down everywhere", w.everywhere("brief", cluster.StateDown))
		t.Logf("died at once: down everywhere after %v", took)
	})
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Observers = 4 }
		names := w.startAll(20)
		time.Sleep(time.Minute)
		w.forget()
		victims := []string{names[7]}
		for _, name := range names {
			for _, m := range w.nodes[name].Members() {
				if m.Name == names[7] && m.Observed {
					victims = append(victims, name)
				}
			}
		}
		var addrs []string
		for _, v := range victims {
			addrs = append(addrs, w.nodes[v].transport.Addr())
		}
		w.network.Kill(addrs...)
		for _, v := range victims {
			w.close(v)
		}
		begin := time.Now()
		for _, v := range victims { // 1.9 s in the median of 200, 3.2 s at most
			w.within(5*time.Second, v+" down everywhere", w.everywhere(v, cluster.StateDown))
		}
		t.Logf("died with its %d observers: down everywhere after %v", len(victims)-1, time.Since(begin))
		w.quiet(victims...)
	})
}

func TestLeaveIsNotDown(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		w.forget()
		begin := time.Now()
		if err := w.nodes["n03"].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if self := w.nodes["n03"].Self(); self.State != cluster.StateLeft || !self.Since.Equal(begin) {
			t.Errorf("it is %v itself since %v, want left since %v", self.State, self.Since, begin)
		}
		if err := w.nodes["n03"].Leave(t.Context()); err != nil {
			t.Errorf("second Leave: %v", err)
		}
		w.within(time.Second, "left everywhere", w.everywhere("n03", cluster.StateLeft))
		n := w.nodes["n03"]
		w.close("n03")
		if err := n.Leave(t.Context()); !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("Leave after Close: %v, want ErrClosed", err)
		}
		time.Sleep(time.Minute)
		w.quiet("n03")
		for name, n := range w.nodes {
			if told := n.told("n03"); !slices.Equal(told, []string{"left/left"}) {
				t.Errorf("%s told %v of n03, want left once", name, told)
			}
		}
		// It comes back, as a new boot, with nothing to reclaim.
		w.forget()
		w.start("n03", "")
		w.within(3*time.Second, "up again everywhere", w.allUp)
		for name, n := range w.nodes {
			if told := n.told("n03"); name != "n03" && !slices.Equal(told, []string{"up/restarted"}) {
				t.Errorf("%s told %v of n03, want up once", name, told)
			}
		}
	})
}

// Between Leave and Close a node hears less and less: that says nothing of the others.
func TestLeaverJudgesNobody(t *testing.T) {
	for _, size := range []int{2, 3, 6} {
		inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
			w.startAll(size)
			w.forget()
			if err := w.nodes["n01"].Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			w.quiet("n01")
			if told := w.nodes["n01"].told("n01"); len(told) > 0 {
				t.Errorf("%d members: n01 told %v of itself", size, told)
			}
		})
	}
}

// Close may come at any moment of a Leave.
func TestLeaveAndClose(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		for i := range 40 {
			w.start("brief", "")
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Millisecond)
			done, node := make(chan error, 1), w.nodes["brief"]
			go func() { done <- node.Leave(ctx) }()
			if i%2 == 0 {
				<-done
			}
			begin := time.Now()
			w.close("brief")
			if took := time.Since(begin); took > 100*time.Millisecond {
				t.Errorf("Close took %v", took)
			}
			cancel()
		}
	})
}

// A newcomer hears of the dead and the departed, but does not keep them alive in memory.
func TestForgottenThoughNewcomersCame(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.ForgetAfter = time.Minute }
		w.startAll(5)
		w.crash("n01")
		if err := w.nodes["n02"].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.close("n02")
		for range 6 {
			time.Sleep(15 * time.Second)
			w.start("late", "")
			time.Sleep(time.Second)
			w.crash("late")
		}
		for _, gone := range []string{"n01", "n02"} {
			if !w.everywhere(gone, cluster.StateUnknown)() {
				t.Errorf("%s is still known\n%s", gone, w.describe())
			}
		}
	})
}

func TestRestartIsDownThenUp(t *testing.T) {
	for name, addr := range map[string]string{"same address": "10.0.0.3:7946", "another address": "10.0.9.9:7946"} {
		t.Run(name, func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				w.startAll(5)
				w.forget()
				old := w.nodes["n02"].Self()
				w.crash("n02")
				time.Sleep(300 * time.Millisecond) // faster than any detection
				begin := time.Now()
				fresh := w.start("n02", addr).Self()
				if fresh.Boot <= old.Boot || fresh.Addr != addr {
					t.Fatalf("boot %d at %s after boot %d at %s", fresh.Boot, fresh.Addr, old.Boot, old.Addr)
				}
				w.within(2*time.Second, "up again everywhere", func() bool {
					for other, n := range w.nodes {
						if other != "n02" && !slices.ContainsFunc(n.Members(), func(m cluster.Member) bool {
							return m.Name == "n02" && m.Boot == fresh.Boot && m.Addr == addr && m.State == cluster.StateUp
						}) {
							return false
						}
					}
					return true
				})
				t.Logf("joined and up everywhere %v after the start", time.Since(begin))
				if told := w.nodes["n02"].downs(); len(told) > 0 {
					t.Errorf("the restarted member called %v down", told)
				}
				if n := w.nodes["n02"].Stats().Dropped["replayed heartbeat"]; n > 0 {
					t.Errorf("the restarted member took %d heartbeats for replays", n)
				}
				w.nodes["n02"].forget()
				time.Sleep(time.Minute)
				w.quiet("n02")
				for other, n := range w.nodes {
					told := slices.DeleteFunc(n.told("n02"), func(s string) bool { return strings.HasPrefix(s, "suspect/") || s == "up/heard" })
					// Some may find the old one silent just before they hear of the new one.
					if other != "n02" && (len(told) != 2 || !strings.HasPrefix(told[0], "down/") || told[1] != "up/restarted") {
						t.Errorf("%s told %v of n02, want down once and up, restarted", other, told)
					}
				}
			})
		})
	}
}

func TestNameIsTakenWhileItsHolderAnswers(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		w.forget()
		if _, err := w.join(t.Context(), "n02", ""); !errors.Is(err, cluster.ErrNameTaken) || !strings.Contains(err.Error(), `"n02" at 10.0.0.3:7946`) {
			t.Errorf("a second n02: %v, want ErrNameTaken with name and address", err)
		}
		time.Sleep(time.Minute)
		w.quiet()
		if !w.allUp() {
			t.Errorf("the incumbent did not stay:\n%s", w.describe())
		}
	})
}

// A name whose last holders all vanished with their machines costs the wait for one of them, not for each in turn.
func TestFormerHoldersAreAskedAtOnce(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		var took []time.Duration
		for range 3 {
			if err := w.network.Isolate(w.nodes["n02"].transport.Addr()); err != nil {
				t.Fatal(err)
			}
			w.close("n02")
			began := time.Now()
			w.start("n02", "")
			took = append(took, time.Since(began))
		}
		t.Logf("joined after %v", took)
		if longest := slices.Max(took); longest > took[0]+100*time.Millisecond {
			t.Errorf("with more to ask than one a holder joined after %v, with one after %v", longest, took[0])
		}
		if took[0] < 500*time.Millisecond {
			t.Errorf("the first holder joined after %v: the one before it was not asked", took[0])
		}
	})
}

// Of two processes that start under one name at one time, one gets it.
func TestNameIsTakenByOneOfTwo(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		type result struct {
			n   *cluster.Node
			err error
		}
		results := make(chan result)
		for i := range 2 {
			transport, err := w.network.Transport("")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				time.Sleep(time.Duration(i) * 20 * time.Microsecond)
				n, err := cluster.Join(t.Context(), cluster.Config{Name: "twin", Transport: transport, Seeds: []string{"10.0.0.1:7946"}})
				results <- result{n, err}
			}()
		}
		var alive []*cluster.Node
		for range 2 {
			switch r := <-results; {
			case r.err == nil:
				alive = append(alive, r.n)
				defer r.n.Close()
			case !errors.Is(r.err, cluster.ErrNameTaken):
				t.Errorf("twin: %v", r.err)
			}
		}
		time.Sleep(5 * time.Second)
		alive = slices.DeleteFunc(alive, func(n *cluster.Node) bool { return errors.Is(n.Err(), cluster.ErrNameTaken) })
		if len(alive) != 1 {
			t.Errorf("%d of two twins hold the name", len(alive))
		}
	})
}

// Two halves that knew a name under a boot ahead of their clocks give its next process the same one each. One of the two goes on.
func TestNameIsHeldByOneOfTwoWithOneBoot(t *testing.T) {
	inTown(t, clustertest.Options{Link: clustertest.Link{Delay: clustertest.Uniform(20*time.Millisecond, 200*time.Millisecond)}}, func(t *testing.T, w *town) {
		w.startAll(4)
		x := w.start("x", "10.0.1.1:7946").Self()
		time.Sleep(time.Second)
		ahead := claim.Claim{Name: "x", Boot: x.Boot + uint64(time.Hour.Microseconds()), State: claim.Down}
		w.stranger().send(w.nodes["x"], &wire.Packet{From: "n00", Boot: w.nodes["n00"].Self().Boot, Claims: []claim.Claim{ahead}})
		time.Sleep(5 * time.Second)
		w.crash("x")
		one := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.1.2:7946"}
		two := []string{"10.0.0.3:7946", "10.0.0.4:7946", "10.0.1.3:7946"}
		if err := w.network.Split(one, two); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		first := w.start("x", one[2])
		delete(w.nodes, "x")
		time.Sleep(time.Second)
		second := w.start("x", two[2])
		delete(w.nodes, "x")
		defer func() {
			first.Close()
			second.Close()
			<-first.ended
			<-second.ended
		}()
		if a, b := first.Self().Boot, second.Self().Boot; a != b || a <= ahead.Boot {
			t.Fatalf("boots %d and %d, want the same above %d", a, b, ahead.Boot)
		}
		time.Sleep(5 * time.Second)
		if err := w.network.Heal(one, two); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if err := first.Err(); err != nil {
			t.Errorf("the one that started first ended: %v", err)
		}
		if err := second.Err(); !errors.Is(err, cluster.ErrNameTaken) {
			t.Errorf("the other one ended with %v, want ErrNameTaken", err)
		}
		for name, n := range w.nodes {
			if !slices.ContainsFunc(n.Members(), func(m cluster.Member) bool { return m.Name == "x" && m.Addr == one[2] && m.State == cluster.StateUp }) {
				t.Errorf("%s does not see x up at %s: %s", name, one[2], w.describe())
			}
		}
	})
}

func TestTags(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Tags = map[string]string{"zone": "a"} }
		w.startAll(3)
		w.forget()
		if err := w.nodes["n01"].SetTags(t.Context(), map[string]string{"zone": "b", "role": "db"}); err != nil {
			t.Fatal(err)
		}
		w.within(2*time.Second, "new tags everywhere", func() bool {
			for _, n := range w.nodes {
				if !slices.ContainsFunc(n.Members(), func(m cluster.Member) bool { return m.Name == "n01" && m.Tags["zone"] == "b" && m.Tags["role"] == "db" }) {
					return false
				}
			}
			return true
		})
		synctest.Wait()
		if told := w.nodes["n00"].told("n01"); !slices.Equal(told, []string{"updated/tags"}) {
			t.Errorf("n00 told %v of n01, want one update", told)
		}
		err := w.nodes["n01"].SetTags(t.Context(), map[string]string{"k": strings.Repeat("x", 600)})
		if err == nil || !strings.Contains(err.Error(), "Tags") || !strings.Contains(err.Error(), "at most") {
			t.Errorf("600 bytes of tags: %v", err)
		}
		if got := w.nodes["n01"].Self().Tags["zone"]; got != "b" {
			t.Errorf("refused tags left zone %q, want b", got)
		}
		if err := w.nodes["n02"].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.nodes["n02"].SetTags(t.Context(), map[string]string{"zone": "c"}); err == nil || !strings.Contains(err.Error(), "left") {
			t.Errorf("tags of a member that left: %v, want an error that says so", err)
		}
	})
}

// Of many changes of the tags at once the one that this node ends with is the one that the others see. memberlist reads the metadata before
// it gives it a number, so that without order among them an older one may have the higher number.
func TestTagsAtOnce(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(2)
		changer, other := w.nodes["n00"], w.nodes["n01"]
		for round := range 30 {
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					if err := changer.SetTags(t.Context(), map[string]string{"change": fmt.Sprint(round, i)}); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			want := changer.Self().Tags["change"]
			w.within(5*time.Second, "n01 sees n00's tags "+want, func() bool {
				return slices.ContainsFunc(other.Members(), func(m cluster.Member) bool { return m.Name == "n00" && m.Tags["change"] == want })
			})
		}
	})
}

func TestStrangersNeverAppear(t *testing.T) {
	for name, change := range map[string]func(*cluster.Config){
		"wrong key":   func(cfg *cluster.Config) { cfg.Keys = [][]byte{[]byte("another key 1234")} },
		"no key":      func(cfg *cluster.Config) { cfg.Keys = nil },
		"wrong label": func(cfg *cluster.Config) { cfg.Label = "green" },
		"no label":    func(cfg *cluster.Config) { cfg.Label = "" },
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				w.config = func(cfg *cluster.Config) {
					cfg.Keys, cfg.Label = [][]byte{[]byte("0123456789abcdef")}, "blue"
				}
				w.startAll(3)
				w.forget()
				usual := w.config
				w.config = func(cfg *cluster.Config) { usual(cfg); change(cfg) }
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				if _, err := w.join(ctx, "stranger", ""); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "seed 10.0.0.1:7946: ") {
					t.Errorf("stranger: %v, want the deadline's error with the last of each seed", err)
				}
				w.quiet()
				cause := "memberlist: " + strings.Replace(name, "no ", "wrong ", 1)
				counted := uint64(0)
				for _, n := range w.nodes {
					counted += n.Stats().Dropped[cause]
				}
				if counted == 0 {
					t.Errorf("nothing counted as %q:\n%s", cause, w.describe())
				}
			})
		})
	}
}

// Nothing in or out of one node for five seconds: down for the others, and up again when it is back. The node itself knows that
// it is the one who is cut off, and calls nobody down. (Its own clock went on; a process that stands still, SIGSTOP, is
// the end-to-end test's.)
func TestBlockedMemberComesBack(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		w.forget()
		w.network.Block("10.0.0.3:7946")
		w.within(3*time.Second, "down everywhere", w.everywhere("n02", cluster.StateDown))
		time.Sleep(3 * time.Second)
		w.network.Unblock("10.0.0.3:7946")
		took := w.within(3*time.Second, "all up again", w.allUp)
		t.Logf("all up %v after the end of the block", took)
		if told := w.nodes["n02"].told("n02"); !slices.Equal(told, []string{"isolated/silent", "connected/heard", "accused/verdict"}) {
			t.Errorf("the blocked member told %v of itself, want isolated, connected and accused", told)
		}
		if down := w.nodes["n02"].downs(); len(down) > 0 {
			t.Errorf("the blocked member called %v down", down)
		}
		w.forget()
		time.Sleep(time.Minute)
		w.quiet()
	})
}

// A member that beats and hears nobody is suspect for those who observe it, and down for nobody. It comes back at once the first time;
// if it goes deaf and hears in turns, once it has heard for five minutes.
func TestDeafMember(t *testing.T) {
	t.Parallel() // one of the long ones
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(6)
		deaf := w.nodes["n03"]
		everyone, it := []string{clustertest.Everyone}, []string{deaf.transport.Addr()}
		cut := func(d time.Duration) {
			t.Helper()
			if err := w.network.Cut(everyone, it); err != nil {
				t.Fatal(err)
			}
			w.within(3*time.Second, "suspect everywhere", w.everywhere("n03", cluster.StateSuspect))
			time.Sleep(d)
			if err := w.network.Heal(everyone, it); err != nil {
				t.Fatal(err)
			}
		}
		w.forget()
		cut(20 * time.Second) // any longer, and it tells its own application that they are down
		w.within(2*time.Second, "up everywhere", w.everywhere("n03", cluster.StateUp))
		for range 5 {
			time.Sleep(20 * time.Second)
			cut(20 * time.Second)
		}
		time.Sleep(4 * time.Minute)
		if !w.everywhere("n03", cluster.StateSuspect)() {
			t.Errorf("up four minutes after it was deaf again and again:\n%s", w.describe())
		}
		w.within(time.Minute+2*time.Second, "up everywhere", w.everywhere("n03", cluster.StateUp))
		if downs := deaf.downs(); len(downs) > 0 {
			t.Errorf("the deaf member called %v down", downs)
		}
		deaf.forget() // it suspected everybody
		w.quiet("n03")
		for name, n := range w.nodes {
			want := []string{"suspect/deaf", "up/heard", "suspect/deaf", "up/heard"}
			if got := n.told("n03"); name != "n03" && !slices.Equal(got, want) {
				t.Errorf("%s was told %v, want %v", name, got, want)
			}
		}
	})
}

// A member that eight packets in ten are lost of, and to, is not up and suspect in turns for hours, nor are the others there.
func TestSuspicionsAreDamped(t *testing.T) {
	t.Parallel() // one of the long ones
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(8)
		everyone, it := []string{clustertest.Everyone}, []string{w.nodes["n03"].transport.Addr()}
		bad := clustertest.Link{Loss: clustertest.Independent(0.8)}
		for _, way := range [][2][]string{{everyone, it}, {it, everyone}} {
			if err := w.network.SetLink(way[0], way[1], bad); err != nil {
				t.Fatal(err)
			}
		}
		w.forget()
		time.Sleep(20 * time.Minute)
		for name := range w.nodes {
			if name == "n03" {
				continue
			}
			for _, pair := range [][2]string{{name, "n03"}, {"n03", name}} {
				// 14 at most of 30 runs, mostly 7 to 11.
				if got := w.nodes[pair[0]].told(pair[1]); len(got) > 20 {
					t.Errorf("%s was told %d times of %s: %v", pair[0], len(got), pair[1], got)
				}
			}
		}
	})
}

// A deaf member that was cut off for good and comes back is up, and not what it was before.
func TestDeafMemberComesBack(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(6)
		everyone, it := []string{clustertest.Everyone}, []string{w.nodes["n03"].transport.Addr()}
		if err := w.network.Cut(everyone, it); err != nil {
			t.Fatal(err)
		}
		w.within(3*time.Second, "suspect everywhere", w.everywhere("n03", cluster.StateSuspect))
		w.forget()
		if err := w.network.Cut(it, everyone); err != nil {
			t.Fatal(err)
		}
		w.within(3*time.Second, "down everywhere", w.everywhere("n03", cluster.StateDown))
		if err := w.network.Heal(everyone, everyone); err != nil {
			t.Fatal(err)
		}
		w.within(10*time.Second, "up everywhere", w.everywhere("n03", cluster.StateUp))
		for name, n := range w.nodes {
			if got := n.told("n03"); name != "n03" && (slices.Contains(got, "suspect/heard") || got[len(got)-1] != "up/heard") {
				t.Errorf("%s was told %v, want up in the end, and suspect only if it said that it was deaf", name, got)
			}
		}
	})
}

// Nodes that know that they are cut off ask those that they listened to, and not everybody about each of them.
func TestIsolatedNodesAskLittle(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(40)
		alone := []*citizen{w.nodes["n05"], w.nodes["n11"], w.nodes["n17"], w.nodes["n23"], w.nodes["n29"], w.nodes["n35"]}
		for _, n := range alone {
			if err := w.network.Isolate(n.transport.Addr()); err != nil {
				t.Fatal(err)
			}
		}
		w.within(3*time.Second, "isolated, all of them", func() bool { // before that it asks their other observers too
			return !slices.ContainsFunc(alone, func(n *citizen) bool { return !slices.Contains(n.told(n.Self().Name), "isolated/silent") })
		})
		before := map[*citizen]uint64{}
		for _, n := range alone {
			before[n] = n.Stats().Sent["ask"]
		}
		time.Sleep(time.Second)
		// Those it listened to, and those that others asked it about just before, are asked up to ten times in a second; beside
		// that a round of the roll asks the rest: 91 to 134 questions in sixty nodes' first second.
		for _, n := range alone {
			if got := n.Stats().Sent["ask"] - before[n]; got == 0 || got > 160 {
				t.Errorf("%d questions in a second of isolation, want at most 160", got)
			}
		}
	})
}

// It dies like anybody else, also while it is held for deaf.
func TestDeafMemberDies(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(6)
		everyone, it := []string{clustertest.Everyone}, []string{w.nodes["n03"].transport.Addr()}
		if err := w.network.Cut(everyone, it); err != nil {
			t.Fatal(err)
		}
		w.within(3*time.Second, "suspect everywhere", w.everywhere("n03", cluster.StateSuspect))
		w.forget()
		w.crash("n03")
		w.within(2*time.Second, "down everywhere", w.everywhere("n03", cluster.StateDown))
		for name, n := range w.nodes {
			if got := n.told("n03"); len(got) != 1 || got[0] != "down/silent" && got[0] != "down/verdict" {
				t.Errorf("%s was told %v, want one down", name, got)
			}
		}
		w.quiet("n03")
	})
}

func TestPartitionHealsByItself(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(6)
		one := []string{"10.0.0.1:7946", "10.0.0.2:7946", "10.0.0.3:7946"}
		two := []string{"10.0.0.4:7946", "10.0.0.5:7946", "10.0.0.6:7946"}
		w.network.Split(one, two)
		w.within(5*time.Second, "each half calls the other down", func() bool {
			for i := range 6 {
				for j := range 6 {
					want := cluster.StateUp
					if (i < 3) != (j < 3) {
						want = cluster.StateDown
					}
					if w.nodes[fmt.Sprintf("n%02d", i)].state(fmt.Sprintf("n%02d", j)) != want {
						return false
					}
				}
			}
			return true
		})
		time.Sleep(10 * time.Minute) // memberlist has long forgotten the other half
		w.network.Heal(one, two)
		took := w.within(2*time.Minute, "all up again", w.allUp)
		t.Logf("all up %v after the partition", took)
		w.within(5*time.Second, "each told that it was called down", func() bool {
			return !slices.ContainsFunc(slices.Collect(maps.Values(w.nodes)), func(n *citizen) bool {
				return !slices.Contains(n.told(n.Self().Name), "accused/verdict")
			})
		})
		w.forget()
		time.Sleep(2 * time.Minute)
		w.quiet()
	})
}

// Who meets the other half again is told that all of its own half are down, since a minute ago. Most of them it does not listen to,
// and knows of no later heartbeat; it asks them before it believes that. Who is really down it does believe.
func TestHealingBelievesNoOldVerdicts(t *testing.T) {
	t.Parallel() // one of the long ones
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(30)
		names := slices.Sorted(maps.Keys(w.nodes))
		var one, two []string
		for i, name := range names {
			if i%2 == 0 {
				one = append(one, w.nodes[name].transport.Addr())
			} else {
				two = append(two, w.nodes[name].transport.Addr())
			}
		}
		time.Sleep(time.Minute)
		w.network.Split(one, two)
		time.Sleep(5 * time.Second)
		for i, other := range names {
			if down := w.nodes[names[2]].state(other) == cluster.StateDown; down != (i%2 == 1) {
				t.Fatalf("%s holds %s for down: %v, want the other half", names[2], other, down)
			}
		}
		w.crash(names[0])            // half of them are told, and the others know it for down since the split
		time.Sleep(10 * time.Second) // less than it takes for tables to be exchanged by chance
		w.forget()
		w.network.Heal(one, two)
		w.within(10*time.Second, "all but it up again", func() bool {
			for _, name := range names[1:] {
				for _, other := range names[1:] {
					if w.nodes[name].state(other) != cluster.StateUp {
						return false
					}
				}
			}
			return true
		})
		time.Sleep(time.Minute)
		for _, name := range names[1:] {
			if down := w.nodes[name].downs(); len(down) > 0 {
				t.Errorf("%s called %v down when the halves met", name, down)
			}
			if got := w.nodes[name].state(names[0]); got != cluster.StateDown {
				t.Errorf("%s holds the crashed member for %v", name, got)
			}
		}
	})
}

// A member that was alone while another one died, which it does not listen to, believes the others' old verdict when it is back.
func TestMemberThatWasAloneLearnsWhoDied(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Observers = 2 }
		w.startAll(20)
		alone := w.nodes["n07"]
		i := slices.IndexFunc(alone.Members(), func(m cluster.Member) bool { return m.Name != "n07" && !m.Observed })
		victim := alone.Members()[i].Name
		if err := w.network.Isolate(alone.transport.Addr()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		w.crash(victim)
		time.Sleep(10 * time.Second)
		everyone := []string{clustertest.Everyone}
		if err := w.network.Heal(everyone, everyone); err != nil {
			t.Fatal(err)
		}
		took := w.within(time.Minute, "down everywhere", w.everywhere(victim, cluster.StateDown))
		t.Logf("down everywhere %v after the isolation", took)
		if down := alone.downs(); !slices.Equal(down, []string{victim}) {
			t.Errorf("the member that was alone called %v down, want %s", down, victim)
		}
	})
}

func TestNewcomerLearnsWhoIsDownAndWhoLeft(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		w.crash("n01")
		if err := w.nodes["n02"].Leave(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.close("n02")
		time.Sleep(2 * time.Minute) // memberlist has forgotten both
		n := w.start("new", "")
		if a, b := n.state("n01"), n.state("n02"); a != cluster.StateDown || b != cluster.StateLeft {
			t.Errorf("the newcomer holds n01 for %v and n02 for %v, want down and left", a, b)
		}
	})
}

func TestForgottenAfterForgetAfter(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.ForgetAfter = time.Minute }
		w.startAll(3)
		w.crash("n01")
		w.within(3*time.Second, "down", w.everywhere("n01", cluster.StateDown))
		w.within(90*time.Second, "forgotten", w.everywhere("n01", cluster.StateUnknown))
	})
}

// One path that loses everything is nobody's death: the others vouch for the member.
func TestOneDeadPathIsNoVerdict(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(6)
		w.forget()
		w.network.Split([]string{"10.0.0.2:7946"}, []string{"10.0.0.5:7946"})
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for name, n := range w.nodes {
			if down := n.downs(); len(down) > 0 {
				t.Errorf("%s called %v down", name, down)
			}
		}
	})
}

func TestNoFalseAlarmUnderLoss(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, loss := range []float64{0.01, 0.1} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			inTown(t, clustertest.Options{Seed: 3, Link: clustertest.Link{Loss: clustertest.Independent(loss)}}, func(t *testing.T, w *town) {
				w.startAll(10)
				w.forget()
				time.Sleep(10 * time.Minute)
				synctest.Wait()
				suspicions := 0
				for name, n := range w.nodes {
					if down := n.downs(); len(down) > 0 {
						t.Errorf("%s called %v down", name, down)
					}
					suspicions += len(n.events)
				}
				t.Logf("%v loss, 10 members, 10 min: %d events", loss, suspicions)
			})
		})
	}
}

func TestProbesAlone(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Heartbeats = cluster.Probes }
		names := w.startAll(3)
		time.Sleep(2 * time.Minute)
		w.quiet(names...)
		for _, m := range w.nodes["n00"].Members() {
			if m.Name != "n00" && !m.Observed {
				t.Errorf("%+v is not observed", m)
			}
		}
		if beats := w.nodes["n00"].Stats().Sent["beat"]; beats != 0 {
			t.Errorf("%d heartbeats sent", beats)
		}
		w.forget()
		w.crash("n01")
		took := w.within(15*time.Second, "down everywhere", w.everywhere("n01", cluster.StateDown))
		t.Logf("down everywhere after %v", took)
		time.Sleep(time.Minute)
		w.quiet("n01")
	})
}

// Who was cut off holds that against nobody, also where probes are all it has to go by.
func TestProbesAloneAfterIsolation(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Heartbeats = cluster.Probes }
		w.startAll(6)
		time.Sleep(time.Minute)
		w.forget()
		n, everyone := w.nodes["n00"], []string{clustertest.Everyone}
		for range 2 {
			if err := w.network.Isolate(n.transport.Addr()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Minute)
			if err := w.network.Heal(everyone, everyone); err != nil {
				t.Fatal(err)
			}
			w.within(2*time.Minute, "all up everywhere", w.allUp)
		}
		for name := range w.nodes {
			for _, told := range n.told(name) {
				if told == "down/silent" || told == "down/memberlist" {
					t.Errorf("called %s %s", name, told)
				}
			}
		}
	})
}

// Each member is probed less often the more there are, and that is no reason to suspect anybody.
func TestProbesAloneWhileTheClusterGrows(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Heartbeats = cluster.Probes }
		w.startAll(3)
		time.Sleep(5 * time.Minute)
		for i := range 5 {
			w.start(fmt.Sprintf("late%d", i), "")
		}
		w.forget()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		for name, n := range w.nodes {
			if down := n.downs(); len(down) > 0 {
				t.Errorf("%s called %v down", name, down)
			}
		}
	})
}

// startPlain starts a member that runs memberlist alone, and returns what crashes it.
func (w *town) startPlain(name string) (crash func()) {
	w.t.Helper()
	transport, err := w.network.Transport("")
	if err != nil {
		w.t.Fatal(err)
	}
	config := memberlist.DefaultLANConfig()
	config.Name, config.Transport, config.LogOutput, config.EnableCompression = name, transport, io.Discard, false
	plain, err := memberlist.Create(config)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := plain.Join([]string{"10.0.0.1:7946"}); err != nil {
		w.t.Fatal(err)
	}
	w.within(2*time.Second, "up everywhere", w.everywhere(name, cluster.StateUp))
	return func() {
		w.network.Kill(transport.Addr())
		plain.Shutdown()
	}
}

// With Probes a member is probed the less often the more members memberlist has, also those that run memberlist alone.
func TestProbesBesidePlainMembers(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Heartbeats = cluster.Probes }
		w.startAll(3)
		for i := range 20 {
			defer w.startPlain(fmt.Sprintf("plain%02d", i))()
		}
		time.Sleep(time.Minute)
		w.start("late", "")
		time.Sleep(10 * time.Minute)
		for name, n := range w.nodes {
			if downs := n.downs(); len(downs) > 0 {
				t.Errorf("nothing was lost and nobody died; %s called down %v", name, downs)
			}
		}
	})
}

// A node that hears nobody does not believe memberlist, which calls everybody dead then, until it hears others again and memberlist
// still says so; also one that has no heartbeats of its own.
func TestIsolatedNodeDoubtsMemberlist(t *testing.T) {
	t.Parallel() // one of the long ones
	for _, h := range []cluster.Heartbeats{cluster.Ring, cluster.Probes} {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, dies %v", h, dies), func(t *testing.T) {
				inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
					w.config = func(cfg *cluster.Config) { cfg.Heartbeats = h }
					w.startAll(5)
					crash := w.startPlain("plain")
					defer crash()
					time.Sleep(time.Minute)
					w.forget()
					n := w.nodes["n00"]
					if err := w.network.Isolate(n.transport.Addr()); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
					if dies {
						crash()
					}
					time.Sleep(4 * time.Minute)
					everyone := []string{clustertest.Everyone}
					if err := w.network.Heal(everyone, everyone); err != nil {
						t.Fatal(err)
					}
					if downs := n.downs(); len(downs) > 0 {
						t.Errorf("called %v down while it was cut off", downs)
					}
					time.Sleep(4 * time.Minute)
					want := []string(nil)
					switch {
					case h == cluster.Ring: // it says so to its own subscribers after 30 s, and waits for a sign of life
						want = []string{"down/isolated"}
						if !dies {
							want = append(want, "up/heard")
						}
					case dies:
						want = []string{"down/memberlist"}
					}
					if told := n.told("plain"); !slices.Equal(told, want) {
						t.Errorf("told %v of plain, want %v", told, want)
					}
				})
			})
		}
	}
}

// Whoever hears a member that runs memberlist alone does not stay isolated, though all others died at once.
func TestPlainMemberIsSomebody(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(4)
		defer w.startPlain("plain")()
		time.Sleep(time.Minute)
		for _, name := range []string{"n01", "n02", "n03"} {
			w.crash(name)
		}
		time.Sleep(time.Minute) // memberlist probes the dead too for a while, and the next ack may be long in coming
		n := w.nodes["n00"]
		if told := n.told("n00"); len(told) > 0 && told[len(told)-1] != "connected/heard" {
			t.Errorf("told %v of itself", told)
		}
		w.forget()
		time.Sleep(5 * time.Minute)
		w.quiet()
		if n.state("plain") != cluster.StateUp {
			t.Error("plain is not up")
		}
	})
}

// A member that runs memberlist alone is shown, and judged by memberlist.
func TestPlainMemberlistMember(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		w.forget()
		crash := w.startPlain("plain")
		time.Sleep(time.Minute)
		crash()
		took := w.within(30*time.Second, "down everywhere", w.everywhere("plain", cluster.StateDown))
		t.Logf("down everywhere after %v", took)
		w.quiet("plain")
		if told := w.nodes["n00"].told("plain"); !slices.Equal(told, []string{"up/joined", "down/memberlist"}) {
			t.Errorf("n00 told %v", told)
		}
	})
}

func TestSubscribers(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		n := w.nodes["n00"]

		t.Log("A subscription begins with everybody else as they are, at the call and not at the first read.")
		ctx, cancel := context.WithCancel(t.Context())
		asleep := n.Events(ctx)
		w.crash("n01")
		w.within(3*time.Second, "down", w.everywhere("n01", cluster.StateDown))
		w.start("n01", "")
		w.within(3*time.Second, "up again", w.allUp)
		time.Sleep(5 * time.Second)
		got := map[string][]string{}
		for e := range asleep {
			got[e.Member.Name] = append(got[e.Member.Name], fmt.Sprintf("%v folded %d", e.Kind, e.Folded))
			if e.Member.Name == "n02" {
				break
			}
		}
		if want := []string{"down folded 2", "up folded 0"}; !slices.Equal(got["n01"], want) && got["n01"][0] != "down folded 1" {
			t.Errorf("of n01, whose first boot it was to begin with, a sleeper learnt %v, want %v", got["n01"], want)
		}
		if want := []string{"up folded 0"}; !slices.Equal(got["n02"], want) {
			t.Errorf("of n02 a sleeper learnt %v, want %v", got["n02"], want)
		}
		for e := range asleep {
			t.Errorf("after break: %v", e)
		}
		cancel()

		t.Log("A subscription ends with its context.")
		ctx, cancel = context.WithCancel(t.Context())
		ended := make(chan struct{})
		events := n.Events(ctx)
		go func() {
			defer close(ended)
			for range events {
			}
		}()
		synctest.Wait()
		cancel()
		<-ended

		t.Log("Close lets subscribers read what is pending.")
		events = n.Events(t.Context())
		n.Close()
		count := 0
		for range events {
			count++
		}
		if count != 2 {
			t.Errorf("%d events pending at Close, want those of the 2 others", count)
		}
		for range n.Events(t.Context()) {
			t.Error("an event after Close")
		}
		if err := n.SetTags(t.Context(), nil); !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("SetTags after Close: %v", err)
		}
		if err := n.Err(); !errors.Is(err, cluster.ErrClosed) {
			t.Errorf("Err after Close: %v", err)
		}
		if len(n.Members()) != 3 {
			t.Errorf("Members after Close: %v", n.Members())
		}
	})
}

func TestJoinSaysWhatEachSeedDid(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		transport, _ := w.network.Transport("10.0.0.1:7946")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := cluster.Join(ctx, cluster.Config{Name: "a", Transport: transport, Seeds: []string{"10.0.0.8:7946", "10.0.0.1:7946", "10.0.0.9:7946"}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("seeds that refuse: %v, want the deadline's error", err)
		}
		for _, seed := range []string{"10.0.0.8", "10.0.0.9"} {
			if !strings.Contains(err.Error(), "seed "+seed+":7946: ") || !strings.Contains(err.Error(), "refused") {
				t.Errorf("error does not say why %s did not answer: %v", seed, err)
			}
		}

		t.Log("Its own address alone starts a cluster.")
		transport, _ = w.network.Transport("10.0.0.1:7946")
		a, err := cluster.Join(t.Context(), cluster.Config{Name: "a", Transport: transport, Seeds: []string{"10.0.0.1:7946"}})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()

		t.Log("One seed of three is enough.")
		transport, _ = w.network.Transport("10.0.0.2:7946")
		b, err := cluster.Join(t.Context(), cluster.Config{Name: "b", Transport: transport, Seeds: []string{"10.0.0.8:7946", "10.0.0.1:7946", "10.0.0.9:7946"}})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if len(b.Members()) != 2 {
			t.Errorf("b sees %v after Join, want a and b", b.Members())
		}
	})
}

func TestJoinTakesAllOfBadInput(t *testing.T) {
	network, err := clustertest.New(clustertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	transport, err := network.Transport("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Join(t.Context(), cluster.Config{Name: "a", Beat: -1, Transport: transport}); err == nil || !strings.Contains(err.Error(), "Beat") {
		t.Errorf("Beat -1: %v", err)
	}
	if _, err := network.Transport(transport.Addr()); err != nil {
		t.Errorf("a failed Join kept its transport: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	transport, _ = network.Transport("")
	if _, err := cluster.Join(ctx, cluster.Config{Name: "a", Transport: transport}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it began: %v", err)
	}
}
