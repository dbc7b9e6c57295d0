package main

import (
	"time"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/internal/record"
)

// eventLine is a line about an event: as JSON what the event's record is, for people its text.
type eventLine struct{ record.Event }

func (e eventLine) text(color bool) string { return eventText(e, color) }

func newEventLine(e cluster.Event) eventLine { return eventLine{record.NewEvent(e)} }

// newJoinedLine is the first line of a node, about itself.
func newJoinedLine(self cluster.Member, at time.Time) eventLine {
	return eventLine{record.Joined(self, at)}
}

type (
	memberLine  = record.Member
	explanation = record.Explanation
	sample      = record.Sample
)
