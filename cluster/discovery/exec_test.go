package discovery

import (
	"slices"
	"testing"
)

func TestWords(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{"", nil},
		{"  a\tb\n c ", []string{"a", "b", "c"}},
		{`sh -c 'echo "a b"'`, []string{"sh", "-c", `echo "a b"`}},
		{`a "it's" '' ""`, []string{"a", "it's", "", ""}},
		{`C:\bin\seeds.exe "C:\Program Files\x"`, []string{`C:\bin\seeds.exe`, `C:\Program Files\x`}},
		{`a='b c'd`, []string{"a=b cd"}},
		{`'a'"'"'b'`, []string{"a'b"}},
		{`$HOME * ; | &`, []string{"$HOME", "*", ";", "|", "&"}},
		{"\xff\xfe", []string{"\xff\xfe"}},
	} {
		if got, err := words(c.line); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, %v, want %q", c.line, got, err, c.want)
		}
	}
}

func TestCommandIsNotThere(t *testing.T) {
	_, err := parse(t, "exec:no-such-program-here a").Discover(t.Context())
	wantError(t, err, "exec:no-such-program-here a", "not found", "whole path")
}
