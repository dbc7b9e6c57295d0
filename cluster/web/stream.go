package web

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"
)

const (
	// readPatience is how long a reader may take for up to streamBatch events.
	readPatience = 10 * time.Second
	streamBatch  = 64
	// heartbeat is how often a stream without events shows that it lives, and asks whether its token still holds.
	heartbeat = 15 * time.Second
	// comeBack is when a browser is to come back after its connection was lost, in milliseconds.
	comeBack = 1000
)

const (
	eventStream = "text/event-stream"
	jsonLines   = "application/x-ndjson"
)

// streamType is in which of the two forms the client takes events; empty: in neither.
func streamType(r *http.Request) string {
	accept := r.Header.Values("Accept")
	if len(accept) == 0 {
		return eventStream
	}
	found := ""
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, _, _ := mime.ParseMediaType(part)
		switch kind {
		case jsonLines:
			return jsonLines
		case eventStream, "text/*", "*/*":
			found = eventStream
		}
	}
	return found
}

func (d *door) serveEvents(w http.ResponseWriter, r *http.Request, j *joined) {
	form := streamType(r)
	if form == "" {
		refuse(w, http.StatusNotAcceptable, "Accept: %.100q: events come as %s or as %s", r.Header.Get("Accept"), eventStream, jsonLines)
		return
	}
	select {
	case d.streams <- struct{}{}:
		defer func() { <-d.streams }()
	default:
		w.Header().Set("Retry-After", "10")
		refuse(w, http.StatusServiceUnavailable, "%d clients follow events already, and no more may: ask later, or end one", cap(d.streams))
		return
	}
	w.Header().Set("Content-Type", form)
	s := stream{w: w, to: http.NewResponseController(w), feed: j.feed, sse: form == eventStream}
	s.expect()
	if s.sse {
		fmt.Fprintf(w, "retry: %d\n\n", comeBack)
	}
	if s.to.Flush() != nil || !s.begin(r.Header.Get("Last-Event-ID")) { // the header first, whether there are events or not
		return
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		more, ok := s.follow()
		if !ok {
			return
		}
		select {
		case <-more:
			tick.Reset(heartbeat)
		case <-tick.C:
			if d.access(r) < reading || !s.beat() {
				return
			}
		case <-r.Context().Done():
			return
		}
	}
}

// stream is one reader of events.
type stream struct {
	w    http.ResponseWriter
	to   *http.ResponseController
	feed *feed
	sse  bool
	last uint64 // the number of the event that was sent last
	room [streamBatch]frame
}

// begin sends what comes before the events that are still to come: those after the last one that the client had, or everybody's present
// state. It tells whether the client is still there.
func (s *stream) begin(lastID string) bool {
	if lastID == "" {
		return s.present()
	}
	n, err := s.feed.number(lastID)
	if err != nil {
		return s.send(s.feed.gap(err.Error(), 0)) && s.present()
	}
	s.last = n
	return true
}

// present sends everybody's present state.
func (s *stream) present() bool {
	all, head := s.feed.begin()
	for len(all) > 0 {
		n := min(len(all), streamBatch)
		if !s.send(all[:n]...) {
			return false
		}
		all = all[n:]
	}
	s.last = head
	if !s.sse {
		return true
	}
	s.expect()
	fmt.Fprintf(s.w, "id: %s\n\n", s.feed.id(head)) // no event: one without data is none
	return s.to.Flush() == nil
}

// follow sends what has happened, and returns what is closed when more has; false: the stream has ended.
func (s *stream) follow() (more <-chan struct{}, ok bool) {
	for {
		events, missed, more, ended := s.feed.after(s.last, s.room[:0])
		switch {
		case missed > 0:
			why := fmt.Sprintf("slower than events came, of which the last %d are kept: everybody's present state follows", historySize)
			if !s.send(s.feed.gap(why, missed)) || !s.present() {
				return nil, false
			}
		case len(events) > 0:
			if !s.send(events...) {
				return nil, false
			}
			s.last += uint64(len(events))
		default:
			return more, !ended
		}
	}
}

// expect gives the reader time for what is sent next.
func (s *stream) expect() { s.to.SetWriteDeadline(time.Now().Add(readPatience)) }

func (s *stream) send(events ...frame) bool {
	s.expect()
	for _, e := range events {
		b := e.text
		if !s.sse {
			b = e.line()
		}
		if _, err := s.w.Write(b); err != nil {
			return false
		}
	}
	return s.to.Flush() == nil
}

func (s *stream) beat() bool {
	if !s.sse {
		return true
	}
	s.expect()
	_, err := s.w.Write([]byte(":\n\n"))
	return err == nil && s.to.Flush() == nil
}
