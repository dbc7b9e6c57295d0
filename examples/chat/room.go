package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
)

// room is what the users of one server share: who is here, and what they say.
//
// Two things have to live for a user to be online. Package link knows whether the browser answers:
// it does so by itself, also where the page's script has stopped. So the room asks each page a
// question of its own, which only the script can answer, and judges the answers by φ as well.
type room struct {
	server *link.Server
	pages  *detector.Detector[string] // the scripts, by the names of their users
	ask    time.Duration              // between two questions

	mu    sync.Mutex
	users map[string]*user
	told  string // the list that everybody has

	changed chan struct{} // something changed that the list may show
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// user is what the room knows of one beyond package link.
type user struct {
	asked bool // a question is out
	still bool // the script does not answer
	bye   bool // it was a goodbye
}

// Messages of the room to a page.
type (
	// people says who is here.
	people struct {
		Kind   string   `json:"kind"` // "people"
		People []person `json:"people"`
	}
	person struct {
		Name  string `json:"name"`
		State string `json:"state"` // online, away or offline
		Why   string `json:"why,omitempty"`
	}
	// said is what somebody says.
	said struct {
		Kind string `json:"kind"` // "said"
		From string `json:"from"`
		Text string `json:"text"`
		At   int64  `json:"at_ms"` // since 1970
	}
	// question asks whether the script runs.
	question struct {
		Kind  string  `json:"kind"` // "question"
		RTT   float64 `json:"rtt_ms"`
		Every int64   `json:"every_ms"`
	}
)

// answer is a message of a page.
type answer struct {
	Here bool   `json:"here"` // to a question
	Say  string `json:"say"`
}

const (
	// maxText is how long a message may be, in bytes.
	maxText = 2000
	// maxMessage is how long what a page sends may be: in JSON, within JSON.
	maxMessage = 16 << 10
	// settle is how long a connection may be over before the others see it: a page that is loaded
	// anew takes less.
	settle = 2 * time.Second
)

// newRoom opens a room. Its pages are asked as often as their browsers are pinged.
func newRoom(cfg link.Config) (*room, error) {
	r := &room{
		ask: cmp.Or(cfg.Interval, link.DefaultInterval), users: map[string]*user{}, changed: make(chan struct{}, 1),
	}
	cfg.Receive = r.receive
	var err error
	if r.server, err = link.NewServer(cfg); err != nil {
		return nil, err
	}
	if r.pages, err = detector.New[string](detector.Config{Interval: r.ask}); err != nil {
		r.server.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	sessions, scripts := r.server.Events(ctx), r.pages.Events(ctx)
	r.wg.Go(func() {
		for e := range sessions {
			r.session(e)
		}
	})
	r.wg.Go(func() {
		for e := range scripts {
			r.script(e)
		}
	})
	r.wg.Go(func() { r.run(ctx) })
	return r, nil
}

// close ends the room: the pages are told to come back.
func (r *room) close() {
	r.server.Close()
	r.cancel()
	r.pages.Close()
	r.wg.Wait()
}

// session acts on what becomes of a user's connection.
func (r *room) session(e link.Event) {
	if e.Outage != nil { // many are away, or back: the list says who
		r.change()
		return
	}
	name := e.Session.ID
	r.mu.Lock()
	u := r.users[name]
	if u == nil {
		u = &user{}
		r.users[name] = u
	}
	switch e.Session.State {
	case link.Up:
		u.bye = false
		if e.From != link.Suspect || e.Resumed { // another connection, perhaps of another page
			u.asked, u.still = false, false
			r.pages.Forget(name)
			r.pages.Watch(name, r.ask)
			r.pages.Heartbeat(name) // the script said hello
			r.told = ""             // it has no list yet
		}
	case link.Away, link.Gone:
		r.pages.Forget(name)
		u.bye = e.Goodbye
	}
	r.mu.Unlock()
	r.change()
}

// script acts on whether a page's script answers.
func (r *room) script(e detector.Event[string]) {
	r.mu.Lock()
	if u := r.users[e.ID]; u != nil {
		u.still = e.To == detector.Down
	}
	r.mu.Unlock()
	r.change()
}

// receive takes a message of a page.
func (r *room) receive(name string, data []byte) {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return // it is no page of ours
	}
	if a.Here {
		r.mu.Lock()
		if u := r.users[name]; u != nil {
			u.asked = false
		}
		r.mu.Unlock()
		r.pages.Heartbeat(name)
	}
	if a.Say = strings.TrimSpace(a.Say); a.Say != "" && len(a.Say) <= maxText {
		r.tell(said{"said", name, a.Say, time.Now().UnixMilli()})
	}
}

// change has run look at the list.
func (r *room) change() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// run asks the pages, and tells who is here.
func (r *room) run(ctx context.Context) {
	tick := time.NewTicker(r.ask)
	defer tick.Stop()
	for {
		select {
		case <-r.changed:
		case <-tick.C:
			r.question()
		case <-ctx.Done():
			return
		}
		r.list(time.Now())
	}
}

// question asks all pages that owe no answer.
func (r *room) question() {
	for _, s := range r.server.Sessions() {
		if s.State != link.Up {
			continue
		}
		r.mu.Lock()
		u := r.users[s.ID]
		ask := u != nil && !u.asked
		if ask {
			u.asked = true
		}
		r.mu.Unlock()
		if ask {
			rtt := float64(s.RTT.Microseconds()) / 1000
			r.send(s.ID, question{"question", rtt, r.ask.Milliseconds()})
		}
	}
}

// list tells everybody who is here, if that is new. With very many users the changes alone would be
// sent.
func (r *room) list(now time.Time) {
	list := people{Kind: "people", People: []person{}}
	r.mu.Lock()
	known := r.users
	r.users = map[string]*user{}
	for _, s := range r.server.Sessions() {
		u := known[s.ID]
		if u == nil {
			u = &user{}
		}
		r.users[s.ID] = u // those whom the server has forgotten are not kept
		state, why := u.state(s, now)
		list.People = append(list.People, person{s.ID, state, why})
	}
	slices.SortFunc(list.People, func(a, b person) int { return strings.Compare(a.Name, b.Name) })
	text := fmt.Sprint(list)
	isNew := r.told != text
	r.told = text
	r.mu.Unlock()
	if isNew {
		r.tell(list)
	}
}

// state is what the others see of a user, and why.
func (u *user) state(s link.Session, now time.Time) (state, why string) {
	switch s.State {
	case link.Up:
		if u.still {
			return "away", "the browser answers, the page does not"
		}
		return "online", ""
	case link.Suspect:
		return "online", "not heard for a moment"
	case link.Away:
		if now.Sub(s.Since) < settle {
			return "online", "connecting again"
		}
		return "away", whyAway[s.Cause]
	}
	if u.bye {
		return "offline", "said goodbye"
	}
	return "offline", "did not come back"
}

var whyAway = map[link.Cause]string{
	link.Silent: "nothing is heard",
	link.Path:   "the network does not get there",
	link.Stuck:  "the machine answers, the browser does not",
	link.Slow:   "too slow to follow",
	link.Clean:  "the connection was closed",
	link.Local:  "connects anew",
}

// tell sends a message to all users who are not offline.
func (r *room) tell(message any) {
	for _, s := range r.server.Sessions() {
		if s.State != link.Gone {
			r.send(s.ID, message)
		}
	}
}

// send sends a message to a user. One who is too far behind misses it, and one who is gone any.
func (r *room) send(name string, message any) {
	data, err := json.Marshal(message)
	if err != nil {
		panic(err) // strings and numbers only
	}
	r.server.Send(name, data)
}
