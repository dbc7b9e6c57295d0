package link_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
	"github.com/pulsering/pulsering/detector/link/tcp"
)

// cable is what swallows everything on connections of one place while it is cut.
type cable struct{ cut atomic.Bool }

type cabled struct {
	net.Conn
	cable *cable
}

func (c cabled) Write(b []byte) (int, error) {
	if c.cable.cut.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// placed is a connection from an address.
type placed struct {
	*tcp.Conn
	remote string
}

func (p placed) Remote() string { return p.remote }

// from connects a client from an address.
func (h *harbour) from(addr string, cable *cable) *link.Client {
	h.t.Helper()
	c, err := link.Dial(h.t.Context(), link.Config{Session: addr}, func(ctx context.Context) (link.Transport, error) {
		if cable.cut.Load() {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		a, b := net.Pipe()
		h.wg.Go(func() {
			h.server.Serve(context.Background(), placed{tcp.NewServer(cabled{b, cable}, 0), addr})
		})
		return tcp.New(cabled{a, cable}, 0), nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.clients = append(h.clients, c)
	return c
}

// since returns the events from the n-th on, each with how often it came, without the name of the session.
func (h *harbour) since(n int) map[string]int {
	count := map[string]int{}
	for _, e := range h.told()[n:] {
		_, what, _ := strings.Cut(e, " ")
		count[what]++
	}
	return count
}

// The sessions of a network that is cut are one event, until they come back or are gone. A session of another network is told of by
// itself meanwhile.
func TestOutageIsOneEvent(t *testing.T) {
	for _, story := range []struct {
		name, outage string
		lasts        time.Duration
		others       int
	}{
		{"short", "outage 10.1.1.0/24", 8 * time.Second, 100},
		{"longer than grace", "outage 10.1.1.0/24", 40 * time.Second, 100},
		{"of nobody else", "outage 10.1.1.0/24", 8 * time.Second, 0},
	} {
		t.Run(story.name, func(t *testing.T) {
			inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
				var cut, fine cable
				const many = 60
				for i := range many {
					h.from(fmt.Sprintf("10.1.1.%d:4000", i), &cut)
				}
				var alone *link.Client
				for i := range story.others {
					alone = h.from(fmt.Sprintf("10.1.%d.1:4000", 2+i), &fine)
				}
				time.Sleep(time.Minute)
				before := len(h.told())
				cut.cut.Store(true)
				time.Sleep(story.lasts / 2)
				if alone != nil {
					alone.Close()
				}
				time.Sleep(story.lasts / 2)
				during := h.since(before)
				silent := during["suspect silent"] + during["away silent"]
				if during[story.outage] != 1 || during["outage all"] != 0 || silent > 2*7 {
					t.Errorf("during the outage: %v", during)
				}
				if alone != nil && during["gone clean"] != 1 {
					t.Errorf("during the outage one of another network says goodbye: %v", during)
				}
				if late := story.lasts > 20*time.Second; late && during["gone silent"] != many || !late && during["gone silent"] != 0 {
					t.Errorf("gone during the outage: %v", during)
				}
				t.Log("during:", during)
				middle := len(h.told())
				cut.cut.Store(false)
				time.Sleep(time.Minute)
				after := h.since(middle)
				t.Log("after:", after)
				if story.lasts < 20*time.Second && (after[strings.Replace(story.outage, "outage", "outage over", 1)] != 1 || after["resumed "] != many || after["away silent"] > 7) {
					t.Errorf("after the outage: %v", after)
				}
				ups := 0
				for _, s := range h.server.Sessions() {
					if s.State == link.Up && strings.HasPrefix(s.ID, "10.1.1.") {
						ups++
					}
				}
				if ups != many {
					t.Errorf("%d of %d are up after it", ups, many)
				}
				h.agree()
			})
		})
	}
}

// Sessions of a few each of many networks that fall silent together are one event too.
func TestOutageOfManyNetworks(t *testing.T) {
	inHarbour(t, link.Config{}, func(t *testing.T, h *harbour) {
		var cut cable
		for i := range 60 {
			h.from(fmt.Sprintf("10.2.%d.%d:4000", i/3, i%3), &cut)
		}
		time.Sleep(time.Minute)
		before := len(h.told())
		cut.cut.Store(true)
		time.Sleep(8 * time.Second)
		if got := h.since(before); got["outage all"] != 1 || got["suspect silent"]+got["away silent"] > 2*7 {
			t.Errorf("told %v", got)
		}
		cut.cut.Store(false)
		time.Sleep(time.Minute)
		if got := h.since(before); got["outage over all"] != 1 || got["gone silent"] != 0 {
			t.Errorf("told %v", got)
		}
		h.agree()
	})
}

// agree checks that the latest event of each session says what the session is.
func (h *harbour) agree() {
	h.t.Helper()
	latest := map[string]string{}
	for _, e := range h.told() {
		session, what, _ := strings.Cut(e, " ")
		latest[session] = what
	}
	for _, s := range h.server.Sessions() {
		kinds := []string{s.State.String()}
		if s.State == link.Up {
			kinds = append(kinds, "resumed")
		}
		if what, _, _ := strings.Cut(latest[s.ID], " "); !slices.Contains(kinds, what) {
			h.t.Errorf("session %s is %v, and the latest event says %q", s.ID, s.State, latest[s.ID])
		}
	}
}

// A few that fall silent together, and many that do one after the other, are no outage.
func TestNoOutage(t *testing.T) {
	inHarbour(t, link.Config{Grace: time.Hour}, func(t *testing.T, h *harbour) {
		var few cable
		for i := range 7 {
			h.from(fmt.Sprintf("10.1.1.%d:4000", i), &few)
		}
		var each [30]cable
		for i := range each {
			h.from(fmt.Sprintf("10.1.2.%d:4000", i), &each[i])
		}
		time.Sleep(time.Minute)
		before := len(h.told())
		few.cut.Store(true)
		time.Sleep(10 * time.Second)
		for i := range each {
			each[i].cut.Store(true)
			time.Sleep(3 * time.Second)
		}
		time.Sleep(10 * time.Second)
		if got := h.since(before); got["away silent"] != len(each)+7 || len(got) != 2 {
			t.Errorf("told %v, want each by itself", got)
		}
		h.agree()
	})
}
