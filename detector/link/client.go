package link

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/internal/mailbox"
)

// Dialer makes a connection to the server. It is called again whenever one ended.
type Dialer func(ctx context.Context) (Transport, error)

// A Client keeps a session with a [Server]: it connects again when a connection ends, and resumes, so that no message is lost. Make it
// with Dial and end it with Close. All methods may be called from any goroutine.
type Client struct {
	cfg  Config
	dial Dialer
	boot uint64                     // tells this process from one before under the same name
	det  *detector.Detector[uint64] // of the server, by the number of the connection
	hub  *mailbox.Hub[string, Event]

	out outbox
	in  atomic.Uint64 // the latest message that came

	mu      sync.Mutex
	id      string
	secret  string
	state   State
	cause   Cause
	since   time.Time
	phase   lately
	link    *dialed // nil: there is no connection that is welcome
	own     []byte
	fresh   bool          // nothing came in this session before, as far as is known here
	grace   time.Duration // of the server
	retry   time.Duration // when the server said to come back; 0: it did not
	every   time.Duration // between the beats that SetInterval asked for; 0: as before
	err     error         // why there is no session any more, or why the latest try failed
	ended   bool
	bye     bool          // the server said goodbye
	first   chan struct{} // closed with the first welcome, or the end
	started bool          // first is closed

	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// dialed is a connection of a client.
type dialed struct {
	*conn
	key uint64

	every time.Duration // between the server's beats: changed by the goroutine that reads, with Client.mu

	// What the goroutine that reads alone uses.
	seq     uint64    // of the latest beat that came
	stood   uint64    // how many times since then messages stood for one
	samples uint64    // all of them, which is how the detector numbers them
	sample  time.Time // when the latest came
	toldIn  uint64    // the latest acknowledgement that was sent
	stated  string    // the latest State64 that was sent

	mu    sync.Mutex
	cause Cause // why this end closed it
}

const (
	// dialTime is how long a try to connect, and the welcome after it, may take.
	dialTime = 10 * time.Second
	// ackEvery is after how many messages one is acknowledged at once, and not with the next beat.
	ackEvery = 16
)

// Dial connects, and returns when the server has said welcome. The error of a ctx that ends before says what went wrong with the latest
// try; that of a Config names the field. A session that is somebody else's is an error at once.
func Dial(ctx context.Context, cfg Config, dial Dialer) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if dial == nil {
		return nil, errors.New("link: Dial: no Dialer")
	}
	det, err := detector.New[uint64](detector.Config{Interval: cfg.Interval, FalseAlarmEvery: cfg.FalseAlarmEvery})
	if err != nil {
		return nil, fmt.Errorf("link: %w", err)
	}
	if cfg.Secret == "" { // chosen here, so that a session whose welcome is lost can be resumed
		cfg.Secret = secretText(newSecret())
	}
	c := &Client{
		cfg: cfg, boot: 1 + rand.Uint64N(1<<53-1), dial: dial, det: det, hub: mailbox.NewHub[string](foldEvents),
		id: cfg.Session, secret: cfg.Secret, own: slices.Clone(cfg.State64), fresh: true, since: time.Now(), first: make(chan struct{}),
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	events := det.Events(c.ctx)
	c.wg.Go(func() {
		for e := range events {
			c.judged(e)
		}
	})
	c.wg.Go(c.run)
	select {
	case <-c.first:
		if err := c.Err(); err != nil {
			c.Close()
			return nil, err
		}
		return c, nil
	case <-ctx.Done():
		err := c.Err()
		c.Close()
		return nil, fmt.Errorf("link: Dial: %w", errors.Join(context.Cause(ctx), err))
	}
}

// run connects again and again.
func (c *Client) run() {
	defer c.finish()
	for key, tries := uint64(1), 0; ; key++ {
		welcome, err := c.connect(key)
		if c.ctx.Err() != nil {
			return
		}
		if welcome {
			tries = 0
		}
		var closed *CloseError
		if errors.As(err, &closed) && (closed.Code == CodeWrongSecret || closed.Code == CodeReplaced || closed.Code == CodeNormal) {
			c.lost(err, closed.Code == CodeNormal)
			return
		}
		wait := c.wait(err, tries, time.Now())
		tries++
		select {
		case <-time.After(wait):
		case <-c.ctx.Done():
			return
		}
	}
}

// wait is the time to the next try, after so many that failed with err.
func (c *Client) wait(err error, tries int, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	b := comeback{tries: tries, told: c.retry, refused: refusedBy(err)}
	c.retry = 0
	if c.state == Away && now.Sub(c.since) < c.grace {
		b.grace = c.grace
	}
	return b.wait(jitter)
}

// connect makes one connection, and returns when it is over: whether the server said welcome, and why it ended.
func (c *Client) connect(key uint64) (welcome bool, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, dialTime)
	t, err := c.dial(ctx)
	cancel()
	if err != nil {
		return false, err
	}
	now := time.Now()
	l := &dialed{conn: newConn(t, now), key: key, every: c.cfg.Interval}
	stop := context.AfterFunc(c.ctx, func() { l.close(CodeNormal, "bye") })
	defer stop()
	late := time.AfterFunc(dialTime, func() { t.Close() }) // until the welcome
	defer late.Stop()
	if !c.cfg.OneWay {
		c.det.Watch(key, c.cfg.Interval)
		defer c.det.Forget(key)
	}
	c.mu.Lock()
	hello := control{
		Type: typeHello, Version: version, Session: c.id, Secret: c.secret, Last: c.in.Load(), OneWay: c.cfg.OneWay,
		Boot: c.boot, Nth: key, Every: millis(c.every),
	}
	c.mu.Unlock()
	if c.cfg.OneWay && hello.Every == 0 {
		hello.Every = millis(c.cfg.Interval)
	}
	l.write(hello.frame())
	beats := make(chan struct{})
	if c.cfg.OneWay {
		l.wg.Go(func() { c.beat(l, beats) })
	}
	for err == nil {
		var f Frame
		if f, err = t.Read(); err == nil {
			err = c.received(l, f, time.Now(), late)
		}
	}
	close(beats)
	if code, reason := refusal(err); code != 0 {
		l.refuse(code, reason)
	}
	l.end()
	return c.over(l, err), err
}

// beat sends the heartbeats of a session that beats one way.
func (c *Client) beat(l *dialed, over <-chan struct{}) {
	timer := time.NewTimer(jitter(c.cfg.Interval))
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-over:
			return
		}
		c.mu.Lock()
		every := c.every
		c.mu.Unlock()
		if every == 0 {
			every = c.cfg.Interval
		}
		c.sendBeat(l, every)
		timer.Reset(jittered(every))
	}
}

// sendBeat says what this end has, and its state.
func (c *Client) sendBeat(l *dialed, every time.Duration) {
	c.mu.Lock()
	own := c.own
	c.mu.Unlock()
	in := c.in.Load()
	l.send(Beat{OneWay: true, Every: every, Ack: in, State: own})
}

func (c *Client) received(l *dialed, f Frame, now time.Time, late *time.Timer) error {
	silence := l.heard(f, now)
	switch {
	case f.Type == Ping:
	case l.samples > 0 && now.Sub(l.sample) >= l.every*7/8: // it stands for a beat, which a server that is busy leaves out
		l.stood++
		c.heartbeat(l, 1, now)
	case silence >= l.every/4:
		c.det.Alive(l.key, now)
	}
	switch f.Type {
	case Ping:
		if !l.write(Frame{Type: Pong, Payload: slices.Clone(f.Payload)}) {
			return &protocolError{CodeBehind, "answers wait that are not read"}
		}
		if b, err := DecodeBeat(f.Payload); err == nil {
			c.pinged(l, b, now)
		}
	case Text:
		if m, ok, err := parseControl(f.Payload); err != nil {
			return err
		} else if ok {
			return c.told(l, m, now, late)
		}
	case Data:
		seq, data, ok := splitData(f.Payload)
		if !ok {
			return fmt.Errorf("%w: a message without a number", ErrFrame)
		}
		return c.message(l, seq, data)
	case Close:
		return &CloseError{f.Code, string(f.Payload)}
	}
	return nil
}

// pinged takes a heartbeat of the server, and says what is new here.
func (c *Client) pinged(l *dialed, b Beat, now time.Time) {
	l.came(b.Sent, now)
	n := uint64(1)
	if missed := b.Seq - l.seq; b.Seq > l.seq && missed > l.stood {
		n = min(missed-l.stood, 1<<16)
	}
	l.seq, l.stood = max(l.seq, b.Seq), 0
	c.heartbeat(l, n, now)
	c.out.ack(b.Ack)
	c.mu.Lock()
	if every := c.cfg.possible(b.Every); b.Every > 0 && every != l.every {
		l.every = every
		c.det.SetInterval(l.key, l.every)
	}
	if b.RTT > 0 {
		c.phase.rtt = b.RTT
	}
	own := string(c.own)
	c.mu.Unlock()
	if in := c.in.Load(); in != l.toldIn || own != l.stated {
		l.toldIn, l.stated = in, own
		c.sendBeat(l, 0)
	}
}

// heartbeat is a sample of the server's life, the n-th after the one before.
func (c *Client) heartbeat(l *dialed, n uint64, now time.Time) {
	l.samples += n
	l.sample = now
	c.det.HeartbeatAt(l.key, now, l.samples)
}

// told acts on the protocol.
func (c *Client) told(l *dialed, m control, now time.Time, late *time.Timer) error {
	switch m.Type {
	case typeWelcome:
		late.Stop()
		return c.welcome(l, m, now)
	case typeAck:
		c.out.ack(m.Last)
	case typeRetry:
		c.mu.Lock()
		c.retry = max(time.Millisecond, fromMillis(m.After))
		c.mu.Unlock()
	case typeEvent:
		return c.message(l, m.Seq, []byte(m.Data))
	case typeBye:
		return &CloseError{CodeNormal, "bye"}
	}
	return nil
}

// welcome begins or resumes the session.
func (c *Client) welcome(l *dialed, m control, now time.Time) error {
	if m.Session == "" || m.Secret == "" {
		return fmt.Errorf("%w: a welcome without session and secret", ErrFrame)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil {
		return fmt.Errorf("%w: a second welcome", ErrFrame)
	}
	had := c.state != 0
	if had && !m.Resumed {
		c.change(Gone, c.cause, false, now)
		c.in.Store(0)
		c.fresh = true
		c.out.rebase(0)
	}
	c.id, c.secret, c.grace = m.Session, m.Secret, fromMillis(m.Grace)
	if last, _ := c.out.last(); m.Last > last { // of a process before this one
		c.out.rebase(m.Last)
	} else {
		c.out.ack(m.Last)
	}
	c.link, c.err = l, nil
	if every := fromMillis(m.Every); every > 0 && !c.cfg.OneWay {
		l.every = c.cfg.possible(every)
		c.det.SetInterval(l.key, l.every)
	}
	c.phase = lately{remote: l.t.Remote(), transport: l.t.Kind(), heard: now, rtt: c.phase.rtt}
	l.conn.mu.Lock()
	l.out, l.next = &c.out, m.Last+1
	l.feed()
	l.conn.mu.Unlock()
	c.change(Up, 0, m.Resumed, now)
	c.start()
	return nil
}

// message hands a message to the application.
func (c *Client) message(l *dialed, seq uint64, data []byte) error {
	if len(data) > c.cfg.MaxMessage {
		return &protocolError{CodeTooBig, fmt.Sprintf("a message of %d bytes, want at most %d", len(data), c.cfg.MaxMessage)}
	}
	c.mu.Lock()
	id, fresh := c.id, c.fresh
	c.fresh = false
	c.mu.Unlock()
	in := c.in.Load()
	switch {
	case fresh && in == 0: // it may go on where a process before this one was
	case seq <= in:
		return nil
	case seq != in+1:
		return fmt.Errorf("%w: message %d, want %d", ErrFrame, seq, in+1)
	}
	c.in.Store(seq)
	if c.cfg.Receive != nil {
		c.cfg.Receive(id, slices.Clone(data))
	}
	if seq-l.toldIn >= ackEvery {
		l.toldIn = seq
		l.write(control{Type: typeAck, Last: seq}.frame())
	}
	return nil
}

// over notes that a connection ended, and returns whether it was welcome.
func (c *Client) over(l *dialed, err error) bool {
	l.mu.Lock()
	cause := l.cause
	l.mu.Unlock()
	if cause == 0 {
		cause, _ = endCause(l.conn, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != l {
		return false
	}
	c.snapshot()
	c.link = nil
	if c.ctx.Err() == nil {
		c.change(Away, cause, false, time.Now())
	}
	return true
}

// judged acts on what the detector says of the server.
func (c *Client) judged(e detector.Event[uint64]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.link
	if l == nil || l.key != e.ID {
		return
	}
	now := time.Now()
	silence := now.Sub(l.lastHeard())
	switch e.To {
	case detector.Up, detector.Unknown:
		if c.state == Suspect {
			c.change(Up, 0, false, now)
		}
	case detector.Suspect, detector.Down:
		if state, watched := c.det.State(l.key); !watched || state != e.To { // it has changed meanwhile, of which news comes
			return
		}
		if at := l.excused(now, l.every, false); !at.IsZero() {
			c.det.Alive(l.key, at)
			return
		}
		if e.To == detector.Suspect {
			if c.state == Up {
				c.change(Suspect, evidence(l.t, silence, l.every), false, now)
			}
			return
		}
		l.mu.Lock()
		l.cause = evidence(l.t, silence, l.every)
		l.mu.Unlock()
		l.close(CodeSilent, fmt.Sprintf("nothing was heard for %v", silence.Round(time.Millisecond)))
	}
}

// change shows the session in another state. It needs c.mu.
func (c *Client) change(to State, cause Cause, resumed bool, now time.Time) {
	from := c.state
	if from == to && c.cause == cause && !resumed {
		return
	}
	if from != to {
		c.since = now
	}
	c.state, c.cause = to, cause
	c.hub.Publish("", Event{Session: c.snapshot(), From: from, Resumed: resumed, Goodbye: c.bye, At: now})
}

// snapshot is what the outside sees. It needs c.mu.
func (c *Client) snapshot() Session {
	v := Session{ID: c.id, State: c.state, Cause: c.cause, Since: c.since, RTT: c.phase.rtt, Remote: c.phase.remote, Transport: c.phase.transport}
	if l := c.link; l != nil {
		c.phase.heard = l.lastHeard()
		_, c.phase.drift = l.way()
		v.Phi = c.det.Phi(l.key)
	}
	v.LastHeard, v.Drift = c.phase.heard, c.phase.drift
	return v
}

// lost ends the client: its session is over, by a goodbye of the server or as somebody else has it.
func (c *Client) lost(err error, bye bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err, c.bye = err, bye
	if c.state != 0 {
		c.change(Gone, Clean, false, time.Now())
	}
}

// start lets Dial return. It needs c.mu.
func (c *Client) start() {
	if !c.started {
		c.started = true
		close(c.first)
	}
}

// finish is the end of run.
func (c *Client) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.start()
	c.hub.Close()
}

// Send sends a message, whose it is from then on. It waits for nothing: what cannot be sent now is sent when there is a connection
// again. ErrBehind says that more than Config.MaxWaiting is not acknowledged, ErrClosed that the session is over.
func (c *Client) Send(data []byte) error {
	if len(data) > c.cfg.MaxMessage {
		return fmt.Errorf("link: Send: a message of %d bytes, want at most Config.MaxMessage, %d", len(data), c.cfg.MaxMessage)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return ErrClosed
	}
	if err := c.out.add(data, c.cfg.MaxWaiting); err != nil {
		return err
	}
	if c.link != nil {
		c.link.more()
	}
	return nil
}

// SetState replaces what the beats carry of the application's own, at most MaxState bytes.
func (c *Client) SetState(state []byte) error {
	if len(state) > MaxState {
		return fmt.Errorf("link: SetState: %d bytes, want at most %d", len(state), MaxState)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.own = slices.Clone(state)
	return nil
}

// SetInterval asks the server for beats that are further apart, as in the background or on battery: from Config.Interval of
// the server to 1 h; 0: as before. The server announces the change with its next beat. A client that beats one way announces
// its own with its next beat. It holds for later connections too.
func (c *Client) SetInterval(every time.Duration) error {
	if every < 0 || every > maxInterval {
		return fmt.Errorf("link: SetInterval(%v): want 0 to %v", every, maxInterval)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.every = every
	if c.link != nil && !c.cfg.OneWay {
		c.link.write(control{Type: typeEvery, Every: millis(every)}.frame())
	}
	return nil
}

// Session is what this end knows of the session: Phi is about the server.
func (c *Client) Session() Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.snapshot()
}

// State is the state of the session as this end sees it: Away while there is no connection.
func (c *Client) State() State { return c.Session().State }

// Secret is what, with the session's ID, resumes it: for a process after this one, and for nobody else.
func (c *Client) Secret() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret
}

// Err is why the session is over, or why the latest try to connect failed; nil while there is a connection.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Events returns the changes of the session's state from this call on, as [Server.Events] does. It ends when the session is over.
func (c *Client) Events(ctx context.Context) iter.Seq[Event] { return c.hub.Subscribe(ctx).All() }

// Close says goodbye, so that the session is gone for the server, and returns when all goroutines have ended: within a
// second, unless Config.Receive takes longer. Messages that were sent and not acknowledged may be lost. A second Close is
// harmless.
func (c *Client) Close() error {
	c.cancel()
	c.wg.Wait()
	return c.det.Close()
}
