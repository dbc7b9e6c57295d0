package link_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// A client that had messages and comes back after the grace begins anew: what it had counts no more.
func TestReturnAfterGraceBeginsAnew(t *testing.T) {
	for _, gone := range []time.Duration{time.Hour, -1} { // the name is known as gone, or forgotten
		inHarbour(t, link.Config{Gone: gone}, func(t *testing.T, h *harbour) {
			var mu sync.Mutex
			var got []string
			c := h.client(link.Config{Session: "ann", Receive: func(_ string, data []byte) {
				mu.Lock()
				got = append(got, string(data))
				mu.Unlock()
			}})
			send := func(text string) {
				if err := h.server.Send("ann", []byte(text)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
			}
			send("one")
			h.setShut(true)
			h.cut()
			time.Sleep(20 * time.Second)
			h.setShut(false)
			time.Sleep(time.Minute)
			h.want("ann up ", "ann away clean", "ann gone clean", "ann up ")
			send("two")
			synctest.Wait()
			mu.Lock()
			if want := []string{"one", "two"}; !slices.Equal(got, want) {
				t.Errorf("the client got %q, want %q", got, want)
			}
			mu.Unlock()
			if n := len(h.server.Sessions()); n != 1 {
				t.Errorf("%d sessions, want 1", n)
			}
			c.Close()
		})
	}
}
