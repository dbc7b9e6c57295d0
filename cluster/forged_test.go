package cluster_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
	"github.com/pulsering/pulsering/cluster/internal/claim"
	"github.com/pulsering/pulsering/cluster/internal/wire"
)

// stranger sends packets that no member of ours would send, as memberlist user messages without a key.
type stranger struct {
	t         *testing.T
	transport *clustertest.Transport
}

func (w *town) stranger() *stranger {
	transport, err := w.network.Transport("10.9.9.9:7946")
	if err != nil {
		w.t.Fatal(err)
	}
	return &stranger{w.t, transport}
}

const userMessage = 8 // memberlist's message type

func (s *stranger) send(to *citizen, p *wire.Packet) {
	s.t.Helper()
	buf, err := wire.Encode(p)
	if err != nil {
		s.t.Fatal(err)
	}
	s.raw(to, append([]byte{userMessage}, buf...))
}

func (s *stranger) raw(to *citizen, buf []byte) {
	s.t.Helper()
	if _, err := s.transport.WriteTo(buf, to.Self().Addr); err != nil {
		s.t.Fatal(err)
	}
}

// announce sends memberlist's announcement of a member.
func (s *stranger) announce(to *citizen, m map[string]any) {
	s.t.Helper()
	const alive = 4 // memberlist's message type
	s.raw(to, append([]byte{alive}, s.encoded(m)...))
}

func (s *stranger) encoded(v any) (buf []byte) {
	s.t.Helper()
	if err := codec.NewEncoderBytes(&buf, &codec.MsgpackHandle{}).Encode(v); err != nil {
		s.t.Fatal(err)
	}
	return buf
}

// metadata is what a member's announcement would hold, with a right checksum.
func (s *stranger) metadata(announced map[string]any, boot uint64) []byte {
	body := append([]byte("pulsering\x02"), s.encoded([]any{boot, nil})...)
	return cluster.SealMeta(body, &memberlist.Node{
		Name: announced["Node"].(string), Addr: announced["Addr"].([]byte), Port: uint16(announced["Port"].(int)), PMin: 1, PMax: 5, PCur: 2,
	})
}

func TestForgedMessagesChangeNothingAndAreCounted(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(4)
		victim, friend := w.nodes["n00"], w.nodes["n01"].Self()
		w.forget()
		s := w.stranger()
		down := func(name string, boot, epoch uint64) claim.Claim {
			return claim.Claim{Name: name, Boot: boot, Epoch: epoch, Seq: 1 << 40, State: claim.Down}
		}
		for cause, p := range map[string]*wire.Packet{
			"from no member":            {From: "ghost", Boot: 7, Claims: []claim.Claim{down("n01", friend.Boot, 0)}},
			"from another boot":         {From: "n01", Boot: friend.Boot + 1, Claims: []claim.Claim{down("n02", 1, 0)}},
			"from this node's own name": {From: "n00", Boot: victim.Self().Boot, Beat: &wire.Beat{Seq: 1, Edge: 1, Every: 125_000, Interval: 500_000}},
			"about no member":           {From: "n01", Boot: friend.Boot, Claims: []claim.Claim{down("ghost", 7, 0)}},
			"epoch jump":                {From: "n01", Boot: friend.Boot, Claims: []claim.Claim{down("n01", friend.Boot, 1<<20)}},
			"replayed heartbeat":        {From: "n01", Boot: friend.Boot, Beat: &wire.Beat{Seq: 1, Edge: 1, Every: 125_000, Interval: 500_000}},
		} {
			before := victim.Stats().Dropped[cause]
			for range 10 {
				s.send(victim, p)
			}
			time.Sleep(time.Second)
			if got := victim.Stats().Dropped[cause] - before; got != 10 {
				t.Errorf("%d of 10 forged packets counted as %q", got, cause)
			}
		}
		time.Sleep(time.Minute)
		w.quiet()
	})
}

// One announcement of a member that cannot be must not get into memberlist's table: it would make every push/pull fail.
func TestImpossibleMembersStayOut(t *testing.T) {
	good := func() map[string]any {
		return map[string]any{"Incarnation": 1, "Node": "plain", "Addr": []byte{10, 0, 0, 77}, "Port": 7946, "Vsn": []byte{1, 5, 2, 0, 0, 0}}
	}
	for name, change := range map[string]func(map[string]any){
		"no name":          func(m map[string]any) { m["Node"] = "" },
		"no address":       func(m map[string]any) { m["Addr"] = []byte(nil) },
		"address 0":        func(m map[string]any) { m["Addr"] = []byte{0, 0, 0, 0} },
		"no version":       func(m map[string]any) { m["Vsn"] = []byte(nil) },
		"another protocol": func(m map[string]any) { m["Vsn"] = []byte{7, 9, 8, 0, 0, 0} },
		"delegate":         func(m map[string]any) { m["Vsn"] = []byte{1, 5, 2, 3, 9, 4} },
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				w.startAll(3)
				w.forget()
				m := good()
				change(m)
				w.stranger().announce(w.nodes["n00"], m)
				time.Sleep(10 * time.Second)
				w.quiet()
				w.start("late", "") // by push/pull
				w.within(2*time.Second, "all up", w.allUp)
			})
		})
	}
}

// Without keys whoever can see packets can say what a member could say. It costs the member a moment, not its place.
func TestLiarIsAnswered(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(4)
		s := w.stranger()
		liar, victim := w.nodes["n01"].Self(), w.nodes["n02"].Self()
		for _, lie := range []claim.Claim{
			{Name: "n02", Boot: victim.Boot, Seq: 1 << 40, State: claim.Down},
			{Name: "n02", Boot: victim.Boot, State: claim.Left},
			{Name: "n02", Boot: victim.Boot + 1000, State: claim.Down},
		} {
			s.send(w.nodes["n00"], &wire.Packet{From: "n01", Boot: liar.Boot, Claims: []claim.Claim{lie}})
			synctest.Wait()
			time.Sleep(5 * time.Second)
			if !w.allUp() {
				t.Errorf("5 s after the lie %+v:\n%s", lie, w.describe())
			}
		}
		if boot := w.nodes["n02"].Self().Boot; boot <= victim.Boot {
			t.Errorf("called left and outdated, n02 still has boot %d", boot)
		}
		time.Sleep(time.Minute)
		w.forget()
		time.Sleep(time.Minute)
		w.quiet()
	})
}

// One forged packet makes a member take the highest boot that it goes above. There is room for it to be restarted all the same.
func TestRestartAboveAForgedBoot(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		const forged = 1 << 60
		w.stranger().send(w.nodes["n02"], &wire.Packet{From: "n00", Boot: w.nodes["n00"].Self().Boot, Claims: []claim.Claim{
			{Name: "n02", Boot: forged, State: claim.Down},
		}})
		time.Sleep(10 * time.Second)
		if boot := w.nodes["n02"].Self().Boot; boot != forged+1 {
			t.Errorf("n02 has boot %d, want the forged one and 1", boot)
		}
		for range 2 {
			w.crash("n02")
			time.Sleep(5 * time.Second)
			w.start("n02", "")
			w.within(5*time.Second, "all up", w.allUp)
		}
	})
}

// A boot that is announced for a member and that it cannot go above costs it no more than a moment either.
func TestAnnouncedBoots(t *testing.T) {
	t.Parallel()                                     // one of the long ones
	const highest, answered = 1 << 61, 1<<60 + 1<<20 // that a member can have, and that it goes above
	for _, boot := range []uint64{1 << 60, answered, answered + 1, highest, highest + 1, 1<<62 - 1} {
		for _, namesake := range []bool{false, true} {
			if namesake && boot > answered && boot <= highest {
				continue // such a one takes the place of a member for as long as it is remembered: docs/design.md, section 9
			}
			t.Run(fmt.Sprintf("boot %d, namesake %v", boot, namesake), func(t *testing.T) {
				inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
					w.startAll(3)
					started := time.Now() // as whoever sees packets knows
					w.start("victim", "10.0.0.7:7946")
					w.within(5*time.Second, "all up", w.allUp)
					time.Sleep(10 * time.Second)
					s := w.stranger()
					announced := map[string]any{
						"Incarnation": 1000, "Node": "victim#" + strconv.FormatInt(started.UnixMicro(), 36), "Addr": []byte{10, 0, 0, 7}, "Port": 7946,
						"Vsn": []byte{1, 5, 2, 0, 0, 0},
					}
					if namesake {
						announced["Node"], announced["Addr"] = "victim#zzz", []byte{10, 9, 9, 9}
					}
					announced["Meta"] = s.metadata(announced, boot)
					s.announce(w.nodes["n00"], announced)
					time.Sleep(5 * time.Minute)
					if !w.allUp() {
						t.Errorf("five minutes after one forged packet:\n%s", w.describe())
					}
				})
			})
		}
	}
}

func TestNoiseChangesNothing(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(3)
		w.forget()
		s := w.stranger()
		r := rand.New(rand.NewPCG(1, 2))
		victim := w.nodes["n00"]
		for i := range 10_000 {
			buf := make([]byte, r.IntN(200))
			for j := range buf {
				buf[j] = byte(r.Uint32())
			}
			if len(buf) > 1 && i%3 == 0 { // some get past memberlist to our decoder
				buf[0], buf[1] = userMessage, byte(r.IntN(4))
				if len(buf) > 6 && i%2 == 0 { // and past its checksum
					binary.BigEndian.PutUint32(buf[2:], crc32.Checksum(buf[6:], crc32.MakeTable(crc32.Castagnoli)))
				}
			}
			s.raw(victim, buf)
			if i%100 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
		time.Sleep(time.Minute)
		w.quiet()
		counted := uint64(0)
		for cause, n := range victim.Stats().Dropped {
			t.Logf("%s: %d", cause, n)
			if strings.Contains(cause, "memberlist: ") || cause == "malformed" || cause == "unknown version" || cause == "wrong checksum" {
				counted += n
			}
		}
		if counted < 9_000 {
			t.Errorf("%d of 10000 packets of noise counted", counted)
		}
	})
}

// Nothing that one packet can say of a heartbeat blinds the ear for the real ones, or makes it shout.
func TestForgedHeartbeat(t *testing.T) {
	for name, b := range map[string]wire.Beat{
		"far ahead":    {Seq: 1 << 60, Edge: 1 << 60, Every: 125_000, Interval: 500_000},
		"slow":         {Seq: 1 << 10, Edge: 1 << 10, Every: 1 << 40, Interval: 1 << 50},
		"hasty sender": {Seq: 1 << 10, Edge: 1 << 10, Every: 1, Interval: 500_000},
	} {
		t.Run(name, func(t *testing.T) {
			inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
				w.startAll(4)
				s, n := w.stranger(), w.nodes["n00"]
				s.send(n, &wire.Packet{From: "n01", Boot: w.nodes["n01"].Self().Boot, Beat: &b})
				time.Sleep(20 * time.Second)
				w.forget()
				before := n.Stats()
				time.Sleep(time.Minute)
				w.quiet()
				after := n.Stats()
				if got := after.Received["beat"] - before.Received["beat"]; got < 400 {
					t.Errorf("%d heartbeats taken in a minute, want those of three members, 160 each; dropped %v", got, after.Dropped)
				}
				if got := after.Sent["ask"] - before.Sent["ask"]; got > 10 {
					t.Errorf("%d questions in a quiet minute", got)
				}
			})
		})
	}
}

// Many questions get one answer, no larger than they are, but for the last heartbeat and what is due anyway; and names in claims are never looked up.
func TestForgedQuestion(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) { cfg.Observers = 2 }
		w.startAll(8)
		n := w.nodes["n00"]
		var from cluster.Member
		for _, m := range n.Members() {
			if !m.Observed && m.Name != "n00" {
				from = m // a member that n00 does not beat to
			}
		}
		s := w.stranger()
		ask := wire.Ask{Name: "n00", Boot: n.Self().Boot}
		for _, asks := range []int{1, 20, 60} {
			p := &wire.Packet{From: from.Name, Boot: from.Boot}
			for range asks {
				p.Asks = append(p.Asks, ask)
			}
			before, _ := w.network.Counters("10.0.0.1:7946")
			s.send(n, p)
			time.Sleep(20 * time.Millisecond)
			after, _ := w.network.Counters("10.0.0.1:7946")
			packets, bytes := after.Sent.Packets-before.Sent.Packets, after.Sent.Bytes-before.Sent.Bytes
			if packets > 4 || bytes > 250 {
				t.Errorf("a packet of %d questions is answered with %d packets, %d bytes", asks, packets, bytes)
			}
		}
		dropped := n.Stats().Dropped["malformed"]
		s.send(n, &wire.Packet{From: from.Name, Boot: from.Boot, Claims: []claim.Claim{
			{Name: "n03", Boot: 1, State: claim.Down, Addr: "slow.example.com:53"}}})
		time.Sleep(time.Second)
		if got := n.Stats().Dropped["malformed"] - dropped; got != 1 {
			t.Errorf("%d packets dropped as malformed for a name in place of an address, want 1", got)
		}
	})
}
