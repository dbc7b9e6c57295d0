package main

import (
	"bufio"
	"io"
	"strings"
)

// serverSent is one of the Server-Sent Events of a node.
type serverSent struct {
	id   string // what to come back with; also of an event without data, which is none
	data string // JSON
}

// readServerSent reads events until the stream or yield ends it. Names of events and comments are passed over: the data has the kind.
func readServerSent(r io.Reader, yield func(serverSent) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, mostEvent)
	var e serverSent
	var data []string
	for lines.Scan() {
		line := strings.TrimSuffix(lines.Text(), "\r")
		if line == "" {
			e.data = strings.Join(data, "\n")
			if !yield(e) {
				return nil
			}
			e, data = serverSent{id: e.id}, nil
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "id" && !strings.ContainsRune(value, 0):
			e.id = value
		case field == "data" && len(data) < 64:
			data = append(data, value)
		}
	}
	return lines.Err()
}
