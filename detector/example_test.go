package detector_test

import (
	"context"
	"fmt"
	"time"

	"github.com/pulsering/pulsering/detector"
)

func Example() {
	d, err := detector.New[string](detector.Config{
		Interval:        20 * time.Millisecond,
		FalseAlarmEvery: 24 * time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	events := d.Events(context.Background())

	if err := d.Watch("worker-1", 0); err != nil {
		fmt.Println(err)
		return
	}
	d.HeartbeatSeq("worker-1", 1) // usually where packets are read
	for e := range events {
		if e.To == detector.Down { // silent since
			fmt.Println(e.ID, "is", e.To)
			break
		}
	}
	// Output: worker-1 is down
}

// A gateway lists its peers: who is there, in which state since when, and when each was last heard.
func ExampleDetector_All() {
	d, err := detector.New[string](detector.Config{Interval: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	for _, id := range []string{"sensor-1", "sensor-2", "sensor-3"} {
		if err := d.Watch(id, 0); err != nil {
			fmt.Println(err)
			return
		}
	}
	d.Heartbeat("sensor-1")
	d.Heartbeat("sensor-3")

	for id, s := range d.All() {
		if s.LastHeard.IsZero() {
			fmt.Println(id, "is", s.State, "and was not heard yet")
		} else {
			fmt.Printf("%s is %v, φ = %.1f, heard within the last minute: %v\n", id, s.State, s.Phi, time.Since(s.LastHeard) < time.Minute)
		}
	}
	// Unordered output:
	// sensor-1 is up, φ = 0.0, heard within the last minute: true
	// sensor-2 is unknown and was not heard yet
	// sensor-3 is up, φ = 0.0, heard within the last minute: true
}
