package supervise

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pulsering/pulsering/internal/command"
)

func TestOutOfMemory(t *testing.T) {
	killed := Exit{Exit: command.Exit{Code: 137, Signal: os.Kill}}
	failed := Exit{Exit: command.Exit{Code: 137}}
	asked := failed
	asked.Asked = true
	fine := Exit{}
	for _, c := range []struct {
		name string
		exit Exit
		rose time.Duration // how long before the end the count rose; negative: not at all
		own  bool          // the count is the child's own group's
		want string
	}{
		{"killed", killed, 0, true, "killed by SIGKILL, out of memory"},
		{"killed, seen by a sample", killed, time.Second, true, "killed by SIGKILL, out of memory"},
		{"killed by somebody", killed, -1, true, "killed by SIGKILL"},
		{"a worker was killed long ago", killed, time.Minute, true, "killed by SIGKILL"},
		{"somebody on this machine was killed", killed, 0, false, "killed by SIGKILL, probably out of memory"},
		{"a shell's command was killed", failed, 0, true, "exit status 137, probably out of memory"},
		{"asked to end", asked, 0, true, "exit status 137"},
		{"ended well", fine, 0, true, "exit status 0"},
	} {
		now := time.Now()
		count := uint64(7)
		m := &memory{counter: counter{own: c.own, read: func() (uint64, bool) { return count, true }}, last: 7}
		m.sample(now)
		if c.rose >= 0 {
			count++
		}
		if c.rose > 0 {
			m.sample(now)
		}
		c.exit.OutOfMemory, c.exit.Probably = m.explains(c.exit, now.Add(max(0, c.rose)))
		if got := fmt.Sprint(c.exit); got != c.want {
			t.Errorf("%s: %q; want %q", c.name, got, c.want)
		}
	}
}

// A system that does not count explains nothing.
func TestNoCount(t *testing.T) {
	m := &memory{counter: counter{read: func() (uint64, bool) { return 0, false }}}
	if out, _ := m.explains(Exit{Exit: command.Exit{Code: 137, Signal: os.Kill}}, time.Now()); out {
		t.Error("out of memory")
	}
}
