package cluster

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// hears has x send a heartbeat a second to the core for d; deaf says whether the heartbeat at that time is of a deaf member.
func hears(c *core, r *record, d time.Duration, deaf func(time.Duration) bool) {
	for at := time.Duration(0); at < d; at += time.Second {
		time.Sleep(time.Second)
		c.heartbeat(time.Now(), r, &wire.Beat{
			Seq: r.Seq + 8, Edge: r.path.Status().Edge + 1, Interval: micros(time.Second), Every: micros(DefaultBeat), Deaf: deaf(at),
		})
	}
}

// recorded has a core note what it tells of x.
func recorded(c *core) (told *[]string) {
	told = new([]string)
	c.publish = func(name string, e Event) {
		if name == "x" {
			*told = append(*told, e.Kind.String()+"/"+e.Reason)
		}
	}
	return told
}

// However long a member goes deaf and hears in turns, it is up only once it gave no reason for five minutes.
func TestSuspicionIsHeldAsLongAsItFlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := listener(t, time.Now())
		told := recorded(c)
		hears(c, r, 30*time.Minute, func(at time.Duration) bool { return at%time.Minute < 10*time.Second })
		if want := []string{"suspect/deaf", "up/heard", "suspect/deaf"}; !slices.Equal(*told, want) {
			t.Errorf("told %v, want %v", *told, want)
		}
		hears(c, r, suspicionMemory, func(time.Duration) bool { return false })
		if r.shown != StateUp {
			t.Errorf("%v after five minutes without a reason", r.shown)
		}
	})
}

// Whom this node suspected because it was cut off itself is not held for it when there is a reason shortly after.
func TestOwnIsolationIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := listener(t, time.Now())
		told := recorded(c)
		never := func(time.Duration) bool { return false }
		hears(c, r, time.Minute, never)
		c.suspect(time.Now(), r, ReasonSilent)
		c.isolated = true
		time.Sleep(time.Second)
		c.reconnect(time.Now(), r)
		hears(c, r, time.Minute, never)
		c.suspect(time.Now(), r, ReasonSilent)
		hears(c, r, 2*time.Second, never)
		if want := []string{"suspect/silent", "up/heard", "suspect/silent", "up/heard"}; !slices.Equal(*told, want) {
			t.Errorf("told %v, want %v", *told, want)
		}
	})
}

// Who leaves will hear nothing more of a member that it suspects, nor of one that it goes on suspecting after it was heard.
func TestLeaverSuspectsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, r := listener(t, time.Now())
		hears(c, r, 3*time.Minute, func(at time.Duration) bool { return at%time.Minute == 0 })
		if r.shown != StateSuspect || r.inquiry != nil {
			t.Fatalf("%v, want suspect though nothing is to be asked", r.shown)
		}
		c.leave(time.Now())
		if r.shown != StateUp {
			t.Errorf("%v after the node left, want up", r.shown)
		}
	})
}
