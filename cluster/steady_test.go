package cluster

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// Two that doubt where more listen are all that is left, or two with bad links, of which one hears only some of what the other says.
func TestTwoCondemnOnlyIfTheyHearEachOther(t *testing.T) {
	const steadily, inPart = 100 * time.Millisecond, 250 * time.Millisecond
	for _, story := range []struct {
		name   string
		every  time.Duration // between words of those who speak
		speak  []string
		silent []string
		down   bool
	}{
		{"one is heard in part, and nobody else listens", inPart, []string{"y"}, nil, true},
		{"one is heard in part, and the third is silent", inPart, []string{"y"}, []string{"z"}, false},
		{"one is heard steadily, and the third is silent", steadily, []string{"y"}, []string{"z"}, true},
		{"two who listen are heard in part, and the third is silent", inPart, []string{"y", "z"}, []string{"u"}, false},
		{"three who listen are heard in part, and the fourth is silent", inPart, []string{"y", "z", "u"}, []string{"v"}, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			begin := time.Now()
			c, x := listener(t, begin)
			for _, name := range append(story.speak, story.silent...) {
				meet(t, c, begin, name, "10.0.0.2:7946", nil)
			}
			c.inquire(begin, x, true)
			for at := time.Duration(0); at <= 750*time.Millisecond; at += 10 * time.Millisecond { // then questions become rarer
				now := begin.Add(at)
				for _, name := range append(story.speak, story.silent...) {
					c.members[name].edge.lastHeard = now // it goes on beating
				}
				for _, name := range story.speak {
					if at%story.every == 0 {
						c.asked(now, c.members[name], wire.Ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Before: 1000, Awaits: 1})
					}
				}
				c.wake(now)
			}
			if down := x.State == claim.Down; down != story.down {
				t.Errorf("down: %v, want %v", down, story.down)
			}
		})
	}
}

// Who doubts again after a later heartbeat has been quiet about it in between, so its words begin anew. So they do after a gap, and one
// that is doubled on the way, or waited there with those before it, is no further one.
func TestWordsCountSinceTheHeartbeat(t *testing.T) {
	begin := time.Now()
	c, x := listener(t, begin)
	for _, name := range []string{"y", "z"} {
		meet(t, c, begin, name, "10.0.0.2:7946", nil)
	}
	const silence = 2 * time.Second // so that the later heartbeat does not end the inquiry, and the words with it
	c.wake(begin.Add(silence))
	c.inquire(begin.Add(silence), x, true)
	now := begin.Add(silence)
	for i, word := range []struct {
		after time.Duration // the one before
		seq   uint64
		words int
	}{
		{0, 1000, 1}, {100, 1000, 2}, {0, 1000, 2}, {10, 1000, 2}, {90, 1000, 3}, {150, 1000, 4},
		{100, 1001, 1}, {50, 1001, 2}, {50, 1001, 3}, {170, 1001, 1}, {100, 1001, 2},
	} {
		now = now.Add(word.after * time.Millisecond)
		c.asked(now, c.members["y"], wire.Ask{Name: "x", Boot: 1, Seq: word.seq, Doubt: 1000, Before: 1000, Age: micros(silence), Awaits: 1})
		if x.inquiry == nil {
			t.Fatalf("word %d ended the inquiry", i)
		}
		if got := x.inquiry.opinions["y"].words; got != word.words {
			t.Errorf("word %d: %d words since heartbeat %d, want %d", i, got, word.seq, word.words)
		}
	}
}

// Whose words do not count yet has looked into it all the same: others who do not listen are asked only where nobody else does. While
// many fall silent, each of those would ask everybody in turn ("What the rule had cost" in docs/design.md, section 6).
func TestUnsteadyWordsKeepWitnessesOut(t *testing.T) {
	for _, story := range []struct {
		name      string
		speaks    bool // one of those who listen
		witnesses bool // are asked
	}{
		{"nobody who listens says a word", false, true},
		{"one is heard in part", true, false},
	} {
		t.Run(story.name, func(t *testing.T) {
			begin := time.Now()
			c := loner(t, begin, Config{Name: "a"})
			for i := range 30 {
				r := meet(t, c, begin, fmt.Sprintf("m%02d", i), fmt.Sprintf("10.0.0.1:%d", 7000+i), nil)
				c.heard(begin, r, 0, 1000)
			}
			c.regraph(begin)
			for _, r := range c.duty {
				promises(c, begin, r, time.Second)
			}
			x := c.duty[0]
			listeners := c.coObservers(x)
			c.inquire(begin, x, true)
			for at := time.Duration(0); at < 750*time.Millisecond; at += 10 * time.Millisecond {
				now := begin.Add(at)
				for _, r := range c.members {
					if r != x {
						r.edge.lastHeard = now
					}
				}
				if story.speaks && at%(250*time.Millisecond) == 0 {
					c.asked(now, listeners[0], wire.Ask{Name: x.Name, Boot: 1, Seq: x.Seq, Doubt: 1000, Before: 1000, Awaits: 1})
				}
				c.wake(now)
			}
			if x.State != claim.Up {
				t.Fatalf("%v", x.State)
			}
			asked := 0
			for _, out := range c.out.packets {
				asks := slices.ContainsFunc(out.Packet.Asks, func(a wire.Ask) bool { return a.Name == x.Name })
				if asks && out.To != x.Addr && !slices.ContainsFunc(listeners, func(o *record) bool { return o.Addr == out.To }) {
					asked++
				}
			}
			if got := asked > 0; got != story.witnesses {
				t.Errorf("%d questions to members who do not listen", asked)
			}
		})
	}
}
