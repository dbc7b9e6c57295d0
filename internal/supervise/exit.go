package supervise

import (
	"os"
	"slices"
	"time"

	"github.com/pulsering/pulsering/internal/command"
)

// Exit is how a child ended. Its Code is what this process should end with, too.
type Exit struct {
	command.Exit
	// OutOfMemory says that the kernel killed it, or one of its own children, for memory.
	OutOfMemory bool
	// Probably says that OutOfMemory is a guess: memory ran out just before, and the child ended by
	// itself, as a shell does whose command was killed; or it was not in the child's own control
	// group.
	Probably bool
	// Asked says that it was asked to end: by a SIGTERM, SIGINT or SIGQUIT that was passed on in
	// the last ten minutes, by Stop, or by the signal that killed it, which was passed on.
	Asked bool
}

// Well tells whether the member has left rather than died: the child ended with success, or because
// it was asked to.
func (e Exit) Well() bool { return e.OK() || e.Asked }

// String returns "exit status 3", "killed by SIGSEGV (core dumped)", "killed by SIGKILL, out of
// memory", or "exit status 137, probably out of memory".
func (e Exit) String() string {
	switch {
	case e.OutOfMemory && e.Probably:
		return e.Exit.String() + ", probably out of memory"
	case e.OutOfMemory:
		return e.Exit.String() + ", out of memory"
	}
	return e.Exit.String()
}

// asked is what a child was sent.
type asked struct {
	signals []os.Signal
	toEnd   time.Time // the last that means: end
}

func (a *asked) note(s os.Signal, now time.Time) {
	if !slices.Contains(a.signals, s) {
		a.signals = append(a.signals, s)
	}
	if slices.Contains(endings, s) {
		a.toEnd = now
	}
}

// explains tells whether the child ended because it was asked to.
func (a *asked) explains(e Exit, now time.Time) bool {
	return !a.toEnd.IsZero() && now.Sub(a.toEnd) <= askedFor || e.Signal != nil && slices.Contains(a.signals, e.Signal)
}
