package cluster_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

// What an explanation tells in JSON is read back as it was.
func TestExplanationJSON(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.UTC)
	for _, e := range []cluster.Explanation{
		{Member: cluster.Member{Name: "a", State: cluster.StateUp, Tags: map[string]string{}}, Observers: []string{}},
		{
			Member: cluster.Member{
				Name: "bee", Addr: "10.0.0.2:7946", Boot: 1<<60 + 1, Epoch: 3, State: cluster.StateSuspect, Phi: 3.25, Observed: true,
				Since: at, LastHeard: at, RTT: 400 * time.Microsecond, Health: cluster.HealthPassing, Tags: map[string]string{"zone": "a"},
			},
			Threshold: 8, StallThreshold: 4.25, Observers: []string{"ant", "cat"}, LastAlive: at, Excused: at.Add(time.Second),
			Path: &cluster.Path{
				Interval: 125 * time.Millisecond, Mean: 126 * time.Millisecond, Deviation: 1500 * time.Microsecond, Loss: 0.0125,
				Heartbeats: 1200, Lost: 7, LastHeartbeat: at, Overdue: at.Add(time.Millisecond), Reaches: at.Add(time.Minute),
			},
			Inquiry: &cluster.Inquiry{
				Since: at, Asked: 5, Unanswered: 3, Phi: 5.5, BeforeStall: 2,
				Doubts: []cluster.Doubt{{By: "ant", Phi: 3.25, BeforeStall: 1}, {By: "cat", Phi: 2.25, BeforeStall: 1}},
			},
			Verdict: &cluster.Verdict{Phi: 8.5, Threshold: 8, By: []string{"ant"}, Exit: "signal: killed"},
		},
	} {
		text, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var back cluster.Explanation
		if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, e) {
			t.Errorf("%s\nis read as %+v, %v\nwant %+v", text, back, err, e)
		}
	}
}
