package qos

import (
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// Accrual puts a phiaccrual.Estimator under test; thresholds are φ. It is told
// of each new interval, as a heartbeat that carries its promise would.
type Accrual struct {
	estimator *phiaccrual.Estimator
	interval  time.Duration
	numbered  bool
}

// NewAccrual returns an estimator under test that sees sequence numbers, or one
// that does not.
func NewAccrual(cfg phiaccrual.Config, numbered bool) (*Accrual, error) {
	e, err := phiaccrual.New(cfg)
	if err != nil {
		return nil, err
	}
	return &Accrual{estimator: e, numbered: numbered}, nil
}

// start is the instant of the wall clock that a trace begins at.
var start = time.Unix(0, 0).UTC()

// Heartbeat implements Detector.
func (a *Accrual) Heartbeat(b Beat) {
	if a.numbered {
		a.estimator.HeartbeatSeq(start.Add(b.Arrived), b.Seq)
	} else {
		a.estimator.Heartbeat(start.Add(b.Arrived))
	}
	if b.Interval != a.interval {
		a.interval = b.Interval
		if err := a.estimator.SetInterval(b.Interval); err != nil {
			panic(err) // a trace with an impossible interval
		}
	}
}

// Deadline implements Detector.
func (a *Accrual) Deadline(phi float64) time.Duration {
	at := a.estimator.Reaches(phi)
	if at.IsZero() {
		return Never
	}
	return at.Sub(start)
}
