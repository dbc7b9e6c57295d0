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
