package detector

import (
	"fmt"
	"time"
)

// State is what a detector thinks of a peer.
//
//	         Watch             heartbeat               φ ≥ SuspectPhi            φ ≥ DownPhi
//	(nothing) ───▶ Unknown ───────────────▶ Up ──────────────────────▶ Suspect ──────────────▶ Down
//	                  │                     ▲ ◀──────── heartbeat ────────┘                     │ ▲
//	                  │                     └───────────────────── heartbeat ───────────────────┘ │
//	                  └──────────────────────────── FirstHeartbeat without one ───────────────────┘
//
// Restart leads back to Unknown from anywhere, and Alive leads there from Down if the peer was never heard. A peer goes from Up to Down at once where both levels are equal, or
// were passed before the detector could look. A heartbeat that is old news (HeartbeatAt) helps only as far as it
// reaches: Down may become Suspect.
type State uint8

const (
	// Unknown: watched, and not heard yet.
	Unknown State = iota
	// Up: its silence is ordinary.
	Up
	// Suspect: its silence is unusual. Time to prepare, not to act.
	Suspect
	// Down: its silence is beyond what was promised, or it never beat within FirstHeartbeat.
	Down
)

// String returns "unknown", "up", "suspect" or "down".
func (s State) String() string {
	switch s {
	case Unknown:
		return "unknown"
	case Up:
		return "up"
	case Suspect:
		return "suspect"
	case Down:
		return "down"
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText returns what String does, so that JSON has names of states.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Status is what a detector knows of a peer.
type Status struct {
	// State is as the latest event about the peer says.
	State State
	// Phi is the suspicion level now; 0 for a peer that was not heard yet. It may be ahead of
	// State by a moment.
	Phi float64
	// LastHeard is when the last heartbeat was heard, with a monotonic reading; zero if none
	// was since Watch or Restart. Evidence of life that is no heartbeat (Alive) does not count,
	// nor does a heartbeat under an old number.
	LastHeard time.Time
	// Since is from when on the peer has been in State, with a monotonic reading: about the At of the
	// latest event, or when Watch or Restart made it Unknown.
	Since time.Time
}

// An Event says that a peer's state changed.
type Event[K comparable] struct {
	ID K
	// From and To are the states before and after. They are equal where a slow reader missed a way there and back.
	From, To State
	// Phi is the suspicion level at the change; 0 for a peer that never beat.
	Phi float64
	// At is when the detector noticed, with a monotonic reading.
	At time.Time
	// Folded counts the earlier changes of this peer that came while the reader was busy and are contained in this
	// event: From is the state before the first of them.
	Folded int
}

// fold keeps one event a peer: the way from the oldest state that the reader knows to the present one.
func fold[K comparable](pending []Event[K], next Event[K]) []Event[K] {
	if len(pending) == 0 {
		return append(pending, next)
	}
	next.From = pending[0].From
	next.Folded += pending[0].Folded + 1
	pending[0] = next
	return pending
}
