package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/level"
)

type explainCmd struct {
	Name memberName `arg:"" help:"The member that it is about."`
	askedNode
	asJSON
}

func (explainCmd) Help() string {
	return `What this one node has seen and heard of the member, what it and the others who listen to the member think, and what would change that. φ adds up: each of them gives its own, and a verdict takes the whole sum.

    pulsering explain orders-7
    pulsering explain orders-7 --json | jq .inquiry.doubts
    pulsering explain orders-7 --http 10.0.0.7:8080 --http-token-file token
`
}

// memberName is the argument of a command that is about one member.
type memberName = text

// Run prints why the node thinks of the member what it does.
func (c *explainCmd) Run(ctx context.Context, con console) error {
	node, err := c.open(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		var all []byte
		if err := node.get(ctx, memberPath(string(c.Name)), &all); err != nil {
			return unknownMember(err, node)
		}
		_, err := con.out.Write(all)
		return err
	}
	self, why, at, err := askWhy(ctx, node, string(c.Name))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(con.out, strings.Join(explained(self, why, at, con.outColor), "\n"))
	return err
}

// askWhy asks for the explanation of a member, and who it is that explains. It was so at a time of the node's clock.
func askWhy(ctx context.Context, node *asked, name string) (self memberLine, why explanation, at time.Time, err error) {
	at, ahead, err := node.getAt(ctx, memberPath(name), &why)
	if err != nil {
		return self, why, at, unknownMember(err, node)
	}
	self, err = node.self(ctx)
	return self, why, at.Add(ahead), err
}

// unknownMember says what to do where a node knows no such member.
func unknownMember(err error, node *asked) error {
	var refused errRefused
	if errors.As(err, &refused) && refused.status == http.StatusNotFound {
		return fmt.Errorf("%w (pulsering members lists them)", err)
	}
	return err
}

// prose gathers lines for people.
type prose struct {
	lines []string
	color bool
}

func (p *prose) head(text string) {
	if p.color {
		text = bold.on(text)
	}
	p.lines = append(p.lines, "", text)
}

func (p *prose) say(format string, args ...any) {
	p.lines = append(p.lines, "  "+fmt.Sprintf(format, args...))
}

// explained is the explanation in plain words. It was so at now, by the clock of the node.
func explained(self memberLine, e explanation, now time.Time, color bool) []string {
	p := &prose{color: color}
	name, here, state := printable(e.Member.Name), printable(self.Name), e.Member.State.String()
	shown := state
	if color {
		shown = paintOf(state).on(state)
	}
	since := ago(now, e.Member.Since)
	first := fmt.Sprintf("%s has been %s for %s", name, shown, strings.TrimSuffix(since, " ago"))
	switch {
	case e.Member.State == cluster.StateLeft && since != "":
		first = fmt.Sprintf("%s %s %s", name, shown, since)
	case since == "":
		first = fmt.Sprintf("%s is %s", name, shown)
	}
	if e.Member.Name == self.Name {
		p.lines = append(p.lines, first+". It is the node that was asked, which has no doubt about itself.")
		if self.Isolated {
			p.say("It is isolated: it hears none of the others, so what it says of them is old.")
		}
		p.say("Those who listen to it: %s.", nameList(e.Observers))
		return p.lines
	}
	p.lines = append(p.lines, first+", as "+here+" sees it.")
	if self.Isolated {
		p.say("%s is isolated: it hears none of the others, so this is what it knew before.", here)
	}
	if e.Member.Health != cluster.HealthUnknown {
		p.say("Of its service it says: %s.", e.Member.Health)
	}
	p.evidence(here, e, now)
	p.opinions(here, e)
	p.prospects(here, e, now)
	return p.lines
}

// evidence is what was seen.
func (p *prose) evidence(here string, e explanation, now time.Time) {
	p.head("Evidence")
	switch {
	case e.LastAlive.IsZero():
		p.say("No sign of life is known here.")
	default:
		p.say("The latest sign of life that anybody had: %s.", ago(now, e.LastAlive))
	}
	if w := e.Path; w == nil {
		p.say("%s does not listen to it, and knows of it what the others say.", here)
	} else if w.Heartbeats == 0 {
		p.say("%s listens to it, and has heard no heartbeat yet.", here)
	} else {
		p.say("%s listens to it: %d %s arrived, %d got lost, the last one came %s.", here, w.Heartbeats, plural(w.Heartbeats, "heartbeat"),
			w.Lost, ago(now, w.LastHeartbeat))
		if w.Mean > 0 {
			p.say("They are due every %s, come every %s, and are %s early or late on average.", milliseconds(w.Interval), milliseconds(w.Mean),
				milliseconds(w.Deviation))
		}
		p.say("Of 100 packets on this path %s are taken to get lost.", percent(w.Loss))
		if !w.Overdue.IsZero() && now.After(w.Overdue) && e.Member.State != cluster.StateLeft {
			p.say("The next one has been overdue for %s: φ is %s.", seconds(now.Sub(w.Overdue)), level.Phi(e.Member.Phi))
		} else if e.Member.State == cluster.StateUp {
			p.say("The next one is not overdue: φ is %s.", level.Phi(e.Member.Phi))
		}
	}
	if q := e.Inquiry; q != nil && q.Asked > 0 {
		p.say("%s has asked it %d %s since %s; %d should have been answered by now, and were not.", here, q.Asked,
			plural(uint64(q.Asked), "time"), ago(now, q.Since), q.Unanswered)
	}
	if v := e.Verdict; v != nil && v.Exit != "" {
		p.say("It said itself that its service died: %s.", harmless(v.Exit))
	} else if v != nil {
		p.say("It was called down by a doubt of %s, of which %s was enough, by %s.", level.Phi(v.Phi), level.Phi(v.Threshold), nameList(v.By))
	}
}

// opinions are what those think who listen to the member, and their sum.
func (p *prose) opinions(here string, e explanation) {
	p.head("Opinions")
	if e.Inquiry == nil {
		p.say("Nobody has been asked: %s.", map[cluster.State]string{
			cluster.StateUp: "there is no doubt", cluster.StateSuspect: "no inquiry is open here",
			cluster.StateDown: "the verdict stands", cluster.StateLeft: "it said goodbye",
		}[e.Member.State])
		p.say("Those who listen to it: %s.", nameList(e.Observers))
		return
	}
	said := map[string]bool{}
	for _, d := range e.Inquiry.Doubts {
		said[d.By] = true
	}
	rows := [][]cell{header("  WHO", "φ", "BEYOND A STALL")}
	for _, d := range e.Inquiry.Doubts {
		rows = append(rows, []cell{{text: "  " + printable(d.By)}, {text: level.Phi(d.Phi).String()}, {text: level.Phi(d.BeforeStall).String()}})
	}
	for _, name := range e.Observers {
		if !said[name] {
			rows = append(rows, []cell{{text: "  " + printable(name)}, {text: "no doubt, or no word yet", paint: grey}})
		}
	}
	rows = append(rows, []cell{
		{text: "  sum"},
		{text: level.Phi(e.Inquiry.Phi).String() + " of " + level.Phi(e.Threshold).String(), paint: bold},
		{text: level.Phi(e.Inquiry.BeforeStall).String() + " of " + level.Phi(e.StallThreshold).String(), paint: bold},
	})
	p.lines = append(p.lines, table(rows, p.color)...)
	p.say("No single one counts for more than its share. Of fewer than three only those count whom %s hears without a gap.", here)
}

// prospects are what would change the state.
func (p *prose) prospects(here string, e explanation, now time.Time) {
	p.head("What would change it")
	switch e.Member.State {
	case cluster.StateLeft:
		p.say("It is up again when it joins again.")
		return
	case cluster.StateDown:
		p.say("Up: a heartbeat or an answer of it, to anybody, that is newer than the verdict; or a restart, with a new boot.")
		return
	}
	if w := e.Path; w != nil && e.Inquiry == nil && !w.Reaches.IsZero() && w.Reaches.After(now) {
		p.say("Silence: if nothing more is heard, φ of %s alone comes to %s in %s; with the others it takes less.",
			here, level.Phi(e.Threshold), seconds(w.Reaches.Sub(now)))
	}
	if e.Member.State == cluster.StateUp {
		p.say("Suspect: a sum of doubts of about %s, half of what a verdict takes.", level.Phi(e.Threshold/2))
	} else {
		p.say("Up: any sign of life, to anybody.")
	}
	down := fmt.Sprintf("Down: a sum of doubts of %s", level.Phi(e.Threshold))
	if q := e.Inquiry; q != nil && q.Phi < e.Threshold {
		down += fmt.Sprintf(" (%s more)", level.Phi(e.Threshold-q.Phi))
	}
	down += fmt.Sprintf(", of which %s beyond a stall", level.Phi(e.StallThreshold))
	if q := e.Inquiry; q != nil && q.BeforeStall < e.StallThreshold {
		down += fmt.Sprintf(" (%s more)", level.Phi(e.StallThreshold-q.BeforeStall))
	}
	if e.Excused.After(now) {
		down += fmt.Sprintf("; not before %s from now, as one stall may last that long", seconds(e.Excused.Sub(now)))
	}
	p.say("%s.", down)
}

func nameList(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = printable(name)
	}
	return strings.Join(shown, ", ")
}

func plural(n uint64, one string) string {
	if n == 1 {
		return one
	}
	return one + "s"
}

// milliseconds is a span for people who compare it with others.
func milliseconds(d time.Duration) string {
	switch ms := float64(d) / float64(time.Millisecond); {
	case ms >= 1000:
		return fmt.Sprintf("%.2f s", ms/1000)
	case ms >= 100:
		return fmt.Sprintf("%.0f ms", ms)
	default:
		return fmt.Sprintf("%.1f ms", ms)
	}
}

func percent(share float64) string {
	if share < 0.1 {
		return fmt.Sprintf("%.1f", 100*share)
	}
	return fmt.Sprintf("%.0f", 100*share)
}
