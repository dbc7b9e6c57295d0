package supervise

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

var (
	// forwarded are caught, so that this process outlives them: the console sends them to the child
	// as well.
	forwarded = []os.Signal{os.Interrupt}
	endings   = []os.Signal{os.Interrupt, os.Kill}
	// gentle ends a child: there is nothing here to ask with.
	gentle = os.Kill
)

// fromKeyboard is true: no other process can send anything.
func fromKeyboard(os.Signal) bool { return true }

// inForeground is true: the child shares the console and what its keyboard means.
func inForeground() bool { return true }

func notProgram(err error) bool { return errors.Is(err, windows.ERROR_BAD_EXE_FORMAT) }
