package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// However many members of ever new names come and go: what is remembered of them is bounded, and who was forgotten is not told of again.
func TestTheGoneAreBounded(t *testing.T) {
	now := time.Now()
	c := loner(t, now, Config{Name: "a"})
	told := map[string]int{}
	c.publish = func(name string, e Event) {
		if e.Kind == Down {
			told[name]++
		}
	}
	const many = 2000
	var table []claim.Claim
	for i := range many {
		now = now.Add(time.Second)
		r := meet(t, c, now, fmt.Sprint("x", i), "10.0.0.1:7946", nil)
		down := claim.Claim{Name: r.Name, Boot: 1, State: claim.Down}
		c.merge(now, nil, down)
		c.gossipDead(now, r.Name+"#1")
		down.Addr = r.Addr
		table = append(table, down)
		c.wake(now)
	}
	for what, size := range map[string]int{
		"members": len(c.members), "gone": len(c.gone), "forgotten": len(c.forgotten), "lost": len(c.lost),
		"listed": len(c.listed), "departing": len(c.departing),
	} {
		if size > fewestGone {
			t.Errorf("%s: %d are kept of %d, want at most %d", what, size, many, fewestGone)
		}
	}
	// Somebody remembers them all.
	for i := range table {
		table[i].Age = micros(time.Duration(many-1-i) * time.Second)
	}
	c.receivedState(now, encoded(t, &wire.Packet{From: "b", Boot: 1, Claims: table}))
	for name, times := range told {
		if times != 1 {
			t.Fatalf("%s was told to be down %d times", name, times)
		}
	}
	if len(told) != many {
		t.Errorf("%d of %d deaths were told", len(told), many)
	}
}
