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
var strangers = []struct{ says, cause string }{
	{"Decrypt packet failed", "memberlist: wrong key"},
	{"Encryption is configured but remote state is not encrypted", "memberlist: wrong key"},
	{"Remote state is encrypted and encryption is not configured", "memberlist: wrong key"},
	{"No installed keys could decrypt", "memberlist: wrong key"},
	{"label", "memberlist: wrong label"},
	{"ot supported", "memberlist: unknown message type"},
	{"Received invalid msgType", "memberlist: unknown message type"},
	{"Failed to decode", "memberlist: malformed"},
	{"truncated messages", "memberlist: malformed"},
	{"Failed to decompress", "memberlist: malformed"},
	{"invalid checksum", "memberlist: malformed"},
	{"missing message type", "memberlist: malformed"},
	{"packet too short", "memberlist: malformed"},
	{"failed to receive", "memberlist: malformed"},
	{"Failed to read remote state", "memberlist: malformed"},
	{"handler queue full", "memberlist: queue full"},
	{"ping for unexpected node", "memberlist: ping for another name"}, // for the boot before this one, mostly
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
	for _, s := range strangers {
		if strings.Contains(text, s.says) {
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
