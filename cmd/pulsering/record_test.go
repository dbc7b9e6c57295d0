package main

import (
	"encoding/json"
	"math"
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
	var out strings.Builder
	if err := printEvent(&out, newEventLine(someEvent()), true, false); err != nil {
		t.Fatal(err)
	}
	const want = `{"time":"2026-07-01T10:00:00.123456789Z","kind":"down","member":"b","addr":"10.0.0.2:7946",` +
		`"boot":"18446744073709551615","phi":9.12346,"reason":"silent","tags":{"zone":"a"},"folded":2}` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
	plain := someEvent()
	plain.Folded, plain.Member.Tags, plain.Phi = 0, nil, 0
	line, err := json.Marshal(newEventLine(plain))
	if err != nil || strings.Contains(string(line), "folded") || !strings.Contains(string(line), `"phi":0,"reason":"silent","tags":{}`) {
		t.Errorf("%s, %v", line, err)
	}
}

// φ can be anything; a line is JSON all the same, and reads back as near as JSON gets.
func TestPhiJSON(t *testing.T) {
	for _, test := range []struct {
		phi  float64
		json string
		back float64
	}{
		{0, "0", 0},
		{0.1, "0.1", 0.1},
		{123456.789, "123457", 123457},
		{2e7, "2e+07", 2e7},
		{1e-24, "1e-24", 1e-24},
		{math.Inf(1), "1.7976931348623157e+308", math.MaxFloat64},
		{math.MaxFloat64, "1.79769e+308", 1.79769e308},
		{math.NaN(), "null", 0},
	} {
		line, err := json.Marshal(phi(test.phi))
		if err != nil || string(line) != test.json {
			t.Errorf("%v: %s, %v; want %s", test.phi, line, err, test.json)
		}
		var back phi
		if err := json.Unmarshal(line, &back); err != nil || float64(back) != test.back {
			t.Errorf("%v reads back as %v, %v", test.phi, back, err)
		}
	}
}

func TestMemberJSON(t *testing.T) {
	line, err := json.Marshal(newMemberLine(cluster.Member{Name: "a", Addr: "10.0.0.1:1", Boot: 7, State: cluster.StateUp, Since: noon,
		Observed: true, Phi: 0.5, LastHeard: noon, RTT: 1500 * time.Microsecond}, true))
	const want = `{"name":"a","addr":"10.0.0.1:1","boot":"7","self":true,"state":"up","since":"2026-07-01T10:00:00.123456789Z",` +
		`"observed":true,"phi":0.5,"last_heard":"2026-07-01T10:00:00.123456789Z","rtt_ms":1.5,"tags":{}}`
	if err != nil || string(line) != want {
		t.Errorf("%v\ngot  %s\nwant %s", err, line, want)
	}
	line, err = json.Marshal(newMemberLine(cluster.Member{Name: "a"}, false))
	if err != nil || strings.Contains(string(line), "last_heard") || strings.Contains(string(line), "0001") {
		t.Errorf("zero times show: %s, %v", line, err)
	}
}
