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
	// heartbeat is how often a stream shows that it lives, and asks whether its token still holds,
	// whatever events come: they may come without end.
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
	w.Header().Set("Content-Type", form)
	if r.Method == http.MethodHead {
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
	s := stream{w: w, to: http.NewResponseController(w), feed: j.feed, sse: form == eventStream}
	s.expect()
	if s.sse {
		fmt.Fprintf(w, "retry: %d\n\n", comeBack)
	}
	if !s.flush() || !s.begin(r.Header.Get("Last-Event-ID")) { // the header first, whether there are events or not
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
		return s.anew(err.Error(), 0)
	}
	if _, missed, _, _ := s.feed.after(n, nil); missed > 0 {
		why := fmt.Sprintf("away for longer than the last %d events, which are kept", historySize)
		return s.anew(why, missed)
	}
	s.last = n
	return true
}

// anew says why the reader misses events, and how many, and begins again.
func (s *stream) anew(why string, missed uint64) bool {
	return s.send(s.feed.gap(why+": everybody's present state follows", missed)) && s.present()
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
	return s.flush()
}

// follow sends what has happened, up to streamBatch events, and returns what is closed when there is
// more; false: the stream has ended.
func (s *stream) follow() (more <-chan struct{}, ok bool) {
	events, missed, more, ended := s.feed.after(s.last, s.room[:0])
	switch {
	case missed > 0:
		why := fmt.Sprintf("slower than events came, of which the last %d are kept", historySize)
		return more, s.anew(why, missed)
	case len(events) > 0:
		s.last += uint64(len(events))
		return more, s.send(events...)
	}
	return more, !ended
}

// expect gives the reader time for what is sent next, up to flush.
func (s *stream) expect() { s.to.SetWriteDeadline(time.Now().Add(readPatience)) }

// flush sends what was written. No deadline is left behind: HTTP/2 ends a stream at it although
// nothing is being written, and over HTTP/1.1 the next answer on the connection would meet it.
func (s *stream) flush() bool {
	err := s.to.Flush()
	s.to.SetWriteDeadline(time.Time{})
	return err == nil
}

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
	return s.flush()
}

func (s *stream) beat() bool {
	if !s.sse {
		return true
	}
	s.expect()
	_, err := s.w.Write([]byte(":\n\n"))
	return s.flush() && err == nil
}
