// Command worker-pool does jobs on the members of a cluster: one copy hands them out, the others do them. Jobs of a
// worker that dies go to another.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
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
	jobs := flag.Int("jobs", 0, "hand out this many jobs and end (0: be a worker)")
	flag.Parse()

	cfg := cluster.Config{
		Name:   *name,
		Bind:   *bind,
		Logger: hclog.New(&hclog.LoggerOptions{Name: "cluster", Level: hclog.Warn}),
	}
	if *join != "" {
		cfg.Seeds = strings.Split(*join, ",")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	role := serve
	if *jobs > 0 {
		role = func(ctx context.Context, cfg cluster.Config) error { return handOut(ctx, cfg, *jobs) }
	}
	if err := role(ctx, cfg); err != nil && !errors.Is(err, context.Canceled) {
		log.Fatal(err)
	}
}

// member joins, runs work, and says goodbye.
func member(ctx context.Context, cfg cluster.Config, work func(*cluster.Node) error) error {
	node, err := cluster.Join(ctx, cfg)
	if err != nil {
		return err
	}
	defer node.Close()
	err = work(node)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(err, node.Leave(ctx))
}

// serve is a worker: it does what is posted to /work until ctx or its node ends.
func serve(ctx context.Context, cfg cluster.Config) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: work(300 * time.Millisecond), ReadHeaderTimeout: 5 * time.Second}
	defer server.Close()
	go server.Serve(listener)
	cfg.Tags = map[string]string{"work": listener.Addr().String()} // this makes it a worker to the others
	return member(ctx, cfg, func(node *cluster.Node) error {
		log.Printf("%s works", node.Self().Name)
		for range node.Events(ctx) { // until ctx or the node ends
		}
		return node.Err()
	})
}

// work does the job that it is posted: it takes a while and says it backwards.
func work(takes time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		job, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(takes):
		case <-r.Context().Done(): // taken back
			return
		}
		log.Printf("did %s", job)
		slices.Reverse(job)
		w.Write(job)
	})
}

// handOut has n jobs done by the workers.
func handOut(ctx context.Context, cfg cluster.Config, n int) error {
	return member(ctx, cfg, func(node *cluster.Node) error {
		jobs := make([]string, n)
		for i := range jobs {
			jobs[i] = fmt.Sprintf("job-%d", i+1)
		}
		p := &pool{
			do:       post,
			isWorker: func(m cluster.Member) bool { return m.Tags["work"] != "" },
			logf:     log.Printf,
		}
		began := time.Now()
		if err := p.run(ctx, node.Events(ctx), jobs); err != nil {
			return errors.Join(err, node.Err())
		}
		log.Printf("%d jobs done in %.1f s", n, time.Since(began).Seconds())
		return nil
	})
}

// post has a worker do a job.
func post(ctx context.Context, worker cluster.Member, job string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+worker.Tags["work"]+"/work", strings.NewReader(job))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	done, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", answer.Status)
	}
	log.Printf("%s made %s of %s", worker.Name, done, job)
	return nil
}
