package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pulsering/pulsering/internal/level"
)

// The demo's picture: what the members that run say of each other, asked over HTTP.

// asker asks nodes for their members.
type asker struct{ client http.Client }

// patience is how long the picture waits for a node, which may be paused or on its way up.
const patience = 250 * time.Millisecond

// ask returns what those nodes see that answer, by node and member.
func (k *asker) ask(nodes []*actor) map[string]map[string]memberLine {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var wg sync.WaitGroup
	answers := make([]map[string]memberLine, len(nodes))
	for i, a := range nodes {
		wg.Go(func() { answers[i] = k.members(ctx, a.http) })
	}
	wg.Wait()
	views := make(map[string]map[string]memberLine)
	for i, a := range nodes {
		if answers[i] != nil {
			views[a.name] = answers[i]
		}
	}
	return views
}

func (k *asker) members(ctx context.Context, addr string) map[string]memberLine {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/v1/members", nil)
	if err != nil {
		return nil
	}
	answer, err := k.client.Do(req)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	var members []memberLine
	if answer.StatusCode != http.StatusOK || json.NewDecoder(answer.Body).Decode(&members) != nil {
		return nil
	}
	view := make(map[string]memberLine)
	for _, m := range members {
		view[m.Name] = m
	}
	return view
}

// refresh asks the members and draws the picture.
func (d *demo) refresh() {
	d.views = d.asker.ask(d.running(nil))
	d.screen.draw(d.picture())
}

func (d *demo) picture() []string {
	return append([]string{""}, append(d.table(), "", d.screen.paint(grey, d.headline+" …"))...)
}

// table shows each member: what its process does, and what the others think.
func (d *demo) table() []string {
	rows := [][]cell{header("MEMBER", "PROCESS", "THE OTHERS SAY", "φ", "HEARD", "RTT", "ADDRESS")}
	now := time.Now()
	for _, a := range d.actors {
		o := opinions(a.name, d.views)
		row := []cell{{text: a.name}, a.process(), o.cell(), {}, {text: ago(now, o.heard)}, {text: rtt(o.rtt)}, {a.addr, grey}}
		if !o.heard.IsZero() && o.votes["left"] == 0 { // nobody suspects one that said goodbye
			row[3].text = o.phi.String()
		}
		rows = append(rows, row)
	}
	lines := table(rows, d.screen.color)
	for i := range lines {
		lines[i] = "  " + lines[i]
	}
	return lines
}

func (a *actor) process() cell {
	switch a.state {
	case actorRunning:
		return cell{a.state + " " + strconv.Itoa(a.proc.cmd.Process.Pid), plain}
	case actorKilled:
		return cell{a.state, red}
	case actorPaused:
		return cell{a.state, yellow}
	}
	return cell{a.state, grey}
}

// opinion is what the others think of one member.
type opinion struct {
	votes map[string]int // by state
	phi   level.Phi      // the highest
	heard time.Time      // the latest
	rtt   time.Duration  // the shortest
}

func opinions(of string, views map[string]map[string]memberLine) opinion {
	o := opinion{votes: make(map[string]int)}
	for observer, view := range views {
		m, known := view[of]
		if observer == of || !known {
			continue
		}
		o.votes[m.State.String()]++
		if !m.Observed {
			continue
		}
		o.phi = max(o.phi, level.Phi(m.Phi))
		if m.LastHeard.After(o.heard) {
			o.heard = m.LastHeard
		}
		if m.RTT > 0 && (o.rtt == 0 || m.RTT < o.rtt) {
			o.rtt = m.RTT
		}
	}
	return o
}

// cell counts the votes: "up ×4".
func (o opinion) cell() cell {
	var parts []string
	var worst string
	for _, state := range []string{"up", "suspect", "down", "left"} {
		if n := o.votes[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s ×%d", state, n))
			worst = state
		}
	}
	if parts == nil {
		return cell{"nothing yet", grey}
	}
	return cell{strings.Join(parts, ", "), paintOf(worst)}
}

// pairsUp counts who sees whom up.
func (d *demo) pairsUp() int {
	n := 0
	for _, a := range d.actors {
		n += opinions(a.name, d.views).votes["up"]
	}
	return n
}

// bar is a picture of n out of all.
func bar(n, all int) string {
	const width = 20
	full := n * width / all
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

// boot reads the boot back from its string; 0 where it is none.
func (e eventLine) boot() uint64 {
	n, _ := strconv.ParseUint(e.Boot, 10, 64)
	return n
}
