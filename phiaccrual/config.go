package phiaccrual

import (
	"fmt"
	"strconv"
	"time"
)

// Model says how φ is computed from what was heard.
type Model uint8

const (
	// Calibrated tells loss from lateness: a heartbeat that is missing was
	// lost, with the probability measured on this link, or is late. φ = 4 means
	// one mistake in 10^4 heartbeats on any link; see the package comment. It is
	// the default.
	Calibrated Model = iota
	// Normal is the detector as published by Hayashibara et al. (2004): arrival
	// intervals are normal, with mean and variance of the last Window of them.
	// It knows nothing of loss; its φ is exact.
	Normal
	// Exponential is Cassandra's (CASSANDRA-2597): φ = elapsed / mean / ln 10.
	Exponential
)

// String returns "calibrated", "normal" or "exponential".
func (m Model) String() string {
	switch m {
	case Calibrated:
		return "calibrated"
	case Normal:
		return "normal"
	case Exponential:
		return "exponential"
	}
	return "Model(" + strconv.Itoa(int(m)) + ")"
}

// Limits and defaults of Config.
const (
	defaultInterval = time.Second
	maxDuration     = 24 * time.Hour
	maxWindow       = 1_000_000
)

// Config says what is expected of a peer. The zero Config is a good one; zero
// fields mean their default.
type Config struct {
	// Interval is the time between heartbeats that the sender promises: 1 µs
	// to 24 h, default 1 s. SetInterval changes it later.
	Interval time.Duration

	// Model is the arithmetic, default Calibrated.
	Model Model

	// MinStdDev keeps a link that was quiet so far from being judged by the
	// microsecond: lateness is never taken to be less than that of a normal
	// distribution with this standard deviation (and for Exponential the mean
	// interval is at least this). 1 ns to 24 h. Default for Normal and
	// Exponential Interval/10, which is Akka's 100 ms at its interval of 1 s; for
	// Calibrated none, since it goes by what it has seen.
	MinStdDev time.Duration

	// Pause is extra silence that is acceptable at any time, as Akka's
	// acceptable-heartbeat-pause: φ(t) becomes φ(t − Pause). A time-out grows by
	// exactly Pause. 0 to 24 h, default none.
	Pause time.Duration

	// Window is the effective number of heartbeats remembered: older ones fade,
	// none is stored. 1 to 1,000,000, default 1,000 (as Akka and Cassandra). For
	// Calibrated 1 to 49,000, default 40,000: φ = 4 needs to have seen some 10^4.
	Window int
}

// withDefaults returns cfg with its zero fields filled in, or an error that
// names the field, its value and the limit.
func (cfg Config) withDefaults() (Config, error) {
	if cfg.Model > Exponential {
		return cfg, fmt.Errorf("phiaccrual: Model %d is not one of Calibrated (0), Normal (1), Exponential (2)", cfg.Model)
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if err := checkInterval(cfg.Interval); err != nil {
		return cfg, err
	}
	if cfg.MinStdDev < 0 || cfg.MinStdDev > maxDuration {
		return cfg, fmt.Errorf("phiaccrual: MinStdDev %v is not within 1ns and %v (0: the model's default)", cfg.MinStdDev, maxDuration)
	}
	if cfg.Pause < 0 || cfg.Pause > maxDuration {
		return cfg, fmt.Errorf("phiaccrual: Pause %v is not within 0 and %v", cfg.Pause, maxDuration)
	}
	window, most := 1000, maxWindow
	if cfg.Model == Calibrated {
		window, most = 40_000, maxCalibratedWindow
	}
	if cfg.Window < 0 || cfg.Window > most {
		return cfg, fmt.Errorf("phiaccrual: Window %d is not within 1 and %d heartbeats (0: %d)", cfg.Window, most, window)
	}
	if cfg.Window == 0 {
		cfg.Window = window
	}
	return cfg, nil
}

func checkInterval(interval time.Duration) error {
	if interval < time.Microsecond || interval > maxDuration {
		return fmt.Errorf("phiaccrual: Interval %v is not within %v and %v", interval, time.Microsecond, maxDuration)
	}
	return nil
}
