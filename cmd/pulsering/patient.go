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
	to    io.Writer
	queue *aside.Queue
}

func newPatientWriter(to io.Writer) patientWriter {
	return patientWriter{to, &aside.Queue{Max: aside.MaxLines, Lost: func(n int) {
		fmt.Fprintf(to, "pulsering: standard error was stuck, %d lines are missing here\n", n)
	}}}
}

// Write implements io.Writer. It has no errors: there would be nowhere to report them.
func (w patientWriter) Write(line []byte) (int, error) {
	own := bytes.Clone(line)
	w.queue.Do(func() { w.to.Write(own) })
	return len(line), nil
}

func (w patientWriter) flush() { w.queue.Wait(aside.LastLines) }
