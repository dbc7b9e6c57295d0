package check

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// story runs as many checks as results says, "." for a good one and "x" for a bad one, and returns
// what changed after which of them: "2:wedged".
func story(t *testing.T, results string, cfg Config) (changes []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		checks := 0
		look := func(context.Context) error {
			if checks == len(results) {
				cancel()
				return nil
			}
			checks++
			if results[checks-1] == 'x' {
				return errors.New("bad")
			}
			return nil
		}
		Run(ctx, cfg, look, func(h Health) {
			changes = append(changes, string(rune('0'+checks))+":"+h.State.String())
			if want := map[bool]string{true: "bad"}[h.State == Wedged]; h.Reason != want || h.At != time.Now() {
				t.Errorf("%+v", h)
			}
		})
	})
	return changes
}

func TestStates(t *testing.T) {
	for results, want := range map[string][]string{
		"":           {"0:starting"},
		".":          {"0:starting", "1:passing"},
		"x":          {"0:starting"},
		"xx":         {"0:starting"},
		"xx.":        {"0:starting", "3:passing"},
		"xxx":        {"0:starting", "3:wedged"},
		"xxxx.":      {"0:starting", "3:wedged", "5:passing"},
		".xx.xx.":    {"0:starting", "1:passing"},
		".xxxxxx.xx": {"0:starting", "1:passing", "4:wedged", "8:passing"},
	} {
		if got := story(t, results, Config{Interval: time.Second, Limit: time.Second, Tries: 3}); !slices.Equal(got, want) {
			t.Errorf("%s: %v; want %v", results, got, want)
		}
	}
	if got, want := story(t, "x.x", Config{Interval: time.Second, Limit: time.Second, Tries: 1}), []string{"0:starting", "1:wedged", "2:passing", "3:wedged"}; !slices.Equal(got, want) {
		t.Errorf("one try: %v; want %v", got, want)
	}
}

// The first check is at once, the others follow within a tenth of the interval, not in step.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		last, gaps := began, map[time.Duration]bool{}
		n := 0
		Run(ctx, Config{Interval: time.Minute, Limit: 10 * time.Second, Tries: 3}, func(context.Context) error {
			gap := time.Since(last)
			if n == 0 && gap != 0 {
				t.Errorf("the first check came after %v", gap)
			} else if n > 0 && (gap < 54*time.Second || gap > 66*time.Second) {
				t.Errorf("a check came after %v", gap)
			}
			gaps[gap] = true
			if n++; n == 100 {
				cancel()
			}
			time.Sleep(time.Second) // the interval begins with the end of a check
			last = time.Now()
			return nil
		}, func(Health) {})
		if len(gaps) < 50 {
			t.Errorf("%d different gaps of 100", len(gaps))
		}
	})
}

// A check that takes too long has failed.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		Run(ctx, Config{Interval: time.Minute, Limit: 3 * time.Second, Tries: 1}, func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, func(h Health) {
			if h.State == Wedged {
				if h.Reason != "no result within 3s" || time.Since(began) != 3*time.Second {
					t.Errorf("%+v after %v", h, time.Since(began))
				}
				cancel()
			}
		})
	})
}

// The end of the node is no news about the service.
func TestEndIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		Run(ctx, Config{Interval: time.Minute, Limit: time.Minute, Tries: 1}, func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, func(h Health) {
			if h.State != Starting {
				t.Errorf("%+v", h)
			}
		})
	})
}

func TestReason(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"HTTP 503: db down":       "HTTP 503: db down",
		" a\r\n\tb  c ":           "a b c",
		"\x1b[2J\x07\u202e\xff":   "�[2J���",
		strings.Repeat("x", 256):  strings.Repeat("x", 256),
		strings.Repeat("x", 257):  strings.Repeat("x", 253) + "…",
		strings.Repeat("ü", 129):  strings.Repeat("ü", 126) + "…",
		strings.Repeat("w ", 200): strings.Repeat("w ", 126) + "w…",
	} {
		if got := reason(errors.New(in)); got != want {
			t.Errorf("%q: %q; want %q", in, got, want)
		}
	}
}

func FuzzReason(f *testing.F) {
	f.Add("HTTP 503: \x1b[31mdown\n\n<b>")
	f.Add(strings.Repeat("\xff", 300))
	f.Fuzz(func(t *testing.T, text string) {
		got := reason(errors.New(text))
		if len(got) > maxReason || !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		for _, r := range got {
			if r != utf8.RuneError && !unicode.IsPrint(r) {
				t.Errorf("%q is not printable in %q", r, got)
			}
		}
	})
}
