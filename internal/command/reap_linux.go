package command

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// reapEvery is how often the dead are looked for. Two looks in a row have to find one before it is
// buried.
const reapEvery = 5 * time.Second

// Reap buries the processes that nobody else waits for, until ctx ends. Where this process is the
// first of a container (PID 1) the kernel makes it the parent of all that lose theirs, and they
// stay as zombies until it waits for them. Anywhere else Reap returns at once.
//
// It may run beside os/exec: whoever starts a process here waits for it, so that its zombie is gone
// within milliseconds. What is still there after reapEvery has nobody. That needs no list of our
// own children, which would have to know of each fork before its child can end; nor a second
// process as PID 1, which would have to hand on every signal.
func Reap(ctx context.Context) {
	if os.Getpid() == 1 {
		reap(ctx, reapEvery)
	}
}

func reap(ctx context.Context, every time.Duration) {
	look := time.NewTicker(every)
	defer look.Stop()
	var before map[zombie]bool
	for {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
		now := zombies()
		for z := range now {
			if before[z] {
				unix.Wait4(z.pid, nil, unix.WNOHANG, nil)
				delete(now, z)
			}
		}
		before = now
	}
}

// zombie is a dead process: start, in ticks since the machine started, tells it from another with
// its number.
type zombie struct {
	pid   int
	start string
}

// zombies are the dead children of this process.
func zombies() map[zombie]bool {
	found := make(map[zombie]bool)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is right
	for _, path := range stats {
		if b, err := os.ReadFile(path); err == nil {
			if z, parent, ok := parseStat(string(b)); ok && parent == os.Getpid() {
				found[z] = true
			}
		}
	}
	return found
}

// parseStat reads /proc/PID/stat (proc(5)) and reports false for a process that is no zombie.
func parseStat(stat string) (z zombie, parent int, ok bool) {
	number, rest, _ := strings.Cut(stat, " ")
	fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:]) // the name in brackets may hold anything
	if len(fields) < 20 || fields[0] != "Z" {
		return z, 0, false
	}
	pid, err := strconv.Atoi(number)
	if err != nil {
		return z, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return zombie{pid, fields[19]}, parent, err == nil
}
