package lab

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// short names the cases that tell most about a change in the least time. pulsering alone runs in them: the controls do not
// change, and are in the series.
func short() []seriesCase {
	names := []string{
		"crash/1-of-2", "crash/1-of-3", "crash/1-of-8", "crash/1-of-100", "crash/5-of-8", "crash/30-of-100", "crash/loss-5", "crash/loss-20",
		"stall/300ms", "block/D700ms", "block/interval-C4-D2.048s-I256ms", "block/interval-C4-D8.192s-I256ms",
		"cut/36", "isolate/50", "lossy-few/100", "restart/50", "wan/60", "loss/none-100",
		"stall/395ms-loss-5", "crash/16kbit-12", "crash/95-of-100", "cut/3-of-50",
	}
	for _, c := range further() {
		if c.section == sectionAfter {
			names = append(names, c.name)
		}
	}
	var all []seriesCase
	for _, name := range names {
		c, err := caseNamed(name)
		if err != nil {
			panic(err) // a test calls this
		}
		edit := c.edit
		c.edit = func(p *params) {
			edit(p)
			p.Systems = "pulsering"
		}
		all = append(all, c)
	}
	return all
}

// figure is what the short series holds against another: less is better in all of them.
type figure struct {
	says string
	of   func(*systemResult) *float64 // nil: this run has none
	dull func(float64) bool           // not worth a line if it was so everywhere; nil: never
}

var shortFigures = []figure{
	{"told of a down: median (s)", func(s *systemResult) *float64 { return s.Detect.Median }, nil},
	{"told of a down: worst (s)", func(s *systemResult) *float64 { return s.Detect.Max }, nil},
	{"pairs never told", func(s *systemResult) *float64 { return number(s.Detect.Never) }, isZero},
	{"told of a return: worst (s)", func(s *systemResult) *float64 { return s.Back.Max }, nil},
	{"returns never told", func(s *systemResult) *float64 { return number(s.Back.Never) }, isZero},
	{"false downs", func(s *systemResult) *float64 { return number(s.False.All) }, nil},
	{"downs about the left, by the left", func(s *systemResult) *float64 { return number(s.False.LeftAsDown + s.False.Parting) }, isZero},
	{"views agree after (s)", func(s *systemResult) *float64 { return s.Agree }, nil},
	{"faults after which they never did", func(s *systemResult) *float64 { return number(s.Unsettled) }, isZero},
	{"Isolated: worst (s)", func(s *systemResult) *float64 { return s.Isolated.Max }, nil},
	{"Isolated, by healthy members", func(s *systemResult) *float64 { return number(s.Alone) }, isZero},
	{"changes of an ill member", func(s *systemResult) *float64 { return s.Changes.Max }, isZero},
	{"packets a node and second", func(s *systemResult) *float64 { return &s.Packets }, nil},
	{"bytes a node and second", func(s *systemResult) *float64 { return &s.Bytes }, nil},
	{"peak packets of a node", func(s *systemResult) *float64 { return number(int(s.Peak)) }, nil},
	{"packets of a survivor after the verdict", func(s *systemResult) *float64 {
		if s.After == nil {
			return nil
		}
		return &s.After.Most
	}, nil},
	{"dropped by full queues", func(s *systemResult) *float64 { return number(int(s.DroppedFull)) }, isZero},
}

func isZero(v float64) bool { return v == 0 }

// spread is what a figure was over some runs.
type spread struct {
	runs        int
	least, most float64
	at          string // the case of the most, where there are several
}

func (s *spread) add(v float64, at string) {
	if s.runs++; s.runs == 1 {
		s.least, s.most, s.at = v, v, at
		return
	}
	s.least = min(s.least, v)
	if v > s.most {
		s.most, s.at = v, at
	}
}

func (s spread) String() string {
	switch {
	case s.runs == 0:
		return "–"
	case s.least == s.most:
		return plainNumber(s.most)
	}
	return plainNumber(s.least) + " to " + plainNumber(s.most)
}

// plainNumber has three digits, or all those before the point.
func plainNumber(v float64) string {
	if math.Abs(v) >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// groupOf is the name under which a case is shown: the sizes of one question go together.
func groupOf(c seriesCase) string {
	if c.section == sectionAfter {
		return "crash/quiet-2 to 40"
	}
	return c.name
}

// source is a folder of runs, and what it is called.
type source struct {
	name, dir string
	spreads   map[string]map[string]spread // by group and figure
	builds    []string
	runs      int
}

// look reads what a folder has of the short series, the runs with the controls among them.
func look(name, dir string, seeds uint64) (*source, error) {
	s := &source{name: name, dir: dir, spreads: map[string]map[string]spread{}}
	have, err := openRuns(dir)
	if err != nil {
		return nil, err
	}
	for _, c := range short() {
		for seed := uint64(1); seed <= seeds; seed++ {
			want, err := c.params(seed)
			if err != nil {
				return nil, err
			}
			r, err := have.read(c.name, seed)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			ours := r.Systems["pulsering"]
			if r.Params.Systems = want.Systems; r.Params != want || ours == nil {
				continue // the answer to another question
			}
			s.runs++
			if !slices.Contains(s.builds, r.Build) {
				s.builds = append(s.builds, r.Build)
			}
			group := s.spreads[groupOf(c)]
			if group == nil {
				group = map[string]spread{}
				s.spreads[groupOf(c)] = group
			}
			for _, f := range shortFigures {
				if v := f.of(ours); v != nil {
					sum := group[f.says]
					sum.add(*v, c.name)
					group[f.says] = sum
				}
			}
		}
	}
	return s, nil
}

// compare is a table of the short series in sources: the first is what a change made, the last the series itself. A figure is
// above where it is above all that the others measured, and worse where it is so by more than a tenth. Some are above by luck:
// greatest figures, and those with few runs behind them.
func compare(sources []*source) string {
	var b strings.Builder
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "\t")
	for _, s := range slices.Backward(sources) {
		fmt.Fprintf(tw, "\t%s", s.name)
	}
	fmt.Fprintln(tw)
	var order []string
	for _, c := range short() {
		if g := groupOf(c); !slices.Contains(order, g) {
			order = append(order, g)
		}
	}
	compared, above := 0, 0
	var worse []string
	for _, group := range order {
		label := group
		for _, f := range shortFigures {
			now := sources[0].spreads[group][f.says]
			before := spread{}
			dull := f.dull != nil && (now.runs == 0 || f.dull(now.most))
			for _, s := range sources[1:] {
				if o := s.spreads[group][f.says]; o.runs > 0 {
					before.add(o.least, "")
					before.add(o.most, "")
					dull = dull && f.dull(o.most)
				}
			}
			if dull || now.runs+before.runs == 0 {
				continue
			}
			fmt.Fprintf(tw, "%s\t%s", label, f.says)
			label = ""
			for _, s := range slices.Backward(sources) {
				fmt.Fprintf(tw, "\t%v", s.spreads[group][f.says])
			}
			if now.runs > 0 && before.runs > 0 {
				compared++
				switch {
				case now.most > before.most*1.01:
					above++
					at := ""
					if now.at != group {
						at = ", at " + now.at
					}
					if now.most <= before.most*1.1 {
						fmt.Fprintf(tw, "\tabove%s", at)
						break
					}
					worse = append(worse, fmt.Sprintf("%s: %s: %s, was %v%s", group, f.says, plainNumber(now.most), before, at))
					fmt.Fprintf(tw, "\tworse%s", at)
				case now.most < before.least*0.99:
					fmt.Fprint(tw, "\tbetter")
				}
			}
			fmt.Fprintln(tw)
		}
	}
	tw.Flush()
	for _, s := range slices.Backward(sources) {
		fmt.Fprintf(&b, "%s: %d runs by %s in %s\n", s.name, s.runs, cmp.Or(strings.Join(s.builds, ", "), "nobody"), s.dir)
	}
	fmt.Fprintf(&b, "%d figures were compared, %d are above the spread of the others, %d by more than a tenth", compared, above, len(worse))
	for _, w := range worse {
		fmt.Fprintf(&b, "\n  %s", w)
	}
	b.WriteString("\n")
	return b.String()
}
