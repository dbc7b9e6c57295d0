package cluster_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

func TestMemberJSON(t *testing.T) {
	at := time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200))
	m := cluster.Member{Name: "a", Addr: "10.0.0.1:1", Boot: math.MaxUint64, Epoch: 2, State: cluster.StateSuspect, Since: at, Observed: true,
		Phi: 0.5, LastHeard: at, RTT: 1500 * time.Microsecond, Tags: map[string]string{"zone": "a"}}
	const want = `{"name":"a","addr":"10.0.0.1:1","boot":"18446744073709551615","epoch":2,"state":"suspect",` +
		`"since":"2026-07-01T10:00:00.123456789Z","observed":true,"phi":0.5,"last_heard":"2026-07-01T10:00:00.123456789Z",` +
		`"rtt_ms":1.5,"tags":{"zone":"a"}}`
	line, err := json.Marshal(m)
	if err != nil || string(line) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, line, want)
	}
	var back cluster.Member
	m.Since, m.LastHeard = at.UTC(), at.UTC()
	if err := json.Unmarshal(line, &back); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%v\nback %+v\nwant %+v", err, back, m)
	}

	line, err = json.Marshal([]cluster.Member{{Name: "a", Phi: math.Inf(1)}})
	const bare = `[{"name":"a","addr":"","boot":"0","epoch":0,"state":"unknown","observed":false,"phi":1.7976931348623157e+308,"tags":{}}]`
	if err != nil || string(line) != bare {
		t.Errorf("%v\ngot  %s\nwant %s", err, line, bare)
	}
}

// States and kinds are written by name, and read back.
func TestNamesInText(t *testing.T) {
	type both struct {
		State cluster.State
		Kind  cluster.Kind
		Count map[cluster.Kind]int
	}
	given := both{cluster.StateLeft, cluster.Isolated, map[cluster.Kind]int{cluster.Down: 2}}
	line, err := json.Marshal(given)
	if want := `{"State":"left","Kind":"isolated","Count":{"down":2}}`; err != nil || string(line) != want {
		t.Errorf("%s, %v; want %s", line, err, want)
	}
	var back both
	if err := json.Unmarshal(line, &back); err != nil || !reflect.DeepEqual(back, given) {
		t.Errorf("%+v, %v; want %+v", back, err, given)
	}
	for kind := cluster.Kind(0); !strings.HasPrefix(kind.String(), "Kind("); kind++ {
		var back cluster.Kind
		if err := back.UnmarshalText([]byte(kind.String())); err != nil || back != kind {
			t.Errorf("%v reads back as %v, %v", kind, back, err)
		}
	}
	for _, wrong := range []string{`{"State":"sideways"}`, `{"Kind":"sideways"}`} {
		if err := json.Unmarshal([]byte(wrong), &back); err == nil || !strings.Contains(err.Error(), `"sideways"`) || !strings.Contains(err.Error(), "suspect") {
			t.Errorf("%s: %v; want an error that names the value and what there is", wrong, err)
		}
	}
}

// Member finds what Members lists, and Done tells of the end.
func TestMemberAndDone(t *testing.T) {
	inTown(t, clustertest.Options{Seed: 1}, func(t *testing.T, w *town) {
		a := w.start("a", "")
		b := w.start("b", "")
		time.Sleep(5 * time.Second)
		for _, want := range a.Members() {
			got, ok := a.Member(want.Name)
			if got.Phi, want.Phi = 0, 0; !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("Member(%q): %+v, %v; Members has %+v", want.Name, got, ok, want)
			}
		}
		if m, ok := a.Member("nobody"); ok || m.Name != "" {
			t.Errorf("Member of an unknown name: %+v, %v", m, ok)
		}
		select {
		case <-b.Done():
			t.Error("Done while the node runs")
		default:
		}
		b.Close()
		<-b.Done()
		if m, ok := b.Member("a"); !ok || m.State != cluster.StateUp {
			t.Errorf("after Close: %+v, %v", m, ok)
		}
	})
}

// Validate says what Join would, and opens nothing.
func TestValidate(t *testing.T) {
	if err := (cluster.Config{Name: "a"}).Validate(); err != nil {
		t.Error(err)
	}
	wrong := cluster.Config{Name: "a b", Bind: "here:1", Observers: 3}
	_, joined := cluster.Join(t.Context(), wrong)
	if err := wrong.Validate(); err == nil || err.Error() != joined.Error() {
		t.Errorf("Validate says %v, Join %v", err, joined)
	}
}
