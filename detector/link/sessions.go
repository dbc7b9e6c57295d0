package link

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// Send sends a message to a session, whose it is from then on. It waits for nothing: what cannot be sent now is sent when the other
// end reads, or resumes. ErrBehind says that more than Config.MaxWaiting is not acknowledged, ErrUnknownSession that there is no such
// session, or that it is Gone.
func (s *Server) Send(id string, data []byte) error {
	if len(data) > s.cfg.MaxMessage {
		return fmt.Errorf("link: Send: a message of %d bytes, want at most Config.MaxMessage, %d", len(data), s.cfg.MaxMessage)
	}
	one, err := s.living(id)
	if err != nil {
		return err
	}
	defer one.mu.Unlock()
	if err := one.out.add(data, s.cfg.MaxWaiting); err != nil {
		return fmt.Errorf("%w: session %q", err, id)
	}
	if one.link != nil {
		one.link.more()
	}
	return nil
}

// End ends a session for good: the other end is told goodbye, or when it comes back within Config.Gone. What was sent and is not
// acknowledged may be lost. Who comes with another secret may have the name.
func (s *Server) End(id string) error {
	one, err := s.living(id)
	if err != nil {
		return err
	}
	defer one.mu.Unlock()
	if l := one.link; l != nil {
		s.snapshot(one, time.Now())
		one.link = nil
		l.stop(Local, CodeNormal, dismissal)
	}
	one.bye, one.dismissed = true, true
	s.gone(one, Local, time.Now())
	return nil
}

// dismissal is what the other end of a session is told that End ended.
const dismissal = "the server has ended this session"

// living returns a session that is not Gone, locked.
func (s *Server) living(id string) (*session, error) {
	one := s.find(id)
	if one == nil {
		return nil, fmt.Errorf("%w: %q", ErrUnknownSession, id)
	}
	one.mu.Lock()
	if one.state == Gone {
		one.mu.Unlock()
		return nil, fmt.Errorf("%w: %q is gone", ErrUnknownSession, id)
	}
	return one, nil
}

func (s *Server) find(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}

// Sessions returns all sessions, also those that are Away or Gone, by their names.
func (s *Server) Sessions() []Session {
	all := s.list()
	now := time.Now()
	list := make([]Session, 0, len(all))
	for _, one := range all {
		one.mu.Lock()
		if one.state != 0 {
			list = append(list, s.snapshot(one, now))
		}
		one.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b Session) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// list returns all sessions.
func (s *Server) list() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for _, one := range s.sessions {
		all = append(all, one)
	}
	return all
}

// Session returns one session, and whether it is known.
func (s *Server) Session(id string) (Session, bool) {
	one := s.find(id)
	if one == nil {
		return Session{}, false
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	return s.snapshot(one, time.Now()), one.state != 0
}

// Events returns the changes of state from this call on, of all sessions. Any number of readers may range over theirs. Those of one
// session come in order. While a reader is busy, the changes of a session are folded into its latest (see Event.Folded), so that a
// reader who falls behind has at most two waiting for each. Sessions of one network that fall silent together are one event: see
// [Outage]. Ranging ends with ctx, with break for good, and after Close once
// everything was read.
func (s *Server) Events(ctx context.Context) iter.Seq[Event] {
	return s.hub.Subscribe(ctx).All()
}

// Stats are the counters of the server.
func (s *Server) Stats() *Counters { return &s.count }
