package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pulsering/pulsering/internal/qos"
)

// A recording of heartbeats is a table in text: a line for each arrival, of its time and, where the sender numbers them, its number.
// Fields are separated by commas, semicolons or tabs. Empty lines and those that begin with # are passed over.

const (
	mostArrivals = 1_000_000
	mostSent     = 4_000_000 // heartbeats, with those that were lost
	longestLine  = 1024      // bytes
	// fewestArrivals is what is worth to be replayed at all.
	fewestArrivals = 10
	// farthestBack is how far behind the newest a heartbeat is taken for one that was overtaken, and not for another start of the sender.
	farthestBack = 1000
)

// recording is a file of arrivals.
type recording struct {
	arrivals []arrival // in the order of the file, which is that of their times
	numbered bool
	twice    int // heartbeats that came again, which are left out
}

type arrival struct {
	at  time.Duration // since the first
	seq uint64        // since the lowest
}

// readRecording reads a table whose numbers are times in this unit. Errors name the line.
func readRecording(r io.Reader, unit time.Duration) (*recording, error) {
	t := recordingReader{unit: unit, seqAt: -1, numbers: map[uint64]bool{}}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, longestLine), longestLine)
	n := 0
	for lines.Scan() {
		n++
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := t.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("line %d: it has more than %d bytes: want a time and a number", n+1, longestLine)
	case err != nil:
		return nil, err
	case len(t.arrivals) < fewestArrivals:
		return nil, fmt.Errorf("it has %d heartbeats: want at least %d", len(t.arrivals), fewestArrivals)
	}
	return t.recording()
}

// recordingReader reads a table line by line.
type recordingReader struct {
	unit          time.Duration
	began         bool // there was a line
	timeAt, seqAt int  // the columns; seqAt -1: none
	absolute      bool // times are dates
	first         time.Time
	arrivals      []arrival // with numbers as they are in the file
	newest        uint64
	numbers       map[uint64]bool
	twice         int
}

func (t *recordingReader) line(line string) error {
	fields := strings.FieldsFunc(line, func(r rune) bool { return r == ',' || r == ';' || r == '\t' })
	for i, f := range fields {
		fields[i] = strings.Trim(strings.TrimSpace(f), `"`)
	}
	if !t.began {
		t.began = true
		if len(fields) > 1 {
			t.seqAt = 1
		}
		if header, err := t.header(fields); header || err != nil {
			return err
		}
	}
	if len(fields) <= max(t.timeAt, t.seqAt) {
		return fmt.Errorf("it has %d %s: want %d, as above", len(fields), plural(uint64(len(fields)), "field"), max(t.timeAt, t.seqAt)+1)
	}
	at, err := t.time(fields[t.timeAt])
	if err != nil {
		return err
	}
	a := arrival{at: at, seq: uint64(len(t.arrivals))}
	if t.seqAt >= 0 {
		if a.seq, err = strconv.ParseUint(fields[t.seqAt], 10, 63); err != nil {
			return fmt.Errorf("%.40q is no sequence number: want a whole number from 0 on", fields[t.seqAt])
		}
	}
	return t.add(a)
}

// header tells whether the first line names the columns, and finds them.
func (t *recordingReader) header(fields []string) (bool, error) {
	if len(fields) == 0 {
		return false, nil
	}
	if _, err := strconv.ParseFloat(fields[0], 64); err == nil {
		return false, nil
	}
	if _, ok := parseDate(fields[0]); ok {
		t.absolute = true
		return false, nil
	}
	timeAt, seqAt := -1, -1
	for i, f := range fields {
		switch strings.ToLower(f) {
		case "time", "timestamp", "seconds", "arrival", "arrived", "at", "t":
			timeAt = i
		case "seq", "sequence", "number", "no", "n":
			seqAt = i
		}
	}
	if timeAt < 0 {
		return false, fmt.Errorf("%.40q is neither a time nor a line of names: want seconds (12.125) or a date (2026-07-01T12:00:00.125Z), "+
			"or a column named time and perhaps one named seq", fields[0])
	}
	t.timeAt, t.seqAt, t.absolute = timeAt, seqAt, false
	return true, nil
}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", "2006-01-02 15:04:05"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// time reads a time, as the span since the first one.
func (t *recordingReader) time(s string) (time.Duration, error) {
	var at time.Time
	date, isDate := parseDate(s)
	if len(t.arrivals) == 0 {
		t.absolute = isDate
	}
	if t.absolute {
		if !isDate {
			return 0, fmt.Errorf("%.40q is no date: want one as above, like 2026-07-01T12:00:00.125Z", s)
		}
		at = date
	} else {
		x, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(x) {
			return 0, fmt.Errorf("%.40q is no time: want a number like 12.125", s)
		}
		whole, part := math.Modf(x * t.unit.Seconds())
		if math.Abs(whole) > 1e11 {
			return 0, fmt.Errorf("%.40q is out of range: want at most 1e11 seconds, and --unit ms where they are milliseconds", s)
		}
		at = time.Unix(int64(whole), int64(math.Round(part*1e9)))
	}
	if len(t.arrivals) == 0 {
		t.first = at
	}
	const longest = 10 * 365 * 24 * time.Hour
	since := at.Sub(t.first)
	if since > longest {
		return 0, fmt.Errorf("%.40q is more than ten years after the first: want --unit ms where they are milliseconds", s)
	}
	if n := len(t.arrivals); n > 0 && since < t.arrivals[n-1].at {
		return 0, fmt.Errorf("%.40q is %s before the line above: sort the lines by the time of arrival", s, seconds(t.arrivals[n-1].at-since))
	}
	return since, nil
}

func (t *recordingReader) add(a arrival) error {
	if len(t.arrivals) == mostArrivals {
		return fmt.Errorf("more than %d heartbeats: cut the file", mostArrivals)
	}
	if t.seqAt >= 0 && len(t.arrivals) > 0 {
		switch {
		case a.seq < t.newest && t.newest-a.seq > farthestBack:
			return fmt.Errorf("number %d comes after %d: has the sender started anew? Replay one run at a time", a.seq, t.newest)
		case t.numbers[a.seq]:
			t.twice++
			return nil
		case a.seq > t.newest && a.seq-t.newest > mostSent:
			return fmt.Errorf("number %d comes after %d: want at most %d lost in between", a.seq, t.newest, mostSent)
		}
	}
	t.newest = max(t.newest, a.seq)
	if t.seqAt >= 0 {
		t.numbers[a.seq] = true
	}
	t.arrivals = append(t.arrivals, a)
	return nil
}

func (t *recordingReader) recording() (*recording, error) {
	lowest := t.newest
	for _, a := range t.arrivals {
		lowest = min(lowest, a.seq)
	}
	if t.newest-lowest >= mostSent {
		return nil, fmt.Errorf("its numbers go from %d to %d: want at most %d", lowest, t.newest, mostSent)
	}
	for i := range t.arrivals {
		t.arrivals[i].seq -= lowest
	}
	return &recording{t.arrivals, t.seqAt >= 0, t.twice}, nil
}

// interval is the median time from one heartbeat to the next.
func (r *recording) interval() time.Duration {
	var gaps []time.Duration
	last := r.arrivals[0]
	for _, a := range r.arrivals[1:] {
		if a.seq > last.seq {
			gaps = append(gaps, (a.at-last.at)/time.Duration(a.seq-last.seq))
			last = a
		}
	}
	if len(gaps) == 0 {
		return 0
	}
	slices.Sort(gaps)
	return gaps[len(gaps)/2]
}

// trace is the recording as if each heartbeat was sent at the moment when it arrived: how long the way takes, only the sender knows.
// Those that are missing were sent when they were due.
func (r *recording) trace(interval time.Duration) *qos.Trace {
	most := uint64(0)
	for _, a := range r.arrivals {
		most = max(most, a.seq)
	}
	beats := make([]qos.Beat, most+1)
	for i := range beats {
		beats[i] = qos.Beat{Seq: uint64(i), Arrived: qos.Lost, Interval: interval}
	}
	for _, a := range r.arrivals {
		beats[a.seq].Sent, beats[a.seq].Arrived = a.at, a.at
	}
	for i := range beats {
		if beats[i].Arrived == qos.Lost {
			beats[i].Sent = beats[i-1].Sent + interval // the first one arrived: it has the lowest number
		}
	}
	return &qos.Trace{Beats: beats}
}
