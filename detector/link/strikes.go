package link

import "time"

// strikes bound how often the other end may ask. It is told the rate first, and has time to follow.
type strikes struct {
	credit float64
	at     time.Time
	toldAt time.Time
}

const (
	// pingBurst is how many pings may come at once beyond one for each half of an interval.
	pingBurst = 8
	// toldFor is how long who was told may go on: what is on its way came before.
	toldFor = 10 * time.Second
)

type strike uint8

const (
	fine strike = iota
	tellRate
	tooFast
)

func (s *strikes) ping(now time.Time, every time.Duration) strike {
	if s.at.IsZero() {
		s.credit = pingBurst
	} else {
		s.credit = min(pingBurst, s.credit+2*float64(now.Sub(s.at))/float64(every))
	}
	s.at = now
	if s.credit >= 1 {
		s.credit--
		return fine
	}
	if s.toldAt.IsZero() || now.Sub(s.toldAt) > 10*toldFor {
		s.toldAt = now
		return tellRate
	}
	if now.Sub(s.toldAt) < toldFor {
		return fine
	}
	return tooFast
}
