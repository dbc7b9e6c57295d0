package cluster

import (
	"math"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

func TestWrongVerdictsAreCountedOnceWhateverTheOrder(t *testing.T) {
	now := time.Now()
	up := func(epoch, seq uint64) claim.Claim {
		return claim.Claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: claim.Up}
	}
	down := func(epoch, seq uint64) claim.Claim {
		return claim.Claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: claim.Down}
	}
	type told struct {
		at int // beats since the heartbeat 1000
		claim.Claim
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
		"of another boot":                    {[]told{{5, claim.Claim{Name: "x", Seq: 1000, State: claim.Down}}, {6, up(0, 1006)}}, 0},
		"no verdict":                         {[]told{{1, up(0, 1001)}, {2, up(0, 1000)}}, 0},
	} {
		c, r := listener(t, now)
		at := now
		for _, what := range story.told {
			at = now.Add(time.Duration(what.at) * DefaultBeat)
			what.Claim.Age = micros(time.Duration(what.at)*DefaultBeat) - micros(time.Duration(what.Seq-1000)*DefaultBeat)
			if what.Seq < 1000 {
				what.Claim.Age = 0
			}
			c.merge(at, nil, what.Claim)
		}
		if got := math.Round(r.wrongedBy(at)); got != story.want || r.State != claim.Up {
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
		verdict := r.Claim
		verdict.State = claim.Down
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
	ask := func() (doubt float64) {
		r.touch().questions = fading{} // the pace is not what this is about
		c.inquire(now, r, false)
		for range 5 {
			now = now.Add(c.askEvery())
			c.pursue(now, r)
		}
		return c.doubt(now, r)
	}
	before := r.path.Loss(now)
	untaught := ask()
	if untaught == 0 {
		t.Error("no doubt about a member that left 5 questions unanswered")
	}
	c.isolated = true
	if got := c.doubt(now, r); got != 0 {
		t.Errorf("an isolated node has a doubt of %v", got)
	}
	c.isolated = false
	if got := r.path.Loss(now); got != before {
		t.Errorf("loss of %v before anything is known of the member, want %v as before", got, before)
	}
	heard := claim.Claim{Name: "x", Boot: 1, Seq: 1001, State: claim.Up}
	c.merge(now, nil, heard) // by another just now
	if got := r.path.Loss(now); got < 0.2 || got > 0.3 {
		t.Errorf("loss of %v after 5 questions that were lost, want 1-(15/16)^5", got)
	}
	if got := ask(); got > untaught/2 {
		t.Errorf("a doubt of %v on a path that lost 5 questions, where it was %v before", got, untaught)
	}
	heard.Seq++
	c.merge(now, nil, heard)
	promises(c, now, r, time.Second)
	// Its heartbeats do not come any more, so no outage of theirs says anything of questions.
	c.unwatch(now, r)
	if got := ask(); got < untaught*3/4 { // the first question waits for the pace of those before
		t.Errorf("a doubt of %v with nothing known of the path, want about %v", got, untaught)
	}
}

// However often a member is called down, by a liar for instance, it is missed as before half an hour after the last time.
func TestAllowanceIsForgivenAfterManyWrongVerdicts(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for range 30 {
		now = now.Add(time.Second)
		c.signOfLife(r, now)
		lie := r.Claim
		lie.State, lie.Seq = claim.Down, lie.Seq-1
		c.merge(now, nil, lie)
		c.heard(now, r, 0, r.Seq+8)
		if r.State != claim.Up {
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
		c.merge(now, nil, claim.Claim{Name: "x", Boot: 1, Epoch: epoch, Seq: seq, State: claim.Down})
	}
	c.merge(now, nil, claim.Claim{Name: "x", Boot: 1, Seq: 1 << 40, State: claim.Up})
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
