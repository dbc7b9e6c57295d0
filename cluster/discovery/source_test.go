package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulsering/pulsering/cluster"
)

func TestDefaultPort(t *testing.T) {
	if !strings.HasSuffix(cluster.DefaultBind, ":"+DefaultPort) {
		t.Errorf("DefaultPort is %s, cluster binds to %s", DefaultPort, cluster.DefaultBind)
	}
}

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ give, want string }{
		{"10.0.0.1:7000", "10.0.0.1:7000"},
		{"10.0.0.1", "10.0.0.1:7946"},
		{" 10.0.0.1 ", "10.0.0.1:7946"},
		{"::1", "[::1]:7946"},
		{"[::1]", "[::1]:7946"},
		{"[::1]:7000", "[::1]:7000"},
		{"2001:db8::1:7000", "[2001:db8::1:7000]:7946"}, // an address to its end
		{"fe80::1%eth0", "[fe80::1%eth0]:7946"},
		{"[fe80::1%eth0]:1", "[fe80::1%eth0]:1"},
		{"pulsering.example", "pulsering.example:7946"},
		{"pulsering.example.:65535", "pulsering.example.:65535"},
		{"my_container-1:7946", "my_container-1:7946"},
		{"xn--bcher-kva.example", "xn--bcher-kva.example:7946"},
		{"file", "file:7946"}, // hosts may have these names
		{"exec", "exec:7946"},
	} {
		s, err := Parse(c.give)
		if err != nil {
			t.Errorf("%q: %v", c.give, err)
			continue
		}
		if addrs, err := s.Discover(t.Context()); err != nil || !slices.Equal(addrs, []string{c.want}) {
			t.Errorf("%q gives %q, %v, want %q", c.give, addrs, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ give, tells string }{
		{"", "want an address"},
		{"   ", "want an address"},
		{":7946", "has no host"},
		{"10.0.0.1:", `port ""`},
		{"10.0.0.1:0", `port "0"`},
		{"10.0.0.1:+1", `port "+1"`},
		{"10.0.0.1:65536", `port "65536"`},
		{"10.0.0.1:http", `port "http"`},
		{"10.0.0.1:1:2", "too many colons"},
		{"256.0.0.1", "no IPv4 address"},
		{"10.0.0", "no IPv4 address"},
		{"0.0.0.0:7946", "any address"},
		{"[::]:7946", "any address"},
		{"::", "any address"},
		{"224.0.0.1", "group"},
		{"255.255.255.255:1", "group"},
		{"[ff02::1]:7946", "group"},
		{"[10.0.0.1]", "want host"},
		{"[::1", "want host"},
		{"::1]", "want host"},
		{"fe80::1%]", `zone "]"`},
		{"fe80::1%a/b", `zone "a/b"`},
		{"fe80::1%a,b", `zone "a,b"`}, // a list of two
		{"fe80::1%\x1b[2J", `zone "\x1b[2J"`},
		{"a b", `holds ' '`},
		{"a,b", `holds ','`},
		{"a..b", "0 bytes"},
		{"bücher.example", `holds 'ü'`},
		{"a\x1b[2J", `\x1b`},
		{"<script>", `holds '<'`},
		{strings.Repeat("a", 64), "64 bytes"},
		{strings.Repeat("a.", 127) + "ab", "256 bytes"},
		{"http://10.0.0.1", "unknown scheme"},
		{"dns://x", "unknown scheme"},
		{"file:", "no path"},
		{"file://host/etc/seeds", "another host"},
		{"exec:", "no command"},
		{"exec:  ", "no command"},
		{"exec:''", "no command"},
		{"exec:sh -c 'a", "not closed"},
		{"exec:sh\x00", "zero byte"},
		{"dns+srv:", "no name"},
		{"dns+srv://", "no name"},
		{"dns+srv:_x._udp.example", "no name"},
		{"dns+srv://_x._udp.example:53", "port"},
		{"dns+srv://_x._udp.example/path", "more than a name"},
		{"dns+srv://me@_x._udp.example", "more than a name"},
		{"dns+srv://_x._udp.example#x", "more than a name"},
		{"dns+srv://a..b", "0 bytes"},
		{"dns+srv://_x._udp.example?resolvr=1.1.1.1", `"resolvr"`},
		{"dns+srv://_x._udp.example?resolver=1.1.1.1&resolver=1.0.0.1", "twice"},
		{"dns+srv://_x._udp.example?resolver=", "no name server"},
		{"dns+srv://_x._udp.example?resolver=dns.example", "no name server"},
		{"dns+srv://_x._udp.example?resolver=1.1.1.1:0", "no name server"},
		{"dns+srv://_x._udp.example?%zz", "want dns+srv"},
		{"dns+srv://%zz", "want dns+srv"},
	} {
		s, err := Parse(c.give)
		if err == nil {
			t.Errorf("%q is taken, as %T", c.give, s)
			continue
		}
		wantError(t, err, fmt.Sprintf("%q", c.give), c.tells)
		if strings.ContainsAny(err.Error(), "\x1b\x00\n") {
			t.Errorf("the error of %q has control characters", c.give)
		}
	}
}

// TestNamesAreLeft: who joins resolves a plain name, at each try.
func TestNamesAreLeft(t *testing.T) {
	s, err := Parse("no-such-host.invalid")
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := s.(Address); !ok || a != "no-such-host.invalid:7946" {
		t.Errorf("got %#v", s)
	}
}

type fake struct {
	name  string
	addrs []string
	err   error
}

func (f fake) Discover(context.Context) ([]string, error) { return f.addrs, f.err }
func (f fake) String() string                             { return f.name }

func TestAll(t *testing.T) {
	broken := errors.New("broken")
	s := All(
		fake{"one", []string{"a:1", "b:1"}, nil},
		fake{"two", nil, told(fake{name: "two"}, []error{broken})},
		fake{"three", []string{"b:1", "c:1"}, errors.New("half")},
	)
	addrs, err := s.Discover(t.Context())
	if want := []string{"a:1", "b:1", "c:1"}; !slices.Equal(addrs, want) {
		t.Errorf("got %q, want %q", addrs, want)
	}
	wantError(t, err, `"two": broken`, "half")
	if !errors.Is(err, broken) {
		t.Error("the error has lost its cause")
	}
	if got := s.String(); got != "one, two, three" {
		t.Errorf("String is %q", got)
	}
	if addrs, err := All().Discover(t.Context()); len(addrs) != 0 || err != nil {
		t.Errorf("no source gives %q, %v", addrs, err)
	}
}

// meeting is a source that waits for another one.
type meeting struct{ here, there chan struct{} }

func (m meeting) Discover(ctx context.Context) ([]string, error) {
	close(m.here)
	select {
	case <-m.there:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (meeting) String() string { return "meeting" }

func TestAllAsksSideBySide(t *testing.T) {
	a, b := make(chan struct{}), make(chan struct{})
	if _, err := All(meeting{a, b}, meeting{b, a}).Discover(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestParseList(t *testing.T) {
	var many strings.Builder
	for i := range maxAddrs + 1 {
		fmt.Fprintf(&many, "host-%d\n", i)
	}
	for _, c := range []struct {
		name, text string
		want       []string
		tells      string
	}{
		{"empty", "", nil, ""},
		{"comments", "# none\n\n  # none\n\t\n", nil, ""},
		{"lines", "10.0.0.1\n10.0.0.2:7000 # spare\n\n::1", []string{"10.0.0.1:7946", "10.0.0.2:7000", "[::1]:7946"}, ""},
		{"words", "a b\tc", []string{"a:7946", "b:7946", "c:7946"}, ""},
		{"twice", "a\na:7946\n", []string{"a:7946"}, ""},
		{"Windows", "\ufeffa\r\nb\r\n", []string{"a:7946", "b:7946"}, ""},
		{"a bad line", "a\nb:x\nc", []string{"a:7946", "c:7946"}, `line 2: "b:x": has port "x"`},
		{"control characters", "a\n\x1b[31mb\n", []string{"a:7946"}, `line 2: "\x1b[31mb"`},
		{"UTF-16", "\xff\xfea\x00", nil, "line 1"},
		{"many", many.String(), nil, "more than 256"},
	} {
		addrs, errs := parseList([]byte(c.text))
		if c.name == "many" {
			if len(addrs) != maxAddrs || addrs[0] != "host-0:7946" {
				t.Errorf("%s: %d addresses", c.name, len(addrs))
			}
		} else if !slices.Equal(addrs, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, addrs, c.want)
		}
		err := told(fake{name: "x"}, errs)
		if c.tells == "" && err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if c.tells != "" {
			wantError(t, err, c.tells)
		}
	}
}

func TestErrorsAreBounded(t *testing.T) {
	_, errs := parseList([]byte(strings.Repeat("a:x ", 10000) + strings.Repeat("x", 100000)))
	err := told(fake{name: "x"}, errs)
	wantError(t, err, "and 9997 more")
	if n := len(err.Error()); n > 2000 {
		t.Errorf("the error has %d bytes", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10.0.0.1:7946", "[::1]:1", "fe80::1%e", "a.example", "file:x", "exec:a 'b c' \"d\"", "dns+srv://_x._udp.example?resolver=[::1]:53"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		source, err := Parse(s)
		if err != nil {
			return
		}
		if a, ok := source.(Address); ok {
			if b, err := ParseAddress(string(a)); err != nil || a != b {
				t.Fatalf("%q is %q, which is %q, %v", s, a, b, err)
			}
		}
	})
}

func FuzzAddressList(f *testing.F) {
	f.Add([]byte("10.0.0.1\n# none\na:1 [::1]:2\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		addrs, _ := parseList(text)
		if len(addrs) > maxAddrs {
			t.Fatalf("%d addresses", len(addrs))
		}
		again, errs := parseList([]byte(strings.Join(addrs, "\n")))
		if !slices.Equal(addrs, again) || errs != nil {
			t.Fatalf("%q becomes %q, %v", addrs, again, errs)
		}
	})
}
