package cluster

// pathLoss is the share of heartbeats that were lost on one edge lately, for weighing questions that went unanswered on it. It
// keeps two averages, one of about 128 and one of about 16 heartbeats, and believes the worse: a path that turns bad
// is believed at once (the idea of 2W-FD: Tomsic et al., IPDPS 2015).
type pathLoss struct{ long, short float64 }

const (
	// priorLoss is what is assumed of a path before anything was heard, and the least that is believed of any.
	priorLoss = 0.01
	longLoss  = 1.0 / 128
	shortLoss = 1.0 / 16
)

// observe takes a heartbeat that came after lost others.
func (p *pathLoss) observe(lost uint64) {
	p.lose(int(min(lost, 64)))
	p.long -= longLoss * p.long
	p.short -= shortLoss * p.short
}

// lose takes packets that did not come.
func (p *pathLoss) lose(n int) {
	for range n {
		p.long += longLoss * (1 - p.long)
		p.short += shortLoss * (1 - p.short)
	}
}

func (p *pathLoss) rate() float64 { return max(priorLoss, p.long, p.short) }
