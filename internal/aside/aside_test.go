package aside

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestQueueDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done []int
		var lost []int
		stuck := make(chan struct{})
		q := Queue{Max: 3, Lost: func(n int) { lost = append(lost, n) }}
		q.Do(func() { <-stuck })
		synctest.Wait() // it is being done, and no more among those that wait
		for i := range 5 {
			if got := q.Do(func() { done = append(done, i) }); got != (i < 3) {
				t.Errorf("Do %d: %v", i, got)
			}
		}
		began := time.Now()
		q.Wait(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Wait took %v while stuck, want 1s", waited)
		}
		close(stuck)
		q.Wait(time.Second)
		if waited := time.Since(began); waited != time.Second {
			t.Errorf("Wait took %v more, want none", waited-time.Second)
		}
		if !slices.Equal(done, []int{0, 1, 2}) || !slices.Equal(lost, []int{2}) {
			t.Errorf("done %v, lost %v, want [0 1 2] and [2]", done, lost)
		}
		q.Do(func() { done = append(done, 9) }) // it begins anew
		q.Wait(time.Second)
		q.Wait(time.Second) // nothing to do
		if !slices.Equal(done, []int{0, 1, 2, 9}) || !slices.Equal(lost, []int{2}) {
			t.Errorf("done %v, lost %v, want [0 1 2 9] and [2]", done, lost)
		}
	})
}
