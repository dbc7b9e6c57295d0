package clustertest

import (
	"testing"
	"testing/synctest"
	"time"
)

// What is switched on and off for hours must not grow.
func TestRulesDoNotPileUp(t *testing.T) {
	n, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	few, one, all := []string{"10.0.0.1:1", "10.0.0.2:1"}, []string{"10.0.0.3:1"}, []string{Everyone}
	steps := []func() error{
		func() error { return n.Cut(all, few) },
		func() error { return n.Heal(all, few) },
		func() error { return n.Isolate(one[0]) },
		func() error { return n.Split(few, one) },
		func() error { return n.Heal(one, all) },
		func() error { return n.Heal(few, one) },
		func() error { return n.SetLink(few, all, Link{Loss: Independent(0.5)}) },
		func() error { return n.SetLink(few, one, Link{}) },
		func() error { return n.SetRate(all, Rate{BytesPerSecond: 1}, Rate{}) },
		func() error { return n.SetRate(few, Rate{}, Rate{}) },
		func() error { return n.SetRate(all, Rate{}, Rate{}) },
	}
	for range 100 {
		for _, step := range steps {
			if err := step(); err != nil {
				t.Fatal(err)
			}
			if c := n.conditions.Load(); len(c.cuts) > 4 || len(c.links) > 2 || len(c.rates) > 2 {
				t.Fatalf("%d rules about cuts, %d about links and %d about rates are kept, want at most 4, 2 and 2",
					len(c.cuts), len(c.links), len(c.rates))
			}
		}
	}
	if c := n.conditions.Load(); len(c.cuts)+len(c.rates) != 0 {
		t.Errorf("%d rules about cuts and %d about rates are left when all is healed, want 0", len(c.cuts), len(c.rates))
	}
}

// An address forgets the streams that ended, at both ends though one is dead, and those that never began.
func TestEndedStreamsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Options{SilentDead: true})
		if err != nil {
			t.Fatal(err)
		}
		defer n.Close()
		a, _ := n.Transport("")
		b, _ := n.Transport("")
		for range 3 {
			near, err := a.DialTimeout(b.Addr(), time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if near.Close() != nil || (<-b.StreamCh()).Close() != nil {
				t.Error("Close failed")
			}
			if _, err := a.DialTimeout("10.0.0.99:1", time.Second); err == nil {
				t.Error("dialled nobody")
			}
		}
		near, err := a.DialTimeout(b.Addr(), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if n.Isolate(a.Addr()) != nil || near.Close() != nil || n.Kill(b.Addr()) != nil {
			t.Error("Isolate, Close or Kill failed")
		}
		if len(a.at.streams) != 0 || len(b.at.streams) != 0 {
			t.Errorf("%d and %d streams are remembered, want 0", len(a.at.streams), len(b.at.streams))
		}
	})
}
