// Package supervise runs a service as a child of this process, and says how it ended.
//
// Think of an interpreter beside a guest. Whatever is said to the one is passed on to the other,
// who sits at the table himself and speaks for himself. When the guest goes, the interpreter tells
// the others how, and goes too.
//
// # Signals
//
// SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGWINCH that this process gets go to the
// child, from before it starts until it has ended. Nothing is added: a child that takes long to
// end, or does not want to, is the business of whoever asked it, who knows how long it may take.
// What this process ignored when it began, as SIGHUP under nohup, stays ignored, by the child too.
//
// # Terminals
//
// At a terminal, in the foreground, the child shares this process's group, so that it may read the
// terminal, and the shell's job control (Ctrl-Z, fg, bg) holds both. The terminal then sends what
// the keyboard means, SIGINT, SIGQUIT and SIGWINCH, to both of them, and to pass it on would be to
// send it twice: it is not passed on for as long as the group is in the foreground. Anywhere else
// (a service manager, a container without a terminal, a job in the background) the child has a
// group of its own, is out of reach of what is meant for this process, and gets each signal once,
// from here.
//
// A group of its own in the foreground, which is the other way to have a Ctrl-C reach the child
// once, was not taken: who gives the terminal away has to do all that a shell does, from Ctrl-Z on.
//
// # The end of this process
//
// The child does not outlive this process where the system can see to that, even if that is killed:
// the others will take the member for dead, and its work may go to another. See [command.Tie] for
// which systems can, and that the child's own children are not reached on Unix.
package supervise

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/pulsering/pulsering/internal/command"
)

const (
	// sampleEvery is how often the kernel's count of processes killed for memory is read.
	sampleEvery = time.Second
	// lateSignal is how long a child that has ended waits for a signal that explains it: a
	// terminal, or a service manager that signals everybody in a control group, sends to both at
	// once, and who ends first is chance.
	lateSignal = 100 * time.Millisecond
	// askedFor is how long a signal to end explains an end. A child that is still there after that
	// did not take it so: a shell, for one, ignores SIGINT. It is longer than service managers and
	// Kubernetes wait by default.
	askedFor = 10 * time.Minute
	// lastWait is how long a killed child is waited for.
	lastWait = 2 * time.Second
)

// Options say what the child is given. The zero value is what this process has itself.
type Options struct {
	// Stdin, Stdout and Stderr become the child's own, untouched. Nil: those of this process.
	Stdin, Stdout, Stderr *os.File
	// Log is told what is passed on. Nil: nobody is.
	Log hclog.Logger
}

// Child is a service that was started. Its methods may be called from any goroutine.
type Child struct {
	cmd     *exec.Cmd
	tie     *command.Tether
	log     hclog.Logger
	shares  bool           // this process's group, and so what the terminal sends
	signals chan os.Signal // what this process gets
	stop    chan os.Signal // what Signal wants to be sent
	waited  chan struct{}  // closed when the process is gone
	done    chan struct{}  // closed when exit is there
	exit    Exit
}

// Start runs a program, found as a shell finds it, with its arguments; args[0] is the program. The
// error is a [StartError]. The child ends by itself, or by Signal: it has no context.
func Start(args []string, opts Options) (*Child, error) {
	c := &Child{
		cmd:     exec.Command(args[0], args[1:]...),
		log:     opts.Log,
		shares:  inForeground(),
		signals: make(chan os.Signal, 16),
		stop:    make(chan os.Signal),
		waited:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	if c.log == nil {
		c.log = hclog.NewNullLogger()
	}
	c.cmd.Stdin = cmp.Or(opts.Stdin, os.Stdin)
	c.cmd.Stdout = cmp.Or(opts.Stdout, os.Stdout)
	c.cmd.Stderr = cmp.Or(opts.Stderr, os.Stderr)
	c.tie = command.Tie(c.cmd, !c.shares)
	for _, s := range forwarded {
		if !signal.Ignored(s) {
			signal.Notify(c.signals, s) // before the start: none may be lost
		}
	}
	memory := newMemory()
	started := make(chan error)
	go c.wait(started)
	if err := <-started; err != nil {
		signal.Stop(c.signals)
		return nil, newStartError(args[0], c.cmd.Path, err)
	}
	go c.watch(memory)
	return c, nil
}

// wait starts the process and waits for its end, in one thread: see [command.Tie].
func (c *Child) wait(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := c.cmd.Start()
	if err == nil {
		c.tie.Started()
	}
	started <- err
	if err == nil {
		c.cmd.Wait() // what it returns is in c.cmd.ProcessState
		close(c.waited)
	}
}

// watch passes signals on until the child has ended, and finds out how it did.
func (c *Child) watch(memory *memory) {
	sample := time.NewTicker(sampleEvery)
	defer sample.Stop()
	var passed asked
	for running := true; running; {
		select {
		case s := <-c.signals:
			c.pass(s, &passed)
		case s := <-c.stop:
			passed.note(s, time.Now())
			c.send(s)
		case <-sample.C:
			memory.sample(time.Now())
		case <-c.waited:
			running = false
		}
	}
	exit := c.explain(&passed)
	if exit.Signal == nil || slices.Contains(forwarded, exit.Signal) {
		for late := time.After(lateSignal); late != nil && !exit.Well(); exit = c.explain(&passed) {
			select {
			case s := <-c.signals:
				passed.note(s, time.Now())
			case <-late:
				late = nil
				c.drain(&passed) // this process may have been slower than both
			}
		}
	}
	signal.Stop(c.signals)
	c.tie.Release()
	exit.OutOfMemory, exit.Probably = memory.explains(exit, time.Now())
	c.exit = exit
	close(c.done)
}

// drain notes what has come and was not passed on.
func (c *Child) drain(passed *asked) {
	for {
		select {
		case s := <-c.signals:
			passed.note(s, time.Now())
		default:
			return
		}
	}
}

// explain tells how the process ended, and whether what it was sent is why.
func (c *Child) explain(passed *asked) Exit {
	exit := Exit{Exit: command.ExitOf(c.cmd.ProcessState)}
	exit.Asked = passed.explains(exit, time.Now())
	return exit
}

// pass hands a signal on that this process got, unless the terminal sent it to both.
func (c *Child) pass(s os.Signal, passed *asked) {
	passed.note(s, time.Now())
	if c.shares && fromKeyboard(s) && inForeground() {
		c.log.Debug("the terminal has sent this to the service, too", "signal", command.SignalName(s))
		return
	}
	c.send(s)
}

func (c *Child) send(s os.Signal) {
	err := c.cmd.Process.Signal(s)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		c.log.Warn("cannot pass on a signal", "signal", command.SignalName(s), "error", err)
		return
	}
	c.log.Debug("passed on", "signal", command.SignalName(s), "pid", c.Pid())
}

// Pid is the number of the child's process.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended and Exit is known.
func (c *Child) Done() <-chan struct{} { return c.done }

// Exit is how the child ended. It waits for that.
func (c *Child) Exit() Exit {
	<-c.done
	return c.exit
}

// Stop asks the child to end (SIGTERM; on Windows it is ended at once), kills it after patience,
// and returns how it ended, which it was then Asked for. It returns false where the child is there
// still a few seconds after that: the kernel itself may be unable to end a process, such as one
// that waits for a dead file server.
func (c *Child) Stop(patience time.Duration) (exit Exit, ended bool) {
	c.signal(gentle)
	if !c.endsWithin(patience) {
		c.signal(os.Kill)
		if !c.endsWithin(lastWait) {
			return Exit{}, false
		}
	}
	return c.exit, true
}

// endsWithin tells whether the child has ended before limit is over.
func (c *Child) endsWithin(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

// signal has s sent, unless the child has ended.
func (c *Child) signal(s os.Signal) {
	select {
	case c.stop <- s:
	case <-c.done:
	}
}
