package cluster

import "slices"

// rotation decides whose turn it is to get the next heartbeat. It keeps two promises to every receiver: the next
// heartbeat comes after as many turns as this one said, or sooner; and nobody who was listened to falls silent without
// a last heartbeat that says so. A change of the receivers therefore waits for the end of the round: newcomers join
// behind the others, and who is dropped gets one more turn.
type rotation struct {
	round []turn
	at    int      // next turn in round
	want  []string // receivers from the next round on
}

type turn struct {
	to   string
	last bool // no more after this one
}

// set replaces the receivers.
func (r *rotation) set(receivers []string) { r.want = receivers }

// next returns the next turn, and how many turns later the same receiver has its next one at the latest. ok is false
// where there is nobody to beat to.
func (r *rotation) next() (t turn, turns int, ok bool) {
	if r.at >= len(r.round) {
		r.begin()
	}
	if len(r.round) == 0 {
		return turn{}, 0, false
	}
	t = r.round[r.at]
	r.at++
	return t, len(r.round), true
}

func (r *rotation) begin() {
	round := make([]turn, 0, len(r.want))
	for _, t := range r.round {
		switch wanted := slices.Contains(r.want, t.to); {
		case wanted:
			round = append(round, turn{to: t.to})
		case !t.last:
			round = append(round, turn{to: t.to, last: true})
		}
	}
	for _, to := range r.want {
		if !slices.ContainsFunc(round, func(t turn) bool { return t.to == to }) {
			round = append(round, turn{to: to})
		}
	}
	r.round, r.at = round, 0
}
