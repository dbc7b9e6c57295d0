package detector

import "time"

// loop is the detector's goroutine, with its only timer. It looks at the peers whose time has come and sleeps until the
// next one's, or until the clock has to be looked at (see ear).
func (d *Detector[K]) loop() {
	defer close(d.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-d.wake:
		case <-timer.C:
		}
		if next := d.round(); next == never {
			timer.Stop()
		} else {
			timer.Reset(next.sub(d.now()))
		}
	}
}

// turn is how many times some peers a shard may have judged before the next has its turn: about a millisecond.
const turn = 16

// round judges whom it is time to judge, and returns when it promised the next round for.
func (d *Detector[K]) round() (next instant) {
	for {
		now := d.look()
		next = never
		for i := range d.shards {
			first, more := d.shards[i].judge(now, &d.ear)
			for n := 0; more && n < turn; n++ {
				now = d.look()
				first, more = d.shards[i].judge(now, &d.ear)
			}
			next = min(next, first)
		}
		next = d.ear.promise(now, max(next, now)) // now, if a shard has more than a turn's worth
		// While a promise is out, whoever schedules something later than it need not wake us. So before sleeping for
		// good, see whether somebody has.
		if next != never || d.idle() {
			return next
		}
	}
}

// look is the loop's look at the clock.
func (d *Detector[K]) look() instant {
	now := d.now()
	d.ear.look(now, d.skip)
	return now
}

// idle reports that nothing is scheduled.
func (d *Detector[K]) idle() bool {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		next := s.schedule.next()
		s.mu.Unlock()
		if next != never {
			return false
		}
	}
	return true
}

// pull wakes the loop if it means to sleep beyond look.
func (d *Detector[K]) pull(look instant) {
	if look >= instant(d.ear.due.Load()) {
		return
	}
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// skip puts right the silence of all peers after a pause, and returns what the clock shows then.
func (d *Detector[K]) skip(from, to instant) (now instant) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		s.peers.all(func(p *peer[K]) {
			p.mu.Lock()
			p.skip(&s.rules, from, to)
			p.mu.Unlock()
		})
		s.mu.Unlock()
	}
	return d.now()
}
