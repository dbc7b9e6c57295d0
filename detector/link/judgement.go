package link

import (
	"fmt"
	"time"

	"github.com/pulsering/pulsering/detector"
)

// judged acts on what the detector says of a connection.
func (s *Server) judged(e detector.Event[uint64]) {
	s.mu.Lock()
	l := s.links[e.ID]
	s.mu.Unlock()
	if l == nil {
		return
	}
	now := time.Now()
	silence := now.Sub(l.lastHeard())
	one := l.session.Load()
	switch e.To {
	case detector.Up, detector.Unknown:
		s.turn(one, l, Suspect, Up, 0, now)
	case detector.Suspect, detector.Down:
		s.tell()
		if state, watched := s.det.State(l.key); !watched || state != e.To { // it has changed meanwhile, of which news comes
			return
		}
		every := time.Duration(l.every.Load())
		if at := l.excused(now, every, !l.oneWay.Load()); at.After(l.lastHeard()) {
			s.det.Alive(l.key, at)
			if state, _ := s.det.State(l.key); state != e.To {
				return
			}
		}
		if e.To == detector.Suspect {
			s.turn(one, l, Up, Suspect, evidence(l.t, silence, every), now)
			return
		}
		s.drop(l, evidence(l.t, silence, every), CodeSilent, fmt.Sprintf("nothing was heard for %v", silence.Round(time.Millisecond)))
	}
}

// turn changes the state of the session on connection l, if it is as expected.
func (s *Server) turn(one *session, l *served, from, to State, cause Cause, now time.Time) {
	if one == nil {
		return
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.link == l && one.state == from {
		s.change(one, to, cause, false, now)
	}
}

// drop ends a connection from this end. Its session is Away from now on.
func (s *Server) drop(l *served, cause Cause, code uint16, reason string) {
	l.stop(cause, code, reason)
	s.leave(l, cause, false, time.Now())
}

// stop closes a connection, and notes why.
func (l *served) stop(cause Cause, code uint16, reason string) {
	l.mu.Lock()
	if l.cause == 0 {
		l.cause = cause
		l.reason = fmt.Errorf("link: %s", reason)
	}
	l.mu.Unlock()
	l.close(code, reason)
}
