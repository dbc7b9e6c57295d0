package cluster_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

var (
	storyCount = flag.Int("stories", 20, "TestStories: how many random stories")
	storyFirst = flag.Uint64("story", 1, "TestStories: the seed of the first story")
)

// Whatever happens to a few members, cuts, one-way cuts, blocks, stalls, deaths, restarts, goodbyes and newcomers in any order:
// two minutes after it is over each of them knows who lives and who does not; nobody was shown a boot that began before the one
// before it had ended, and every living boot that anybody was told to be down has learnt of it.
//
// A story is a seed: `go test ./cluster -run TestStories -args -story=17 -stories=1` tells the seventeenth again.
func TestStories(t *testing.T) {
	t.Parallel() // one of the long ones
	for seed := *storyFirst; seed < *storyFirst+uint64(*storyCount); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inTown(t, clustertest.Options{Seed: seed, SilentDead: seed%2 == 0}, func(t *testing.T, w *town) {
				s := &story{town: w, dice: rand.New(rand.NewPCG(seed, 0)), sick: map[string]bool{}, dead: map[string]string{}}
				s.tell(t)
			})
		})
	}
}

type story struct {
	*town
	dice  *rand.Rand
	sick  map[string]bool   // blocked or stalled, by address
	dead  map[string]string // names of members that died, with their last address
	named int
	log   []string
}

// peace is how long after the last thing that happened everybody knows the truth.
const peace = 2 * time.Minute

func (s *story) tell(t *testing.T) {
	s.startAll(3 + s.dice.IntN(7))
	s.named = len(s.nodes)
	for range 3 + s.dice.IntN(10) {
		s.happens()
		time.Sleep(time.Duration(s.dice.Float64() * s.dice.Float64() * float64(40*time.Second)))
	}
	s.heal()
	time.Sleep(peace)
	for _, wrong := range append(s.wrongViews(), s.wrongEvents()...) {
		t.Error(wrong)
	}
	if t.Failed() {
		t.Logf("the story:\n  %s", strings.Join(s.log, "\n  "))
	}
}

// heal ends everything that hinders anybody.
func (s *story) heal() {
	everyone := []string{clustertest.Everyone}
	s.network.Heal(everyone, everyone)
	for addr := range s.sick {
		s.network.Unblock(addr)
		s.network.Resume(addr)
	}
	clear(s.sick)
	s.say("peace")
}

func (s *story) say(format string, args ...any) {
	s.log = append(s.log, time.Now().Format("04:05.000 ")+fmt.Sprintf(format, args...))
}

// some draws up to n of the living members.
func (s *story) some(n int) (names, addrs []string) {
	var all []string
	for name := range s.nodes {
		all = append(all, name)
	}
	slices.Sort(all)
	s.dice.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	names = all[:min(len(all), 1+s.dice.IntN(n))]
	for _, name := range names {
		addrs = append(addrs, s.nodes[name].transport.Addr())
	}
	return names, addrs
}

func (s *story) happens() {
	few, at := s.some(4)
	if len(few) == 0 {
		s.born(fmt.Sprintf("m%02d", s.named), "")
		s.named++
		return
	}
	others, there := s.some(6)
	one := few[0]
	switch s.dice.IntN(12) {
	case 0:
		s.say("%v are cut off from all", few)
		for _, addr := range at {
			s.network.Isolate(addr)
		}
	case 1:
		s.say("%v and %v are cut from each other", few, others)
		s.network.Split(at, there)
	case 2:
		s.say("nothing gets from %v to %v", few, others)
		s.network.Cut(at, there)
	case 3:
		s.say("nothing gets from all to %v", one)
		s.network.Cut([]string{clustertest.Everyone}, at[:1])
	case 4:
		s.say("%v are blocked", few)
		s.ill(at, s.network.Block)
	case 5:
		s.say("%v stand still", few)
		s.ill(at, s.network.Stall)
	case 6, 7:
		for _, name := range few {
			s.dies(name)
		}
	case 8:
		addr := s.nodes[one].transport.Addr()
		s.dies(one)
		time.Sleep(time.Duration(s.dice.Float64() * float64(2*time.Second)))
		if s.dice.IntN(2) == 0 {
			addr = ""
		}
		s.born(one, addr)
	case 9:
		for name, addr := range s.dead {
			s.born(name, addr)
			break
		}
	case 10:
		if s.sick[at[0]] {
			return // who stands still says no goodbye
		}
		s.say("%s leaves", one)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		s.nodes[one].Leave(ctx)
		cancel()
		s.close(one)
	case 11:
		s.heal()
	}
}

func (s *story) ill(addrs []string, how func(...string) error) {
	for _, addr := range addrs {
		if !s.sick[addr] {
			s.sick[addr] = true
			how(addr)
		}
	}
}

func (s *story) dies(name string) {
	addr := s.nodes[name].transport.Addr()
	s.say("%s dies", name)
	delete(s.sick, addr)
	s.crash(name)
	s.dead[name] = addr
}

// born starts a member, if it gets in within a few seconds.
func (s *story) born(name, addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, err := s.join(ctx, name, addr)
	if err == nil {
		delete(s.dead, name)
	}
	s.say("%s starts at %q: %v", name, addr, err)
}

// wrongViews are those that are not the truth. Suspect is none: the memory of a suspicion is longer than the peace.
func (s *story) wrongViews() (wrong []string) {
	for name, n := range s.nodes {
		if n.Err() != nil { // another process held its name
			continue
		}
		seen := map[string]bool{}
		for _, m := range n.Members() {
			seen[m.Name] = true
			live := s.nodes[m.Name]
			switch {
			case live == nil && (m.State == cluster.StateUp || m.State == cluster.StateSuspect):
				wrong = append(wrong, fmt.Sprintf("%s holds %s, which is not there, for %v", name, m.Name, m.State))
			case live != nil && live.Err() == nil && m.State != cluster.StateUp && m.State != cluster.StateSuspect:
				wrong = append(wrong, fmt.Sprintf("%s holds %s, which lives, for %v", name, m.Name, m.State))
			}
		}
		for other, live := range s.nodes {
			if !seen[other] && live.Err() == nil {
				wrong = append(wrong, fmt.Sprintf("%s does not know %s", name, other))
			}
		}
		if n.Isolated() && len(s.nodes) > 1 {
			wrong = append(wrong, name+" is isolated")
		}
	}
	return wrong
}

// token is a fencing token.
type token struct{ boot, epoch uint64 }

func (t token) before(u token) bool { return t.boot < u.boot || t.boot == u.boot && t.epoch < u.epoch }

// wrongEvents are those that break the contract of events.
func (s *story) wrongEvents() (wrong []string) {
	accused := map[string]token{}
	for name, n := range s.nodes {
		n.mu.Lock()
		last := token{}
		for _, e := range n.events {
			if e.Kind == cluster.Accused {
				now := token{e.Member.Boot, e.Member.Epoch}
				if !last.before(now) {
					wrong = append(wrong, fmt.Sprintf("%s is accused at %v after %v", name, now, last))
				}
				last = now
			}
		}
		accused[name] = last
		n.mu.Unlock()
	}
	for name, n := range s.nodes {
		n.mu.Lock()
		open := map[string]token{} // of members that were last told to be up
		for _, e := range n.events {
			m := e.Member
			now := token{m.Boot, m.Epoch}
			switch e.Kind {
			case cluster.Up, cluster.Suspect:
				if was, ok := open[m.Name]; ok && was.boot != m.Boot {
					wrong = append(wrong, fmt.Sprintf("%s was told of %s in boot %d while %d had not ended", name, m.Name, m.Boot, was.boot))
				}
				open[m.Name] = now
			case cluster.Left:
				delete(open, m.Name)
			case cluster.Down:
				delete(open, m.Name)
				live := s.nodes[m.Name]
				if live == nil || live.Err() != nil || live.Self().Boot != m.Boot || e.Reason == cluster.ReasonRestarted {
					continue
				}
				if at := accused[m.Name]; !now.before(at) {
					wrong = append(wrong, fmt.Sprintf("%s was told that %s is down (%s) at %v, and %s learnt of none after %v",
						name, m.Name, e.Reason, now, m.Name, at))
				}
			}
		}
		n.mu.Unlock()
	}
	return wrong
}
