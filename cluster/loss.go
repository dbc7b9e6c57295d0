package cluster

import (
	"math"
	"time"
)

// pathLoss is the share of heartbeats that were lost on one edge lately, for weighing questions that went unanswered on it. It
// keeps two averages, one of about 128 and one of about 16 heartbeats, and believes the worse: a path that turns bad
// is believed at once (the idea of 2W-FD: Tomsic et al., IPDPS 2015). What is not confirmed is forgotten.
type pathLoss struct {
	long, short float64
	at          time.Time // of the latest news
}

const (
	// priorLoss is what is assumed of a path before anything was heard, and the least that is believed of any.
	priorLoss = 0.01
	longLoss  = 1.0 / 128
	shortLoss = 1.0 / 16
	// lossMemory is how long a loss is held for what a path still loses, where nothing more is known of it: then by half, and
	// so on. Heartbeats come more often and unlearn it themselves.
	lossMemory = time.Minute
)

// observe takes a heartbeat that came after lost others.
func (p *pathLoss) observe(now time.Time, lost uint64) {
	p.lose(now, int(min(lost, 64)))
	p.long -= longLoss * p.long
	p.short -= shortLoss * p.short
}

// lose takes packets that did not come.
func (p *pathLoss) lose(now time.Time, n int) {
	left := p.left(now)
	p.long, p.short, p.at = p.long*left, p.short*left, now
	for range n {
		p.long += longLoss * (1 - p.long)
		p.short += shortLoss * (1 - p.short)
	}
}

// rate is the loss of the path, as far as is known.
func (p *pathLoss) rate(now time.Time) float64 {
	return max(priorLoss, p.left(now)*max(p.long, p.short))
}

// unanswered is how likely a question on the path, or its answer, is lost.
func (p *pathLoss) unanswered(now time.Time) float64 {
	heard := 1 - p.rate(now)
	return max(minUnanswered, 1-heard*heard)
}

// left is the share of what is known that is not forgotten. Nothing is for the first minute.
func (p *pathLoss) left(now time.Time) float64 {
	age := now.Sub(p.at) - lossMemory
	if p.at.IsZero() || age <= 0 {
		return 1
	}
	return math.Exp2(-float64(age) / float64(lossMemory))
}
