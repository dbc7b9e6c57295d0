package link

import (
	"errors"
	"io"
	"time"
)

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
	if streamEnded(err) && streamEnded(failure) {
		return Clean, err
	}
	return Silent, errors.Join(err, failure)
}

// streamEnded tells whether err says no more than that a stream is over; nil: it says nothing. What the errors of sockets mean is for
// the transport to say (see Transport.Ended).
func streamEnded(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe)
}
