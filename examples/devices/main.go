// Command devices is a gateway with ten thousand simulated devices on TCP, which beat one way and
// sleep in between. It reports all of them to a center in one frame a second, and delivers the last
// will of those that die.
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

const (
	maxDevices = 100_000
	// A device's longest sleep is lowFactor times as long, and link takes an hour at most.
	minEvery, maxEvery = 2 * time.Second, time.Hour / lowFactor
	minFor, maxFor     = time.Second, 24 * time.Hour
	reportEvery        = time.Second
	// retryTime is what a device that finds its connection ended takes to make another one.
	retryTime = 5 * time.Second
)

func main() {
	if os.Getenv(childEnv) != "" {
		os.Exit(childMain())
	}
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &screen{out: os.Stdout, live: isatty.IsTerminal(os.Stdout.Fd())}
	if _, err := run(ctx, o, s); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// parse checks the flags.
func parse(args []string) (options, error) {
	o := options{report: reportEvery, files: files()}
	set := flag.NewFlagSet("devices", flag.ContinueOnError)
	set.IntVar(&o.devices, "devices", 10_000, "how many devices")
	set.DurationVar(&o.every, "every", 10*time.Second,
		"the time between two beats of a device; at night twice, with a low battery four times as long")
	set.DurationVar(&o.last, "for", 0, "end so long after all devices are there (0: at Ctrl-C)")
	set.IntVar(&o.faults, "faults", 5,
		"how many devices each of six faults befalls, in a day of twelve beats; a tenth of the devices at most")
	if err := set.Parse(args); err != nil {
		return o, err
	}
	switch {
	case set.NArg() > 0:
		return o, fmt.Errorf("%q: want no arguments but flags", set.Arg(0))
	case o.devices < 1 || o.devices > maxDevices:
		return o, fmt.Errorf("-devices %d: want 1 to %d", o.devices, maxDevices)
	case o.every < minEvery || o.every > maxEvery:
		return o, fmt.Errorf("-every %v: want %v to %v", o.every, minEvery, maxEvery)
	case o.last != 0 && (o.last < minFor || o.last > maxFor):
		return o, fmt.Errorf("-for %v: want %v to %v, or 0", o.last, minFor, maxFor)
	case o.faults < 0 || o.faults > maxDevices/10:
		return o, fmt.Errorf("-faults %d: want 0 to %d", o.faults, maxDevices/10)
	}
	o.grace = lowFactor*o.every + retryTime
	return o, nil
}
