package lab

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing/synctest"
	"text/tabwriter"
	"time"
)

// result is one run: the file that -out names.
type result struct {
	Scenario string                   `json:"scenario"`
	Seed     uint64                   `json:"seed"`
	Nodes    int                      `json:"nodes"`
	Case     string                   `json:"case,omitempty"`  // of the series
	Build    string                   `json:"build,omitempty"` // the code that made it, see buildID
	Params   params                   `json:"params"`
	Systems  map[string]*systemResult `json:"systems"`
}

// systemResult is what one system did. The package comment defines the figures.
type systemResult struct {
	Detect  detection `json:"detect_s"`
	False   falseDown `json:"false_down"`
	Packets float64   `json:"packets_per_node_s"`
	Bytes   float64   `json:"bytes_per_node_s"`
	Agree   *float64  `json:"agree_s"`

	Config      string   `json:"config"`
	FormedS     *float64 `json:"formed_s"` // from the last member's joining until all views agreed; null: never
	StreamBytes float64  `json:"stream_bytes_per_node_s"`
	Dials       float64  `json:"dials_per_node_s"`
	Peak        uint64   `json:"peak_packets_node_s"`    // the most that one member sent in one second
	DroppedFull uint64   `json:"dropped_full"`           // by full queues, of the network and of the members
	DroppedLine uint64   `json:"dropped_line,omitempty"` // by full lines, where -rate limits them

	After *aftermath `json:"after_verdict,omitempty"` // crash, wan: null if not all were told, or the run ended too early

	Settled   summary  `json:"settled"`                         // agree_s of each fault that views agreed after
	Unsettled int      `json:"unsettled"`                       // faults after which they did not
	Apart     *float64 `json:"apart_s"`                         // the longest that views about one member differed at a stretch
	Back      returns  `json:"back_s"`                          // from a member's return until each other calls its new boot up
	Isolated  summary  `json:"isolated_s"`                      // from the fault until the member says Isolated
	Alone     int      `json:"isolated_healthy"`                // times that a member without a fault said so
	AloneMost int      `json:"isolated_healthy_most,omitempty"` // by one member
	Excused   int      `json:"down_excused"`                    // Downs of members that the fault hid for longer than its allowance
	Suspects  int      `json:"suspects"`
	Changes   summary  `json:"changes_per_ill_member"` // ups and downs, over pairs of healthy observer and ill member

	Memory       uint64  `json:"memory_bytes_per_member"` // heap and stacks after forming, network included
	Goroutines   float64 `json:"goroutines_per_member"`
	CPUPerMember float64 `json:"cpu_ms_per_member_s"` // milliseconds of CPU for each member and virtual second, network included
	VirtualS     float64 `json:"virtual_s"`
	WallS        float64 `json:"wall_s"`
	ViewsDiffer  int     `json:"views_differ"` // pairs where the events did not tell the view; other than 0 the instrument is broken
}

type detection struct {
	First   *float64 `json:"first"`
	Median  *float64 `json:"median"`
	P99     *float64 `json:"p99"`
	Max     *float64 `json:"max"`
	Never   int      `json:"never"`
	Pairs   int      `json:"pairs"`
	Already int      `json:"already"` // pairs left out, as the victim was not up for the survivor before
}

// aftermath is packets a second that survivors of a crash send from 2 to 30 s after the last of them was told.
type aftermath struct {
	Calm    float64 `json:"calm"`    // each, before the crash
	Packets float64 `json:"packets"` // each
	Most    float64 `json:"most"`    // one of them
}

type returns struct {
	Median *float64 `json:"median"`
	P99    *float64 `json:"p99"`
	Max    *float64 `json:"max"`
	Never  int      `json:"never"`
	Pairs  int      `json:"pairs"`
}

type falseDown struct {
	All         int     `json:"all"`
	Unblocked   int     `json:"unblocked"`
	MemberHours float64 `json:"member_hours"`
	PerHour95   float64 `json:"per_hour_95"` // upper bound of the rate of all, per member and hour, with 95 % confidence
	Resumed     int     `json:"resumed"`
	LeftAsDown  int     `json:"left_as_down"` // Downs about members that said goodbye
	Parting     int     `json:"parting"`      // Downs about live members at members that have said goodbye and not ended yet

	Reasons map[string]int `json:"reasons,omitempty"` // of all, in the system's words
}

// result ends the measurement and adds it all up.
func (w *world) result() *systemResult {
	w.starting.Wait()
	synctest.Wait()
	now := time.Now()
	w.ledger.end(now)
	cpu := w.meter.end()
	traffic := w.network.Totals()
	l := w.ledger
	nodeSeconds := l.lived.Seconds()

	r := &systemResult{Config: w.system.config, FormedS: w.formed, VirtualS: now.Sub(w.began).Seconds()}
	told, never, already := l.waited(false)
	s := summarize(told)
	r.Detect = detection{s.Min, s.Median, s.P99, s.Max, never, s.Count + never, already}
	back, never, _ := l.waited(true)
	s = summarize(back)
	r.Back = returns{s.Median, s.P99, s.Max, never, s.Count + never}

	hours := nodeSeconds / 3600
	r.False = falseDown{
		l.falseAll, l.falseUnblocked, *rounded(hours), *rounded(poissonUpper(l.falseAll) / hours), l.resumed, l.leftAsDown, l.parting, l.reasons,
	}
	agree, unsettled := l.agreement()
	r.Settled, r.Unsettled = summarize(agree), unsettled
	r.Apart = rounded(l.apart().Seconds())
	if unsettled == 0 {
		r.Agree = r.Settled.Max
	}
	r.Isolated, r.Excused, r.Suspects = summarize(l.isolated), l.excused, l.suspects
	for _, times := range l.alone {
		r.Alone, r.AloneMost = r.Alone+times, max(r.AloneMost, times)
	}
	r.After = w.after
	r.Changes = l.changesOfIll()
	for _, e := range l.examples {
		w.t.Logf("%s: false down: %s", w.system.name, e)
	}

	perNodeSecond := func(n uint64) float64 { return *rounded(float64(n) / nodeSeconds) }
	r.Packets, r.Bytes = perNodeSecond(traffic.Sent.Packets), perNodeSecond(traffic.Sent.Bytes)
	r.StreamBytes, r.Dials = perNodeSecond(traffic.StreamSent), perNodeSecond(traffic.Dials)
	r.Peak = w.meter.peak
	r.Memory, r.Goroutines = w.meter.memory, *rounded(w.meter.goroutines)
	r.CPUPerMember = *rounded(1000 * cpu.Seconds() / nodeSeconds)

	r.ViewsDiffer = w.check()
	w.closing.Wait()
	r.DroppedFull, r.DroppedLine = traffic.Full.Packets+w.dropped, traffic.Tail.Packets
	for _, m := range w.members {
		if m != nil && m.node != nil && !m.gone {
			r.DroppedFull += m.node.dropped()
		}
	}
	return r
}

// changesOfIll is how often each ill member changed between up and down at each observer without a fault.
func (l *ledger) changesOfIll() summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	var counts []float64
	for subject := range l.members {
		if s := &l.members[subject]; !s.anomalous && s.since.IsZero() {
			continue
		}
		for observer := range l.members {
			if o := &l.members[observer]; observer != subject && o.running && !o.anomalous {
				counts = append(counts, float64(l.changes[[2]int{observer, subject}]))
			}
		}
	}
	return summarize(counts)
}

// write puts a result where path says, all of it or nothing; into what is there, if that is a link, a pipe or a device.
func (r *result) write(path string) error {
	buf, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(path, append(buf, '\n'))
}

// writeWhole is write for any content.
func writeWhole(path string, buf []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if !replaceable(path) {
		return os.WriteFile(path, buf, 0o666)
	}
	if err := os.WriteFile(path+".part", buf, 0o666); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// replaceable tells whether another file may take the place of what path names: a regular file, or nothing yet.
func replaceable(path string) bool {
	info, err := os.Lstat(path)
	return err != nil || info.Mode().IsRegular()
}

// tryWrite finds out before hours of work whether write will be able to write to path, and leaves no more behind than the folder.
func tryWrite(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	if replaceable(path) {
		path += ".part"
		defer os.Remove(path)
	} else if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeNamedPipe {
		return nil // to open it waits for a reader, who would take the closing for the end
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	return f.Close()
}

// names returns the systems of a result in the order that people expect.
func (r *result) names() []string {
	var names []string
	for _, n := range []string{"pulsering", "memberlist", "memberlist-tuned"} {
		if r.Systems[n] != nil {
			names = append(names, n)
		}
	}
	return names
}

// String is the table that a person reads.
func (r *result) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d members, seed %d, %.4g minutes, loss %.3g\n", r.Scenario, r.Nodes, r.Seed, r.Params.Minutes, r.Params.Loss)
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(label string, cell func(*systemResult) string) {
		fmt.Fprint(tw, label)
		for _, n := range r.names() {
			fmt.Fprint(tw, "\t", cell(r.Systems[n]))
		}
		fmt.Fprintln(tw)
	}
	fmt.Fprintln(tw, "\t"+strings.Join(r.names(), "\t"))
	if r.any(func(s *systemResult) bool { return s.Detect.Pairs > 0 }) {
		row("told of a down: first, median, p99, max (s)", func(s *systemResult) string {
			d := s.Detect
			return figures(d.First, d.Median, d.P99, d.Max)
		})
		row("  pairs never told, of", func(s *systemResult) string { return fmt.Sprintf("%d of %d", s.Detect.Never, s.Detect.Pairs) })
	}
	if r.any(func(s *systemResult) bool { return s.Back.Pairs > 0 }) {
		row("told of a return: median, p99, max (s)", func(s *systemResult) string {
			return figures(s.Back.Median, s.Back.P99, s.Back.Max)
		})
		row("  pairs never told, of", func(s *systemResult) string { return fmt.Sprintf("%d of %d", s.Back.Never, s.Back.Pairs) })
	}
	row("false downs at all, at unblocked members", func(s *systemResult) string {
		return strings.TrimSpace(fmt.Sprintf("%d, %d %s", s.False.All, s.False.Unblocked, reasons(s.False.Reasons)))
	})
	row("  in member-hours; 95 % bound per hour", func(s *systemResult) string {
		return fmt.Sprintf("%.1f; %.3g", s.False.MemberHours, s.False.PerHour95)
	})
	row("packets, bytes per node and second", func(s *systemResult) string { return fmt.Sprintf("%.2f, %.0f", s.Packets, s.Bytes) })
	row("  in streams: bytes per node and second", func(s *systemResult) string { return fmt.Sprintf("%.0f", s.StreamBytes) })
	row("  peak packets of a node in a second", func(s *systemResult) string { return fmt.Sprint(s.Peak) })
	if r.any(func(s *systemResult) bool { return s.After != nil }) {
		row("  of a survivor, 2 to 30 s after the verdict; most; before", func(s *systemResult) string {
			if s.After == nil {
				return "–"
			}
			return fmt.Sprintf("%.2f, %.2f, %.2f", s.After.Packets, s.After.Most, s.After.Calm)
		})
	}
	if r.any(func(s *systemResult) bool { return s.DroppedLine > 0 }) {
		row("  dropped by full lines", func(s *systemResult) string { return fmt.Sprint(s.DroppedLine) })
	}
	row("  dropped by full queues", func(s *systemResult) string { return fmt.Sprint(s.DroppedFull) })
	row("views agree after (s); apart at most (s)", func(s *systemResult) string { return figures(s.Agree) + "; " + figures(s.Apart) })
	if r.any(func(s *systemResult) bool { return s.Isolated.Count > 0 || s.Alone > 0 }) {
		row("isolated said after (s), by healthy ones, by one of them", func(s *systemResult) string {
			return fmt.Sprintf("%s, %d, %d", figures(s.Isolated.Median, s.Isolated.Max), s.Alone, s.AloneMost)
		})
	}
	if r.any(func(s *systemResult) bool { return s.False.LeftAsDown+s.False.Parting > 0 }) {
		row("downs about the left, by the left", func(s *systemResult) string {
			return fmt.Sprintf("%d, %d", s.False.LeftAsDown, s.False.Parting)
		})
	}
	if r.any(func(s *systemResult) bool { return s.Changes.Count > 0 }) {
		row("changes of an ill member: median, max", func(s *systemResult) string { return figures(s.Changes.Median, s.Changes.Max) })
		row("downs excused by the fault", func(s *systemResult) string { return fmt.Sprint(s.Excused) })
	}
	row("suspects", func(s *systemResult) string { return fmt.Sprint(s.Suspects) })
	row("KiB, goroutines, ms of CPU a second per member", func(s *systemResult) string {
		return fmt.Sprintf("%.0f, %.1f, %.2f", float64(s.Memory)/1024, s.Goroutines, s.CPUPerMember)
	})
	row("wall clock (s)", func(s *systemResult) string { return fmt.Sprintf("%.1f", s.WallS) })
	tw.Flush()
	for _, n := range r.names() {
		fmt.Fprintf(&b, "%s: %s\n", n, r.Systems[n].Config)
	}
	return b.String()
}

func (r *result) any(has func(*systemResult) bool) bool {
	return slices.ContainsFunc(r.names(), func(n string) bool { return has(r.Systems[n]) })
}

// reasons is empty, or like "(9 verdict, 1 silent)".
func reasons(count map[string]int) string {
	var parts []string
	for _, r := range slices.Sorted(maps.Keys(count)) {
		parts = append(parts, fmt.Sprintf("%d %s", count[r], r))
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func figures(values ...*float64) string {
	var parts []string
	for _, v := range values {
		if v == nil {
			parts = append(parts, "–")
		} else {
			parts = append(parts, fmt.Sprintf("%.3g", *v))
		}
	}
	return strings.Join(parts, ", ")
}
