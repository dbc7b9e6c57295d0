package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulsering/pulsering/internal/level"
	"github.com/pulsering/pulsering/internal/qos"
	"github.com/pulsering/pulsering/phiaccrual"
)

type replayCmd struct {
	File            text   `arg:"" help:"A line for each heartbeat: when it arrived, and its number where there are numbers; - reads standard input."`
	Unit            choice `of:"s,ms,us,ns" default:"s" help:"Of times that are numbers: s, ms, us or ns. Default: s."`
	Interval        span   `min:"1us" max:"24h" placeholder:"DURATION" help:"Time between two heartbeats that the sender promises. Default: the median of the file."`
	Model           choice `of:"calibrated,normal,exponential" default:"calibrated" help:"The arithmetic of φ: calibrated, normal or exponential. Default: calibrated."`
	FalseAlarmEvery span   `default:"720h" min:"1m" max:"876000h" help:"Shows the threshold that promises one mistake in this time on average."`
	Thresholds      text   `default:"1,2,3,4,5,6,8,10,12" placeholder:"φ,φ,…" help:"Thresholds to compare, 0.1 to 100; 32 at most. Default: 1,2,3,4,5,6,8,10,12."`
	Plot            text   `placeholder:"FILE" help:"Draw φ over time into this file, .png or .svg."`
}

func (replayCmd) Help() string {
	return `Puts recorded heartbeats through the detector: how often each threshold would have been wrong about a sender that lived, and how soon it would have noticed a crash. For a time-out before production, record a day.

The file has a line for each heartbeat that arrived: the time, in seconds or as a date (2026-07-01T12:00:00.125Z), and behind a comma the sender's number if it has one. A first line may name the columns: time and seq.

    pulsering replay heartbeats.csv
    pulsering replay heartbeats.csv --thresholds 3,4,5 --plot phi.svg
    ping -D 10.0.0.7 | sed -un 's/\[\(.*\)\].*icmp_seq=\([0-9]*\).*/\1,\2/p' | tee day.csv   # then: pulsering replay day.csv
`
}

// wrong is what is wrong with the flags.
func (c *replayCmd) wrong() (errs []error) {
	if _, err := c.thresholds(); err != nil {
		errs = append(errs, fmt.Errorf("--thresholds: %w", err))
	}
	if ext := strings.ToLower(filepath.Ext(string(c.Plot))); c.Plot != "" && ext != ".png" && ext != ".svg" {
		errs = append(errs, fmt.Errorf("--plot: %q ends with neither .png nor .svg", string(c.Plot)))
	}
	return errs
}

func (c *replayCmd) thresholds() (all []float64, err error) {
	for s := range strings.SplitSeq(string(c.Thresholds), ",") {
		phi, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || !(phi >= 0.1 && phi <= 100) {
			return nil, fmt.Errorf("%q is out of range: want numbers from 0.1 to 100, with commas", s)
		}
		all = append(all, phi)
	}
	const most = 32
	if len(all) > most {
		return nil, fmt.Errorf("%d of them: want %d at most", len(all), most)
	}
	return all, nil
}

// Run replays the file.
func (c *replayCmd) Run(ctx context.Context, con console) error {
	unit := map[choice]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": time.Nanosecond}[c.Unit]
	name := string(c.File)
	rec, err := awaited(ctx, func() (*recording, error) { return recordingIn(name, unit) })
	if err != nil {
		return err
	}
	interval := time.Duration(cmp.Or(c.Interval, span(rec.interval())))
	cfg := phiaccrual.Config{Interval: interval, Model: map[choice]phiaccrual.Model{
		"calibrated": phiaccrual.Calibrated, "normal": phiaccrual.Normal, "exponential": phiaccrual.Exponential,
	}[c.Model]}
	if interval < time.Microsecond || interval > 24*time.Hour {
		return fmt.Errorf("%s: the median time between two heartbeats is %v, out of the range of 1 µs to 24 h: is --unit right? --interval says what was promised",
			printable(name), interval)
	}
	promise := phiaccrual.PhiFor(time.Duration(c.FalseAlarmEvery), interval)
	curve, err := newCurve(rec, cfg, chartColumns(con))
	if err != nil {
		return err
	}
	lines := c.summary(rec, interval)
	lines = append(lines, curve.chart(promise, chartRows, con.outColor)...)
	results, err := c.results(ctx, rec, cfg, promise)
	if err != nil {
		return err
	}
	lines = append(append(lines, ""), c.table(results, rec, interval, promise, con.outColor)...)
	if _, err := fmt.Fprintln(con.out, strings.Join(lines, "\n")); err != nil {
		return err
	}
	if c.Plot == "" {
		return nil
	}
	fine, err := newCurve(rec, cfg, 2000)
	if err != nil {
		return err
	}
	if err := fine.save(string(c.Plot), promise); err != nil {
		return fmt.Errorf("--plot: %w", err)
	}
	_, err = fmt.Fprintf(con.out, "\nφ over time is drawn in %s\n", printable(string(c.Plot)))
	return err
}

// recordingIn reads a file; that of "-" is standard input.
func recordingIn(name string, unit time.Duration) (rec *recording, err error) {
	if name == "-" {
		rec, err = readRecording(os.Stdin, unit)
	} else {
		var f *os.File
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close()
		rec, err = readRecording(f, unit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", printable(name), err)
	}
	return rec, nil
}

// results are what each threshold would have done, in the order of thresholds.
func (c *replayCmd) results(ctx context.Context, rec *recording, cfg phiaccrual.Config, promise float64) ([]qos.Result, error) {
	thresholds, err := c.thresholds()
	if err != nil {
		return nil, err
	}
	thresholds = append(thresholds, promise)
	slices.Sort(thresholds)
	thresholds = slices.Compact(thresholds)
	detector, err := qos.NewAccrual(cfg, rec.numbered)
	if err != nil {
		return nil, err
	}
	results := qos.Run(rec.trace(cfg.Interval), detector, rec.warmUp(), thresholds...)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return results, nil
}

// warmUp is how many heartbeats teach, and are not judged.
func (r *recording) warmUp() int { return min(100, len(r.arrivals)/10) }

// summary says what was read.
func (c *replayCmd) summary(rec *recording, interval time.Duration) []string {
	last := rec.arrivals[len(rec.arrivals)-1]
	line := fmt.Sprintf("%d heartbeats in %s, one every %s", len(rec.arrivals), spell(last.at), spell(interval))
	if c.Interval == 0 {
		line += " (the median)"
	}
	most := uint64(0)
	for _, a := range rec.arrivals {
		most = max(most, a.seq)
	}
	if lost := int(most) + 1 - len(rec.arrivals); rec.numbered {
		line += fmt.Sprintf("; %d lost (%s %%)", lost, percent(float64(lost)/float64(most+1)))
	}
	if rec.twice > 0 {
		line += fmt.Sprintf("; %d came twice", rec.twice)
	}
	return []string{line, ""}
}

// table compares thresholds.
func (c *replayCmd) table(results []qos.Result, rec *recording, interval time.Duration, promise float64, color bool) []string {
	rows := [][]cell{header("φ", "MISTAKES", "PROMISED", "ONE EVERY", "LASTING", "FOUND AFTER", "99.9 % AFTER")}
	for _, r := range results {
		row := []cell{{text: level.Phi(r.Threshold).String()}, {text: strconv.Itoa(r.Mistakes)},
			{text: few(float64(r.Beats) * math.Pow(10, -r.Threshold))}, {}, {}, {}, {}}
		if r.Mistakes > 0 {
			row[3].text = spellSeconds(r.MistakeRecurrence.Value)
			row[4].text = spellSeconds(r.MistakeDuration.Value)
		}
		if r.Beats > 0 {
			row[5].text, row[6].text = spellSeconds(r.DetectionTime.Value), spellSeconds(r.DetectionTime999.Value)
		}
		if r.Threshold == promise {
			for i := range row {
				row[i].paint = bold
			}
			row = append(row, cell{text: "← one in " + spell(time.Duration(c.FalseAlarmEvery))})
		}
		rows = append(rows, row)
	}
	lines := table(rows, color)
	beats := len(rec.arrivals) - rec.warmUp() - 1
	lines = append(lines, "",
		"A mistake is a heartbeat that came after the threshold was crossed; promised is 10^−φ of all.",
		"Found after: from the last heartbeat's arrival to the threshold, if the sender had crashed right then.",
		fmt.Sprintf("%d heartbeats were judged, after %d to learn from: what φ says beyond %.1f nobody can check with so few.",
			beats, rec.warmUp()+1, math.Log10(float64(beats))))
	return lines
}

// few is a number of expected mistakes.
func few(n float64) string {
	switch {
	case n >= 10:
		return fmt.Sprintf("%.0f", n)
	case n >= 0.01:
		return strconv.FormatFloat(n, 'g', 2, 64)
	}
	return "<0.01"
}

func spellSeconds(s float64) string {
	if math.IsNaN(s) || s > 1e9 {
		return "never"
	}
	return spell(time.Duration(s * 1e9))
}

// spell is a span of any length, with three digits or so.
func spell(d time.Duration) string {
	units := []struct {
		name string
		size time.Duration
		most float64 // of this unit; more is said in the next one
	}{
		{"µs", time.Microsecond, 999.5}, {"ms", time.Millisecond, 999.5}, {"s", time.Second, 60}, {"min", time.Minute, 120}, {"h", time.Hour, 72},
		{"d", 24 * time.Hour, math.Inf(1)},
	}
	i := 0
	for float64(d)/float64(units[i].size) >= units[i].most {
		i++
	}
	x, places := float64(d)/float64(units[i].size), 2
	if x >= 99.95 {
		places = 0
	} else if x >= 9.995 {
		places = 1
	}
	text := strconv.FormatFloat(x, 'f', places, 64)
	if places > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text + " " + units[i].name
}

var errNoCurve = errors.New("all heartbeats came at one moment: there is nothing to show")
