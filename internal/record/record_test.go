package record

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/cluster"
)

var noon = time.Date(2026, 7, 1, 12, 0, 0, 123456789, time.FixedZone("", 7200))

func someEvent() cluster.Event {
	return cluster.Event{
		Kind: cluster.Down,
		Member: cluster.Member{Name: "b", Addr: "10.0.0.2:7946", Boot: math.MaxUint64, Tags: map[string]string{"zone": "a"},
			State: cluster.StateDown},
		At: noon, Phi: 9.123456789, Reason: cluster.ReasonSilent, Folded: 2,
	}
}

func TestEventJSON(t *testing.T) {
	out, err := json.Marshal(NewEvent(someEvent()))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"time":"2026-07-01T10:00:00.123456789Z","kind":"down","member":"b","addr":"10.0.0.2:7946",` +
		`"boot":"18446744073709551615","epoch":0,"phi":9.12346,"reason":"silent","tags":{"zone":"a"},"folded":2}`
	if string(out) != want {
		t.Errorf("got  %s\nwant %s", out, want)
	}
	plain := someEvent()
	plain.Folded, plain.Member.Tags, plain.Phi = 0, nil, 0
	line, err := json.Marshal(NewEvent(plain))
	if err != nil || strings.Contains(string(line), "folded") || !strings.Contains(string(line), `"phi":0,"reason":"silent","tags":{}`) {
		t.Errorf("%s, %v", line, err)
	}
}

// What applies to some kinds only is there for those.
func TestEventJSONOfItsKind(t *testing.T) {
	down := someEvent()
	down.Threshold, down.By, down.Member.Epoch = 8.25, []string{"a", "c"}, 3
	line, err := json.Marshal(NewEvent(down))
	if err != nil || !strings.Contains(string(line), `"epoch":3,"phi":9.12346,"threshold":8.25,"by":["a","c"],"reason"`) || strings.Contains(string(line), "since") {
		t.Errorf("down: %s, %v", line, err)
	}
	line, err = json.Marshal(NewEvent(cluster.Event{Kind: cluster.Accused, Member: cluster.Member{Name: "b", Epoch: 1}, At: noon, Since: noon}))
	if err != nil || !strings.Contains(string(line), `"kind":"accused"`) || !strings.Contains(string(line), `"since":"2026-07-01T10:00:00.123456789Z"`) ||
		strings.Contains(string(line), "threshold") || strings.Contains(string(line), `"by"`) {
		t.Errorf("accused: %s, %v", line, err)
	}
	line, err = json.Marshal(Joined(cluster.Member{Name: "b", Addr: "10.0.0.2:7946", Boot: 7}, noon))
	const want = `{"time":"2026-07-01T10:00:00.123456789Z","kind":"joined","member":"b","addr":"10.0.0.2:7946","boot":"7","epoch":0,` +
		`"phi":0,"reason":"joined","tags":{}}`
	if err != nil || string(line) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, line, want)
	}
}

// A member is in JSON what the library makes of it, and the asked node says what it is beside that.
func TestMemberJSON(t *testing.T) {
	m := cluster.Member{Name: "a", Addr: "10.0.0.1:1", Boot: 7, State: cluster.StateUp, Since: noon.UTC(),
		Observed: true, Phi: 0.5, LastHeard: noon.UTC(), RTT: 1500 * time.Microsecond, Tags: map[string]string{}}
	plain, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	for end, line := range map[string]Member{
		`}`:                             {Member: m},
		`,"self":true}`:                 {Member: m, Self: true},
		`,"self":true,"isolated":true}`: {Member: m, Self: true, Isolated: true},
	} {
		got, err := json.Marshal(line)
		if want := strings.TrimSuffix(string(plain), "}") + end; err != nil || string(got) != want {
			t.Errorf("%v\ngot  %s\nwant %s", err, got, want)
		}
		var back Member
		if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, line) {
			t.Errorf("%v\nback %+v\nwant %+v", err, back, line)
		}
	}
	var m2 Member
	if err := json.Unmarshal([]byte(`{"name":7}`), &m2); err == nil {
		t.Error("a name that is a number goes through")
	}
}
