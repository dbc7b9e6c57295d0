package link

// State is what a [Server] thinks of a session, or a [Client] of its own.
//
//	           hello                    φ ≥ SuspectPhi
//	(nothing) ───────▶ Up ───────────────────────────────▶ Suspect
//	                   ▲ ◀──────── heartbeat ──────────────── │
//	                   │ resumed                              │ φ ≥ DownPhi, or the connection ended
//	                   │                                      ▼
//	                   └───────────────────────────────────  Away ───▶ Gone
//	                                                             Grace
//
// A connection that ends leads from Up to Away at once. A goodbye leads to Gone from anywhere.
type State uint8

const (
	// Up: its silence is ordinary.
	Up State = iota + 1
	// Suspect: its silence is unusual. The connection is kept.
	Suspect
	// Away: the connection is over, and the session waits for its owner for Config.Grace. Nothing that was sent meanwhile is
	// lost if the owner resumes.
	Away
	// Gone: its owner said goodbye, or did not come back in time. It cannot be resumed.
	Gone
)

var stateNames = [...]string{"unknown", "up", "suspect", "away", "gone"}

// String returns "up", "suspect", "away", "gone", or "unknown" for the zero State.
func (s State) String() string {
	if int(s) >= len(stateNames) {
		s = 0
	}
	return stateNames[s]
}

// MarshalText returns what String does, so that JSON has names of states.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Cause is why a session is Suspect, Away or Gone, as far as is known here.
type Cause uint8

const (
	// Silent: nothing came, and the kernel of this system, or a proxy in between, tells nothing of the path.
	Silent Cause = iota + 1
	// Path: what was sent is not acknowledged by the other host: it has no power, or the path to it is cut.
	Path
	// Stuck: the other host acknowledges what is sent, and the application there says nothing.
	Stuck
	// Slow: the other end takes what is sent, but falls behind.
	Slow
	// Clean: the other end closed the connection, or its host did for it.
	Clean
	// Local: this end closed the connection, or was stopped itself.
	Local
)

var causeNames = [...]string{"", "silent", "path", "stuck", "slow", "clean", "local"}

// String returns "silent", "path", "stuck", "slow", "clean", "local", or nothing for the zero Cause.
func (c Cause) String() string {
	if int(c) >= len(causeNames) {
		c = 0
	}
	return causeNames[c]
}

// MarshalText returns what String does.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
