package cluster

import (
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
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
		buf := encoded(t, &wire.Packet{From: "y", Boot: 1, Claims: []claim.Claim{{Name: "x", Boot: 1, Seq: 1005, State: claim.Down, Age: micros(told.age)}}})
		c.received(now, buf)
		if x.shown != told.want {
			t.Errorf("%v after a verdict of %v ago, want %v", x.shown, told.age, told.want)
		}
		asked := slices.ContainsFunc(c.takeOut().packets, func(o wire.Outgoing) bool { return o.To == x.Addr && len(o.Packet.Asks) == 1 })
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
		table := encoded(t, &wire.Packet{From: "y", Boot: 1, Claims: []claim.Claim{{Name: "x", Boot: 1, Seq: 1005, State: claim.Down, Age: micros(time.Minute)}}})
		c.receivedState(begin, table)
		questions, downAt := 0, time.Duration(0)
		for at := time.Duration(0); at < 600*time.Millisecond; at += time.Millisecond {
			now := begin.Add(at)
			c.wake(now)
			if x.shown == StateDown && downAt == 0 {
				downAt = at
			}
			for _, o := range c.takeOut().packets {
				if questions += len(o.Packet.Asks); len(o.Packet.Asks) > 0 && o.To != x.Addr {
					t.Errorf("%s is asked", o.To)
				}
			}
			if answers && questions > 0 && x.Seq == 1000 {
				c.merge(now, x, claim.Claim{Name: "x", Boot: 1, Epoch: 1, Seq: 1480, State: claim.Up}) // it was told of the verdict too
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
	c.mergeSelf(now, claim.Claim{Name: "a", Boot: claim.MaxBoot, State: claim.Down})
	m, err := encodeMeta(meta{Boot: claim.MaxBoot})
	if err != nil {
		t.Fatal(err)
	}
	c.gossipAlive(now, gossipMember{"a#1", "10.0.0.2:7946", m})
	if c.before != 0 {
		t.Errorf("goes above boot %d", c.before)
	}
	c.assume(1)
	table := encoded(t, &wire.Packet{From: "x", Boot: 1, Claims: []claim.Claim{{Name: "y", Boot: claim.MaxBoot, State: claim.Down, Addr: "10.0.0.3:7946"}}})
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
		told    claim.Claim
		answers bool
	}{
		{"an earlier heartbeat", claim.Claim{Name: "x", Boot: 1, Seq: 999, State: claim.Up}, false},
		{"an older verdict", claim.Claim{Name: "x", Boot: 1, Seq: 999, State: claim.Down}, true},
	} {
		t.Run(story.name, func(t *testing.T) {
			c, _ := listener(t, now)
			y := meet(t, c, now, "y", "10.0.0.2:7946", nil)
			c.takeOut()
			c.received(now, encoded(t, &wire.Packet{From: "y", Boot: 1, Claims: []claim.Claim{story.told}}))
			answered := slices.ContainsFunc(c.takeOut().packets, func(o wire.Outgoing) bool { return o.To == y.Addr && len(o.Packet.Claims) == 1 })
			if answered != story.answers {
				t.Errorf("answered: %v, want %v", answered, story.answers)
			}
		})
	}
}
