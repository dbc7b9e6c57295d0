package clustertest_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pulsering/pulsering/cluster/clustertest"
)

// tenMs is a network with 10 ms each way.
var tenMs = clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(10 * ms)}}

// stream opens one from a to b and returns both ends.
func stream(t *testing.T, a, b *clustertest.Transport) (near, far net.Conn) {
	t.Helper()
	near, err := a.DialTimeout(b.Addr(), time.Minute)
	check(t, err)
	return near, <-b.StreamCh()
}

// took runs f and checks how long it took.
func took(t *testing.T, what string, want time.Duration, f func()) {
	t.Helper()
	start := time.Now()
	f()
	if got := time.Since(start); got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

func wantRead(t *testing.T, c net.Conn, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("read %q, %v, want %q", buf, err, want)
	}
}

func wantReadError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	n, err := c.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, want) {
		t.Errorf("read %d, %v, want %v", n, err, want)
	}
	var op *net.OpError
	if want != io.EOF && (!errors.As(err, &op) || op.Net != "tcp" || op.Op != "read") {
		t.Errorf("%#v is no *net.OpError of a tcp read", err)
	}
}

func wantWriteError(t *testing.T, c net.Conn, want error) {
	t.Helper()
	_, err := c.Write(make([]byte, 1<<20))
	if !errors.Is(err, want) {
		t.Errorf("write: %v, want %v", err, want)
	}
}

func TestStreamTakesItsDelays(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		var near, far net.Conn
		took(t, "dial", 20*ms, func() { near, far = stream(t, a, b) })
		took(t, "write", 0, func() { near.Write([]byte("hello")); near.Write([]byte(" there")) })
		took(t, "read", 10*ms, func() { wantRead(t, far, "hello there") })
		took(t, "answer", 10*ms, func() { far.Write([]byte("hi")); wantRead(t, near, "hi") })
		if near.RemoteAddr().String() != addrB || far.LocalAddr().String() != addrB ||
			near.LocalAddr().String() != far.RemoteAddr().String() || near.LocalAddr().String() == addrA {
			t.Errorf("addresses %v to %v and %v to %v", near.LocalAddr(), near.RemoteAddr(), far.LocalAddr(), far.RemoteAddr())
		}
		t.Log("what was written before Close arrives, then the end, as often as one asks")
		near.Write([]byte("bye"))
		check(t, near.Close())
		check(t, near.Close())
		took(t, "the end", 10*ms, func() { wantRead(t, far, "bye"); wantReadError(t, far, io.EOF) })
		wantReadError(t, far, io.EOF)
		wantReadError(t, near, net.ErrClosed)
		wantWriteError(t, near, net.ErrClosed)
		wantWriteError(t, far, syscall.EPIPE)
		c := n.Totals()
		if c.StreamSent != 16 || c.StreamReceived != 16 || c.Dials != 1 {
			t.Errorf("%d bytes sent, %d received, %d dials, want 16, 16, 1", c.StreamSent, c.StreamReceived, c.Dials)
		}
	})
}

func TestStreamKeepsOrderThroughJitterAndLoss(t *testing.T) {
	o := clustertest.Options{Link: clustertest.Link{
		Delay: clustertest.Exponential(ms, 20*ms), Loss: clustertest.Independent(0.3),
	}}
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		want := make([]byte, 1<<20) // four windows
		for i := range want {
			want[i] = byte(i * i >> 8)
		}
		go func() {
			for rest := want; len(rest) > 0; {
				k := min(len(rest), 10_007)
				if _, err := near.Write(rest[:k]); err != nil {
					t.Error(err)
				}
				rest = rest[k:]
				time.Sleep(ms)
			}
			near.Close()
		}()
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes, %v, not what was written", len(got), err)
		}
	})
}

func TestWriteWaitsForItsReader(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, near.SetWriteDeadline(time.Now().Add(time.Second)))
		took(t, "write", time.Second, func() {
			k, err := near.Write(make([]byte, 300<<10))
			if k != 256<<10 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("wrote %d, %v, want the 256 KiB of the window", k, err)
			}
		})
		check(t, near.SetWriteDeadline(time.Time{}))
		time.AfterFunc(time.Second, func() { io.CopyN(io.Discard, far, 10) })
		took(t, "write of 10 bytes", time.Second, func() { near.Write(make([]byte, 10)) })

		t.Log("a deadline that comes while a write waits")
		time.AfterFunc(time.Second, func() { near.SetWriteDeadline(time.Now()) })
		took(t, "write", time.Second, func() { wantWriteError(t, near, os.ErrDeadlineExceeded) })
	})
}

func TestStreamDeadlines(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, near.SetDeadline(time.Now().Add(time.Second)))
		took(t, "read", time.Second, func() { wantReadError(t, near, os.ErrDeadlineExceeded) })
		took(t, "read again", 0, func() { wantReadError(t, near, os.ErrDeadlineExceeded) })
		took(t, "write", 0, func() { wantWriteError(t, near, os.ErrDeadlineExceeded) })
		_, err := near.Read(make([]byte, 1))
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%v is not a time-out", err)
		}

		t.Log("a deadline that moves while a read waits")
		check(t, near.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Second, func() { near.SetReadDeadline(time.Now().Add(time.Second)) })
		took(t, "read", 2*time.Second, func() { wantReadError(t, near, os.ErrDeadlineExceeded) })
		check(t, near.SetDeadline(time.Now().Add(time.Second)))
		time.AfterFunc(500*ms, func() { near.SetReadDeadline(time.Time{}); far.Write([]byte("x")) })
		took(t, "read", 510*ms, func() { wantRead(t, near, "x") })

		t.Log("closing ends a read that waits")
		time.AfterFunc(time.Second, func() { near.Close() })
		took(t, "read", time.Second, func() { wantReadError(t, near, net.ErrClosed) })
	})
}

func TestDialRefusedOrSilent(t *testing.T) {
	for _, silent := range []bool{false, true} {
		o := tenMs
		o.SilentDead = silent
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			a := open(t, n, addrA)
			wait, want := 20*ms, error(syscall.ECONNREFUSED)
			if silent {
				wait, want = time.Second, os.ErrDeadlineExceeded
			}
			took(t, "dial", wait, func() {
				_, err := a.DialTimeout(addrB, time.Second)
				var op *net.OpError
				if !errors.Is(err, want) || !errors.As(err, &op) || op.Op != "dial" || op.Net != "tcp" {
					t.Errorf("silent %v: %v, want %v in a *net.OpError of a tcp dial", silent, err, want)
				}
			})
		})
	}
}

func TestDialThroughACut(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a := open(t, n, addrA)
		open(t, n, addrB)
		for _, cut := range [][2][]string{{only(addrA), only(addrB)}, {only(addrB), only(addrA)}} {
			check(t, n.Cut(cut[0], cut[1]))
			took(t, "dial", 2*time.Second, func() {
				if _, err := a.DialTimeout(addrB, 2*time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("cut from %v to %v: %v, want a time-out", cut[0], cut[1], err)
				}
			})
			// SYNs at 0, 1, 3 s.
			time.AfterFunc(2*time.Second, func() { n.Heal(cut[0], cut[1]) })
			start := time.Now()
			c, err := a.DialTimeout(addrB, 0)
			check(t, err)
			if d := time.Since(start); d < 3*time.Second || d > 3*time.Second+50*ms {
				t.Errorf("a dial through a cut of 2 s took %v, want the attempt at 3 s", d)
			}
			c.Close()
		}
	})
}

func TestStreamThroughACut(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		near.Write([]byte("in flight "))
		check(t, n.Cut(only(addrA), only(addrB)))
		near.Write([]byte("lost at first"))
		took(t, "read", 10*ms, func() { wantRead(t, far, "in flight ") })
		took(t, "the other way", 10*ms, func() { far.Write([]byte("open")); wantRead(t, near, "open") })
		time.Sleep(480 * ms)
		check(t, n.Heal(only(addrA), only(addrB)))
		// Sent again after 200, 400, ... ms, hence 600 ms after the write.
		took(t, "read", 110*ms, func() { wantRead(t, far, "lost at first") })

		t.Log("TCP gives up 924.6 s after the first attempt, says Linux about tcp_retries2")
		check(t, n.Isolate(addrA))
		near.Write([]byte("x"))
		took(t, "giving up", 924600*ms, func() { wantReadError(t, far, syscall.ETIMEDOUT) })
	})
}

func TestBlockHoldsStreams(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		near, far := stream(t, a, b)
		far.Write([]byte("left in time"))
		near.Write([]byte("came too late"))
		time.Sleep(5 * ms)
		check(t, n.Block(addrB))
		time.AfterFunc(time.Second, func() { n.Unblock(addrB) })
		took(t, "a read by the other", 5*ms, func() { wantRead(t, near, "left in time") })
		check(t, near.SetReadDeadline(time.Now().Add(100*ms)))
		took(t, "a write by the blocked", 0, func() { far.Write([]byte("held")) })
		took(t, "a read by the other", 100*ms, func() { wantReadError(t, near, os.ErrDeadlineExceeded) })
		took(t, "a read by the blocked", 895*ms, func() { wantRead(t, far, "came too late") })
		check(t, near.SetReadDeadline(time.Time{}))
		took(t, "a read by the other", 10*ms, func() { wantRead(t, near, "held") })

		for _, dial := range []struct{ from, to *clustertest.Transport }{{a, b}, {b, a}} {
			check(t, n.Block(addrB))
			took(t, "a dial with a time-out", 500*ms, func() {
				if _, err := dial.from.DialTimeout(dial.to.Addr(), 500*ms); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("dial: %v, want a time-out", err)
				}
			})
			start := time.Now()
			time.AfterFunc(time.Second, func() { n.Unblock(addrB) })
			c, err := dial.from.DialTimeout(dial.to.Addr(), time.Minute)
			check(t, err)
			if d := time.Since(start); d < time.Second || d > time.Second+20*ms {
				t.Errorf("a dial took %v, want the second of the block and little more", d)
			}
			c.Close()
		}
	})
}

// What is written and then closed while either end is blocked leaves once it is not,
// and the end of the stream after it.
func TestClosedWhileBlockedStillArrives(t *testing.T) {
	for _, end := range []string{"near", "far"} {
		t.Run(end, func(t *testing.T) {
			inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
				a, b := open(t, n, addrA), open(t, n, addrB)
				near, far := stream(t, a, b)
				writer, reader, blocked := near, far, addrA
				if end == "far" {
					writer, reader, blocked = far, near, addrB
				}
				check(t, n.Block(blocked))
				_, err := writer.Write([]byte("written"))
				check(t, err)
				check(t, writer.Close())
				time.Sleep(time.Second)
				check(t, n.Unblock(blocked))
				reader.SetReadDeadline(time.Now().Add(time.Hour))
				got, err := io.ReadAll(reader)
				if string(got) != "written" || err != nil {
					t.Errorf("an hour after the block ended the other end has read %q, %v; want what was written before Close, and EOF", got, err)
				}
			})
		})
	}
}

// One goroutine, one seed, one result: streams go on in the order they were opened.
func TestSeedDecidesWhatUnblockReleases(t *testing.T) {
	run := func() (delays [8]time.Duration) {
		o := clustertest.Options{Seed: 7, Link: clustertest.Link{Delay: clustertest.Uniform(ms, time.Second)}}
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			a, b := open(t, n, addrA), open(t, n, addrB)
			var fars [8]net.Conn
			var nears [8]net.Conn
			for i := range nears {
				near, far := stream(t, a, b)
				nears[i], fars[i] = near, far
			}
			check(t, n.Block(addrA))
			for _, near := range nears {
				_, err := near.Write([]byte{1})
				check(t, err)
			}
			check(t, n.Unblock(addrA))
			start := time.Now()
			var done sync.WaitGroup
			for i, far := range fars {
				done.Go(func() {
					far.Read(make([]byte, 1))
					delays[i] = time.Since(start)
				})
			}
			done.Wait()
		})
		return delays
	}
	first := run()
	for range 5 {
		if again := run(); again != first {
			t.Fatalf("the same seed gave delays of\n%v and\n%v", first, again)
		}
	}
}

// The answer to a dial is not of its sender's luck.
func TestDialLeavesOthersLuckAlone(t *testing.T) {
	run := func(dials bool) (seqs []int) {
		o := clustertest.Options{Seed: 7, Link: clustertest.Link{Delay: clustertest.Constant(ms), Loss: clustertest.Independent(0.5)}}
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			a, b, c := open(t, n, addrA), open(t, n, addrB), open(t, n, addrC)
			if dials {
				a.DialTimeout(b.Addr(), time.Hour)
			}
			for _, x := range flood(t, b, c, 100, ms) {
				seqs = append(seqs, x.seq)
			}
		})
		return seqs
	}
	with, without := run(true), run(false)
	for i := range min(len(with), len(without)) {
		if with[i] != without[i] {
			t.Fatalf("what B lost to C changed with A's dial: arrivals %v…, %v…", with[:10], without[:10])
		}
	}
}

// The answer to a dial goes in, too: a block that begins while it is on its way holds it.
func TestDialEndsOnlyOnceUnblocked(t *testing.T) {
	inBubble(t, clustertest.Options{Link: clustertest.Link{Delay: clustertest.Constant(time.Second)}}, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		time.AfterFunc(1500*ms, func() { n.Block(a.Addr()) }) // while the answer is on its way
		time.AfterFunc(10*time.Second, func() { n.Unblock(a.Addr()) })
		start := time.Now()
		c, err := a.DialTimeout(b.Addr(), time.Minute)
		check(t, err)
		if got := time.Since(start); got != 10*time.Second {
			t.Errorf("the dial of a blocked node ended after %v, want 10 s, the end of its block", got)
		}
		c.Close()
	})
}

func TestKillResetsStreams(t *testing.T) {
	for _, silent := range []bool{false, true} {
		o := tenMs
		o.SilentDead = silent
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			a, b := open(t, n, addrA), open(t, n, addrB)
			near, far := stream(t, a, b)
			writing, farWriting := stream(t, a, b)
			start := time.Now()
			var ended [3]time.Duration
			var wg sync.WaitGroup
			wg.Go(func() {
				wantReadError(t, far, net.ErrClosed) // the dead one's own
				ended[0] = time.Since(start)
			})
			check(t, near.SetDeadline(start.Add(time.Minute)))
			check(t, writing.SetDeadline(start.Add(time.Minute)))
			want, wait := error(syscall.ECONNRESET), 10*ms
			if silent {
				want, wait = os.ErrDeadlineExceeded, time.Minute
			}
			wg.Go(func() {
				wantWriteError(t, writing, want)
				ended[1] = time.Since(start)
			})
			wg.Go(func() {
				wantReadError(t, near, want)
				ended[2] = time.Since(start)
			})
			synctest.Wait()
			check(t, n.Kill(addrB))
			wantWriteError(t, farWriting, net.ErrClosed)
			far.Close() // the node's own clean-up tells nobody
			farWriting.Close()
			wg.Wait()
			if ended != [3]time.Duration{0, wait, wait} {
				t.Errorf("silent %v: read of the dead, write and read of the other ended after %v, want 0, %v, %v", silent, ended, wait, wait)
			}
		})
	}
}

// Nobody acknowledges what is written to a host without power, so TCP gives up in the end; a window that
// is full of what the dead had not read is no reason to wait for ever.
func TestStreamToTheSilentDeadEnds(t *testing.T) {
	o := tenMs
	o.SilentDead = true
	for name, write := range map[string]func(*clustertest.Network, net.Conn){
		"after":     func(n *clustertest.Network, c net.Conn) { n.Kill(addrB); c.Write([]byte("hello?")) },
		"in flight": func(n *clustertest.Network, c net.Conn) { c.Write([]byte("hello?")); n.Kill(addrB) },
		"full window": func(n *clustertest.Network, c net.Conn) {
			c.Write(make([]byte, 256<<10))
			time.Sleep(time.Second)
			n.Kill(addrB)
			c.Write([]byte("more"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
				near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
				write(n, near)
				took(t, "giving up", 924600*ms, func() { wantReadError(t, near, syscall.ETIMEDOUT) })
				wantWriteError(t, near, syscall.ETIMEDOUT)
			})
		})
	}
}

// What ended stays so, and the first end counts: nothing that was on its way turns up later.
func TestStreamEndsOnce(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.Cut(only(addrA), only(addrB)))
		check(t, n.SetLink(only(addrB), only(addrA), clustertest.Link{Delay: clustertest.Constant(time.Hour)}))
		near.Write([]byte("never gets there"))
		far.Write([]byte("an hour later"))
		took(t, "giving up", 924600*ms, func() { wantReadError(t, near, syscall.ETIMEDOUT) })
		time.Sleep(time.Hour)
		wantReadError(t, near, syscall.ETIMEDOUT)
	})
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.Cut(only(addrA), only(addrB)))
		near.Write([]byte("never gets there"))
		// After the last attempt, but before it has failed.
		time.AfterFunc(15*time.Minute, func() { n.Kill(addrB) })
		took(t, "the reset", 15*time.Minute+10*ms, func() { wantReadError(t, near, syscall.ECONNRESET) })
	})
}

// A host that has its power again knows nothing of the stream, and says so.
func TestRestartOfTheSilentDeadResetsItsStreams(t *testing.T) {
	o := tenMs
	o.SilentDead = true
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
		near.Write([]byte("hello?"))
		check(t, n.Kill(addrB))
		time.Sleep(time.Second)
		open(t, n, addrB)
		// Attempts at 0, 200, 600, 1400 ms.
		took(t, "the reset", 420*ms, func() { wantReadError(t, near, syscall.ECONNRESET) })
	})
}

func TestResetWaitsForABlockedPeer(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.Block(addrA))
		check(t, n.Kill(addrB))
		time.AfterFunc(time.Second, func() { n.Unblock(addrA) })
		took(t, "a read by the blocked", time.Second, func() { wantReadError(t, near, syscall.ECONNRESET) })
	})
}

// What the other end writes to the dead provokes a reset, again and again until one gets through.
func TestLostResetComesAgain(t *testing.T) {
	for seed := range uint64(20) {
		o := tenMs
		o.Seed = seed
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
			check(t, n.SetLink(everyone, everyone, clustertest.Link{Loss: clustertest.Independent(0.3)}))
			check(t, n.Kill(addrB))
			near.Write([]byte("hello?")) // may fail already
			check(t, near.SetReadDeadline(time.Now().Add(time.Hour)))
			wantReadError(t, near, syscall.ECONNRESET)
		})
	}
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, _ := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.Cut(only(addrB), only(addrA)))
		near.Write([]byte("in flight"))
		check(t, n.Kill(addrB))
		time.AfterFunc(time.Second, func() { n.Heal(everyone, everyone) })
		// Attempts at 0, 200, 600, 1400 ms.
		took(t, "the reset", 1420*ms, func() { wantReadError(t, near, syscall.ECONNRESET) })
	})
}

// What a killed node could not send before never arrives.
func TestKillLosesWhatWasNotSent(t *testing.T) {
	o := tenMs
	o.SilentDead = true
	inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.Split(only(addrA), only(addrB)))
		far.Write([]byte("lost at first"))
		check(t, n.Kill(addrB))
		check(t, n.Heal(only(addrA), only(addrB)))
		check(t, near.SetReadDeadline(time.Now().Add(time.Hour)))
		took(t, "read", time.Hour, func() { wantReadError(t, near, os.ErrDeadlineExceeded) })
	})
}

// Nor does what is left of a stream that was closed before its node was killed.
func TestKilledSendsNothingMore(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		near, far := stream(t, a, b)
		check(t, n.Cut(only(addrA), only(addrB)))
		_, err := near.Write([]byte("from the grave"))
		check(t, err)
		check(t, near.Close())
		time.Sleep(time.Second)
		check(t, n.Kill(addrA))
		check(t, n.Heal(everyone, everyone))
		far.SetReadDeadline(time.Now().Add(time.Hour))
		if got, _ := io.ReadAll(far); len(got) > 0 {
			t.Errorf("%q left a node after it was killed", got)
		}
	})
}

// A stream is in order: the reset arrives after what was sent before it, however long that takes.
func TestKillLetsArriveWhatWasSent(t *testing.T) {
	for seed := range uint64(20) {
		o := clustertest.Options{Seed: seed, Link: clustertest.Link{Delay: clustertest.Uniform(ms, time.Second)}}
		inBubble(t, o, func(t *testing.T, n *clustertest.Network) {
			near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
			near.Write([]byte("sent"))
			check(t, n.Kill(addrA))
			wantRead(t, far, "sent")
			wantReadError(t, far, syscall.ECONNRESET)
		})
	}
	t.Log("so does one that a write provokes later")
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		near, far := stream(t, open(t, n, addrA), open(t, n, addrB))
		check(t, n.SetLink(only(addrA), only(addrB), clustertest.Link{Delay: clustertest.Constant(time.Second)}))
		near.Write([]byte("sent"))
		check(t, n.SetLink(only(addrA), only(addrB), tenMs.Link))
		check(t, n.Cut(only(addrA), only(addrB)))
		check(t, n.Kill(addrA))
		check(t, n.Heal(everyone, everyone))
		far.Write([]byte("hello?"))
		took(t, "the end", time.Second, func() { wantRead(t, far, "sent"); wantReadError(t, far, syscall.ECONNRESET) })
	})
}

// A refusal that is still on its way does not count.
func TestDialTimesOutBeforeItIsRefused(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		took(t, "dial", 15*ms, func() {
			if _, err := open(t, n, addrA).DialTimeout(addrB, 15*ms); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("dial: %v, want a time-out", err)
			}
		})
	})
}

// A dial that times out on its way back leaves no half of a stream behind.
func TestDialThatTimesOutEndsTheOtherHalf(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		check(t, n.SetLink(only(addrB), only(addrA), clustertest.Link{Delay: clustertest.Constant(time.Hour)}))
		if _, err := a.DialTimeout(addrB, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dial: %v, want a time-out", err)
		}
		took(t, "the end", 10*ms, func() { wantReadError(t, <-b.StreamCh(), io.EOF) })
	})
}

func TestStreamsHaveTheirOwnPorts(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		_, far1 := stream(t, a, b)
		_, far2 := stream(t, a, b)
		if far1.RemoteAddr().String() == far2.RemoteAddr().String() {
			t.Errorf("two streams from %v", far1.RemoteAddr())
		}
	})
}

func TestShutdownEndsStreamsAndDials(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		near, far := stream(t, a, b)
		near.Write([]byte("last words"))
		check(t, n.Isolate(addrC))
		time.AfterFunc(time.Second, func() { a.Shutdown() })
		took(t, "a dial", time.Second, func() {
			if _, err := a.DialTimeout(addrC, time.Minute); !errors.Is(err, net.ErrClosed) {
				t.Errorf("dial: %v, want net.ErrClosed", err)
			}
		})
		took(t, "the end", 10*ms, func() { wantRead(t, far, "last words"); wantReadError(t, far, io.EOF) })
		if _, err := a.DialTimeout(addrB, time.Second); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dial after Shutdown: %v, want net.ErrClosed", err)
		}
	})
}

// A node that takes no streams does not stop those who dial it.
func TestFullBacklogDelaysDials(t *testing.T) {
	inBubble(t, tenMs, func(t *testing.T, n *clustertest.Network) {
		a, b := open(t, n, addrA), open(t, n, addrB)
		for range 128 {
			_, err := a.DialTimeout(addrB, time.Second)
			check(t, err)
		}
		if _, err := a.DialTimeout(addrB, time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("dial beyond the backlog: %v, want a time-out", err)
		}
		<-b.StreamCh()
		_, err := a.DialTimeout(addrB, time.Second)
		check(t, err)
	})
}
