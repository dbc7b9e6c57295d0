package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster/discovery"
)

// What --join takes is what package discovery reads, one or a list of them.
func TestJoinIsAsDiscoveryReads(t *testing.T) {
	for _, spec := range []string{
		"a", "10.0.0.1:1", "::1", "fe80::1%eth0", " a ", "a,b", "fe80::1%eth0,b",
		"dns+srv://_pulsering._udp.example", "DNS+SRV://_pulsering._udp.example",
		"Dns+Srv://x?resolver=10.0.0.1", "file:/run/seeds", "FILE:/run/seeds", " file:/run/seeds",
		"file:/run/a, b", "file:a,b", "file://localhost/run/seeds",
		"exec:seeds a,b", "Exec:sh -c 'echo a, b'", "exec:,",
		"", "file:", "exec:", "EXEC: ", "exec:sh -c 'a", "dns+srv://", "dns+srv:x", "dns+srv://a,b",
		"dns://x", "http://a", "file://host/seeds",
		"a:0", "a b", "224.0.0.1",
	} {
		var got seeds
		err := parseSeeds(spec, nil, &got)
		want, wrong := discovery.Parse(spec)
		if wrong != nil && strings.Contains(spec, ",") {
			continue // a list: see below
		}
		if (err == nil) != (wrong == nil) {
			t.Errorf("%q: %v; discovery: %v", spec, err, wrong)
			continue
		}
		if err != nil {
			if strings.Contains(err.Error(), "discovery") {
				t.Errorf("%q: the error names a package: %v", spec, err)
			}
			continue
		}
		_, is := want.(discovery.Address)
		addresses, lookups := got.addresses(), got.lookups()
		if !is {
			addresses, lookups = lookups, addresses
		}
		if !slices.Equal(addresses, []string{want.String()}) || len(lookups) > 0 {
			t.Errorf("%q: addresses %q, lookups %q; want %q", spec, got.addresses(), got.lookups(), want)
		}
	}
}

func TestJoinList(t *testing.T) {
	for list, want := range map[string]string{
		"fe80::1%eth0,b": "[fe80::1%eth0]:7946 b:7946 |",
		"a, DNS+SRV://x ,a:7946,dns+srv://y?resolver=10.0.0.1": "a:7946 | DNS+SRV://x dns+srv://y?resolver=10.0.0.1",
		"dns+srv://x?resolver=fe80::1%25eth0,b":                "b:7946 | dns+srv://x?resolver=fe80::1%25eth0",
		"FILE:/a,b":                                            "| FILE:/a,b",
	} {
		var s seeds
		err := parseSeeds(list, nil, &s)
		got := strings.TrimSpace(strings.Join(slices.Concat(s.addresses(), []string{"|"}, s.lookups()), " "))
		if err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", list, got, err, want)
		}
	}
	for list, want := range map[string]string{
		"a,exec:b":          `"exec:b": no list takes it`,
		"a, FILE:/b":        `"FILE:/b": no list takes it`,
		"a,file:":           `"file:": no list takes it`,
		"dns+srv://x,EXEC:": `"EXEC:": no list takes it`,
		"a,,b":              `"": want an address`,
		"exec:sh -c 'a, b":  "is not closed",
	} {
		if err := parseSeeds(list, nil, new(seeds)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", list, err, want)
		}
	}
}
