package path

import (
	"math"
	"time"
)

// loss is the share of packets that were lost on one path lately, for weighing questions that went
// unanswered on it. It keeps two averages, one of about 128 and one of about 16 heartbeats, and
// believes the worse: a path that turns bad is believed at once (the idea of 2W-FD: Tomsic et
// al., IPDPS 2015). What is not confirmed is forgotten.
type loss struct {
	long, short float64
	at          time.Time // of the latest news
}

const (
	// PriorLoss is what is assumed of a path before anything was heard, and the least that is
	// believed of any.
	PriorLoss = 0.01
	longLoss  = 1.0 / 128
	shortLoss = 1.0 / 16
	// lossMemory is how long a loss is held for what a path still loses, where nothing more
	// is known of it: then by half, and so on. Heartbeats come more often and unlearn it
	// themselves.
	lossMemory = time.Minute
	// mostLost bounds what one heartbeat tells of losses: the averages forget what is longer ago.
	mostLost = 64
	// minUnanswered is how likely a question goes unanswered at least, where the path lost nothing.
	minUnanswered = 0.05
)

// observe takes a heartbeat that came after lost others.
func (l *loss) observe(now time.Time, lost uint64) {
	l.lose(now, int(min(lost, mostLost)))
	l.long -= longLoss * l.long
	l.short -= shortLoss * l.short
}

// lose takes packets that did not come.
func (l *loss) lose(now time.Time, n int) {
	left := l.left(now)
	l.long, l.short, l.at = l.long*left, l.short*left, now
	for range n {
		l.long += longLoss * (1 - l.long)
		l.short += shortLoss * (1 - l.short)
	}
}

// rate is the loss of the path, as far as is known.
func (l *loss) rate(now time.Time) float64 {
	return max(PriorLoss, l.left(now)*max(l.long, l.short))
}

// left is the share of what is known that is not forgotten. Nothing is for the first minute.
func (l *loss) left(now time.Time) float64 {
	age := now.Sub(l.at) - lossMemory
	if l.at.IsZero() || age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(lossMemory))
}
