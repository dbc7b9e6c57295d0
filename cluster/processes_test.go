package cluster

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/memberlist"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// What memberlist would send to a process that is over stays here, its exchanges of tables too, but not its probes by stream; and of
// two processes of one name the former goes on being talked to for a moment, or for as long as it is heard.
func TestNothingForProcessesThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network, err := clustertest.New(clustertest.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		inner, _ := network.Transport("10.0.0.1:7946")
		there, _ := network.Transport("10.0.0.2:7946")
		tr := wrapTransport(inner, newCounters())
		defer tr.Shutdown()
		got := func(name string) (packet, exchange, probe bool) {
			t.Helper()
			to := memberlist.Address{Addr: "10.0.0.2:7946", Name: name}
			tr.WriteToAddress([]byte("gossip"), to)
			time.Sleep(time.Millisecond)
			select {
			case <-there.PacketCh():
				packet = true
			default:
			}
			dial := func(timeout time.Duration) bool {
				conn, err := tr.DialAddressTimeout(to, timeout)
				if err != nil && !errors.Is(err, errOver) {
					t.Fatal(err)
				}
				if err == nil {
					conn.Close()
					(<-there.StreamCh()).Close()
				}
				return err == nil
			}
			return packet, dial(exchangeTimeout), dial(time.Second)
		}
		want := func(when, name string, all bool) {
			t.Helper()
			if packet, exchange, probe := got(name); packet != all || exchange != all || !probe {
				t.Errorf("%s: %s gets packets %v, exchanges %v, probes by stream %v", when, name, packet, exchange, probe)
			}
		}
		want("unknown", "a#1", true)
		tr.who.introduce("", "a#1", false)
		want("up", "a#1", true)
		tr.who.note("a#1", true)
		want("down", "a#1", false)
		tr.who.note("a#1", false)
		want("up again", "a#1", true)
		tr.who.replaced(time.Now(), "a#1")
		tr.who.introduce("a#1", "a#2", false)
		want("just overtaken", "a#1", true)
		want("the new one", "a#2", true)
		time.Sleep(graceTime)
		want("overtaken", "a#1", false)
		tr.who.alive(time.Now(), "a")
		want("heard all the same", "a#1", true)
		tr.who.introduce("a#2", "a#3", false) // another holder with the same boot
		time.Sleep(graceTime)
		want("one of two holders", "a#2", true)
		tr.who.note("a#3", true)
		tr.who.forget("a", "a#3")
		want("forgotten", "a#3", true)
	})
}
