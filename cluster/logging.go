package cluster

import (
	"bytes"
	"strings"

	"github.com/hashicorp/go-hclog"
)

// gossipLog passes memberlist's log lines on to the configured logger. Lines that a stranger's packet can cause are
// counted by cause and logged at debug level only, so that noise from the network cannot fill a disk.
type gossipLog struct {
	log   hclog.Logger
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
}

func (g gossipLog) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	level := hclog.Debug
	if rest, ok := strings.CutPrefix(text, "["); ok {
		name, msg, _ := strings.Cut(rest, "] ")
		switch name {
		case "INFO", "WARN":
			level = hclog.Debug // memberlist's opinion of members is not ours
		case "ERR", "ERROR":
			level = hclog.Warn
		}
		text = msg
	}
	text = strings.TrimPrefix(text, "memberlist: ")
	lower := strings.ToLower(text)
	for _, s := range strangers {
		if strings.Contains(lower, s.says) {
			g.count.drop(s.cause)
			level = hclog.Debug
			break
		}
	}
	if strings.Contains(text, "network may be misconfigured") {
		level = hclog.Warn // TCP works and UDP does not: worth a person's time
	}
	g.log.Log(level, text)
	return len(line), nil
}
