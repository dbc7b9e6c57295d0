package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// The JSON that the command prints and serves. Fields are only ever added.

// eventLine is one event: a line of "node --json", of "events --json" and of GET /events.
type eventLine struct {
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
	Tags      map[string]string `json:"tags"`
	Folded    int               `json:"folded,omitempty"`
}

func (e eventLine) text(color bool) string { return eventText(e, color) }

func newEventLine(e cluster.Event) eventLine {
	line := aboutMember(e.Member)
	line.Time, line.Kind, line.Reason = e.At.UTC(), e.Kind.String(), e.Reason
	line.Phi, line.Threshold, line.By, line.Since = level.Phi(e.Phi), level.Phi(e.Threshold), e.By, e.Since.UTC()
	line.Folded = e.Folded
	return line
}

// newJoinedLine is the first line of a node, about itself.
func newJoinedLine(self cluster.Member, at time.Time) eventLine {
	line := aboutMember(self)
	line.Time, line.Kind, line.Reason = at.UTC(), "joined", cluster.ReasonJoined
	return line
}

func aboutMember(m cluster.Member) eventLine {
	return eventLine{
		Member: m.Name,
		Addr:   m.Addr,
		Boot:   strconv.FormatUint(m.Boot, 10),
		Epoch:  m.Epoch,
		Tags:   object(m.Tags),
	}
}

// memberLine is one member: an element of GET /members and of "members --json". It is what the library makes of a member, and
// for the node that was asked what that is.
type memberLine struct {
	cluster.Member
	Self     bool // the node that was asked
	Isolated bool // it hears none of the others
}

// MarshalJSON implements json.Marshaler.
func (m memberLine) MarshalJSON() ([]byte, error) {
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
func (m *memberLine) UnmarshalJSON(line []byte) error {
	var own struct{ Self, Isolated bool }
	err := errors.Join(json.Unmarshal(line, &m.Member), json.Unmarshal(line, &own))
	m.Self, m.Isolated = own.Self, own.Isolated
	return err
}

// statsLine is what GET /stats answers. Dropped counts messages that were not acted upon, by cause.
type statsLine struct {
	Sent     map[string]uint64 `json:"sent"`
	Received map[string]uint64 `json:"received"`
	Dropped  map[string]uint64 `json:"dropped"`
}

func newStatsLine(s cluster.Stats) statsLine {
	return statsLine{object(s.Sent), object(s.Received), object(s.Dropped)}
}

// object is {} in JSON where a nil map would be null.
func object[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}
