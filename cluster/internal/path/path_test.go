package path

import (
	"math"
	"testing"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

const (
	beat     = 125 * time.Millisecond // of the sender to anybody
	interval = 8 * beat               // of the path
	stall    = 400 * time.Millisecond
)

var epoch = time.Unix(1_000_000, 0)

// sender beats on one path, as a member with eight observers does.
type sender struct {
	p   *Path
	now time.Time
	h   Heartbeat
}

func begin(t *testing.T) *sender {
	t.Helper()
	fresh, err := phiaccrual.New(phiaccrual.Config{Interval: interval, MinStdDev: MinLateness})
	if err != nil {
		t.Fatal(err)
	}
	s := &sender{New(*fresh), epoch, Heartbeat{Seq: 1000, Interval: interval, Every: beat}}
	s.beat(0, 0)
	return s
}

// beat sends the next heartbeat after lost others, late by that much.
func (s *sender) beat(lost uint64, late time.Duration) Receipt {
	n := lost + 1
	s.now = s.now.Add(time.Duration(n) * interval)
	s.h.Seq, s.h.Edge = s.h.Seq+8*n, s.h.Edge+n
	return s.p.Receive(s.now.Add(late), s.h, interval, stall)
}

func (s *sender) beats(n int) {
	for range n {
		s.beat(0, 0)
	}
}

func TestNothingCame(t *testing.T) {
	var p *Path
	if p.Watched() || p.Phi(epoch) != 0 || !p.Reaches(1).IsZero() || p.Missing(epoch, epoch) != 0 || p.Awaits(7, beat) != 0 {
		t.Error("a path on which nothing came tells of silence")
	}
	if p.Every(beat) != beat || p.Interval() != 0 || p.Loss(epoch) != PriorLoss || p.Status() != (Status{}) || p.Renew(phiaccrual.Estimator{}) != nil {
		t.Error("a path on which nothing came tells of heartbeats")
	}
	if v := p.Check(epoch, Heartbeat{Seq: math.MaxUint64}, beat); v != Plausible {
		t.Errorf("the first heartbeat is %v", v)
	}
}

// φ obeys the time that it is given, whatever the wall clock shows.
func TestPhiObeysTheTimeGiven(t *testing.T) {
	s := begin(t)
	s.beats(200)
	if phi := s.p.Phi(s.now.Add(interval)); phi > 1 {
		t.Errorf("φ = %.1f when the next heartbeat is due", phi)
	}
	last := 0.0
	for after := interval; after < 20*interval; after += beat {
		phi := s.p.Phi(s.now.Add(after))
		if phi < last {
			t.Fatalf("φ falls from %.2f to %.2f after a silence of %v", last, phi, after)
		}
		last = phi
	}
	if last < 8 {
		t.Errorf("φ = %.1f after 20 intervals of silence on a path that lost nothing", last)
	}
	for _, phi := range []float64{1, 4, 8} {
		at := s.p.Reaches(phi)
		if got := s.p.Phi(at); got < phi || s.p.Phi(at.Add(-time.Millisecond)) > phi {
			t.Errorf("φ = %.2f where it is to reach %v", got, phi)
		}
	}
}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Heartbeat)
		after  time.Duration
		want   Verdict
	}{
		"the next":                 {func(h *Heartbeat) { h.Seq, h.Edge = h.Seq+8, h.Edge+1 }, interval, Plausible},
		"the same again":           {func(*Heartbeat) {}, interval, Replayed},
		"an earlier one":           {func(h *Heartbeat) { h.Seq-- }, interval, Replayed},
		"an earlier epoch":         {func(h *Heartbeat) { h.Epoch--; h.Seq += 8 }, interval, Replayed},
		"a later epoch":            {func(h *Heartbeat) { h.Epoch++; h.Seq = 1 }, interval, Plausible},
		"as far as is believed":    {func(h *Heartbeat) { h.Seq += MaxJump + 1; h.Edge++ }, beat, Plausible},
		"further":                  {func(h *Heartbeat) { h.Seq += MaxJump + 2; h.Edge++ }, beat, Jumped},
		"a million, in their time": {func(h *Heartbeat) { h.Seq += 1_000_000; h.Edge++ }, 1_000_000 * beat, Plausible},
		"to somebody else":         {func(h *Heartbeat) { h.Seq, h.Edge = h.Seq+8, h.Edge+9 }, interval, Misled},
		"as many to this node":     {func(h *Heartbeat) { h.Seq, h.Edge = h.Seq+8, h.Edge+8 }, interval, Plausible},
	} {
		t.Run(name, func(t *testing.T) {
			s := begin(t)
			s.h.Epoch = 3
			s.beats(3)
			h := s.h
			c.change(&h)
			if got := s.p.Check(s.now.Add(c.after), h, beat); got != c.want {
				t.Errorf("is %v, want %v", got, c.want)
			}
		})
	}
}

// Where this machine slept, all heartbeats are too far ahead for the time that passed here. The
// second such is believed; one that was made up is not followed by another.
func TestSecondJumpIsBelieved(t *testing.T) {
	s := begin(t)
	s.beats(3)
	far := s.h
	far.Seq += 10 * MaxJump
	if got := s.p.Check(s.now, far, beat); got != Jumped {
		t.Fatalf("the first is %v", got)
	}
	far.Seq += 8
	if got := s.p.Check(s.now, far, beat); got != Plausible {
		t.Errorf("the second is %v", got)
	}
	elsewhere := far
	elsewhere.Seq += 20 * MaxJump
	if got := s.p.Check(s.now, elsewhere, beat); got != Jumped {
		t.Errorf("one that does not follow the first is %v", got)
	}
	s.beat(0, 0)
	if got := s.p.Check(s.now, far, beat); got != Jumped {
		t.Errorf("the second is %v though one in order came between", got)
	}
}

func TestEcho(t *testing.T) {
	if number, echo, hold := New(phiaccrual.Estimator{}).Send(epoch); number != 1 || echo != 0 || hold != 0 {
		t.Errorf("before anything came: heartbeat %d with the echo of %d after %v", number, echo, hold)
	}
	s := begin(t)
	if number, echo, hold := s.p.Send(s.now.Add(30 * time.Millisecond)); number != 1 || echo != s.h.Edge || hold != 30*time.Millisecond {
		t.Errorf("heartbeat %d with the echo of %d after %v", number, echo, hold)
	}
	sent := s.now.Add(30 * time.Millisecond)
	s.h.EchoEdge, s.h.EchoHold = 1, interval-40*time.Millisecond
	if r := s.beat(0, 0); r.RTT != 10*time.Millisecond || !r.Echoed.Equal(sent) {
		t.Errorf("round trip %v, heard the heartbeat of %v; want 10ms and %v", r.RTT, r.Echoed, sent)
	}
	if r := s.beat(0, 0); r.RTT >= 0 || !r.Echoed.Equal(sent) { // the same echo, an interval later
		t.Errorf("round trip %v of an echo that waited", r.RTT)
	}
	s.p.Send(s.now)
	s.h.EchoHold = 2 * interval
	s.h.EchoEdge = 2
	if r := s.beat(0, 0); r.RTT != 0 {
		t.Errorf("round trip %v where the hold is longer than the way", r.RTT)
	}
	s.h.EchoEdge = 1
	if r := s.beat(0, 0); r.RTT >= 0 || !r.Echoed.IsZero() {
		t.Errorf("the echo of a heartbeat before the last: %+v", r)
	}
}

func TestLossAndLateness(t *testing.T) {
	s := begin(t)
	s.beats(50)
	if st := s.p.Status(); s.p.Loss(s.now) != PriorLoss || st.Deviation != 0 || st.Mean != interval || st.Lost != 0 || st.Heard != 51 {
		t.Errorf("after 50 in time: loss %.3f, %+v", s.p.Loss(s.now), st)
	}
	if r := s.beat(2, 0); r.Lost != 2 {
		t.Errorf("%d lost, want 2", r.Lost)
	}
	if loss := s.p.Loss(s.now); loss < 0.1 || loss > 0.13 { // the average of sixteen: 2/16, less a heartbeat
		t.Errorf("loss %.3f after two were lost", loss)
	}
	if got := s.p.Unanswered(s.now); math.Abs(got-(1-math.Pow(1-s.p.Loss(s.now), 2))) > 1e-9 {
		t.Errorf("a question goes unanswered with %.3f", got)
	}
	if loss := s.p.Loss(s.now.Add(2 * lossMemory)); loss > 0.07 {
		t.Errorf("loss %.3f two minutes later", loss)
	}
	s.beats(40)
	for range 40 {
		s.beat(0, 24*time.Millisecond)
		s.beat(0, 0)
	}
	if late := s.p.Status().Deviation; late < 20*time.Millisecond || late > 28*time.Millisecond {
		t.Errorf("mean deviation %v of arrivals that alternate by 24ms", late)
	}
	overdue := s.p.Overdue(s.now)
	if want := s.now.Add(interval + MinLateness + 4*s.p.Status().Deviation); !overdue.Equal(want) {
		t.Errorf("overdue at %v, want %v", overdue, want)
	}
	s.beat(0, time.Hour)
	if late := s.p.Status().Deviation; late > 24*time.Millisecond+stall/8 {
		t.Errorf("mean deviation %v after an outage: more than a stall teaches", late)
	}
}

// Against the two averages as they are defined, one number at a time.
func TestLossIsTheWorseOfTwoAverages(t *testing.T) {
	var l loss
	var long, short float64
	packet := func(missing float64) {
		long += (missing - long) / 128
		short += (missing - short) / 16
	}
	for i, lost := range []uint64{0, 3, 0, 0, 1, 0, 200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0} {
		l.observe(epoch, lost)
		for range min(lost, 64) {
			packet(1)
		}
		packet(0)
		if got, want := l.rate(epoch), max(0.01, long, short); !(math.Abs(got-want) <= 1e-12) {
			t.Fatalf("loss %.4f after %d heartbeats, want %.4f", got, i+1, want)
		}
	}
	l.lose(epoch, 2)
	packet(1)
	packet(1)
	for after, left := range map[time.Duration]float64{time.Second: 1, time.Minute: 1, 2 * time.Minute: 0.5, 3 * time.Minute: 0.25} {
		if got, want := l.rate(epoch.Add(after)), max(0.01, left*max(long, short)); !(math.Abs(got-want) <= 1e-12) {
			t.Errorf("loss %.4f after %v, want %.4f", got, after, want)
		}
	}
	l.lose(epoch.Add(2*time.Minute), 1) // news of a path that is half forgotten
	long, short = long/2, short/2
	packet(1)
	if got, want := l.rate(epoch.Add(2*time.Minute)), max(long, short); !(math.Abs(got-want) <= 1e-12) {
		t.Errorf("loss %.4f after one more, want %.4f", got, want)
	}
}

func TestMean(t *testing.T) {
	s := begin(t)
	s.beat(0, 0)
	if got := s.p.Status().Mean; got != interval {
		t.Errorf("mean %v of one gap of %v", got, interval)
	}
	s.beat(0, interval/2)
	if got, want := s.p.Status().Mean, interval+interval/16; got != want {
		t.Errorf("mean %v after one of half as long again, want %v", got, want)
	}
}

// A sign of life by other evidence: the heartbeats that were due before do not count as missing.
func TestAlive(t *testing.T) {
	s := begin(t)
	s.beats(200)
	later := s.now.Add(5*interval + interval/2)
	before := s.p.Phi(later)
	seen := s.now.Add(5 * interval)
	s.p.Alive(seen)
	if after := s.p.Phi(later); before < 4 || after > 0.1 {
		t.Errorf("φ falls from %.1f to %.1f", before, after)
	}
	if got := s.p.Overdue(seen); !got.Equal(s.now.Add(6*interval + MinLateness)) {
		t.Errorf("the next is overdue after %v", got.Sub(s.now))
	}
	for missing, then := range map[int]time.Duration{0: 6 * interval, 1: 6*interval + MinLateness, 2: 7*interval + MinLateness} {
		if got := s.p.Missing(seen, s.now.Add(then)); got != missing {
			t.Errorf("%d missing after %v, want %d", got, then, missing)
		}
	}
}

func TestAwaits(t *testing.T) {
	s := begin(t)
	for after, want := range map[uint64]uint64{0: 8, 1: 7, 7: 1, 8: 8, 9: 7} {
		if got := s.p.Awaits(s.h.Seq+after, beat); got != want {
			t.Errorf("after %d heartbeats to others the next comes here after %d more, want %d", after, got, want)
		}
	}
	if got := s.p.Awaits(s.h.Seq-3, beat); got != 11 {
		t.Errorf("%d after an earlier one, want 11", got)
	}
	if at, ok := s.p.Sent(s.h.Seq + 4); !ok || !at.Equal(s.now.Add(4*beat)) {
		t.Errorf("the fourth after the last was sent at %v, %v", at, ok)
	}
	if _, ok := s.p.Sent(s.h.Seq); ok {
		t.Error("the last one is later than itself")
	}
}

// Where this node stood still, silence counts from then on, less the heartbeats that were missing
// before, and the first heartbeat after teaches nothing.
func TestMissed(t *testing.T) {
	for _, story := range []struct {
		name          string
		silent, stood time.Duration // after the last heartbeat; then this node stands still
		missing       int           // heartbeats that count as missing when it goes on
	}{
		{"none was due", interval / 4, interval / 2, 0},
		{"one was due", interval / 2, interval, 0},
		{"many were due", interval / 2, 20 * interval, 0},
		{"two were missing before", 2*interval + interval/2, 5 * interval, 2},
	} {
		t.Run(story.name, func(t *testing.T) {
			s := begin(t)
			s.beats(200)
			taught := s.p.phi
			from := s.now.Add(story.silent)
			to := from.Add(story.stood)
			s.p.Missed(from, to)
			base := s.p.phi.Reaches(0)
			if got := int(to.Sub(base) / interval); got != story.missing {
				t.Errorf("%d heartbeats count as missing, want %d", got, story.missing)
			}
			if stood := s.p.stood; stood != (story.name != "none was due") {
				t.Fatalf("the next heartbeat teaches nothing: %v", stood)
			}
			if !s.p.stood {
				return
			}
			before := s.p.Status()
			n := uint64(to.Sub(s.now)/interval) + 1
			s.h.Seq, s.h.Edge = s.h.Seq+8*n, s.h.Edge+n
			if r := s.p.Receive(to.Add(time.Millisecond), s.h, interval, stall); r.Lost != 0 {
				t.Errorf("%d lost while nobody listened", r.Lost)
			}
			after := s.p.Status()
			if after.Deviation != before.Deviation || after.Lost != before.Lost || s.p.Loss(to) != PriorLoss || s.p.stood {
				t.Errorf("taught by the first one after: %+v, %+v before", after, before)
			}
			silence := interval + interval/2 // the next is half an interval late
			got, want := s.p.Phi(to.Add(time.Millisecond+silence)), taught.Phi(s.now.Add(silence))
			if math.Abs(got-want) > 0.01 {
				t.Errorf("φ = %.3f with the next one late, and %.3f before", got, want)
			}
		})
	}
}

// The next process of a member has a path of its own, and hears numbers that go on.
func TestRenew(t *testing.T) {
	s := begin(t)
	s.p.Send(s.now)
	s.beats(20)
	s.beat(3, 0)
	p := s.p.Renew(phiaccrual.Estimator{})
	if st := p.Status(); st != (Status{Sent: 1}) || p.Watched() || p.Loss(s.now) != PriorLoss {
		t.Errorf("it begins with %+v", st)
	}
}

func TestClose(t *testing.T) {
	s := begin(t)
	s.beats(20)
	s.beat(3, 0)
	h := s.h
	h.Seq, h.Edge, h.Interval = h.Seq+8, h.Edge+1, 0
	s.p.Receive(s.now.Add(interval), h, interval, stall)
	s.p.Alive(s.now.Add(time.Hour))
	if s.p.Watched() || s.p.Phi(s.now.Add(time.Hour)) != 0 || s.p.Loss(s.now) != PriorLoss {
		t.Error("silence after a last heartbeat counts")
	}
	if v := s.p.Check(s.now, s.h, beat); v != Replayed {
		t.Errorf("an old one is %v after the last", v)
	}
	s.h = h
	s.h.Interval = interval
	s.now = s.now.Add(time.Hour)
	s.beat(0, 0)
	if !s.p.Watched() || s.p.Phi(s.now.Add(interval/2)) != 0 || s.p.phi.Evidence() != 0 {
		t.Error("a heartbeat long after the last one does not begin anew")
	}
	s.p.Lose(s.now, 3)
	if loss := s.p.Loss(s.now); loss < 0.15 {
		t.Errorf("loss %.2f after three unanswered questions", loss)
	}
}

// The sender had forgotten this node, and counts from one again.
func TestNumbersAnew(t *testing.T) {
	s := begin(t)
	s.beats(200)
	s.h.Edge = 0
	if r := s.beat(0, 0); r.Lost != 0 || s.p.Loss(s.now) != PriorLoss {
		t.Errorf("%d lost where the numbers began anew", r.Lost)
	}
	if s.p.phi.Evidence() != 0 || !s.p.Watched() {
		t.Errorf("evidence of φ %.1f of before", s.p.phi.Evidence())
	}
	s.beats(3)
	if phi := s.p.Phi(s.now.Add(3 * interval)); phi <= 0 {
		t.Error("no silence counts any more")
	}
}

func TestAcknowledge(t *testing.T) {
	fresh, err := phiaccrual.New(phiaccrual.Config{Interval: time.Second, Model: phiaccrual.Normal})
	if err != nil {
		t.Fatal(err)
	}
	p, now := New(*fresh), epoch
	for range 50 {
		now = now.Add(time.Second)
		p.Acknowledge(now, time.Second)
	}
	if phi := p.Phi(now.Add(5 * time.Second)); phi < 4 {
		t.Errorf("φ = %.1f after five intervals", phi)
	}
	p.Relearn(10 * time.Second)
	if p.phi.Evidence() > 0.1 {
		t.Errorf("evidence of φ %.1f at the interval of before", p.phi.Evidence())
	}
	if phi := p.Phi(now.Add(10 * time.Second)); phi > 1 {
		t.Errorf("φ = %.1f after one interval of the ten times as long one", phi)
	}
	if phi := p.Phi(now.Add(10 * time.Minute)); phi < 8 {
		t.Errorf("φ = %.1f after sixty", phi)
	}
	before := p.phi
	p.Missed(now.Add(time.Second), now.Add(60*time.Second))
	p.Acknowledge(now.Add(61*time.Second), 10*time.Second)
	if got, want := p.Phi(now.Add(76*time.Second)), before.Phi(now.Add(15*time.Second)); math.Abs(got-want) > 0.01 {
		t.Errorf("φ = %.3f, and %.3f before this node stood still", got, want)
	}
}
