package level

import (
	"encoding/json"
	"math"
	"testing"
)

// φ can be anything; it is JSON all the same, and reads back as near as JSON gets.
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
		line, err := json.Marshal(Phi(test.phi))
		if err != nil || string(line) != test.json {
			t.Errorf("%v: %s, %v; want %s", test.phi, line, err, test.json)
		}
		var back Phi
		if err := json.Unmarshal(line, &back); err != nil || float64(back) != test.back {
			t.Errorf("%v reads back as %v, %v", test.phi, back, err)
		}
	}
}

func TestPhiText(t *testing.T) {
	for phi, want := range map[Phi]string{0: "0.0", 1.94: "1.9", 99.95: "100.0", 123.4: "123", 1e9: "1e+09", Phi(math.Inf(1)): "+Inf"} {
		if got := phi.String(); got != want {
			t.Errorf("%v is written %q, want %q", float64(phi), got, want)
		}
	}
}
