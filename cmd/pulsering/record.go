package main

import (
	"math"
	"strconv"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// The JSON that the command prints and serves. Fields are only ever added.

// eventLine is one event: a line of "node --json", of "events --json" and of GET /events.
type eventLine struct {
	Time   time.Time         `json:"time"` // RFC 3339 with nanoseconds, UTC
	Kind   string            `json:"kind"`
	Member string            `json:"member"`
	Addr   string            `json:"addr"`
	Boot   string            `json:"boot"` // a string: JSON readers that use float64 lose digits beyond 2^53
	Phi    phi               `json:"phi"`
	Reason string            `json:"reason"`
	Tags   map[string]string `json:"tags"`
	Folded int               `json:"folded,omitempty"`
}

func newEventLine(e cluster.Event) eventLine {
	return eventLine{
		Time:   e.At.UTC(),
		Kind:   e.Kind.String(),
		Member: e.Member.Name,
		Addr:   e.Member.Addr,
		Boot:   strconv.FormatUint(e.Member.Boot, 10),
		Phi:    phi(e.Phi),
		Reason: e.Reason,
		Tags:   object(e.Member.Tags),
		Folded: e.Folded,
	}
}

// memberLine is one member: an element of GET /members and of "members --json".
type memberLine struct {
	Name     string            `json:"name"`
	Addr     string            `json:"addr"`
	Boot     string            `json:"boot"`
	Self     bool              `json:"self,omitempty"` // the node that was asked
	State    string            `json:"state"`
	Since    time.Time         `json:"since,omitzero"`
	Observed bool              `json:"observed"`
	Phi      phi               `json:"phi"`
	Heard    time.Time         `json:"last_heard,omitzero"`
	RTT      float64           `json:"rtt_ms,omitempty"`
	Tags     map[string]string `json:"tags"`
}

func newMemberLine(m cluster.Member, self bool) memberLine {
	return memberLine{
		Name:     m.Name,
		Addr:     m.Addr,
		Boot:     strconv.FormatUint(m.Boot, 10),
		Self:     self,
		State:    m.State.String(),
		Since:    m.Since.UTC(),
		Observed: m.Observed,
		Phi:      phi(m.Phi),
		Heard:    m.LastHeard.UTC(),
		RTT:      float64(m.RTT) / float64(time.Millisecond),
		Tags:     object(m.Tags),
	}
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

// phi is a suspicion level with six digits. JSON knows neither infinities, which become the largest number there is, nor
// NaN, which becomes null.
type phi float64

// MarshalJSON implements json.Marshaler.
func (p phi) MarshalJSON() ([]byte, error) {
	f := float64(p)
	if math.IsNaN(f) {
		return []byte("null"), nil
	}
	if math.IsInf(f, 0) {
		f = math.Copysign(math.MaxFloat64, f)
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
	return strconv.AppendFloat(nil, f, 'g', 6, 64), nil
}
