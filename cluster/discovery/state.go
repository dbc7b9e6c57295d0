package discovery

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// keepEvery is how often [State.Keep] looks for news: at most this often a State is written.
const keepEvery = 5 * time.Second

// maxMembers is how many members are remembered. Any one of them that lives is enough.
const maxMembers = 64

// A Member is one to come back through: its name in the cluster, and its "host:port".
type Member struct{ Name, Addr string }

// A State is a directory in which a node remembers, across its restarts, the last members that it
// knew and its highest boot. Use [Open]. It is a [Source] of the members' addresses. All methods may
// be called from any goroutine, and only Save, Keep and Close wait for the disk.
//
// The file "state" in it is replaced at once, so that it is whole at any time: after a crash it is
// the one before or the new one, and on a full disk the one before. A file that is damaged all the
// same counts as empty, is kept as "state.bad", and is told by Warning.
type State struct {
	dir     string
	warning error

	writing sync.Mutex // held over the disk's work; taken before mu
	lock    *lock      // nil: closed
	written []byte     // what the file holds as far as it is known

	mu     sync.Mutex
	memory memory
}

// memory is what the file holds.
type memory struct {
	boot    uint64
	members []Member // newest first
}

// Open makes the directory (mode 0700) where there is none, and locks it until Close or the end of
// the process, however that comes. A second process gets an error that names the first. An error of
// Open says why the directory cannot be used; what is wrong with the file in it is none.
func Open(dir string) (*State, error) {
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	l, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &State{dir: dir, lock: l}
	s.memory, s.written, s.warning = readState(dir)
	return s, nil
}

// Warning returns what was wrong with the file, or with the directory's permissions, when it was
// opened; nil: nothing.
func (s *State) Warning() error { return s.warning }

// String names the directory.
func (s *State) String() string { return "state directory " + s.dir }

// Last returns the members that are remembered, newest first, and the highest boot of this node;
// 0: none is known. They are for Remembered and LastBoot of cluster.Config.
func (s *State) Last() (members []Member, boot uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.memory.members), s.memory.boot
}

// Discover returns the addresses of Last. As cluster.Config.Remembered the members are better off:
// an address is no identity, and a node that is the last one left then goes on alone.
func (s *State) Discover(context.Context) ([]string, error) {
	members, _ := s.Last()
	var addrs []string
	for _, m := range members {
		addrs = append(addrs, m.Addr)
	}
	return addrs, nil
}

// Save remembers the members that are up now, this node not among them, and its boot. The highest
// boot counts. Members of before that are not among them move behind those who are, up to 64 in all:
// a node that was cut off, or the last to go, still knows whom to look for. A member without a
// "host:port", or with a name of more than 128 bytes, is left out. Save writes only where something
// has changed since it wrote last; after an error the next call tries again.
func (s *State) Save(members []Member, boot uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.lock == nil {
		return errors.New("discovery: Save: the state directory is closed")
	}
	s.mu.Lock()
	s.memory = s.memory.with(members, boot)
	b := encodeState(s.memory)
	s.mu.Unlock()
	if bytes.Equal(b, s.written) {
		return nil
	}
	s.written = nil // not known, until it is
	if err := replaceState(s.dir, b); err != nil {
		return err
	}
	s.written = b
	return nil
}

// Keep saves what members returns, at once, then where it has changed every 5 seconds, and a last
// time when ctx ends; then it returns. tell, unless nil, is called with the first of several equal
// errors in a row, and with nil once it works again. Both functions are called from Keep's
// goroutine.
func (s *State) Keep(ctx context.Context, members func() ([]Member, uint64), tell func(error)) {
	if tell == nil {
		tell = func(error) {}
	}
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	var failed string
	for {
		ended := ctx.Err() != nil
		err := s.Save(members())
		switch {
		case err != nil && err.Error() != failed:
			failed = err.Error()
			tell(err)
		case err == nil && failed != "":
			failed = ""
			tell(nil)
		}
		if ended {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// Close gives the directory free, after what is being written. A second Close does nothing.
func (s *State) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	l := s.lock
	s.lock = nil
	if l == nil {
		return nil
	}
	return l.unlock()
}

// with returns the memory after one more Save. Those who stay keep their order, so that nothing is
// written while nobody comes or goes; those who come do so in random order, so that not all nodes of
// a large cluster remember the same few of a list that is sorted by name.
func (m memory) with(members []Member, boot uint64) memory {
	now := map[string]Member{}
	for _, e := range members {
		if e.valid() {
			now[e.Name] = e
		}
	}
	var stay, come, gone []Member
	for _, e := range m.members {
		if n, up := now[e.Name]; up {
			stay = append(stay, n) // perhaps at another address
			delete(now, e.Name)
		} else {
			gone = append(gone, e)
		}
	}
	for _, e := range now {
		come = append(come, e)
	}
	rand.Shuffle(len(come), func(i, j int) { come[i], come[j] = come[j], come[i] })
	next := memory{boot: max(m.boot, boot)}
	for _, e := range slices.Concat(stay, come, gone) {
		known := slices.ContainsFunc(next.members, func(o Member) bool { return o.Addr == e.Addr })
		if len(next.members) < maxMembers && !known {
			next.members = append(next.members, e)
		}
	}
	return next
}
