package detector

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestBatchIsManyHeartbeats(t *testing.T) {
	tell(t, Config{SuspectPhi: 2, DownPhi: 8}, func(s *story) {
		s.watch("a", 0)
		s.watch("b", 0)
		for seq := range uint64(10) {
			batch := []Beat[string]{{ID: "a", Seq: seq + 1}, {ID: "nobody", Seq: 1}, {ID: "b", Age: [...]time.Duration{-time.Second, math.MinInt64}[seq%2]}}
			if n := s.Batch(batch); n != 2 {
				t.Fatalf("%d of the batch are watched, want 2", n)
			}
			if phi := s.Phi("b"); phi != 0 {
				t.Errorf("φ = %v of one heard at a negative age", phi)
			}
			time.Sleep(1100 * time.Millisecond)
		}
		if got := s.events.take(3); len(got) != 2 || got[0].To != Up || got[1].To != Up {
			t.Fatalf("%v, want both up", got)
		}
		t.Log("An old number is no sign of life, and neither is an old heartbeat.")
		for range 60 {
			s.Batch([]Beat[string]{{ID: "a", Seq: 5}, {ID: "b", Age: time.Hour}})
			time.Sleep(time.Second)
		}
		if got := s.events.take(5); len(got) != 4 || got[2].To != Down || got[3].To != Down {
			t.Fatalf("%v, want both suspect, then both down", got)
		}
		t.Log("One heard lately helps as far as it reaches.")
		s.Batch([]Beat[string]{{ID: "a", Seq: 11}})
		s.wants("a", Down, Up)
		s.Batch([]Beat[string]{{ID: "b", Age: 4 * time.Second}})
		s.wants("b", Down, Suspect)
		s.Forget("a")
		s.Forget("b")
	})
}

// A batch larger than a block, over all shards and with several beats of one peer, is what its beats are one by one.
func TestLargeBatchIsItsBeatsOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, _ := New[int](Config{})
		many, _ := New[int](Config{})
		defer one.Close()
		defer many.Close()
		const peers = 300
		for id := range peers {
			one.Watch(id, 0)
			many.Watch(id, 0)
		}
		random := rand.New(rand.NewPCG(1, 2))
		for range 20 {
			var batch []Beat[int]
			for range random.IntN(1000) {
				batch = append(batch, Beat[int]{random.IntN(peers + 10), random.Uint64N(50), time.Duration(random.Int64N(1e9))})
			}
			now, watched := time.Now(), 0
			for _, b := range batch {
				if one.HeartbeatAt(b.ID, now.Add(-b.Age), b.Seq) {
					watched++
				}
			}
			if n := many.Batch(batch); n != watched {
				t.Errorf("%d beats were of watched peers, want %d", n, watched)
			}
			time.Sleep(time.Duration(random.Int64N(3e9)))
			for id := range peers {
				a, _ := one.State(id)
				b, _ := many.State(id)
				if a != b || one.Phi(id) != many.Phi(id) {
					t.Fatalf("%d is %v with φ = %v after a batch, %v with %v after its beats", id, b, many.Phi(id), a, one.Phi(id))
				}
			}
		}
	})
}

func TestFrameCarriesABatch(t *testing.T) {
	beats := []Beat[string]{
		{ID: "a", Seq: 1},
		{ID: "", Seq: math.MaxUint64, Age: 24 * time.Hour},
		{ID: strings.Repeat("x", 1024), Age: 1500 * time.Microsecond},
	}
	frame, err := AppendFrame([]byte("before"), beats)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeFrame(frame[len("before"):], beats[:1:1])
	if err != nil {
		t.Fatal(err)
	}
	if want := append(beats[:1:1], beats...); !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %v, want %v", got, want)
	}
	if frame, _ := AppendFrame(nil, []Beat[string]{{ID: "a", Seq: 300, Age: 5 * time.Millisecond}}); string(frame) != "\x01\x01\x01a\xac\x02\x88\x27" {
		t.Errorf("frame %q: the format has changed, the version has not", frame)
	}
}

func TestFramesThatAreWrong(t *testing.T) {
	for frame, want := range map[string]string{
		"":                         "version is cut short",
		"\x02\x00":                 "version 2, want 1",
		"\x01":                     "count is cut short",
		"\x01\x01":                 "count is 1, above 0",
		"\x01\xff\xff\xff\xff\x0f": "count is 4294967295, above",
		"\x01\x01\x05ab":           "id is cut short: 2 bytes, want 5",
		"\x01\x01\x81\x08abc":      "length of id is 1025, above 1024",
		"\x01\x01\x01a\x01":        "age is cut short",
		"\x01\x01\x01a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00":          "seq is cut short or not a 64-bit varint",
		"\x01\x01\x01a\x01" + string(binary.AppendUvarint(nil, 86400000001)): "age is 86400000001, above 86400000000",
		"\x01\x00more": "4 bytes after the last beat",
	} {
		beats := []Beat[string]{{ID: "kept"}}
		got, err := DecodeFrame([]byte(frame), beats)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", frame, err, want)
		}
		if len(got) != 1 {
			t.Errorf("%q: beats %v were added", frame, got)
		}
	}
	for _, b := range []Beat[string]{{ID: strings.Repeat("x", 1025)}, {Age: 24*time.Hour + 1}} {
		frame, err := AppendFrame([]byte("kept"), []Beat[string]{{ID: "a"}, b})
		if err == nil || !strings.Contains(err.Error(), "beat 1") || string(frame) != "kept" {
			t.Errorf("AppendFrame gave %q, %v", frame, err)
		}
	}
}

// Whatever comes over the wire: no panic, no more beats than bytes allow, and what is accepted survives the way back.
func FuzzDecodeFrame(f *testing.F) {
	for _, beats := range [][]Beat[string]{nil, {{ID: "a", Seq: 1}}, {{ID: "", Age: time.Hour}, {ID: "b:1", Seq: 1 << 60}}} {
		frame, _ := AppendFrame(nil, beats)
		f.Add(frame)
		f.Add(frame[:len(frame)-1])
	}
	f.Add([]byte("\x01\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, frame []byte) {
		beats, err := DecodeFrame(frame, nil)
		if err != nil {
			return
		}
		if len(beats)*minBeat > len(frame) {
			t.Fatalf("%d beats out of %d bytes", len(beats), len(frame))
		}
		again, err := AppendFrame(nil, beats)
		if err != nil {
			t.Fatal(err)
		}
		same, err := DecodeFrame(again, nil)
		if err != nil || !reflect.DeepEqual(same, beats) {
			t.Fatalf("%v came back as %v, %v", beats, same, err)
		}
	})
}
