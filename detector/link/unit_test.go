package link

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// turnUntil turns a wheel each tick, and returns when who was due, since begin.
func turnUntil(r *rounds, begin time.Time, from, until time.Duration, again func(*served, time.Time)) map[*served][]time.Duration {
	due := map[*served][]time.Duration{}
	for at := from; at <= until; at += r.tick {
		list, _ := r.take(begin.Add(at), nil)
		for _, l := range list {
			due[l] = append(due[l], at)
			if again != nil {
				again(l, begin.Add(at))
			}
		}
	}
	return due
}

func newRounds(every time.Duration) (*rounds, time.Time) {
	r, begin := &rounds{}, time.Now()
	r.init(every, begin)
	return r, begin
}

func TestRoundsAreDueOnTime(t *testing.T) {
	r, begin := newRounds(time.Second)
	rng := rand.New(rand.NewPCG(1, 1))
	want := map[*served]time.Duration{}
	for range 2000 {
		l := &served{}
		want[l] = time.Duration(rng.Int64N(int64(time.Minute))) // some more than a turn of the wheel
		r.add(l, begin, want[l])
	}
	due := turnUntil(r, begin, 0, 2*time.Minute, nil)
	for l, at := range want {
		if len(due[l]) != 1 || due[l][0] < at || due[l][0] > at+2*r.tick {
			t.Fatalf("due at %v, want it once at %v to %v", due[l], at, at+2*r.tick)
		}
	}
	if _, next := r.take(begin.Add(3*time.Minute), nil); !next.IsZero() || r.len != 0 {
		t.Errorf("%d wait, the next until %v", r.len, next)
	}
}

func TestRoundsReplaceAndRemove(t *testing.T) {
	r, begin := newRounds(time.Second)
	twice, removed, late := &served{}, &served{}, &served{}
	r.add(twice, begin, 300*time.Millisecond)
	r.add(twice, begin, 600*time.Millisecond)
	r.add(removed, begin, 300*time.Millisecond)
	r.remove(removed)
	r.add(removed, begin, 300*time.Millisecond) // by who took it just before
	r.add(late, begin, 10*time.Hour)
	due := turnUntil(r, begin, 0, 2*time.Second, nil)
	if d := due[twice]; len(d) != 1 || d[0] < 600*time.Millisecond {
		t.Errorf("the second time counts, once: %v", d)
	}
	if len(due[removed]) > 0 {
		t.Errorf("removed, and due at %v", due[removed])
	}
	if r.len != 1 {
		t.Errorf("%d wait, want 1", r.len)
	}
	if due = turnUntil(r, begin, 2*time.Second, 10*time.Hour+time.Second, nil); len(due[late]) != 1 || due[late][0] < 10*time.Hour {
		t.Errorf("due at %v, want 10 h", due[late])
	}
}

// A process that stood still finds all due at once, each once, and those that are not due stay so.
func TestRoundsAfterAPause(t *testing.T) {
	r, begin := newRounds(time.Second)
	const n = 100
	for i := range n {
		r.add(&served{}, begin, time.Duration(i)*time.Second)
	}
	list, next := r.take(begin.Add(50*time.Second+500*time.Millisecond), nil)
	if len(list) != 51 {
		t.Errorf("%d are due after 50 s, want 51", len(list))
	}
	if d := next.Sub(begin); d < 50*time.Second || d > 51*time.Second {
		t.Errorf("next at %v", d)
	}
	if rest := turnUntil(r, begin, 51*time.Second, 101*time.Second, nil); len(rest) != n-51 {
		t.Errorf("%d afterwards", len(rest))
	}
}

func TestStrikes(t *testing.T) {
	begin := time.Now()
	var s strikes
	count := func(n int, from, step time.Duration) (said [3]int) {
		for i := range n {
			said[s.ping(begin.Add(from+time.Duration(i)*step), time.Second)]++
		}
		return said
	}
	for _, step := range []struct {
		what       string
		n          int
		from, step time.Duration
		want       [3]int
	}{
		{"one each second is fine, for long", 1000, 0, time.Second, [3]int{1000, 0, 0}},
		{"a burst is fine, and more is told once", 50, 2000 * time.Second, 0, [3]int{49, 1, 0}},
		{"what is on its way for 10 s is fine", 99, 2000*time.Second + 100*time.Millisecond, 100 * time.Millisecond, [3]int{99, 0, 0}},
		{"and too much afterwards", 20, 2011 * time.Second, 0, [3]int{3, 0, 17}},
		{"a day later it is told again", 50, 2011*time.Second + 24*time.Hour, 0, [3]int{49, 1, 0}},
	} {
		if got := count(step.n, step.from, step.step); got != step.want {
			t.Errorf("%s: fine, told, too fast %v, want %v", step.what, got, step.want)
		}
	}
	if got := s.ping(begin, time.Second); got == tooFast {
		t.Error("a clock that steps back cuts off") // credit never falls below what it was by that alone
	}
}

func TestOutbox(t *testing.T) {
	var o outbox
	must := func(ok bool, what string) {
		t.Helper()
		if !ok {
			t.Error(what)
		}
	}
	must(o.add(make([]byte, 100), 10) == nil, "one fits in whatever its length")
	must(errors.Is(o.add([]byte("x"), 10), ErrBehind), "more than waits may not")
	must(o.ack(1) && o.bytes == 0, "acknowledged bytes are free")
	for _, s := range []string{"two", "three", "four"} {
		must(o.add([]byte(s), 100) == nil, s)
	}
	must(!o.ack(5), "nobody has what was never sent")
	must(!o.ack(1<<63), "nobody has what was never sent")
	must(o.ack(0) && o.ack(1), "an old acknowledgement is no news")
	seq, data := o.get(1)
	must(seq == 2 && string(data) == "two", "what is acknowledged is not sent again")
	seq, data = o.get(4)
	must(seq == 4 && string(data) == "four", "the last")
	seq, data = o.get(5)
	must(seq == 0 && data == nil, "there is none")
	must(o.ack(3), "three")
	last, acked := o.last()
	must(last == 4 && acked == 3 && o.bytes == 4, fmt.Sprint(last, acked, o.bytes))
	o.clear()
	seq, _ = o.get(0)
	must(seq == 0 && o.bytes == 0, "cleared")
}

// A pause gives those who wait the time back that they could not use, and no more; nobody overtakes anybody.
func TestExpiryPause(t *testing.T) {
	begin := time.Now()
	at := func(d time.Duration) time.Time { return begin.Add(d) }
	x := expiry{wake: make(chan struct{}, 1)}
	before, within := &session{id: "before", state: Away, since: begin}, &session{id: "within", state: Away, since: at(40 * time.Second)}
	x.push(before, at(0), 15*time.Second)
	x.push(within, at(40*time.Second), 15*time.Second) // pushed by one who woke before the loop
	x.pause(at(41*time.Second), 30*time.Second)
	who := func(now time.Duration) (ids []string) {
		over, _ := x.take(at(now))
		for _, w := range over {
			ids = append(ids, w.one.id)
		}
		return ids
	}
	for _, step := range []struct {
		now  time.Duration
		want []string
	}{
		{44900 * time.Millisecond, nil}, {45100 * time.Millisecond, []string{"before"}}, {55 * time.Second, nil}, {56100 * time.Millisecond, []string{"within"}},
	} {
		if got := who(step.now); !slices.Equal(got, step.want) {
			t.Errorf("after %v: %q, want %q", step.now, got, step.want)
		}
	}
	if _, next := x.take(at(time.Hour)); !next.IsZero() {
		t.Error("nobody waits")
	}
}

// A session that is away again waits from then on.
func TestExpiryCountsTheLatestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		one := &session{id: "ann", state: Up}
		s.sessions["ann"] = one
		away := func(d time.Duration) {
			one.mu.Lock()
			s.change(one, Away, Clean, false, time.Now())
			s.expiry.push(one, time.Now(), s.cfg.Grace)
			one.mu.Unlock()
			time.Sleep(d)
		}
		away(10 * time.Second)
		one.mu.Lock()
		s.change(one, Up, 0, true, time.Now())
		one.mu.Unlock()
		away(10 * time.Second)
		state := func() State { v, _ := s.Session("ann"); return v.State }
		if state() != Away {
			t.Errorf("%s 10 s after the second cut", state())
		}
		time.Sleep(6 * time.Second)
		if state() != Gone {
			t.Errorf("%s 16 s after the second cut", state())
		}
		time.Sleep(DefaultGone + time.Second)
		if n := len(s.Sessions()); n != 0 {
			t.Errorf("%d sessions are still listed", n)
		}
	})
}

func TestFoldEvents(t *testing.T) {
	e := func(from, to State, resumed bool) Event {
		return Event{Session: Session{State: to}, From: from, Resumed: resumed}
	}
	var pending []Event
	for _, next := range []Event{e(0, Up, false), e(Up, Suspect, false), e(Suspect, Away, false), e(Away, Up, true)} {
		pending = foldEvents(pending, next)
	}
	if len(pending) != 1 || pending[0].From != 0 || pending[0].Folded != 3 || pending[0].Kind() != "resumed" {
		t.Errorf("%+v", pending)
	}
	for _, next := range []Event{e(Up, Gone, false), e(0, Up, false), e(Up, Away, false), e(Away, Gone, false), e(0, Up, false)} {
		pending = foldEvents(pending, next)
	}
	if len(pending) != 2 || pending[0].Session.State != Gone || pending[1].Session.State != Up || pending[0].Folded+pending[1].Folded != 7 {
		t.Errorf("%+v", pending)
	}
}

func TestConfig(t *testing.T) {
	if c, err := (Config{}).withDefaults(); err != nil || c.Interval != time.Second || c.Grace != 15*time.Second || c.MaxWaiting != 4<<20 {
		t.Errorf("%+v %v", c, err)
	}
	if c, err := (Config{Within: 3 * time.Minute, Grace: -1, Gone: -1}).withDefaults(); err != nil || c.Interval != time.Minute || c.Grace != 0 || c.Gone != 0 {
		t.Errorf("%+v %v", c, err)
	}
	for _, test := range []struct {
		cfg  Config
		want string
	}{
		{Config{Interval: time.Millisecond}, "Config.Interval = 1ms: want 10ms to 1h0m0s"},
		{Config{Interval: -1}, "Config.Interval = -1ns: want"},
		{Config{Interval: 2 * time.Hour}, "Config.Interval = 2h0m0s: want"},
		{Config{Within: time.Millisecond}, "Config.Within = 1ms: want 30ms to 3h0m0s"},
		{Config{Within: time.Second, Interval: time.Second}, "Config.Interval = 1s: want at most a third of Within, 333"},
		{Config{FalseAlarmEvery: time.Second}, "Config.FalseAlarmEvery = 1s: want 10s (ten intervals) to 100 years"},
		{Config{Grace: 25 * time.Hour}, "Config.Grace = 25h0m0s: want at most 24h0m0s"},
		{Config{Gone: 25 * time.Hour}, "Config.Gone = 25h0m0s: want at most 24h0m0s"},
		{Config{MaxMessage: -1}, "Config.MaxMessage = -1: want 1 to 1073741824"},
		{Config{MaxMessage: 1 << 30, MaxWaiting: 1}, "Config.MaxWaiting = 1: want 1073741824 to 1073741824"},
		{Config{MaxSessions: -5}, "Config.MaxSessions = -5: want 1 to 100000000"},
		{Config{MaxSpares: -1}, "Config.MaxSpares = -1: want 1 to 1000000"},
		{Config{MaxSessions: 10, MaxSpares: 11}, "Config.MaxSpares = 11: want 1 to 10"},
		{Config{Session: strings.Repeat("x", 129)}, "Config.Session = 129 bytes: want at most 128"},
		{Config{State64: make([]byte, 65)}, "Config.State64 = 65 bytes: want at most 64"},
	} {
		if _, err := test.cfg.withDefaults(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %q", err, test.want)
		}
		if _, err := NewServer(test.cfg); err == nil {
			t.Errorf("NewServer takes %+v", test.cfg)
		}
	}
	_, err := (Config{Interval: -1, Grace: 100 * time.Hour}).withDefaults()
	if err == nil || !strings.Contains(err.Error(), "Interval") || !strings.Contains(err.Error(), "Grace") {
		t.Errorf("all that is wrong is told: %v", err)
	}
}

func TestBeatLimits(t *testing.T) {
	long := Beat{Seq: 1<<64 - 1, Sent: maxSent, Every: maxEvery, Ack: 1<<64 - 1, RTT: maxEvery, State: make([]byte, MaxState)}
	p, err := AppendBeat(nil, long)
	if err != nil || len(p) > MaxBeat {
		t.Errorf("the longest beat has %d bytes, want at most %d: %v", len(p), MaxBeat, err)
	}
	if _, err := DecodeBeat(p); err != nil {
		t.Error(err)
	}
	for _, b := range []Beat{{State: make([]byte, MaxState+1)}, {Sent: -1}, {Sent: maxSent + time.Hour}, {Every: -1}, {Every: maxEvery + 1}, {RTT: -1}, {RTT: maxEvery + 1}} {
		if p, err := AppendBeat(nil, b); err == nil {
			t.Errorf("%+v is encoded as %x", b, p)
		}
	}
}
