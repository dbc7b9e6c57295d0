package link

import (
	"fmt"
	"strings"
	"time"
)

// A spare connection finds out for how long the network lets a connection sleep. It is no session,
// and nobody is told of it. Its client says how long it wants to sleep:
//
//	client: {"type":"hello","v":1,"sleep_ms":30000}
//	server: {"type":"welcome","v":1,"sleep_ms":30000,"boot":4711}     from here on neither end says anything
//	server: {"type":"wake","after_ms":30000}                          when the time is over
//	client: PING x                                                    where nothing came
//	server: PONG x
//
// The server speaks first, as it does with its pings. A NAT that has forgotten lets the client's
// packets through more often than the server's: many take the former for a new connection of the
// same ports. So a question of the client alone would find longer sleeps than the server's next
// ping survives.
//
// The server answers welcome only if TCP keep-alive is off on its socket: a probe of the kernel is
// a packet that every NAT on the way counts as life, and Go's own default sends one after 15 s.
// boot tells a server from the one that was there before a restart.

// quieter is a Transport that can keep its own kernel from saying anything: see Transport.
type quieter interface{ Quiet() error }

// spareLinger is how long a spare connection lasts after its sleep: its client asks meanwhile.
const spareLinger = time.Minute

// sleeper is what a spare connection has.
type sleeper struct{ wake, end *time.Timer }

func (s *sleeper) stop() {
	s.wake.Stop()
	s.end.Stop()
}

// sleep makes l a spare connection.
func (s *Server) sleep(l *served, c control, now time.Time) error {
	q, ok := l.t.(quieter)
	if !ok {
		return &protocolError{CodeRestless, fmt.Sprintf("a connection over %s cannot sleep undisturbed here", l.t.Kind())}
	}
	if err := q.Quiet(); err != nil {
		return &protocolError{CodeRestless, fmt.Sprintf("a connection cannot sleep undisturbed here: %v", err)}
	}
	if n := s.count.Spares.Add(1); n > int64(s.cfg.MaxSpares) {
		s.count.Spares.Add(-1)
		return &protocolError{CodeTryAgain, fmt.Sprintf("%d spare connections, and Config.MaxSpares is as many", s.cfg.MaxSpares)}
	}
	s.rounds.remove(l)
	s.det.Forget(l.key)
	l.write(control{Type: typeWelcome, Version: version, Sleep: c.Sleep, Boot: s.boot}.frame())
	sleep := fromMillis(c.Sleep)
	l.spare = &sleeper{
		wake: time.AfterFunc(sleep, func() { l.write(control{Type: typeWake, After: millis(time.Since(now))}.frame()) }),
		end:  time.AfterFunc(sleep+spareLinger, func() { l.stop(Local, CodeGoingAway, "a spare connection has an end") }),
	}
	return nil
}

// spareSaid acts on what comes on a spare connection.
func (s *Server) spareSaid(l *served, f Frame, now time.Time) error {
	switch f.Type {
	case Pong: // of a ping before the hello
		return nil
	case Close:
		return &CloseError{f.Code, string(f.Payload)}
	case Text:
		if rest, ok := strings.CutPrefix(string(f.Payload), "PING"); ok && len(f.Payload) <= MaxBeat {
			if err := s.asked(l, now); err != nil {
				return err
			}
			l.write(Frame{Type: Text, Payload: []byte("PONG" + rest)})
			return nil
		}
	}
	return &protocolError{CodeProtocol, "a spare connection asks PING, and nothing else"}
}
