// Package hook runs a command for each event.
//
// Think of a porter who takes telegrams to the rooms. He never has two for one room in his hand;
// where a second comes before he has gone he throws the first away and notes on the second how many
// there were. There are a few porters, so one who is kept waiting at a door holds up nobody else,
// and who is kept too long is called back.
//
// The contract of [Hooks]:
//
//   - Put never waits. The events of one key are told one at a time, in order; what waits of a key
//     is its newest event alone, with the number of those left out before it. Keys are told in the
//     order in which they began to wait.
//   - At most Config.AtOnce commands run at a time, each for Config.Limit, see [command.Command]
//     for how they end.
//   - At most 4096 keys wait; more throw out the one that has waited longest. The log says how
//     many.
//   - What a command prints, and how it failed, goes to the log, quoted, 50 lines at once and 5 a
//     second beyond. The log says how many were left out.
//
// # What a command is given
//
// One line of JSON on its standard input, and variables PULSERING_… in its environment. They are
// data from other machines: names may hold quotes, line breaks, escape sequences or $(reboot). The
// shell does not obey what is in a variable, unless it is told to: by eval, or sh -c "…
// $PULSERING_EVENT_MEMBER". So:
//
//   - Quote each use: "$PULSERING_EVENT_MEMBER". Without quotes it falls into words, and a * in it
//     becomes names of files.
//   - A name may begin with a dash. Put -- before it: grep -- "$PULSERING_EVENT_MEMBER" hosts.
//   - Print with printf '%s\n' "$PULSERING_EVENT_MEMBER", not with echo, which reads backslashes in some
//     shells.
//   - Programs that read JSON (jq -r .member) see every byte; in variables NUL bytes are replaced
//     by U+FFFD, and values end after 4096 bytes.
//
// On Windows cmd.exe obeys what is in a variable (%PULSERING_EVENT_MEMBER% with an & in it is two
// commands), so characters that mean something to it are replaced by "_" there.
package hook

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/internal/command"
)

// What Config means by zero.
const (
	DefaultLimit  = 10 * time.Second
	DefaultAtOnce = 4
)

// maxWaiting bounds the keys that wait: more members than a cluster has.
const maxWaiting = 4096

// Config says what runs, and what it may cost.
type Config struct {
	// Command is a line for the shell: sh -c on Unix, cmd /C on Windows.
	Command string
	// Limit is how long one run may take. Zero: DefaultLimit.
	Limit time.Duration
	// AtOnce is how many commands may run at a time. Zero: DefaultAtOnce.
	AtOnce int
	// Log is told what the commands print, and how they fail. Nil: nobody.
	Log hclog.Logger
}

// Render makes of an event what a command is given: variables, by their names without PULSERING_,
// and a line of JSON without its end. leftOut is how many events of the key were left out before
// this one.
type Render[E any] func(e E, leftOut int) (vars map[string]string, json []byte)

// Hooks runs a command for each event. Its methods may be called from any goroutine.
type Hooks[E any] struct {
	cfg    Config
	render Render[E]
	log    *boundedLog
	run    func(context.Context, command.Command) error
	ctx    context.Context // of the commands that run
	kill   context.CancelFunc
	idle   chan struct{} // closed when closed is set, and nothing waits or runs

	mu      sync.Mutex
	waiting map[string]*slip[E]
	order   []string // keys of waiting, the one that has waited longest first
	running map[string]struct{}
	lost    int // events that were thrown out with their keys, since the log was told
	closed  bool
}

// slip is what waits of one key.
type slip[E any] struct {
	event   E
	leftOut int
}

// New returns hooks that have nothing to do yet.
func New[E any](cfg Config, render Render[E]) *Hooks[E] {
	cfg.Limit = cmp.Or(cfg.Limit, DefaultLimit)
	cfg.AtOnce = cmp.Or(cfg.AtOnce, DefaultAtOnce)
	if cfg.Log == nil {
		cfg.Log = hclog.NewNullLogger()
	}
	h := &Hooks[E]{
		cfg:     cfg,
		render:  render,
		log:     newBoundedLog(cfg.Log),
		run:     func(ctx context.Context, c command.Command) error { return c.Run(ctx) },
		idle:    make(chan struct{}),
		waiting: make(map[string]*slip[E]),
		running: make(map[string]struct{}),
	}
	h.ctx, h.kill = context.WithCancel(context.Background())
	return h
}

// Put has the command run for e, which is about key. After Close it does nothing.
func (h *Hooks[E]) Put(key string, e E) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	if s, ok := h.waiting[key]; ok {
		s.event = e
		s.leftOut++
		return
	}
	if len(h.order) == maxWaiting {
		h.lost += 1 + h.remove(0).leftOut
	}
	h.waiting[key] = &slip[E]{event: e}
	h.order = append(h.order, key)
	h.dispatch()
}

// remove takes the i-th of order. It requires that h.mu is held.
func (h *Hooks[E]) remove(i int) *slip[E] {
	key := h.order[i]
	s := h.waiting[key]
	delete(h.waiting, key)
	h.order = slices.Delete(h.order, i, i+1)
	return s
}

// dispatch starts what may start. It requires that h.mu is held.
func (h *Hooks[E]) dispatch() {
	for i := 0; i < len(h.order) && len(h.running) < h.cfg.AtOnce; {
		key := h.order[i]
		if _, busy := h.running[key]; busy {
			i++
			continue
		}
		s := h.remove(i)
		h.running[key] = struct{}{}
		go h.tell(key, s)
	}
	if h.closed && len(h.order) == 0 && len(h.running) == 0 {
		close(h.idle)
	}
}

// tell runs the command for one event.
func (h *Hooks[E]) tell(key string, s *slip[E]) {
	vars, json := h.render(s.event, s.leftOut)
	member := hclog.Quote(key)
	err := h.run(h.ctx, command.Command{
		Line:  h.cfg.Command,
		Env:   environment(vars),
		Stdin: append(slices.Clip(json), '\n'),
		Limit: h.cfg.Limit,
		Output: func(line string) {
			h.log.say(hclog.Info, "hook printed", "about", member, "line", hclog.Quote(line))
		},
	})
	if err != nil && !errors.Is(err, context.Canceled) {
		h.log.say(hclog.Warn, "hook failed", "about", member, "error", err)
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost > 0 {
		lost := h.lost
		if h.log.say(hclog.Warn, "hooks are slower than events come: the oldest were left out", "events", lost) {
			h.lost = 0
		}
	}
	delete(h.running, key)
	h.dispatch()
}

// Close takes no more events, goes on with those that wait for as long as patience, then drops them
// and ends the commands that run. It returns when all have ended, or after patience and a few
// seconds, whatever the commands do. A second Close waits likewise.
func (h *Hooks[E]) Close(patience time.Duration) {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		h.dispatch()
	}
	h.mu.Unlock()
	if !within(patience, h.idle) {
		h.giveUp()
		// The kernel itself may be unable to end a process, such as one that waits for a dead file
		// server.
		if !within(command.DefaultGrace+2*time.Second, h.idle) {
			h.cfg.Log.Error("a hook is left behind: it cannot be killed")
		}
	}
	h.kill()
	h.log.close()
}

// giveUp drops what waits, and ends what runs.
func (h *Hooks[E]) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.ctx.Err() != nil {
		return // another Close was first
	}
	lost := len(h.order)
	for len(h.order) > 0 {
		lost += h.remove(len(h.order) - 1).leftOut
	}
	if lost += h.lost; lost > 0 {
		h.cfg.Log.Warn("the last events were not told to hooks", "events", lost)
	}
	if n := len(h.running); n > 0 {
		h.cfg.Log.Warn("ending hooks that still run", "hooks", n)
	}
	h.kill()
}

// within tells whether done was closed in time.
func within(d time.Duration, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	limit := time.NewTimer(d)
	defer limit.Stop()
	select {
	case <-done:
		return true
	case <-limit.C:
		return false
	}
}
