package supervise

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
)

// StartError is why a child could not be started.
type StartError struct {
	// Code is what a shell ends with: 127 where there is no such program, 126 where it cannot be
	// run.
	Code int
	// Err says what is wrong, and names the program.
	Err error
}

// Error implements error.
func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives what is wrong.
func (e *StartError) Unwrap() error { return e.Err }

// newStartError explains err, with which name, found at path, could not be started.
func newStartError(name, path string, err error) *StartError {
	_, missing := os.Stat(path)
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err // the rest is in name
	}
	if e, ok := errors.AsType[*exec.Error](err); ok {
		err = e.Err
	}
	switch {
	case name == "":
		return &StartError{127, fmt.Errorf("cannot start %q: the name of the program is empty", name)}
	case errors.Is(err, exec.ErrDot):
		return &StartError{127, fmt.Errorf("cannot start %q: it is in this directory, not in PATH: write ./%s", name, name)}
	case errors.Is(err, exec.ErrNotFound):
		return &StartError{127, fmt.Errorf("cannot start %q: no such program in PATH", name)}
	case errors.Is(err, fs.ErrNotExist) && missing == nil:
		return &StartError{126, fmt.Errorf("cannot start %q: what it needs to run (the program after #!, or a loader) is not there: %w", name, err)}
	case errors.Is(err, fs.ErrNotExist):
		return &StartError{127, fmt.Errorf("cannot start %q: no such file", name)}
	case errors.Is(err, fs.ErrPermission):
		return &StartError{126, fmt.Errorf("cannot start %q: it is not executable, or a directory: %w", name, err)}
	case notProgram(err):
		return &StartError{126, fmt.Errorf("cannot start %q: it is no program for this machine, nor a script that begins with #!: %w", name, err)}
	}
	return &StartError{126, fmt.Errorf("cannot start %q: %w", name, err)}
}
