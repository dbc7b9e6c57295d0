package link

import (
	"encoding/json"
	"fmt"
	"time"
)

// control is a Text frame of the protocol: JSON, so that a page's script needs no more than JSON.parse. Times are in milliseconds.
type control struct {
	Type    string `json:"type"`
	Version int    `json:"v,omitempty"`
	Session string `json:"session,omitempty"`
	Secret  string `json:"secret,omitempty"`
	Last    uint64 `json:"last,omitempty"` // the latest event that the sender has
	Every   int64  `json:"every_ms,omitempty"`
	Grace   int64  `json:"grace_ms,omitempty"`
	After   int64  `json:"after_ms,omitempty"`
	Sleep   int64  `json:"sleep_ms,omitempty"` // of a spare connection
	Boot    uint64 `json:"boot,omitempty"`     // of the client's process, below 2^53
	Nth     uint64 `json:"nth,omitempty"`      // the number of this connection among those of the process
	Resumed bool   `json:"resumed,omitempty"`
	OneWay  bool   `json:"one_way,omitempty"`
	Text    bool   `json:"text,omitempty"` // the sender wants events as text
	Seq     uint64 `json:"seq,omitempty"`
	State   string `json:"state,omitempty"` // State64
	Data    string `json:"data,omitempty"`
}

// Types of control frames.
const (
	typeHello   = "hello"   // client: who it is; the first frame
	typeWelcome = "welcome" // server: the answer
	typeEvent   = "event"   // a message of the application, for those who want text
	typeBeat    = "beat"    // client: a heartbeat of its own, for who sends text: with what it has (last) and its state
	typeAck     = "ack"     // the latest event that the sender has
	typeEvery   = "every"   // client: how often it wants to be pinged, or beats, from now on
	typeSlower  = "slower"  // server: pings come too often; at most one in so long
	typeRetry   = "retry"   // server: come back in so long
	typeBye     = "bye"     // either: the session is over
	typeWake    = "wake"    // server: the sleep of a spare connection is over
)

// version is that of the protocol.
const version = 1

// MaxName is how long the name of a session may be, in bytes.
const MaxName = 128

func (c control) frame() Frame {
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers only
	}
	return Frame{Type: Text, Payload: b}
}

// parseControl returns the control frame in p. ok is false for what is none: the application's own text.
func parseControl(p []byte) (c control, ok bool, err error) {
	if len(p) == 0 || p[0] != '{' {
		return control{}, false, nil
	}
	if err := json.Unmarshal(p, &c); err != nil {
		return control{}, false, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	switch {
	case c.Type == "":
		return control{}, false, fmt.Errorf("%w: JSON without a type", ErrFrame)
	case c.Every < 0 || c.Every > int64(maxEvery/time.Millisecond):
		return control{}, false, fmt.Errorf("%w: every_ms %d, want 0 to %d", ErrFrame, c.Every, int64(maxEvery/time.Millisecond))
	case c.After < 0 || c.After > int64(maxEvery/time.Millisecond):
		return control{}, false, fmt.Errorf("%w: after_ms %d, want 0 to %d", ErrFrame, c.After, int64(maxEvery/time.Millisecond))
	case len(c.State) > MaxState:
		return control{}, false, fmt.Errorf("%w: state of %d bytes, want at most %d", ErrFrame, len(c.State), MaxState)
	case c.Sleep < 0 || c.Sleep > int64(maxInterval/time.Millisecond):
		return control{}, false, fmt.Errorf("%w: sleep_ms %d, want 0 to %d", ErrFrame, c.Sleep, int64(maxInterval/time.Millisecond))
	case len(c.Session) > MaxName:
		return control{}, false, fmt.Errorf("%w: session name of %d bytes, want at most %d", ErrFrame, len(c.Session), MaxName)
	}
	return c, true, nil
}

func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }

func fromMillis(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }
