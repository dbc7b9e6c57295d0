//go:build e2e && unix

package detector

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// The pause of a real process: a detector in a process of its own hears 1,000 peers over a UDP socket, is stopped by
// SIGSTOP for 10 s, which is more than its socket's buffer holds, and goes on. Run it with
//
//	go test ./detector -tags e2e -run RealProcess -v
const (
	e2ePeers    = 1000
	e2eInterval = 500 * time.Millisecond
	e2eChild    = "PULSERING_DETECTOR_E2E_CHILD"
)

func TestRealProcessIsStopped(t *testing.T) {
	if os.Getenv(e2eChild) != "" {
		runDetectorOnStdout(t)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestRealProcessIsStopped$")
	child.Env = append(os.Environ(), e2eChild+"=1")
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe() // the child ends with it
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	defer func() {
		child.Process.Signal(syscall.SIGCONT)
		stdin.Close()
		for lines.Scan() { // or else Wait closes the pipe under the child
		}
		if err := child.Wait(); err != nil {
			t.Errorf("the child: %v", err)
		}
	}()
	if !lines.Scan() {
		t.Fatal("the child did not say where it listens")
	}
	conn, err := net.Dial("udp", lines.Text())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	type change struct {
		id    int
		state string
		at    time.Time
	}
	changes := make(chan change, 10*e2ePeers)
	go func() {
		defer close(changes)
		for lines.Scan() {
			c := change{at: time.Now()}
			if _, err := fmt.Sscan(lines.Text(), &c.id, &c.state); err == nil {
				changes <- c
			}
		}
	}()

	deaths := make(chan int)
	stop := make(chan struct{})
	sent := make(chan struct{})
	lastBeat := make([]time.Time, e2ePeers) // read once sent is closed
	go func() {
		defer close(sent)
		dead := make([]bool, e2ePeers)
		var packet [16]byte
		start := time.Now()
		for n := uint64(0); ; n++ {
			select {
			case <-stop:
				return
			case id := <-deaths:
				dead[id] = true
			case <-time.After(time.Until(start.Add(time.Duration(n) * e2eInterval / e2ePeers))):
			}
			id := n % e2ePeers
			if dead[id] {
				continue
			}
			binary.BigEndian.PutUint64(packet[:], id)
			binary.BigEndian.PutUint64(packet[8:], n/e2ePeers+1)
			conn.Write(packet[:]) // refused or dropped, a heartbeat is lost, as they are
			lastBeat[id] = time.Now()
		}
	}()

	const diesInPause, diesLater = 123, 456
	const pause, ordinary = 10 * time.Second, 5 * time.Second
	time.Sleep(10 * e2eInterval)
	child.Process.Signal(syscall.SIGSTOP)
	time.Sleep(pause / 2)
	deaths <- diesInPause
	time.Sleep(pause / 2)
	resumed := time.Now()
	child.Process.Signal(syscall.SIGCONT)
	time.Sleep(2 * ordinary)
	deaths <- diesLater
	time.Sleep(2 * ordinary)
	close(stop)
	<-sent
	stopped := time.Now()
	stdin.Close()

	heard := 0
	down := map[int]time.Time{}
	for c := range changes {
		switch {
		case c.state == "up":
			heard++
		case c.at.After(stopped):
		case c.id != diesInPause && c.id != diesLater:
			t.Errorf("%v after the pause: %d is %s, and lives", c.at.Sub(resumed), c.id, c.state)
		case c.state == "down":
			down[c.id] = c.at
		}
	}
	if heard != e2ePeers {
		t.Errorf("%d peers were up, want %d", heard, e2ePeers)
	}
	if len(down) != 2 {
		t.Fatalf("down: %v, want both that died", down)
	}
	normal := down[diesLater].Sub(lastBeat[diesLater])
	after := down[diesInPause].Sub(resumed)
	t.Logf("a peer that dies is found after %v, one that died in the pause %v after it", normal, after)
	if after > normal+e2eInterval/2 {
		t.Errorf("found %v after the pause, want within %v", after, normal)
	}
}

// runDetectorOnStdout is the child: it says where it listens and then each change, until its standard input ends.
func runDetectorOnStdout(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d, err := New[uint64](Config{Interval: e2eInterval, FirstHeartbeat: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	for id := range uint64(e2ePeers) {
		if err := d.Watch(id, 0); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Println(conn.LocalAddr())
	events := d.Events(t.Context())
	printed, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(printed)
		for e := range events {
			fmt.Println(e.ID, e.To)
		}
	}()
	go func() {
		defer close(read)
		for packet := make([]byte, 64); ; {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			if n == 16 {
				d.HeartbeatSeq(binary.BigEndian.Uint64(packet), binary.BigEndian.Uint64(packet[8:]))
			}
		}
	}()
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
	}
	conn.Close()
	<-read
	d.Close()
	<-printed
}
