package link

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// wedged is a connection whose other end reads nothing any more.
type wedged struct{ *inMemory }

func (w wedged) Write(Frame) error {
	<-w.over
	return context.Canceled
}

// Close waits for those that do not take its goodbye: for many at a time, but not for all, as each takes a goroutine.
func TestCloseWaitsForManyAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := NewServer(Config{})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 3 * partingAtOnce {
			m := newInMemory()
			wg.Go(func() {
				if i%2 == 0 {
					s.Serve(context.Background(), wedged{m})
				} else {
					s.Serve(context.Background(), m)
				}
			})
		}
		synctest.Wait()
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took < 2*closeWait || took > 4*closeWait {
			t.Errorf("%d connections, of which half are wedged, are closed after %v", 3*partingAtOnce, took)
		}
		wg.Wait()
	})
}
