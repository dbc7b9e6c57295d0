package cluster

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says what happened to a member.
type Kind uint8

const (
	_ Kind = iota
	// Up: the member is alive: it joined, restarted, or came back.
	Up
	// Suspect: this node observes the member and finds it silent for longer than its link explains, or deaf.
	// An Up or a Down follows: the Up at once, but for a member that was suspect within the last five minutes before, which is
	// up again once there was no reason for suspicion for five minutes.
	Suspect
	// Down: the member is taken for dead, or its Boot is over because a new one has begun (Reason "restarted").
	// Work that this boot held may be handed to others.
	Down
	// Left: the member said goodbye.
	Left
	// Updated: the member changed its tags or its health.
	Updated
	// Isolated: this node hears none of the others; Member is the node itself. Not with Config.Heartbeats Probes.
	Isolated
	// Connected: the isolation is over; Member is the node itself.
	Connected
	// Accused: others called this node down, which it was not; Member is the node itself with its
	// new Epoch. Since says from when they held it for down, as far as is known. What this node was
	// doing may have been handed to others since then. Each epoch begins with one Accused at most.
	Accused
)

var kindNames = [...]string{"unknown", "up", "suspect", "down", "left", "updated", "isolated", "connected", "accused"}

// String returns "up", "suspect", "down", "left", "updated", "isolated", "connected" or "accused".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// MarshalText implements encoding.TextMarshaler: String's names.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler for String's names.
func (k *Kind) UnmarshalText(text []byte) error {
	i := slices.Index(kindNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("cluster: %.40q is no kind of event: want %s", text, strings.Join(kindNames[:], ", "))
	}
	*k = Kind(i)
	return nil
}

// Reasons that an Event may give. They are part of the API: programs may compare them.
const (
	// ReasonJoined: the first that is known of this boot.
	ReasonJoined = "joined"
	// ReasonPresent: not news; one of the events that a subscription begins with.
	ReasonPresent = "present"
	// ReasonSilent: heartbeats are overdue here, and nobody asked has heard from the member later.
	ReasonSilent = "silent"
	// ReasonDeaf: heartbeats of the member arrive, and say that it hears nobody.
	ReasonDeaf = "deaf"
	// ReasonVerdict: another member's verdict.
	ReasonVerdict = "verdict"
	// ReasonMemberlist: memberlist's word, which counts for members that run memberlist alone and with Config.Heartbeats Probes.
	ReasonMemberlist = "memberlist"
	// ReasonRestarted: Down of the old boot and Up of the new one.
	ReasonRestarted = "restarted"
	// ReasonHeard: a sign of life later than the suspicion or the verdict.
	ReasonHeard = "heard"
	// ReasonLeft: the member said goodbye.
	ReasonLeft = "left"
	// ReasonTags: the tags changed.
	ReasonTags = "tags"
	// ReasonHealth: the health changed (Node.SetHealth).
	ReasonHealth = "health"
	// ReasonExited: Down of a member that said so itself: the service beside it died (Node.Fail). Event.Detail says of what.
	ReasonExited = "exited"
	// ReasonIsolated: Down at a node that was Isolated for Config.IsolatedDownAfter. Whether the
	// others died or this node was cut off cannot be known here; nobody else is told.
	ReasonIsolated = "isolated"
	// ReasonRefused: Down of a member whose host refuses connections to its port: the host is
	// reached, and no process is there.
	ReasonRefused = "refused"
	// ReasonUnheard: Suspect of a member that is reached by streams (TCP) only: no packet (UDP) of
	// it arrives, mostly for a firewall. memberlist judges whether it lives.
	ReasonUnheard = "unheard"
)

// Event is one change that a subscriber of Events sees.
type Event struct {
	Kind Kind
	// Member is the member just after the change. For a Down with ReasonRestarted it is the old boot.
	Member Member
	// At is when this node learnt of the change.
	At time.Time
	// Phi is the suspicion level at that moment where this node observes the member, zero otherwise.
	// For a Down by heartbeats (ReasonSilent, ReasonVerdict) it is the sum of doubts that decided.
	Phi float64
	// Threshold is the level that Phi had to reach for a Down by heartbeats; zero otherwise.
	Threshold float64
	// By are the members who doubted, sorted, for a Down by heartbeats: up to 8 of them. The slice
	// is shared: it must not be changed. Nil where it is not known.
	By []string
	// Since is, for Accused, from when others held this node for down; zero otherwise.
	Since time.Time
	// Reason is one of the Reason constants.
	Reason string
	// Detail is, for a Down with ReasonExited, of what the member died, in its own words: up to 64 bytes that print. Empty otherwise.
	Detail string
	// Folded counts the changes of this member that were left out before this one, because the subscriber was
	// slower than they came. The last state is never left out, nor that a boot which the subscriber knew is over.
	Folded int
}
