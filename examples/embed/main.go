// Command embed is a small HTTP service that is a member of a cluster: it knows which of its copies are up, and shows
// the way to them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

func main() {
	name := flag.String("name", "", "name of this copy, unique in the cluster (default: the host name)")
	bind := flag.String("bind", "127.0.0.1:7946", "ip:port of the cluster traffic")
	join := flag.String("join", "", "host:port of copies to join, with commas (none: start a cluster)")
	addr := flag.String("http", "127.0.0.1:8000", "ip:port of the service")
	flag.Parse()

	cfg := cluster.Config{
		Name:   *name,
		Bind:   *bind,
		Tags:   map[string]string{"http": *addr}, // the others see where we serve
		Logger: hclog.New(&hclog.LoggerOptions{Name: "cluster", Level: hclog.Warn}),
	}
	if *join != "" {
		cfg.Seeds = strings.Split(*join, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, *addr); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends, then says goodbye to the others.
func run(ctx context.Context, cfg cluster.Config, addr string) error {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	node, err := cluster.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	go follow(ctx, node, log.Printf)

	server := &http.Server{Handler: handler(node), ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	log.Printf("%s serves on http://%s", node.Self().Name, listener.Addr())
	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, node.Leave(ctx), server.Shutdown(ctx)) // first no more visitors, then no more service
}

// follow tells what becomes of the others. A real service would open and close connections here, or move its shards.
func follow(ctx context.Context, node *cluster.Node, printf func(format string, args ...any)) {
	for event := range node.Events(ctx) {
		printf("%s is %s (%s)", event.Member.Name, event.Kind, event.Reason)
	}
}

// handler lists the copies that are up.
func handler(node *cluster.Node) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "This is %s. Up are:\n", node.Self().Name)
		for _, m := range node.Members() {
			if m.State == cluster.StateUp {
				fmt.Fprintf(w, "%s http://%s\n", m.Name, m.Tags["http"])
			}
		}
	})
}
