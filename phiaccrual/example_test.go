package phiaccrual_test

import (
	"fmt"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// A peer promises a heartbeat every second, and its crash is to be noticed with
// at most one false alarm a day.
func Example() {
	const interval = time.Second
	peer, err := phiaccrual.New(phiaccrual.Config{Interval: interval})
	if err != nil {
		fmt.Println(err)
		return
	}
	phi := phiaccrual.PhiFor(24*time.Hour, interval)

	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for seq := range uint64(1000) {
		peer.HeartbeatSeq(at, seq)
		at = at.Add(interval)
	}
	last := at.Add(-interval)

	fmt.Printf("threshold: φ = %.2f\n", phi)
	fmt.Printf("half a second late: φ = %.1f\n", peer.Phi(last.Add(1500*time.Millisecond)))
	fmt.Printf("three seconds silent: φ = %.1f\n", peer.Phi(last.Add(3*time.Second)))
	fmt.Printf("suspected %v after the last heartbeat\n", peer.Reaches(phi).Sub(last).Round(10*time.Millisecond))
	fmt.Printf("evidence up to φ = %.1f\n", peer.Evidence())
	// Output:
	// threshold: φ = 4.94
	// half a second late: φ = 4.1
	// three seconds silent: φ = 6.0
	// suspected 2.04s after the last heartbeat
	// evidence up to φ = 3.0
}
