package link

import (
	"fmt"
	"time"
)

// hello gives a connection its session: a new one, or the one that it resumes.
func (s *Server) hello(l *served, c control, now time.Time) error {
	name := c.Session
	if name == "" {
		name = newName()
	}
	if l.closed() { // this end has given it up, and what comes is what was on its way
		return &protocolError{CodeGoingAway, "the connection is being closed"}
	}
	one, resumed, err := s.claim(name, c)
	if err != nil {
		return err
	}
	defer one.mu.Unlock()
	last := uint64(0) // what this end sent to a session of that name before is not in this one
	if resumed {
		last = c.Last
		if err := one.admits(c); err != nil {
			return err
		}
	}
	before := one.link
	one.boot, one.nth = c.Boot, c.Nth
	one.link, one.lately = l, lately{remote: l.t.Remote(), transport: l.t.Kind(), network: s.outages.of(l.t.Remote())}
	l.session.Store(one)
	if before != nil {
		before.stop(Local, CodeReplaced, "its owner has connected again")
	}
	s.schedule(l, c, now)
	if c.Type == typeHello {
		_, acked := one.out.last()
		l.attach(control{
			Type: typeWelcome, Version: version, Session: name, Secret: secretText(one.secret), Resumed: resumed,
			Last: one.in.Load(), Every: millis(time.Duration(l.every.Load())), Grace: millis(s.cfg.Grace),
		}.frame(), &one.out, max(last, acked), c.Text || textOnly(l.t))
	}
	s.change(one, Up, 0, resumed, now)
	return nil
}

// claim returns the session of a name, locked, and whether it was there: who comes with its secret may resume it. The name of
// a session that is gone is free; but who comes with the secret of one that this end ended is told so, as the goodbye was lost.
func (s *Server) claim(name string, c control) (one *session, resumed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, listed := s.sessions[name]
	if listed {
		one.mu.Lock()
		if one.state != Gone {
			return one, true, nil
		}
		dismissed := one.dismissed && one.knows(c.Secret)
		one.mu.Unlock()
		if dismissed {
			return nil, false, &protocolError{CodeNormal, dismissal}
		}
	}
	if !listed && len(s.sessions) >= s.cfg.MaxSessions {
		return nil, false, &protocolError{CodeTryAgain, fmt.Sprintf("%d sessions, and Config.MaxSessions is as many", len(s.sessions))}
	}
	one = &session{id: name, secret: secretOf(c.Secret)}
	one.mu.Lock()
	s.sessions[name] = one
	return one, false, nil
}

// admits tells why a hello may not resume the session. It needs one.mu.
func (one *session) admits(c control) error {
	if !one.knows(c.Secret) {
		return &protocolError{CodeWrongSecret, fmt.Sprintf("want the secret of session %q, which is somebody else's", one.id)}
	}
	if c.Boot != 0 && c.Boot == one.boot && c.Nth < one.nth { // it waited while this end stood still, and was given up
		return &protocolError{CodeReplaced, "its owner has connected again"}
	}
	if !one.out.ack(c.Last) {
		last, _ := one.out.last()
		return &protocolError{CodeProtocol, fmt.Sprintf("last %d, and the latest message is %d", c.Last, last)}
	}
	return nil
}

// textOnly tells whether a transport carries no Data, as that of a plain client.
func textOnly(t Transport) bool {
	w, ok := t.(interface{ TextOnly() bool })
	return ok && w.TextOnly()
}

// schedule has a connection be pinged, or expected, as its hello says.
func (s *Server) schedule(l *served, c control, now time.Time) {
	if !c.OneWay {
		if c.Every > 0 {
			s.setEvery(l, fromMillis(c.Every), now)
		}
		return
	}
	l.oneWay.Store(true)
	s.rounds.remove(l)
	if c.Every > 0 {
		every := s.cfg.possible(fromMillis(c.Every))
		l.every.Store(int64(every))
		s.setInterval(l, every)
	}
}
