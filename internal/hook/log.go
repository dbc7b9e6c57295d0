package hook

import (
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/time/rate"
)

const (
	logBurst = 50              // lines at once
	logRate  = 5               // lines a second beyond
	logCount = 5 * time.Second // how long after the first line left out their number is told
)

// boundedLog leaves out lines that come too fast, and says how many.
type boundedLog struct {
	log   hclog.Logger
	limit *rate.Limiter

	mu      sync.Mutex
	leftOut int
	count   *time.Timer // runs while leftOut is not zero
}

func newBoundedLog(log hclog.Logger) *boundedLog {
	return &boundedLog{log: log, limit: rate.NewLimiter(logRate, logBurst)}
}

// say reports whether the line was logged.
func (l *boundedLog) say(level hclog.Level, msg string, args ...any) bool {
	if l.limit.Allow() {
		l.log.Log(level, msg, args...)
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leftOut++; l.leftOut == 1 {
		l.count = time.AfterFunc(logCount, l.sayCount)
	}
	return false
}

// sayCount says how many lines were left out.
func (l *boundedLog) sayCount() {
	l.mu.Lock()
	n := l.leftOut
	l.leftOut = 0
	l.mu.Unlock()
	if n > 0 {
		l.log.Warn("hooks say more than is logged", "left_out", n)
	}
}

// close says what is still to be said. Nothing may be said afterwards.
func (l *boundedLog) close() {
	l.mu.Lock()
	if l.count != nil {
		l.count.Stop()
	}
	l.mu.Unlock()
	l.sayCount()
}
