package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/detector/link"
)

// The whole with 200 devices on real sockets, in a process of their own: who falls silent is found,
// with the right cause where the kernel tells it, whoever is back in time has not died, and each
// death delivers one will.
func TestWhole(t *testing.T) {
	o := options{
		devices: 200, every: 500 * time.Millisecond, last: 10 * time.Second, faults: 2,
		report: 200 * time.Millisecond, grace: 4 * time.Second, files: files(),
	}
	var out bytes.Buffer
	r, err := run(t.Context(), o, &screen{out: &out})
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Logf("%+v\n%s", r, tail(out.String(), 8))
	s := r.score
	if r.made != 200 || s.Faults != 24 {
		t.Errorf("%d devices and %d faults, want 200 and two rounds of 12", r.made, s.Faults)
	}
	// Of the first round. What becomes of the second one depends on when the show ends.
	if len(s.Found) < 6 || s.Back < 4 || s.Gone < 4 {
		t.Errorf("%d of 6 silent ones were found, %d of 4 were back, %d of 4 are gone", len(s.Found), s.Back, s.Gone)
	}
	if r.delivered != s.Gone || r.doubles > 0 {
		t.Errorf("%d wills were delivered, %d of them twice, and %d died", r.delivered, r.doubles, s.Gone)
	}
	if runtime.GOOS == "linux" && (s.ByCause["path"] == 0 || s.ByCause["stuck"] == 0) {
		t.Errorf("causes %v, want some path and some stuck", s.ByCause)
	}
	if s.WrongGone > 0 {
		t.Errorf("%d are gone with nothing wrong", s.WrongGone)
	}
	for _, words := range []string{"200 devices, all there for", "wills delivered", "bytes a device and second", "of a core"} {
		if !strings.Contains(out.String(), words) {
			t.Errorf("the show does not say %q", words)
		}
	}
}

func tail(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// An end of ctx, as Ctrl-C is, ends it within a second, also while devices are still being made;
// and a summary is printed.
func TestInterrupted(t *testing.T) {
	for _, after := range []time.Duration{time.Millisecond, 500 * time.Millisecond, 2 * time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		o := options{devices: 300, every: time.Second, faults: 5, report: 100 * time.Millisecond, grace: time.Second, files: files()}
		var out bytes.Buffer
		begin := time.Now()
		_, err := run(ctx, o, &screen{out: &out, live: true})
		late := time.Since(begin) - after
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", after, err)
		}
		if late > 2*time.Second { // the machine may be busy
			t.Errorf("after %v: it ended %v late", after, late)
		}
		if after > 100*time.Millisecond && !strings.Contains(out.String(), "unfounded suspicions") {
			t.Errorf("after %v: no summary in %q", after, out.String())
		}
	}
}

// Where the system allows few files there are fewer devices, and it says so.
func TestFewFiles(t *testing.T) {
	for _, c := range []struct {
		devices, files, want int
		why                  bool
	}{
		{10_000, 20_000, 10_000, false},
		{10_000, 10_064, 10_000, false},
		{10_000, 10_063, 9_999, true},
		{10_000, 1024, 960, true},
		{10_000, 64, 0, true},
		{10_000, 10, 0, true},
	} {
		n, why := affordable(c.devices, c.files)
		if n != c.want || (why != "") != c.why {
			t.Errorf("%d devices with %d files: %d, %q; want %d", c.devices, c.files, n, why, c.want)
		}
	}
	var out bytes.Buffer
	o := options{
		devices: 1000, every: 2 * time.Second, last: time.Second, report: 100 * time.Millisecond, grace: time.Second,
		files: spareFiles + 20,
	}
	r, err := run(t.Context(), o, &screen{out: &out})
	if err != nil || r.made != 20 || !strings.HasPrefix(out.String(), "20 of 1000 devices: ") {
		t.Errorf("%d devices, %v:\n%s", r.made, err, &out)
	}
	o.files = spareFiles
	if _, err := run(t.Context(), o, &screen{out: &out}); err == nil {
		t.Error("a show without devices")
	}
}

func TestParse(t *testing.T) {
	good, err := parse([]string{"-devices", "7", "-every", "3s", "-for", "1m", "-faults", "0"})
	if err != nil || good.devices != 7 || good.every != 3*time.Second || good.last != time.Minute || good.faults != 0 {
		t.Errorf("%+v, %v", good, err)
	}
	if good.grace <= lowFactor*good.every {
		t.Errorf("a grace of %v is shorter than a sleep of %v", good.grace, lowFactor*good.every)
	}
	for _, bad := range []string{
		"-devices 0", "-devices 100001", "-every 1s", "-every 16m", "-for 1ms", "-for 25h", "-for -1s", "-faults -1", "-faults 10001", "more",
	} {
		args := strings.Fields(bad)
		if _, err := parse(args); err == nil || errors.Is(err, flag.ErrHelp) || !strings.Contains(err.Error(), args[0]) {
			t.Errorf("%s: %v, want an error that names it", bad, err)
		}
	}
}

// Each device has a day and a night, and saves a battery that is low.
func TestPlan(t *testing.T) {
	const every = 10 * time.Second
	for n := range 100 {
		var before state
		for since := time.Duration(0); since < time.Hour; since += every / 2 {
			s, promise := plan(n, since, every)
			night := since%(dayBeats*every) >= dayBeats*every/2
			want := every
			switch {
			case s.Battery < lowBattery:
				want = lowFactor * every
			case night:
				want = nightFactor * every
			}
			if promise != want {
				t.Fatalf("device %d after %v, at %d %%, beats every %v, want %v", n, since, s.Battery, promise, want)
			}
			if got, err := decodeState(s.encode()); err != nil || got != s {
				t.Fatalf("%+v is taken for %+v, %v", s, got, err)
			}
			if since > 0 && s.Battery > before.Battery {
				t.Fatalf("device %d is charged after %v", n, since)
			}
			before = s
		}
	}
}

func TestState(t *testing.T) {
	nan := float32(math.NaN())
	for _, bad := range []state{{101, 0}, {0, nan}, {0, minReading - 1}, {0, maxReading + 1}} {
		if _, err := decodeState(bad.encode()); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, err := decodeState(nil); err == nil {
		t.Error("no state was taken")
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(state{50, 20}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeState(b); err == nil && !bytes.Equal(s.encode(), b) {
			t.Errorf("%v is %+v, which is %v", b, s, s.encode())
		}
	})
}

// The table has those in front that deserve a look, and names that others chose do not draw.
func TestTable(t *testing.T) {
	var rows []row
	for i := range 20 {
		rows = append(rows, row{name: nameOf(i), state: link.Up, phi: float64(i) / 10})
	}
	rows[3] = row{name: "\x1b[2Jbad", state: link.Suspect, cause: link.Stuck, phi: 4, carried: state{7, 21}.encode()}
	rows[4] = row{name: "lost", state: link.Away, cause: link.Path, there: 200}
	p := picture{rows: worst(rows), here: map[string]int{"up": 18, "suspect": 1, "away": 1}, center: map[string]int{}}
	if len(p.rows) != worstRows || p.rows[0].name != "lost" || p.rows[2].name != nameOf(19) {
		t.Errorf("the first of %d are %+v", len(p.rows), p.rows[:3])
	}
	text := strings.Join(p.lines(), "\n")
	if strings.Contains(text, "\x1b") {
		t.Errorf("a name draws: %q", text)
	}
	for _, words := range []string{"suspect  stuck", "7 %", "21.0 °C", "> 99", "path"} {
		if !strings.Contains(text, words) {
			t.Errorf("the table has no %q:\n%s", words, text)
		}
	}
	var out bytes.Buffer
	s := screen{out: &out}
	for range 3 {
		s.show(p)
	}
	if strings.Count(out.String(), "\n") != 1 {
		t.Errorf("a picture that does not change is told more than once:\n%s", &out)
	}
}
