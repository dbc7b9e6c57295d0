package cluster

import (
	"time"

	"github.com/pulsering/pulsering/cluster/internal/attention"
)

// heldUp notices, before what has come is handled, that this node stood still itself. Answers to its questions, and to those of the
// others, may have come meanwhile and not be read yet.
func (c *core) heldUp(now time.Time) {
	late := c.attention.Late(now)
	if late == 0 {
		return
	}
	if late >= c.askEvery() {
		c.count.pauses.Add(1)
		for _, r := range c.watching {
			r.path.Missed(c.attention.Due(), now)
		}
		c.askAnew(now)
	}
	c.attention.StoodStill(now, late, c.rules())
}

// askAnew begins all inquiries again, as this node missed answers: what it asked and what others said before counts no more.
func (c *core) askAnew(now time.Time) {
	for _, r := range c.inquiries {
		r.inquiry.asked, r.inquiry.times, r.inquiry.askAt = 0, nil, now
		clear(r.inquiry.opinions)
	}
}

// rules are what this node's attention goes by now. Whoever answers slowly is waited for, up to a second.
func (c *core) rules() attention.Rules {
	reply := c.askEvery()
	for _, r := range c.inquiries {
		reply = max(reply, min(c.replyTime(r), time.Second))
	}
	return attention.Rules{Miss: c.askEvery(), Reply: reply, Stall: c.cfg.StallAllowance}
}
