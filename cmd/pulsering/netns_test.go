//go:build e2e && unix

package main

import (
	"slices"
	"testing"
	"time"
)

// The same faults as in the lab (cluster/lab), on a network of the kernel's: every process has a host of its own, and
// cables can be pulled. The times that the log shows are to be held against the lab's; the tests themselves ask only that
// things happen at all, for the machine may be busy with others.

const (
	// soon is how late anything may be: ten times what it takes.
	soon = 10 * time.Second
	// outage is how long a cable is out: until memberlist has stopped talking to the others, which it does once it holds them
	// for dead (24 s at most), and their places in the ring are given up (30 s), so that it takes the healing to find each
	// other again. Its knocks are then some 10 s apart at each of the members (docs/design.md, section 5).
	outage = 40 * time.Second
	// acquaintance is twenty heartbeats of each observer.
	acquaintance = 10 * time.Second
)

// A member is killed, at once after they have formed, and another one when they have come to know each other's heartbeats:
// the second is what the lab measures.
func TestNetnsCrash(t *testing.T) {
	all := newLAN(t, five).town(five)
	cat := all[2]
	crash(t, all, cat)
	time.Sleep(acquaintance)
	crash(t, without(all, cat), all[4])
}

// A process stops for five seconds: it is down, then up again, and blames nobody when it wakes.
func TestNetnsPause(t *testing.T) {
	net := newLAN(t, five)
	all := net.town(five)
	dog := all[3]
	others := without(all, dog)
	t.Log("SIGSTOP dog")
	stopped := time.Now()
	must(t, dog.pause())
	told(t, others, "down", dog, stopped)
	time.Sleep(5*time.Second - time.Since(stopped)) // the stop itself: nothing to wait for
	onlyDown(t, others, "dog")
	fromHere(others)
	t.Log("SIGCONT dog")
	woken := time.Now()
	must(t, dog.resume())
	net.healed(t, all, woken)
	crash(t, all, all[2])
}

// One member is cut off: it knows, and calls nobody down but for its own readers, after half a minute.
func TestNetnsIsolation(t *testing.T) {
	for _, cut := range []struct{ name, namespace, link string }{
		{"cable", switches, "dog"},   // the host has no carrier: packets vanish
		{"interface", "dog", "eth0"}, // the host has no route: sending fails
	} {
		t.Run(cut.name, func(t *testing.T) {
			t.Parallel() // it is waiting, for the most part
			net := newLAN(t, five)
			all := net.town(five)
			dog := all[3]
			others := without(all, dog)
			t.Logf("ip link set %s down", cut.link)
			began := time.Now()
			net.set(cut.namespace, cut.link, "down")
			told(t, others, "down", dog, began)
			told(t, []*member{dog}, "isolated", dog, began)
			time.Sleep(outage - time.Since(began)) // the outage itself: nothing to wait for
			onlyDown(t, others, "dog")
			for _, m := range others { // what it shows its own readers after IsolatedDownAfter, and spreads to nobody
				dog.expect("down", m.name, reason("isolated"))
			}
			for _, e := range dog.sinceHere() {
				if e.Kind == "down" && e.Reason != "isolated" {
					t.Errorf("%s called %s down (%s), which was alive", dog.name, e.Member, e.Reason)
				}
			}
			never(t, others, "isolated")
			fromHere(all)
			t.Logf("ip link set %s up", cut.link)
			ended := time.Now()
			net.set(cut.namespace, cut.link, "up")
			told(t, []*member{dog}, "connected", dog, ended)
			net.healed(t, all, ended)
			crash(t, all, all[2])
		})
	}
}

// The network breaks in two halves: each side calls the other one down, and takes it back.
func TestNetnsSplit(t *testing.T) {
	left, right := []string{"ant", "bee", "cat"}, []string{"dog", "elk", "fox"}
	net := newLAN(t, left, right)
	all := net.town(slices.Concat(left, right))
	lefts, rights := all[:3], all[3:]
	t.Log("ip link set trunk down")
	began := time.Now()
	net.set(switches, trunk, "down")
	for _, m := range rights {
		told(t, lefts, "down", m, began)
	}
	for _, m := range lefts {
		told(t, rights, "down", m, began)
	}
	time.Sleep(outage - time.Since(began)) // the outage itself: nothing to wait for
	onlyDown(t, lefts, right...)
	onlyDown(t, rights, left...)
	never(t, all, "isolated")
	fromHere(all)
	t.Log("ip link set trunk up")
	ended := time.Now()
	net.set(switches, trunk, "up")
	net.healed(t, all, ended)
	crash(t, all, all[4])
}

// told waits until each of the members has printed an event about a subject, and logs how long after the cause.
func told(t *testing.T, all []*member, kind string, subject *member, cause time.Time) {
	t.Helper()
	for _, m := range all {
		e := m.expect(kind, subject.name)
		inTime(t, m, e, cause)
	}
}

func inTime(t *testing.T, m *member, e eventLine, cause time.Time) {
	t.Helper()
	took := e.Time.Sub(cause)
	t.Logf("%s: %s %s after %s (%s)", m.name, e.Member, e.Kind, seconds(took), e.Reason)
	if took > soon {
		t.Errorf("%s took %v to say that %s is %s; want at most %v", m.name, took, e.Member, e.Kind, soon)
	}
}

// healed waits until the members hold each other up, with nobody called down once more on the way.
func (l *lan) healed(t *testing.T, all []*member, cause time.Time) {
	t.Helper()
	for _, m := range all {
		for _, other := range without(all, m) {
			if e := m.settles("up", other.name); e.Time.After(cause) {
				inTime(t, m, e, cause)
			}
		}
	}
	onlyDown(t, all)
	for _, m := range all {
		states := l.states(m)
		for _, other := range all {
			if s := states[other.name]; s != "up" && s != "suspect" { // a busy machine makes anybody late
				t.Errorf("pulsering members at %s: %s is %q", m.name, other.name, s)
			}
		}
	}
}

// crash kills a member: all others say so, and, by the time that they have, said so of nobody else.
func crash(t *testing.T, all []*member, victim *member) {
	t.Helper()
	fromHere(all)
	t.Logf("SIGKILL %s", victim.name)
	killed := time.Now()
	victim.kill()
	survivors := without(all, victim)
	told(t, survivors, "down", victim, killed)
	onlyDown(t, survivors, victim.name)
	never(t, survivors, "isolated")
}

// never checks that the members have printed no event of a kind since the chapter began.
func never(t *testing.T, all []*member, kind string) {
	t.Helper()
	for _, m := range all {
		for _, e := range m.sinceHere() {
			if e.Kind == kind {
				t.Errorf("%s says %s of %s (%s)", m.name, e.Kind, e.Member, e.Reason)
			}
		}
	}
}

// settles waits until the latest event about a subject is of a kind, and returns it.
func (m *member) settles(kind, subject string) eventLine {
	m.t.Helper()
	for deadline := time.After(patient); ; {
		events, more := m.seen()
		for _, e := range slices.Backward(events) {
			if e.Member != subject {
				continue
			}
			if e.Kind == kind {
				return e
			}
			break
		}
		select {
		case <-more:
		case <-m.ended:
			m.t.Fatalf("%s ended", m.name)
		case <-deadline:
			m.t.Fatalf("%s never settled on %q for %s", m.name, kind, subject)
		}
	}
}
