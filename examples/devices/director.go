package main

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// director has faults befall devices, sees whether they are found, and repairs them. Time comes in
// as an argument.
type director struct {
	faults  int // of each kind in a round
	every   time.Duration
	names   []string // in the order of their turns
	next    int
	round   time.Time
	present map[string]*fault
	repairs []repair
	score   score
}

type fault struct {
	kind  kind
	at    time.Time
	found bool
}

type repair struct {
	at    time.Time
	order order
}

// kind is a fault and what becomes of it.
type kind int

const (
	hangs    kind = iota // until it is gone
	cutShort             // the path is back as soon as it is missed: within the grace
	cutLong              // the path is back when it is gone
	crashes              // it is on again when it is gone
	drops                // the connection fails once, and the device makes another one
	saysBye              // switched off in order, and on again
	kindsCount
)

// deeds are how each kind begins.
var deeds = [kindsCount]deed{stick, cut, cut, crash, drop, leave}

// score is how the faults went.
type score struct {
	Faults     int
	Found      []time.Duration // how long a silent device was taken for alive
	Promises   []float64       // the same, in the intervals that it had promised
	Back       int             // resumed within the grace
	Gone       int             // without a goodbye: wills have to be as many
	Unfounded  int             // suspected with nothing wrong
	WrongGone  int             // gone with nothing wrong
	ByCause    map[string]int  // of those that were silent
	TooLate    int             // was to be back within the grace, and was not
	Mistakenly []string        // the first of the unfounded
}

func newDirector(n, faults int, every time.Duration) *director {
	d := &director{faults: faults, every: every, present: map[string]*fault{}}
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) { // the same each time
		d.names = append(d.names, nameOf(i))
	}
	d.score.ByCause = map[string]int{}
	return d
}

// begin has the first round two intervals after now.
func (d *director) begin(now time.Time) { d.round = now.Add(2 * d.every) }

// due returns the orders whose time has come.
func (d *director) due(now time.Time) []order {
	var list []order
	d.repairs = slices.DeleteFunc(d.repairs, func(r repair) bool {
		if r.at.After(now) {
			return false
		}
		list = append(list, r.order)
		return true
	})
	if d.round.IsZero() || now.Before(d.round) {
		return list
	}
	d.round = d.round.Add(dayBeats * d.every)
	for k := range kindsCount {
		o := order{Do: deeds[k]}
		for range d.faults {
			name := d.names[d.next%len(d.names)]
			d.next++
			if d.present[name] != nil {
				continue
			}
			d.present[name] = &fault{kind: k, at: now}
			d.score.Faults++
			o.Devices = append(o.Devices, name)
		}
		if len(o.Devices) > 0 {
			list = append(list, o)
		}
	}
	return list
}

// saw takes an event of the gateway's.
func (d *director) saw(e link.Event) {
	name := e.Session.ID
	f := d.present[name]
	later := func(do deed, after time.Duration) {
		d.repairs = append(d.repairs, repair{e.At.Add(after), order{do, []string{name}}})
	}
	switch e.Session.State {
	case link.Suspect:
		if f == nil {
			if d.score.Unfounded++; len(d.score.Mistakenly) < 5 {
				d.score.Mistakenly = append(d.score.Mistakenly, name)
			}
		}
	case link.Away:
		if f == nil || f.found || f.kind > cutLong {
			return
		}
		f.found = true
		d.score.Found = append(d.score.Found, e.At.Sub(f.at))
		d.score.Promises = append(d.score.Promises, float64(e.At.Sub(f.at))/float64(max(1, e.Session.Every)))
		d.score.ByCause[e.Session.Cause.String()]++
		if f.kind == cutShort {
			later(mend, 0)
		}
	case link.Gone:
		switch {
		case f == nil:
			d.score.WrongGone++
			d.score.Gone++
			return
		case f.kind != saysBye:
			d.score.Gone++
		}
		switch f.kind {
		case hangs, cutLong:
			later(mend, d.every)
		case crashes, saysBye:
			later(start, d.every)
		case cutShort:
			d.score.TooLate++
		}
	case link.Up:
		if f == nil || e.From == link.Suspect { // one beat was on its way yet
			return
		}
		if e.Resumed {
			d.score.Back++
		}
		delete(d.present, name)
	}
}
