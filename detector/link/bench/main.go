//go:build linux

// Command bench measures what heartbeats on WebSocket connections cost a server: package link
// beside plain servers on github.com/gorilla/websocket and github.com/coder/websocket, which have a
// ticker and a ping for each connection. Each server is a process of its own, and so is the client
// of all three. The servers take turns within a round, so that what else the machine does meets all
// of them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `What heartbeats on loopback WebSocket connections cost a server, as a Markdown table:

    go run . --rounds 5 --conns 9000 --seconds 20

and sessions on connections in memory, in one process:

    go run . --memory 1000000 --interval 10s

Ctrl-C ends it with the table of the rounds that are over.

`

// options are what the command line says.
type options struct {
	rounds   int
	conns    int
	interval time.Duration
	settle   time.Duration
	seconds  int
	servers  []string
	memory   int
	profiles string
}

func main() {
	if role := os.Getenv(roleVar); role != "" {
		if err := act(role); err != nil {
			fmt.Fprintln(os.Stderr, role+":", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[1:])
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	run := rounds
	if o.memory > 0 {
		run = inMemory
	}
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if ctx.Err() != nil {
			os.Exit(130)
		}
		os.Exit(1)
	}
}

func parse(args []string) (o options, err error) {
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
	}
	set.IntVar(&o.rounds, "rounds", 5, "rounds, in each of which every server has a turn")
	set.IntVar(&o.conns, "conns", 9000, "connections; fewer where the limit of open files is lower")
	set.DurationVar(&o.interval, "interval", time.Second, "time between two pings of a connection")
	set.DurationVar(&o.settle, "settle", 4*time.Second,
		"time between the last connection and the measurement")
	set.IntVar(&o.seconds, "seconds", 20, "how long each turn measures")
	names := set.String("servers", strings.Join(serverNames(), ","), "which servers, by commas")
	set.IntVar(&o.memory, "memory", 0, "sessions without sockets, instead of servers")
	set.StringVar(&o.profiles, "profiles", "",
		"folder for profiles of each turn, of the CPU and the heap, with which everything costs more")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	o.servers = strings.Split(*names, ",")
	for _, s := range o.servers {
		if !slices.Contains(serverNames(), s) {
			want := strings.Join(serverNames(), ",")
			return o, fmt.Errorf("bench: --servers: %q, want some of %s", s, want)
		}
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("bench: %q: want flags only", set.Arg(0))
	case o.rounds < 1 || o.conns < 1 || o.seconds < 1 || o.memory < 0 || o.settle < 0:
		return o, errors.New("bench: --rounds, --conns and --seconds are at least 1, " +
			"--memory and --settle not negative")
	case o.interval < 10*time.Millisecond || o.interval > time.Hour:
		return o, fmt.Errorf("bench: --interval: %v, want 10ms to 1h", o.interval)
	}
	return o, nil
}

// machine is what the figures were measured on.
func machine() string {
	model := "unknown processor"
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	return fmt.Sprintf("%d cores, %s, %s", runtime.NumCPU(), model, runtime.Version())
}
