package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
)

// hostile is what a member may be called that would play with a terminal, in UTF-8.
const hostile = "\u009b31mX\x7f\u0085\u202e\u2066\u00ad\U000e0041é"

func TestPrintableJSON(t *testing.T) {
	for in, want := range map[string]string{
		"":                      "",
		"[1, \"a\"]\n":          "[1, \"a\"]\n",
		`"é φ 中 😀"`:             `"é φ 中 😀"`,
		"\"" + hostile + "\"":   `"\u009b31mX\u007f\u0085\u202e\u2066\u00ad\udb40\udc41é"`,
		"\"\xc2\x9b\x9b\xff\"":  `"\u009b\ufffd\ufffd"`,
		"{\"\u009b\":\"\x7f\"}": `{"\u009b":"\u007f"}`,
	} {
		if got := string(printableJSON([]byte(in))); got != want {
			t.Errorf("%q: %s; want %s", in, got, want)
		}
	}
}

// It is the same JSON, with nothing in it that is not printable.
func FuzzPrintableJSON(f *testing.F) {
	for _, seed := range []string{`{"a":["b",1]}`, "\"" + hostile + "\"", "\"\xff\x9b\"", "[\n]", `"\u009b"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if !json.Valid(in) {
			return
		}
		out := printableJSON(in)
		var was, is any
		if err := json.Unmarshal(in, &was); err != nil {
			return // a number that Go has no room for
		}
		if err := json.Unmarshal(out, &is); err != nil || !reflect.DeepEqual(was, is) {
			t.Errorf("%q became %q, %v", in, out, err)
		}
		for _, r := range string(out) {
			if r == utf8.RuneError || !unicode.IsPrint(r) && !strings.ContainsRune(" \t\r\n", r) {
				t.Errorf("%q is in %q", r, out)
			}
		}
	})
}

// Whatever command prints the JSON of a node, or makes its own, nothing in it is for the terminal.
func TestJSONOutputIsPrintable(t *testing.T) {
	lonely(t)
	r := newActingRing()
	r.members[1].Name, r.members[1].Tags = "b", map[string]string{"k": hostile}
	addr, _ := serve(t, r)
	outputs := map[string]string{}
	for _, args := range [][]string{{"members"}, {"explain", "b"}} {
		code, out, stderr := pulsering(t, append(args, "--json", "--http", addr)...)
		if code != 0 {
			t.Errorf("%v: %d %q", args, code, stderr)
		}
		outputs[args[0]] = out
	}
	line, err := json.Marshal(newEventLine(cluster.Event{Kind: cluster.Up, Member: r.members[1]}))
	if err != nil {
		t.Fatal(err)
	}
	raw := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.URL.Path == "/v1/events" {
			w.Write(append(line, '\n'))
			return
		}
		tag, _ := json.Marshal(hostile)
		w.Write([]byte(`{"keys":[],"members":[{"member":` + string(tag) + `}]}`))
	}))
	defer raw.Close()
	raw.Config.ErrorLog = hclog.NewNullLogger().StandardLogger(nil)
	for _, args := range [][]string{{"events"}, {"keys", "list"}} {
		_, outputs[args[0]], _ = pulsering(t, append(args, "--json", "--http", raw.Listener.Addr().String())...)
	}
	own, err := lineBytes(newEventLine(cluster.Event{Kind: cluster.Up, Member: r.members[1]}), true, false)
	outputs["node"] = string(own)
	_, told := hookData("a")(cluster.Event{Kind: cluster.Up, Member: r.members[1]}, 0)
	outputs["a hook"] = string(told)
	for name, out := range outputs {
		if err != nil || !strings.Contains(out, `\u009b31mX\u007f\u0085\u202e`) || harmless(strings.ReplaceAll(out, "\n", "")) != strings.ReplaceAll(out, "\n", "") {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
}

// Errors quote what others said, and have lines.
func TestComplaintsAreHarmless(t *testing.T) {
	var said output
	complain(console{err: &said}, errMisused("remote said \x1b]0;x\a\u009b\nis it there?"))
	if got, want := said.String(), "pulsering: error: remote said \\x1b]0;x\\a\\u009b\nis it there?\n"; got != want {
		t.Errorf("%q; want %q", got, want)
	}
}

func TestTopsTitleIsPrintable(t *testing.T) {
	model := newTop(false, noon)
	model.live.self.Name = "\a\x1b]0;own" + hostile
	if title := model.View().WindowTitle; harmless(title) != title {
		t.Errorf("%q", title)
	}
}
