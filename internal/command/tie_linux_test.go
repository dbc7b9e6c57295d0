package command

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const endsWithParent = true

func init() { helpers["reap"] = actFirst }

// actFirst behaves as the first process of a container: orphans become its children.
func actFirst() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	deadline := time.Now().Add(20 * time.Second)
	exec.Command("sh", "-c", "for i in 1 2 3; do (sleep 0.1 &) ; done").Run()
	for n := 0; n == 0; n = len(zombies()) { // until the orphans are dead
		if time.Now().After(deadline) {
			fmt.Println("no orphan came")
			os.Exit(1)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	const every = time.Second
	go func() { defer close(done); reap(ctx, every) }()
	for range 30 { // nobody's own children are buried by mistake, even if they are waited for a little late
		began := time.Now()
		own := exec.Command("sh", "-c", "exit 3")
		own.Start()
		time.Sleep(every / 10)
		late := time.Since(began) > every/2 // this machine is busy
		own.Wait()
		if own.ProcessState.ExitCode() != 3 && !late {
			fmt.Println("lost an exit status:", own.ProcessState)
			os.Exit(1)
		}
	}
	for len(zombies()) > 0 {
		if time.Now().After(deadline) {
			fmt.Println("zombies are left:", zombies())
			os.Exit(1)
		}
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	<-done
}

func TestReap(t *testing.T) {
	t.Parallel()
	if err := helper(t, "reap").Run(); err != nil {
		t.Error(err)
	}
}

func TestReapElsewhere(t *testing.T) { Reap(t.Context()) } // returns at once

func TestParseStat(t *testing.T) {
	const rest = " 1 7 7 0 -1 4227084 108 0 0 0 0 0 0 0 20 0 1 0 4711 0 0"
	for stat, want := range map[string]bool{
		"42 (sh) Z" + rest:       true,
		"42 (a) Z (b) Z" + rest:  true,
		"42 (sh) S" + rest:       false,
		"42 (sleep) Z) S" + rest: false,
		"":                       false,
		"42 (sh) Z 1":            false,
		"x (sh) Z" + rest:        false,
		"42 (sh) Z x" + rest[2:]: false,
	} {
		z, parent, ok := parseStat(stat)
		if ok != want || ok && (z != zombie{42, "4711"} || parent != 1) {
			t.Errorf("%q: %v, %d, %v", stat, z, parent, ok)
		}
	}
}
