package link

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"sync"
	"sync/atomic"
	"time"
)

// Session is a snapshot of what one end knows of a session.
type Session struct {
	ID    string `json:"session"`
	State State  `json:"state"`
	// Phi is how unusual the silence is: see phiaccrual. 0 unless there is a connection.
	Phi float64 `json:"phi"`
	// Cause is why the session is not Up; zero while it is.
	Cause Cause `json:"cause,omitempty"`
	// RTT is the latest round-trip time of a beat; 0: none was measured on this connection.
	RTT time.Duration `json:"-"`
	// Drift is how much longer the latest beat of the other end took to come than its fastest of the last minute or two: the way
	// here alone, without the clocks of both being compared. 0 also where the other end only answers.
	Drift time.Duration `json:"-"`
	// Every is the promise on the latest connection that a beat follows the one before within this time. A Client does
	// not tell its server's: 0.
	Every time.Duration `json:"-"`
	// LastHeard is when anything came last, Since from when on it has been in State, both with a monotonic reading.
	LastHeard time.Time `json:"-"`
	Since     time.Time `json:"-"`
	// Remote and Transport are those of the latest connection.
	Remote    string `json:"remote"`
	Transport string `json:"transport"`
	// State64 is what the latest beat of the other end carried of the application's own, up to MaxState bytes.
	State64 []byte `json:"state64,omitempty"`
}

// session is what a server keeps of one. Its mutex is held while events about it are published, so that these are in order.
type session struct {
	mu     sync.Mutex
	id     string
	secret [16]byte
	state  State
	cause  Cause
	since  time.Time
	link   *served // its connection; nil: it is Away or Gone
	lately lately  // what its latest connection was like
	boot   uint64  // of the client's process that connected last; 0: it does not say
	nth    uint64  // that connection's number among those of the process
	out    outbox
	in     atomic.Uint64 // the latest message that came; changed under mu
	own    []byte        // State64

	network   *network // as outages counts it; nil: none
	bye       bool     // either end said goodbye
	dismissed bool     // this end did
	shown     shown    // what subscribers know of it

	// A message is handed on: one on a new connection waits for one on the connection before.
	handing bool
	handed  *sync.Cond // of those who wait, made by the first; nil: nobody ever did
}

// shown is what subscribers know of a session: during an outage that is not the latest.
type shown struct {
	state State
	cause Cause
}

// hand waits until no message of the session is handed on. It needs mu, which it may release meanwhile.
func (s *session) hand() {
	for s.handing {
		if s.handed == nil {
			s.handed = sync.NewCond(&s.mu)
		}
		s.handed.Wait()
	}
	s.handing = true
}

// handedOn lets the next message be handed on.
func (s *session) handedOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.handing = false; s.handed != nil {
		s.handed.Signal()
	}
}

// lately is what is told of a connection that may be over.
type lately struct {
	remote, transport string
	heard             time.Time
	rtt, drift, every time.Duration
	network           *network // of its address; nil: none
}

func newSecret() (s [16]byte) {
	rand.Read(s[:]) // never fails
	return s
}

// secretOf is the secret that a client chose for its session, so that it may try again if the answer to its first hello is
// lost; or a new one.
func secretOf(text string) [16]byte {
	var s [16]byte
	if b, err := base64.RawURLEncoding.DecodeString(text); err == nil && len(b) == len(s) {
		return [16]byte(b)
	}
	return newSecret()
}

func secretText(s [16]byte) string { return base64.RawURLEncoding.EncodeToString(s[:]) }

// knows tells whether text is the session's secret.
func (s *session) knows(text string) bool {
	return subtle.ConstantTimeCompare([]byte(text), []byte(secretText(s.secret))) == 1
}

// newName is the name of a session that asked for none.
func newName() string {
	var b [12]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}
