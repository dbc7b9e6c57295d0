//go:build e2e && linux

package tcp

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	runs     = flag.Int("runs", 2, "how often a process is stopped, and a path cut in each way")
	interval = flag.Duration("interval", 200*time.Millisecond, "the time between two pings")
)

// talk sends a ping each interval and hears the answers, as an application does.
type talk struct {
	conn  net.Conn
	quit  chan struct{}
	ended sync.WaitGroup
	mu    sync.Mutex
	heard time.Time
}

func newTalk(conn net.Conn) *talk {
	c := &talk{conn: conn, quit: make(chan struct{}), heard: time.Now()}
	c.ended.Go(func() {
		answer := make([]byte, 64)
		for {
			_, err := conn.Read(answer)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.heard = time.Now()
			c.mu.Unlock()
		}
	})
	c.ended.Go(func() {
		ticker := time.NewTicker(*interval)
		defer ticker.Stop()
		for {
			if _, err := conn.Write([]byte("p")); err != nil {
				return
			}
			select {
			case <-ticker.C:
			case <-c.quit:
				return
			}
		}
	})
	return c
}

// end closes the connection, and waits until both goroutines have gone.
func (c *talk) end() {
	close(c.quit)
	c.conn.Close()
	c.ended.Wait()
}

func (c *talk) silence() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.heard)
}

// judged is one run: when the verdict came, since the fault and as silence of the peer.
type judged struct{ after, silence time.Duration }

// judge breaks something amid a conversation, and watches the verdict: wanted in the end, and never
// another but Unknown, once the silence is no longer ordinary. It goes on for a while after the
// verdict came, which has to hold.
func judge(t *testing.T, conn *net.TCPConn, want Verdict, fault func()) judged {
	t.Helper()
	c := newTalk(conn)
	defer c.end()
	time.Sleep(3**interval + rand.N(*interval)) // at any phase of the pings
	fault()
	began := time.Now()
	var came judged
	for end := began.Add(patient); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		silence := c.silence()
		info, err := ReadInfo(conn)
		if err != nil {
			t.Errorf("after %v: %v", time.Since(began), err)
			break
		}
		got := info.Verdict(silence, *interval)
		switch {
		case got == want && came.after == 0:
			came = judged{time.Since(began), silence}
			end = time.Now().Add(2**interval + 500*time.Millisecond)
		case got != want && (got != Unknown || came.after != 0):
			t.Errorf("%v after %v, silent for %v; want %v: %+v", got, time.Since(began), silence, want, info)
		}
	}
	if came.after == 0 {
		t.Errorf("never %v", want)
	}
	return came
}

// patient is how long they wait for a verdict: far longer than it takes, for the machine may be
// busy with others.
const patient = 15 * time.Second

// series judges runs times, a few at a time, each at a cable of its own, and logs how long it took.
func series(t *testing.T, want Verdict, run func(w *wire) judged) {
	t.Parallel()
	var mu sync.Mutex
	var all []judged
	t.Run("runs", func(t *testing.T) {
		for n := range *runs {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				one := run(newWire(t))
				mu.Lock()
				defer mu.Unlock()
				all = append(all, one)
			})
		}
	})
	if len(all) == 0 {
		t.Skip("all runs skipped")
	}
	slices.SortFunc(all, func(a, b judged) int { return int(a.after - b.after) })
	middle, last := all[len(all)/2], all[len(all)-1]
	t.Logf("%v in all of %d runs, pings %v apart: after at best %v, median %v (silence %v), worst %v (silence %v)", want,
		len(all), *interval, all[0].after.Round(ms), middle.after.Round(ms), middle.silence.Round(ms),
		last.after.Round(ms), last.silence.Round(ms))
}

// A process is stopped: its kernel goes on acknowledging.
func TestStoppedProcess(t *testing.T) {
	series(t, Stuck, func(w *wire) judged {
		peer := w.peer("echo")
		return judge(w.t, w.dial(), Stuck, func() { must(w.t, peer.Process.Signal(syscall.SIGSTOP)) })
	})
}

// A path is cut in one of three ways.
func TestDeadPath(t *testing.T) {
	for _, how := range []string{"replies", "cable", "interface"} {
		t.Run(how, func(t *testing.T) {
			series(t, Path, func(w *wire) judged {
				w.peer("echo")
				return judge(w.t, w.dial(), Path, func() { w.cut(how) })
			})
		})
	}
}

// A peer reads slowly or not at all while much is written to it: it is slow, until the path is cut
// as well.
func TestSlowReader(t *testing.T) {
	for _, kind := range []string{"slow", "deaf"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.peer(kind)
			conn := w.dial()
			began := time.Now()
			var writing sync.WaitGroup
			writing.Go(func() { conn.Write(make([]byte, 64<<20)) }) // until the connection is closed
			defer writing.Wait()
			defer conn.Close()
			verdict := func() Verdict {
				info, err := ReadInfo(conn)
				must(t, err)
				return info.Verdict(time.Since(began), *interval)
			}
			for verdict() != Slow {
				if time.Since(began) > patient {
					t.Fatal("never slow")
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("slow after %v", time.Since(began).Round(ms))
			// The evidence is old enough for the whole allowance once the silence is ten times the
			// ordinary.
			time.Sleep(10**interval - time.Since(began))
			for time.Since(began) < 10**interval+2*time.Second {
				if got := verdict(); got != Slow {
					info, _ := ReadInfo(conn)
					t.Errorf("%v after %v: %+v", got, time.Since(began), info)
				}
				time.Sleep(10 * time.Millisecond)
			}
			w.cut("replies")
			cut := time.Now()
			for verdict() != Path {
				if time.Since(cut) > patient {
					t.Fatal("never a dead path")
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Logf("path %v after the cut", time.Since(cut).Round(ms))
		})
	}
}

// A peer closes: both directions together say so, and no verdict blames it on the way.
func TestCleanClose(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.peer("echo")
	conn := w.dial()
	_, err := conn.Write([]byte("pq"))
	must(t, err)
	read, err := io.ReadAll(conn)
	if string(read) != "p" || HowEnded(errors.Join(err, io.EOF), nil) != EndClean {
		t.Errorf("read %q, %v", read, err)
	}
	for silence := range 5 {
		info, err := ReadInfo(conn)
		must(t, err)
		if got := info.Verdict(time.Duration(silence)*time.Second, *interval); got != Unknown {
			t.Errorf("%v: %+v", got, info)
		}
	}
}

// Keep-alive finds a dead idle path when it says, and the verdict knows before. One of the
// goroutines gets the error.
func TestKeepAliveFindsDeadPath(t *testing.T) {
	for name, k := range map[string]KeepAlive{
		"probes":     {Idle: time.Second, Interval: time.Second, Probes: 3},
		"slowReader": {Idle: time.Second, Interval: time.Second, Probes: 9, SlowReader: 4500 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.peer("echo")
			conn := w.dial()
			must(t, k.Set(conn))
			w.cut("replies")
			began := time.Now()
			var readErr error
			var reading sync.WaitGroup
			reading.Go(func() { _, readErr = conn.Read(make([]byte, 1)) })
			var path time.Duration
			for path == 0 && time.Since(began) < patient {
				info, err := ReadInfo(conn)
				must(t, err)
				if info.Verdict(time.Since(began), *interval) == Path {
					path = time.Since(began)
				}
				time.Sleep(10 * time.Millisecond)
			}
			reading.Wait()
			found := time.Since(began)
			t.Logf("verdict after %v, end after %v (%v), FoundAfter %v", path.Round(ms), found.Round(ms), readErr, k.FoundAfter())
			if HowEnded(readErr, nil) != EndPath || path == 0 || path > found {
				t.Errorf("verdict after %v, %v after %v", path, readErr, found)
			}
			if least := k.FoundAfter() - time.Second; found < least || found > k.FoundAfter()+patient {
				t.Errorf("found after %v; want %v", found, k.FoundAfter())
			}
		})
	}
}

// With data outstanding and a budget for slow readers, both directions end, and only one of them is
// told why.
func TestSlowReaderBudgetEndsBothDirections(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.peer("echo")
	conn := w.dial()
	must(t, KeepAlive{SlowReader: time.Second}.Set(conn))
	w.cut("replies")
	var readErr, writeErr error
	var both sync.WaitGroup
	both.Go(func() { _, readErr = conn.Read(make([]byte, 1)) })
	both.Go(func() { _, writeErr = conn.Write(make([]byte, 64<<20)) })
	both.Wait()
	t.Logf("read: %v; write: %v", readErr, writeErr)
	if end := HowEnded(readErr, writeErr); end != EndPath {
		t.Errorf("%v from %v and %v", end, readErr, writeErr)
	}
}
