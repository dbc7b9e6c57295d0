package link

import "time"

// Config.Within says how soon a death is to be found. How long that takes hangs on the interval, and on what the link is like: one
// whose beats are late or irregular needs a longer silence to be sure. So the interval of each session follows from what its link
// is like, and each change is announced by the beat before it.

const (
	// adaptEvery is after how many beats the interval is looked at.
	adaptEvery = 16
	// aim is which part of Within the longest time to find a death is to be, so that a link may become a little worse.
	aim = 0.95
	// longer and shorter are how much a session may take longer and shorter than aimed at before its interval changes. What is
	// known of late beats is forgotten slowly, so that it may take about as long at one interval as at another: then the longer
	// interval is to be found.
	longer, shorter = 0.05, 0.01
	// step is how much it changes at a time: the silence since the latest beat is to stay an ordinary one.
	step = 0.2
	// mostFaster is how many times more often than on a clean link it beats at most: where that is not enough, nothing is.
	mostFaster = 8
)

// adapt changes how often l is pinged so that its death would be found within Config.Within, and returns that.
func (s *Server) adapt(l *served, every time.Duration, now time.Time) time.Duration {
	if s.cfg.Within == 0 || l.wish.Load() {
		return every
	}
	timeout, ok := s.det.Timeout(l.key)
	if !ok {
		return every
	}
	ratio := aim * float64(s.cfg.Within) / float64(timeout)
	if l.overloaded(every) {
		ratio = 1 + step
	}
	if ratio > 1-longer && ratio < 1+shorter {
		return every
	}
	to := time.Duration(float64(every) * min(max(ratio, 1-step), 1+step))
	to = min(max(to, s.cfg.Interval/mostFaster, minInterval), s.cfg.Interval)
	if to == every {
		return every
	}
	l.every.Store(int64(to))
	s.setInterval(l, to)
	if to < every { // the next one still comes when it is expected
		s.rounds.add(l, now, jittered(to))
	}
	return to
}

// overloaded tells whether the link did not carry the pings since the last look: one of them was not written in time, or answers take
// longer than two intervals. More pings would make that worse, and their answers later still.
func (l *served) overloaded(every time.Duration) bool {
	rtt, _ := l.way()
	blocked := l.blocked
	l.blocked = false
	return blocked || rtt > 2*every
}
