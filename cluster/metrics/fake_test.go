package metrics

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pulsering/pulsering/cluster"
)

// act is, on systems where processes are measured, what a child of a test does instead of testing.
var act = func() {}

func TestMain(m *testing.M) {
	act()
	goleak.VerifyTestMain(m)
}

// fake is a node that says what a test wants, for what real nodes seldom say: many members, odd names, every number.
type fake struct {
	members   []cluster.Member
	stats     cluster.Stats
	isolated  bool
	threshold float64
	err       error
	events    []cluster.Event
}

func (f *fake) Events(context.Context) iter.Seq[cluster.Event] { return slices.Values(f.events) }
func (f *fake) Isolated() bool                                 { return f.isolated }
func (f *fake) Self() cluster.Member                           { return cluster.Member{Name: "self"} }
func (f *fake) Stats() cluster.Stats                           { return f.stats }
func (f *fake) Err() error                                     { return f.err }

// Members copies as a node does.
func (f *fake) Members() []cluster.Member {
	all := slices.Clone(f.members)
	for i := range all {
		all[i].Tags = maps.Clone(all[i].Tags)
	}
	return all
}

func (f *fake) Explain(string) (cluster.Explanation, bool) {
	return cluster.Explanation{Threshold: f.threshold}, true
}

// observed are n members that the node observes, up, their φ a tenth of their number.
func observed(n int) []cluster.Member {
	all := make([]cluster.Member, n)
	for i := range all {
		all[i] = cluster.Member{
			Name: fmt.Sprintf("member-%04d", i), Addr: "10.0.0.1:7946", Tags: map[string]string{"zone": "a", "role": "worker"},
			State: cluster.StateUp, Observed: true, Phi: float64(i) / 10, LastHeard: time.Unix(1e9, 0),
		}
	}
	return all
}
