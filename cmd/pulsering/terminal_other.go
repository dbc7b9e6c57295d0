//go:build !unix

package main

// onTerminal knows nothing here: there is no SIGHUP either.
func onTerminal() bool { return false }
