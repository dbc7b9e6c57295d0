package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/alecthomas/kong"
	"github.com/hashicorp/go-hclog"
)

// A reload reads the arguments, the environment and the files anew and compares what results with what holds, flag by flag. Flags
// come from kong's model, so that none can be forgotten: one without an applier needs a restart, and the log says so.
// A reload is done in whole or not at all as far as can be known before: whatever is wrong in the new configuration, or in
// the mixture that would result from it, changes nothing.

// appliers change what can change while a command runs, by flag. They get what was read anew.
type appliers map[string]func(*cli) error

// reloader is the configuration that holds. One goroutine owns it.
type reloader struct {
	now   *settings
	apply appliers
	log   hclog.Logger

	behind func(*cli) // warns of files that what they set has left behind
}

// rereads tells whether a reload of a command would find anything: arguments and environment stay what they are.
func (s *settings) rereads() bool {
	if s.file != "" {
		return true
	}
	return slices.ContainsFunc(s.command.Selected().Flags, func(f *kong.Flag) bool {
		switch f.Target.Interface().(type) {
		case keyFile, tokenFile, pemFile:
			return !f.Target.IsZero()
		}
		return false
	})
}

// follow reloads whenever it is asked to, until ctx ends.
func (r *reloader) follow(ctx context.Context, asked <-chan struct{}) {
	for {
		select {
		case <-asked:
			r.reload(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// reload does it once.
func (r *reloader) reload(ctx context.Context) {
	next, err := awaited(ctx, func() (*settings, error) { return r.now.again(ctx), nil })
	if err != nil {
		return // the node ends
	}
	if len(next.wrong) > 0 || next.broken != nil {
		r.refuse(append(next.wrong, next.broken)...)
		return
	}
	var changed []change
	stays := false
	for i, flag := range next.command.Selected().Flags {
		was := r.now.command.Selected().Flags[i]
		c := change{flag, r.now.shown(was), next.shown(flag)}
		switch {
		case flag.Name == "print-config" || reflect.DeepEqual(was.Target.Interface(), flag.Target.Interface()):
		case r.apply[flag.Name] != nil:
			changed = append(changed, c)
		default:
			r.log.Warn(c.stays(), "wanted", c.new, "by", next.source(flag))
			next.keep(flag, r.now, was)
			stays = true
		}
	}
	if stays {
		if wrong := next.check(); len(wrong) > 0 {
			r.log.Error("beside what needs a restart, the rest of the new configuration is wrong")
			r.refuse(wrong...)
			return
		}
	}
	failed := false
	for _, c := range changed {
		was := flagNamed(r.now, c.flag.Name)
		if err := r.apply[c.flag.Name](&next.cli); err != nil {
			r.log.Error(c.flag.Name+": cannot be changed", "error", inFlags(err.Error()), "stays", c.old)
			next.keep(c.flag, r.now, was)
			failed = true
			continue
		}
		if c.old == c.new { // a file of the same name
			r.log.Info(c.flag.Name+": changed", "in", c.new)
		} else {
			r.log.Info(c.flag.Name+": changed", "from", c.old, "to", c.new)
		}
	}
	r.now = next
	if !failed {
		r.behind(&next.cli)
	}
	switch {
	case failed:
	case len(changed) == 0 && !stays:
		r.log.Info("reloaded: nothing has changed")
	default:
		r.log.Info("reloaded", "changed", len(changed))
	}
}

// refuse says why nothing is reloaded.
func (r *reloader) refuse(wrong ...error) {
	for _, err := range wrong {
		if err != nil {
			r.log.Error("wrong configuration: " + inFlags(err.Error()))
		}
	}
	r.log.Error("nothing is reloaded: all stays as it was", "errors", len(each(errors.Join(wrong...))))
}

// change is a flag that a reload finds changed.
type change struct {
	flag     *kong.Flag
	old, new string
}

// stays is what is said where the change needs a restart.
func (c change) stays() string {
	switch {
	case c.old == c.new: // a file of the same name
		return fmt.Sprintf("%s: needs a restart, stays what was in %s before", c.flag.Name, c.old)
	case c.old == "":
		return fmt.Sprintf("%s: needs a restart, stays unset", c.flag.Name)
	}
	return fmt.Sprintf("%s: needs a restart, stays %s", c.flag.Name, c.old)
}

// keep leaves a flag as it was in other settings.
func (s *settings) keep(flag *kong.Flag, as *settings, was *kong.Flag) {
	flag.Target.Set(was.Target)
	if g := as.flags.given[was.Value]; g != nil {
		s.flags.given[flag.Value] = g
	} else {
		delete(s.flags.given, flag.Value)
	}
}

// flagNamed is a flag of the command.
func flagNamed(s *settings, name string) *kong.Flag {
	flags := s.command.Selected().Flags
	return flags[slices.IndexFunc(flags, func(f *kong.Flag) bool { return f.Name == name })]
}
