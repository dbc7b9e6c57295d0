package web

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

// historySize is how many events are kept for readers that are slow or come back: about half a megabyte.
const historySize = 1024

// feed is the events of a node for any number of readers, each of which is only a place in the history: none has a queue.
// One goroutine publishes, and never waits for a reader.
type feed struct {
	process string // the first part of ids: those of an earlier process are not mistaken for ours
	view    *view
	self    func() cluster.Member

	mu       sync.Mutex
	recent   [historySize]frame   // event n is at n % historySize
	head     uint64               // the number of the latest event; the first is 1
	standing map[string]*standing // what a new reader begins with: the others
	isolated *standing            // and the node itself, while it is isolated; else nil
	tidyAt   int                  // how many standing make it worth to look for members that were forgotten
	present  []frame              // standing as frames; nil: not known at this head
	more     chan struct{}        // closed with the next event, and at the end
	ended    bool
}

// standing is the present state of a member, as the latest event about it tells.
type standing struct {
	event cluster.Event
	frame frame // of a present event; empty until somebody needs it
}

// frame is an event as it is sent.
type frame struct {
	text []byte // of a Server-Sent Event, up to the empty line at its end
	json int    // where the JSON begins, which a line break follows
}

// line is the event as a line of JSON.
func (f frame) line() []byte { return f.text[f.json : len(f.text)-1] }

// newFrame encodes an event; without an id it has none.
func newFrame(id string, e record.Event) frame {
	body, err := json.Marshal(e)
	if err != nil {
		panic(err) // every record of an event has JSON
	}
	b := make([]byte, 0, len(body)+64)
	if id != "" {
		b = append(append(append(b, "id: "...), id...), '\n')
	}
	b = append(append(append(b, "event: "...), e.Kind...), "\ndata: "...)
	at := len(b)
	return frame{append(append(b, body...), "\n\n"...), at}
}

func newFeed(v *view, self func() cluster.Member) *feed {
	return &feed{
		process: strings.ToLower(rand.Text()[:12]), view: v, self: self,
		standing: map[string]*standing{}, tidyAt: 64, more: make(chan struct{}),
	}
}

// run publishes events until they end.
func (f *feed) run(events iter.Seq[cluster.Event]) {
	for e := range events {
		f.view.changed() // first: who reads of the event sees the members after it
		f.publish(e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	close(f.more)
}

func (f *feed) publish(e cluster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head++
	f.recent[f.head%historySize] = newFrame(f.id(f.head), record.NewEvent(e))
	f.note(e)
	if len(f.standing) >= f.tidyAt {
		f.tidy()
	}
	f.present = nil
	close(f.more)
	f.more = make(chan struct{})
}

// note keeps what the event tells of the present. It needs f.mu.
func (f *feed) note(e cluster.Event) {
	now := &standing{event: cluster.Event{
		Kind: e.Kind, Member: e.Member, At: e.At, Phi: e.Phi, Reason: cluster.ReasonPresent,
	}}
	switch e.Kind {
	case cluster.Isolated:
		f.isolated = now
	case cluster.Connected:
		f.isolated = nil
	case cluster.Accused:
	case cluster.Updated:
		if before := f.standing[e.Member.Name]; before != nil {
			now.event.Kind, now.event.At, now.event.Phi = before.event.Kind, before.event.At, before.event.Phi
			f.standing[e.Member.Name] = now
		}
	default:
		f.standing[e.Member.Name] = now
	}
}

// tidy leaves out those that the node has forgotten, of which no event tells. It needs f.mu, under which no event can be told of that
// the members do not show.
func (f *feed) tidy() {
	known := map[string]bool{}
	for _, m := range f.view.members().all {
		known[m.Name] = true
	}
	for name := range f.standing {
		if !known[name] {
			delete(f.standing, name)
		}
	}
	f.tidyAt = 2*len(f.standing) + 64
}

// begin returns the present state of everybody else, and the number of the event that it is the state after.
func (f *feed) begin() (present []frame, head uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.present == nil {
		f.tidy()
		all := make([]*standing, 0, len(f.standing)+1)
		for _, s := range f.standing {
			all = append(all, s)
		}
		slices.SortFunc(all, func(a, b *standing) int { return cmp.Compare(a.event.Member.Name, b.event.Member.Name) })
		if f.isolated != nil {
			all = slices.Insert(all, 0, f.isolated)
		}
		f.present = make([]frame, len(all))
		for i, s := range all {
			if s.frame.text == nil { // else it is as it was for the readers before
				s.frame = newFrame("", record.NewEvent(s.event))
			}
			f.present[i] = s.frame
		}
	}
	return f.present, f.head
}

// always is closed.
var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// after puts the events that follow number last into the room that there is, and returns them. missed is how many are not known any more:
// then there are none. more is closed once there are more than these; with ended there never will be.
func (f *feed) after(last uint64, room []frame) (found []frame, missed uint64, more <-chan struct{}, ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.head-last > historySize {
		return nil, f.head - last, f.more, f.ended
	}
	found = room[:0]
	for last < f.head && len(found) < cap(room) {
		last++
		found = append(found, f.recent[last%historySize])
	}
	if last < f.head {
		return found, 0, always, false
	}
	return found, 0, f.more, f.ended
}

// id is what the event of that number is called by clients.
func (f *feed) id(number uint64) string { return f.process + "-" + strconv.FormatUint(number, 10) }

// number is the event that a client calls by an id, or why there is none.
func (f *feed) number(id string) (uint64, error) {
	process, text, _ := strings.Cut(id, "-")
	n, err := strconv.ParseUint(text, 10, 64)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case process != f.process:
		return 0, fmt.Errorf("the last event was one of another process")
	case err != nil || n > f.head:
		return 0, fmt.Errorf("there was no event of the last id")
	}
	return n, nil
}

// gap is the event that tells a reader of those that it misses; their number is 0 where that is not known.
func (f *feed) gap(why string, missed uint64) frame {
	return newFrame("", record.Gap(f.self(), time.Now(), why, int(min(missed, 1<<31-1))))
}
