package main

import (
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

type versionCmd struct{}

func (versionCmd) Help() string {
	return "As the Go tool recorded it at the build: version, Go's own version, commit, system.\n\n    pulsering version\n"
}

// versionFlag is --version.
type versionFlag bool

// BeforeReset is called by kong where the flag is given, before it looks for a command.
func (versionFlag) BeforeReset(app *kong.Kong, con console) error {
	if err := (versionCmd{}).Run(con); err != nil {
		return err
	}
	app.Exit(0)
	return nil
}

// Run prints what the Go tool recorded while it built this binary.
func (versionCmd) Run(con console) error {
	version, detail := "(unknown)", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version, detail = info.Main.Version, info.GoVersion
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				detail += ", commit " + s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				detail += " with changes"
			case s.Key == "GOOS" || s.Key == "GOARCH":
				detail += ", " + s.Value
			}
		}
	}
	_, err := fmt.Fprintf(con.out, "pulsering %s (%s)\n", version, detail)
	return err
}
