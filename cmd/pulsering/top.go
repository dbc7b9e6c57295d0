package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pulsering/pulsering/cluster"
)

type topCmd struct {
	askedNode
	Every span `default:"1s" min:"250ms" max:"1m" help:"Time between two looks at the members. Events come at once."`
}

func (topCmd) Help() string {
	return `A live view in a terminal: the members as one node sees them, those in doubt first, a bar that is full where φ is enough to call a member down, φ of the last minute, and what happens as it does. It lives through a node that ends and comes back. ? shows the keys, q ends it.

    pulsering top
    pulsering top --http 10.0.0.7:8080 --http-token-file token
    NO_COLOR=1 pulsering top --every 5s     # over a slow line
`
}

// errMisused makes an error one of using the command in a wrong way.
type errMisused string

func (e errMisused) Error() string        { return string(e) }
func (e errMisused) Is(target error) bool { return target == cluster.ErrConfig } // whose exit code it has

// Run shows the members until somebody quits.
func (c *topCmd) Run(ctx context.Context, con console) error {
	if !con.outTTY {
		return errMisused("top: the output is no terminal that can be redrawn: pulsering members --watch prints what changes")
	}
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	model := newTop(con.outColor, time.Now())
	first := look(ctx, node, readLimit)
	if first.err != nil {
		return first.err // later it tries again: a node that was there comes back
	}
	model, _ = model.update(first)
	model.node, model.ctx = node, ctx

	program := tea.NewProgram(model, tea.WithoutSignalHandler(), tea.WithOutput(con.out), tea.WithFPS(10))
	// A context of its own (WithContext) would end it without waiting for the reader of keys, which is a data race there.
	defer context.AfterFunc(ctx, program.Quit)()
	ctx, cancel := context.WithCancel(ctx)
	var feeds sync.WaitGroup
	feeds.Go(func() { followMembers(ctx, node, time.Duration(c.Every), program.Send) })
	feeds.Go(func() { followEvents(ctx, node, program.Send) })
	_, err = program.Run()
	cancel()
	feeds.Wait()
	return err // nil where it was stopped, by a key or a signal: all went well
}

// What the feeds tell the model.
type (
	// looked is a look at the members.
	looked struct {
		at      time.Time     // by this machine's clock
		ahead   time.Duration // is the node's of that
		members []memberLine
		err     error
	}
	// happened is an event.
	happened struct{ eventLine }
	// judged is the φ that calls a member down.
	judged struct{ why explanation }
	// recalled is φ of a member in the last minute.
	recalled struct {
		name    string
		history []sample
	}
	// explainedMember is the explanation that was asked for.
	explainedMember struct {
		name string
		self memberLine
		why  explanation
		at   time.Time // by the node's clock
		err  error
	}
	// ticked is the time.
	ticked time.Time
)

// lookLimit is how long a look may take before the connection counts as lost.
const lookLimit = 2 * time.Second

func look(ctx context.Context, node *asked, limit time.Duration) (l looked) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	l.at, l.ahead, l.err = node.getAt(ctx, "/v1/members", &l.members)
	return l
}

// mostRecalled bounds the questions at the start: a node observes 8 members as a rule.
const mostRecalled = 32

// followMembers looks at the members until ctx ends.
func followMembers(ctx context.Context, node *asked, every time.Duration, tell func(tea.Msg)) {
	const judgeEvery = 15 * time.Second // the threshold changes with the number of members
	tick := time.NewTicker(every)
	defer tick.Stop()
	var asked time.Time
	recall := true // also after an interruption
	for {
		l := look(ctx, node, lookLimit)
		if ctx.Err() != nil {
			return
		}
		tell(l)
		if l.err != nil {
			recall, asked = true, time.Time{}
		} else if recall || time.Since(asked) > judgeEvery {
			n := 0
			for _, m := range l.members {
				var why explanation
				if (m.Self || recall && m.Observed && n < mostRecalled) && node.get(ctx, memberPath(m.Name), &why) == nil {
					if m.Self {
						tell(judged{why})
					} else {
						n++
						tell(recalled{m.Name, why.History})
					}
				}
			}
			recall, asked = false, time.Now()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// followEvents tells what happens until ctx ends. After an interruption it goes on where it was.
func followEvents(ctx context.Context, node *asked, tell func(tea.Msg)) {
	last := ""
	for {
		header := http.Header{}
		if last != "" {
			header.Set("Last-Event-ID", last)
		}
		if body, err := node.follow(ctx, "/v1/events", "text/event-stream", header); err == nil {
			readServerSent(body, func(e serverSent) bool {
				last = e.id
				var line eventLine
				if json.Unmarshal([]byte(e.data), &line) == nil && line.Reason != cluster.ReasonPresent {
					tell(happened{line})
				}
				return ctx.Err() == nil
			})
			body.Close()
		}
		retry := time.NewTimer(time.Second)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return
		}
	}
}

// explain asks why the node thinks of a member what it does.
func (m topModel) explain() tea.Cmd {
	node, ctx, name := m.node, m.ctx, m.detail
	if node == nil || name == "" {
		return nil
	}
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		self, why, at, err := askWhy(ctx, node, name)
		return explainedMember{name, self, why, at, err}
	}
}

// Init implements tea.Model.
func (m topModel) Init() tea.Cmd { return tick() }

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return ticked(t) })
}

// Update implements tea.Model.
func (m topModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	m, cmd := m.update(msg)
	return m, cmd
}

// View implements tea.Model.
func (m topModel) View() tea.View {
	v := tea.NewView(m.text())
	v.AltScreen = true
	v.WindowTitle = fmt.Sprintf("pulsering top: %s", printable(m.shown().self.Name))
	return v
}
