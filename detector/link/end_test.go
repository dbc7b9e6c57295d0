package link_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// A session that the server ended is over for its client, also for one that was between two connections then: it is told when it comes
// back. Its name is free for others.
func TestEndIsFinal(t *testing.T) {
	for _, away := range []bool{false, true} {
		inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
			c := h.client(link.Config{Session: "ann"})
			events := c.Events(t.Context())
			secret := c.Secret()
			want := []string{"ann up ", "ann gone local"}
			if away {
				want = []string{"ann up ", "ann away clean", "ann gone local"}
				h.setShut(true)
				h.cut()
				time.Sleep(time.Second)
			}
			if err := h.server.End("ann"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			h.setShut(false)
			time.Sleep(time.Minute)
			h.want(want...)
			var closed *link.CloseError
			if err := c.Err(); !errors.As(err, &closed) || closed.Code != link.CodeNormal || c.State() != link.Gone {
				t.Fatalf("the client is %v, as %v; events %q", c.State(), err, h.told())
			}
			var last link.Event
			for e := range events { // they end
				last = e
			}
			if last.Session.State != link.Gone || !last.Goodbye {
				t.Errorf("the client's last event is %s, goodbye %v", last.Kind(), last.Goodbye)
			}
			if err := c.Send([]byte("x")); !errors.Is(err, link.ErrClosed) {
				t.Errorf("Send: %v", err)
			}

			t.Log("another process that has the secret is told, too")
			if _, err := link.Dial(t.Context(), link.Config{Session: "ann", Secret: secret}, h.dial); !errors.As(err, &closed) || closed.Code != link.CodeNormal {
				t.Errorf("Dial: %v", err)
			}
			h.want(want...)

			t.Log("somebody else may have the name")
			other := h.client(link.Config{Session: "ann"})
			h.want(append(want, "ann up ")...)
			other.Close()
			synctest.Wait()

			t.Log("nobody remembers")
			time.Sleep(link.DefaultGone + time.Second)
			h.client(link.Config{Session: "ann", Secret: secret})
		})
	}
}
