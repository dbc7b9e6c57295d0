package link

import (
	"sync"
	"time"
)

// rounds are when which connection is to be pinged: a wheel, whose slots are a tick apart. One goroutine turns it for all, so that a
// connection costs neither a timer nor a goroutine. What is due later than a turn of the wheel takes goes round.
type rounds struct {
	mu    sync.Mutex
	tick  time.Duration
	slots [wheelSlots][]place
	spare [][]place // of emptied slots: few are filled at a time
	begun time.Time
	turn  int64 // ticks since begun, of the slot that was emptied last
	len   int
	wake  chan struct{}
}

// place is a connection in a slot. Its generation tells one that was put elsewhere since.
type place struct {
	l   *served
	gen uint64
}

const (
	wheelSlots = 512
	// A tick is a 64th of the interval, within these bounds: beats are jittered by far more.
	minTick, maxTick = 5 * time.Millisecond, 250 * time.Millisecond
)

func (r *rounds) init(every time.Duration, now time.Time) {
	r.tick = min(max(every/64, minTick), maxTick)
	r.begun = now
	r.wake = make(chan struct{}, 1)
}

// add has l be due after so long, and no more when it was due before. It reports false if l was removed.
func (r *rounds) add(l *served, now time.Time, after time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.off {
		return false
	}
	l.gen++
	l.due = now.Add(after)
	r.put(l)
	if r.len++; r.len == 1 {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// remove has l be due never again: who took it just now, and adds it for the next time, does so in vain.
func (r *rounds) remove(l *served) {
	r.mu.Lock()
	l.off = true
	l.gen++
	r.mu.Unlock()
}

// put needs r.mu.
func (r *rounds) put(l *served) {
	at := max(r.turn+1, int64(l.due.Sub(r.begun)/r.tick))
	at = min(at, r.turn+wheelSlots-1)
	slot := &r.slots[at%wheelSlots]
	if n := len(r.spare); *slot == nil && n > 0 {
		*slot, r.spare = r.spare[n-1], r.spare[:n-1]
	}
	*slot = append(*slot, place{l, l.gen})
}

// take appends those who are due to list, and tells when the next turn is; the zero time: nobody waits.
func (r *rounds) take(now time.Time, list []*served) ([]*served, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for until := int64(now.Sub(r.begun) / r.tick); r.turn < until; {
		if until-r.turn > wheelSlots { // all slots are emptied in any case
			r.turn = until - wheelSlots
		}
		r.turn++
		slot := &r.slots[r.turn%wheelSlots]
		places := *slot
		*slot = nil
		for _, p := range places {
			switch {
			case p.gen != p.l.gen:
				r.len--
			case p.l.due.After(now):
				r.put(p.l)
			default:
				p.l.gen++
				r.len--
				list = append(list, p.l)
			}
		}
		if cap(places) > 0 {
			clear(places)
			r.spare = append(r.spare, places[:0])
		}
	}
	if r.len == 0 {
		return list, time.Time{}
	}
	return list, r.begun.Add(time.Duration(r.turn+1) * r.tick)
}
