package cluster

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Slog returns a logger for Config.Logger that hands its lines to a handler of log/slog, with the same keys and values, and the name
// of the part that speaks under "logger". Which levels are logged is the handler's to say; hclog's trace is slog's debug − 4.
//
//	cfg.Logger = cluster.Slog(slog.Default().Handler())
func Slog(h slog.Handler) hclog.Logger {
	log := hclog.NewInterceptLogger(&hclog.LoggerOptions{Level: hclog.Off, Output: io.Discard})
	log.RegisterSink(slogSink{h})
	return log
}

type slogSink struct{ slog.Handler }

// slogLevels are those of hclog, in its order from NoLevel on.
var slogLevels = [...]slog.Level{
	slog.LevelInfo, slog.LevelDebug - 4, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError,
}

// Accept implements hclog.SinkAdapter.
func (s slogSink) Accept(name string, level hclog.Level, msg string, args ...any) {
	to := slog.LevelError
	if level >= 0 && int(level) < len(slogLevels) {
		to = slogLevels[level]
	}
	ctx := context.Background()
	if !s.Enabled(ctx, to) {
		return
	}
	r := slog.NewRecord(time.Now(), to, msg, 0)
	if name != "" {
		r.AddAttrs(slog.String("logger", name))
	}
	for ; len(args) > 1; args = args[2:] {
		key, ok := args[0].(string)
		if !ok {
			key = fmt.Sprint(args[0])
		}
		r.AddAttrs(slog.Any(key, args[1]))
	}
	if len(args) == 1 {
		r.AddAttrs(slog.Any("extra", args[0]))
	}
	_ = s.Handle(ctx, r) // whom would one tell
}
