package cluster

import (
	"encoding/json"
	"time"

	"github.com/pulsering/pulsering/internal/level"
)

// memberJSON is how a Member looks in JSON. Fields are only ever added.
type memberJSON struct {
	Name      string            `json:"name"`
	Addr      string            `json:"addr"`
	Boot      uint64            `json:"boot,string"` // JSON readers that use float64 lose digits beyond 2^53
	Epoch     uint64            `json:"epoch"`
	State     State             `json:"state"`
	Health    Health            `json:"health,omitzero"`
	Since     time.Time         `json:"since,omitzero"`
	Observed  bool              `json:"observed"`
	Phi       level.Phi         `json:"phi"`
	LastHeard time.Time         `json:"last_heard,omitzero"`
	RTT       float64           `json:"rtt_ms,omitempty"`
	Tags      map[string]string `json:"tags"`
}

// MarshalJSON implements json.Marshaler: what GET /v1/members of the command answers about a member.
// Boot is a string, times are in UTC and left out where they are zero, RTT is rtt_ms, and a φ that JSON
// has no number for is the largest it has.
func (m Member) MarshalJSON() ([]byte, error) {
	j := memberJSON{
		Name:      m.Name,
		Addr:      m.Addr,
		Boot:      m.Boot,
		Epoch:     m.Epoch,
		State:     m.State,
		Health:    m.Health,
		Since:     m.Since.UTC(),
		Observed:  m.Observed,
		Phi:       level.Phi(m.Phi),
		LastHeard: m.LastHeard.UTC(),
		RTT:       float64(m.RTT) / float64(time.Millisecond),
		Tags:      m.Tags,
	}
	if j.Tags == nil {
		j.Tags = map[string]string{} // {}, not null
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler for what MarshalJSON writes.
func (m *Member) UnmarshalJSON(b []byte) error {
	var j memberJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*m = Member{
		Name:      j.Name,
		Addr:      j.Addr,
		Boot:      j.Boot,
		Epoch:     j.Epoch,
		State:     j.State,
		Health:    j.Health,
		Since:     j.Since,
		Observed:  j.Observed,
		Phi:       float64(j.Phi),
		LastHeard: j.LastHeard,
		RTT:       time.Duration(j.RTT * float64(time.Millisecond)),
		Tags:      j.Tags,
	}
	return nil
}
