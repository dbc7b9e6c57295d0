package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/pulsering/pulsering/internal/aside"
)

// patientWriter writes to a file that may get stuck, such as a standard error that nobody reads, and never waits for it: a node
// that logs goes on, and ends when it is told to.
type patientWriter struct {
	to     io.Writer
	queue  *aside.Queue
	failed int // writes since the last that worked; for the queue's goroutine alone
}

func newPatientWriter(to io.Writer) *patientWriter {
	w := &patientWriter{to: to}
	w.queue = &aside.Queue{Max: aside.MaxLines, Lost: func(n int) {
		fmt.Fprintf(to, "pulsering: standard error was stuck, %d lines are missing here\n", n)
	}}
	return w
}

// Write implements io.Writer. It has no errors: there would be nowhere to report them.
func (w *patientWriter) Write(line []byte) (int, error) {
	own := bytes.Clone(line)
	w.queue.Do(func() { w.write(own) })
	return len(line), nil
}

// write says, where lines could not be written for a while as on a full disk, how many are missing.
func (w *patientWriter) write(line []byte) {
	if w.failed > 0 {
		note := fmt.Sprintf("\npulsering: standard error could not be written, %d lines are missing here\n", w.failed)
		line = append([]byte(note), line...) // the first line break ends what was written by half
	}
	if _, err := w.to.Write(line); err != nil {
		w.failed++
		return
	}
	w.failed = 0
}

func (w *patientWriter) flush() { w.queue.Wait(aside.LastLines) }
