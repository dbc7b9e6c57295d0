//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// turn is what one turn of a server measured, each for a beat or a connection.
type turn struct {
	cpu        float64 // microseconds
	resident   float64 // kilobytes, as it runs
	kept       float64 // kilobytes, after a collection that gave back what was free
	stacks     float64 // kilobytes
	heap       float64 // kilobytes, after the collection
	goroutines float64
	rate       float64 // beats a second, of all
	ended      float64 // connections that the server or the client gave up
}

// spare is how many descriptors of a process are for other things than connections.
const spare = 100

// rounds has the servers take turns, every second round in the opposite order, and prints a table.
func rounds(ctx context.Context, o options, out, log io.Writer) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if most := int(min(limit.Max, 1<<30)) - spare; o.conns > most {
		fmt.Fprintf(log, "the limit of open files is %d: %d connections, not %d\n",
			limit.Max, most, o.conns)
		o.conns = most
	}
	log = &together{w: log}
	turns := map[string][]turn{}
	done := 0
	var failure error
	for ; done < o.rounds && failure == nil; done++ {
		order := slices.Clone(o.servers)
		if done%2 == 1 {
			slices.Reverse(order)
		}
		results := map[string]turn{}
		for _, name := range order {
			fmt.Fprintf(log, "round %d of %d: %s, %d connections\n", done+1, o.rounds, name, o.conns)
			t, err := measure(ctx, o, name, done, log)
			if err != nil {
				failure = fmt.Errorf("round %d: %s: %w", done+1, name, errors.Join(ctx.Err(), err))
				break
			}
			fmt.Fprintf(log, "  %.1f µs a beat, %.1f KB a connection, %.1f after a collection\n",
				t.cpu, t.resident, t.kept)
			results[name] = t
		}
		if failure != nil { // a round that is not whole is no pair
			break
		}
		for name, t := range results {
			turns[name] = append(turns[name], t)
		}
	}
	if done > 0 {
		table(out, o, turns)
	}
	return failure
}

// measure gives a server its turn.
func measure(
	ctx context.Context, o options, name string, round int, log io.Writer,
) (t turn, err error) {
	profile := ""
	if o.profiles != "" {
		profile = filepath.Join(o.profiles, fmt.Sprintf("%s-%d.pprof", name, round+1))
	}
	server, err := start(ctx, name, o.interval.String(), profile, log)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, server.end()) }()
	hello, err := server.ask("")
	if err != nil {
		return t, err
	}
	empty, err := server.ask("sample")
	if err != nil {
		return t, err
	}
	emptied, err := server.ask("free")
	if err != nil {
		return t, err
	}
	client, err := start(ctx, "client", fmt.Sprint(o.conns, " ", hello.Addr), "", log)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, client.end()) }()
	if _, err := client.ask(""); err != nil {
		return t, err
	}
	wait(ctx, o.settle)
	before, err := server.ask("sample")
	if err != nil {
		return t, err
	}
	wait(ctx, time.Duration(o.seconds)*time.Second)
	after, err := server.ask("sample")
	if err != nil {
		return t, err
	}
	kept, err := server.ask("free")
	if err != nil {
		return t, err
	}
	beats := float64(after.Beats - before.Beats)
	if beats == 0 {
		return t, errors.New("no ping was answered")
	}
	each := func(with, without uint64) float64 {
		return (float64(with) - float64(without)) / float64(o.conns) / 1024
	}
	return turn{
		cpu:        float64((after.CPU - before.CPU).Nanoseconds()) / 1000 / beats,
		resident:   each(after.Resident, empty.Resident),
		kept:       each(kept.Resident, emptied.Resident),
		stacks:     each(kept.Stacks, emptied.Stacks),
		heap:       each(kept.Heap, emptied.Heap),
		goroutines: float64(after.Goroutines-empty.Goroutines) / float64(o.conns),
		rate:       beats / float64(o.seconds),
		ended:      float64(o.conns - after.Open),
	}, nil
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// table prints medians, and ranges behind them.
func table(out io.Writer, o options, turns map[string][]turn) {
	n := len(turns[o.servers[0]])
	fmt.Fprintf(out, "%d connections, a ping each %v, %d rounds of %d s; %s. Medians (ranges).\n\n",
		o.conns, o.interval, n, o.seconds, machine())
	columns := []struct {
		title, format string
		value         func(turn) float64
	}{
		{"CPU a beat, µs", "%.1f", func(t turn) float64 { return t.cpu }},
		{"resident a connection, KB", "%.1f", func(t turn) float64 { return t.resident }},
		{"after a collection, KB", "%.1f", func(t turn) float64 { return t.kept }},
		{"of it stacks, KB", "%.1f", func(t turn) float64 { return t.stacks }},
		{"of it heap, KB", "%.1f", func(t turn) float64 { return t.heap }},
		{"goroutines a connection", "%.2f", func(t turn) float64 { return t.goroutines }},
		{"beats a second", "%.0f", func(t turn) float64 { return t.rate }},
		{"connections that ended", "%.0f", func(t turn) float64 { return t.ended }},
	}
	var head, line strings.Builder
	for _, c := range columns {
		head.WriteString(" " + c.title + " |")
		line.WriteString("---|")
	}
	fmt.Fprintf(out, "| server |%s\n|---|%s\n", head.String(), line.String())
	for _, name := range o.servers {
		fmt.Fprintf(out, "| %s |", name)
		for _, c := range columns {
			fmt.Fprintf(out, " %s |", spread(turns[name], c.value, c.format))
		}
		fmt.Fprintln(out)
	}
	if len(o.servers) < 2 {
		return
	}
	fmt.Fprintln(out)
	for _, other := range o.servers[1:] {
		var ratios []turn
		for i, t := range turns[o.servers[0]] {
			u := turns[other][i]
			ratios = append(ratios, turn{cpu: t.cpu / u.cpu, resident: t.resident / u.resident})
		}
		fmt.Fprintf(out, "%s over %s, round by round: CPU a beat %s, resident %s.\n", o.servers[0], other,
			spread(ratios, columns[0].value, "%.2f"), spread(ratios, columns[1].value, "%.2f"))
	}
}

// spread is the median of some values, and their range.
func spread(turns []turn, value func(turn) float64, format string) string {
	if len(turns) == 0 {
		return "–"
	}
	var v []float64
	for _, t := range turns {
		v = append(v, value(t))
	}
	slices.Sort(v)
	median := (v[(len(v)-1)/2] + v[len(v)/2]) / 2
	if len(v) == 1 {
		return fmt.Sprintf(format, median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median, v[0], v[len(v)-1])
}
