package web

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// Node is what a Server asks of a *cluster.Node.
type Node interface {
	Self() cluster.Member
	Member(name string) (cluster.Member, bool)
	Members() []cluster.Member
	Explain(name string) (cluster.Explanation, bool)
	Events(ctx context.Context) iter.Seq[cluster.Event]
	Isolated() bool
	Stats() cluster.Stats
	Err() error
	Done() <-chan struct{}

	Leave(ctx context.Context) error
	Forget(ctx context.Context, name string) error
	Ping(ctx context.Context, name string) (time.Duration, error)
	Keys(ctx context.Context) ([]cluster.Answer, error)
	AddKey(ctx context.Context, key []byte) ([]cluster.Answer, error)
	UseKey(ctx context.Context, key []byte) ([]cluster.Answer, error)
	RemoveKey(ctx context.Context, key []byte) ([]cluster.Answer, error)
}

// Options say who may ask a Server for what. With the zero value everybody who reaches it may read, and nobody change anything.
type Options struct {
	// Token returns the token of the moment, of ShortestToken characters or more; empty: there is
	// none. It is called at every request, and every 15 s for each reader of events, from any
	// goroutine. While it returns a shorter one, nobody changes anything, and only who comes by a
	// loopback address or a Unix socket reads. Nil: there is none.
	Token func() string
	// Hosts are names that the server is asked by, without ports, beside localhost and all IP addresses.
	Hosts []string
	// Metrics answers GET /metrics once the node has joined. Nil: 404.
	Metrics http.Handler
	// Streams is how many readers of events each of the two handlers serves at a time. Zero: 1,000.
	Streams int
	// Left is called once POST /v1/leave has said goodbye and before that is answered, for the program to end. It must not wait
	// for the server. Nil: the program goes on.
	Left func()
	// Logger is told of what clients change, and is whose level PUT /v1/log-level sets. Nil: nobody is told, and there is no level.
	Logger hclog.Logger
}

const defaultStreams = 1000

// Server serves a node, and before the node has joined that it has not. Its methods may be called from any goroutine.
type Server struct {
	opts    Options
	log     hclog.Logger
	handler http.Handler
	control http.Handler

	joined  atomic.Pointer[joined]
	leaving atomic.Bool
	orders  chan struct{} // so many changes of the whole cluster at a time

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	mu     sync.Mutex // for the start of goroutines
	wg     sync.WaitGroup
}

// joined is a node, and what is kept of it for those who ask.
type joined struct {
	Node
	view    *view
	feed    *feed
	history *history
}

// New returns a server whose node has not joined yet.
func New(opts Options) *Server {
	s := &Server{opts: opts, log: opts.Logger, orders: make(chan struct{}, 4)}
	if s.log == nil {
		s.log = hclog.NewNullLogger()
	}
	if s.opts.Streams <= 0 {
		s.opts.Streams = defaultStreams
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.handler, s.control = s.door(false), s.door(true)
	return s
}

// Handler serves a node that has joined. Its goroutines end with the node.
func Handler(node *cluster.Node, opts Options) http.Handler {
	s := New(opts)
	s.Joined(node)
	return s.Handler()
}

// Handler serves all clients.
func (s *Server) Handler() http.Handler { return s.handler }

// Control serves clients that may do anything, and asks for no token: it is for a socket that nobody else can open.
func (s *Server) Control() http.Handler { return s.control }

// Joined tells of the node. The server follows its events from then on, until the node ends or Close.
// A server has one node: of another one, and after Close, it takes no notice.
func (s *Server) Joined(n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil || s.joined.Load() != nil {
		return
	}
	v := &view{node: n}
	j := &joined{Node: n, view: v, feed: newFeed(v, n.Self), history: newHistory()}
	events := n.Events(s.ctx)
	s.wg.Go(func() { j.feed.run(events) })
	s.wg.Go(func() { j.history.run(s.ctx, v) })
	s.joined.Store(j)
}

// Close ends the streams of events, after what is pending there, and waits for the server's own
// goroutines. These wait for no client, only for what they are asking the node just then, which takes
// milliseconds. Streams end soon after, one whose reader takes nothing within 10 s:
// http.Server.Shutdown waits for them. The node goes on; of it is answered what is known without
// events. Close again: nil.
func (s *Server) Close() error {
	s.mu.Lock()
	s.cancel()
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}
