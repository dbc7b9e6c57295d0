package tcp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

// What a kernel said (Linux 6.18, two network namespaces, a ping each second), and what it means.
func TestVerdict(t *testing.T) {
	const second = time.Second
	idle := Info{State: "established", RTO: 204 * ms, RTT: 100 * time.Microsecond, Window: 65536}
	with := func(change func(*Info)) Info {
		i := idle
		change(&i)
		return i
	}
	times := func(i Info, ack, data, sent time.Duration) Info {
		i.LastAckReceived, i.LastDataReceived, i.LastDataSent = ack, data, sent
		return i
	}
	shut := with(func(i *Info) { i.NotSent, i.Window, i.RTO = 609928, 0, 212*ms })
	for _, test := range []struct {
		name    string
		info    Info
		silence time.Duration
		want    Verdict
	}{
		{"a beat ago", times(idle, 400*ms, 400*ms, 400*ms), 402 * ms, Unknown},
		{"nothing sent, no keep-alive", times(idle, 60*second, 60*second, 60*second), 60 * second, Unknown},

		{"stopped, first ping", times(idle, 256*ms, 1332*ms, 300*ms), 1332 * ms, Unknown},
		{"stopped, second ping", times(idle, 148*ms, 2196*ms, 148*ms), 2193 * ms, Stuck},
		{"stopped, before the fifth ping", times(idle, 1500*ms, 5500*ms, 1500*ms), 5500 * ms, Stuck},
		{"stopped, a ping on its way", times(with(func(i *Info) { i.Unacked = 1 }), 1000*ms, 5500*ms, 0), 5500 * ms, Stuck},
		{"stopped, one loss", times(with(func(i *Info) { i.Unacked, i.Retransmits = 1, 1 }), 1300*ms, 5500*ms, 100*ms),
			5500 * ms, Unknown},
		{"stopped, found by keep-alive alone", times(idle, 5*second, 20*second, 20*second), 20 * second, Stuck},
		{"acknowledged late, as may be", times(idle, 1050*ms, 1300*ms, 1300*ms), 1300 * ms, Unknown},
		{"acknowledged before it was due", times(idle, 2500*ms, 3000*ms, 2500*ms), 3000 * ms, Unknown},
		{"half closed by the peer", times(with(func(i *Info) { i.State = "close-wait" }), 148*ms, 5*second, 148*ms),
			5 * second, Unknown},
		{"half closed here", times(with(func(i *Info) { i.State = "fin-wait-2" }), 148*ms, 5*second, 148*ms), 5 * second, Stuck},
		{"bytes that nobody read", times(idle, 148*ms, second, 148*ms), 5 * second, Unknown},

		{"dead, just sent", times(with(func(i *Info) { i.Unacked = 1 }), 1104*ms, 1104*ms, 100*ms), 1106 * ms, Unknown},
		{"dead, one retransmission", times(with(func(i *Info) { i.Unacked, i.Retransmits = 1, 1 }), 1316*ms, 1316*ms, 308*ms),
			1318 * ms, Path},
		{"one retransmission, silence ordinary",
			times(with(func(i *Info) { i.Unacked, i.Retransmits = 1, 1 }), 900*ms, 900*ms, 308*ms), 900 * ms, Unknown},
		{"dead, four", times(with(func(i *Info) { i.Unacked, i.Retransmits, i.RTO = 1, 4, 3264*ms }), 4840*ms, 4840*ms, 508*ms),
			4841 * ms, Path},
		{"dead after it was stuck",
			times(with(func(i *Info) { i.Unacked, i.Retransmits = 1, 2 }), 1700*ms, 9*second, 400*ms), 9 * second, Path},
		{"dropped there for want of memory: each retransmission is acknowledged",
			times(with(func(i *Info) { i.Unacked, i.Retransmits, i.NotSent = 9, 3, 9999 }), 100*ms, 9*second, 101*ms),
			9 * second, Slow},
		{"interface down, before the first probe",
			times(with(func(i *Info) { i.NotSent = 1 }), 1224*ms, 1224*ms, 200*ms), 1224 * ms, Unknown},
		{"interface down, one probe",
			times(with(func(i *Info) { i.NotSent, i.Probes, i.Backoff = 1, 1, 1 }), 1628*ms, 1628*ms, 396*ms), 1628 * ms, Unknown},
		{"interface down, two probes",
			times(with(func(i *Info) { i.NotSent, i.Probes, i.Backoff = 1, 2, 2 }), 1728*ms, 1728*ms, 60*ms), 1729 * ms, Path},
		{"keep-alive, one probe", times(with(func(i *Info) { i.Probes = 1 }), 15*second, 15*second, 15*second), 15 * second, Unknown},
		{"keep-alive, two probes", times(with(func(i *Info) { i.Probes = 2 }), 20*second, 20*second, 20*second), 20 * second, Path},

		{"not read", times(shut, 112*ms, 5*second, 136*ms), 5 * second, Slow},
		{"not read, probed", times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff = 1, 2 }), 440*ms, 1042*ms, 980*ms),
			1042 * ms, Slow},
		{"not read, a probe too soon for an answer",
			times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff = 1, 2 }), 1288*ms, 1592*ms, 1528*ms), 1593 * ms, Slow},
		{"not read, two probes too soon",
			times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff, i.RTO = 2, 3, 50*ms }), 1200*ms, 1592*ms, 1528*ms), 1593 * ms, Slow},
		{"not read, three, the last not too soon",
			times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff, i.RTO = 3, 4, 50*ms }), 1300*ms, 1592*ms, 1528*ms), 1593 * ms, Path},
		{"not read for minutes", times(with(func(i *Info) { *i = shut; i.Backoff = 12 }), 119*second, 600*second, 600*second),
			600 * second, Slow},
		{"not read, then cut", times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff = 1, 4 }), 4140*ms, 5740*ms, 5672*ms),
			5737 * ms, Path},
		{"not read, then cut, a probe on its way",
			times(with(func(i *Info) { *i = shut; i.Probes, i.Backoff = 1, 4 }), 1888*ms, 3488*ms, 3420*ms), 3485 * ms, Slow},
		{"drains", times(with(func(i *Info) { i.NotSent, i.Unacked = 1959144, 358 }), 16*ms, 5*second, 16*ms), 5 * second, Slow},
		{"a large write, the path dead",
			times(with(func(i *Info) { i.NotSent, i.Unacked, i.Retransmits = 1959144, 358, 1 }), 5*second, 5*second, 100*ms),
			5 * second, Path},
		{"a large write, nothing yet",
			times(with(func(i *Info) { i.NotSent, i.Unacked = 1959144, 358 }), 5*second, 5*second, 100*ms), 5 * second, Unknown},

		{"given up", times(with(func(i *Info) { i.State, i.Probes = "close", 3 }), 6*second, 6*second, 6*second), 6 * second, Unknown},
		{"not connected", Info{State: "syn-sent", Unacked: 1, Retransmits: 3, LastAckReceived: 9 * second}, 9 * second, Unknown},
		{"nothing known", Info{}, 9 * second, Unknown},
	} {
		if got := test.info.Verdict(test.silence, second); got != test.want {
			t.Errorf("%s: %v; want %v", test.name, got, test.want)
		}
	}
}

// Whatever a kernel says, and a caller: path and stuck rest on evidence that excludes the other.
func TestVerdictOfAnything(t *testing.T) {
	states := rapid.SampledFrom([]string{"established", "fin-wait-1", "close-wait", "close", "", "state 99"})
	durations := rapid.OneOf(rapid.Int64Range(-1, int64(time.Minute)), rapid.Int64())
	small := rapid.IntRange(-1, 4)
	rapid.Check(t, func(t *rapid.T) {
		duration := func(name string) time.Duration { return time.Duration(durations.Draw(t, name)) }
		i := Info{
			State:            states.Draw(t, "state"),
			LastAckReceived:  duration("ack"),
			LastDataReceived: duration("data"),
			LastDataSent:     duration("sent"),
			Unacked:          small.Draw(t, "unacked"),
			Retransmits:      small.Draw(t, "retransmits"),
			Probes:           small.Draw(t, "probes"),
			Backoff:          rapid.IntRange(-1, 255).Draw(t, "backoff"),
			RTO:              duration("rto"),
			RTT:              duration("rtt"),
			NotSent:          small.Draw(t, "not sent"),
			Window:           small.Draw(t, "window"),
		}
		switch i.Verdict(duration("silence"), duration("interval")) {
		case Path:
			if i.Retransmits < 1 && i.Probes < 1 {
				t.Fatalf("path, with nothing unanswered: %+v", i)
			}
		case Stuck:
			if i.Retransmits > 0 || i.Probes >= 2 || i.NotSent > 0 {
				t.Fatalf("stuck, with the kernel waiting: %+v", i)
			}
		case Slow:
			if i.NotSent <= 0 {
				t.Fatalf("slow, with all sent: %+v", i)
			}
		}
	})
}

func TestHowEnded(t *testing.T) {
	op := func(name string, err error) error {
		return &net.OpError{Op: name, Net: "tcp", Err: os.NewSyscallError(name, err)}
	}
	for _, test := range []struct {
		read, write error
		want        End
	}{
		{nil, nil, EndNone},
		{os.ErrDeadlineExceeded, nil, EndNone},
		{io.EOF, nil, EndClean},
		{io.EOF, io.EOF, EndClean},
		{io.EOF, op("write", syscall.ETIMEDOUT), EndPath}, // Linux gives the error to one of the two
		{op("read", syscall.ETIMEDOUT), op("write", syscall.EPIPE), EndPath},
		{op("read", syscall.EHOSTUNREACH), nil, EndPath},
		{nil, op("write", syscall.ENETUNREACH), EndPath},
		{nil, fmt.Errorf("frame 7: %w", op("write", syscall.ETIMEDOUT)), EndPath},
		{net.ErrClosed, op("write", syscall.ETIMEDOUT), EndPath}, // the writer closed
		{op("read", syscall.ECONNRESET), nil, EndReset},
		{io.EOF, op("write", syscall.EPIPE), EndReset},
		{net.ErrClosed, op("write", syscall.EPIPE), EndReset},
		{io.EOF, net.ErrClosed, EndClean}, // the reader closed
		{io.EOF, io.ErrClosedPipe, EndClean},
		{net.ErrClosed, nil, EndLocal},
		{io.ErrClosedPipe, net.ErrClosed, EndLocal},
		{net.ErrClosed, os.ErrDeadlineExceeded, EndLocal},
		{io.ErrUnexpectedEOF, nil, EndOther},
		{io.ErrUnexpectedEOF, net.ErrClosed, EndOther},
		{errors.New("bad record"), io.EOF, EndOther},
	} {
		if got := HowEnded(test.read, test.write); got != test.want {
			t.Errorf("read %v, write %v: %v; want %v", test.read, test.write, got, test.want)
		}
	}
}

func TestNames(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{"unknown": Unknown, "path": Path, "stuck": Stuck, "slow": Slow,
		"Verdict(9)": Verdict(9), "none": EndNone, "clean": EndClean, "reset": EndReset, "local": EndLocal, "other": EndOther,
		"End(9)": End(9)} {
		if v.String() != want {
			t.Errorf("%v; want %s", v, want)
		}
	}
	if got := []string{stateName(0), stateName(1), stateName(12), stateName(255)}; fmt.Sprint(got) !=
		"[state 0 established new-syn-received state 255]" {
		t.Errorf("states %q", got)
	}
}

// itself unwraps to itself.
type itself struct{ net.Conn }

func (i itself) NetConn() net.Conn { return i }

// What has no TCP socket gets an error, and nothing worse.
func TestNoSocket(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	for name, conn := range map[string]net.Conn{
		"nil": nil, "pipe": near, "TLS over a pipe": tls.Client(near, nil), "one that unwraps to itself": itself{near},
		"TLS over nil": tls.Client(nil, nil),
	} {
		if _, err := ReadInfo(conn); !errors.Is(err, ErrNoInfo) {
			t.Errorf("ReadInfo of %s: %v", name, err)
		}
		if _, err := ReadKeepAlive(conn); !errors.Is(err, ErrNoInfo) {
			t.Errorf("ReadKeepAlive of %s: %v", name, err)
		}
		if err := (KeepAlive{}).Set(conn); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Set of %s: %v", name, err)
		}
	}
}

// What the kernel holds for a reader that is late is told, and no more once it is read.
func TestUnread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux is asked")
	}
	a, b := pair(t)
	if Unread(b) {
		t.Error("nothing came, and something is unread")
	}
	a.Write([]byte("beat"))
	for begin := time.Now(); !Unread(b); time.Sleep(time.Millisecond) {
		if time.Since(begin) > 10*time.Second {
			t.Fatal("four bytes came, and nothing is unread")
		}
	}
	if n, err := b.Read(make([]byte, 4)); n != 4 || Unread(b) {
		t.Errorf("read %d bytes, %v, and something is unread", n, err)
	}
	if p, _ := net.Pipe(); Unread(p) {
		t.Error("a pipe has no kernel")
	}
}
