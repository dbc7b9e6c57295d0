package cluster_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// Keys of a live cluster are rotated without a false alarm, and who starts later needs the new one only.
func TestKeysRotate(t *testing.T) {
	for _, size := range []int{1, 2, 5, 20} {
		inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
			old, next := key('a'), key('b')
			w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{old, key('x'), key('y')} }
			names := w.startAll(size)
			n := w.nodes[names[size/2]]
			began := time.Now()

			if answers, err := n.UseKey(t.Context(), next); err == nil || !strings.Contains(err.Error(), "lack key") {
				t.Errorf("a key that nobody has was made primary: %v, %v", answers, err)
			}
			if answers, err := n.RemoveKey(t.Context(), old); err == nil || !strings.Contains(err.Error(), "encrypt with key") {
				t.Errorf("the primary key was removed: %v, %v", answers, err)
			}
			for _, step := range []struct {
				do   func() ([]cluster.Answer, error)
				want []string
			}{
				{func() ([]cluster.Answer, error) { return n.AddKey(t.Context(), next) }, ids('a', 'x', 'y', 'b')},
				{func() ([]cluster.Answer, error) { return n.UseKey(t.Context(), next) }, ids('b', 'a', 'x', 'y')},
				{func() ([]cluster.Answer, error) { return n.RemoveKey(t.Context(), old) }, ids('b', 'x', 'y')},
			} {
				answers, err := step.do()
				if err != nil || len(answers) != size {
					t.Fatalf("%d of %d answers, %v", len(answers), size, err)
				}
				for _, a := range answers {
					if !sameKeys(a.Keys, step.want) {
						t.Errorf("%s has %v, want %v", a.Member, a.Keys, step.want)
					}
				}
				time.Sleep(time.Second)
			}
			w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{next} }
			w.start("late", "")
			w.within(2*time.Second, "the newcomer is up everywhere", w.allUp)
			time.Sleep(time.Minute)
			for _, name := range names {
				for _, e := range w.nodes[name].since(began) {
					if e.Kind == cluster.Suspect || e.Kind == cluster.Down || e.Kind == cluster.Isolated {
						t.Errorf("%s told of %s: %v, %s", name, e.Member.Name, e.Kind, e.Reason)
					}
				}
			}
		})
	}
}

// A member that cannot answer keeps a key from becoming primary, and is named.
func TestKeyThatAMemberLacks(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{key('a')} }
		w.startAll(3)
		if _, err := w.nodes["n00"].AddKey(t.Context(), key('b')); err != nil {
			t.Fatal(err)
		}
		w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{key('a')} }
		w.start("late", "")
		w.within(2*time.Second, "all up", w.allUp)
		answers, err := w.nodes["n00"].UseKey(t.Context(), key('b'))
		if err == nil || !strings.HasSuffix(err.Error(), ": late") {
			t.Errorf("late lacks the key: %v", err)
		}
		if i := slices.IndexFunc(answers, func(a cluster.Answer) bool { return a.Member == "late" }); i < 0 || !sameKeys(answers[i].Keys, ids('a')) {
			t.Errorf("late has one key: %v", answers)
		}
		time.Sleep(time.Minute)
		if !w.allUp() {
			t.Error("not all are up")
		}
	})
}

// A key file that was changed is taken by each node for itself.
func TestSetKeys(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{key('a')} }
		names := w.startAll(3)
		for _, cut := range []struct {
			keys  [][]byte
			tells string
		}{
			{[][]byte{key('b'), key('a')}, "2 of 2 members lack key " + cluster.KeyID(key('b')) + " or do not answer: add it first: n00, n02"},
			{[][]byte{key('b')}, "2 of 2 members encrypt with key " + cluster.KeyID(key('a'))},
		} {
			if err := w.nodes["n01"].SetKeys(t.Context(), cut.keys); err == nil || !strings.Contains(err.Error(), cut.tells) {
				t.Errorf("a file that would cut the node off: %v; want %q", err, cut.tells)
			}
		}
		for _, keys := range [][][]byte{{key('a'), key('b')}, {key('b'), key('a')}, {key('b')}} {
			for _, name := range names {
				if err := w.nodes[name].SetKeys(t.Context(), keys); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Second)
			}
		}
		time.Sleep(time.Minute)
		if !w.allUp() {
			t.Error("not all are up")
		}
		answers, err := w.nodes["n00"].Keys(t.Context())
		if err != nil || len(answers) != 3 {
			t.Fatal(answers, err)
		}
		for _, a := range answers {
			if !sameKeys(a.Keys, ids('b')) {
				t.Errorf("%s has %v", a.Member, a.Keys)
			}
			if own := w.nodes[a.Member].KeyIDs(); !slices.Equal(own, a.Keys) {
				t.Errorf("%s says that it has %v", a.Member, own)
			}
		}
	})
}

func TestKeysThatAreNone(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.start("open", "")
		if _, err := w.nodes["open"].AddKey(t.Context(), key('a')); err == nil || !strings.Contains(err.Error(), "not encrypted") {
			t.Errorf("a cluster without keys took one: %v", err)
		}
		w.nodes["open"].Close()
		delete(w.nodes, "open")
		w.config = func(cfg *cluster.Config) { cfg.Keys = [][]byte{key('a')} }
		w.start("shut", "")
		for _, bad := range [][]byte{nil, []byte("short"), bytes.Repeat([]byte("x"), 33)} {
			if _, err := w.nodes["shut"].AddKey(t.Context(), bad); err == nil || !strings.Contains(err.Error(), "want 16, 24 or 32") {
				t.Errorf("key of %d bytes: %v", len(bad), err)
			}
			if err := w.nodes["shut"].SetKeys(t.Context(), [][]byte{bad}); err == nil {
				t.Errorf("key of %d bytes was taken", len(bad))
			}
		}
		for i := range 20 {
			_, err := w.nodes["shut"].AddKey(t.Context(), key(byte(i)))
			if full := i >= 15; full != (err != nil) {
				t.Errorf("key %d: %v", i+2, err)
			}
		}
	})
}

func ids(of ...byte) (all []string) {
	for _, b := range of {
		all = append(all, cluster.KeyID(key(b)))
	}
	return all
}

// sameKeys compares the primary key, and the others in any order.
func sameKeys(a, b []string) bool {
	return len(a) > 0 && len(b) > 0 && a[0] == b[0] && slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
