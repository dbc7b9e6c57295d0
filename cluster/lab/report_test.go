package lab

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// outcome is one case of the series over its seeds.
type outcome struct {
	Case    string                   `json:"case"`
	Section string                   `json:"section"`
	Seeds   int                      `json:"seeds"`
	Of      int                      `json:"seeds_wanted"`
	Params  params                   `json:"params"` // of the first seed, as the series has it
	Systems map[string]*systemResult `json:"systems"`
}

// merge puts the runs of one system together: firsts are the least, medians the median over seeds, 99 % points and worst figures,
// what a crash leaves behind among them, the greatest, counts and exposures the sum, rates and sizes the mean.
func merge(runs []*systemResult) *systemResult {
	m := &systemResult{Config: runs[0].Config}
	reduce := func(get func(*systemResult) *float64, by func([]float64) float64) *float64 {
		var values []float64
		for _, r := range runs {
			if v := get(r); v != nil {
				values = append(values, *v)
			}
		}
		if len(values) == 0 {
			return nil
		}
		return rounded(by(values))
	}
	median := func(v []float64) float64 { return quantile(slices.Sorted(slices.Values(v)), 0.5) }
	all := func(get func(*systemResult) *float64) *float64 { // the greatest; none if one run has none
		if slices.ContainsFunc(runs, func(r *systemResult) bool { return get(r) == nil }) {
			return nil
		}
		return reduce(get, slices.Max)
	}
	mean := func(get func(*systemResult) float64) float64 {
		sum := 0.0
		for _, r := range runs {
			sum += get(r)
		}
		return *rounded(sum / float64(len(runs)))
	}
	sum := func(get func(*systemResult) int) (n int) {
		for _, r := range runs {
			n += get(r)
		}
		return n
	}
	summaries := func(get func(*systemResult) *summary) summary {
		return summary{
			sum(func(r *systemResult) int { return get(r).Count }),
			reduce(func(r *systemResult) *float64 { return get(r).Min }, slices.Min),
			reduce(func(r *systemResult) *float64 { return get(r).Median }, median),
			reduce(func(r *systemResult) *float64 { return get(r).P99 }, slices.Max),
			reduce(func(r *systemResult) *float64 { return get(r).Max }, slices.Max),
		}
	}
	m.Detect = detection{
		reduce(func(r *systemResult) *float64 { return r.Detect.First }, slices.Min),
		reduce(func(r *systemResult) *float64 { return r.Detect.Median }, median),
		reduce(func(r *systemResult) *float64 { return r.Detect.P99 }, slices.Max),
		reduce(func(r *systemResult) *float64 { return r.Detect.Max }, slices.Max),
		sum(func(r *systemResult) int { return r.Detect.Never }),
		sum(func(r *systemResult) int { return r.Detect.Pairs }),
		sum(func(r *systemResult) int { return r.Detect.Already }),
	}
	m.Back = returns{
		reduce(func(r *systemResult) *float64 { return r.Back.Median }, median),
		reduce(func(r *systemResult) *float64 { return r.Back.P99 }, slices.Max),
		reduce(func(r *systemResult) *float64 { return r.Back.Max }, slices.Max),
		sum(func(r *systemResult) int { return r.Back.Never }),
		sum(func(r *systemResult) int { return r.Back.Pairs }),
	}
	m.False = falseDown{
		All:        sum(func(r *systemResult) int { return r.False.All }),
		Unblocked:  sum(func(r *systemResult) int { return r.False.Unblocked }),
		Resumed:    sum(func(r *systemResult) int { return r.False.Resumed }),
		LeftAsDown: sum(func(r *systemResult) int { return r.False.LeftAsDown }),
		Parting:    sum(func(r *systemResult) int { return r.False.Parting }),
		Reasons:    map[string]int{},
	}
	for _, r := range runs {
		m.False.MemberHours = *rounded(m.False.MemberHours + r.False.MemberHours)
		for reason, n := range r.False.Reasons {
			m.False.Reasons[reason] += n
		}
		m.Peak, m.DroppedFull, m.DroppedLine = max(m.Peak, r.Peak), m.DroppedFull+r.DroppedFull, m.DroppedLine+r.DroppedLine
		m.AloneMost = max(m.AloneMost, r.AloneMost)
		if a := r.After; a != nil {
			if m.After == nil {
				m.After = &aftermath{Calm: a.Calm}
			}
			m.After = &aftermath{min(m.After.Calm, a.Calm), max(m.After.Packets, a.Packets), max(m.After.Most, a.Most)}
		}
	}
	m.False.PerHour95 = *rounded(poissonUpper(m.False.All) / m.False.MemberHours)
	m.Settled = summaries(func(r *systemResult) *summary { return &r.Settled })
	m.Isolated = summaries(func(r *systemResult) *summary { return &r.Isolated })
	m.Changes = summaries(func(r *systemResult) *summary { return &r.Changes })
	m.Unsettled = sum(func(r *systemResult) int { return r.Unsettled })
	if m.Unsettled == 0 {
		m.Agree = m.Settled.Max
	}
	m.Alone = sum(func(r *systemResult) int { return r.Alone })
	m.Excused = sum(func(r *systemResult) int { return r.Excused })
	m.Suspects = sum(func(r *systemResult) int { return r.Suspects })
	m.ViewsDiffer = sum(func(r *systemResult) int { return r.ViewsDiffer })
	m.FormedS = all(func(r *systemResult) *float64 { return r.FormedS })
	m.Apart = all(func(r *systemResult) *float64 { return r.Apart })
	m.Packets = mean(func(r *systemResult) float64 { return r.Packets })
	m.Bytes = mean(func(r *systemResult) float64 { return r.Bytes })
	m.StreamBytes = mean(func(r *systemResult) float64 { return r.StreamBytes })
	m.Dials = mean(func(r *systemResult) float64 { return r.Dials })
	m.Memory = uint64(mean(func(r *systemResult) float64 { return float64(r.Memory) }))
	m.Goroutines = mean(func(r *systemResult) float64 { return r.Goroutines })
	m.CPUPerMember = mean(func(r *systemResult) float64 { return r.CPUPerMember })
	for _, r := range runs {
		m.VirtualS, m.WallS = m.VirtualS+r.VirtualS, m.WallS+r.WallS
	}
	return m
}

// gather reads what there is of the series: each of its cases, also those without a run, and how many runs each build made.
func gather(have *runs) (cases []*outcome, builds map[string]int, err error) {
	builds = map[string]int{}
	all, err := jobs()
	if err != nil {
		return nil, nil, err
	}
	found := map[string]map[string][]*systemResult{} // by case and system
	for _, j := range all {
		if len(cases) == 0 || cases[len(cases)-1].Case != j.name {
			p, err := j.params(j.seed)
			if err != nil {
				return nil, nil, err
			}
			cases = append(cases, &outcome{Case: j.name, Section: j.section, Of: j.seeds, Params: p, Systems: map[string]*systemResult{}})
			found[j.name] = map[string][]*systemResult{}
		}
		o := cases[len(cases)-1]
		r, err := have.read(j.name, j.seed)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if want, err := j.params(j.seed); err != nil || r.Params != want || len(r.names()) < len(systemNames) {
			continue // the answer to another question: to be made, as the series will
		}
		o.Seeds++
		builds[r.Build]++
		for name, s := range r.Systems {
			found[j.name][name] = append(found[j.name][name], s)
		}
	}
	for _, o := range cases {
		for name, list := range found[o.Case] {
			o.Systems[name] = merge(list)
		}
	}
	return cases, builds, nil
}

// writeReport makes lab.md and the pictures from the runs in a folder, into it.
func writeReport(have *runs) error {
	dir := have.dir
	cases, builds, err := gather(have)
	if err != nil {
		return err
	}
	var found []*outcome
	for _, o := range cases {
		if o.Seeds > 0 {
			found = append(found, o)
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("lab: no runs in %s", filepath.Join(dir, "lab"))
	}
	pictures, err := draw(filepath.Join(dir, "lab"), found)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "lab.md"), []byte(page(cases, found, builds, pictures)), 0o666)
}

var systemNames = []string{"pulsering", "memberlist", "memberlist-tuned"}

// page is lab.md: cases is the whole series, found what there are runs of.
func page(cases, found []*outcome, builds map[string]int, pictures []string) string {
	var b strings.Builder
	runs, planned, wall := 0, 0, 0.0
	for _, o := range cases {
		runs, planned = runs+o.Seeds, planned+o.Of
		for _, s := range o.Systems {
			wall += s.WallS
		}
	}
	fmt.Fprintf(&b, `# What the lab measured

Whole clusters of the real code in virtual time, with plain memberlist in the same run. Made by `+"`make lab`"+`: %d runs of %d
cases, %.1f hours of computing on one core, %s, %d core(s). The comment of package cluster/lab defines each figure.

- Cells hold pulsering / memberlist (LAN defaults) / memberlist tuned to detect as fast. A dash: no such figure.
- Seconds: the median is the median over seeds of the median over all pairs of victim and survivor; the worst is over all
  pairs and seeds.
- "≤ x" beside no false down is the upper bound of the rate with 95 %% confidence (3.0 / member-hours). Where there
  were some it takes them for independent, which they are not: one mistake is told to everybody.
- Bytes are those of packets, unencrypted, without headers; streams (push/pull) are apart.
`, runs, len(found), wall/3600, runtime.Version(), runtime.NumCPU())
	if runs < planned {
		none := "Each case has one at least"
		if n := len(cases) - len(found); n > 0 {
			none = fmt.Sprintf("Of %d cases there is none", n)
		}
		fmt.Fprintf(&b, "- **Not finished**: %d of %d runs are missing. %s; the tables say how many seeds.\n", planned-runs, planned, none)
	}
	if len(builds) > 1 {
		names := slices.SortedFunc(maps.Keys(builds), func(a, b string) int { return cmp.Or(cmp.Compare(builds[b], builds[a]), cmp.Compare(a, b)) })
		for i, name := range names {
			names[i] = fmt.Sprintf("%d by %s", builds[name], name)
		}
		fmt.Fprintf(&b, "- **Mixed**: the runs were made by %d builds, %s.\n", len(builds), strings.Join(names, ", "))
	}
	for _, p := range pictures {
		fmt.Fprintf(&b, "\n![%s](lab/%s)\n", strings.TrimSuffix(p, ".svg"), p)
	}
	b.WriteString("\n## The promises\n\n| promise | measured | kept |\n|---|---|---|\n")
	for _, g := range goals {
		fmt.Fprintf(&b, "| %s | %s |\n", g.says, g.judge(cases))
	}
	section := ""
	for _, o := range found {
		if o.Section != section {
			section = o.Section
			fmt.Fprintf(&b, "\n## %s\n\n", section)
			b.WriteString("| case | members | seeds | told: median (s) | worst (s) | never told, of pairs | false downs at all; at unblocked | member-hours; at most per hour | views agree (s) | apart at most (s) | packets, bytes | peak packets | full queues |\n")
			b.WriteString("|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
		}
		cell := func(f func(*systemResult) string) string {
			var parts []string
			for _, n := range systemNames {
				if s := o.Systems[n]; s != nil {
					parts = append(parts, f(s))
				} else {
					parts = append(parts, "–")
				}
			}
			return strings.Join(parts, " / ")
		}
		ours := o.ours()
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", o.Case, o.Params.Nodes, o.Seeds,
			cell(func(s *systemResult) string { return figures(s.Detect.Median) }),
			cell(func(s *systemResult) string { return figures(s.Detect.Max) }),
			cell(func(s *systemResult) string { return fmt.Sprint(s.Detect.Never) })+fmt.Sprintf(" of %d", ours.Detect.Pairs),
			cell(func(s *systemResult) string { return fmt.Sprintf("%d; %d", s.False.All, s.False.Unblocked) }),
			fmt.Sprintf("%.4g; ", ours.False.MemberHours)+cell(func(s *systemResult) string { return bound(s.False) }),
			cell(func(s *systemResult) string { return figures(s.Agree) }),
			cell(func(s *systemResult) string { return figures(s.Apart) }),
			cell(func(s *systemResult) string { return fmt.Sprintf("%.3g, %.0f", s.Packets, s.Bytes) }),
			cell(func(s *systemResult) string { return fmt.Sprint(s.Peak) }),
			cell(func(s *systemResult) string { return fmt.Sprint(s.DroppedFull) }))
	}
	extras(&b, found)
	b.WriteString("\n## Configurations\n\n")
	said := map[string]bool{}
	for _, o := range found {
		for _, n := range systemNames {
			if s := o.Systems[n]; s != nil && !said[n+s.Config] {
				said[n+s.Config] = true
				fmt.Fprintf(&b, "- %s (from %s on): %s\n", n, o.Case, s.Config)
			}
		}
	}
	return b.String()
}

func bound(f falseDown) string {
	if f.All == 0 {
		return fmt.Sprintf("≤ %.2g", f.PerHour95)
	}
	return fmt.Sprintf("%.2g (≤ %.2g)", float64(f.All)/f.MemberHours, f.PerHour95)
}

// extras are the figures that only some scenarios have.
func extras(b *strings.Builder, found []*outcome) {
	b.WriteString("\n## Returns, isolation, ill members\n\n")
	b.WriteString("| case | system | told of a return: median, worst (s); never | Isolated after: median, worst (s); by healthy members | changes of an ill member: median, most | downs excused by the fault | downs of the blocked while they run | suspects |\n|---|---|---|---|---|---|---|---|\n")
	for _, o := range found {
		for _, n := range systemNames {
			s := o.Systems[n]
			if s == nil || s.Back.Pairs+s.Isolated.Count+s.Alone+s.Changes.Count+s.Excused == 0 {
				continue
			}
			fmt.Fprintf(b, "| %s | %s | %s; %d | %s; %d | %s | %d | %d | %d |\n", o.Case, n, figures(s.Back.Median, s.Back.Max), s.Back.Never,
				figures(s.Isolated.Median, s.Isolated.Max), s.Alone, figures(s.Changes.Median, s.Changes.Max), s.Excused, s.False.Resumed, s.Suspects)
		}
	}
	b.WriteString("\n## What a member costs\n\nOnce nothing is left of the joins' gossip. Memory is that of heap and stacks after a collection; " +
		"it and CPU are those of a member and its share of the network in memory, with the collector as `make lab` sets it (GOGC=400).\n\n")
	b.WriteString("| case | system | packets a second | bytes a second | in streams | dials a second | KiB | goroutines | ms of CPU a second |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, o := range found {
		if o.Section != sectionCost && o.Section != sectionCostLoss {
			continue
		}
		for _, n := range systemNames {
			if s := o.Systems[n]; s != nil {
				fmt.Fprintf(b, "| %s | %s | %.2f | %.0f | %.0f | %.4f | %.0f | %.1f | %.3f |\n", o.Case, n, s.Packets, s.Bytes, s.StreamBytes,
					s.Dials, float64(s.Memory)/1024, s.Goroutines, s.CPUPerMember)
			}
		}
	}
}

// goal is one promise of the project and how the series bears on it: what judge returns are two cells, the figure and whether the
// promise is kept.
type goal struct {
	says  string
	judge func(cases []*outcome) string
}

// verdict is those two cells, where some of the cases were not run, or not with all seeds.
func verdict(figure string, kept bool, ran, missing []*outcome) string {
	if len(ran) == 0 {
		return "– | not run"
	}
	for _, o := range ran {
		if flaw := o.flaw(); flaw != "" {
			return figure + " | **no**: " + o.Case + ": " + flaw
		}
	}
	answer := "**no**"
	switch {
	case kept && len(missing) > 3:
		answer = fmt.Sprintf("so far: %d cases lack seeds", len(missing))
	case kept && len(missing) > 0:
		var lacking []string
		for _, o := range missing {
			lacking = append(lacking, fmt.Sprintf("%s has %d of %d seeds", o.Case, o.Seeds, o.Of))
		}
		answer = "so far: " + strings.Join(lacking, ", ")
	case kept:
		answer = "yes"
	}
	return figure + " | " + answer
}

// flaw is why what was found in a case says nothing; empty: it does.
func (o *outcome) flaw() string {
	switch s := o.ours(); {
	case s.ViewsDiffer > 0:
		return "the instrument is broken"
	case s.FormedS == nil && scenarioOf(o.Case) != "join-storm":
		return "the cluster did not form"
	case s.Detect.Already > 0 && scenarioOf(o.Case) == "crash":
		return "some did not know of the victims"
	}
	return ""
}

func (o *outcome) ours() *systemResult { return o.Systems["pulsering"] }

// split returns the cases that were run, and those that lack seeds, or all of them.
func split(cases []*outcome, in func(*outcome) bool) (ran, missing []*outcome) {
	for _, o := range cases {
		if !in(o) {
			continue
		}
		if o.Seeds > 0 {
			ran = append(ran, o)
		}
		if o.Seeds < o.Of {
			missing = append(missing, o)
		}
	}
	return ran, missing
}

// limit judges by the worst figure over some cases, which may be most. A case without a figure fails.
func limit(in func(*outcome) bool, figure func(*outcome) *float64, most float64) func([]*outcome) string {
	return func(cases []*outcome) string {
		ran, missing := split(cases, in)
		worst, at := math.Inf(-1), ""
		for _, o := range ran {
			v := figure(o)
			if v == nil {
				return verdict("no figure for "+o.Case, false, ran, missing)
			}
			if *v > worst {
				worst, at = *v, o.Case
			}
		}
		return verdict(fmt.Sprintf("%.3g (%s)", worst, at), worst <= most, ran, missing)
	}
}

// flat judges the greatest figure over some cases against the least. A case without a figure fails.
func flat(in func(*outcome) bool, figure func(*outcome) *float64, most float64) func([]*outcome) string {
	return func(cases []*outcome) string {
		ran, missing := split(cases, in)
		least, greatest := math.Inf(1), math.Inf(-1)
		for _, o := range ran {
			v := figure(o)
			if v == nil {
				return verdict("no figure for "+o.Case, false, ran, missing)
			}
			least, greatest = min(least, *v), max(greatest, *v)
		}
		return verdict(fmt.Sprintf("%.3g", greatest/least), greatest <= most*least, ran, missing)
	}
}

// growth judges by the worst ratio of a case's figure to that of the case before, in pairs of names.
func growth(figure func(*outcome) *float64, most float64, pairs ...[2]string) func([]*outcome) string {
	return func(cases []*outcome) string {
		worst, at := math.Inf(-1), ""
		var all, lacking []*outcome
		for _, pair := range pairs {
			ran, missing := split(cases, named(pair[:]...))
			all, lacking = append(all, ran...), append(lacking, missing...)
			if len(ran) < 2 {
				continue
			}
			from, to := figure(ran[0]), figure(ran[1])
			if from == nil || to == nil {
				return verdict("no figure for "+pair[0]+" or "+pair[1], false, all, lacking)
			}
			if r := *to / *from; r > worst {
				worst, at = r, pair[1]
			}
		}
		return verdict(fmt.Sprintf("%.3g (%s)", worst, at), worst <= most, all, lacking)
	}
}

// share judges the sum of false downs over a section against memberlist's.
func share(section string, most float64) func([]*outcome) string {
	return func(cases []*outcome) string {
		ran, missing := split(cases, in(section))
		mine, theirs := 0, 0
		for _, o := range ran {
			mine, theirs = mine+o.ours().False.All, theirs+o.Systems["memberlist"].False.All
		}
		return verdict(fmt.Sprintf("%d against %d", mine, theirs), float64(mine) < most*float64(theirs) || mine == 0, ran, missing)
	}
}

func named(names ...string) func(*outcome) bool {
	return func(o *outcome) bool { return slices.Contains(names, o.Case) }
}

func in(sections ...string) func(*outcome) bool {
	return func(o *outcome) bool { return slices.Contains(sections, o.Section) }
}

func number(n int) *float64 { f := float64(n); return &f }

// The figures that promises are about. Who was never told was told too late for any limit.
var (
	median = func(o *outcome) *float64 {
		if o.ours().Detect.Never > 0 {
			return nil
		}
		return o.ours().Detect.Median
	}
	worst = func(o *outcome) *float64 {
		if o.ours().Detect.Never > 0 {
			return nil
		}
		return o.ours().Detect.Max
	}
	back = func(o *outcome) *float64 {
		if o.ours().Back.Never > 0 {
			return nil
		}
		return o.ours().Back.Max
	}
	isolated = func(o *outcome) *float64 {
		if o.ours().Isolated.Count < o.Seeds*o.Params.few() { // some never said so
			return nil
		}
		return o.ours().Isolated.Max
	}
	agree     = func(o *outcome) *float64 { return o.ours().Agree }
	apart     = func(o *outcome) *float64 { return o.ours().Apart }
	changes   = func(o *outcome) *float64 { return o.ours().Changes.Max }
	falseAll  = func(o *outcome) *float64 { return number(o.ours().False.All) }
	unblocked = func(o *outcome) *float64 { return number(o.ours().False.Unblocked) }
	leavers   = func(o *outcome) *float64 { return number(o.ours().False.LeftAsDown + o.ours().False.Parting) }
	full      = func(o *outcome) *float64 { return number(int(o.ours().DroppedFull)) }
	packets   = func(o *outcome) *float64 { return &o.ours().Packets }
	volume    = func(o *outcome) *float64 { return &o.ours().Bytes }
)

var goals = []goal{
	{"crash of 1 and 5, 8 to 1000 members: median ≤ 0.7 s", limit(func(o *outcome) bool {
		return o.Section == sectionSize && o.Params.Nodes >= 8
	}, median, 0.7)},
	{"… worst ≤ 1.0 s, at 2 and 3 members too", limit(in(sectionSize), worst, 1)},
	{"… the median at 1000 within 1.3 times that at 8", growth(median, 1.3, [2]string{"crash/1-of-8", "crash/1-of-1000"}, [2]string{"crash/5-of-8", "crash/5-of-1000"})},
	{"beat 25 ms, stall allowance 100 ms: median ≤ 0.25 s", limit(in(sectionFast), median, 0.25)},
	{"30 of 100, 300 of 1000, a member and all its observers: worst ≤ 2 s", limit(in(sectionMany), worst, 2)},
	{"… no false down", limit(in(sectionMany), falseAll, 0)},
	{"… nothing dropped by full queues", limit(in(sectionMany), full, 0)},
	{"crash at 5 % loss: median ≤ 0.9 s", limit(named("crash/loss-5"), median, 0.9)},
	{"crash at 10 % loss: median ≤ 1.2 s", limit(named("crash/loss-10"), median, 1.2)},
	{"crash at 20 % loss: median ≤ 1.8 s", limit(named("crash/loss-20"), median, 1.8)},
	{"loss of 1 to 20 %, bursts: no false down", limit(in(sectionQuiet), falseAll, 0)},
	{"stalls: no false down", limit(in(sectionStall), falseAll, 0)},
	{"stalls: views agree within 2 s", limit(in(sectionStall), agree, 2)},
	{"Lifeguard's experiments: no false down at unblocked members", limit(in(sectionBlock), unblocked, 0)},
	{"… at all members less than a hundredth of memberlist's", share(sectionBlock, 0.01)},
	{"half and half: each side told within 3 s", limit(named("cut/36", "cut/100"), worst, 3)},
	{"half and half: views agree within 10 s of healing", limit(named("cut/36", "cut/100"), agree, 10)},
	{"half and half: no false down", limit(named("cut/36", "cut/100"), falseAll, 0)},
	{"isolated: Isolated within 2 s", limit(named("isolate/50"), isolated, 2)},
	{"isolated: no false down", limit(named("isolate/50"), falseAll, 0)},
	{"isolated: told to the others within 1.2 s", limit(named("isolate/50"), worst, 1.2)},
	{"oneway, lossy-few: no healthy member down", limit(in(sectionSick), falseAll, 0)},
	{"oneway, lossy-few: at most 4 changes of an ill member between up and down", limit(in(sectionSick), changes, 4)},
	{"oneway, lossy-few: views of healthy members are never apart for longer than 2 s", limit(in(sectionSick), apart, 2)},
	{"restart: down told within 1 s of the return, 0.5 s after the crash", limit(named("restart/50"), worst, 1.5)},
	{"restart: up with a new boot within 1 s", limit(named("restart/50"), back, 1)},
	{"restarts, joins and leaves: no false down", limit(in(sectionComeGo), falseAll, 0)},
	{"… and nobody down who said goodbye", limit(in(sectionComeGo), leavers, 0)},
	{"three regions: median ≤ 1.0 s", limit(in(sectionWAN), median, 1)},
	{"three regions: no false down", limit(in(sectionWAN), falseAll, 0)},
	{"cost: at most 15 packets per node and second", limit(in(sectionCost), packets, 15)},
	{"cost: at most 750 bytes per node and second", limit(in(sectionCost), volume, 750)},
	{"… flat: the most of them at 32 to 1000 members within 1.1 times the least", flat(func(o *outcome) bool {
		return o.Section == sectionCost && o.Params.Nodes >= 32
	}, volume, 1.1)},
	{"cost at 10 % loss: at most 45 packets per node and second", limit(in(sectionCostLoss), packets, 45)},
	{"… and 2250 bytes", limit(in(sectionCostLoss), volume, 2250)},
}
