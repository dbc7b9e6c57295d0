package main

import "sync/atomic"

// hangups decide what a SIGHUP is for. It ends the program, as the close of its terminal should, unless the command has
// something to reload: then it asks for that. A terminal that has really gone ends the program all the same, or it would run
// on with nobody to read it and no Ctrl-C to end it. A nil one is of a program that gets none.
type hangups struct {
	asked    chan struct{} // a value where a reload is to be done; any number of signals before it is are one
	reloads  atomic.Bool
	terminal bool // the program was started from a terminal
}

func newHangups() *hangups {
	return &hangups{asked: make(chan struct{}, 1), terminal: onTerminal()}
}

// reload makes SIGHUP a wish to reload from now on, and returns where the wishes come. Without signals none ever does.
func (h *hangups) reload() <-chan struct{} {
	if h == nil {
		return nil
	}
	h.reloads.Store(true)
	return h.asked
}

// ends takes a SIGHUP, and tells whether it ends the program.
func (h *hangups) ends() bool {
	if !h.reloads.Load() || h.terminal && !onTerminal() {
		return true
	}
	select {
	case h.asked <- struct{}{}:
	default:
	}
	return false
}
