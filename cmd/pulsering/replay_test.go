package main

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pulsering/pulsering/phiaccrual"
)

// tableOf writes n heartbeats, one a second, each of which is lost with a probability.
func tableOf(n int, lost float64, format string) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range n {
		if r.Float64() >= lost {
			fmt.Fprintf(&b, format+"\n", float64(i)+0.01*r.Float64(), i)
		}
	}
	return b.String()
}

func TestReadRecording(t *testing.T) {
	ten := func(line func(i int) string) string {
		var lines []string
		for i := range 10 {
			lines = append(lines, line(i))
		}
		return strings.Join(lines, "\n")
	}
	day := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		text     string
		unit     time.Duration
		numbered bool
	}{
		"seconds":           {ten(func(i int) string { return fmt.Sprint(i) }), time.Second, false},
		"milliseconds":      {ten(func(i int) string { return fmt.Sprint(1000 * i) }), time.Millisecond, false},
		"since 1970":        {ten(func(i int) string { return fmt.Sprintf("%d.000000", 1782900000+i) }), time.Second, false},
		"before zero":       {ten(func(i int) string { return fmt.Sprint(i - 5) }), time.Second, false},
		"numbers":           {ten(func(i int) string { return fmt.Sprintf("%d,%d", i, i+7) }), time.Second, true},
		"semicolons":        {ten(func(i int) string { return fmt.Sprintf(" %d ; %d ", i, i) }), time.Second, true},
		"tabs, quotes, CRs": {"time\tseq\r\n" + ten(func(i int) string { return fmt.Sprintf("\"%d\"\t\"%d\"\r", i, i) }), time.Second, true},
		"columns by name":   {"seq,what,TIME\n" + ten(func(i int) string { return fmt.Sprintf("%d,x,%d", i, i) }), time.Second, true},
		"a mark, comments":  {"\ufefftime\n\n# day\n" + ten(func(i int) string { return fmt.Sprint(i) }), time.Second, false},
		"dates":             {ten(func(i int) string { return day.Add(time.Duration(i) * time.Second).Format(time.RFC3339Nano) }), time.Second, false},
		"dates and numbers": {"arrived,number\n" + ten(func(i int) string {
			return day.Add(time.Duration(i)*time.Second).Format("2006-01-02 15:04:05") + fmt.Sprintf(",%d", i)
		}), time.Second, true},
	} {
		rec, err := readRecording(strings.NewReader(test.text), test.unit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(rec.arrivals) != 10 || rec.numbered != test.numbered || rec.interval() != time.Second || rec.arrivals[0] != (arrival{}) ||
			rec.arrivals[9] != (arrival{9 * time.Second, 9}) {
			t.Errorf("%s: %+v", name, rec)
		}
	}
}

// What is wrong with a file is said with its line.
func TestBadRecordings(t *testing.T) {
	good := strings.TrimSuffix(tableOf(10, 0, "%f,%d"), "\n")
	for name, test := range map[string]struct{ text, want string }{
		"nothing":           {"", "it has 0 heartbeats: want at least 10"},
		"a header alone":    {"time,seq\n", "it has 0 heartbeats"},
		"few":               {"1\n2\n3\n", "it has 3 heartbeats"},
		"prose":             {"hello, world\n", `line 1: "hello" is neither a time nor a line of names`},
		"no time":           {good + "\nsoon,11\n", `line 11: "soon" is no time`},
		"NaN":               {good + "\nNaN,11\n", `line 11: "NaN" is no time`},
		"infinite":          {good + "\n+Inf,11\n", `line 11: "+Inf" is out of range`},
		"huge":              {good + "\n1e300,11\n", `line 11: "1e300" is out of range`},
		"late":              {good + "\n1e10,11\n", `line 11: "1e10" is more than ten years after the first`},
		"no number":         {good + "\n10,x\n", `line 11: "x" is no sequence number`},
		"a negative number": {good + "\n10,-1\n", `line 11: "-1" is no sequence number`},
		"a field too few":   {good + "\n10\n", "line 11: it has 1 field: want 2"},
		"backwards":         {good + "\n3,11\n", "line 11: \"3\" is"},
		"a date":            {good + "\n2026-07-01T12:00:00Z,11\n", "line 11: \"2026"},
		"another start":     {tableOf(2000, 0, "%f,%d") + "2001,3\n", "line 2001: number 3 comes after 1999: has the sender started anew"},
		"a leap":            {good + "\n10,99999999999\n", "line 11: number 99999999999 comes after 9"},
		"a long line":       {good + "\n" + strings.Repeat("1", 5000), "line 11: it has more than 1024 bytes"},
		"escapes":           {"\x1b[2J\n", `line 1: "\x1b[2J" is neither`},
	} {
		_, err := readRecording(strings.NewReader(test.text), time.Second)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%s: %v", name, err)
		}
	}
	dates := strings.Repeat("2026-07-01T12:00:00Z\n", 9)
	if _, err := readRecording(strings.NewReader(dates+"12\n"), time.Second); err == nil || !strings.Contains(err.Error(), `line 10: "12" is no date`) {
		t.Errorf("a number among dates: %v", err)
	}
}

func FuzzReadRecording(f *testing.F) {
	f.Add(tableOf(20, 0.1, "%f,%d"), true)
	f.Add("time\n1\n2\n2\n", false)
	f.Add("2026-07-01T12:00:00Z;1\n", true)
	f.Add("-1e11\n1e11\n,\n", false)
	f.Fuzz(func(t *testing.T, text string, ms bool) {
		unit := time.Second
		if ms {
			unit = time.Millisecond
		}
		rec, err := readRecording(strings.NewReader(text), unit)
		if err != nil {
			return
		}
		for i, a := range rec.arrivals {
			if a.at < 0 || i > 0 && a.at < rec.arrivals[i-1].at || a.seq >= mostSent {
				t.Fatalf("%+v", a)
			}
		}
		interval := rec.interval()
		if interval < time.Microsecond || interval > 24*time.Hour || len(rec.trace(interval).Beats) > 1e5 {
			return
		}
		if c, err := newCurve(rec, phiaccrual.Config{Interval: interval}, 50); err == nil {
			for _, line := range c.chart(5, 5, false) {
				if n := len([]rune(line)); n > 50+chartMargin {
					t.Fatalf("%d columns", n)
				}
			}
		}
	})
}

// A lossy link makes about as many mistakes at each threshold as φ promises, and never more than a few times as many.
func TestReplay(t *testing.T) {
	file := tempFile(t, "beats.csv", tableOf(20000, 0.05, "%f,%d"))
	plot := filepath.Join(t.TempDir(), "phi.png")
	code, out, stderr := pulsering(t, "replay", file, "--plot", plot)
	if code != 0 || stderr != "" || strings.Contains(out, "\x1b") {
		t.Fatalf("%d %q\n%s", code, stderr, out)
	}
	for _, want := range []string{"one every 1 s (the median)", "978 lost (4.9 %)", "← one in 30 d", "MISTAKES  PROMISED", "φ over time is drawn in " + plot} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, line := range strings.Split(out, "\n") {
		if n := len([]rune(line)); n > 115 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	c := &replayCmd{Thresholds: "1,2,3,6"}
	rec, err := readRecording(strings.NewReader(tableOf(20000, 0.05, "%f,%d")), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	results, err := c.results(t.Context(), rec, phiaccrual.Config{Interval: time.Second}, 7)
	if err != nil || len(results) != 5 {
		t.Fatal(err, len(results))
	}
	for i, r := range results {
		promised := float64(r.Beats) * math.Pow(10, -r.Threshold)
		if float64(r.Mistakes) > 2*promised+5 {
			t.Errorf("φ %v: %d mistakes, %.1f promised", r.Threshold, r.Mistakes, promised)
		}
		if i > 0 && (r.Mistakes > results[i-1].Mistakes || r.DetectionTime.Value <= results[i-1].DetectionTime.Value) {
			t.Errorf("φ %v is no slower and surer than %v", r.Threshold, results[i-1].Threshold)
		}
	}
	f, err := os.Open(plot)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := png.Decode(f); err != nil {
		t.Error(err)
	}
}

// A stop of twenty seconds stands out in the picture, which has the size that it is asked for.
func TestChart(t *testing.T) {
	rec := &recording{}
	at := time.Duration(0)
	for i := range 600 {
		at += time.Second
		if i == 300 {
			at += 20 * time.Second
		}
		rec.arrivals = append(rec.arrivals, arrival{at - time.Second, uint64(i)})
	}
	c, err := newCurve(rec, phiaccrual.Config{Interval: time.Second}, 60)
	if err != nil {
		t.Fatal(err)
	}
	lines := c.chart(5, 10, false)
	if len(lines) != 12 || !strings.HasPrefix(lines[0], "  ≥16 ┤") {
		t.Fatalf("\n%s", strings.Join(lines, "\n"))
	}
	if top := strings.TrimLeft(lines[0][strings.Index(lines[0], "┤")+len("┤"):], " "); strings.Trim(top, "█") != "" || len([]rune(top)) > 3 {
		t.Errorf("the stop does not reach the top: %q\n%s", top, strings.Join(lines, "\n"))
	}
	if !strings.Contains(strings.Join(lines, "\n"), " 5.0 ┤╌╌╌") {
		t.Errorf("no threshold in\n%s", strings.Join(lines, "\n"))
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > chartMargin+60 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}

// A silence that is over within a part of the picture is in it.
func TestChartShowsShortSilences(t *testing.T) {
	rec := &recording{}
	for i := range 600 {
		at := time.Duration(i) * time.Second
		if i >= 305 && i < 308 {
			continue
		}
		rec.arrivals = append(rec.arrivals, arrival{at, uint64(i)})
	}
	c, err := newCurve(rec, phiaccrual.Config{Interval: time.Second}, 5)
	if err != nil {
		t.Fatal(err)
	}
	if c.highest[2] < 4 || c.highest[1] > 1 || c.highest[3] > 1 {
		t.Errorf("%v", c.highest)
	}
}

func TestSpell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 µs", 1500: "1.5 µs", 999_600: "1 ms", time.Second - 1: "1 s", 125 * time.Millisecond: "125 ms", 9999 * time.Millisecond: "10 s",
		12345 * time.Millisecond: "12.3 s", time.Minute: "1 min", 100 * time.Minute: "100 min", 2 * time.Hour: "2 h", 720 * time.Hour: "30 d",
		876000 * time.Hour: "36500 d",
	} {
		if got := spell(d); got != want {
			t.Errorf("%v: %q; want %q", time.Duration(d), got, want)
		}
	}
}

func TestBadReplays(t *testing.T) {
	file := tempFile(t, "beats.csv", tableOf(100, 0, "%f,%d"))
	same := tempFile(t, "same.csv", strings.Repeat("1\n", 20))
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"/nowhere"}, exitFailed, "/nowhere"},
		{[]string{t.TempDir()}, exitFailed, "directory"},
		{[]string{same}, exitFailed, "is --unit right?"},
		{[]string{same, "--interval", "1s"}, exitFailed, "all heartbeats came at one moment"},
		{[]string{file, "--plot", "x.pdf"}, exitUsage, "--plot: \"x.pdf\" ends with neither"},
		{[]string{file, "--plot", "/nowhere/x.svg"}, exitFailed, "--plot: "},
		{[]string{file, "--thresholds", "1,x"}, exitUsage, "--thresholds: \"x\""},
		{[]string{file, "--thresholds", "NaN"}, exitUsage, "--thresholds: \"NaN\""},
		{[]string{file, "--thresholds", "1000"}, exitUsage, "--thresholds: \"1000\""},
		{[]string{file, "--thresholds", strings.Repeat("1,", 40) + "1"}, exitUsage, "--thresholds: 41 of them"},
		{[]string{file, "--unit", "h"}, exitUsage, "--unit"},
		{[]string{file, "--interval", "0s"}, exitUsage, "--interval"},
		{[]string{}, exitUsage, "<file>"},
	} {
		code, _, stderr := pulsering(t, append([]string{"replay"}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.want) {
			t.Errorf("%v: %d %q", test.args, code, stderr)
		}
	}
}

func TestServerSent(t *testing.T) {
	var got []serverSent
	err := readServerSent(strings.NewReader("retry: 1000\n\nevent: up\r\ndata: {\"a\":1}\r\n\r\n: beat\n\nid: x-1\n\nid:x-2\ndata:1\ndata: 2\n\ndata: half\n\ndata:"), func(e serverSent) bool {
		got = append(got, e)
		return true
	})
	want := []serverSent{{"", ""}, {"", `{"a":1}`}, {"", ""}, {"x-1", ""}, {"x-2", "1\n2"}, {"x-2", "half"}}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v %q", err, got)
	}
	if err := readServerSent(strings.NewReader("data: "+strings.Repeat("x", mostEvent+1)), func(serverSent) bool { return true }); err == nil {
		t.Error("an event without end is read")
	}
}

func FuzzServerSent(f *testing.F) {
	f.Add([]byte("id: 1\nevent: up\ndata: {}\n\n"))
	f.Add([]byte("data\n:\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		readServerSent(bytes.NewReader(b), func(serverSent) bool { n++; return n < 1000 })
		if n > len(b) {
			t.Errorf("%d events of %d bytes", n, len(b))
		}
	})
}
