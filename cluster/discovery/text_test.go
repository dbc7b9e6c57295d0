package discovery

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestHeldUp: the system holds an ask up, and nobody who asks.
func TestHeldUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var begun atomic.Int32
		s := newTextSource("file:/net/seeds", func(context.Context) ([]byte, error) {
			begun.Add(1)
			<-release
			return []byte("a"), nil
		})
		ask := func(ctx context.Context) (took time.Duration, err error) {
			began := time.Now()
			_, err = s.Discover(ctx)
			return time.Since(began), err
		}

		t.Log("who asks has no more time")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took, err := ask(ctx); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v after %v", err, took)
		}
		t.Log("the next ones are told so at once, and begin nothing")
		for range 2 {
			took, err := ask(t.Context())
			wantError(t, err, "file:/net/seeds", "has not ended")
			if took != 0 || begun.Load() != 1 {
				t.Errorf("after %v, %d have begun", took, begun.Load())
			}
		}
		t.Log("it goes on, and they ask again")
		close(release)
		synctest.Wait()
		wantAddrs(t, s, "a:7946")

		t.Log("the source's own limit")
		release = make(chan struct{})
		took, err := ask(t.Context())
		wantError(t, err, "took longer than 8s")
		if took != limit || begun.Load() != 3 {
			t.Errorf("after %v, %d have begun", took, begun.Load())
		}
		close(release)
	})
}

// TestSideBySide: those who ask at the same time all get an answer, one after the other.
func TestSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := 0
		s := newTextSource("file:x", func(context.Context) ([]byte, error) {
			busy++
			defer func() { busy-- }()
			time.Sleep(time.Second)
			if busy > 1 {
				return nil, errors.New("two at a time")
			}
			return []byte("a"), nil
		})
		var asked sync.WaitGroup
		for range 5 {
			asked.Go(func() { wantAddrs(t, s, "a:7946") })
		}
		asked.Wait()

		t.Log("who waits for the others has no more time either")
		asked.Go(func() { wantAddrs(t, s, "a:7946") })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Discover(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		asked.Wait()
	})
}
