package cluster_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A member whose service is wedged is up, and everybody sees that it is wedged.
func TestHealth(t *testing.T) {
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.startAll(5)
		n := w.nodes["n02"]
		for _, h := range []cluster.Health{cluster.HealthPassing, cluster.HealthWedged, cluster.HealthUnknown, cluster.HealthWedged} {
			began := time.Now()
			if err := n.SetHealth(t.Context(), h); err != nil {
				t.Fatal(err)
			}
			w.within(2*time.Second, "all see "+h.String(), func() bool {
				for _, o := range w.nodes {
					if m, _ := o.Member("n02"); m.Health != h || m.State != cluster.StateUp {
						return false
					}
				}
				return true
			})
			time.Sleep(10 * time.Second)
			for name, o := range w.nodes {
				told := o.since(began)
				if name != "n02" && (len(told) != 1 || told[0].Kind != cluster.Updated || told[0].Reason != cluster.ReasonHealth) {
					t.Errorf("%s was told %v", name, told)
				}
			}
		}
		if err := n.SetTags(t.Context(), map[string]string{"zone": "a"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		m, _ := w.nodes["n00"].Member("n02")
		if m.Health != cluster.HealthWedged || m.Tags["zone"] != "a" {
			t.Errorf("tags took the health with them: %+v", m)
		}
		text, err := json.Marshal(m)
		var back cluster.Member
		if err := errors.Join(err, json.Unmarshal(text, &back)); err != nil || back.Health != m.Health || !strings.Contains(string(text), `"health":"wedged"`) {
			t.Errorf("%s: %v", text, err)
		}
		if err := n.SetHealth(t.Context(), 3); !errors.Is(err, cluster.ErrConfig) {
			t.Errorf("health 3: %v", err)
		}
	})
}
