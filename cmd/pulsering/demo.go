package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

type demoCmd struct {
	Keep bool `help:"Keep the cluster up at the end, until Ctrl-C, as a playground for the dashboard and the other commands."`
}

func (demoCmd) Help() string {
	return `Starts five members as processes of their own on loopback, shows what they think of each other, kills one, stops one for five seconds, restarts the killed one and lets one leave. It takes about 20 s, needs nothing set up, and leaves nothing behind. It ends with 0 if the others noticed all of that and nothing else.

    pulsering demo
    pulsering demo --keep
    NO_COLOR=1 pulsering demo | tee demo.txt
`
}

// How long each thing may take before the demo gives up. What it shows is far below; a busy machine gets its time.
const (
	formLimit   = 20 * time.Second
	noticeLimit = 10 * time.Second
	leaveLimit  = 8 * time.Second

	pauseFor = 5 * time.Second
	lookFor  = 1500 * time.Millisecond // for the eye, and for what should not happen
)

// Run tells the story.
func (c *demoCmd) Run(ctx context.Context, con console) (err error) {
	// The children die with the thread that starts them (see ownGroup), so it has to be one that stays.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signal.Ignore(syscall.SIGPIPE) // a reader that goes ends the demo in good order, with its children

	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find this program's own file: %w", err)
	}
	d, err := newDemo(exe, con)
	if err != nil {
		return err
	}
	defer d.killAll() // also after a panic
	if err := d.story(ctx, c.Keep); err != nil {
		d.screen.text(d.table()...) // what it looked like when it went wrong
		return err
	}
	return nil
}

// demo is a cluster of child processes and what it is known to have seen. One goroutine owns it.
type demo struct {
	exe    string
	screen *screen
	actors []*actor
	asker  asker

	headline string                           // what is being waited for
	views    map[string]map[string]memberLine // who sees whom how, by name; only of those that answer
	faults   map[string]fault                 // of members that may be called down for them
	summary  []string
}

// fault is when a member may be called down: never if it is zero; until is zero while the fault lasts.
type fault struct{ since, until time.Time }

func (f fault) excuses(t time.Time) bool {
	return !f.since.IsZero() && !t.Before(f.since) && (f.until.IsZero() || t.Before(f.until))
}

// actor is a member of the demo, whatever became of it.
type actor struct {
	name, addr, http string

	proc      *proc  // the present one, or the last
	state     string // of the process: what the others should find out
	restarted bool
}

const (
	actorWaiting = "not started"
	actorRunning = "running"
	actorKilled  = "killed"
	actorPaused  = "paused"
	actorLeft    = "left"
)

func newDemo(exe string, con console) (*demo, error) {
	names := []string{"ant", "bee", "cat", "dog", "elk"}
	addrs, err := freeAddrs(2 * len(names))
	if err != nil {
		return nil, err
	}
	d := &demo{
		exe:    exe,
		screen: &screen{w: con.out, live: con.outTTY && runtime.GOOS != "windows", color: con.outColor, began: time.Now()},
		faults: make(map[string]fault),
	}
	for i, name := range names {
		d.actors = append(d.actors, &actor{name: name, addr: addrs[2*i], http: addrs[2*i+1], state: actorWaiting})
	}
	return d, nil
}

func (d *demo) story(ctx context.Context, keep bool) error {
	ant, cat, dog, elk := d.actors[0], d.actors[2], d.actors[3], d.actors[4]
	d.screen.text("",
		d.screen.paint(bold, "Five members of a Pulsering ring, each a process of its own on this machine."),
		"They listen to each other's heartbeats; φ says how unlikely a silence is: 3 means 1 in 1000.",
		"")
	for _, step := range []func() error{
		func() error { return d.form(ctx) },
		func() error { return d.crash(ctx, cat) },
		func() error { return d.pause(ctx, dog) },
		func() error { return d.restart(ctx, cat) },
		func() error { return d.leave(ctx, elk) },
	} {
		if err := step(); err != nil {
			return err
		}
		d.screen.snapshot(append(append([]string{""}, d.table()...), ""))
	}
	d.tell()
	if keep {
		if elk.state == actorLeft {
			if err := d.restart(ctx, elk); err != nil { // a playground of five
				return err
			}
		}
		if err := d.stay(ctx, ant); err != nil {
			return err
		}
	}
	return d.end()
}

// form starts all members and waits until each sees the others.
func (d *demo) form(ctx context.Context) error {
	d.headline = "forming the ring"
	d.say("▸", cyan, "starting %s", names(d.actors))
	began := time.Now()
	for _, a := range d.actors {
		if err := d.start(a); err != nil {
			return err
		}
	}
	pairs := len(d.actors) * (len(d.actors) - 1)
	err := d.until(ctx, formLimit, func() bool {
		up := d.pairsUp()
		d.headline = fmt.Sprintf("forming the ring  %s  %d of %d views", bar(up, pairs), up, pairs)
		return up == pairs
	})
	if err != nil {
		return fmt.Errorf("the ring did not form: %d of %d views are there: %w", d.pairsUp(), pairs, err)
	}
	took := time.Since(began)
	d.say("✓", green, "formed in %s: each of the five sees the four others", seconds(took))
	d.say("·", grey, "the dashboard, as %s sees them: http://%s/", d.actors[0].name, d.actors[0].http)
	d.note("a ring of five formed", seconds(took))
	return d.look(ctx)
}

// crash kills a member.
func (d *demo) crash(ctx context.Context, victim *actor) error {
	others := d.running(victim)
	since := d.fault(victim)
	victim.proc.kill()
	victim.state = actorKilled
	d.say("▸", cyan, "killed %s (SIGKILL to process %d)", victim.name, victim.proc.cmd.Process.Pid)
	told, err := d.told(ctx, others, victim, "down", since, 0)
	if err != nil {
		return err
	}
	d.say("✓", green, "down after: %s", told)
	d.note(victim.name+" was killed", "down "+told.span()+" later")
	return d.look(ctx)
}

// pause stops a member for a while: it cannot say so, and to the others that is no different from a crash.
func (d *demo) pause(ctx context.Context, sleeper *actor) error {
	others := d.running(sleeper)
	since := d.fault(sleeper)
	if err := sleeper.proc.pause(); errors.Is(err, errors.ErrUnsupported) {
		delete(d.faults, sleeper.name)
		d.say("·", grey, "left out: a process cannot be paused here (%v)", err)
		return nil
	} else if err != nil {
		return fmt.Errorf("cannot pause %s: %w", sleeper.name, err)
	}
	sleeper.state = actorPaused
	d.say("▸", cyan, "paused %s for %.0f s (SIGSTOP)", sleeper.name, pauseFor.Seconds())
	told, err := d.told(ctx, others, sleeper, "down", since, 0)
	if err != nil {
		return err
	}
	d.say("✓", green, "down after: %s", told)
	d.headline = sleeper.name + " sleeps on"
	if err := d.until(ctx, 2*pauseFor, func() bool { return time.Since(since) >= pauseFor }); err != nil {
		return err
	}

	woken := time.Now()
	if err := sleeper.proc.resume(); err != nil {
		return fmt.Errorf("cannot wake %s: %w", sleeper.name, err)
	}
	sleeper.state = actorRunning
	d.say("▸", cyan, "woke %s (SIGCONT)", sleeper.name)
	back, err := d.told(ctx, others, sleeper, "up", woken, 0)
	if err != nil {
		return err
	}
	d.say("✓", green, "up again after: %s", back)
	learnt, err := d.told(ctx, []*actor{sleeper}, sleeper, "accused", woken, 0)
	if err != nil {
		return err
	}
	d.say("✓", green, "%s knows that it was called down, and has a new epoch, after: %s", sleeper.name, learnt.span())
	d.faults[sleeper.name] = fault{since, time.Now()}
	if err := d.look(ctx); err != nil { // in which the sleeper blames nobody, see falseAlarm
		return err
	}
	d.say("✓", green, "%s, for whom everyone was silent for %.0f s, called nobody down", sleeper.name, pauseFor.Seconds())
	d.note(fmt.Sprintf("%s was paused for %.0f s", sleeper.name, pauseFor.Seconds()), "down "+told.span()+" later, up "+back.span()+" after it woke")
	return nil
}

// restart brings a killed member back.
func (d *demo) restart(ctx context.Context, a *actor) error {
	others := d.running(a)
	old := d.bootOf(a)
	since := time.Now()
	if err := d.start(a); err != nil {
		return err
	}
	d.say("▸", cyan, "started %s again (process %d)", a.name, a.proc.cmd.Process.Pid)
	told, err := d.told(ctx, others, a, "up", since, old)
	if err != nil {
		return err
	}
	d.say("✓", green, "up with a new boot after: %s", told)
	d.note(a.name+" was started again", "up with a new boot "+told.span()+" later")
	delete(d.faults, a.name)
	return d.look(ctx)
}

// leave asks a member to end: it says goodbye, so nobody takes it for dead.
func (d *demo) leave(ctx context.Context, a *actor) error {
	others := d.running(a)
	since := time.Now()
	if err := a.proc.terminate(); errors.Is(err, errors.ErrUnsupported) {
		d.say("·", grey, "left out: a process cannot be asked to end here (%v)", err)
		return nil
	} else if err != nil {
		return fmt.Errorf("cannot end %s: %w", a.name, err)
	}
	a.state = actorLeft
	d.say("▸", cyan, "asked %s to leave (SIGTERM)", a.name)
	told, err := d.told(ctx, others, a, "left", since, 0)
	if err != nil {
		return err
	}
	if err := d.until(ctx, leaveLimit, func() bool { return !a.proc.running() }); err != nil {
		return fmt.Errorf("%s said goodbye but goes on: %w", a.name, err)
	}
	if a.proc.err != nil {
		return fmt.Errorf("%s ended with %w:\n%s", a.name, a.proc.err, a.proc.lastLog(5))
	}
	d.say("✓", green, "left after: %s", told)
	if err := d.look(ctx); err != nil {
		return err
	}
	d.say("✓", green, "nobody called %s down", a.name)
	d.note(a.name+" left", "left, not down, "+told.span()+" later")
	return nil
}

// stay keeps the cluster until ctx ends.
func (d *demo) stay(ctx context.Context, a *actor) error {
	lines := []string{fmt.Sprintf("The ring stays up until Ctrl-C. Its dashboard, as %s sees it: http://%s/", a.name, a.http), "In another terminal, try:", ""}
	for _, a := range d.running(nil) {
		lines = append(lines, fmt.Sprintf("    pulsering members --http %s    # as %s sees them", a.http, a.name))
	}
	lines = append(lines, fmt.Sprintf("    pulsering top --http %s        # live; q quits", a.http), fmt.Sprintf("    pulsering events --http %s", a.http))
	if others := d.running(a); len(others) > 0 {
		lines = append(lines, fmt.Sprintf("    pulsering explain %s --http %s", others[0].name, a.http))
	}
	for _, b := range d.running(a) {
		lines = append(lines, fmt.Sprintf("    kill -9 %-24d            # %s", b.proc.cmd.Process.Pid, b.name))
	}
	d.screen.text(append(lines, "")...)
	d.headline = "the ring stays up until Ctrl-C"
	for {
		select {
		case <-ctx.Done():
			return d.screen.err
		case <-time.After(refreshEvery):
		}
		for _, a := range d.actors {
			if a.state == actorRunning && !a.proc.running() {
				a.state = actorKilled // by somebody who tries things out
			}
		}
		d.refresh()
	}
}

// end lets all members leave.
func (d *demo) end() error {
	d.headline = "ending"
	running := d.running(nil)
	for _, a := range running {
		if a.proc.terminate() != nil {
			a.proc.kill()
		}
	}
	for _, a := range running {
		if err := a.proc.wait(leaveLimit); err != nil && runtime.GOOS != "windows" {
			return fmt.Errorf("%s did not end well: %w:\n%s", a.name, err, a.proc.lastLog(5))
		}
	}
	d.screen.text("All processes have ended. Next: pulsering node --help")
	return d.screen.err
}

// start runs the member's process.
func (d *demo) start(a *actor) error {
	args := []string{"--name", a.name, "--bind", a.addr, "--http", a.http, "--log-level", "info"}
	if a != d.actors[0] {
		args = append(args, "--join", d.actors[0].addr, "--join", d.actors[1].addr)
	}
	p, err := startNode(d.exe, args...)
	if err != nil {
		return fmt.Errorf("cannot start %s: %w", a.name, err)
	}
	a.restarted = a.proc != nil
	a.proc, a.state = p, actorRunning
	return nil
}

// fault notes that from now on the others are right to call the member down.
func (d *demo) fault(a *actor) time.Time {
	now := time.Now()
	d.faults[a.name] = fault{since: now}
	return now
}

// running lists the members whose processes run, but for one.
func (d *demo) running(but *actor) []*actor {
	return slices.DeleteFunc(slices.Clone(d.actors), func(a *actor) bool { return a.state != actorRunning || a == but })
}

// killAll leaves no process behind.
func (d *demo) killAll() {
	for _, a := range d.actors {
		if a.proc != nil {
			a.proc.kill()
		}
	}
}

// bootOf returns the highest boot of a member that anyone has printed.
func (d *demo) bootOf(a *actor) uint64 {
	var boot uint64
	for _, b := range d.actors {
		for _, e := range b.said() {
			if e.Member == a.name {
				boot = max(boot, e.boot())
			}
		}
	}
	return boot
}

// said returns what the member's present process has printed.
func (a *actor) said() []eventLine {
	if a.proc == nil {
		return nil
	}
	events, _ := a.proc.seen()
	return events
}

// refreshEvery is how often the picture is drawn and conditions are looked at. Times come from the events themselves.
const refreshEvery = 150 * time.Millisecond

// until waits for a condition, with the picture kept fresh, for as long as everything else is as it should be.
func (d *demo) until(ctx context.Context, limit time.Duration, cond func() bool) error {
	deadline := time.Now().Add(limit)
	for {
		d.refresh()
		if err := cmp.Or(d.screen.err, d.unexpected()); err != nil {
			return err
		}
		if cond() {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("gave up after %v", limit)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(refreshEvery):
		}
	}
}

// look lets a moment pass.
func (d *demo) look(ctx context.Context) error {
	d.headline = "they listen"
	began := time.Now()
	return d.until(ctx, 10*lookFor, func() bool { return time.Since(began) >= lookFor })
}

// unexpected returns an error if a process has ended by itself or somebody was called down for nothing.
func (d *demo) unexpected() error {
	for _, a := range d.running(nil) {
		if !a.proc.running() {
			return fmt.Errorf("%s ended by itself (%v). Its last log lines:\n%s", a.name, a.proc.err, a.proc.lastLog(5))
		}
	}
	for _, a := range d.actors {
		for _, e := range a.said() {
			if e.Kind == "down" && !d.faults[e.Member].excuses(e.Time) && !d.replaced(e) {
				return fmt.Errorf("a false alarm: %s called %s down (reason %s), which was alive: is this machine very busy?",
					a.name, e.Member, e.Reason)
			}
		}
	}
	return nil
}

// replaced tells whether the event is about an earlier process of a member.
func (d *demo) replaced(e eventLine) bool {
	return slices.ContainsFunc(d.actors, func(a *actor) bool {
		return a.name == e.Member && a.restarted && e.boot() < d.bootOf(a)
	})
}

// told waits until every observer has printed an event of a kind about the subject, with a boot above the given one.
func (d *demo) told(ctx context.Context, observers []*actor, subject *actor, kind string, since time.Time, above uint64) (notices, error) {
	d.headline = fmt.Sprintf("waiting for %s to say that %s is %s", names(observers), subject.name, kind)
	var heard notices
	err := d.until(ctx, noticeLimit, func() bool {
		heard = heard[:0]
		for _, o := range observers {
			for _, e := range o.said() {
				if e.Member == subject.name && e.Kind == kind && !e.Time.Before(since) && e.boot() > above {
					heard = append(heard, notice{o.name, e.Time.Sub(since)})
					break
				}
			}
		}
		return len(heard) == len(observers)
	})
	if err != nil {
		return nil, fmt.Errorf("not everyone said that %s is %s: %w. Since then they said:\n%s",
			subject.name, kind, err, d.sayings(observers, subject, since))
	}
	return heard, nil
}

// sayings lists what observers said of a subject.
func (d *demo) sayings(observers []*actor, subject *actor, since time.Time) string {
	var lines []string
	for _, o := range observers {
		line := "  " + o.name + ":"
		for _, e := range o.said() {
			if e.Member == subject.name && !e.Time.Before(since) {
				line += fmt.Sprintf(" %s (%s) after %s;", e.Kind, e.Reason, seconds(e.Time.Sub(since)))
			}
		}
		lines = append(lines, strings.TrimSuffix(line, ";"))
	}
	return strings.Join(lines, "\n")
}

// notice is how long after a fault somebody said so.
type notice struct {
	by    string
	after time.Duration
}

type notices []notice

func (n notices) String() string {
	var parts []string
	for _, h := range n {
		parts = append(parts, h.by+" "+seconds(h.after))
	}
	return strings.Join(parts, ", ")
}

// span is the range of the times.
func (n notices) span() string {
	after := func(a, b notice) int { return cmp.Compare(a.after, b.after) }
	low, high := slices.MinFunc(n, after).after, slices.MaxFunc(n, after).after
	if seconds(low) == seconds(high) {
		return seconds(low)
	}
	return seconds(low) + " to " + seconds(high)
}

func names(actors []*actor) string {
	var all []string
	for _, a := range actors {
		all = append(all, a.name)
	}
	if last := len(all) - 1; last > 0 {
		return strings.Join(all[:last], ", ") + " and " + all[last]
	}
	return strings.Join(all, "")
}

func (d *demo) say(mark string, p paint, format string, args ...any) {
	d.screen.say(mark, p, format, args...)
}

// note adds a line to what is told at the end.
func (d *demo) note(what, when string) {
	d.summary = append(d.summary, fmt.Sprintf("  %-26s %s", what, when))
}

func (d *demo) tell() {
	lines := append([]string{"", d.screen.paint(bold, "What happened, and when the others knew")}, d.summary...)
	d.screen.text(append(lines, "  Nobody was called down for nothing.", "")...)
}
