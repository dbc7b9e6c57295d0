package lab

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"
)

// params is a question: a scenario and its size. It is part of each result.
type params struct {
	Scenario string  `json:"scenario"`
	Seed     uint64  `json:"seed"`
	Nodes    int     `json:"nodes"`
	Minutes  float64 `json:"minutes"`
	Systems  string  `json:"systems"`

	Settle time.Duration `json:"settle"`

	Loss  float64       `json:"loss"`
	Burst time.Duration `json:"burst,omitempty"`
	Delay time.Duration `json:"delay,omitempty"`
	Rate  int           `json:"rate,omitempty"`

	Kill          int           `json:"kill,omitempty"`
	KillObservers bool          `json:"kill_observers,omitempty"`
	Few           int           `json:"few,omitempty"`
	FewLoss       float64       `json:"few_loss,omitempty"`
	Fault         time.Duration `json:"fault,omitempty"`
	Least         time.Duration `json:"least,omitempty"`
	Between       time.Duration `json:"between,omitempty"`
	Churn         int           `json:"churn,omitempty"`

	Heartbeats      string        `json:"heartbeats"`
	Beat            time.Duration `json:"beat,omitempty"`
	StallAllowance  time.Duration `json:"stall_allowance,omitempty"`
	FalseAlarmEvery time.Duration `json:"false_alarm_every,omitempty"`
	Observers       int           `json:"observers,omitempty"`
}

// common is what scenarios have unless they say otherwise.
var common = params{
	Seed: 1, Nodes: 100, Minutes: 5, Settle: 30 * time.Second, Heartbeats: "ring", Systems: "pulsering,memberlist,memberlist-tuned",
}

// define makes a flag of each field; what p holds is the default. Durations are virtual time.
func (p *params) define(f *flag.FlagSet) {
	f.StringVar(&p.Scenario, "scenario", p.Scenario, "one of those that -list shows")
	f.Uint64Var(&p.Seed, "seed", p.Seed, "seed of faults, victims and the network's luck")
	f.IntVar(&p.Nodes, "nodes", p.Nodes, "members, 2 to 5000")
	f.Float64Var(&p.Minutes, "minutes", p.Minutes, "virtual minutes measured, once the cluster has formed; at most 1440")
	f.StringVar(&p.Systems, "systems", p.Systems, "which systems, in this order")
	f.DurationVar(&p.Settle, "settle", p.Settle, "how long a cluster that has formed is left alone before it is measured; at most an hour")
	f.Float64Var(&p.Loss, "loss", p.Loss, "share of packets lost on every path, 0 to 0.9; burst: share of time that a path is out")
	f.DurationVar(&p.Burst, "burst", p.Burst, "mean length of a path's outage; 0: losses are independent")
	f.DurationVar(&p.Delay, "delay", p.Delay, "mean one-way delay, spread by a quarter; 0: 150 to 250 µs")
	f.IntVar(&p.Rate, "rate", p.Rate, "kbit/s of each member's line, up and down, headers included, from when the cluster has formed (join-storm: from the start); 0: no limit")
	f.IntVar(&p.Kill, "kill", p.Kill, "crash, wan: members killed at one instant; restart: members restarted, one after the other")
	f.BoolVar(&p.KillObservers, "kill-observers", p.KillObservers, "crash: kill one member and all that observe it instead")
	f.IntVar(&p.Few, "few", p.Few, "block, isolate, oneway, lossy-few: members with the fault; 0: 1 % of them, one at least; cut: members of the smaller side; 0: half")
	f.Float64Var(&p.FewLoss, "few-loss", p.FewLoss, "lossy-few: share of packets lost to and from those members")
	f.DurationVar(&p.Fault, "fault", p.Fault, "length of a fault: block, cut, isolate, oneway, restart (absence), stall (the longest)")
	f.DurationVar(&p.Least, "least", p.Least, "stall: the shortest; 0: 50 ms, or -fault where that is less")
	f.DurationVar(&p.Between, "between", p.Between, "time between two faults: block (0: one fault only), oneway, restart, stall (mean of each member)")
	f.IntVar(&p.Churn, "churn", p.Churn, "join-storm, stall: joins a minute, and as many leaves; in stall of members that do not stall")
	f.StringVar(&p.Heartbeats, "heartbeats", p.Heartbeats, "pulsering: ring or probes")
	f.DurationVar(&p.Beat, "beat", p.Beat, "pulsering: Config.Beat; 0: its default")
	f.DurationVar(&p.StallAllowance, "stall-allowance", p.StallAllowance, "pulsering: Config.StallAllowance; 0: its default")
	f.DurationVar(&p.FalseAlarmEvery, "false-alarm-every", p.FalseAlarmEvery, "pulsering: Config.FalseAlarmEvery; 0: its default")
	f.IntVar(&p.Observers, "observers", p.Observers, "pulsering: Config.Observers; 0: its default")
}

// withFlags is the question for a scenario: the scenario's defaults, and the flags that were given.
func (p params) withFlags(given *flag.FlagSet) (params, error) {
	f := flag.NewFlagSet("lab", flag.ContinueOnError)
	p.define(f)
	var errs []error
	given.Visit(func(g *flag.Flag) {
		if f.Lookup(g.Name) != nil {
			errs = append(errs, f.Set(g.Name, g.Value.String()))
		}
	})
	return p, errors.Join(append(errs, p.validate())...)
}

func (p params) validate() error {
	var errs []error
	bad := func(name string, value any, limit string) {
		errs = append(errs, fmt.Errorf("lab: -%s=%v: want %s", name, value, limit))
	}
	within := func(name string, v, low, high float64) {
		if !(v >= low && v <= high) {
			bad(name, v, fmt.Sprintf("%v to %v", low, high))
		}
	}
	within("nodes", float64(p.Nodes), 2, 5000)
	within("minutes", p.Minutes, 0.1, 1440)
	within("loss", p.Loss, 0, 0.9)
	within("few-loss", p.FewLoss, 0, 1)
	within("kill", float64(p.Kill), 0, float64(p.Nodes-1))
	within("few", float64(p.Few), 0, float64(p.Nodes-1))
	within("churn", float64(p.Churn), 0, 600)
	lasts := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			bad(name, v, fmt.Sprintf("%v to %v", low, high))
		}
	}
	lasts("settle", p.Settle, 0, time.Hour)
	lasts("burst", p.Burst, 0, time.Hour)
	lasts("delay", p.Delay, 0, time.Minute)
	within("rate", float64(p.Rate), 0, maxRate)
	// Faults without a length, one right after the other, would be without number.
	var leastFault, leastBetween time.Duration
	switch p.Scenario {
	case "block":
		leastFault = time.Millisecond
		if p.Between != 0 {
			leastBetween = time.Millisecond
		}
	case "stall":
		leastFault, leastBetween = leastStall, time.Second
		lasts("least", p.Least, 0, max(p.Fault, leastStall))
	case "oneway", "restart":
		leastBetween = time.Second
	}
	lasts("fault", p.Fault, leastFault, p.length())
	lasts("between", p.Between, leastBetween, p.length())

	// The limits of cluster.Config; zero is its default.
	configured := func(name string, v, low, high time.Duration) {
		if v != 0 {
			lasts(name, v, low, high)
		}
	}
	configured("beat", p.Beat, 5*time.Millisecond, 10*time.Second)
	configured("stall-allowance", p.StallAllowance, time.Millisecond, time.Minute)
	configured("false-alarm-every", p.FalseAlarmEvery, time.Minute, 100*365*24*time.Hour)
	if n := p.Observers; n != 0 && (n < 2 || n > 64 || n%2 != 0) {
		bad("observers", n, "an even number from 2 to 64")
	}
	if p.Heartbeats != "ring" && p.Heartbeats != "probes" {
		bad("heartbeats", p.Heartbeats, "ring or probes")
	}
	if _, err := systemsFor(p); err != nil {
		errs = append(errs, err)
	}
	if _, ok := scenarios[p.Scenario]; !ok && p.Scenario != "" {
		bad("scenario", p.Scenario, "one of "+strings.Join(scenarioNames(), ", "))
	}
	return errors.Join(errs...)
}

// maxRate is so fast that it is no limit: 8 Gbit/s.
const maxRate = 8_000_000

func (p params) length() time.Duration { return time.Duration(p.Minutes * float64(time.Minute)) }

// few is how many members get a fault of their own: 1 % unless said.
func (p params) few() int {
	if p.Few > 0 {
		return p.Few
	}
	return max(1, p.Nodes/100)
}

// rtt is the longest time there and back.
func (p params) rtt() time.Duration {
	if p.Scenario == "wan" {
		return 2 * wanDelay[len(wanDelay)-1]
	}
	return p.Delay * 5 / 2
}
