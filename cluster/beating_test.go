package cluster

import (
	"testing"
	"time"
)

// Whoever takes over a dead member's address gets its heartbeats for a while too, under numbers of another edge: nothing was lost
// between the two.
func TestHeartbeatsForAnotherMember(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i := range uint64(20) {
		other := beat{Seq: 1001 + 2*i, Edge: 500 + i, Interval: micros(time.Second), Every: micros(DefaultBeat)}
		own := other
		own.Seq, own.Edge = other.Seq+1, 1+i
		c.heartbeat(now.Add(time.Duration(2*i)*time.Second/2), r, &other)
		c.heartbeat(now.Add(time.Duration(2*i+1)*time.Second/2), r, &own)
	}
	c.heartbeat(now.Add(20*time.Second), r, &beat{Seq: 1041, Edge: 520}) // it was dismissed
	if loss := r.edge.loss.rate(); loss > priorLoss || r.edge.heardEdge != 20 || !r.edge.watched {
		t.Errorf("loss %.2f, last heartbeat of the edge %d, watched: %v; want none, 20 and true", loss, r.edge.heardEdge, r.edge.watched)
	}
	if got := c.count.stats().Dropped[dropEdge]; got != 20 { // the first could not be known for one
		t.Errorf("%d dropped, want 20", got)
	}
}

// A last heartbeat says nothing of the ear of a member that is not heard here any more, and ends what the ones before it said.
func TestLastHeartbeatEndsDeafness(t *testing.T) {
	now := time.Now()
	c, r := listener(t, now)
	for i, b := range []beat{
		{Seq: 1001, Edge: 1, Deaf: true},
		{Seq: 1002, Edge: 2, Deaf: true, Interval: 500_000},
		{Seq: 1003, Edge: 3, Deaf: true},
	} {
		b.Every = 125_000
		c.heartbeat(now.Add(time.Duration(i)*time.Second), r, &b)
		if want := [...]State{StateUp, StateSuspect, StateUp}[i]; r.shown != want {
			t.Errorf("shown %v after heartbeat %d, want %v", r.shown, b.Seq, want)
		}
	}
	if r.suspicion.ended.IsZero() {
		t.Error("the deafness is not remembered")
	}
}
