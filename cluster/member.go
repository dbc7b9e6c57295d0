package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// State is what this node believes of a member.
//
//	            first sign of life           overdue and asked in vain
//	unknown ─────────────────────────▶ up ◀──────────────────▶ suspect
//	                                   ▲ │  a heartbeat, or      │
//	            a later sign of life,  │ │  someone's opinion    │ verdict
//	            or a new boot          │ │                       │
//	                                   │ └──────▶ down ◀─────────┘
//	                                   │ verdict,  │
//	                                   │ new boot  │ it says so itself
//	                                   └── left ◀──┘ (also from up and suspect)
type State uint8

const (
	// StateUnknown is the zero State; no member of Members has it.
	StateUnknown State = iota
	// StateUp: the member beats, or somebody vouches for it.
	StateUp
	// StateSuspect: this node observes the member, its heartbeats are overdue, and nobody asked
	// has heard from it later; or they arrive and say that the member hears nobody itself.
	// Only observers see this state: a suspicion is not gossiped.
	StateSuspect
	// StateDown: an observer gave its verdict, or the member restarted under a new boot.
	StateDown
	// StateLeft: the member said goodbye (Leave). Final for its boot.
	StateLeft
)

var stateNames = [...]string{"unknown", "up", "suspect", "down", "left"}

// String returns "unknown", "up", "suspect", "down" or "left".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", s)
}

// MarshalText implements encoding.TextMarshaler: String's names.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler for String's names.
func (s *State) UnmarshalText(text []byte) error {
	i := slices.Index(stateNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("cluster: %.40q is no state: want %s", text, strings.Join(stateNames[:], ", "))
	}
	*s = State(i)
	return nil
}

// Member is one member as this node sees it at one moment; it is the caller's to keep.
type Member struct {
	// Name is the configured name, unique in the cluster.
	Name string
	// Addr is the advertised "ip:port".
	Addr string
	// Boot tells incarnations of one name apart: a process that restarts has a higher one. It is the wall clock
	// of the start in microseconds since 1970, or one more than the highest boot known for the name, whichever is
	// higher. Zero for members that run memberlist alone.
	Boot uint64
	// Epoch counts within a boot how often the member learnt that it had been called down wrongly.
	// The pair (Boot, Epoch) only grows, and grows with each verdict that the member survives: a
	// fencing token. Whoever was handed the member's work after a Down holds a pair that is lower
	// than any that the member shows again.
	Epoch uint64
	// Tags are the member's own labels (Config.Tags, SetTags).
	Tags map[string]string
	// Health is what the member says of its service (SetHealth): nothing, passing or wedged.
	Health Health
	// State is up, suspect, down or left.
	State State
	// Since is when this node first saw the member in State.
	Since time.Time
	// Observed tells whether this node listens to the member's heartbeats itself: also to those of one that is down, which
	// would bring it back. Phi, LastHeard and RTT are zero otherwise.
	Observed bool
	// Phi is the suspicion level now: φ = 3 means that one heartbeat in 10³ is this late.
	Phi float64
	// LastHeard is when this node last had a sign of life from the member itself.
	LastHeard time.Time
	// RTT is the last measured round-trip time; zero until there is one.
	RTT time.Duration
}
