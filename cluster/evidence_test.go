package cluster

import (
	"slices"
	"testing"
	"time"
)

// What a push/pull says of a member is as old as it is: its coming is no sign of life.
func TestTableTellsTheAgeOfEvidence(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	c.heard(now, r, 0, 1001)
	c.signOfLife(r, now)
	later := now.Add(300 * time.Millisecond)
	d, other := listener(t, now)
	d.receivedState(later, c.state(later))
	if other.Seq != 1001 || !other.seen.Equal(now) {
		t.Errorf("seen at heartbeat %d, %v after it was heard, want 1001 and 0", other.Seq, other.seen.Sub(now))
	}
}

// An old verdict may come from the other side of a cut, in an answer as well as in a table: the member is asked first. What was
// decided just now is news.
func TestOldVerdictInAnAnswerIsChecked(t *testing.T) {
	for _, told := range []struct {
		age  time.Duration
		want State
	}{{oldVerdict - time.Millisecond, StateDown}, {oldVerdict, StateUp}} {
		now := time.Now()
		c, x := listener(t, now)
		meet(t, c, now, "y", "10.0.0.2:7946", nil)
		buf := encoded(t, &packet{From: "y", Boot: 1, Claims: []claim{{Name: "x", Boot: 1, Seq: 1005, State: StateDown, Age: micros(told.age)}}})
		c.received(now, buf)
		if x.shown != told.want {
			t.Errorf("%v after a verdict of %v ago, want %v", x.shown, told.age, told.want)
		}
		asked := slices.ContainsFunc(c.takeOut().packets, func(o outgoing) bool { return o.to == x.Addr && len(o.packet.Asks) == 1 })
		if want := told.want == StateUp; asked != want {
			t.Errorf("after a verdict of %v ago the member is asked: %v, want %v", told.age, asked, want)
		}
	}
}

// Who does not answer for itself is what the old verdict says, without others being asked to doubt; who answers is up.
func TestOldVerdictStandsWithoutAnAnswer(t *testing.T) {
	for _, answers := range []bool{false, true} {
		begin := time.Now()
		c, x := listener(t, begin)
		table := encoded(t, &packet{From: "y", Boot: 1, Claims: []claim{{Name: "x", Boot: 1, Seq: 1005, State: StateDown, Age: micros(time.Minute)}}})
		c.receivedState(begin, table)
		questions, downAt := 0, time.Duration(0)
		for at := time.Duration(0); at < 600*time.Millisecond; at += time.Millisecond {
			now := begin.Add(at)
			c.wake(now)
			if x.shown == StateDown && downAt == 0 {
				downAt = at
			}
			for _, o := range c.takeOut().packets {
				if questions += len(o.packet.Asks); len(o.packet.Asks) > 0 && o.to != x.Addr {
					t.Errorf("%s is asked", o.to)
				}
			}
			if answers && questions > 0 && x.Seq == 1000 {
				c.merge(now, x, claim{Name: "x", Boot: 1, Epoch: 1, Seq: 1480, State: StateUp}) // it was told of the verdict too
			}
		}
		if want := map[bool]time.Duration{false: fewestPaths * c.askEvery(), true: 0}[answers]; downAt != want {
			t.Errorf("answers: %v; down after %v, want %v", answers, downAt, want)
		}
		if want := map[bool]int{false: fewestPaths, true: 1}[answers]; questions != want {
			t.Errorf("answers: %v; asked %d times, want %d", answers, questions, want)
		}
	}
}

// While it joins, a node goes above no boot that it could not go above later: its own packets would be malformed.
func TestJoinGoesAboveNoImpossibleBoot(t *testing.T) {
	now := time.Now()
	c, _ := listener(t, now)
	c.boot = 0
	c.mergeSelf(now, claim{Name: "a", Boot: maxBoot, State: StateDown})
	m, err := encodeMeta(meta{Boot: maxBoot})
	if err != nil {
		t.Fatal(err)
	}
	c.gossipAlive(now, gossipMember{"a#1", "10.0.0.2:7946", m})
	if c.before != 0 {
		t.Errorf("goes above boot %d", c.before)
	}
	c.assume(1)
	table := encoded(t, &packet{From: "x", Boot: 1, Claims: []claim{{Name: "y", Boot: maxBoot, State: StateDown, Addr: "10.0.0.3:7946"}}})
	c.receivedState(now, table)
	if r := c.members["y"]; r != nil {
		t.Errorf("knows of a boot %d, above which its member could not go", r.Boot)
	}
}

// Two members whose way is longer than the heartbeats of a third always know a later one than the other has: they do not go on
// telling each other. A verdict is answered.
func TestLaterHeartbeatAloneContradictsNobody(t *testing.T) {
	now := time.Now()
	for _, story := range []struct {
		name    string
		told    claim
		answers bool
	}{
		{"an earlier heartbeat", claim{Name: "x", Boot: 1, Seq: 999, State: StateUp}, false},
		{"an older verdict", claim{Name: "x", Boot: 1, Seq: 999, State: StateDown}, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			c, _ := listener(t, now)
			y := meet(t, c, now, "y", "10.0.0.2:7946", nil)
			c.takeOut()
			c.received(now, encoded(t, &packet{From: "y", Boot: 1, Claims: []claim{story.told}}))
			answered := slices.ContainsFunc(c.takeOut().packets, func(o outgoing) bool { return o.to == y.Addr && len(o.packet.Claims) == 1 })
			if answered != story.answers {
				t.Errorf("answered: %v, want %v", answered, story.answers)
			}
		})
	}
}
