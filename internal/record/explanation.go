package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

// Explanation is why a node thinks of a member what it does, as the library tells, and φ of the last minute.
type Explanation struct {
	cluster.Explanation
	History []Sample // oldest first
}

// Sample is φ at a time.
type Sample struct {
	Time time.Time `json:"time"`
	Phi  level.Phi `json:"phi"`
}

// MarshalJSON implements json.Marshaler.
func (e Explanation) MarshalJSON() ([]byte, error) {
	line, err := json.Marshal(e.Explanation)
	samples, err2 := json.Marshal(append([]Sample{}, e.History...)) // [] where there are none
	line = append(bytes.TrimSuffix(line, []byte("}")), `,"phi_history":`...)
	return append(append(line, samples...), '}'), errors.Join(err, err2)
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *Explanation) UnmarshalJSON(line []byte) error {
	var own struct {
		History []Sample `json:"phi_history"`
	}
	err := errors.Join(json.Unmarshal(line, &e.Explanation), json.Unmarshal(line, &own))
	e.History = own.History
	return err
}
