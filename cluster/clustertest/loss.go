package clustertest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// A Loss says which packets of a path are lost: [Independent], [GilbertElliott]
// or [Outages]. The zero value loses none. A Loss with parameters out of range
// is refused by whatever it is given to.
type Loss struct {
	kind      lossKind
	p, r      float64 // by kind: probability; P(good→bad), P(bad→good); share of time
	good, bad float64 // probability of loss in each state
	mean      time.Duration
}

type lossKind uint8

const (
	lossNone lossKind = iota
	lossIndependent
	lossGilbertElliott
	lossOutages
)

// Independent loses each packet with probability p, 0 to 1, whatever happened
// to the one before.
func Independent(p float64) Loss { return Loss{kind: lossIndependent, p: p} }

// GilbertElliott is the two-state model of bursty loss (Gilbert 1960, Elliott
// 1963). Before each packet the path goes from good to bad with probability p,
// or from bad to good with probability r; then the packet is lost with the
// probability of its state, good or bad. All four are 0 to 1, p and r not both 0.
//
// The share of time spent bad is p/(p+r), a stay there is 1/r packets long on
// average, and the loss is (r·good + p·bad)/(p+r). Each ordered pair of
// addresses has a state of its own, which begins with those shares. The state
// moves with the packets, not with time: use [Outages] for bursts that last
// some time however little is sent.
func GilbertElliott(p, r, good, bad float64) Loss {
	return Loss{kind: lossGilbertElliott, p: p, r: r, good: good, bad: bad}
}

// Outages is the same chain in continuous time: each ordered pair of addresses
// is out for exponentially distributed times with the given mean, up to one
// hour, so often that the given share of time, 0 to less than 1, is out. All
// that is sent while it is out is lost.
func Outages(share float64, mean time.Duration) Loss {
	return Loss{kind: lossOutages, p: share, mean: mean}
}

func (l Loss) validate() error {
	bad := func(name string, v any, limit string) error {
		return fmt.Errorf("clustertest: Link.Loss: %s = %v: must be %s", name, v, limit)
	}
	probability := func(v float64) bool { return v >= 0 && v <= 1 }
	switch l.kind {
	case lossIndependent:
		if !probability(l.p) {
			return bad("p", l.p, "from 0 to 1")
		}
	case lossGilbertElliott:
		for _, f := range []struct {
			name  string
			value float64
		}{{"p", l.p}, {"r", l.r}, {"good", l.good}, {"bad", l.bad}} {
			if !probability(f.value) {
				return bad(f.name, f.value, "from 0 to 1")
			}
		}
		if l.p+l.r == 0 {
			return bad("p + r", 0, "above 0")
		}
	case lossOutages:
		if !(l.p >= 0 && l.p < 1) {
			return bad("share", l.p, "from 0 to less than 1")
		}
		if l.mean <= 0 || l.mean > maxDelay {
			return bad("mean", l.mean, fmt.Sprintf("above 0, at most %v", maxDelay))
		}
	}
	return nil
}

// burst is where the chain of one ordered pair of addresses stands.
type burst struct {
	of  *Loss // each SetLink has its own
	bad bool
	at  time.Time // Outages: when that was so
}

// lost draws from r whether what e sends to to is lost. e.mu is held.
func (e *endpoint) lost(l *Loss, to *endpoint, r *rand.Rand, now time.Time) bool {
	if l.kind == lossIndependent {
		return chance(r, l.p)
	}
	b := e.bursts[to]
	known := b.of == l
	switch {
	case l.kind == lossGilbertElliott && !known:
		b.bad = chance(r, l.p/(l.p+l.r))
	case l.kind == lossGilbertElliott && b.bad:
		b.bad = !chance(r, l.r)
	case l.kind == lossGilbertElliott:
		b.bad = chance(r, l.p)
	case !known:
		b.bad = chance(r, l.p)
	default:
		// A two-state chain that leaves bad at rate 1/mean and enters it at
		// rate share/(1−share)/mean forgets its state at the sum of the two,
		// 1/((1−share)·mean):
		// P(bad at t | state at 0) = share + (state − share)·exp(−rate·t).
		was := 0.0
		if b.bad {
			was = 1
		}
		left := math.Exp(-float64(now.Sub(b.at)) / ((1 - l.p) * float64(l.mean)))
		b.bad = chance(r, l.p+(was-l.p)*left)
	}
	b.of, b.at = l, now
	if e.bursts == nil {
		e.bursts = make(map[*endpoint]burst)
	}
	e.bursts[to] = b
	if l.kind == lossOutages {
		return b.bad
	}
	if b.bad {
		return chance(r, l.bad)
	}
	return chance(r, l.good)
}
