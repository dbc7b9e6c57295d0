package link

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/internal/mailbox"
)

// ErrClosed is what a closed Server or Client answers.
var ErrClosed = errors.New("link: closed")

// ErrUnknownSession is what Send and End return for a session that is not there, or Gone.
var ErrUnknownSession = errors.New("link: no such session")

// A Server judges the sessions on the connections that are handed to Serve. Make it with NewServer and end it with Close. All
// methods may be called from any goroutine.
type Server struct {
	cfg  Config
	boot uint64 // tells this process from one before
	det  *detector.Detector[uint64]
	hub  *mailbox.Hub[about, Event]

	count Counters

	mu       sync.Mutex
	sessions map[string]*session
	links    map[uint64]*served
	keys     uint64 // the latest key of links
	closed   bool

	rounds  rounds
	expiry  expiry
	samples samples
	outages outages
	done    chan struct{}
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// Counters count what happened since a Server began. All but Connections and Spares only grow.
type Counters struct {
	Connections atomic.Int64  // that are open
	Spares      atomic.Int64  // of these, those that are spare: see package nat
	Beats       atomic.Uint64 // answered pings and one-way beats, which are samples of φ
	Pings       atomic.Uint64 // sent
	Skipped     atomic.Uint64 // pings that were not sent, as data said the same
	Blocked     atomic.Uint64 // pings that were not sent, as the one before was not written
	Unasked     atomic.Uint64 // answers to pings that were not sent, or answered already, and acknowledgements of no message
	TooFast     atomic.Uint64 // pings beyond the rate that was told
	Refused     atomic.Uint64 // connections that were refused or ended for what they sent
	Duplicates  atomic.Uint64 // messages that came again
}

// served is a connection that a Server reads. It is in the detector under its key while it lasts.
type served struct {
	*conn
	key    uint64
	oneWay atomic.Bool

	release func() bool  // gives up the hold on Serve's context
	every   atomic.Int64 // between its beats
	wish    atomic.Bool  // that is what the other end wanted
	strikes strikes
	spare   *sleeper // nil: it is no spare connection. The goroutine that reads owns it

	// What the loop alone uses.
	skipped uint8 // pings in a row
	turns   uint8 // of adaptEvery
	blocked bool  // a ping, since overloaded looked

	session atomic.Pointer[session] // set once

	// What is the rounds' own.
	gen uint64 // of its place there
	due time.Time
	off bool // it was removed

	mu     sync.Mutex
	cause  Cause // why this end closed it
	reason error
}

// NewServer returns a running server without sessions. The error names a field of cfg that is out of range, its value and the limit.
func NewServer(cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	det, err := detector.New[uint64](detector.Config{Interval: cfg.Interval, FalseAlarmEvery: cfg.FalseAlarmEvery})
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		cfg: cfg, boot: 1 + rand.Uint64N(1<<53-1), det: det, hub: mailbox.NewHub[about](foldEvents),
		sessions: map[string]*session{}, links: map[uint64]*served{},
		done: make(chan struct{}), ctx: ctx, cancel: cancel,
	}
	s.rounds.init(cfg.Interval, time.Now())
	s.outages.init(cfg.Interval)
	s.expiry.wake = make(chan struct{}, 1)
	s.samples.wake = make(chan struct{}, 1)
	events := det.Events(ctx)
	s.wg.Go(func() {
		for e := range events {
			s.judged(e)
		}
	})
	s.wg.Go(s.loop)
	s.wg.Go(s.report)
	s.wg.Go(s.catchUp)
	return s, nil
}

// Serve reads a connection until it ends, and closes it. It returns why: nil for a goodbye or Close, the other end's CloseError, or
// what failed. The end of ctx ends it too. The session may go on with another connection.
func (s *Server) Serve(ctx context.Context, t Transport) error {
	l, err := s.begin(ctx, t)
	if err != nil {
		return err
	}
	err = s.read(l)
	onOtherStack(func() { err = s.finish(l, err) })
	return err
}

func (s *Server) begin(ctx context.Context, t Transport) (l *served, err error) {
	onOtherStack(func() {
		now := time.Now()
		l = &served{conn: newConn(t, now)}
		l.every.Store(int64(s.cfg.Interval))
		if err = s.admit(l, now); err != nil {
			l.refuse(CodeTryAgain, strings.TrimPrefix(err.Error(), "link: "))
			l.end()
			return
		}
		l.release = context.AfterFunc(ctx, func() {
			s.drop(l, Local, CodeGoingAway, "the server ends this connection")
		})
	})
	return l, err
}

func (s *Server) finish(l *served, err error) error {
	l.release()
	if l.spare != nil {
		l.spare.stop()
		s.count.Spares.Add(-1)
	}
	if code, reason := refusal(err); code != 0 {
		s.count.Refused.Add(1)
		l.refuse(code, reason)
	}
	if goodbye := (*CloseError)(nil); errors.As(err, &goodbye) {
		l.part()
	}
	l.end()
	return s.ended(l, err)
}

func (s *Server) admit(l *served, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case len(s.links) >= s.cfg.MaxSessions: // not so many sessions: one of those may be resumed
		s.count.Refused.Add(1)
		return fmt.Errorf("link: %d connections, and Config.MaxSessions is %d", len(s.links), s.cfg.MaxSessions)
	}
	s.keys++
	l.key = s.keys
	s.links[l.key] = l
	s.wg.Add(1) // until ended
	s.det.Watch(l.key, s.cfg.Interval)
	s.rounds.add(l, now, jitter(s.cfg.Interval)) // the first one at any moment, so that many do not beat in step
	s.count.Connections.Add(1)
	return nil
}

// read acts on all frames of a connection, and returns why there are no more. The goroutine's stack is
// what an idle connection costs most, so what is not about an answer to a ping has another.
func (s *Server) read(l *served) error {
	take := func(f Frame) error { return s.take(l, f) }
	if t, ok := l.t.(quickReader); ok {
		return t.ReadEach(take)
	}
	return readEach(l.t, take)
}

func readEach(t Transport, do func(Frame) error) error {
	for {
		f, err := t.Read()
		if err != nil {
			return err
		}
		if err := do(f); err != nil {
			return err
		}
	}
}

// take acts on a frame. The answer to a ping is a sample; whatever else comes resets the clock.
func (s *Server) take(l *served, f Frame) error {
	now := time.Now()
	silence := l.heard(f, now)
	if l.spare != nil {
		return s.spareSaid(l, f, now)
	}
	sampled := false
	if f.Type == Pong {
		if seq := answerSeq(f.Payload); l.answered(seq, now) {
			s.count.Beats.Add(1)
			s.samples.add(l.key, seq, now)
			if l.session.Load() != nil || now.Sub(l.begun) < helloWait {
				return nil
			}
			sampled = true
		}
	}
	return s.takeOther(l, f, now, silence, sampled)
}

// takeOther acts on what is no answer to a ping. If it was one, and so a sample, it is a plain client's,
// who answers pings and says nothing.
//
//go:noinline
func (s *Server) takeOther(
	l *served, f Frame, now time.Time, silence time.Duration, sampled bool,
) (err error) {
	if f.Type == Data {
		s.alive(l, now, silence)
		return s.received(l, f, now)
	}
	onOtherStack(func() {
		if sampled {
			err = s.hello(l, control{}, now)
			return
		}
		s.alive(l, now, silence)
		err = s.received(l, f, now)
	})
	return err
}

// alive resets the clock after a silence, without a sample.
func (s *Server) alive(l *served, now time.Time, silence time.Duration) {
	if silence >= time.Duration(l.every.Load())/4 {
		s.det.Alive(l.key, now)
	}
}

// protocolError is what a connection is ended for.
type protocolError struct {
	code   uint16
	reason string
}

func (e *protocolError) Error() string { return "link: " + e.reason }

func (s *Server) received(l *served, f Frame, now time.Time) error {
	switch f.Type {
	case Pong:
		return s.pong(l, f.Payload, now)
	case Ping:
		return s.pinged(l, f, now)
	case Text:
		return s.text(l, f.Payload, now)
	case Data:
		seq, data, ok := splitData(f.Payload)
		if !ok {
			return &protocolError{CodeProtocol, "a message without a number"}
		}
		return s.message(l, seq, data, now)
	case Close:
		return &CloseError{f.Code, string(f.Payload)}
	}
	return nil
}

// pong takes a beat of a session that beats one way. Whatever else it is given answers no ping that is
// out.
func (s *Server) pong(l *served, payload []byte, now time.Time) error {
	if b, err := DecodeBeat(payload); err == nil && b.OneWay {
		return s.beat(l, b, now)
	}
	s.count.Unasked.Add(1)
	return nil
}

// helloWait is how long a connection may take to say who it is before it gets a session of its own.
const helloWait = time.Second

// beat takes a heartbeat that was not asked for. It is a sample only where that is how the session beats.
func (s *Server) beat(l *served, b Beat, now time.Time) error {
	if err := s.asked(l, now); err != nil {
		return err
	}
	s.told(l, b, now)
	if !l.oneWay.Load() {
		return nil
	}
	s.count.Beats.Add(1)
	s.det.HeartbeatAt(l.key, now, b.Seq)
	if every := s.cfg.possible(b.Every); b.Every > 0 && int64(every) != l.every.Load() {
		l.every.Store(int64(every))
		s.setInterval(l, every)
	}
	return nil
}

// told takes what the other end says in a beat.
func (s *Server) told(l *served, b Beat, now time.Time) {
	l.came(b.Sent, now)
	one := l.session.Load()
	if one == nil {
		return
	}
	s.acked(one, b.Ack)
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.link == l && string(one.own) != string(b.State) {
		one.own = slices.Clone(b.State)
	}
}

// acked takes an acknowledgement. One of a message that was not sent counts for nothing: it may be of a session before.
func (s *Server) acked(one *session, last uint64) {
	if !one.out.ack(last) {
		s.count.Unasked.Add(1)
	}
}

// asked counts a request or a beat, and ends a connection that sends them too often although it was told the rate.
func (s *Server) asked(l *served, now time.Time) error {
	every := min(s.cfg.Interval, time.Duration(l.every.Load()))
	switch l.strikes.ping(now, every) {
	case tellRate:
		s.count.TooFast.Add(1)
		l.write(control{Type: typeSlower, Every: millis(every)}.frame())
	case tooFast:
		s.count.TooFast.Add(1)
		return &protocolError{CodeTooFast, fmt.Sprintf("pings or beats come more often than once in %v, as was told", every)}
	}
	return nil
}

// pinged answers a ping, but not more often than a beat may come.
func (s *Server) pinged(l *served, f Frame, now time.Time) error {
	if err := s.asked(l, now); err != nil {
		return err
	}
	if !l.write(Frame{Type: Pong, Payload: slices.Clone(f.Payload)}) {
		return &protocolError{CodeBehind, fmt.Sprintf("%d answers wait that are not read", maxControl)}
	}
	if b, err := DecodeBeat(f.Payload); err == nil {
		s.told(l, b, now)
	}
	if l.session.Load() == nil {
		return s.hello(l, control{}, now)
	}
	return nil
}

// text acts on a message of the protocol, or of a plain client: PING is answered with PONG, whatever follows.
func (s *Server) text(l *served, p []byte, now time.Time) error {
	if rest, ok := strings.CutPrefix(string(p), "PING"); ok && len(p) <= MaxBeat {
		if err := s.asked(l, now); err != nil {
			return err
		}
		if l.session.Load() == nil {
			if err := s.hello(l, control{}, now); err != nil {
				return err
			}
		}
		if !l.write(Frame{Type: Text, Payload: []byte("PONG" + rest)}) {
			return &protocolError{CodeBehind, fmt.Sprintf("%d answers wait that are not read", maxControl)}
		}
		return nil
	}
	c, ok, err := parseControl(p)
	if err != nil {
		return &protocolError{CodeProtocol, strings.TrimPrefix(err.Error(), "link: ")}
	}
	if !ok {
		return &protocolError{CodeProtocol, "text that is neither JSON nor PING"}
	}
	if l.session.Load() == nil && c.Type != typeHello {
		if err := s.hello(l, control{Text: true}, now); err != nil {
			return err
		}
	}
	switch c.Type {
	case typeHello:
		if l.session.Load() != nil {
			return &protocolError{CodeProtocol, "a second hello"}
		}
		if c.Sleep > 0 {
			return s.sleep(l, c, now)
		}
		return s.hello(l, c, now)
	case typeAck:
		s.acked(l.session.Load(), c.Last)
	case typeEvery:
		if err := s.asked(l, now); err != nil {
			return err
		}
		s.setEvery(l, fromMillis(c.Every), now)
	case typeBeat:
		return s.beat(l, Beat{Seq: c.Seq, Every: fromMillis(c.Every), Ack: c.Last, State: []byte(c.State), OneWay: true}, now)
	case typeEvent:
		return s.message(l, c.Seq, []byte(c.Data), now)
	case typeBye:
		return &CloseError{CodeNormal, "bye"}
	}
	return nil // of a later version
}

// setEvery has l be pinged, or expected, every so long; 0: as configured. The change holds from the next beat on, which
// announces it: so that one still comes when the other end expects it.
func (s *Server) setEvery(l *served, every time.Duration, now time.Time) {
	l.wish.Store(every > 0)
	if every == 0 {
		every = s.cfg.Interval
	}
	every = min(max(s.cfg.possible(every), s.cfg.Interval), maxInterval)
	before := time.Duration(l.every.Swap(int64(every)))
	s.setInterval(l, every)
	if !l.oneWay.Load() && every < before {
		s.rounds.add(l, now, jittered(every))
	}
}

// message takes a message of the application. What came before comes again after a resume, and is dropped.
func (s *Server) message(l *served, seq uint64, data []byte, now time.Time) error {
	if l.session.Load() == nil {
		if err := s.hello(l, control{}, now); err != nil {
			return err
		}
	}
	if len(data) > s.cfg.MaxMessage {
		return &protocolError{CodeTooBig, fmt.Sprintf("a message of %d bytes, want at most %d", len(data), s.cfg.MaxMessage)}
	}
	one := l.session.Load()
	one.mu.Lock()
	one.hand()
	defer one.handedOn()
	in := one.in.Load()
	if one.link == l && seq == in+1 {
		one.in.Store(seq)
	}
	current := one.link == l
	one.mu.Unlock()
	switch {
	case !current: // its owner has connected again meanwhile
		return nil
	case seq <= in:
		s.count.Duplicates.Add(1)
		return nil
	case seq != in+1:
		return &protocolError{CodeProtocol, fmt.Sprintf("message %d, want %d", seq, in+1)}
	}
	if s.cfg.Receive != nil {
		s.cfg.Receive(one.id, slices.Clone(data))
	}
	// A page's script does not see the acknowledgements in beats, and who beats one way gets no beats.
	if seq%ackEvery == 0 || l.text || l.oneWay.Load() {
		l.write(control{Type: typeAck, Last: seq}.frame())
	}
	return nil
}
