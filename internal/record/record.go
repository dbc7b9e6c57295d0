// Package record is what the command prints and a node serves, as JSON. Fields are only ever added.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// Event is one event: a line of "node --json" and of "events --json", the data of GET /v1/events, and what hooks are told.
type Event struct {
	Time      time.Time         `json:"time"` // RFC 3339 with nanoseconds, UTC
	Kind      string            `json:"kind"`
	Member    string            `json:"member"`
	Addr      string            `json:"addr"`
	Boot      string            `json:"boot"` // a string: JSON readers that use float64 lose digits beyond 2^53
	Epoch     uint64            `json:"epoch"`
	Phi       level.Phi         `json:"phi"`
	Threshold level.Phi         `json:"threshold,omitempty"` // of a down: what phi had to reach
	By        []string          `json:"by,omitempty"`        // of a down: who doubted
	Since     time.Time         `json:"since,omitzero"`      // of accused: from when the others held the node for down
	Reason    string            `json:"reason"`
	Detail    string            `json:"detail,omitempty"` // of a down with reason "exited": of what the member died
	Health    cluster.Health    `json:"health,omitzero"`  // what the member says of its service
	Tags      map[string]string `json:"tags"`
	Folded    int               `json:"folded,omitempty"`
}

// NewEvent is an event of a node.
func NewEvent(e cluster.Event) Event {
	r := about(e.Member)
	r.Time, r.Kind, r.Reason, r.Detail = e.At.UTC(), e.Kind.String(), e.Reason, e.Detail
	r.Phi, r.Threshold, r.By, r.Since = level.Phi(e.Phi), level.Phi(e.Threshold), e.By, e.Since.UTC()
	r.Folded = e.Folded
	return r
}

// Joined is the first line of a node, about itself.
func Joined(self cluster.Member, at time.Time) Event {
	r := about(self)
	r.Time, r.Kind, r.Reason = at.UTC(), "joined", cluster.ReasonJoined
	return r
}

// Gap is what a reader of a node's events is told that misses some: as many as missed, or 0 where that is not known.
func Gap(self cluster.Member, at time.Time, why string, missed int) Event {
	r := about(self)
	r.Time, r.Kind, r.Reason, r.Folded = at.UTC(), "gap", why, missed
	return r
}

func about(m cluster.Member) Event {
	return Event{
		Member: m.Name,
		Addr:   m.Addr,
		Boot:   strconv.FormatUint(m.Boot, 10),
		Epoch:  m.Epoch,
		Health: m.Health,
		Tags:   object(m.Tags),
	}
}

// Member is one member: an element of GET /v1/members and of "members --json". It is what the library makes of a member, and
// for the node that was asked what that is.
type Member struct {
	cluster.Member
	Self     bool // the node that was asked
	Isolated bool // it hears none of the others
}

// MarshalJSON implements json.Marshaler.
func (m Member) MarshalJSON() ([]byte, error) {
	line, err := json.Marshal(m.Member)
	if err != nil || !m.Self {
		return line, err
	}
	line = append(bytes.TrimSuffix(line, []byte("}")), `,"self":true`...)
	if m.Isolated {
		line = append(line, `,"isolated":true`...)
	}
	return append(line, '}'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *Member) UnmarshalJSON(line []byte) error {
	var own struct{ Self, Isolated bool }
	err := errors.Join(json.Unmarshal(line, &m.Member), json.Unmarshal(line, &own))
	m.Self, m.Isolated = own.Self, own.Isolated
	return err
}

// Stats is what GET /v1/stats answers. Dropped counts messages that were not acted upon, by cause.
type Stats struct {
	Sent      map[string]uint64 `json:"sent"`
	Received  map[string]uint64 `json:"received"`
	Dropped   map[string]uint64 `json:"dropped"`
	Packets   uint64            `json:"packets"`
	Bytes     uint64            `json:"bytes"`
	Lost      uint64            `json:"lost"`
	Verdicts  uint64            `json:"verdicts"`
	Retracted uint64            `json:"retracted"`
	Pauses    uint64            `json:"pauses"`
	Gossip    int               `json:"gossip"`
	Inquiries int               `json:"inquiries"`
	Unheard   int               `json:"unheard"`
	Deaf      int               `json:"deaf"`
}

// NewStats is what a node counted.
func NewStats(s cluster.Stats) Stats {
	return Stats{
		Sent: object(s.Sent), Received: object(s.Received), Dropped: object(s.Dropped),
		Packets: s.Packets, Bytes: s.Bytes, Lost: s.Lost,
		Verdicts: s.Verdicts, Retracted: s.Retracted, Pauses: s.Pauses,
		Gossip: s.Gossip, Inquiries: s.Inquiries, Unheard: s.Unheard, Deaf: s.Deaf,
	}
}

// object is {} in JSON where a nil map would be null.
func object[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
