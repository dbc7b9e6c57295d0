package detector

import (
	"runtime"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The roster and the schedule against a plain map, through any order of coming, going and being put off. Hashes are
// few, so that they collide, and at the ends of their range, so that the index wraps around.
func TestRosterAndScheduleAgainstAMap(t *testing.T) {
	hash := func(id int) uint64 {
		h := [...]uint64{0, 1, 1 << 32, 1<<64 - 1, 1<<64 - 1<<32, 0xdeadbeef << 32}[id%6]
		return h + uint64(id/24)<<59
	}
	rapid.Check(t, func(t *rapid.T) {
		var r roster[int]
		s := schedule[int]{peers: &r}
		looks := map[int]instant{} // of all peers
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			id := rapid.IntRange(0, 60).Draw(t, "id")
			p := r.find(hash(id), id)
			if _, there := looks[id]; there != (p != nil) || there && p.id != id {
				t.Fatalf("found %v for %d, want %v", p, id, there)
			}
			switch at := instant(rapid.IntRange(0, 100).Draw(t, "at")); {
			case p == nil:
				s.set(r.add(hash(id), peer[int]{id: id}), at)
				looks[id] = at
			case at < 20:
				s.remove(p)
				r.remove(hash(id), id)
				delete(looks, id)
			case at < 30:
				s.set(p, never)
				looks[id] = never
			default:
				s.set(p, at)
				looks[id] = at
			}

			first := never
			for _, at := range looks {
				first = min(first, at)
			}
			if s.next() != first {
				t.Fatalf("next look at %d, want %d", s.next(), first)
			}
			if s.due(first-1) != nil {
				t.Fatal("a look is due before the first")
			}
			if first != never && looks[s.due(first).id] != first {
				t.Fatal("the look that is due is not the first")
			}
		}
		all := 0
		r.all(func(p *peer[int]) {
			if _, there := looks[p.id]; !there {
				t.Fatalf("%d is still there", p.id)
			}
			all++
		})
		if all != len(looks) || r.count != len(looks) {
			t.Fatalf("%d peers counted as %d, want %d", all, r.count, len(looks))
		}
		for s.next() != never { // everything comes out, in order
			p := s.due(s.next())
			for _, at := range looks {
				if at < looks[p.id] {
					t.Fatalf("a look at %d came before one at %d", looks[p.id], at)
				}
			}
			s.remove(p)
			looks[p.id] = never
		}
		for id, at := range looks {
			if at != never {
				t.Fatalf("%d never came out", id)
			}
		}
	})
}

// Peers that come and go leave nothing behind.
func TestRosterReusesNumbers(t *testing.T) {
	var r roster[int]
	for round := range 50 {
		for id := range 600 {
			r.add(uint64(id*round)<<50, peer[int]{id: id})
		}
		for id := range 600 {
			r.remove(uint64(id*round)<<50, id)
		}
	}
	if len(r.chunks) != 3 || len(r.index) != 1024 || r.count != 0 {
		t.Errorf("600 peers at a time left %d chunks, an index of %d and a count of %d", len(r.chunks), len(r.index), r.count)
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
