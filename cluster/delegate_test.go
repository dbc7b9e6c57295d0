package cluster

import (
	"testing"
	"time"
)

// What waits for a node that stands still is bounded, however much strangers send; what memberlist itself reports is not dropped.
func TestInboxIsBounded(t *testing.T) {
	count := newCounters()
	box := newInbox()
	d := &delegate{inbox: box, count: count}
	largest := make([]byte, 20<<20) // that memberlist lets through
	for range 10 {
		d.MergeRemoteState(largest, false)
	}
	for range maxMessages + 5 {
		d.NotifyMsg([]byte{1})
	}
	box.put(gossipDead{time.Now(), "x"})

	const tables = maxTables / (20 << 20)
	if got := len(box.take()); got != tables+maxMessages+1 {
		t.Errorf("%d items wait, want %d tables, %d messages and the report", got, tables, maxMessages)
	}
	if got := count.stats().Dropped[dropInbox]; got != 10-tables+5 {
		t.Errorf("%d dropped, want %d", got, 10-tables+5)
	}
	d.MergeRemoteState(largest, false)
	d.NotifyMsg([]byte{1})
	if got := len(box.take()); got != 2 {
		t.Errorf("%d items wait once the others were taken, want 2", got)
	}
}
