package link

import (
	"slices"
	"time"
)

// change shows a session in another state. It needs one.mu.
func (s *Server) change(one *session, to State, cause Cause, resumed bool, now time.Time) {
	from := one.state
	if from == to && one.cause == cause && !resumed {
		return
	}
	network := one.lately.network
	news, hush := s.outages.move(one.network, network, standingOf(from, one.cause), standingOf(to, cause), now)
	if from != to {
		one.since = now
	}
	one.state, one.cause, one.network = to, cause, network
	for _, outage := range news {
		s.hub.Publish(about{network: outage.Network}, Event{Outage: &outage, At: now})
	}
	if !hush || to == Up || to == Gone {
		s.publish(one, resumed, now)
	}
}

// publish tells how a session is now, unless that was told last. It needs one.mu.
func (s *Server) publish(one *session, resumed bool, now time.Time) {
	from := one.shown
	if from.state == one.state && from.cause == one.cause && !resumed {
		return
	}
	one.shown = shown{one.state, one.cause}
	s.hub.Publish(about{session: one.id}, Event{Session: s.snapshot(one, now), From: from.state, Resumed: resumed, Goodbye: one.bye, At: now})
}

// catchUp tells, after each outage, what changed meanwhile of the network's sessions and still holds, until the server ends. It has
// a goroutine of its own, as it looks at all sessions.
func (s *Server) catchUp() {
	for {
		select {
		case <-s.outages.wake:
		case <-s.ctx.Done():
			return
		}
		for _, n := range s.outages.takeOver() {
			for _, one := range s.list() {
				one.mu.Lock()
				if (n == s.outages.all || one.network == n) && one.shown != (shown{one.state, one.cause}) && !s.outages.hushed(one.network) {
					s.publish(one, one.state == Up && one.shown.state == Away, time.Now())
				}
				one.mu.Unlock()
			}
		}
	}
}

// snapshot is what the outside sees of a session. It needs one.mu.
func (s *Server) snapshot(one *session, now time.Time) Session {
	if l := one.link; l != nil {
		one.lately.heard = l.lastHeard()
		one.lately.rtt, one.lately.drift = l.way()
		one.lately.every = time.Duration(l.every.Load())
	}
	v := Session{
		ID: one.id, State: one.state, Cause: one.cause, Since: one.since, State64: slices.Clone(one.own),
		RTT: one.lately.rtt, Drift: one.lately.drift, Every: one.lately.every, LastHeard: one.lately.heard,
		Remote: one.lately.remote, Transport: one.lately.transport,
	}
	if one.link != nil {
		v.Phi = s.det.Phi(one.link.key)
	}
	return v
}

// leave takes a connection from its session, which is then Away, or Gone after a goodbye.
func (s *Server) leave(l *served, cause Cause, bye bool, now time.Time) {
	one := l.session.Load()
	if one == nil {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.link != l {
		return
	}
	s.snapshot(one, now) // the last look at the connection
	one.link = nil
	if one.bye = bye; bye || s.cfg.Grace == 0 {
		s.gone(one, cause, now)
		return
	}
	s.change(one, Away, cause, false, now)
	s.expiry.push(one, now, s.cfg.Grace)
}

// gone ends a session. It needs one.mu.
func (s *Server) gone(one *session, cause Cause, now time.Time) {
	s.change(one, Gone, cause, false, now)
	one.out.clear()
	s.expiry.push(one, now, s.cfg.Gone)
}
