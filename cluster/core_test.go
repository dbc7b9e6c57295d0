package cluster

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// listener is a core that knows one other member, x, which lived at heartbeat 1000.
func listener(t *testing.T, now time.Time) (*core, *record) {
	t.Helper()
	c := loner(t, now, Config{Name: "a"})
	r := meet(t, c, now, "x", "10.0.0.1:7946", nil)
	c.heard(now, r, 0, 1000)
	return c, r
}

// loner is a core that knows nobody.
func loner(t *testing.T, now time.Time, config Config) *core {
	t.Helper()
	cfg, err := config.prepare()
	if err != nil {
		t.Fatal(err)
	}
	c := newCore(cfg, newCounters(), func(string, Event) {}, rand.New(rand.NewPCG(1, 1)), now)
	c.assume(1)
	return c
}

// meet has memberlist bring a member under boot 1.
func meet(t *testing.T, c *core, now time.Time, name, addr string, tags map[string]string) *record {
	t.Helper()
	m, err := encodeMeta(meta{Boot: 1, Tags: tags})
	if err != nil {
		t.Fatal(err)
	}
	c.gossipAlive(now, gossipMember{name + "#1", addr, m})
	return c.members[name]
}

// promises has a member send its next heartbeat, and promise another one.
func promises(c *core, now time.Time, r *record, next time.Duration) {
	c.heartbeat(now, r, &wire.Beat{
		Epoch: r.Epoch, Seq: r.Seq + 8, Edge: r.path.Status().Edge + 1, Interval: micros(next), Every: micros(DefaultBeat),
	})
}

// encoded is a packet or table as it travels.
func encoded(t *testing.T, p *wire.Packet) []byte {
	t.Helper()
	buf, err := wire.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	return buf
}
