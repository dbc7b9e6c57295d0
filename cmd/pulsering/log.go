package main

import (
	"github.com/hashicorp/go-hclog"
)

// logFlags say what is logged, and how.
type logFlags struct {
	LogLevel  choice `of:"trace,debug,info,warn,error,off" default:"info" placeholder:"LEVEL" help:"Log lines on standard error: trace, debug, info, warn, error or off. Default: info."`
	LogFormat choice `of:"text,json" default:"text" placeholder:"FORMAT" help:"What log lines are: text, or json, one object a line. Default: text."`
}

// level is how much is logged.
func (f logFlags) level() hclog.Level { return hclog.LevelFromString(string(f.LogLevel)) }

// logger logs on standard error.
func (f logFlags) logger(con console) hclog.Logger {
	options := &hclog.LoggerOptions{
		Name:       "pulsering",
		Level:      f.level(),
		Output:     writerFunc(func(line []byte) (int, error) { return con.err.Write([]byte(inFlags(string(line)))) }),
		JSONFormat: f.LogFormat == "json",
		Color:      hclog.ColorOff,
	}
	if con.errColor && !options.JSONFormat {
		options.Color = hclog.ForceColor
	}
	if con.together {
		options.Exclude = isNews
	}
	return hclog.New(options)
}

// newLogger logs on standard error, as text.
func newLogger(con console, level choice) hclog.Logger { return logFlags{LogLevel: level}.logger(con) }
