package cluster

import (
	"bytes"
	"net"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/internal/aside"
)

// logger hands lines to Config.Logger, which may get stuck: behind it is a pipe that nobody reads, or a disk that hangs. The node logs
// under its own lock and memberlist under its locks, and a node that waits there sends no heartbeats and has no word about others.
type logger struct {
	to    hclog.Logger // nil: no logs
	queue *aside.Queue
}

func newLogger(to hclog.Logger) logger {
	if to == nil {
		return logger{queue: new(aside.Queue)}
	}
	return logger{to, &aside.Queue{Max: aside.MaxLines, Lost: func(n int) {
		to.Warn("the log was stuck, lines are missing here", "lines", n)
	}}}
}

func (l logger) named(name string) logger {
	if l.to == nil {
		return l
	}
	return logger{l.to.Named(name), l.queue}
}

func (l logger) Debug(msg string, args ...any) { l.log(hclog.Debug, msg, args) }
func (l logger) Info(msg string, args ...any)  { l.log(hclog.Info, msg, args) }
func (l logger) Warn(msg string, args ...any)  { l.log(hclog.Warn, msg, args) }
func (l logger) Error(msg string, args ...any) { l.log(hclog.Error, msg, args) }

// log leaves it to the logger what is below its level: one that intercepts lines has others to hand them to.
func (l logger) log(level hclog.Level, msg string, args []any) {
	if l.to != nil {
		l.queue.Do(func() { l.to.Log(level, msg, args...) })
	}
}

// flush waits for the lines so far to be written, for a second at most.
func (l logger) flush() { l.queue.Wait(aside.LastLines) }

// gossipLog passes memberlist's log lines on to the configured logger. Lines that a stranger's packet can cause are
// counted by cause and logged at debug level only, so that noise from the network cannot fill a disk.
type gossipLog struct {
	log   logger
	count *counters
}

// strangers maps what memberlist v0.7.0 logs about packets and streams that it refuses to a cause (net.go, label.go,
// net_transport.go).
var strangers = []struct{ says, cause string }{ // the first that matches, in lower case
	{"decrypt", "memberlist: wrong key"},
	{"encryption is configured but", "memberlist: wrong key"},
	{"encryption is not configured", "memberlist: wrong key"},
	{"label", "memberlist: wrong label"},
	{"ping for unexpected node", "memberlist: ping for another name"}, // for the boot before this one, mostly
	{"not supported", "memberlist: unknown message type"},
	{"received invalid msgtype", "memberlist: unknown message type"},
	{"handler queue full", "memberlist: queue full"},
	{"ignoring an alive message", "memberlist: malformed"},
	{"vsn is not present", "memberlist: malformed"},
	{"failed to decode", "memberlist: malformed"},
	{"truncated messages", "memberlist: malformed"},
	{"failed to decompress", "memberlist: malformed"},
	{"invalid checksum", "memberlist: malformed"},
	{"missing message type", "memberlist: malformed"},
	{"packet too short", "memberlist: malformed"},
	{"failed to receive", "memberlist: malformed"},
	{"failed to read remote state", "memberlist: malformed"},
	{errOver.Error(), "memberlist: process is over"},
	{"live member of both clusters", "memberlist: another cluster"}, // of which merging warns
}

func (g gossipLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	say := g.log.Debug // memberlist's opinion of members, at INFO and WARN, is not ours
	if rest, ok := strings.CutPrefix(text, "["); ok {
		name, msg, _ := strings.Cut(rest, "] ")
		if name == "ERR" || name == "ERROR" {
			say = g.log.Warn
		}
		text = msg
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	lower := strings.ToLower(text)
	for _, s := range strangers {
		if strings.Contains(lower, s.says) {
			g.count.drop(s.cause)
			say = g.log.Debug
			break
		}
	}
	if strings.Contains(text, net.ErrClosed.Error()) {
		say = g.log.Debug // by this node itself, at its end, while memberlist still had something to send
	}
	if strings.Contains(text, "network may be misconfigured") {
		say = g.log.Warn // TCP works and UDP does not: worth a person's time
	}
	say(text)
	return len(line), nil
}
