//go:build !unix

package main

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return nil }

var errNoSignals = fmt.Errorf("%s has no such signal: %w", runtime.GOOS, errors.ErrUnsupported)

func (p *proc) pause() error     { return errNoSignals }
func (p *proc) resume() error    { return errNoSignals }
func (p *proc) terminate() error { return errNoSignals }
