package ring

import (
	"fmt"
	"slices"
	"strings"
)

// Rotation decides whose turn it is to get the next heartbeat. It keeps two promises to
// every receiver: the next heartbeat comes after as many turns as this one said, or sooner;
// and nobody who was listened to falls silent without a last heartbeat that says so. A
// change of the receivers therefore waits for the end of the round: newcomers join behind
// the others, and who is dropped gets one more turn.
//
// The zero value has no receivers. A copy is independent.
type Rotation struct {
	round []Turn
	at    int      // the next turn in round
	want  []string // receivers from the next round on
}

// Turn is one heartbeat to one receiver.
type Turn struct {
	To   string
	Last bool // no more after this one
}

// Set replaces the receivers, which the rotation keeps: they must not be changed after.
func (r *Rotation) Set(receivers []string) { r.want = receivers }

// Receivers are those from the next round on. They must not be changed.
func (r *Rotation) Receivers() []string { return r.want }

// Serves tells whether a member gets heartbeats, or will from the next round on.
func (r *Rotation) Serves(name string) bool {
	return slices.Contains(r.want, name) || slices.ContainsFunc(r.round, func(t Turn) bool { return t.To == name && !t.Last })
}

// Turns is how many turns the present round has.
func (r *Rotation) Turns() int { return len(r.round) }

// Next returns the next turn, and how many turns later the same receiver has its next one
// at the latest. ok is false where there is nobody to beat to.
func (r *Rotation) Next() (t Turn, turns int, ok bool) {
	if r.at >= len(r.round) {
		r.begin()
	}
	if len(r.round) == 0 {
		return Turn{}, 0, false
	}
	t = r.round[r.at]
	r.at++
	return t, len(r.round), true
}

func (r *Rotation) begin() {
	round := make([]Turn, 0, len(r.want))
	for _, t := range r.round {
		switch wanted := slices.Contains(r.want, t.To); {
		case wanted:
			round = append(round, Turn{To: t.To})
		case !t.Last:
			round = append(round, Turn{To: t.To, Last: true})
		}
	}
	for _, to := range r.want {
		if !slices.ContainsFunc(round, func(t Turn) bool { return t.To == to }) {
			round = append(round, Turn{To: to})
		}
	}
	r.round, r.at = round, 0
}

// String shows the round, the next turn after a bar, and who comes after it.
func (r *Rotation) String() string {
	var b strings.Builder
	for i, t := range r.round {
		if i == r.at {
			b.WriteString("| ")
		}
		b.WriteString(t.To)
		if t.Last {
			b.WriteString(" (last)")
		}
		b.WriteByte(' ')
	}
	fmt.Fprintf(&b, "then %v", r.want)
	return b.String()
}
