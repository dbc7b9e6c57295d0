package metrics

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pulsering/pulsering/cluster"
)

// strange names of members, each of which would be a mistake to print as it is.
var strange = []string{
	"", " ", "a\nb", `a"} 1`, `back\slash`, "\x1b[31mred", "<script>alert(1)</script>", "{{ .Name }}", "tab\there", "\x00", "ü", "名",
	"\xff", "\xfe", "a\xc3", strings.Repeat("x", 4096),
}

// withNames is a node that observes members of these names.
func withNames(names ...string) *fake {
	f := &fake{}
	for _, name := range names {
		f.members = append(f.members, cluster.Member{Name: name, State: cluster.StateUp, Observed: true, Phi: 1})
	}
	f.stats.Dropped = map[string]uint64{}
	for _, name := range names {
		f.stats.Dropped[printable(name)] = 1
	}
	return f
}

func TestStrangeNamesCostNoScrape(t *testing.T) {
	families := gather(t, told(withNames(strange...)))
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	read, err := parser.TextToMetricFamilies(&text)
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v", err)
	}
	var names []string
	for _, m := range read["pulsering_member_phi"].GetMetric() {
		names = append(names, m.GetLabel()[0].GetValue())
	}
	for _, name := range strange {
		if want := strings.ToValidUTF8(name, "\uFFFD"); !slices.Contains(names, want) {
			t.Errorf("member %.40q is not there as %.40q", name, want)
		}
	}
	// "\xff" and "\xfe" read the same, and only one of them can be shown.
	if got := testutil.CollectAndCount(told(withNames(strange...)), "pulsering_member_phi"); got != len(strange)-1 {
		t.Errorf("%d members are shown, want %d", got, len(strange)-1)
	}
	if got := value(t, told(withNames(strange...)), "pulsering_member_phi_omitted", ""); got != 1 {
		t.Errorf("%v are said to be left out, want 1", got)
	}
}

func FuzzNames(f *testing.F) {
	for i, name := range strange {
		f.Add(name, strange[len(strange)-1-i])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == b { // names are unique in a cluster
			t.Skip()
		}
		c := told(withNames(a, b))
		shown := testutil.CollectAndCount(c, "pulsering_member_phi")
		if omitted := value(t, c, "pulsering_member_phi_omitted", ""); float64(shown)+omitted != 2 {
			t.Errorf("%d shown and %v left out of 2", shown, omitted)
		}
	})
}
