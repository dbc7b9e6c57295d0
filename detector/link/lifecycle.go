package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pulsering/pulsering/detector"
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
	one.link, one.lately = l, lately{remote: l.t.Remote(), transport: l.t.Kind()}
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
// a session that is gone is free.
func (s *Server) claim(name string, c control) (one *session, resumed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, listed := s.sessions[name]
	if listed {
		one.mu.Lock()
		if one.state != Gone {
			return one, true, nil
		}
		one.mu.Unlock()
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

// change shows a session in another state. It needs one.mu.
func (s *Server) change(one *session, to State, cause Cause, resumed bool, now time.Time) {
	from := one.state
	if from == to && one.cause == cause && !resumed {
		return
	}
	network := one.network
	if one.link != nil {
		network = s.outages.of(one.lately.remote)
	}
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
	s.hub.Publish(about{session: one.id}, Event{Session: s.snapshot(one, now), From: from.state, Resumed: resumed, At: now})
}

// catchUp tells what changed of the sessions of a network during its outage, and holds after it.
func (s *Server) catchUp(n *network, now time.Time) {
	for _, one := range s.list() {
		one.mu.Lock()
		if (n == s.outages.all || one.network == n) && one.state != 0 && !s.outages.hushed(one.network) {
			s.publish(one, one.state == Up && one.shown.state == Away, now)
		}
		one.mu.Unlock()
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
	if bye || s.cfg.Grace == 0 {
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

// ended forgets a connection, and returns why it ended.
func (s *Server) ended(l *served, err error) error {
	defer s.wg.Done()
	now := time.Now()
	s.rounds.remove(l)
	s.mu.Lock()
	delete(s.links, l.key)
	s.mu.Unlock()
	s.det.Forget(l.key)
	s.count.Connections.Add(-1)

	cause, bye, why := l.why(err)
	s.leave(l, cause, bye, now)
	return why
}

// why tells how a connection ended: the cause, whether it was a goodbye, and what Serve returns.
func (l *served) why(err error) (cause Cause, bye bool, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause != 0 {
		return l.cause, false, l.reason
	}
	var closed *CloseError
	if errors.As(err, &closed) && closed.Code == CodeNormal {
		return Clean, true, nil
	}
	cause, why = endCause(l.conn, err)
	return cause, false, why
}

// endCause is why a connection ended, by the errors of both its directions: one of them may say nothing but EOF when the path is gone.
func endCause(c *conn, err error) (Cause, error) {
	c.mu.Lock()
	failure := c.failure
	c.mu.Unlock()
	var goodbye *CloseError
	if code, _ := refusal(err); code != 0 {
		return Local, err
	}
	if errors.As(err, &goodbye) {
		return Clean, err
	}
	if w, ok := c.t.(interface{ Ended(read, write error) Cause }); ok {
		if cause := w.Ended(err, failure); cause != 0 {
			return cause, errors.Join(err, failure)
		}
	}
	closed := func(err error) bool {
		if err == nil {
			return true
		}
		for _, one := range []error{io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, syscall.ECONNRESET, syscall.EPIPE} {
			if errors.Is(err, one) {
				return true
			}
		}
		return false
	}
	if closed(err) && closed(failure) {
		return Clean, err
	}
	return Silent, errors.Join(err, failure)
}

// Send sends a message to a session, whose it is from then on. It waits for nothing: what cannot be sent now is sent when the other
// end reads, or resumes. ErrBehind says that more than Config.MaxWaiting is not acknowledged, ErrUnknownSession that there is no such
// session, or that it is Gone.
func (s *Server) Send(id string, data []byte) error {
	if len(data) > s.cfg.MaxMessage {
		return fmt.Errorf("link: Send: a message of %d bytes, want at most Config.MaxMessage, %d", len(data), s.cfg.MaxMessage)
	}
	one := s.find(id)
	if one == nil {
		return fmt.Errorf("%w: %q", ErrUnknownSession, id)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.state == Gone {
		return fmt.Errorf("%w: %q is gone", ErrUnknownSession, id)
	}
	if err := one.out.add(data, s.cfg.MaxWaiting); err != nil {
		return fmt.Errorf("%w: session %q", err, id)
	}
	if one.link != nil {
		one.link.more()
	}
	return nil
}

// End ends a session: the other end is told goodbye.
func (s *Server) End(id string) error {
	one := s.find(id)
	if one == nil {
		return fmt.Errorf("%w: %q", ErrUnknownSession, id)
	}
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.state == Gone {
		return fmt.Errorf("%w: %q is gone", ErrUnknownSession, id)
	}
	if l := one.link; l != nil {
		s.snapshot(one, time.Now())
		one.link = nil
		l.stop(Local, CodeNormal, "the server ends this session")
	}
	s.gone(one, Local, time.Now())
	return nil
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

// Close tells all clients to come back later, at moments spread over Config.Grace, or over 1 s or 30 s where that is less or more,
// ends their connections, and returns when all calls of Serve have returned. The sessions are forgotten. A second Close is harmless.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		<-s.done
		return nil
	}
	s.closed = true
	links := make([]*served, 0, len(s.links))
	for _, l := range s.links {
		links = append(links, l)
	}
	s.mu.Unlock()
	s.sendAway(links)
	s.cancel()
	s.det.Close()
	s.wg.Wait()
	s.hub.Close()
	close(s.done)
	return nil
}

// partingAtOnce is how many connections are told to come back later at a time: each takes a goroutine, and a million at once take
// most of the time to look after each other.
const partingAtOnce = 1024

// sendAway tells the clients to come back later, and ends their connections. It returns when all were told, or could not be.
func (s *Server) sendAway(links []*served) {
	waiting := make(chan *served)
	var wg sync.WaitGroup
	for range min(partingAtOnce, len(links)) {
		wg.Go(func() {
			for l := range waiting {
				l.write(control{Type: typeRetry, After: millis(jitter(spread(s.cfg.Grace)))}.frame())
				s.drop(l, Local, CodeGoingAway, "the server goes away")
				l.told()
			}
		})
	}
	for _, l := range links {
		waiting <- l
	}
	close(waiting)
	wg.Wait()
}
