package main

import (
	"strings"

	"github.com/hashicorp/go-hclog"
)

// newsLines are how log lines begin that tell what an event tells: they are left out where both go to the same place.
var newsLines = []string{
	"joined",
	"member is ",
	"member restarted",
	"this node hears ",
	"others called this node down",
}

// isNews tells whether a log line says what an event says.
func isNews(_ hclog.Level, msg string, _ ...any) bool {
	for _, start := range newsLines {
		if strings.HasPrefix(msg, start) {
			return true
		}
	}
	return false
}
