package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulsering/pulsering/detector/link/nat"
)

// natView writes what becomes of sleeps: a picture that is redrawn, a line for each that is
// decided, or JSON.
type natView struct {
	screen           *screen
	json             bool
	gateway, network string
	longest          time.Duration
	sleeps           []natSleep // in order
}

// natSleep is a line of the picture.
type natSleep struct {
	nat.Progress
	since time.Time // of the phase
}

// natLine is a line of --json. Kinds: network, sleeping, held, reset, silence, deaf, unclear,
// needless, result.
type natLine struct {
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"`
	Gateway string    `json:"gateway"`
	Network string    `json:"network,omitempty"`

	Sleep float64 `json:"sleep_s,omitempty"`
	Slept float64 `json:"slept_s,omitempty"`
	Nth   int     `json:"nth,omitempty"` // how often it was tried
	Error string  `json:"error,omitempty"`

	*natResult
}

// natResult is of kind result, and of kind network where something is remembered.
type natResult struct {
	Held      float64    `json:"held_s"`
	Forgotten float64    `json:"forgotten_s,omitempty"` // absent: none was
	How       string     `json:"how,omitempty"`
	Interval  float64    `json:"interval_s,omitempty"` // absent: not known
	Complete  bool       `json:"complete"`             // the limit is known, or none was found up to --longest
	At        *time.Time `json:"found_at,omitempty"`   // of what is remembered
}

func newNatResult(held, forgotten time.Duration, how nat.Outcome, complete bool) *natResult {
	r := &natResult{Held: held.Seconds(), Forgotten: forgotten.Seconds(), Interval: nat.Half(held).Seconds(), Complete: complete}
	if forgotten > 0 {
		r.How = how.String()
	}
	return r
}

// begin says where it is tried, and what is known from before.
func (v *natView) begin(before *nat.Record) error {
	if v.json {
		l := natLine{Kind: "network"}
		if before != nil {
			l.natResult = newNatResult(before.Held, before.Forgotten, before.How, true)
			l.At = &before.At
		}
		return v.print(l)
	}
	lines := []string{v.screen.paint(bold, fmt.Sprintf("How long may a connection to %s sleep?", v.gateway))}
	if v.network != "" {
		lines = append(lines, "network     "+v.network)
	}
	if before != nil {
		lines = append(lines, fmt.Sprintf("remembered  %s (%s)", natLimits(before.Held, before.Forgotten, before.How), ago(time.Now(), before.At)))
	}
	v.screen.text(append(lines, "")...)
	return v.screen.err
}

// news takes what became of a sleep.
func (v *natView) news(p nat.Progress) {
	one := natSleep{p, time.Now()}
	i, known := slices.BinarySearchFunc(v.sleeps, one, func(a, b natSleep) int { return int(a.Sleep - b.Sleep) })
	if known {
		v.sleeps[i] = one
	} else {
		v.sleeps = slices.Insert(v.sleeps, i, one)
	}
	switch {
	case v.json && p.Phase != nat.Waiting:
		l := natLine{Kind: p.Phase.String(), Sleep: p.Sleep.Seconds(), Nth: p.Nth}
		if p.Phase == nat.Decided {
			l.Kind, l.Slept = p.Try.Outcome.String(), p.Try.Slept.Seconds()
			if p.Try.Err != nil {
				l.Error = p.Try.Err.Error()
			}
		}
		v.print(l)
	case v.json:
	case v.screen.live:
		v.draw()
	case p.Phase == nat.Decided:
		what, p := one.text(time.Now())
		v.screen.say("·", p, "%s  %s", sleepText(one.Sleep), what)
	}
}

// text is what is seen of a sleep.
func (s natSleep) text(now time.Time) (string, paint) {
	once := ""
	if s.Nth > 1 {
		once = ", once more"
	}
	switch s.Phase {
	case nat.Sleeping:
		left := (s.Sleep - now.Sub(s.since)).Round(time.Second)
		if left <= 0 {
			return "is to be woken" + once, plain
		}
		return fmt.Sprintf("sleeps%s, %s to go", once, sleepText(left)), grey
	case nat.Needless:
		return "given up: it would not hold", grey
	case nat.Decided:
		switch {
		case s.Try.Outcome == nat.Held:
			return "still open", green
		case s.Try.Outcome.Forgotten() && s.Try.Slept < s.Sleep:
			return fmt.Sprintf("%s after %s", forgottenText(s.Try.Outcome), sleepText(s.Try.Slept)), red
		case s.Try.Outcome.Forgotten():
			return forgottenText(s.Try.Outcome), red
		}
		return fmt.Sprintf("unclear (%v)", s.Try.Err), yellow
	}
	return "connects", grey
}

func forgottenText(o nat.Outcome) string { return "forgotten (" + o.String() + ")" }

// draw shows the picture, where it can be.
func (v *natView) draw() {
	if v.json || !v.screen.live {
		return
	}
	v.screen.draw(v.picture(time.Now()))
}

func (v *natView) picture(now time.Time) []string {
	var rows [][]cell
	for _, s := range v.sleeps {
		text, p := s.text(now)
		rows = append(rows, []cell{{sleepText(s.Sleep), plain}, {text, p}})
	}
	return table(rows, v.screen.color)
}

// end says what was found.
func (v *natView) end(r nat.Result, remembered string) error {
	if v.json {
		return v.print(natLine{Kind: "result", natResult: newNatResult(r.Held, r.Forgotten, r.How, r.Complete)})
	}
	if v.screen.live && len(v.sleeps) > 0 {
		lines := v.picture(time.Now())
		if !r.Complete {
			lines = v.decided()
		}
		v.screen.text(append(lines, "")...)
	}
	v.screen.text(v.screen.paint(bold, natSentence(r, v.longest)))
	if remembered != "" {
		v.screen.text("Remembered for this network in " + remembered)
	}
	return v.screen.err
}

// decided is the picture without the sleeps that were cut short.
func (v *natView) decided() []string {
	var rows [][]cell
	for _, s := range v.sleeps {
		if s.Phase == nat.Decided {
			text, p := s.text(time.Now())
			rows = append(rows, []cell{{sleepText(s.Sleep), plain}, {text, p}})
		}
	}
	return table(rows, v.screen.color)
}

// natSentence is the result.
func natSentence(r nat.Result, longest time.Duration) string {
	found := natFound(r, longest)
	switch {
	case found == "":
		return "Stopped before anything was known."
	case r.Interval > 0:
		found += fmt.Sprintf(": let heartbeats be at most %s apart.", sleepText(r.Interval))
	default:
		found += ": there is no heartbeat interval to recommend."
	}
	if !r.Complete {
		return "Stopped. So far: " + found
	}
	return strings.ToUpper(found[:1]) + found[1:]
}

// natFound is what is known; nothing: nothing is.
func natFound(r nat.Result, longest time.Duration) string {
	switch {
	case r.Held == 0 && r.Forgotten > 0:
		return fmt.Sprintf("no sleep held, and one of %s was %s", sleepText(r.Forgotten), forgottenText(r.How))
	case r.Held == 0:
		return ""
	case r.Forgotten > 0:
		return natLimits(r.Held, r.Forgotten, r.How)
	case r.Complete:
		return fmt.Sprintf("a sleep of %s held, the longest that was tried", sleepText(longest))
	}
	return fmt.Sprintf("a sleep of %s held, and none was forgotten", sleepText(r.Held))
}

func natLimits(held, forgotten time.Duration, how nat.Outcome) string {
	if forgotten == 0 {
		return fmt.Sprintf("a sleep of %s held", sleepText(held))
	}
	return fmt.Sprintf("a sleep of %s held, one of %s was %s", sleepText(held), sleepText(forgotten), forgottenText(how))
}

// sleepText is a time as people say it: 350 ms, 1.5 s, 90 s, 5 min.
func sleepText(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d >= 2*time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d%time.Second == 0:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

// print writes a line of JSON at once.
func (v *natView) print(l natLine) error {
	l.Time, l.Gateway, l.Network = time.Now().UTC(), v.gateway, v.network
	text, err := marshal(l)
	if err != nil {
		return err
	}
	v.screen.write(string(text) + "\n")
	return v.screen.err
}
