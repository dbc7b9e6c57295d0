package detector

import (
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// The roster against a plain map, through any order of coming and going. Hashes are few, so that they collide, and at the
// ends of their range, so that the index wraps around.
func TestRosterAgainstAMap(t *testing.T) {
	hash := func(id int) uint64 {
		h := [...]uint64{0, 1, 1 << 32, 1<<64 - 1, 1<<64 - 1<<32, 0xdeadbeef << 32}[id%6]
		return h + uint64(id/24)<<59
	}
	rapid.Check(t, func(t *rapid.T) {
		var r roster[int]
		there := map[int]bool{}
		looks := map[number]instant{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			id := rapid.IntRange(0, 60).Draw(t, "id")
			p := r.find(hash(id), id)
			if there[id] != (p != nil) || p != nil && (p.id != id || !p.watched()) {
				t.Fatalf("found %v for %d, want %v", p, id, there[id])
			}
			if p == nil {
				p = r.add(hash(id))
				p.id, p.short, p.interval = id, shorten(id), 1
				if want, again := looks[p.number]; again && p.look != want || !again && p.look != never {
					t.Fatalf("the look at number %d has become %d", p.number, p.look)
				}
				p.look = instant(rapid.IntRange(0, 9).Draw(t, "look"))
				looks[p.number] = p.look
			} else {
				r.remove(hash(id), id)
			}
			there[id] = !there[id]
		}
		r.all(func(p *peer[int]) {
			if !there[p.id] {
				t.Fatalf("%d is still there", p.id)
			}
			delete(there, p.id)
		})
		for id, left := range there {
			if left {
				t.Fatalf("%d is gone", id)
			}
		}
	})
}

// Numbers fill one chunk after another, of which at most a sixteenth is empty.
func TestNumbersFillChunks(t *testing.T) {
	chunk, place, room := -1, 0, 0
	for n := range number(300_000) {
		if place++; n == 0 || place == 1<<sizeOf(n-1) {
			chunk, place, room = chunk+1, 0, room+1<<sizeOf(n)
		}
		if c, p, _ := locate(n); c != chunk || p != place {
			t.Fatalf("%d is at %d in chunk %d, want %d in %d", n, p, c, place, chunk)
		}
		if used := int(n) + 1; room-used > max(1<<firstChunk, used/16) {
			t.Fatalf("%d peers have room for %d", used, room)
		}
	}
}

func sizeOf(n number) uint8 { _, _, size := locate(n); return size }

// The schedule against a plain list: it always knows the earliest entry, however close or far, and gives each once, when it
// is due.
func TestScheduleAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule()
		var waiting []entry
		now := instant(0)
		check := func() {
			first := never
			for _, e := range waiting {
				first = min(first, e.at)
			}
			if next := s.next(); next != first && (first > now || next > now) {
				t.Fatalf("next at %d, want %d", next, first)
			}
		}
		take := func() bool {
			e, ok := s.take(now)
			if i := slices.Index(waiting, e); ok && (i < 0 || e.at > now) {
				t.Fatalf("took %v at %d of %v", e, now, waiting)
			} else if ok {
				waiting = slices.Delete(waiting, i, i+1)
			}
			check()
			return ok
		}
		for n := range rapid.IntRange(0, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				now += instant(rapid.Uint64Range(0, 1<<rapid.IntRange(0, 56).Draw(t, "log2")).Draw(t, "time"))
				for range rapid.IntRange(0, 3).Draw(t, "takes") { // perhaps not all that are due
					take()
				}
			default:
				e := entry{now, number(n)}
				e.at += instant(rapid.Uint64Range(0, 1<<rapid.IntRange(0, 60).Draw(t, "log2")).Draw(t, "delay"))
				if rapid.IntRange(0, 9).Draw(t, "late") == 0 {
					e.at = max(0, now-5)
				}
				s.add(e)
				waiting = append(waiting, e)
				check()
			}
		}
		for len(waiting) > 0 {
			now = max(now, s.next())
			if !take() {
				t.Fatalf("nothing is due at %d of %v", now, waiting)
			}
		}
		if s.next() != never || take() {
			t.Fatal("something is left")
		}
	})
}

// What is not due yet when its slot is opened moves to the level where it is alone, and not back to the same.
func TestScheduleMovesEntriesDown(t *testing.T) {
	s := newSchedule()
	s.add(entry{1 << 30, 1})
	s.add(entry{1<<30 + 5, 2})
	if s.levels[5].taken == 0 {
		t.Fatal("a second is not at level 5")
	}
	s.take(1 << 30)
	if s.levels[5].taken != 0 || s.levels[0].taken != 1<<5 {
		t.Errorf("5 ns are not at level 0")
	}
}

// Ids are compared, whether or not they fit in beside the peer.
func TestIDsAreCompared(t *testing.T) {
	ids := []string{"", "a", "ab", "ab\x00", strings.Repeat("x", 35), strings.Repeat("x", 36), strings.Repeat("x", 37), strings.Repeat("x", 37) + "y"}
	for _, id := range ids {
		p := peer[string]{id: id, short: shorten(id)}
		dynamic := peer[any]{id: id, short: shorten[any](id)}
		for _, other := range ids {
			if same := id == other; p.is(strings.Clone(other)) != same || dynamic.is(other) != same {
				t.Errorf("%q and %q are the same, or not", id, other)
			}
		}
		if dynamic.is(1) || (&peer[any]{id: 1, short: shorten[any](1)}).is(id) {
			t.Errorf("%q is 1", id)
		}
	}
}

// Looks that are put off, brought forward, or of peers that come and go, do not pile up.
func TestEntriesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := New[int](Config{})
		defer d.Close()
		for range 10_000 {
			d.Watch(1, 0)
			d.Restart(1)
			d.SetInterval(1, time.Hour)
			d.SetInterval(1, time.Second)
			d.Heartbeat(1)
			d.Forget(1)
		}
		if n := entries(d); n > 2 { // one for the first heartbeat, one brought forward
			t.Errorf("%d entries of one peer", n)
		}

		t.Log("Nor as time passes, and looks come due.")
		d.Watch(1, time.Hour)
		d.Heartbeat(1)
		for range 1000 {
			d.SetThresholds(4, 8)
			time.Sleep(time.Second)
			d.SetThresholds(2, 8)
			time.Sleep(time.Second)
		}
		if n := entries(d); n > 4 {
			t.Errorf("%d entries of one peer whose thresholds alternate", n)
		}
		d.SetInterval(1, time.Second)
		for range 2000 {
			d.Restart(1)
			time.Sleep(time.Second)
			d.Heartbeat(1)
			time.Sleep(2 * time.Second)
		}
		if n := entries(d); n > 15 { // one for each restart in ten intervals, and the above
			t.Errorf("%d entries of one peer that restarts", n)
		}
	})
}

// entries counts the entries in all schedules.
func entries[K comparable](d *Detector[K]) (n int) {
	for i := range d.shards {
		s := &d.shards[i]
		s.mu.Lock()
		for _, l := range s.schedule.levels {
			for i := 0; l != nil && i < len(l.slots); i++ {
				for b := l.slots[i].bundles; b != nil; b = b.next {
					n += b.n
				}
			}
		}
		s.mu.Unlock()
	}
	return n
}

// Peers that come and go leave nothing behind.
func TestRosterReusesNumbers(t *testing.T) {
	var r roster[int]
	for round := range 50 {
		for id := range 600 {
			p := r.add(uint64(id*round) << 50)
			p.id, p.short, p.interval = id, shorten(id), 1
		}
		for id := range 600 {
			r.remove(uint64(id*round)<<50, id)
		}
	}
	if n := len(r.table.Load().index); r.used != 600 || n != 1024 || r.count != 0 {
		t.Errorf("600 peers at a time left %d places, an index of %d and a count of %d", r.used, n, r.count)
	}
	if r.find(0, 0) != nil {
		t.Error("a forgotten peer is found")
	}
}

// The bound of 400 bytes a peer, of all that the heap holds but the id's own bytes.
func TestMemoryOfAPeer(t *testing.T) {
	const peers, limit = 20_000, 400
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	names := make([]string, peers)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	before := heap()
	d, _ := New[string](Config{})
	defer d.Close()
	for _, name := range names {
		d.Watch(name, 0)
		d.Heartbeat(name)
	}
	if each := (heap() - before) / peers; each > limit {
		t.Errorf("%d bytes a peer, want at most %d", each, limit)
	}
	runtime.KeepAlive(names)
}

func TestHeartbeatsAllocateNothing(t *testing.T) {
	d, _ := New[string](Config{})
	defer d.Close()
	d.Watch("a", 0)
	d.Heartbeat("a")
	seq := uint64(0)
	beats := []Beat[string]{{ID: "a"}, {ID: "b"}}
	for name, f := range map[string]func(){
		"Heartbeat":    func() { d.Heartbeat("a") },
		"HeartbeatSeq": func() { seq++; d.HeartbeatSeq("a", seq) },
		"HeartbeatAt":  func() { seq++; d.HeartbeatAt("a", time.Now(), seq) },
		"Batch":        func() { seq++; beats[0].Seq = seq; d.Batch(beats) },
		"Phi":          func() { d.Phi("a") },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
