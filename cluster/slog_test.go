package cluster_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/cluster"
	"github.com/pulsering/pulsering/cluster/clustertest"
)

// A service that logs by log/slog finds the node's lines there, with what they say apart.
func TestSlog(t *testing.T) {
	var out bytes.Buffer
	inTown(t, clustertest.Options{}, func(t *testing.T, w *town) {
		w.config = func(cfg *cluster.Config) {
			if cfg.Name == "n00" {
				cfg.Logger = cluster.Slog(slog.NewJSONHandler(&out, nil))
			}
		}
		w.startAll(2)
		w.crash("n01")
		time.Sleep(5 * time.Second)
		w.close("n00") // which flushes
	})
	found := false
	for line := range bytes.Lines(out.Bytes()) {
		var l struct{ Level, Msg, Member, Reason string }
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Level == "DEBUG" {
			t.Errorf("below the handler's level: %s", line)
		}
		found = found || l.Msg == "member is down" && l.Member == "n01" && l.Level == "INFO" && l.Reason != ""
	}
	if !found {
		t.Errorf("no line about the member that went down:\n%s", &out)
	}
}

func TestSlogLevels(t *testing.T) {
	var out bytes.Buffer
	h := slog.NewTextHandler(&out, &slog.HandlerOptions{
		Level: slog.LevelDebug - 4,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
	log := cluster.Slog(h).Named("part").With("a", 1)
	log.Trace("t")
	log.Debug("d")
	log.Info("i", "b", 2, 3, 4)
	log.Warn("w", "odd")
	log.Log(hclog.Error, "e")
	const want = `level=DEBUG-4 msg=t logger=part a=1
level=DEBUG msg=d logger=part a=1
level=INFO msg=i logger=part a=1 b=2 3=4
level=WARN msg=w logger=part a=1 extra=odd
level=ERROR msg=e logger=part a=1
`
	if out.String() != want {
		t.Errorf("logged\n%s, want\n%s", &out, want)
	}
}
