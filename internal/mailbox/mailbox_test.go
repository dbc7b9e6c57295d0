package mailbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// change is an event that knows how many changes it stands for.
type change struct {
	key    string
	value  int
	folded int
}

// latest keeps one event a key.
func latest(pending []change, next change) []change {
	if len(pending) == 0 {
		return append(pending, next)
	}
	next.folded += pending[0].folded + 1
	pending[0] = next
	return pending
}

// everything keeps all events, for tests of order.
func everything(pending []change, next change) []change { return append(pending, next) }

func put(m *Mailbox[string, change], key string, value int) bool {
	return m.Put(key, change{key: key, value: value})
}

func collect(m *Mailbox[string, change]) (got []change) {
	for c := range m.All() {
		got = append(got, c)
	}
	return got
}

func wantChanges(t *testing.T, got []change, want ...change) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("read %v, want %v", got, want)
	}
}

func TestReaderThatFallsBehindFindsTheFoldOfEachKey(t *testing.T) {
	m := New[string](t.Context(), latest)
	put(m, "b", 1)
	put(m, "a", 2)
	put(m, "b", 3)
	put(m, "b", 4)
	put(m, "c", 5)
	m.Close()
	wantChanges(t, collect(m), change{"b", 4, 2}, change{"a", 2, 0}, change{"c", 5, 0})
}

func TestEventsThatFoldKeepsComeInTheOrderTheyWerePut(t *testing.T) {
	m := New[string](t.Context(), everything)
	put(m, "b", 1)
	put(m, "a", 2)
	put(m, "b", 3)
	m.Close()
	wantChanges(t, collect(m), change{"b", 1, 0}, change{"b", 3, 0}, change{"a", 2, 0})
}

func TestFoldMayCancelAKey(t *testing.T) {
	cancelPairs := func(pending []change, next change) []change {
		if len(pending) > 0 {
			return nil
		}
		return append(pending, next)
	}
	m := New[string](t.Context(), cancelPairs)
	for _, key := range []string{"a", "b", "c"} {
		put(m, key, 1)
		put(m, key, 2)
	}
	put(m, "d", 3)
	m.Close()
	wantChanges(t, collect(m), change{"d", 3, 0})
}

func TestKeyThatChangesAllTheTimeDoesNotHoldOthersUp(t *testing.T) {
	m := New[string](t.Context(), everything)
	put(m, "busy", 0)
	put(m, "quiet", 0)
	seen := 0
	for c := range m.All() {
		if c.key == "quiet" {
			break
		}
		if seen++; seen > 1 {
			t.Fatal("the busy key was read again before the quiet one")
		}
		put(m, "busy", seen)
		put(m, "busy", seen)
	}
}

func TestReaderWaitsForEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := New[string](t.Context(), latest)
		var got []change
		go func() {
			for c := range m.All() {
				got = append(got, c)
			}
		}()
		for i := range 3 {
			synctest.Wait() // the reader has nothing left and waits
			put(m, "a", i)
		}
		m.Close()
		synctest.Wait()
		wantChanges(t, got, change{"a", 0, 0}, change{"a", 1, 0}, change{"a", 2, 0})
	})
}

func TestCloseLetsAReaderFinishWhatIsPending(t *testing.T) {
	m := New[string](t.Context(), latest)
	put(m, "a", 1)
	m.Close()
	m.Close()
	if put(m, "a", 2) {
		t.Error("a closed mailbox took an event")
	}
	wantChanges(t, collect(m), change{"a", 1, 0})
	wantChanges(t, collect(m)) // and a second range ends at once
	<-m.Done()
}

func TestContextEndsAWaitingReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		m := New[string](ctx, latest)
		ended := false
		go func() {
			collect(m)
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Fatal("the reader ended early")
		}
		cancel()
		synctest.Wait()
		if !ended {
			t.Error("the reader outlived its context")
		}
		if put(m, "a", 1) {
			t.Error("took an event that nobody will read")
		}
	})
}

func TestContextEndsAReaderWithEventsLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	m := New[string](ctx, everything)
	for i := range 5 {
		put(m, "a", i)
	}
	read := 0
	for range m.All() {
		if read++; read == 2 {
			cancel()
		}
	}
	if read != 2 {
		t.Errorf("read %d events, want the 2 before the context ended", read)
	}
}

func TestContextThatHasEndedAlready(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m := New[string](ctx, latest)
	<-m.Done()
	wantChanges(t, collect(m))
}

func TestHubGivesEveryReaderEverything(t *testing.T) {
	h := NewHub[string](latest)
	h.Publish("early", change{key: "early"})
	a, b := h.Subscribe(t.Context()), h.Subscribe(t.Context())
	put(a, "snapshot", 7)
	h.Publish("x", change{key: "x", value: 1})
	h.Publish("x", change{key: "x", value: 2})
	h.Close()
	h.Close()
	h.Publish("late", change{key: "late"})
	wantChanges(t, collect(a), change{"snapshot", 7, 0}, change{"x", 2, 1})
	wantChanges(t, collect(b), change{"x", 2, 1})
	wantChanges(t, collect(h.Subscribe(t.Context()))) // nothing comes any more, so it ends
}

func TestHubForgetsReadersThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub[string](latest)
		size := func() int {
			synctest.Wait()
			h.mu.Lock()
			defer h.mu.Unlock()
			return len(h.boxes)
		}
		ctx, cancel := context.WithCancel(t.Context())
		h.Subscribe(ctx) // never read
		broken := h.Subscribe(context.Background())
		h.Subscribe(context.Background()) // stays
		h.Publish("a", change{key: "a"})
		for range broken.All() {
			break
		}
		if n := size(); n != 2 {
			t.Errorf("%d readers after one broke off, want 2", n)
		}
		cancel()
		if n := size(); n != 1 {
			t.Errorf("%d readers after a context ended, want 1", n)
		}
		h.Publish("a", change{key: "a"}) // reaches nobody who has ended
		h.Close()
		if n := size(); n != 0 {
			t.Errorf("%d readers after Close, want 0", n)
		}
	})
}

// Any mix of puts and reads comes to the same as a plain list of (key, value) in which reading takes the key whose
// first event is oldest.
func TestAgainstAPlainList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keep := rapid.IntRange(1, 3).Draw(t, "keep")
		lastFew := func(pending []change, next change) []change {
			pending = append(pending, next)
			return pending[max(0, len(pending)-keep):]
		}
		m := New[string](context.Background(), lastFew)
		var model []struct {
			key    string
			events []change
		}
		var read []change
		var want []change
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 2).Draw(t, "action") == 0 {
				events, _ := m.take()
				read = append(read, events...)
				if len(model) > 0 {
					want = append(want, model[0].events...)
					model = model[1:]
				}
				continue
			}
			c := change{key: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), value: rapid.Int().Draw(t, "value")}
			m.Put(c.key, c)
			i := 0
			for i < len(model) && model[i].key != c.key {
				i++
			}
			if i == len(model) {
				model = append(model, struct {
					key    string
					events []change
				}{key: c.key})
			}
			model[i].events = lastFew(model[i].events, c)
		}
		m.Close()
		read = append(read, collect(m)...)
		for _, rest := range model {
			want = append(want, rest.events...)
		}
		if !slices.Equal(read, want) {
			t.Fatalf("read %v, want %v", read, want)
		}
	})
}

// Many writers, each with its own keys, and readers that come and go: whoever stays reads every key's changes in
// order and can account for each of them.
func TestManyWritersAndReaders(t *testing.T) {
	const writers, keys, changes = 4, 5, 200
	h := NewHub[string](latest)
	var readers, writing sync.WaitGroup
	for range 3 {
		m := h.Subscribe(t.Context())
		readers.Go(func() {
			total, last := 0, map[string]int{}
			for c := range m.All() {
				if c.value <= last[c.key] {
					t.Errorf("%s: %d came after %d", c.key, c.value, last[c.key])
				}
				last[c.key] = c.value
				total += c.folded + 1
			}
			if want := writers * keys * changes; total != want {
				t.Errorf("the events read stand for %d changes, want %d", total, want)
			}
			for key, value := range last {
				if value != changes {
					t.Errorf("%s ended at %d, want %d", key, value, changes)
				}
			}
		})
	}
	for w := range writers {
		writing.Go(func() {
			for i := range changes {
				passing := h.Subscribe(t.Context()) // reads one event and is gone
				for k := range keys {
					key := fmt.Sprintf("%d.%d", w, k)
					h.Publish(key, change{key: key, value: i + 1})
				}
				for range passing.All() {
					break
				}
			}
		})
	}
	writing.Wait()
	h.Close()
	readers.Wait()
}

func BenchmarkPublish(b *testing.B) {
	for _, readers := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("readers=%d", readers), func(b *testing.B) {
			h := NewHub[int](func(pending []int, next int) []int { return append(pending[:0], next) })
			defer h.Close()
			for range readers {
				h.Subscribe(b.Context())
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				h.Publish(i&1023, i)
			}
		})
	}
}
