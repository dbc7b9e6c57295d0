package nat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// Errors in that of a Try that is Unclear, and of a Search.
var (
	// ErrNoServer says that no connection to the server could be made, or that it said nothing.
	ErrNoServer = errors.New("nat: the server does not answer")
	// ErrRestless says that a connection cannot sleep undisturbed, at this end or the other:
	// nothing can be measured there.
	ErrRestless = errors.New("nat: a connection cannot sleep undisturbed")

	// ErrFull says that the server has no room for another connection that sleeps: it may have later.
	ErrFull = errors.New("nat: the server has no room")

	errClock    = errors.New("nat: the clock was set during the sleep, or this machine was suspended")
	errDisturbs = errors.New("nat: something was said during the sleep")
	errOther    = errors.New("nat: another server process answers than the one that slept: it was started anew, or a balancer chose another")
	errLate     = errors.New("nat: the server was late to speak")
	errGoes     = errors.New("nat: the server ended the connection")
)

// The limits of a sleep. The longest is the protocol's.
const (
	MinSleep = 10 * time.Millisecond
	MaxSleep = time.Hour
)

// DefaultPatience is how late the server's word may come, and the answer to a question. Five
// retransmissions fit, which come after 0.2 s, then twice as long each time (RFC 6298, with Linux's
// lower bound).
const DefaultPatience = 7 * time.Second

const minPatience, maxPatience = 100 * time.Millisecond, time.Minute

const (
	// welcomeTime is how long a connection may take to be made and welcome.
	welcomeTime = 10 * time.Second
	// meets is how many fresh connections are made to meet a server again, where a balancer chooses
	// among several.
	meets = 4
)

// message is what a spare connection says: see link's spare.go.
type message struct {
	Type    string `json:"type"`
	Version int    `json:"v,omitempty"`
	Sleep   int64  `json:"sleep_ms,omitempty"`
	After   int64  `json:"after_ms,omitempty"`
	Boot    uint64 `json:"boot,omitempty"`
}

// spare is a connection that sleeps.
type spare struct {
	t      link.Transport
	boot   uint64
	frames chan frame // ends with an error
	began  time.Time
	heard  time.Time // when anything came last
}

type frame struct {
	message
	pong bool
	what string // for people
	err  error
	at   time.Time
}

// open makes a spare connection that sleeps from now on. Who has it closes it.
func open(ctx context.Context, dial link.Dialer, sleep time.Duration) (*spare, error) {
	ctx, cancel := context.WithTimeout(ctx, welcomeTime)
	defer cancel()
	t, err := dial(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	q, ok := t.(interface{ Quiet() error })
	if !ok {
		t.Close()
		return nil, fmt.Errorf("%w: a %s transport has no method Quiet", ErrRestless, t.Kind())
	}
	if err := q.Quiet(); err != nil {
		t.Close()
		return nil, fmt.Errorf("%w: %w", ErrRestless, err)
	}
	s := &spare{t: t, frames: make(chan frame, 1)}
	go s.read()
	hello, _ := json.Marshal(message{Type: "hello", Version: 1, Sleep: sleep.Milliseconds()})
	if err := s.write(ctx, string(hello)); err != nil {
		s.close()
		return nil, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	if err := s.welcome(ctx, sleep); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// write writes text, unless ctx ends before.
func (s *spare) write(ctx context.Context, text string) error {
	stop := context.AfterFunc(ctx, func() { s.t.Close() })
	defer stop()
	return s.t.Write(link.Frame{Type: link.Text, Payload: []byte(text)})
}

// welcome waits for the server to say that the connection sleeps.
func (s *spare) welcome(ctx context.Context, sleep time.Duration) error {
	for {
		f, err := s.next(ctx, nil)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNoServer, err)
		}
		var closed *link.CloseError
		switch {
		case errors.As(f.err, &closed) && closed.Code == link.CodeRestless:
			return fmt.Errorf("%w: %s", ErrRestless, closed.Reason)
		case errors.As(f.err, &closed) && closed.Code == link.CodeTryAgain:
			return fmt.Errorf("%w: %s", ErrFull, closed.Reason)
		case f.err != nil:
			return fmt.Errorf("%w: %w", ErrNoServer, f.err)
		case f.Type != "welcome": // a ping that was due before the hello came
		case f.Sleep != sleep.Milliseconds():
			return fmt.Errorf("%w: the server is of a version that knows no spare connections", ErrRestless)
		default:
			s.boot, s.began, s.heard = f.Boot, f.at, f.at
			return nil
		}
	}
}

// read passes on what comes until the connection ends. Whoever has the spare takes it, or closes
// the connection and then takes it.
func (s *spare) read() {
	defer close(s.frames)
	for {
		f, err := s.t.Read()
		out := frame{at: time.Now(), err: err}
		if err == nil {
			switch f.Type {
			case link.Close:
				out.err = &link.CloseError{Code: f.Code, Reason: string(f.Payload)}
			case link.Text:
				out.what = "text"
				out.pong = strings.HasPrefix(string(f.Payload), "PONG")
				if !out.pong && json.Unmarshal(f.Payload, &out.message) == nil {
					out.what = out.Type
				}
			case link.Ping:
				out.what = "a ping"
			default:
				out.what = "something"
			}
		}
		s.frames <- out
		if out.err != nil {
			return
		}
	}
}

var errNothing = errors.New("nothing came in time")

// next waits for a frame, until late.
func (s *spare) next(ctx context.Context, late <-chan time.Time) (frame, error) {
	select {
	case f := <-s.frames:
		return f, nil
	case <-late:
		return frame{}, errNothing
	case <-ctx.Done():
		return frame{}, context.Cause(ctx)
	}
}

// close ends the connection, and returns when nothing reads it any more.
func (s *spare) close() {
	s.t.Close()
	for range s.frames {
	}
}

// probe makes a spare connection, lets it sleep, and tells what came of it. It returns when ctx
// ends, with an Unclear Try. It calls asleep when the connection begins to sleep.
func probe(ctx context.Context, dial link.Dialer, sleep, patience time.Duration, asleep func()) Try {
	t := Try{Asked: sleep}
	s, err := open(ctx, dial, sleep)
	if err != nil {
		t.Err = err
		return t
	}
	asleep()
	t.Outcome, t.Err = s.wait(ctx, sleep, patience)
	// Slept counts from the latest thing that came before, by the monotonic clock; wall is the same
	// by the other one.
	now := time.Now()
	awake, wall := now.Sub(s.began), now.Round(0).Sub(s.began.Round(0))
	t.Slept = near(now.Sub(s.heard), sleep)
	s.close()
	var fresh error
	if t.Outcome.Forgotten() {
		fresh = meet(ctx, dial, s.boot, patience)
	}
	return t.judged(awake, wall, fresh)
}

// wait sleeps until something comes, and asks where nothing does.
func (s *spare) wait(ctx context.Context, sleep, patience time.Duration) (Outcome, error) {
	late := time.NewTimer(sleep + patience)
	defer late.Stop()
	asked := false
	for {
		f, err := s.next(ctx, late.C)
		switch {
		case errors.Is(err, errNothing) && asked:
			return Silence, nil
		case errors.Is(err, errNothing):
			asked = true
			if err := s.write(ctx, "PING still there?"); err != nil && ctx.Err() == nil {
				return Reset, nil
			}
			late.Reset(patience)
		case err != nil:
			return Unclear, err
		case f.err != nil:
			return ended(f.err)
		case f.Type == "wake" && time.Duration(f.After)*time.Millisecond > sleep+patience/2:
			return Unclear, errLate
		case f.Type == "wake" && !asked && f.at.Sub(s.heard) >= sleep-slack:
			return Held, nil
		case f.Type == "wake" && !asked:
			return Unclear, fmt.Errorf("%w, %v before its end", errDisturbs, f.at.Sub(s.heard).Round(time.Millisecond))
		case f.pong:
			return Deaf, nil
		case asked: // it waits behind the question
		default:
			s.heard = f.at
		}
	}
}

// slack is how much shorter than asked for a sleep may be, as the welcome came late, or a ping that
// was due when the hello came. What was shorter counts for what it was.
const slack = time.Second

// near takes a sleep for the one that was asked for if a hundredth is missing: both ends have a
// clock and a path of their own, and Half has room for that.
func near(slept, sleep time.Duration) time.Duration {
	if slept >= sleep-sleep/100-slack/100 {
		return sleep
	}
	return slept
}

// ended is what the end of a connection says. A server that goes says so: no path can say that in
// its place.
func ended(err error) (Outcome, error) {
	var closed *link.CloseError
	if errors.As(err, &closed) {
		return Unclear, fmt.Errorf("%w: %w", errGoes, err)
	}
	return Reset, nil
}

// meet makes fresh connections until one is answered by the server process that slept. Only then
// the sleep is to blame.
func meet(ctx context.Context, dial link.Dialer, boot uint64, patience time.Duration) error {
	for range meets {
		s, err := open(ctx, dial, MinSleep)
		if err != nil {
			return err
		}
		outcome, err := s.wait(ctx, MinSleep, patience)
		s.close()
		switch {
		case err != nil:
			return err
		case outcome != Held:
			return fmt.Errorf("%w: a fresh connection is not answered either", ErrNoServer)
		case s.boot == boot:
			return nil
		}
	}
	return errOther
}
