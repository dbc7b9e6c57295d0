// Command reconnect shows what becomes of connections through a router that forgets those that are
// idle: without heartbeats, with PING and PONG, and with package link.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
)

func main() {
	idle := flag.Duration("idle", 45*time.Second, "how long the proxy remembers an idle connection")
	flag.Parse()
	if *idle < minIdle || *idle > time.Hour {
		fmt.Fprintf(os.Stderr, "-idle %v: want %v to 1h\n", *idle, minIdle)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	terminal := isatty.IsTerminal(os.Stdout.Fd())
	screen := &screen{out: os.Stdout, live: terminal, color: terminal && os.Getenv("NO_COLOR") == ""}
	if _, err := show(ctx, *idle, screen); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}
