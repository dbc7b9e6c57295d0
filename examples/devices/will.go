package main

import (
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// will is what a device has said is to be told when it dies.
type will struct {
	Session string
	Message []byte
	Cause   link.Cause // why the device is gone
	At      time.Time  // since when it is
}

// wills keep the last will of each session, and deliver it once when the session is gone without a
// goodbye, as MQTT does (version 5.0, section 3.1.2.5). A goodbye discards it, and whoever comes
// back within the grace has not died. A session that begins anew has no will until its owner says
// one.
//
// The messages of a session and the events about it come on different goroutines, so the will of a
// new session may be here before the end of the old one is. What was said before an end is that
// session's, and what was said after it the next one's: no message of a new session comes before
// the old one has ended. This needs server and wills to share a clock, and nothing else.
//
// A reader of events that is so late that a session has ended twice since it looked sees one end:
// the will of the first is then not delivered. Subscribers must not be slower than two graces.
type wills struct {
	mu    sync.Mutex
	said  map[string][]saying
	heirs []*func(will)
}

// saying is a will with the time when it was said.
type saying struct {
	message []byte
	at      time.Time
}

const (
	maxWill = 256 // bytes
	// maxSayings is how many wills of one name are kept until an event tells which are old: the
	// latest one takes the place of the one before from then on.
	maxSayings = 4
)

func newWills() *wills { return &wills{said: map[string][]saying{}} }

// say keeps a session's will, in the place of the one before. It is called from
// link.Config.Receive.
func (w *wills) say(session string, message []byte, now time.Time) error {
	if len(message) > maxWill {
		return fmt.Errorf("a will of %d bytes, want at most %d", len(message), maxWill)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.said[session]
	if len(list) == maxSayings {
		list = list[:maxSayings-1]
	}
	w.said[session] = append(list, saying{slices.Clone(message), now})
	return nil
}

// subscribe has f called with each will that is delivered from now on, until cancel is called.
// Calls come one after another.
func (w *wills) subscribe(f func(will)) (cancel func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	heir := &f
	w.heirs = append(slices.Clone(w.heirs), heir)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.heirs = slices.DeleteFunc(slices.Clone(w.heirs), func(h *func(will)) bool { return h == heir })
	}
}

// follow delivers until events end. These are link.Server.Events from before the first connection.
func (w *wills) follow(events iter.Seq[link.Event]) {
	for e := range events {
		last, died := w.take(e)
		if !died {
			continue
		}
		w.mu.Lock()
		heirs := w.heirs
		w.mu.Unlock()
		for _, f := range heirs {
			(*f)(last)
		}
	}
}

// take returns the will that an event has to be delivered, if there is one. What was said before
// the end of a session is then forgotten, so that nothing comes twice.
func (w *wills) take(e link.Event) (last will, died bool) {
	if e.Session.State != link.Gone {
		return will{}, false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.said[e.Session.ID]
	n := 0
	for n < len(list) && !list[n].at.After(e.At) {
		n++
	}
	if n == len(list) {
		delete(w.said, e.Session.ID)
	} else {
		w.said[e.Session.ID] = list[n:]
	}
	if n == 0 || e.Goodbye {
		return will{}, false
	}
	return will{e.Session.ID, list[n-1].message, e.Session.Cause, e.At}, true
}

// kept is how many sessions have a will.
func (w *wills) kept() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.said)
}
