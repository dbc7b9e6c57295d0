package detector

import (
	"fmt"
	"math"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// Limits and defaults of Config.
const (
	defaultInterval = time.Second
	maxDuration     = 24 * time.Hour
	defaultDownPhi  = 8

	// firstIntervals is the default of FirstHeartbeat in intervals: a link that loses every second heartbeat
	// delivers none of ten with probability 2^-10.
	firstIntervals = 10

	// minPhi and maxPhi bound the thresholds. phiaccrual is exact between them.
	minPhi, maxPhi = 0.01, 300

	// maxPromise bounds FalseAlarmEvery, well within what a Duration holds.
	maxPromise = 100 * 365 * 24 * time.Hour
	// minPromiseIntervals bounds it below: one false alarm in ten heartbeats (φ = 1) is no promise.
	minPromiseIntervals = 10
)

// Config says how a [Detector] judges. The zero Config is a good one; zero fields mean their default.
type Config struct {
	// Interval is the time between heartbeats of peers watched without an interval of their own: 1 µs to 24 h,
	// default 1 s.
	Interval time.Duration

	// FirstHeartbeat is how long a watched peer may take to be heard for the first time before it is Down: 1 µs to
	// 24 h, default ten intervals of that peer. The same holds after Restart.
	FirstHeartbeat time.Duration

	// SuspectPhi and DownPhi are the suspicion levels at which a peer becomes Suspect and Down: 0.01 to 300,
	// SuspectPhi no higher than DownPhi. A level φ is wrong about once in 10^φ heartbeats. Default 8 for DownPhi,
	// half of DownPhi for SuspectPhi.
	SuspectPhi, DownPhi float64

	// FalseAlarmEvery states the same as a promise, instead of thresholds: a peer that lives is called Down at most
	// once in this time, on average. A peer with interval T sends FalseAlarmEvery/T heartbeats meanwhile, and each
	// is mistaken with probability 10^-φ, so
	//
	//	DownPhi = log10(FalseAlarmEvery / T)
	//
	// for each peer by its own interval; SuspectPhi is half of it. Ten intervals to 100 years, default none. It is
	// an error to set thresholds too.
	FalseAlarmEvery time.Duration

	// Model, MinStdDev, Pause and Window are handed to the estimator of each peer: see [phiaccrual.Config]. They are
	// the same for all peers, but for the default of MinStdDev where that depends on the interval.
	Model            phiaccrual.Model
	MinStdDev, Pause time.Duration
	Window           int
}

// withDefaults returns cfg with its zero fields filled in, or an error that names the field, its value and the limit.
// FirstHeartbeat stays zero where it follows the peer's interval, and thresholds where they follow the promise.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if err := checkInterval("Interval", cfg.Interval); err != nil {
		return cfg, err
	}
	if cfg.FirstHeartbeat != 0 {
		if err := checkDuration("FirstHeartbeat", cfg.FirstHeartbeat, time.Microsecond, maxDuration); err != nil {
			return cfg, err
		}
	}
	if cfg.FalseAlarmEvery != 0 {
		if cfg.SuspectPhi != 0 || cfg.DownPhi != 0 {
			return cfg, fmt.Errorf("FalseAlarmEvery %v and thresholds (SuspectPhi %v, DownPhi %v) are both set: set one of them",
				cfg.FalseAlarmEvery, cfg.SuspectPhi, cfg.DownPhi)
		}
		return cfg, checkPromise(cfg.FalseAlarmEvery, cfg.Interval)
	}
	if cfg.DownPhi == 0 {
		cfg.DownPhi = defaultDownPhi
	}
	if cfg.SuspectPhi == 0 {
		cfg.SuspectPhi = max(minPhi, cfg.DownPhi/2)
	}
	return cfg, checkThresholds(cfg.SuspectPhi, cfg.DownPhi)
}

func checkInterval(name string, d time.Duration) error {
	return checkDuration(name, d, time.Microsecond, maxDuration)
}

func checkDuration(name string, d, lo, hi time.Duration) error {
	if d < lo || d > hi {
		return fmt.Errorf("%s %v is not within %v and %v", name, d, lo, hi)
	}
	return nil
}

func checkThresholds(suspect, down float64) error {
	for _, f := range []struct {
		name string
		phi  float64
	}{{"DownPhi", down}, {"SuspectPhi", suspect}} {
		if !(f.phi >= minPhi && f.phi <= maxPhi) { // NaN is not
			return fmt.Errorf("%s %v is not within %v and %v", f.name, f.phi, minPhi, maxPhi)
		}
	}
	if suspect > down {
		return fmt.Errorf("SuspectPhi %v is above DownPhi %v", suspect, down)
	}
	return nil
}

func checkPromise(every, interval time.Duration) error {
	return checkDuration(fmt.Sprintf("FalseAlarmEvery (at an interval of %v)", interval),
		every, minPromiseIntervals*interval, maxPromise)
}

// thresholds are the levels that states change at: two numbers, or the promise that they follow from.
type thresholds struct {
	suspect, down float64
	promise       time.Duration // 0: suspect and down hold
}

// check reports that the promise cannot be kept for a peer with this interval.
func (t thresholds) check(interval time.Duration) error {
	if t.promise == 0 {
		return nil
	}
	return checkPromise(t.promise, interval)
}

// of returns the levels for a peer with this interval.
func (t thresholds) of(interval time.Duration) (suspect, down float64) {
	if t.promise == 0 {
		return t.suspect, t.down
	}
	down = math.Log10(float64(t.promise) / float64(interval))
	return down / 2, down
}
