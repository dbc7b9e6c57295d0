package command

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// cutUp is what lines has to make of text, told plainly.
func cutUp(text string) []string {
	var want []string
	for part := range strings.SplitSeq(text, "\n") {
		cut := len(part) > MaxLine
		part = strings.TrimSuffix(part[:min(len(part), MaxLine)], "\r")
		if cut {
			part += "…"
		}
		want = append(want, part)
	}
	if text == "" || strings.HasSuffix(text, "\n") {
		want = want[:len(want)-1] // no line behind the last break
	}
	return want
}

func FuzzLines(f *testing.F) {
	f.Add("one\ntwo\r\n\nthree", 3)
	f.Add(strings.Repeat("x", MaxLine)+"\n"+strings.Repeat("y", MaxLine+1)+"\nz", 7)
	f.Add("\x00\xff\n\r", 1)
	f.Fuzz(func(t *testing.T, text string, chunk int) {
		chunk = max(1, chunk)
		text = text[:min(len(text), freeOutput)]
		var got []string
		l := &lines{emit: func(line string) { got = append(got, line) }}
		for part := range slices.Chunk([]byte(text), chunk) {
			if n, err := l.Write(part); n != len(part) || err != nil {
				t.Fatal(n, err)
			}
		}
		l.end()
		l.Write([]byte("too late\n"))
		l.end()
		if want := cutUp(text); !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// A flood is read at its rate, after what is free.
func TestLinesRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l lines
		began := time.Now()
		chunk := make([]byte, 32<<10)
		for range freeOutput / len(chunk) {
			l.Write(chunk)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the first %d bytes took %v", freeOutput, took)
		}
		for range outputRate / len(chunk) {
			l.Write(chunk)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("the next %d took %v", outputRate, took)
		}
		if len(l.line) > MaxLine {
			t.Errorf("%d bytes are kept of an endless line", len(l.line))
		}
	})
}
