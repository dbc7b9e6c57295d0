package link

import "time"

// unreader is a Transport that tells whether bytes came that Read has not returned: then it is this process that is late.
type unreader interface{ Unread() bool }

// excused returns until when the silence of the other end says nothing about it, as far as this end knows: now, if something got on,
// or came and is not read yet. An end that is pinged can only be late from its first unanswered ping on: where this process is
// overloaded, pings are late. The zero time: the silence is the other end's own.
func (c *conn) excused(now time.Time, every time.Duration, pinged bool) time.Time {
	if c.progress(now, every) {
		return now
	}
	if u, ok := c.t.(unreader); ok && u.Unread() {
		return now
	}
	if !pinged {
		return time.Time{}
	}
	return c.silentFrom(now, every)
}

// silentFrom returns an interval before the first ping since the other end was heard, which is when its silence would have begun if that
// ping had been in time; now: there was none.
func (c *conn) silentFrom(now time.Time, every time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.askedAt <= time.Duration(c.heardAt.Load()) {
		return now
	}
	return c.begun.Add(c.askedAt - every)
}

// asking notes that a ping is to be written. It needs c.mu.
func (c *conn) asking() {
	if c.askedAt <= time.Duration(c.heardAt.Load()) {
		c.askedAt = time.Since(c.begun)
	}
}

// evidence is why nothing was heard on t for so long, as far as the kernel knows.
func evidence(t Transport, silence, every time.Duration) Cause {
	if w, ok := t.(interface {
		Evidence(silence, every time.Duration) Cause
	}); ok {
		if cause := w.Evidence(silence, every); cause != 0 {
			return cause
		}
	}
	return Silent
}
