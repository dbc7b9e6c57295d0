// Command worker-pool does jobs on the members of a cluster: one copy hands them out, the others do them. Jobs of a
// worker that dies go to another. A worker that was only slow, and wakes with a job that another has got meanwhile, does no harm:
// jobs carry the worker's boot and epoch, and a result under a pair that is over is refused.
package main

import (
	"bytes"
	"context"
	"encoding/json"
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
	"sync"
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
	takes := flag.Duration("takes", 300*time.Millisecond, "how long a worker needs for a job")
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
	role := func(ctx context.Context, cfg cluster.Config) error { return serve(ctx, cfg, *takes) }
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
func serve(ctx context.Context, cfg cluster.Config, takes time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	cfg.Tags = map[string]string{"work": listener.Addr().String()} // this makes it a worker to the others
	return member(ctx, cfg, func(node *cluster.Node) error {
		b := &bench{takes: takes, self: func() token { return tokenOf(node.Self()) }}
		server := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go server.Serve(listener)
		log.Printf("%v works", b.self())
		for e := range node.Events(ctx) { // until ctx or the node ends
			if e.Kind == cluster.Accused {
				log.Printf("others called me down at %s: stopping what I have, going on as %v", e.Since.Format(time.TimeOnly), tokenOf(e.Member))
				b.clear()
			}
		}
		return node.Err()
	})
}

// order is a job as it is posted to a worker, and with the result what the worker posts to the ledger.
type order struct {
	Job    string `json:"job"`
	Token  token  `json:"token"`
	Ledger string `json:"ledger,omitempty"` // address to store the result at
	Result string `json:"result,omitempty"`
}

// bench is where a worker does its jobs: each takes a while and says itself backwards.
type bench struct {
	takes time.Duration
	self  func() token

	mu   sync.Mutex
	jobs map[context.Context]context.CancelFunc // those that it is at
}

// ServeHTTP does the job that it is posted, and answers when the ledger has the result.
func (b *bench) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ctx, done := b.begin(r.Context())
	defer done()
	if self := b.self(); o.Token.Worker != self.Worker || o.Token.before(self) {
		http.Error(w, fmt.Sprintf("this is %v, not %v", self, o.Token), http.StatusConflict)
		return
	}
	log.Printf("doing %s", o.Job)
	select {
	case <-time.After(b.takes):
	case <-ctx.Done(): // taken back, or accused
		log.Printf("stopped %s", o.Job)
		http.Error(w, "stopped", http.StatusConflict)
		return
	}
	result := []byte(o.Job)
	slices.Reverse(result)
	o.Result = string(result)
	// Not under ctx: whether the result still counts is for the ledger to say. What was true a moment ago here may not be true there.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := send(ctx, o.Ledger, o); err != nil {
		log.Printf("could not store %s: %v", o.Job, err)
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	log.Printf("did %s", o.Job)
}

// begin makes the context of a job, which clear ends.
func (b *bench) begin(ctx context.Context) (job context.Context, done func()) {
	job, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.jobs == nil {
		b.jobs = make(map[context.Context]context.CancelFunc)
	}
	b.jobs[job] = cancel
	return job, func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.jobs, job)
	}
}

// clear stops all jobs that are being done.
func (b *bench) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, cancel := range b.jobs {
		cancel()
	}
}

// handOut has n jobs done by the workers.
func handOut(ctx context.Context, cfg cluster.Config, n int) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	return member(ctx, cfg, func(node *cluster.Node) error {
		jobs := make([]string, n)
		for i := range jobs {
			jobs[i] = fmt.Sprintf("job-%d", i+1)
		}
		p := &pool{
			do: func(ctx context.Context, w cluster.Member, job string) error {
				return send(ctx, w.Tags["work"], order{Job: job, Token: tokenOf(w), Ledger: listener.Addr().String()})
			},
			isWorker: func(m cluster.Member) bool { return m.Tags["work"] != "" },
			latest:   node.Member,
			logf:     log.Printf,
		}
		server := &http.Server{Handler: &p.ledger, ReadHeaderTimeout: 5 * time.Second}
		defer server.Close()
		go server.Serve(listener)
		began := time.Now()
		if err := p.run(ctx, node.Events(ctx), jobs); err != nil {
			return errors.Join(err, node.Err())
		}
		log.Printf("%d jobs done in %.1f s", n, time.Since(began).Seconds())
		return nil
	})
}

// ServeHTTP stores a result that is posted.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var o order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&o); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := l.store(o.Job, o.Token); err != nil {
		log.Printf("refused %v", err)
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	log.Printf("%v made %s of %s", o.Token, o.Result, o.Job)
}

// send posts an order, and returns once that is done.
func send(ctx context.Context, addr string, o order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(text))
	}
	return nil
}
