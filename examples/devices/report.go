package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/pulsering/pulsering/detector"
	"github.com/pulsering/pulsering/detector/link"
)

// report is what a gateway tells the center of all its sessions in one message: who was heard since
// the last one, and what else has changed. All beats go in one frame.
//
//	report = 0x01 whole sent count { op length id every } frame
//
// All but op, id and the frame are unsigned varints; sent and every are microseconds. The frame is
// detector.AppendFrame's.
type report struct {
	// Whole: it names everybody, and whoever it does not is gone. The first report does, and the
	// next one after some were lost.
	Whole bool
	// Sent is when, by the gateway's clock since it began. A message may wait for a connection, and
	// its beats are older then than they say.
	Sent    time.Duration
	Changes []change
	Beats   []detector.Beat[string]
}

// change is news of a session other than a beat.
type change struct {
	Op    op
	ID    string
	Every time.Duration // of arrived and planned
}

type op byte

const (
	arrived op = iota + 1 // it has a connection, a new one perhaps: its beats begin anew
	planned               // it promises beats so far apart, from the latest one on
	ended                 // its connection has ended, and it may come back
	left                  // it is gone
)

const (
	reportVersion = 1
	maxID         = 128 // bytes, as link has it
	maxPromise    = 24 * time.Hour
	maxSent       = 100 * 365 * 24 * time.Hour
	minChange     = 4 // bytes: op, length, an id of one byte, every
)

var errReport = errors.New("not a report")

func (r report) encode() ([]byte, error) {
	b := []byte{reportVersion, 0}
	if r.Whole {
		b[1] = 1
	}
	b = binary.AppendUvarint(b, uint64(r.Sent.Microseconds()))
	b = binary.AppendUvarint(b, uint64(len(r.Changes)))
	for _, c := range r.Changes {
		b = append(b, byte(c.Op))
		b = binary.AppendUvarint(b, uint64(len(c.ID)))
		b = append(b, c.ID...)
		b = binary.AppendUvarint(b, uint64(c.Every.Microseconds()))
	}
	return detector.AppendFrame(b, r.Beats)
}

func decodeReport(b []byte) (report, error) {
	bad := func(format string, args ...any) (report, error) {
		return report{}, fmt.Errorf("%w: "+format, append([]any{errReport}, args...)...)
	}
	if len(b) == 0 || b[0] != reportVersion {
		return bad("it does not begin with version %d", reportVersion)
	}
	b = b[1:]
	short := false
	number := func(most uint64) uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > most {
			short = true
			return 0
		}
		b = b[n:]
		return v
	}
	var r report
	r.Whole = number(1) == 1
	r.Sent = time.Duration(number(uint64(maxSent/time.Microsecond))) * time.Microsecond
	count := number(uint64(len(b) / minChange))
	for i := uint64(0); i < count && !short; i++ {
		if len(b) == 0 {
			return bad("it ends before change %d of %d", i, count)
		}
		c := change{Op: op(b[0])}
		b = b[1:]
		n := number(maxID)
		if short || n == 0 || n > uint64(len(b)) || c.Op < arrived || c.Op > left {
			return bad("change %d of %d: op %d, an id of %d bytes", i, count, c.Op, n)
		}
		c.ID, b = string(b[:n]), b[n:]
		c.Every = time.Duration(number(uint64(maxPromise/time.Microsecond))) * time.Microsecond
		r.Changes = append(r.Changes, c)
	}
	if short {
		return bad("it ends in a number, or one is out of range")
	}
	var err error
	if r.Beats, err = detector.DecodeFrame(b, nil); err != nil {
		return bad("%w", err)
	}
	return r, nil
}

// reporter knows what the center was told, and what is new. Time comes in as an argument.
type reporter struct {
	begun time.Time
	n     int // of reports
	told  map[string]*told
}

// told is what the center knows of a session.
type told struct {
	remote string // of the connection, by which another one is told from it
	every  time.Duration
	heard  time.Time
	ended  bool
	report int // the latest one that it was listed for
}

func newReporter(now time.Time) *reporter { return &reporter{begun: now, told: map[string]*told{}} }

// next is the report of sessions as they are at now. Beats further apart than reports are told one
// by one; of those that are closer the latest.
func (r *reporter) next(sessions []link.Session, now time.Time) report {
	r.n++
	news := report{Whole: r.n == 1, Sent: now.Sub(r.begun)}
	tell := func(op op, s link.Session, every time.Duration) {
		news.Changes = append(news.Changes, change{op, s.ID, every})
	}
	for _, s := range sessions {
		t := r.told[s.ID]
		if t != nil {
			t.report = r.n
		}
		switch s.State {
		case link.Gone:
			if t != nil {
				tell(left, s, 0)
				delete(r.told, s.ID)
			}
			continue
		case link.Away:
			if t == nil {
				tell(arrived, s, s.Every)
				t = &told{report: r.n}
				r.told[s.ID] = t
			}
			if !t.ended {
				tell(ended, s, 0)
				t.ended = true
			}
			continue
		}
		if t == nil || t.ended || t.remote != s.Remote {
			tell(arrived, s, s.Every)
			// What was heard is the hello, or a message: no beat, and not a sample of them.
			r.told[s.ID] = &told{s.Remote, s.Every, s.LastHeard, false, r.n}
			continue
		}
		if s.LastHeard.After(t.heard) {
			t.heard = s.LastHeard
			news.Beats = append(news.Beats, detector.Beat[string]{ID: s.ID, Age: now.Sub(s.LastHeard)})
		}
		if s.Every != t.every {
			t.every = s.Every
			tell(planned, s, s.Every)
		}
	}
	for id, t := range r.told {
		if t.report < r.n { // it was gone, and forgotten, before it was looked at
			news.Changes = append(news.Changes, change{Op: left, ID: id})
			delete(r.told, id)
		}
	}
	return news
}
