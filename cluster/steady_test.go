package cluster

import (
	"testing"
	"time"
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
			for at := time.Duration(0); at < 750*time.Millisecond; at += 10 * time.Millisecond { // then questions become rarer
				now := begin.Add(at)
				for _, name := range append(story.speak, story.silent...) {
					c.members[name].edge.lastHeard = now // it goes on beating
				}
				for _, name := range story.speak {
					if at%story.every == 0 {
						c.asked(now, c.members[name], ask{Name: "x", Boot: 1, Seq: 1000, Doubt: 1000, Awaits: 1})
					}
				}
				c.wake(now)
			}
			if down := x.State == StateDown; down != story.down {
				t.Errorf("down: %v, want %v", down, story.down)
			}
		})
	}
}

// Who doubts again after a later heartbeat has been quiet about it in between, so its words begin anew.
func TestWordsCountSinceTheHeartbeat(t *testing.T) {
	begin := time.Now()
	c, x := listener(t, begin)
	for _, name := range []string{"y", "z"} {
		meet(t, c, begin, name, "10.0.0.2:7946", nil)
	}
	const silence = 2 * time.Second // so that the later heartbeat does not end the inquiry, and the words with it
	c.wake(begin.Add(silence))
	c.inquire(begin.Add(silence), x, true)
	for i, word := range []struct {
		seq   uint64
		words int
	}{{1000, 1}, {1000, 2}, {1001, 1}, {1001, 2}, {1001, 3}} {
		now := begin.Add(silence + time.Duration(i)*50*time.Millisecond)
		c.asked(now, c.members["y"], ask{Name: "x", Boot: 1, Seq: word.seq, Doubt: 1000, Age: micros(silence), Awaits: 1})
		if x.inquiry == nil {
			t.Fatalf("word %d ended the inquiry", i)
		}
		if got := x.inquiry.opinions["y"].words; got != word.words {
			t.Errorf("word %d: %d words since heartbeat %d, want %d", i, got, word.seq, word.words)
		}
	}
}
