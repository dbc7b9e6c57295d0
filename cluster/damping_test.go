package cluster

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector"
)

// listener is a core that knows one other member, x, which lived at heartbeat 1000.
func listener(t *testing.T, now time.Time) (*core, *record) {
	t.Helper()
	cfg, err := Config{Name: "a"}.prepare()
	if err != nil {
		t.Fatal(err)
	}
	det, err := detector.New[string](detector.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { det.Close() })
	c := newCore(cfg, det, newCounters(), func(string, Event) {}, now)
	c.assume(1)
	m, err := encodeMeta(meta{Boot: 1})
	if err != nil {
		t.Fatal(err)
	}
	c.gossipAlive(now, gossipMember{"x#1", "10.0.0.1:7946", m})
	r := c.members["x"]
	c.heard(now, r, 0, 1000)
	return c, r
}

func TestWrongVerdictsAreCountedOnceWhateverTheOrder(t *testing.T) {
	now := time.Now()
	up := func(epoch, seq uint64) claim {
		return claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: StateUp}
	}
	down := func(epoch, seq uint64) claim {
		return claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: StateDown}
	}
	type told struct {
		at int // beats since the heartbeat 1000
		claim
	}
	for name, story := range map[string]struct {
		told []told
		want float64
	}{
		"verdict, heartbeat":                 {[]told{{5, down(0, 1000)}, {6, up(0, 1006)}}, 1},
		"refuted before the verdict came":    {[]told{{5, up(0, 1005)}, {5, down(0, 1000)}, {9, up(0, 1009)}}, 1},
		"and the verdict is repeated":        {[]told{{5, up(0, 1005)}, {5, down(0, 1000)}, {9, up(0, 1009)}, {20, down(0, 1000)}, {30, up(0, 1030)}}, 1},
		"verdicts of two at one time":        {[]told{{0, down(0, 999)}, {0, down(0, 1000)}, {1, up(0, 1001)}}, 1},
		"the second verdict comes late":      {[]told{{5, down(0, 1000)}, {6, up(0, 1006)}, {7, down(0, 1002)}, {8, up(0, 1008)}}, 1},
		"refuted by the next epoch":          {[]told{{5, down(0, 1000)}, {5, up(1, 1005)}, {6, up(1, 1006)}, {20, down(0, 1000)}, {30, up(1, 1030)}}, 1},
		"two verdicts":                       {[]told{{5, down(0, 1000)}, {6, up(0, 1006)}, {20, down(0, 1006)}, {21, up(0, 1021)}}, 2},
		"two verdicts, refuted before":       {[]told{{5, up(0, 1005)}, {5, down(0, 1000)}, {9, up(0, 1009)}, {20, down(0, 1009)}, {21, up(0, 1021)}}, 2},
		"dead, and another heard more":       {[]told{{5, down(0, 1000)}, {5, up(0, 1002)}}, 0},
		"dead, and this node had heard more": {[]told{{2, up(0, 1002)}, {5, down(0, 1000)}}, 0},
		"gone for half a minute":             {[]told{{5, down(0, 1000)}, {240, up(0, 1240)}}, 0},
		"gone, and the verdict is repeated":  {[]told{{5, down(0, 1000)}, {480, up(0, 1480)}, {480, down(0, 1000)}, {488, up(0, 1488)}}, 0},
		"gone, and the verdict comes late":   {[]told{{480, up(0, 1480)}, {480, down(0, 1000)}, {488, up(0, 1488)}}, 0},
		"of another boot":                    {[]told{{5, claim{Name: "x", Seq: 1000, State: StateDown}}, {6, up(0, 1006)}}, 0},
		"no verdict":                         {[]told{{1, up(0, 1001)}, {2, up(0, 1000)}}, 0},
	} {
		c, r := listener(t, now)
		at := now
		for _, what := range story.told {
			at = now.Add(time.Duration(what.at) * DefaultBeat)
			what.claim.Age = micros(time.Duration(what.at)*DefaultBeat) - micros(time.Duration(what.Seq-1000)*DefaultBeat)
			if what.Seq < 1000 {
				what.claim.Age = 0
			}
			c.merge(at, nil, what.claim)
		}
		if got := math.Round(r.wrongedBy(at)); got != story.want || r.State != StateUp {
			t.Errorf("%s: %v wrong verdicts about a member that is %v, want %v", name, got, r.State, story.want)
		}
	}
}

func TestAllowanceAfterWrongVerdicts(t *testing.T) {
	begin := time.Now()
	c, r := listener(t, begin)
	allowed := func(now time.Time) time.Duration {
		c.signOfLife(r, now)
		return c.allowed(now, r).Sub(now) - c.cfg.Beat - minStdDev
	}
	if got := allowed(begin); got != DefaultStallAllowance {
		t.Errorf("a silence of %v is allowed, want %v", got, DefaultStallAllowance)
	}
	now := begin
	for i, d := range []time.Duration{4 * DefaultStallAllowance, 16 * DefaultStallAllowance, 16 * DefaultStallAllowance} {
		now = now.Add(time.Second)
		verdict := r.claim
		verdict.State = StateDown
		c.merge(now, nil, verdict)
		c.heard(now, r, 0, r.accusedSeq+1)
		if got := allowed(now); got > d || got < d*95/100 {
			t.Errorf("after %d wrong verdicts a silence of %v is allowed, want a little less than %v", i+1, got, d)
		}
	}
	now = now.Add(30 * time.Minute)                              // three wrong verdicts of which an eighth is left
	if got := allowed(now).Seconds(); got < 0.67 || got > 0.68 { // 0.4 s × 4^(3/8)
		t.Errorf("half an hour after three wrong verdicts %v s are allowed, want 0.67", got)
	}
}

// A question that was left unanswered by a member that lived tells of the path.
func TestUnansweredQuestionsTeachWhatThePathLoses(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	before := r.edge.loss.rate()
	c.inquire(now, r, false)
	for range 5 {
		now = now.Add(c.askEvery())
		c.pursue(now, r)
	}
	if c.doubt(now, r) == 0 {
		t.Error("no doubt about a member that left 5 questions unanswered")
	}
	c.isolated = true
	if got := c.doubt(now, r); got != 0 {
		t.Errorf("an isolated node has a doubt of %v", got)
	}
	c.isolated = false
	if got := r.edge.loss.rate(); got != before {
		t.Errorf("loss of %v before anything is known of the member, want %v as before", got, before)
	}
	c.merge(now, nil, claim{Name: "x", Boot: 1, Seq: 1001, State: StateUp}) // heard by another just now
	if got := r.edge.loss.rate(); got < 0.2 || got > 0.3 {
		t.Errorf("loss of %v after 5 questions that were lost, want 1-(15/16)^5", got)
	}
}

// However often a member is called down, by a liar for instance, it is missed as before half an hour after the last time.
func TestAllowanceIsForgivenAfterManyWrongVerdicts(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for range 30 {
		now = now.Add(time.Second)
		c.signOfLife(r, now)
		lie := r.claim
		lie.State, lie.Seq = StateDown, lie.Seq-1
		c.merge(now, nil, lie)
		c.heard(now, r, 0, r.Seq+8)
		if r.State != StateUp {
			t.Fatal("down for an outdated verdict")
		}
	}
	if got := r.wrongedBy(now); got > mostWronged+1 {
		t.Errorf("%.1f wrong verdicts remembered, want at most %d", got, mostWronged+1)
	}
}

// A forged heartbeat number is corrected by the next epoch, in which verdicts count as before.
func TestWrongVerdictsCountAfterForgedHeartbeat(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	verdict := func(epoch, seq uint64) {
		c.merge(now, nil, claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: StateDown})
	}
	c.merge(now, nil, claim{Name: "x", Boot: 1, Seq: 1 << 40, State: StateUp})
	verdict(0, 1<<40)
	c.heard(now, r, 1, 1008)
	c.heard(now, r, 1, 1016)
	now = now.Add(time.Second)
	verdict(1, 1016)
	c.heard(now, r, 2, 1032)
	c.heard(now, r, 2, 1033)
	if got := math.Round(r.wrongedBy(now)); got != 2 {
		t.Errorf("%v wrong verdicts, want 2", got)
	}
}

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
		m, err := encodeMeta(meta{Boot: 1})
		if err != nil {
			t.Fatal(err)
		}
		c.gossipAlive(now, gossipMember{"y#1", "10.0.0.2:7946", m})
		buf, err := encodePacket(&packet{From: "y", Boot: 1, Claims: []claim{{Name: "x", Boot: 1, Seq: 1005, State: StateDown, Age: micros(told.age)}}})
		if err != nil {
			t.Fatal(err)
		}
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
		table, err := encodePacket(&packet{From: "y", Boot: 1, Claims: []claim{{Name: "x", Boot: 1, Seq: 1005, State: StateDown, Age: micros(time.Minute)}}})
		if err != nil {
			t.Fatal(err)
		}
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

// Whoever takes over a dead member's address gets its heartbeats for a while too, under numbers of another edge: nothing was lost
// between the two.
func TestHeartbeatsForAnotherMember(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i := range uint64(20) {
		other := beat{Seq: 1001 + 2*i, Edge: 500 + i, Interval: micros(time.Second), Every: micros(DefaultBeat)}
		own := other
		own.Seq, own.Edge = other.Seq+1, 1+i
		c.heartbeat(now.Add(time.Duration(2*i)*time.Second/2), r, &other)
		c.heartbeat(now.Add(time.Duration(2*i+1)*time.Second/2), r, &own)
	}
	c.heartbeat(now.Add(20*time.Second), r, &beat{Seq: 1041, Edge: 520}) // it was dismissed
	if loss := r.edge.loss.rate(); loss > priorLoss || r.edge.heardEdge != 20 || !r.edge.watched {
		t.Errorf("loss %.2f, last heartbeat of the edge %d, watched: %v; want none, 20 and true", loss, r.edge.heardEdge, r.edge.watched)
	}
	if got := c.count.stats().Dropped[dropEdge]; got != 20 { // the first could not be known for one
		t.Errorf("%d dropped, want 20", got)
	}
}

// A last heartbeat says nothing of the ear of a member that is not heard here any more, and ends what the ones before it said.
func TestLastHeartbeatEndsDeafness(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i, b := range []beat{
		{Seq: 1001, Edge: 1, Deaf: true},
		{Seq: 1002, Edge: 2, Deaf: true, Interval: 500_000},
		{Seq: 1003, Edge: 3, Deaf: true},
	} {
		b.Every = 125_000
		c.heartbeat(now.Add(time.Duration(i)*time.Second), r, &b)
		if want := [...]State{StateUp, StateSuspect, StateUp}[i]; r.shown != want {
			t.Errorf("shown %v after heartbeat %d, want %v", r.shown, b.Seq, want)
		}
	}
	if r.suspicion.ended.IsZero() {
		t.Error("the deafness is not remembered")
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
	table, err := encodePacket(&packet{From: "x", Boot: 1, Claims: []claim{{Name: "y", Boot: maxBoot, State: StateDown, Addr: "10.0.0.3:7946"}}})
	if err != nil {
		t.Fatal(err)
	}
	c.receivedState(now, table)
	if r := c.members["y"]; r != nil {
		t.Errorf("knows of a boot %d, above which its member could not go", r.Boot)
	}
}
