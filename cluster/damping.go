package cluster

import (
	"cmp"
	"math"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
)

// penalty is what wrong verdicts about a member cost those who would give the next one.
type penalty struct {
	wronged                  float64 // wrong verdicts, at wrongedAt
	wrongedAt                time.Time
	refutedEpoch, refutedSeq uint64 // the evidence that refuted the last of them
	accusedSeq               uint64 // a verdict was wrong if the member sends a later heartbeat than this; 0: there is none
}

// accused notes a verdict about r, of whom known is the latest that this node knew before it. It was wrong if r goes on to send
// heartbeats of later than now: that it sent more than the verdict rests on says little, as the dead do so too. All who listen to
// r note it, whether the verdict or its refutation came first, so that all allow r the same; but once, not again when it is repeated,
// nor when several come to theirs at the same time on evidence that differs by a heartbeat. A verdict on evidence that is long outdated
// was about a silence that is over: r was cut off then, as survived has it.
func (c *core) accused(now time.Time, r *record, verdict, known claim.Claim) {
	old := cmp.Or(cmp.Compare(verdict.Epoch, r.refutedEpoch), cmp.Compare(verdict.Seq, r.refutedSeq)) < 0
	old = old || known.Seq > verdict.Seq && known.Seq-verdict.Seq > c.flapBeats(r)
	same := r.wronged > 0 && now.Sub(r.wrongedAt) < c.cfg.StallAllowance
	if !old && !same && r.accusedSeq == 0 {
		r.touch().accusedSeq = max(1, known.Seq+uint64(max(0, now.Sub(r.seen))/r.path.Every(c.cfg.Beat)))
	}
}

// survived counts the verdict about r as wrong if r has sent later heartbeats since. Who sent many meanwhile did not flap: it was cut
// off, and the verdict right.
func (c *core) survived(now time.Time, r *record) {
	if r.accusedSeq == 0 || r.State != claim.Up || r.Seq <= r.accusedSeq {
		return
	}
	if r.Seq-r.accusedSeq <= c.flapBeats(r) {
		r.wronged, r.wrongedAt = min(r.wrongedBy(now), mostWronged)+1, now
		r.refutedEpoch, r.refutedSeq = r.Epoch, r.Seq
	}
	r.accusedSeq = 0
}

// flapBeats is how many heartbeats r sends in flapTime.
func (c *core) flapBeats(r *record) uint64 { return uint64(flapTime / r.path.Every(c.cfg.Beat)) }

// wrongedBy is the number of wrong verdicts about the member, each of which counts half after wrongHalfLife.
func (p *penalty) wrongedBy(now time.Time) float64 {
	return p.wronged * math.Exp2(-float64(max(0, now.Sub(p.wrongedAt)))/float64(wrongHalfLife))
}

const (
	flapTime      = 10 * time.Second
	wrongHalfLife = 10 * time.Minute
	// mostWronged bounds the allowance to sixteen times the configured one: 6.4 s by default. One more is remembered, so that it stays
	// there for six minutes after the last one, however many there were.
	mostWronged = 2
)
